"""Texts of settings with secrets that come from the environment or from files."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import quote

from wherewhen.core.addresses import Address
from wherewhen.core.errors import ConfigError

SHORTEST = 16  # characters of a token
_SECRET = re.compile(r"\$\{(file:)?([^}]+)\}")


def filled(text: str, *, is_address: bool = False) -> str:
    """A text with its secrets from the environment or from files; ConfigError names one that is missing.

    ``is_address``: secrets are quoted, and all output hides them from then on.

    >>> os.environ["DOOR"] = "a/b"
    >>> filled("rtsp://me:${DOOR}@door/1", is_address=True)
    'rtsp://me:a%2Fb@door/1'
    """
    quoted = is_address and "://" in text

    def secret(match: re.Match[str]) -> str:
        name = match[2]
        if match[1]:
            try:
                value = Path(name).read_text("utf-8").splitlines()[0]
            except (OSError, UnicodeDecodeError, IndexError):
                raise ConfigError(f"${{file:{name}}}: this file can't be read") from None
        elif name in os.environ:
            value = os.environ[name]
        else:
            raise ConfigError(f"${{{name}}}: this variable of the environment is not set")
        return quote(value, safe="") if quoted else value

    whole = _SECRET.sub(secret, text)
    if quoted:
        Address(whole)
    return whole

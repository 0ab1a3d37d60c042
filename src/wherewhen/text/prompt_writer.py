"""Prompts written by a language model at any OpenAI-compatible endpoint, to be edited by people.

Training and detection never use a language model.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from wherewhen.core.addresses import remember
from wherewhen.core.documents import json_of
from wherewhen.core.errors import ConfigError, DataError
from wherewhen.core.prompts import LONGEST, Prompts

KEYS = ("WHEREWHEN_API_KEY", "OPENAI_API_KEY")
LARGEST = 2**20  # bytes of an answer
PATIENCE = 120.0  # seconds


@dataclass(frozen=True)
class Endpoint:
    """An OpenAI-compatible endpoint of a language model.

    Args:
        address: such as http://localhost:8000/v1; ``/chat/completions`` is added where it isn't there.
        model: name of the model at the endpoint.
    """

    address: str
    model: str = "default"

    def __post_init__(self) -> None:
        remember(self.address)
        if not re.match(r"https?://", self.address):
            raise ConfigError(f"endpoint: expected an address http(s)://HOST/v1, got {self.address!r}")

    @property
    def full(self) -> str:
        """The address of requests."""
        end = "/chat/completions"
        base = self.address.rstrip("/")
        return base if base.endswith(end) else base + end


def write(
    endpoint: Endpoint, classes: Sequence[str], normal: Sequence[str], count: int = 4, scene: str = ""
) -> Prompts:
    """Prompts for classes: ``count`` descriptions each, beside the ``normal`` ones.

    ``scene``: description of the camera's scene. DataError with the fault of an answer.
    """
    if not classes or not all(name.strip() for name in classes):
        raise ConfigError("prompts write: expected class names: --classes fighting,robbery")
    answer = _answer(endpoint, _question(classes, count, scene))
    descriptions = _parse(answer)
    missing = [name for name in classes if name not in descriptions]
    if missing:
        raise DataError(f"{endpoint.full}: the answer lacks {', '.join(missing)}; try again, or with fewer classes")
    return Prompts(tuple(normal), {name: _texts(endpoint, name, descriptions[name], count) for name in classes})


def _question(classes: Sequence[str], count: int, scene: str) -> str:
    where = f" The camera looks at: {scene}." if scene else ""
    return (
        f"A surveillance camera is searched for these events: {json.dumps(list(classes))}.{where} For each event write "
        f"{count} short, concrete, different descriptions of what a single picture of it shows: who does what to whom, "
        "with which things, in which pose. Name no sounds, motives or words that a picture can't show. Answer with one "
        "JSON object only, whose keys are the events and whose values are lists of descriptions."
    )


def _answer(endpoint: Endpoint, question: str) -> str:
    """The answer of the model; DataError where it can't be reached or refuses."""
    body = {"model": endpoint.model, "messages": [{"role": "user", "content": question}], "temperature": 0.7}
    headers = {"Content-Type": "application/json", "User-Agent": "wherewhen"}
    key = next((os.environ[name] for name in KEYS if os.environ.get(name)), "")
    headers |= {"Authorization": f"Bearer {key}"} if key else {}
    try:
        with urlopen(Request(endpoint.full, json.dumps(body).encode(), headers), timeout=PATIENCE) as answer:
            data = answer.read(LARGEST + 1)
    except HTTPError as error:
        detail = error.read(300).decode(errors="replace")
        hint = f"; set its key in {' or '.join(KEYS)}" if error.code in (401, 403) else ""
        raise DataError(f"{endpoint.full}: answered {error.code} {error.reason}: {detail!r}{hint}") from None
    except (URLError, OSError) as error:
        raise DataError(f"{endpoint.full}: can't be reached ({getattr(error, 'reason', error)})") from None
    if len(data) > LARGEST:
        raise DataError(f"{endpoint.full}: the answer has more than {LARGEST} bytes; check the address")
    try:
        content: Any = json_of(data)["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        raise DataError(f"{endpoint.full}: not an OpenAI-compatible answer: {data[:200]!r}") from None
    if not isinstance(content, str):
        raise DataError(f"{endpoint.full}: expected text, got {type(content).__name__}")
    return content


def _parse(answer: str) -> dict[str, Any]:
    """The JSON object in an answer, with any text around it."""
    start, end = answer.find("{"), answer.rfind("}")
    try:
        value = json_of(answer[start : end + 1]) if 0 <= start < end else None
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise DataError(f"the model's answer has no JSON object: {answer[:200]!r}; try again, or another model")
    return value


def _texts(endpoint: Endpoint, name: str, listed: Any, count: int) -> tuple[str, ...]:
    if not isinstance(listed, list) or not listed or not all(isinstance(text, str) for text in listed):
        raise DataError(f"{endpoint.full}: {name}: expected a list of descriptions, got {listed!r:.100}")
    texts = dict.fromkeys(" ".join(text.split()) for text in listed)
    descriptions = [text for text in texts if text and len(text) <= LONGEST][:count]
    if not descriptions:
        raise DataError(f"{endpoint.full}: {name}: the answer has no description of 1 to {LONGEST} characters")
    return tuple(descriptions)

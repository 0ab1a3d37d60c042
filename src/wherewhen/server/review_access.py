"""The web server of a review: who may open the page, and the work beside it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from wherewhen.core.errors import ConfigError
from wherewhen.core.secret_text import SHORTEST
from wherewhen.live.settings import LOOPBACK
from wherewhen.review.grouping import grouping
from wherewhen.review.opened import Review
from wherewhen.server.app import create_review
from wherewhen.server.guard import Guard
from wherewhen.server.web_server import answering


@dataclass(frozen=True)
class Access:
    """Where the page is served, and with which tokens: one, or that of each user by name."""

    host: str
    port: int
    token: str = ""
    users: dict[str, str] = field(default_factory=dict)
    hosts: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, host: str, port: int, token: str | None = None, users: str | None = None, hosts: str | None = None
    ) -> Access:
        """What the options of the command say; without a token of its own this machine gets a random one.

        Raises:
            ConfigError: another machine could open the page without a token, a token is too short, or a file of users
                has a line without a token.
        """
        if not 0 <= port < 65536:
            raise ConfigError(f"--port: expected a number from 0 to 65535, got {port}")
        if host not in LOOPBACK and token is None and users is None:
            raise ConfigError(f"--host {host} can be reached from other machines; add --token TOKEN or --users FILE")
        if token is not None and len(token) < SHORTEST:
            raise ConfigError(f"--token: expected at least {SHORTEST} characters, got {len(token)}")
        names = tuple(name.strip() for name in (hosts or "").split(",") if name.strip())
        if users is not None:
            return cls(host, port, "", read_users(Path(users)), names)
        return cls(host, port, token or secrets.token_urlsafe(24), {}, names)

    def address(self, port: int) -> str:
        """The address of the page, with the token where there is one of all."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        token = f"?token={quote(self.token, safe='')}" if self.token else ""
        return f"http://{host}:{port}/{token}"


def read_users(path: Path) -> dict[str, str]:
    """Names and tokens of users: a name and a token in each line; empty lines and those with # are left out.

    Raises:
        ConfigError: the file can't be read, or a line has no name and token of at least 16 characters.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--users: {path} can't be read as text ({error})") from None
    users: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or line.lstrip().startswith("#"):
            continue
        if len(words) != 2 or len(words[1]) < SHORTEST or words[0] in users or words[1] in users.values():
            raise ConfigError(
                f"{path}, line {number}: expected a new name and a new token of at least {SHORTEST} characters"
            )
        users[words[0]] = words[1]
    if not users:
        raise ConfigError(f"{path}: no users there; expected a name and a token in each line")
    return users


@contextmanager
def serving_review(review: Review, access: Access) -> Iterator[str]:
    """Serve the page of a review inside the block; gives its address. Look-alikes are grouped meanwhile.

    Raises:
        ConfigError: it can't listen there.
    """
    guard = Guard(create_review(review), access.token, access.hosts, access.users)
    with answering(guard, access.host, access.port) as port, grouping(review):
        yield access.address(port)

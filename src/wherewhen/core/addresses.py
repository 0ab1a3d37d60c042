"""Addresses of streams and servers: the URL to open and the text that may be shown are kept apart.

`masked` removes secrets from text of other origin: messages of libraries, echoed input.
"""

from __future__ import annotations

import json
import re
from urllib.parse import unquote

HIDDEN = "***"

_AROUND = " \t\r\n\f\v\"'\u00a0\u200b\u2060\ufeff"  # copied along with an address, and no part of it
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]{1,30}"  # one letter alone is a drive
_START = re.compile(rf"({_SCHEME})://")
_HOST = re.compile(r"(?:[\w.-]*|\[[0-9A-Fa-f:.]+(?:%25\w+)?\])(?::\d{1,5})?")
_LIVE = ("rtsp", "rtmp", "rtp", "srtp", "udp", "tcp", "tls", "srt", "rist", "mms", "zmq")
_PART = r"[^\s\"'<>]"
_UNKNOWN = re.compile(rf"(?<![A-Za-z0-9+.-])({_SCHEME}:/+)(?:[^\s\"'<>/@]*:{_PART}*@|(?:[^\s\"'<>/@]*@)+)")

_secrets: dict[str, str] = {}  # secret text in lower case, and its replacement


class Address:
    """The address of a stream or of a file on a server: ``url`` opens it; any other text of it contains no secret.

    User name, password, query and fragment are never shown, nor parts of the path that hold values (``key=...``).
    Where an ``@`` behind the host makes the password ambiguous, everything that may be one is hidden.

    >>> Address("rtsp://me:secret@door:554/1?key=2")
    Address('rtsp://door:554/1')
    """

    __slots__ = ("_shown", "_url")

    def __init__(self, url: str) -> None:
        text = url.strip(_AROUND)
        match = _START.match(text)
        if not match:
            raise ValueError("an address begins with its scheme, such as rtsp://")
        scheme, rest = match[1].lower(), text[match.end() :]
        opened = "rtsp" if scheme == "rtspt" else scheme  # the same, over TCP
        self._url, self._shown = f"{opened}://{rest}", f"{scheme}://{_without_secrets(rest)}"
        _remember(text, self)

    @property
    def url(self) -> str:
        """The whole address, with its secrets: only for opening it."""
        return self._url

    @property
    def scheme(self) -> str:
        """The scheme in lower case."""
        return self._url.partition("://")[0]

    @property
    def live(self) -> bool:
        """Whether it is a endless stream.

        >>> Address("rtsp://door/1").live, Address("https://example.org/a.mp4").live
        (True, False)
        """
        return self.scheme.startswith(_LIVE)

    @property
    def name(self) -> str:
        """The last part of the path that may be shown, or the host."""
        host, *path = self._shown.partition("://")[2].split("/")
        shown = [part for part in path if part and HIDDEN not in part]
        return shown[-1] if shown else host.replace(HIDDEN, "").strip("@:[]").replace(":", "-") or "address"

    @property
    def stem(self) -> str:
        """The name without the suffix of a file.

        >>> Address("https://example.org/a.mp4").stem, Address("rtsp://10.0.0.5:554").stem
        ('a', '10.0.0.5-554')
        """
        stem, dot, suffix = self.name.rpartition(".")
        return stem if dot and stem and suffix.isalnum() and "/" in self._shown.partition("://")[2] else self.name

    @property
    def fault(self) -> str | None:
        """Why it is not a valid address; None where it is valid.

        >>> Address("rtsp://me:a/b@door/1").fault is None
        False
        """
        authority = re.split(r"[/?#]", self._url.partition("://")[2])[0]
        host = authority.rpartition("@")[2]
        if host and _HOST.fullmatch(host):
            return None
        return (
            "this address has no host that can be understood; write / ? # @ % and blanks in a user name or password "
            "as %2F %3F %23 %40 %25 %20"
        )

    def __str__(self) -> str:
        return self._shown

    def __repr__(self) -> str:
        return f"Address({self._shown!r})"

    def __format__(self, spec: str) -> str:
        return format(self._shown, spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Address) and other._url == self._url

    def __hash__(self) -> int:
        return hash((Address, self._url))

    def __reduce__(self) -> tuple[type[Address], tuple[str]]:
        return Address, (self._url,)


def address_in(text: str) -> Address | None:
    """A user's text as an address, None if it is none; blanks and quotes around it are ignored.

    >>> str(address_in(" RTSP://me:pw@door/1")), address_in("a.mp4")
    ('rtsp://door/1', None)
    """
    return Address(text) if _START.match(text.strip(_AROUND)) else None


def remember(text: str) -> None:
    """Register the addresses in a text, such as a command-line argument, so that `masked` hides their secrets."""
    for line in text.splitlines():
        if match := _START.search(line):
            Address(line[match.start() :])


def masked(text: str) -> str:
    """The same text without secrets of addresses: registered ones, and user names before a host.

    >>> masked("can't open tcp://me:pw@host: refused")
    "can't open tcp://***@host: refused"
    """
    small = text.lower()
    replacements = {secret: replacement for secret, replacement in tuple(_secrets.items()) if secret in small}
    if replacements:
        pattern = "|".join(re.escape(secret) for secret in sorted(replacements, key=len, reverse=True))
        text = re.sub(pattern, lambda match: replacements.get(match[0].lower(), HIDDEN), text, flags=re.IGNORECASE)
    return _UNKNOWN.sub(rf"\1{HIDDEN}@", text) if "@" in text else text


def _without_secrets(rest: str) -> str:
    """The text after the scheme, without what is or may be secret."""
    ends = [place for mark in "/?#\\" if (place := rest.find(mark)) >= 0]
    end, at = min(ends, default=len(rest)), rest.rfind("@")
    unsure = at > end  # a password with / ? # in it, or an @ in the path or query
    if unsure and re.search(r"[?#]", rest[:at]):
        return HIDDEN
    host, slash, path = re.split(r"[?#]", rest[at + 1 :])[0].partition("/")
    if not unsure and not _HOST.fullmatch(host):
        return HIDDEN
    parts = [_part(part) for part in ([host, *path.split("/")] if slash else [host])]
    return (f"{HIDDEN}@" if unsure else "") + "/".join(parts)


def _part(part: str) -> str:
    """A part of a path, or its mask where it holds values."""
    return HIDDEN if re.search(r"[=&;?#@\\\s\x00-\x1f]", unquote(unquote(part))) else part


def _remember(text: str, address: Address) -> None:
    """Register every form in which the secrets of an address may appear in a message."""
    rest = text.partition("://")[2]
    shown = {text: str(address), address.url: str(address)}
    before, _, query = rest.partition("?")
    before, _, fragment = before.partition("#")
    if query:
        shown[f"?{query}"] = ""
        shown[f"?{query.partition('#')[0]}"] = ""
    if fragment or "#" in query:
        shown["#" + (fragment or query.partition("#")[2])] = ""
    user, at, _ = rest.rpartition("@")
    if at and user:
        shown[f"{user}@"] = f"{HIDDEN}@"
        password = user.partition(":")[2]
        shown[f"{password}@"] = f"{HIDDEN}@"
    for secret, replacement in shown.items():
        for form in (
            secret,
            unquote(secret),
            repr(secret)[1:-1],
            repr(f"'\"{secret}")[4:-1],  # as in the repr of a longer text with both kinds of quotes
            json.dumps(secret)[1:-1],
            secret.replace("://", ":/"),
        ):
            if len(form) > 2 and form != replacement:
                _secrets[form.lower()] = replacement

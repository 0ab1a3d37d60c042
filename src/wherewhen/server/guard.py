"""What a request must have before any route gets it: a host of ours, no foreign origin, the token, a small body."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any, NamedTuple
from urllib.parse import parse_qs, quote, unquote

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

LARGEST = 64 * 1024  # bytes of a body
LARGER = {"/api/v1/verdicts": 512 * 2**10, "/api/v1/verdicts/undo": 512 * 2**10, "/api/hub/messages": 4 * 2**20}
"""Bytes of the bodies of some paths."""
PATIENCE = 10.0  # seconds for a body
PAGES = ("/", "/review", "/api")  # that are opened with ?token=
WRONG = 50  # wrong tokens of a client in a minute, after which no token of it is looked at
COOKIE = "wherewhen"
YEAR = 365 * 86400

HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'self'; img-src 'self' data:; media-src 'self' blob:; frame-ancestors 'none'; "
        b"base-uri 'none'; form-action 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
"""Of every answer: pages load nothing from elsewhere, and no other page shows or reads them."""


class Refusal(NamedTuple):
    """Why a request is not answered, and the status of HTTP."""

    status: int
    reason: str


class Guard:
    """Refuses a request, or hands it on to ``app``.

    The name in ``Host`` must be a number of IP, ``localhost``, this machine's name or one of ``hosts``: no foreign name
    can be pointed at this server. An ``Origin`` must be the same. With a ``token``, each request needs it as
    ``Authorization: Bearer``, as ``?token=`` or in the cookie that the page sets when it is opened with ``?token=``.
    ``users``: names and their tokens, each of which does; routes find the name as ``request.scope["user_name"]``.
    """

    def __init__(
        self, app: App, token: str = "", hosts: tuple[str, ...] = (), users: Mapping[str, str] | None = None
    ) -> None:
        self._app = app
        self._tokens = {**({"": token} if token else {}), **(users or {})}
        self._hosts = {"localhost", socket.gethostname().lower(), *(host.lower() for host in hosts)}
        self._wrong: deque[tuple[float, str]] = deque(maxlen=10_000)  # when and from where wrong tokens came

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer a request, as ASGI has it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"), max_num_fields=50)
        client, token = str((scope.get("client") or ("",))[0]), query.get("token", [""])[0]
        most, path = LARGER.get(scope["path"], LARGEST), scope["path"]
        if (refusal := self.refusal(scope["method"], headers, token, most, client)) is not None:
            body = json.dumps({"detail": refusal.reason}).encode()
            await _answer(send, refusal.status, [(b"content-type", b"application/json")], body)
        elif self._tokens and "token" in query and path in PAGES:
            name = self._user([token, *_tokens(headers)]) or ""
            cookie = f"{COOKIE}={quote(self._tokens[name], safe='')}; Max-Age={YEAR}; HttpOnly; SameSite=Strict; Path=/"
            await _answer(send, 303, [(b"location", path.encode()), (b"set-cookie", cookie.encode())], b"")
        else:
            scope = {**scope, "user_name": self._user([token, *_tokens(headers)]) or ""}
            await self._app(scope, _patient(scope["method"], receive), _with_headers(send))

    def refusal(
        self, method: str, headers: dict[str, str], token: str, most: int = LARGEST, client: str = ""
    ) -> Refusal | None:
        """Why a request is not answered; None where it is.

        Args:
            method: of HTTP.
            headers: by name in small letters.
            token: that of the query.
            most: bytes of the body.
            client: address from which it comes.
        """
        host = headers.get("host", "")
        if not self._is_here(host):
            return Refusal(421, "this host name is not served here; add it to server.hosts")
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2].lower() != host.lower():
            return Refusal(403, "requests of other pages are refused")
        if self._tokens and (refusal := self._unknown([token, *_tokens(headers)], client)) is not None:
            return refusal
        length = headers.get("content-length", "0")
        if "transfer-encoding" in headers or not length.isdecimal():
            return Refusal(411, "a body needs its length")
        if int(length) > most:
            return Refusal(413, f"a body has at most {most} bytes")
        return None

    def _unknown(self, tokens: list[str], client: str) -> Refusal | None:
        """Why the tokens of a request are not enough; None where one is right."""
        now = time.monotonic()
        while self._wrong and now - self._wrong[0][0] > 60:
            self._wrong.popleft()
        if sum(address == client for _, address in self._wrong) >= WRONG:
            return Refusal(429, "too many wrong tokens; try again in a minute")
        if self._user(tokens) is not None:
            return None
        if any(tokens):
            self._wrong.append((now, client))
        return Refusal(401, "the token is missing or wrong: Authorization: Bearer TOKEN, or ?token=TOKEN")

    def _user(self, tokens: list[str]) -> str | None:
        """Whose token one of these is; None for nobody's."""
        names = [name for name, own_token in self._tokens.items() for token in tokens if _equal(own_token, token)]
        return names[0] if names else None

    def _is_here(self, host: str) -> bool:
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
        try:
            ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return name.lower() in self._hosts
        return True


def split(start: str, within: App, others: App) -> App:
    """An application for the paths that begin so, and another one for all others."""

    async def either(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        await (within if str(scope.get("path", "")).startswith(start) else others)(scope, receive, send)

    return either


def _patient(method: str, receive: Receive) -> Receive:
    """Receiving that gives up where a body does not come in time; after it, it waits until the client leaves."""
    deadline = time.monotonic() + PATIENCE
    is_complete = method != "POST"

    async def within() -> MutableMapping[str, Any]:
        nonlocal is_complete
        if is_complete:
            return await receive()
        try:
            message = await asyncio.wait_for(receive(), max(deadline - time.monotonic(), 0.001))
        except TimeoutError:
            from fastapi import HTTPException  # any other error would be answered as a body that can't be read

            raise HTTPException(408, "the body did not come in time") from None
        is_complete = not message.get("more_body", False)
        return message

    return within


def _tokens(headers: dict[str, str]) -> list[str]:
    """The tokens that headers bring."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    tokens = [value.strip()] if scheme.lower() == "bearer" else []
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return tokens
    return [*tokens, unquote(cookie.value)] if cookie is not None else tokens


def _equal(token: str, other: str) -> bool:
    return hmac.compare_digest(token.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


def _with_headers(send: Send) -> Send:
    """Sending that adds the headers of every answer that does not have them."""

    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", []))
            names = {name for name, _ in headers}
            message["headers"] = [*headers, *(pair for pair in HEADERS if pair[0] not in names)]
        await send(message)

    return sending


async def _answer(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    challenge = [(b"www-authenticate", b"Bearer")] if status == 401 else []
    headers = [*HEADERS, *challenge, *headers]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

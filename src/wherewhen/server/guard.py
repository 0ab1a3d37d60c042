"""What a request must have before any route gets it: a host of ours, no foreign origin, the token, a small body."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any, NamedTuple
from urllib.parse import parse_qs, quote, unquote

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

LARGEST = 64 * 1024  # bytes of a body
PATIENCE = 10.0  # seconds for a part of a body
COOKIE = "wherewhen"
YEAR = 365 * 86400

HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
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
    """

    def __init__(self, app: App, token: str = "", hosts: tuple[str, ...] = ()) -> None:
        self._app, self._token = app, token
        self._hosts = {"localhost", socket.gethostname().lower(), *(host.lower() for host in hosts)}

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer a request, as ASGI has it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"), max_num_fields=50)
        if (refusal := self.refusal(scope["method"], headers, query.get("token", [""])[0])) is not None:
            await _answer(send, refusal.status, [], refusal.reason.encode())
        elif self._token and "token" in query and scope["path"] == "/":
            cookie = f"{COOKIE}={quote(self._token, safe='')}; Max-Age={YEAR}; HttpOnly; SameSite=Strict; Path=/"
            await _answer(send, 303, [(b"location", b"/"), (b"set-cookie", cookie.encode())], b"")
        else:
            await self._app(scope, _patient(scope["method"], receive), _with_headers(send))

    def refusal(self, method: str, headers: dict[str, str], token: str) -> Refusal | None:
        """Why a request is not answered; None where it is. ``token``: that of the query."""
        host = headers.get("host", "")
        if not self._is_here(host):
            return Refusal(421, "this host name is not served here; add it to server.hosts")
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2].lower() != host.lower():
            return Refusal(403, "requests of other pages are refused")
        if self._token and not any(_equal(self._token, other) for other in (token, *_tokens(headers))):
            return Refusal(401, "the token is missing or wrong: Authorization: Bearer TOKEN, or ?token=TOKEN")
        length = headers.get("content-length", "0")
        if "transfer-encoding" in headers or not length.isdecimal():
            return Refusal(411, "a body needs its length")
        if int(length) > LARGEST:
            return Refusal(413, f"a body has at most {LARGEST} bytes")
        return None

    def _is_here(self, host: str) -> bool:
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
        try:
            ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return name.lower() in self._hosts
        return True


def _patient(method: str, receive: Receive) -> Receive:
    """Receiving that gives up where a body does not come; other methods wait until the client leaves."""

    async def within() -> MutableMapping[str, Any]:
        return await asyncio.wait_for(receive(), PATIENCE)

    return within if method == "POST" else receive


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
    """Sending that adds the headers of every answer."""

    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *HEADERS]
        await send(message)

    return sending


async def _answer(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    challenge = [(b"www-authenticate", b"Bearer")] if status == 401 else []
    headers = [(b"content-type", b"text/plain; charset=utf-8"), *HEADERS, *challenge, *headers]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

"""A web server that answers as it is told, and the message of an alert."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any, NamedTuple

import pytest

from wherewhen.core.contracts.sinks import Kind, Message
from wherewhen.live.alerts import Alert

START = 1_790_000_000.25


class Request(NamedTuple):
    """What came: ``GET /hook?key=1``, headers and body."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class WebServer:
    """Answers each request with the next of these codes, headers and bodies, 204 without one, and keeps what came."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.requests: list[Request] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                owner.requests.append(Request(f"{self.command} {self.path}", dict(self.headers), body))
                code, headers, text = owner.answers.pop(0) if owner.answers else (204, {}, b"")
                self.send_response(code)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_PUT = answer  # noqa: N815 (names of the base class)

            def log_message(self, *_: Any) -> None:
                pass

        self.http = HTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}"

    def answer(self, code: int, value: Any = None, **headers: str) -> None:
        """Add an answer, with a value as JSON."""
        self.answers.append((code, headers, b"" if value is None else json.dumps(value).encode()))


@pytest.fixture
def server() -> Iterator[WebServer]:
    one = WebServer()
    thread = Thread(target=one.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield one
    one.http.shutdown()
    thread.join()
    one.http.server_close()


@pytest.fixture
def alert() -> Any:
    """A function that gives the message of an alert, with any kind."""

    def message(kind: Kind = "new", start: float = START) -> Message:
        one = Alert(f"{start:.6f}-abc", "yard", start, start + 3, 0.8, 0.9, (0.1, 0.2, 0.5, 0.6), "alert", 0.5,
                    entered=("gate",), end=start + 4 if kind == "end" else None)  # fmt: skip
        return Message(one.id, kind, "yard", one.plain((640, 480)), snapshot=b"jpeg", at=start + 3)

    return message

"""Requests that a review refuses or survives: of other pages and names, without a token, malformed, slow, hostile."""

from __future__ import annotations

import http.client
import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import pytest
from reviewed import Client, add_item, add_video, served, write_video

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

from wherewhen.core.database import Tables
from wherewhen.review.opened import Review
from wherewhen.server.guard import LARGER, LARGEST, WRONG, Guard
from wherewhen.server.review_access import read_users

TOKEN = "KQ-0123456789/+abc"
OTHER = "0123456789/+abc-KQ"
HOSTILE = (
    "<script>alert('x')</script>", "'; DROP TABLE item; --", '" OR 1=1 --', "../../secret.mp4", "=HYPERLINK(\"x\")",
    "\u202e\u0000\x1b[2J", "{{ 7 * 7 }}", "%00%ff", "🎥 ‮",
)  # fmt: skip
SECRET = b"the content of a file beside the results"


@pytest.fixture(scope="module")
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture(scope="module")
def review(tmp_path_factory: pytest.TempPathFactory) -> Review:
    """An event of a video, rows that lead out of the folder, and a camera for each hostile text."""
    folder = tmp_path_factory.mktemp("out")
    write_video(folder / "walk.mp4", 4.0)
    (folder.parent / "secret.mp4").write_bytes(SECRET)
    with Tables(folder / "review.db") as tables:
        add_video(tables, "walk", "walk.mp4", 4.0)
        add_video(tables, "secret", "../secret.mp4", 4.0)
        add_item(tables, "a", video="walk")
        add_item(tables, "b", video="walk")
        add_item(tables, "secret", video="secret")
        for number, path in enumerate(
            ("../secret.mp4", str(folder.parent / "secret.mp4"), "walk.mp4/../../secret.mp4")
        ):
            add_item(tables, f"out{number}", clock="wall", clip=path, thumb=path)
        for number, text in enumerate(HOSTILE):
            add_item(tables, f"camera{number}", camera=text, video="walk")
    return Review(folder / "review.db")


@pytest.fixture(scope="module")
def client(review: Review, stack: ExitStack) -> Client:
    return stack.enter_context(served(review))


@pytest.fixture(scope="module")
def team(review: Review, stack: ExitStack) -> Client:
    """The same for two people with a token each, of a file of users."""
    (review.folder / "users").write_text(f"eve {TOKEN}\nbob {OTHER}\n")
    return stack.enter_context(served(review, users=read_users(review.folder / "users")))


def routes(client: Client, **headers: str) -> list[tuple[str, str]]:
    """Method and path of each route that is described, and of the pages."""
    document = client("/openapi.json", **headers).json
    named = [
        (method.upper(), re.sub(r"{[^}]*}", "a", path))
        for path, methods in document["paths"].items()
        for method in methods
    ]
    pages = ("/", "/review", "/api", "/api.css", "/openapi.json", "/review/assets/review.js")
    return [*named, *(("GET", path) for path in pages)]


def test_no_route_answers_a_foreign_name_or_page_or_without_a_token(client: Client, team: Client) -> None:
    listed = routes(client)
    assert len(listed) > 20 and listed == routes(team, Authorization=f"Bearer {TOKEN}")
    for method, path in listed:
        assert client(path, method, Host="attacker.example").status == 421, path
        for origin in ("http://attacker.example", "null", f"http://127.0.0.1:{client.port + 1}"):
            assert client(path, method, Origin=origin).status == 403, path
        assert team(path, method).status == 401, path
        assert team(path, method, Cookie="wherewhen=").status == 401, path
    for path in ("/api/v1/review", f"/api/v1/review?token={TOKEN[:-1]}", "/?token=x"):
        for headers in ({"Authorization": f"Bearer {TOKEN[:-1]}"}, {"Cookie": "wherewhen=x; a=\x7f"}):
            answer = team(path, **headers)
            assert answer.status == 401 and answer.headers["www-authenticate"] == "Bearer"
            assert TOKEN[:-1].encode() not in answer.body and "eve" not in answer.body.decode()


@pytest.mark.parametrize(
    "id",
    ["..", "%2e%2e", "..%2f..%2fsecret", "%2e%2e%2f%2e%2e%2fsecret.mp4", "..%5csecret.mp4", "%252e%252e%252fsecret",
     "a%00", "%ff", "%2fetc%2fpasswd", "a/../../secret", "file:%2f%2f%2fetc%2fpasswd", "a;b", "x" * 5000],
)  # fmt: skip
def test_no_id_leads_to_a_file(id: str, client: Client) -> None:
    for name in ("clip.mp4", "thumb.webp", "heat.webp", "curve", "neighbours"):
        answer = client(f"/api/v1/items/{id}/{name}")
        assert answer.status == 404 and SECRET not in answer.body and b"root:" not in answer.body
    assert client(f"/api/v1/items/{id}").status == 404
    assert client(f"/review/assets/{id}").status == 404


def test_no_row_of_the_database_leads_out_of_the_store(client: Client) -> None:
    for id in ("out0", "out1", "out2", "secret"):
        for name in ("clip.mp4", "thumb.webp"):
            answer = client(f"/api/v1/items/{id}/{name}")
            assert answer.status == 404 and SECRET not in answer.body, id


def test_people_of_a_file_have_their_own_verdicts(team: Client, review: Review) -> None:
    eve, bob = {"Authorization": f"Bearer {TOKEN}"}, {"Cookie": f"wherewhen={quote(OTHER, safe='')}"}
    assert (team("/api/v1/info", **eve).json["user"], team("/api/v1/info", **bob).json["user"]) == ("eve", "bob")
    for name, headers in (("eve", eve), ("bob", bob)):
        verdict = {"key": f"of {name}", "item": "b", "verdict": "true", "user": "mallory"}
        answer = team("/api/v1/verdicts", "POST", {"verdicts": [verdict]}, **headers)
        assert answer.status == 422 or answer.json["verdicts"][0]["user"] == name, "no one can give another name"
        del verdict["user"]
        assert team("/api/v1/verdicts", "POST", {"verdicts": [verdict]}, **headers).json["verdicts"][0]["user"] == name
    for name, headers in (("eve", eve), ("bob", bob)):
        assert {one["user"] for one in team("/api/v1/verdicts", **headers).json["verdicts"]} == {name}
    for headers in (eve, bob):
        for number in [one["id"] for one in team("/api/v1/verdicts", **headers).json["verdicts"]]:
            assert team(f"/api/v1/verdicts/{number}", "DELETE", **headers).status == 200


def test_bodies_are_limited(client: Client) -> None:
    most = LARGER["/api/v1/verdicts"]
    wide = json.dumps(
        {"verdicts": [{"key": "k", "item": "none", "verdict": "true", "note": "n" * 2000}] * 200}
    ).encode()
    assert LARGEST < len(wide) < most
    assert client("/api/v1/verdicts", "POST", wide).status == 409, "read, and refused for its item"
    assert client("/api/v1/verdicts", "POST", b" " * (most + 1)).status == 413
    many = [{"key": "k", "item": "a", "verdict": "true"}] * 1001
    assert client("/api/v1/verdicts", "POST", {"verdicts": many}).status == 422
    for path in ("/api/v1/missed", "/api/v1/snooze", "/api/v1/retrain", "/api/v1/verdicts/undo"):
        assert client(path, "POST", b" " * (LARGER.get(path, LARGEST) + 1)).status == 413, path
    deep = b'{"verdicts": ' + b"[" * 50_000 + b"]" * 50_000 + b"}"
    for body in (b"", b"{", b"[]", b"\xff\xfe", b'{"verdicts": {}}', b'{"verdicts": [1e999]}', deep):
        assert client("/api/v1/verdicts", "POST", body).status in (400, 422), body[:20]
    assert client("/api/v1/stats").json["judged"] == 0


def exchange(port: int, data: bytes, seconds: float = 5.0) -> bytes:
    """What the server answers to some bytes until it closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as wire:
        wire.sendall(data)
        answer = b""
        while part := wire.recv(65536):
            answer += part
    return answer


def test_a_body_needs_its_length(client: Client) -> None:
    head = b"POST /api/v1/verdicts HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    chunked = exchange(client.port, head + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
    assert chunked.split()[1] == b"411"
    for length in (b"-1", b"1e3", b"0x10", b"9" * 30, b"2, 3"):
        status = exchange(client.port, head + b"Content-Length: " + length + b"\r\n\r\n{}").split()[1]
        assert status in (b"400", b"411", b"413"), length


def test_slow_clients_are_given_up_and_others_are_served(review: Review, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wherewhen.server.guard.PATIENCE", 0.2)
    monkeypatch.setattr("wherewhen.server.request_timeout.HEAD", 0.2)
    head = b"POST /api/v1/verdicts HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    body = head + b"Content-Length: 9\r\n\r\n{"
    with served(review) as client, ExitStack() as opened:
        wires = []
        for data in (b"", b"G", b"GET /api/v1/review HTTP/1.1\r\nHost: loc", body) * 5:
            wire = opened.enter_context(socket.create_connection(("127.0.0.1", client.port), timeout=10))
            wire.sendall(data)
            wires.append(wire)
        assert client("/api/v1/stats").status == 200, "while they hold their connections"
        for number, wire in enumerate(wires):
            answer = wire.recv(4096)
            assert (answer == b"") if number % 4 < 3 else answer.split()[1] in (b"400", b"408"), "closed, or an answer"
        assert client("/api/v1/stats").status == 200
        connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=10)
        for _ in range(2):  # a connection that is used again has the time anew
            connection.request("GET", "/api/v1/stats")
            answer = connection.getresponse()
            assert answer.status == 200 and answer.read()
        connection.sock.sendall(b"GET / HT")
        assert connection.sock.recv(4096) == b""
        connection.close()


def test_an_address_with_many_wrong_tokens_waits(review: Review, monkeypatch: pytest.MonkeyPatch) -> None:
    right = {"Authorization": f"Bearer {TOKEN}"}
    with served(review, token=TOKEN) as client:
        wrong = [client("/api/v1/stats", Authorization="Bearer wrong").status for _ in range(WRONG + 1)]
        assert wrong == [401] * WRONG + [429]
        assert client("/api/v1/stats", **right).status == 429, "no more tokens are compared"
        assert client("/api/v1/stats", Host="attacker.example").status == 421
    guard, now = Guard(lambda *_: pytest.fail("not reached"), TOKEN), time.monotonic()
    headers = {"host": "localhost"}
    for _ in range(WRONG):
        guard.refusal("GET", headers, "wrong", client="10.0.0.1")
    refusal = guard.refusal("GET", headers, TOKEN, client="10.0.0.1")
    assert refusal is not None and refusal.status == 429
    assert guard.refusal("GET", headers, TOKEN, client="10.0.0.2") is None
    monkeypatch.setattr("wherewhen.server.guard.time.monotonic", lambda: now + 120)
    assert guard.refusal("GET", headers, TOKEN, client="10.0.0.1") is None


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_are_stored_and_answered_as_they_are(text: str, review: Review, client: Client, tmp_path: Path) -> None:
    with Tables(review.file) as tables:
        ((before,),) = tables.rows("SELECT COUNT(*) FROM item")
    verdict = {"key": text[:60], "item": "a", "verdict": "true", "category": text, "note": text * 3}
    answer = client.judge(verdict)
    assert answer.status == 200 and answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    (stored,) = answer.json["verdicts"]
    assert (stored["category"], stored["note"], stored["key"]) == (text, text * 3, text[:60])
    for name in ("camera", "source", "severity"):
        listed = client(f"/api/v1/review?{name}={quote(text, safe='')}").json
        assert {one["camera"] for one in listed["items"]} == ({text} if name == "camera" else set())
    assert client(f"/api/v1/review?sort={quote(text, safe='')}").status == 422
    assert client(f"/api/v1/review?cursor={quote(text, safe='')}").status == 422
    assert client(f"/api/v1/review?ids={quote(text, safe='')}").json["items"] == []
    assert client(f"/api/v1/verdicts/export?format={quote(text, safe='')}").status == 422
    for path in ("/api/v1/models/{}/promote", "/api/v1/models/{}/rollback"):
        assert client(path.format(quote(text, safe="")), "POST").status in (404, 409)
    assert client.judge({**verdict, "key": "k", "item": text}).status == 409
    assert text in client("/api/v1/info").json["classes"]
    assert client(f"/api/v1/verdicts/{stored['id']}", "DELETE").status == 200
    with Tables(review.file) as tables:
        assert tables.rows("SELECT COUNT(*) FROM item") == [(before,)]


RANGES = (
    "bytes=abc", "bytes=-", "bytes=5-2", "bytes=0-0,2-3", "bytes=99999999999999999999-", "items=0-5", "bytes= 0-5",
    "bytes=-5", "bytes=-0", "bytes=0-99999999999999999999", "bytes", "=", "bytes=--5", "bytes=1-2-3", "bytes=0x1-2",
    "bytes=" + "0-1," * 2000,
)  # fmt: skip


def test_malformed_ranges_are_answered(client: Client) -> None:
    whole = client("/api/v1/items/a/clip.mp4").body
    for text in RANGES:
        answer = client("/api/v1/items/a/clip.mp4", Range=text)
        assert answer.status in (200, 206, 400, 416), text[:40]
        spans = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", answer.headers.get("content-range", ""))
        if answer.status == 206 and spans is not None:
            start, end, size = map(int, spans.groups())
            assert size == len(whole) and answer.body == whole[start : end + 1], text[:40]
        elif answer.status == 200:
            assert answer.body == whole, text[:40]
        assert len(answer.body) <= 2 * len(whole) + 100_000
    assert client("/api/v1/items/a/clip.mp4", Range="bytes=1-3").body == whole[1:4]

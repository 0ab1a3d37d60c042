"""Prompts written by an endpoint, which is a server of the test's own."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from wherewhen import cli
from wherewhen.core import prompts
from wherewhen.core.errors import ConfigError, DataError
from wherewhen.text.prompt_writer import LARGEST, Endpoint, write

GOOD = {
    "fighting": ["two people  punch\neach other", "a brawl", "a brawl", "x" * 501],
    "fall": ["a person on the floor"],
}


@dataclass
class Server:
    """Answers every question with ``answer``, as an OpenAI-compatible endpoint does."""

    address: str = ""
    answer: str = field(default_factory=lambda: f"Sure!\n```json\n{json.dumps(GOOD)}\n```")
    raw: bytes | None = None
    code: int = 200
    heard: list[tuple[str, Any, str | None]] = field(default_factory=list)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    made = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            made.heard.append((self.path, body, self.headers.get("Authorization")))
            told = {"choices": [{"message": {"role": "assistant", "content": made.answer}}]}
            data = json.dumps(told).encode() if made.raw is None else made.raw
            self.send_response(made.code)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: object) -> None:
            pass

    for name in ("WHEREWHEN_API_KEY", "OPENAI_API_KEY", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "*")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        made.address = f"http://127.0.0.1:{running.server_port}/v1"
        yield made
        running.shutdown()
        thread.join()


def test_descriptions_come_clean(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a key of the test")
    made = write(Endpoint(server.address, "tiny"), ["fighting", "fall"], ["a road"], 3, "a yard")
    assert made.normal == ("a road",)
    assert made.classes == {"fighting": ("two people punch each other", "a brawl"), "fall": ("a person on the floor",)}
    ((path, body, key),) = server.heard
    assert (path, key, body["model"]) == ("/v1/chat/completions", "Bearer a key of the test", "tiny")
    asked = body["messages"][0]["content"]
    assert '["fighting", "fall"]' in asked and "a yard" in asked and "3 short" in asked


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("I can't help with that.", "has no JSON object"),
        ('{"fighting": ["a brawl"]', "has no JSON object"),
        ('{"fighting": ["a brawl"]}', "the answer lacks fall"),
        ('{"fighting": "a brawl", "fall": ["x"]}', "fighting: expected a list of descriptions"),
        ('{"fighting": [" "], "fall": ["x"]}', "fighting: the answer has no description of 1 to 500"),
        ("{" * 100_000 + "}", "has no JSON object"),
    ],
)
def test_what_is_wrong_with_an_answer_is_told(server: Server, answer: str, said: str) -> None:
    server.answer = answer
    with pytest.raises(DataError, match=said):
        write(Endpoint(server.address), ["fighting", "fall"], ["a road"])


@pytest.mark.parametrize(
    ("raw", "code", "said"),
    [
        (b"<html>", 200, "not an OpenAI-compatible answer"),
        (b'{"choices": []}', 200, "not an OpenAI-compatible answer"),
        (b'{"choices": [{"message": {"content": null}}]}', 200, "expected text, got NoneType"),
        (b"x" * (LARGEST + 1), 200, "the answer has more than"),
        (b"no such key", 401, "answered 401 .*no such key.*WHEREWHEN_API_KEY or OPENAI_API_KEY"),
        (b"busy", 500, "answered 500"),
    ],
)
def test_what_is_no_answer_is_told(server: Server, raw: bytes, code: int, said: str) -> None:
    server.raw, server.code = raw, code
    with pytest.raises(DataError, match=said):
        write(Endpoint(server.address), ["fighting"], ["a road"])


def test_where_nobody_answers() -> None:
    with pytest.raises(DataError, match="can't be reached"):
        write(Endpoint("http://127.0.0.1:9/v1"), ["fighting"], ["a road"])
    with pytest.raises(ConfigError, match="expected an address"):
        Endpoint("file:///etc/passwd")
    assert Endpoint("https://host/v1/chat/completions/").full == "https://host/v1/chat/completions"


def test_the_verb_writes_a_file_that_can_be_checked(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "own.yaml"
    words = ["prompts", "write", str(path), "--endpoint", server.address, "--classes", "fighting, fall"]
    assert cli.main(words) == 0
    assert f"wherewhen prompts check {path}" in capsys.readouterr().out
    made = prompts.read(path)
    assert made.names == ("fighting", "fall") and made.normal == prompts.read("default").normal
    assert cli.main(words) == 2 and "the name of a new file" in capsys.readouterr().err
    assert cli.main(["prompts", "write", str(tmp_path / "b.yaml")]) == 2
    assert "--endpoint http://HOST/v1" in capsys.readouterr().err
    assert len(server.heard) == 1

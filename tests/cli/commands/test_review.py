"""The verb ``review``: who may open the page, and what it shows of a folder."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from reviewed import Client, add_item, add_video, write_video

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

from wherewhen import cli
from wherewhen.api import review_sources
from wherewhen.core.database import Tables
from wherewhen.core.errors import ConfigError
from wherewhen.review import items
from wherewhen.server.review_access import Access, read_users

TOKEN = "0123456789/+abcdef"


def test_another_host_needs_a_token_or_users(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--token TOKEN or --users FILE"):
        Access.of("0.0.0.0", 0)
    with pytest.raises(ConfigError, match="at least 16 characters, got 5"):
        Access.of("127.0.0.1", 0, "short")
    assert Access.of("0.0.0.0", 80, TOKEN).address(80) == "http://0.0.0.0:80/?token=0123456789%2F%2Babcdef"
    assert len(Access.of("::1", 0).token) >= 30 and Access.of("::1", 0).address(7).startswith("http://[::1]:7/?token=")
    (tmp_path / "users").write_text(f"# the team\n\neve {TOKEN}\nbob {TOKEN[::-1]}\n")
    access = Access.of("0.0.0.0", 0, users=str(tmp_path / "users"))
    assert access.users == {"eve": TOKEN, "bob": TOKEN[::-1]} and access.address(1) == "http://0.0.0.0:1/"


@pytest.mark.parametrize("text", ["", "eve", "eve short", f"eve {TOKEN} x", f"eve {TOKEN}\nbob {TOKEN}", "\x00"])
def test_a_file_of_users_is_checked(text: str, tmp_path: Path) -> None:
    (tmp_path / "users").write_text(text)
    with pytest.raises(ConfigError, match="users"):
        read_users(tmp_path / "users")


def test_what_can_be_reviewed_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["review", str(tmp_path), "--no-open"]) == 2
    assert "detect or watch wrote, or videos and --model" in capsys.readouterr().err


def test_videos_are_detected_and_reviewed(yard: Path, clips: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["review", str(clips), "--model", str(yard), "--output", str(out), "--device", "cpu", "--no-open", "--json"]
    command = [sys.executable, "-m", "wherewhen", *words, "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None and run.stderr is not None
        text = "".join(iter(run.stdout.readline, "}\n"))
        assert '"address"' in text, run.stderr.read()
        printed = json.loads(f"{text}}}")
        port, _, token = printed["address"].removeprefix("http://127.0.0.1:").partition("/?token=")
        client, known = Client(int(port)), {"Authorization": f"Bearer {token}"}
        queue = client("/api/v1/review", **known).json
        alerts = [item for item in queue["items"] if item["source"] == "alert"]
        assert {item["video"] for item in alerts} == {"anomalous/a0", "anomalous/a1"}
        assert {item["camera"] for item in alerts} == {"anomalous"} and printed["database"] == str(out / "review.db")
        for item in alerts:
            assert item["has_clip"] and item["has_heat"] and item["score"] >= item["threshold"]
            assert item["start"] < 20 / 12.5 and item["end"] > 8 / 12.5, "a square crosses the picture then"
            for name, kind in (("clip.mp4", "video/mp4"), ("thumb.webp", "image/webp"), ("heat.webp", "image/webp")):
                answer = client(f"/api/v1/items/{item['id']}/{name}", **known)
                assert answer.status == 200 and answer.headers["content-type"] == kind
        verdicts = {"verdicts": [{"key": "1", "item": alerts[0]["id"], "verdict": "true"}]}
        assert client("/api/v1/verdicts", "POST", verdicts, **known).status == 200
        run.send_signal(signal.SIGINT)
        assert run.wait(30) == 0, run.stderr.read()
    written = {path: path.stat().st_mtime_ns for path in (out / "results").rglob("*.jsonl")}
    review = review_sources.opened(review_sources.detected(str(clips), str(yard), str(out), "cpu", True), str(yard))
    assert written == {path: path.stat().st_mtime_ns for path in (out / "results").rglob("*.jsonl")}, "it is resumed"
    with review.reading() as connection:
        page = items.page(connection, review.folder, items.Query("all"))
    assert {one["id"] for one in page["items"]} == {one["id"] for one in queue["items"]}
    assert page["counts"]["judged"] == 1 and review.models() == [str(yard)]


def test_the_command_prints_an_address_and_ends_when_interrupted(tmp_path: Path) -> None:
    write_video(tmp_path / "walk.mp4")
    with Tables(tmp_path / "review.db") as tables:
        add_video(tables, "walk", "walk.mp4")
        add_item(tables, "a", video="walk")
    command = [sys.executable, "-m", "wherewhen", "review", str(tmp_path), "--no-open"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None and run.stderr is not None
        address = run.stdout.readline().strip()
        port, _, token = address.removeprefix("http://127.0.0.1:").partition("/?token=")
        client = Client(int(port))
        assert client("/api/v1/review").status == 401
        assert client("/").status == 401
        first = client(f"/?token={token}")
        assert first.status == 303 and first.headers["location"] == "/"
        cookie = first.headers["set-cookie"].partition(";")[0]
        assert b"<title>" in client("/", Cookie=cookie).body
        assert b"<title>" in client("/review", Cookie=cookie).body
        assert client("/review/assets/review.js", Cookie=cookie).headers["content-type"].startswith("text/javascript")
        assert client("/api/v1/review", Cookie=cookie).json["total"] == 1
        run.send_signal(signal.SIGINT)
        assert run.wait(20) == 0, run.stderr.read()

"""A secret of an address reaches the server and nothing else: no terminal, no log, no file, no name of one."""

from __future__ import annotations

import base64
import http.server
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wherewhen import cli
from wherewhen.api import detection, runs
from wherewhen.core.values import HeatMap, Prediction
from wherewhen.inference.model import Model
from wherewhen.runtime.parallel import Workers
from wherewhen.video import opening
from wherewhen.video.reader import Reading

USER, SECRET, TOKEN = "UQowner", "PQsecret", "KQtoken"
FAST: dict[str, Any] = {"training": {"steps": 20}, "seed": 3}


@pytest.fixture(scope="module")
def trained(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    runs.train(clips, folder, settings=FAST, device="cpu", quiet=True)
    return folder


@pytest.fixture
def server(clips: Path) -> Iterator[str]:
    """Gives clips to who knows user name, password and token; the address without them."""
    right = "Basic " + base64.b64encode(f"{USER}:{SECRET}".encode()).decode()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(clips / "anomalous"))

        def do_GET(self) -> None:
            if self.headers.get("Authorization") != right:
                self.send_response(401)
                self.send_header("WWW-Authenticate", "Basic realm=clips")
                self.end_headers()
            elif TOKEN not in self.path:
                self.send_error(403)
            else:
                super().do_GET()

        def log_message(self, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{running.server_port}"
        running.shutdown()


def leaks(folder: Path, *told: str, words: tuple[str, ...] = (USER, SECRET, TOKEN)) -> list[str]:
    """Where a secret stands: in what was told, in files of a folder or in their names."""
    found = [word for word in words for text in told if word in text]
    for path in folder.rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        found += [f"{path}: {word}" for word in words if word in str(path.relative_to(folder)) or word.encode() in data]
    return found


def test_an_address_is_detected_in_and_painted_and_its_secrets_stay(
    server: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "found"
    url = f" http://{USER}:{SECRET}@{server}/a0.mp4?token={TOKEN}"
    code = cli.main(["detect", url, "--model", str(trained), "--output", str(out), "--device", "cpu"])
    told = capsys.readouterr()
    assert code == 0, told
    assert {"a0.mp4", "a0.png", "events.json", "scores.csv"} <= {path.name for path in out.iterdir()}
    assert "a0.mp4" in (out / "events.json").read_text()
    wrong = f"http://{USER}:{SECRET}x@{server}/a1.mp4?token={TOKEN}"
    code = cli.main(["detect", wrong, "--model", str(trained), "--output", str(tmp_path / "none"), "--device", "cpu"])
    told_too = capsys.readouterr()
    assert code == 3 and "a1.mp4" in (tmp_path / "none" / "quarantine.json").read_text()
    assert not leaks(tmp_path, *told, *told_too)


def test_an_order_for_another_process_holds_the_address(server: str, trained: Path, tmp_path: Path) -> None:
    url = f"http://{USER}:{SECRET}@{server}/a0.mp4?token={TOKEN}"
    model = Model.load(trained, device="cpu")
    found, aside = detection.detect(model, [url], tmp_path, render=False, where=Workers(), quiet=True)
    assert [one.id for one in found] == ["a0"] and not aside.reasons
    assert not leaks(tmp_path, *map(repr, found))


@pytest.mark.parametrize(
    "words",
    [
        ["train"],
        ["evaluate", "--model", "run"],
        ["data", "check"],
        ["data", "truth", "clips"],
        ["proposals"],
        ["extract"],
        ["extract", "--dry-run"],
        ["bench"],
        ["bench", "clips", "--across"],
        ["convert", "--output", "x"],
        ["convert", "x", "--output"],
        ["search", "--count", "3"],
        ["features", "verify"],
        ["detect", "x.mp4", "--output"],
        ["detect", "--unknown"],
        ["detect", "a.mp4", "b.mp4"],
        ["train", "--training.steps"],
        ["toy", "--normal-clips"],
        ["list"],
        ["data", "probe", "--json"],
        ["weights", "get"],
        [],
    ],
)
@pytest.mark.parametrize("secret", ["PQsecret", "a/PQsecret", "a@PQsecret#", "a?PQsecret%", "a PQsecret"])
def test_no_verb_echoes_an_address(
    words: list[str], secret: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        code = cli.main([*words, f"Rtsp://{USER}:{secret}@door.invalid/1?key={TOKEN}"])
    except SystemExit as stop:
        code = int(stop.code or 0)
    told = capsys.readouterr()
    assert code in (1, 2) and not leaks(tmp_path, *told), told
    assert "Traceback" not in told.err and told.err.count("\n") < 5


def test_a_verb_that_wants_a_folder_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["train"], ["evaluate"], ["data", "check"], ["proposals"], ["extract"], ["bench"]):
        assert cli.main([*words, "rtsp://me:pw@door/1"]) == 2
        assert "expected a file or folder of this machine, got the address rtsp://door/1" in capsys.readouterr().err


MARKS = "/@#?%:;&=+!\\ $*|'^é"
SECRETS = st.lists(st.sampled_from(MARKS), max_size=3).map(lambda marks: "PQ" + "PQ".join([*marks, "secret"]))
SCHEMES = (
    *("ftp", "ftps", "sftp", "rtspt", "rtsps", "rtmp", "rtmpt", "mms"),
    *("mmsh", "srt", "udp", "http", "https", "xyz"),
)


class Watcher:
    """Stands for a model: it reads all pictures of a source, and finds nothing."""

    alarm = 0.5

    def stream(self, one: Reading) -> Iterator[Prediction]:
        times = [frame.start for frame in one.frames()]
        heat = HeatMap(np.zeros((len(times), 1, 1), np.float32), np.array([*times, times[-1] + 1]))
        yield Prediction(heat, heat)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    scheme=st.sampled_from(SCHEMES),
    secret=SECRETS,
    path=st.sampled_from(["", "/1", "/live/x.ts", "/a%20b.mp4"]),
    query=st.sampled_from(["", f"?key={TOKEN}", f"#{TOKEN}", f"?a=b@c&key=/{TOKEN}"]),
    opens=st.booleans(),
)
def test_detection_keeps_every_secret(
    scheme: str, secret: str, path: str, query: str, opens: bool, clips: Path, tmp_path_factory: Any,
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Whether it opens, or fails with a message of FFmpeg that holds the whole address."""
    url = f"{scheme}://{USER}:{secret}@door{path}{query}"
    folder, asked, own = tmp_path_factory.mktemp("out"), [], av.open

    def fake(name: str, *rest: Any, **more: Any) -> Any:
        asked.append(name)
        if opens:
            return own(str(clips / "anomalous" / "a0.mp4"))
        raise av.error.HTTPServerError(5, f"Server returned 5XX for {name}", name)

    caplog.clear()
    capsys.readouterr()
    with pytest.MonkeyPatch.context() as patch, caplog.at_level(logging.DEBUG):
        patch.setattr(opening.av, "open", fake)
        found, aside = detection.detect(Watcher(), [url], folder, render=False, quiet=True)  # type: ignore[arg-type]
    assert bool(found) != bool(aside.reasons)
    assert set(asked) <= {url.replace("rtspt", "rtsp", 1)} and (not opens or found or not asked)
    told = (caplog.text, *capsys.readouterr(), *map(repr, found), str(aside.reasons))
    assert not leaks(folder, *told, words=(USER, TOKEN, TOKEN.lower(), "PQ", "pq"))

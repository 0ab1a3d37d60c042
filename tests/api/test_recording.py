"""Results as they come: of streams that end in every way, and of processes that are stopped, killed or out of room."""

from __future__ import annotations

import http.server
import json
import multiprocessing
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from wherewhen.api import detection, results, runs
from wherewhen.core.values import Prediction
from wherewhen.inference.model import Model
from wherewhen.inference.result import Result
from wherewhen.video.batch import Quarantine


@pytest.fixture(scope="module")
def run(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    runs.train(clips, folder, settings={"training": {"steps": 20}, "seed": 3}, device="cpu", quiet=True)
    return folder


@pytest.fixture(scope="module")
def model(run: Path) -> Model:
    return Model.load(run, device="cpu")


# --- streams


def film(target: str, frames: int, paced: bool = False) -> None:
    """An MPEG transport stream in which a bright square rushes by every three seconds."""
    with av.open(target, "w", format="mpegts") as file:
        stream: Any = file.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.codec_context.gop_size = 64, 48, "yuv420p", 5
        for number in range(frames):
            picture = np.full((48, 64, 3), 60, np.uint8)
            left = 4 * (number % 75)
            picture[16:28, left : left + 12] = 220
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
            time.sleep(0.004 if paced else 0)
        file.mux(stream.encode(None))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("ts") / "a.ts"
    film(str(path), 300)
    return path.read_bytes()


@contextmanager
def served(send: Callable[[Any], None], length: int | None) -> Iterator[tuple[str, list[str]]]:
    """A server on this machine that can't be sought in: its address, and what was asked of it."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "video/mp2t")
            self.send_header(*(("Connection", "close") if length is None else ("Content-Length", str(length))))
            self.end_headers()
            with suppress(OSError):  # nobody listens any more
                send(self.wfile.write)

        def log_message(self, *_: Any) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://me:secret@127.0.0.1:{server.server_port}/door/1.ts?key=2", asked
        finally:
            server.shutdown()


def watched(model: Model, source: str, folder: Path) -> tuple[Result, Quarantine, dict[str, Any]]:
    (found,), quarantine = detection.detect(model, source, folder, quiet=True)
    (video,) = json.loads((folder / "events.json").read_text())["videos"].values()
    return found, quarantine, video


def test_a_stream_that_ends_is_read_by_one_connection_and_is_no_failure(
    model: Model, data: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with served(lambda write: write(data), None) as (address, asked):
        found, quarantine, video = watched(model, address, tmp_path)
    assert len(asked) == 1 and not quarantine.reasons and found.damage is None
    assert len(found.scores) == 300 and len(found.events) > 0 and len(video["events"]) == len(found.events)
    assert video["file"] == address.replace("me:secret@", "").partition("?")[0] and "folder" not in video
    assert found.id == "1"
    assert (tmp_path / f"{found.id}.png").exists() and not (tmp_path / f"{found.id}.mp4").exists()
    assert "no overlay: a camera or stream is read once" in caplog.text
    text = "".join(p.read_text(errors="replace") for p in tmp_path.rglob("*") if p.is_file())
    assert "secret" not in text and "key=2" not in text


def test_a_stream_that_breaks_off_keeps_what_was_found_and_says_how_it_ended(
    model: Model, data: bytes, tmp_path: Path
) -> None:
    with served(lambda write: write(data[: len(data) * 2 // 3]), len(data)) as (address, asked):
        found, quarantine, video = watched(model, address, tmp_path)
    assert len(asked) <= 2 and not quarantine.reasons  # FFmpeg itself asks again where a connection breaks
    assert 180 < len(found.scores) < 220 and found.events
    assert found.damage and video["damage"] == found.damage


def test_results_of_a_stream_are_there_while_it_goes_on(
    model: Model, data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    stream = Model.stream

    def looking(self: Model, one: Any) -> Iterator[Prediction]:
        steps = 0
        for step in stream(self, one):
            yield step
            steps += step.frames is not None
            if steps == 30:
                (path,) = results.all_of(tmp_path)
                so_far = results.read(path)
                assert so_far and so_far.prediction.frames is not None and not so_far.complete
                assert so_far.damage == "it is still being watched"
                assert len(so_far.prediction.frames.values) == 30 and len(so_far.prediction.events) > 0
                seen.append(len(so_far.clock))
                one.stop("stopped here")

    monkeypatch.setattr(Model, "stream", looking)
    with served(lambda write: write(data), None) as (address, _), pytest.raises(KeyboardInterrupt):
        watched(model, address, tmp_path)
    (video,) = json.loads((tmp_path / "events.json").read_text())["videos"].values()
    assert len(seen) == 1 and seen[0] <= video["frames"] < 300
    assert video["damage"] == "stopped here" and video["events"]


def test_a_stream_that_stalls_ends_with_what_was_found(model: Model, tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    over = threading.Event()

    def send() -> None:
        while not over.wait(0.05):
            film(f"udp://127.0.0.1:{port}?pkt_size=1316", 100, paced=True)
            over.set()

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    found, quarantine, video = watched(model, f"udp://127.0.0.1:{port}?timeout=1500000", tmp_path)
    over.set()
    sender.join(10)
    assert not quarantine.reasons and len(found.scores) > 20 and len(video["events"]) == len(found.events)


def test_each_recording_of_a_camera_is_kept(model: Model, data: bytes, tmp_path: Path) -> None:
    with served(lambda write: write(data[: len(data) // 3]), None) as (address, asked):
        names = [detection.detect(model, address, tmp_path, resume=True, quiet=True)[0][0].id for _ in range(2)]
    assert len(asked) == 2 and names[1] == f"{names[0]}-2"
    assert set(json.loads((tmp_path / "events.json").read_text())["videos"]) == set(names)


# --- kills


CHILD = """
import os, resource, signal, sys
from wherewhen import cli
from wherewhen.inference.model import Model

stream = Model.stream

def slow(self, one):
    for number, step in enumerate(stream(self, one)):
        yield step
        if number == 8 and "a1" in str(one.source):
            if what == "wait":
                line.send("there")
                line.recv()
            else:
                resource.setrlimit(resource.RLIMIT_FSIZE, (int(what), -1))

Model.stream = slow
os.dup2(out.fileno(), 1)
os.dup2(out.fileno(), 2)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background hands on that it is ignored
sys.exit(cli.main(words))
"""
LOADED = (
    "av cv2 matplotlib.backends.backend_agg pyarrow.parquet scipy.ndimage torch "
    "wherewhen.api.detection wherewhen.inference.model"
)


class Child:
    """A process of its own that runs a command line: a fork of one that has loaded the libraries and did nothing."""

    def __init__(self, what: str, *words: object) -> None:
        server = multiprocessing.get_context("forkserver")
        server.set_forkserver_preload(LOADED.split())
        (self.line, far), (self.out, out) = server.Pipe(), server.Pipe(duplex=False)
        given = {"what": what, "words": [str(word) for word in words], "line": far, "out": out}
        self.process = server.Process(target=exec, args=(CHILD, given))
        self.process.start()
        for end in (far, out):
            end.close()

    def ended(self) -> tuple[int | None, str]:
        """Its exit code and all that it said."""
        with os.fdopen(os.dup(self.out.fileno()), "rb") as file:
            told = file.read().decode()
        self.process.join(120)
        return self.process.exitcode, told


def contents(folder: Path) -> dict[str, bytes]:
    files = [p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".") and p.name != "log.txt"]
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(files)}


@pytest.fixture(scope="module")
def world(model: Model, clips: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """A folder beside which results go, and what is there after a run that was let alone."""
    home = tmp_path_factory.mktemp("world")
    (home / "clips").mkdir()
    shutil.copyfile(clips / "anomalous" / "a0.mp4", home / "clips" / "a0.mp4")
    film(str(home / "clips" / "a1.ts"), 90)
    detection.detect(model, str(home / "clips"), home / "whole", quiet=True)
    return home, contents(home / "whole")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_process_that_is_stopped_is_gone_on_with_to_the_same_end(
    number: signal.Signals, model: Model, run: Path, world: tuple[Path, dict[str, bytes]]
) -> None:
    home, whole = world
    out = home / number.name
    child = Child("wait", "detect", home / "clips", "--model", run, "--output", out, "--device", "cpu", "--quiet")
    assert child.line.poll(120) and child.line.recv() == "there"
    os.kill(child.process.pid, number)
    if number != signal.SIGKILL:
        child.line.send("go on")
    code, told = child.ended()
    left = contents(out)
    assert left["results/a0.jsonl"] == whole["results/a0.jsonl"] and left["a0.mp4"] == whole["a0.mp4"]
    if number == signal.SIGKILL:
        assert code == -signal.SIGKILL and "results/a1.jsonl.part" in left and "events.json" not in left
    else:
        assert code == 130 and f"--output {out} --resume" in told
        videos = json.loads(left["events.json"])["videos"]
        assert videos["a1"]["complete"] is False and videos["a1"]["damage"] == "stopped by the user"
        assert 0 < videos["a1"]["frames"] < 90 and "complete" not in videos["a0"]
    detection.detect(model, str(home / "clips"), out, resume=True, quiet=True)
    assert contents(out) == whole
    assert not list(out.rglob(".*~*")), "drafts of the dead are swept"


@pytest.mark.parametrize(("room", "kept"), [("20000", True), ("600", False)])
def test_a_full_disk_loses_nothing_that_was_written(
    room: str, kept: bool, model: Model, run: Path, world: tuple[Path, dict[str, bytes]]
) -> None:
    """No file may grow beyond some bytes, from the middle of the second video on."""
    home, whole = world
    out = home / f"full-{room}"
    words = ["detect", home / "clips", "--model", run, "--output", out, "--device", "cpu", "--quiet"]
    code, told = Child(room, *words).ended()
    left = contents(out)
    assert code == 1 and "Traceback" not in told
    assert left["results/a0.jsonl"] == whole["results/a0.jsonl"] and left["a0.mp4"] == whole["a0.mp4"]
    assert ("results/a1.jsonl" in left) == kept and "continue with --resume" in " ".join(told.split())
    detection.detect(model, str(home / "clips"), out, resume=True, quiet=True)
    assert contents(out) == whole

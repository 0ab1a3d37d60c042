"""Cameras at an RTSP server that stalls, dies, jumps, changes and refuses: states, causes, and alerts as offline."""

from __future__ import annotations

import json
import logging
import os
import runpy
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from wherewhen.core.values import Pixels
from wherewhen.inference.model import Model
from wherewhen.live.alerts import Alerts
from wherewhen.live.camera import CameraWatch
from wherewhen.live.database import Database
from wherewhen.live.settings import CameraConfig, WatchConfig
from wherewhen.video import reader

SHARED = Path(os.environ.get("WHEREWHEN_SHARED", Path(__file__).parents[2] / "../shared"))
control = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("rtsp_control.py"))))
Clip, Server, SECRET = control.Clip, control.Server, control.SECRET
MISSING = control.missing()
pytestmark = pytest.mark.skipif(MISSING is not None, reason=str(MISSING))
RATE = Fraction(25, 2)
TOLERANCE = 0.5  # seconds by which alerts of a stream may differ from those of its file, as docs/live.md says
SILENCE = 2.0


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.kill()


def drawn(scale: int = 1) -> Iterator[Pixels]:
    """A wall; a spot creeps, and jumps in the middle."""
    for index in range(125):
        picture = np.full((48, 64, 3), 90, np.uint8)
        x = ((11 if 40 <= index < 65 else 1) * index) % 56
        picture[8:24, x : x + 8] = (180, 120, 60)
        yield picture.repeat(scale, 0).repeat(scale, 1)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    return Clip(tmp_path_factory.mktemp("clip") / "gate.mp4", drawn(), RATE)


@pytest.fixture(scope="module")
def model(yard: Path) -> Model:
    return Model.load(yard, device="cpu")


class Watched:
    """A camera that is watched in a thread of its own."""

    def __init__(self, name: str, url: str, model: Model, threshold: float, folder: Path, **settings: Any) -> None:
        alerts = {"threshold": threshold, "duration": 0.4, "cooldown_seconds": 0.0, "gap_seconds": 0.6, "keep": 0.98}
        plain = {"url": url, "model": "any", "alerts": alerts, "silence_seconds": SILENCE, **settings}
        self.config: CameraConfig = WatchConfig({name: plain}).of_cameras[name]
        self.name, self.folder, self.stop = name, folder / name, Event()
        self.watch = CameraWatch(name, self.config, model, self.folder, ["kept"], ["kept"])
        self.thread = Thread(target=self.watch.run, args=(self.stop,))
        self.thread.start()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        database = Database(self.folder)
        try:
            return [tuple(row) for row in database.rows(query)]
        finally:
            database.close()

    def alerts(self) -> list[tuple[float, ...]]:
        """Start, end and highest score of each alert that ended."""
        return self.rows("SELECT t0, t1, score FROM item WHERE severity = 'alert' AND t1 IS NOT NULL ORDER BY t0")

    def told(self) -> list[str]:
        """The changes that were sent, updates left out, and the causes of being offline."""
        keys = self.rows("SELECT key, message_json FROM outbox ORDER BY id")
        changes = [(key.split(":")[1], json.loads(text)["after"]) for key, text in keys]
        return [
            after["cause"] or after["state"] if kind == "state" else kind for kind, after in changes if kind != "update"
        ]

    def until(self, holds: Callable[[], bool], seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, (self.name, self.told(), self.watch.status)
            time.sleep(0.05)

    def end(self) -> None:
        self.stop.set()
        self.thread.join(10)
        assert not self.thread.is_alive()


def offline(model: Model, path: Path, camera: CameraConfig) -> list[tuple[float, ...]]:
    """The alerts of a file in seconds from its beginning."""
    alerts, ended, last = Alerts("file", camera.alerts.threshold or 0.0, camera.alerts), [], 0.0
    for step in model.stream(path):
        if step.frames is not None:
            for (start, last), score in zip(pairwise(step.frames.edges), step.frames.values[:, 0, 0], strict=True):
                ended += [c.alert for c in alerts(start, last, score, step.boxes) if c.kind == "end"]
    ended += [change.alert for change in alerts.gap(last)]
    return [(alert.start, alert.end or 0.0, alert.top_score) for alert in ended]


def threshold_of(model: Model, path: Path) -> float:
    """A threshold that some steps reach and others do not."""
    scores = [float(step.frames.values.max()) for step in model.stream(path) if step.frames is not None]
    return float(np.mean([np.median(scores), max(scores)]))


def assert_as_offline(camera: Watched, plays: list[float], expected: list[tuple[float, ...]]) -> None:
    """The alerts are those of the file, once in each play, at its times; and each is sent once."""
    wanted = [(begin + start, begin + end, top) for begin in plays for start, end, top in expected]
    found = camera.alerts()
    assert expected
    assert len(found) == len(wanted), (camera.name, found, wanted)
    late = np.array(found)[:, 0] - np.array(wanted)[:, 0]
    assert np.abs(late).max() < TOLERANCE, (camera.name, late)
    lengths = [np.array(rows)[:, 1] - np.array(rows)[:, 0] for rows in (found, wanted)]
    np.testing.assert_allclose(*lengths, atol=0.25, rtol=0, err_msg=camera.name)
    np.testing.assert_allclose(np.array(found)[:, 2], np.array(wanted)[:, 2], atol=1e-3, rtol=0)
    assert [kind for kind in camera.told() if kind in ("new", "end")] == ["new", "end"] * len(wanted)


def test_cameras_that_are_disturbed(
    server: Server, clip: Clip, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr("wherewhen.live.camera.LONGEST", 1.0)
    caplog.set_level(logging.DEBUG, "wherewhen")
    other, threshold = Clip(tmp_path / "large.mp4", drawn(2), RATE), threshold_of(model, clip.path)

    def camera(name: str, reel: Path = clip.reel, transport: str = "tcp", **more: Any) -> Watched:
        url = server.offer(name, reel, **more)
        return Watched(name, url, model, threshold, tmp_path, transport=transport)

    stalled = camera("stalled", script=[[1.6, {"stall": True}]])
    jumped = camera("jumped", script=[[1.6, {"jump": 3600}], [6.0, {"jump": -1800}]])
    resized = camera("resized", script=[[1.6, {"reel": str(other.reel)}]])
    udp, refused = camera("udp", udp=True, transport="udp"), camera("refused", udp=True)
    locked = Watched(
        "locked", server.offer("locked", clip.reel, user="me", password="other"), model, threshold, tmp_path
    )
    cameras = [stalled, jumped, resized, udp, refused, locked]
    try:
        watched = {stalled: 2, jumped: 1, resized: 2, udp: 1}
        for _ in range(1200):  # each until its stream ended as often
            running = [one for one, ends in watched.items() if one.watch.status.reconnects < ends]
            for one in watched.keys() - running:
                one.stop.set()
            if not running:
                break
            time.sleep(0.05)
        assert not running, [(one.name, one.told()) for one in running]
        for one, words in ((refused, "RTSP over UDP only: transport: udp"), (locked, "check user name and password")):
            ((state, cause),) = one.rows("SELECT state, cause FROM camera")
            assert state == "offline"
            assert words in cause
            assert not one.alerts()
    finally:
        for one in cameras:
            one.end()
    expected = {one.name: offline(model, clip.path, one.config) for one in cameras}
    expected["resized"] = offline(model, other.path, resized.config)
    for one in (jumped, udp):
        assert_as_offline(one, server.plays[one.name][:1], expected[one.name])
        assert one.told()[0] == "not opened yet" or one.told()[0] == "ok"
    for one in (stalled, resized):
        assert_as_offline(one, server.plays[one.name][1:2], expected[one.name])
    assert any("nothing came for too long" in text for text in stalled.told())
    assert "the pictures changed from 64x48 to 128x96" in " ".join(resized.told())
    assert all(row == ("offline", "stopped") for one in cameras for row in one.rows("SELECT state, cause FROM camera"))
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()).decode("latin-1")
    for text in (written, caplog.text, "".join(capfd.readouterr())):
        assert SECRET not in text
        assert "me:" not in text


def test_a_server_that_is_killed_and_comes_back(
    clip: Clip, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wherewhen.live.camera.LONGEST", 1.0)
    server = Server()
    camera = Watched("gate", server.offer("gate", clip.reel), model, threshold_of(model, clip.path), tmp_path)
    try:
        camera.until(lambda: bool(server.plays["gate"]) and camera.watch.status.frames > 10)
        server.kill()
        camera.until(lambda: "refused" in str(camera.rows("SELECT cause FROM camera")))
        server.start()
        server.offer("gate", clip.reel)
        camera.until(lambda: len(server.plays["gate"]) > 1)
        before = camera.watch.status.reconnects
        camera.until(lambda: camera.watch.status.reconnects > before)
    finally:
        camera.end()
        server.kill()
    assert_as_offline(camera, server.plays["gate"][1:2], offline(model, clip.path, camera.config))


@pytest.mark.skipif(not (SHARED / "data/ped2").exists(), reason="no Ped2 beside the checkout")
def test_events_of_a_stream_of_ped2_are_those_of_its_file(server: Server, model: Model, tmp_path: Path) -> None:
    frames = reader.frames(SHARED / "data/ped2/videos/Test001.mp4", span=(4.0, 14.0), size=(120, 180))
    images, rng = [frame.image for frame in frames], np.random.default_rng(0)
    images = [
        *images[:1] * 30,
        *images,
        *images[-1:] * 15,
    ]  # quiet at both ends, with noise: no picture repeats another
    images = [(image + rng.integers(-4, 5, image.shape)).clip(0, 255).astype(np.uint8) for image in images]
    clip = Clip(tmp_path / "ped2.mp4", images, Fraction(10))
    threshold = threshold_of(model, clip.path)
    alerts = {"threshold": threshold, "duration": 0.4}
    camera = Watched("ped2", server.offer("ped2", clip.reel), model, threshold, tmp_path, alerts=alerts)
    try:
        camera.until(lambda: camera.watch.status.reconnects == 1)
    finally:
        camera.end()
    assert_as_offline(camera, server.plays["ped2"][:1], offline(model, clip.path, camera.config))

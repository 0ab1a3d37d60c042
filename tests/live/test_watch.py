"""A camera that is watched: the same alerts as from the recording, and again after the stream broke."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest

from wherewhen import cli
from wherewhen.core.config import build
from wherewhen.core.errors import ConfigError
from wherewhen.inference.model import Model
from wherewhen.live import service
from wherewhen.live.alerts import Alerts
from wherewhen.live.camera import CameraWatch
from wherewhen.live.control import judge
from wherewhen.live.database import Database
from wherewhen.live.retention import StoreConfig, clean
from wherewhen.live.settings import CameraConfig, WatchConfig, with_options
from wherewhen.live.wall_clock import Now
from wherewhen.review.heat import packed
from wherewhen.review.judged import judged_items
from wherewhen.video import reader
from wherewhen.video.writer import Writer

BEGIN = 1_790_000_000.0
RATE = 12.5
SPEED = 8.0  # of a stream in these tests


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wall; a spot creeps, and jumps in the middle."""
    path = tmp_path_factory.mktemp("recording") / "gate.mp4"
    with Writer(path, RATE) as writer:
        for index in range(150):
            picture = np.full((48, 64, 3), 90, np.uint8)
            speed = 11 if 60 <= index < 100 else 1
            x = (speed * index) % 56
            picture[8:24, x : x + 8] = (180, 120, 60)
            writer.write(picture)
    return path


def between(model: Model, recording: Path) -> float:
    """A threshold that some steps of the recording reach and others do not."""
    scores = [float(step.frames.values.max()) for step in model.stream(recording) if step.frames is not None]
    return float(np.mean([np.median(scores), max(scores)]))


def config(url: object, threshold: float, **settings: object) -> CameraConfig:
    alerts = {"threshold": threshold, "duration": 0.5, "cooldown_seconds": 1.0}
    watch = WatchConfig({"gate": {"url": str(url), "model": "any", "alerts": alerts, **settings}})
    return watch.of_cameras["gate"]


def rows(folder: Path, query: str) -> list[tuple[object, ...]]:
    database = Database(folder)
    try:
        return [tuple(row) for row in database.rows(query)]
    finally:
        database.close()


def test_alerts_of_a_replay_are_those_of_the_recording(yard: Path, recording: Path, tmp_path: Path) -> None:
    model = Model.load(yard, device="cpu")
    camera = config(recording, between(model, recording), speed=50.0)
    CameraWatch("gate", camera, model, tmp_path, ["kept"], [], Now(50.0, BEGIN)).run(Event())

    offline = Alerts("gate", camera.alerts.threshold or 0, camera.alerts)
    expected, maps, end = [], {}, 0.0
    for step in model.stream(recording):
        if step.frames is not None:
            start, end = step.frames.edges
            assert step.heat is not None
            maps[float(step.frames.values[0, 0, 0])] = step.heat.values[0]
            expected += list(offline(float(start), float(end), float(step.frames.values[0, 0, 0]), step.boxes))
    expected += list(offline.gap(end))
    wanted = [(c.alert.start, c.alert.end, c.alert.top_score) for c in expected if c.kind == "end"]
    items = rows(tmp_path, "SELECT t0, t1, score FROM item WHERE severity = 'alert' ORDER BY t0")
    assert wanted
    begin = float(items[0][0]) - wanted[0][0]  # type: ignore[arg-type]
    assert begin == pytest.approx(BEGIN, abs=30)  # fifty times as fast: half a second of this machine
    np.testing.assert_allclose(np.array(items, float) - [begin, begin, 0], wanted, atol=1e-4)
    heat = rows(tmp_path, "SELECT heat FROM item WHERE severity = 'alert' ORDER BY t0")
    assert heat == [(packed(maps[top]),) for _, _, top in wanted]
    posted = rows(tmp_path, "SELECT key FROM outbox ORDER BY id")
    assert [str(key).rsplit(":", 1)[-1] for (key,) in posted if ":update" not in str(key)] == ["new", "end"] * len(
        items
    )
    messages = [json.loads(str(text)) for (text,) in rows(tmp_path, "SELECT message_json FROM outbox ORDER BY id")]
    for message in messages:
        clip, ended = message["after"]["wherewhen"]["files"]["clip"], message["kind"] == "end"
        assert message["after"]["has_clip"] is ended
        assert (clip is not None and (tmp_path / clip).exists()) is ended
    clips = rows(tmp_path, "SELECT clip_t0 FROM item WHERE severity = 'alert'")
    assert clips == [(pytest.approx(begin, abs=1e-3),)] * len(items)  # the only key picture is the first one
    (id,), *_ = rows(tmp_path, "SELECT id FROM item WHERE severity = 'alert' ORDER BY t0")
    with Database(tmp_path) as database:
        judge(database, str(id), "true", BEGIN)
    (judged,) = judged_items(tmp_path)
    assert (judged.start, judged.end) == pytest.approx((wanted[0][0], wanted[0][1]), abs=1e-3)
    shown, filmed = (reader.picture(path, judged.start).image for path in (judged.footage, recording))
    np.testing.assert_array_equal(shown, filmed)
    pictures = [tmp_path / str(name) for (name,) in rows(tmp_path, "SELECT snapshot FROM item")]
    assert all(picture.read_bytes().startswith(b"\xff\xd8") for picture in pictures)
    assert rows(tmp_path, "SELECT state, cause FROM camera") == [("offline", "finished")]
    assert rows(tmp_path, "SELECT camera, SUM(seconds) > 10 FROM block") == [("gate", 1)]


def test_a_full_disk_does_not_stop_a_camera(
    yard: Path, recording: Path, small_disk: Path, fill: Callable[[Path], None]
) -> None:
    model, store = Model.load(yard, device="cpu"), small_disk / "store"
    database = Database(store)
    clean(store, database, StoreConfig(str(store)), BEGIN)
    database.close()
    fill(small_disk)
    camera = config(recording, between(model, recording), speed=50.0)
    CameraWatch("gate", camera, model, store, ["kept"], [], Now(50.0, BEGIN)).run(Event())
    kinds = [str(key).rsplit(":", 1)[-1] for (key,) in rows(store, "SELECT key FROM outbox ORDER BY id")]
    assert kinds.count("new") == kinds.count("end") > 0
    notes = rows(store, "SELECT DISTINCT snapshot, clip, clip_note FROM item")
    assert notes == [(None, None, "the disk is full")]


def served(recording: Path, port: int, times: int, done: Event) -> None:
    """Send a recording to whoever connects, so many times; then stop listening."""
    import av

    with socket.create_server(("127.0.0.1", port)) as server:
        server.settimeout(30)
        for _ in range(times):
            connection, _ = server.accept()
            wire = connection.makefile("wb")
            with connection, wire, av.open(str(recording)) as source, av.open(wire, "w", format="mpegts") as stream:
                video = stream.add_stream_from_template(source.streams.video[0])
                for packet in source.demux(source.streams.video[0]):
                    if packet.dts is not None:
                        packet.stream = video
                        stream.mux(packet)
                        time.sleep(1 / RATE / SPEED)
    done.set()


def test_a_stream_that_broke_is_opened_again(yard: Path, recording: Path, tmp_path: Path) -> None:
    model = Model.load(yard, device="cpu")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    done, stop = Event(), Event()
    server = Thread(target=served, args=(recording, port, 2, done))
    server.start()
    time.sleep(0.2)
    camera = config(f"tcp://127.0.0.1:{port}", between(model, recording), latency_seconds=600.0)  # drops nothing
    watch = CameraWatch("gate", camera, model, tmp_path, ["kept"], ["kept"], Now(SPEED))
    thread = Thread(target=watch.run, args=(stop,))
    thread.start()
    end = time.monotonic() + 60
    while watch.status.reconnects < 2 and time.monotonic() < end:
        time.sleep(0.05)
    stop.set()
    thread.join(30)
    server.join(30)
    assert done.is_set()
    assert not thread.is_alive()
    items = rows(tmp_path, "SELECT score FROM item WHERE severity = 'alert' ORDER BY t0")
    assert items
    assert len(items) % 2 == 0
    half = len(items) // 2
    np.testing.assert_allclose(np.array(items[:half], float), np.array(items[half:], float), atol=1e-4)
    states = [
        json.loads(str(text))["after"]["state"]
        for (text,) in rows(tmp_path, "SELECT message_json FROM outbox WHERE key LIKE '%:state' ORDER BY id")
    ]
    assert states == ["ok", "offline", "ok", "offline"]
    assert not [one for one in threading.enumerate() if one.name == "pictures"]


def test_the_settings_are_checked_before_a_camera_is_opened(
    yard: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GATE_PASSWORD", "s3cret")
    file = tmp_path / "cameras.yaml"
    file.write_text(
        f"model: {yard}\nstore: {{path: {tmp_path / 'live'}}}\n"
        "cameras:\n  gate: {url: 'rtsp://me:${GATE_PASSWORD}@127.0.0.1:9/1', schedule: ['22:00-06:00']}\n"
    )
    assert cli.main(["watch", str(file), "--check", "--json"]) == 0
    printed = capsys.readouterr().out
    assert "rtsp://127.0.0.1:9/1" in printed
    assert "s3cret" not in printed
    assert not (tmp_path / "live").exists()


def test_a_model_that_is_not_there_is_an_error_before_a_camera_is_opened(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["watch", str(recording), "--model", str(tmp_path / "no"), "--output", str(tmp_path / "live")]) == 1
    assert "train one" in capsys.readouterr().err
    assert not (tmp_path / "live").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cameras": {}}, "at least one"),
        ({"cameras": {"a/b": "0"}, "model": "m"}, "letters"),
        ({"cameras": {"gate": "0"}}, "no model"),
        ({"cameras": {"gate": {"url": "0", "model": "m", "speed": 0}}}, "above 0"),
        ({"cameras": {"gate": {"url": "0", "model": "m", "alert_zones": ["door"]}}}, "no zone 'door'"),
        ({"cameras": {"gate": {"url": "0", "model": "m", "masks": [[[0, 0], [1, 1]]]}}}, "three points"),
        ({"cameras": {"gate": {"url": "0", "model": "m", "rate": 3}}}, "rate"),
        ({"cameras": {"gate": "0"}, "model": "m", "sinks": {"pigeon": {}}}, "pigeon"),
        ({"cameras": {"gate": "0"}, "model": "m", "store": {"bytes": "lots"}}, "20GB"),
    ],
)
def test_wrong_settings_name_what_is_wrong(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(WatchConfig, settings, "watch")


def test_the_command_line_takes_precedence_over_the_file() -> None:
    values = {"cameras": {"gate": "0", "yard": {"url": "1", "model": "a"}}, "store": {"days": 2}}
    changed = with_options(values, "b", "folder", 3.0)
    assert changed["cameras"]["gate"] == {"url": "0", "model": "b", "speed": 3.0}
    assert changed["cameras"]["yard"]["model"] == "b"
    assert changed["store"] == {"days": 2, "path": "folder"}


def test_a_service_ends_with_the_files_that_it_replays(yard: Path, recording: Path, tmp_path: Path) -> None:
    """A camera's process that has ended holds up nothing, whatever its threads waited for."""
    config = WatchConfig({"gate": {"url": str(recording), "speed": 50.0}}, str(yard), store=StoreConfig(str(tmp_path)))
    running = Thread(target=service.watch, args=(config, Event()), kwargs={"device": "cpu"}, daemon=True)
    running.start()
    running.join(120)
    assert not running.is_alive()
    assert rows(tmp_path, "SELECT state, cause FROM camera") == [("offline", "finished")]

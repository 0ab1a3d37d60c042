"""What ``wherewhen status`` says of a service that runs, was stopped, or died, and of each of its cameras."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any

import pytest
from watched import NOW, WatchedStore

from wherewhen import cli
from wherewhen.budget.blocks import DAY
from wherewhen.core.errors import StoreError
from wherewhen.live.camera import CameraWatch
from wherewhen.live.database import Database
from wherewhen.live.overview import LIVES, SCORES, overview
from wherewhen.live.overview_text import about
from wherewhen.live.presence import Presence, facts_of
from wherewhen.live.service import _Running, _supervised
from wherewhen.live.settings import CameraConfig


@pytest.fixture
def store(tmp_path: Path) -> Iterator[WatchedStore]:
    opened = WatchedStore(tmp_path)
    yield opened
    opened.database.close()


@pytest.mark.parametrize(
    ("write", "fault"),
    [
        (lambda base: (base.service(), base.camera()), None),
        (lambda base: (base.service(), base.camera("frozen")), "frozen"),
        (lambda base: (base.service(), base.camera("offline", "no route")), "offline: no route"),
        (lambda base: (base.service(), base.camera(at=NOW - SCORES - 1)), "nothing was scored for 61 s"),
        (lambda base: base.service(), "offline: not opened yet"),
        (lambda base: (base.service(NOW - 9, NOW - 9), base.camera("offline", "stopped")), "the service was stopped"),
        (
            lambda base: (base.service(NOW - LIVES - 5), base.camera()),
            "the service does not run: no sign of life for 20 s",
        ),
        (lambda base: (base.service(NOW - 9, NOW - 9), base.camera("offline", "finished")), None),
        (lambda base: (base.service(), base.camera("offline", "switched off")), None),
    ],
)
def test_a_camera_is_ok_or_has_a_fault_in_words(
    write: Callable[[WatchedStore], object], fault: str | None, store: WatchedStore, tmp_path: Path
) -> None:
    write(store)
    seen = overview(tmp_path, NOW)
    assert [one.fault for one in seen.cameras] == [fault]
    assert seen.ok is (fault is None)


def test_alerts_of_today_and_the_last_one_are_those_that_were_sent(store: WatchedStore, tmp_path: Path) -> None:
    store.service()
    store.camera()
    midnight = NOW // DAY * DAY
    for number, (start, severity) in enumerate(
        [(midnight - 1, "alert"), (midnight, "alert"), (midnight + 5, "alert"), (midnight + 9, "detection")]
    ):
        store.alert(str(number), start, severity)
    again = "INSERT INTO item(id, repeat_of, {0}) SELECT '2again', '2', {0} FROM item WHERE id = '2'"
    store.database.write(again.format("camera, t0, t1, severity, score, threshold, zones_json, state"))
    store.database.write("UPDATE item SET t0 = t0 + 1 WHERE id = '2again'")
    (seen,) = overview(tmp_path, NOW).cameras
    assert seen.used_today == 2
    assert seen.last_alert is not None and seen.last_alert.id == "2"


def test_a_process_that_died_is_a_fault_until_the_camera_is_open_again(store: WatchedStore, tmp_path: Path) -> None:
    presence = Presence(Database(tmp_path), {}, ["mqtt"])
    store.service(time.time())
    store.camera(at=time.time())
    dead: Any = SimpleNamespace(is_alive=lambda: False, exitcode=-9)
    child = _supervised("gate", _Running(dead, None), lambda: pytest.fail("too early"), presence)
    presence.close()
    store.service(time.time())
    assert overview(tmp_path, time.time()).cameras[0].fault == "offline: its process ended with code -9"
    assert child.next_at > time.monotonic()
    ((sink, text),) = store.database.rows("SELECT sink, message_json FROM outbox")
    assert sink == "mqtt"
    assert json.loads(text)["after"]["cause"] == "its process ended with code -9", "who listens is told that it is down"
    store.camera(at=time.time())
    assert overview(tmp_path, time.time()).ok


def test_a_camera_that_can_not_be_opened_is_offline_since_the_first_try(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    model: Any = SimpleNamespace(alarm=0.5)
    watch, stop = CameraWatch("gate", CameraConfig(address, model="any"), model, tmp_path, [], []), Event()
    begin, thread = time.time(), Thread(target=watch.run, args=(stop,))
    thread.start()
    try:
        while watch.status.reconnects < 2 and time.time() < begin + 30:
            time.sleep(0.02)
        first = time.time()
        store = WatchedStore(tmp_path)
        store.service(first)
        (view,) = overview(tmp_path, first).cameras
        store.database.close()
    finally:
        stop.set()
        thread.join(10)
    assert view.fault is not None and "connection refused" in view.fault
    assert view.since < begin + 0.8 < first, "two tries are 0.8 s apart at least"
    assert view.status["reconnects"] >= 1


def test_a_service_that_starts_forgets_the_states_of_an_earlier_one(store: WatchedStore, tmp_path: Path) -> None:
    store.camera()
    Presence(Database(tmp_path), {}, []).close()
    assert store.database.rows("SELECT state, cause, at FROM camera") == [("offline", "not opened yet", NOW)]
    ((stopped, at),) = store.database.rows("SELECT stopped, at FROM service")
    assert stopped == pytest.approx(at, abs=1)


def test_a_camera_with_a_budget_shows_it_and_what_it_still_has_to_learn(store: WatchedStore, tmp_path: Path) -> None:
    store.service()
    standing = {"per_day": 3.0, "upper": 9.0, "method": "extrapolated", "held": "learning", "missing_hours": 21.5}
    store.camera(budget=standing)
    (view,) = overview(tmp_path, NOW).cameras
    assert view.limit == 3.0, "that of the camera comes before that of the model"
    assert view.budget["upper"] is None, "no bound"
    assert about(view, NOW).endswith("alerts today 0 of 3, learning: 21.5 more hours until alerts are sent")


def test_facts_of_a_camera_come_from_its_run(tmp_path: Path) -> None:
    weights = tmp_path / "run" / "weights" / "best.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    plain = facts_of(CameraConfig("rtsp://10.0.0.5/1", model=str(tmp_path / "run")))
    assert (plain["per_day"], plain["upper"], plain["replayed"]) == (None, None, False)
    (tmp_path / "run" / "calibration.json").write_text('{"per_day": 1.0, "upper": 0.9}')
    calibrated = facts_of(CameraConfig(str(tmp_path / "week"), model=str(tmp_path / "run")))
    assert (calibrated["per_day"], calibrated["upper"], calibrated["replayed"]) == (1.0, 0.9, True)
    assert calibrated["model"] == plain["model"] and len(plain["model"]) == 64


def test_status_prints_a_line_for_each_camera(
    store: WatchedStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store.service(time.time(), None, "gate", "yard")
    store.camera(at=time.time())
    store.camera("offline", "no \x1b[31mroute", time.time(), "yard")
    store.alert("1", time.time())
    store.database.write("INSERT INTO outbox(sink, key, message_json) VALUES ('mqtt', 'k', '{}')")
    assert cli.main(["status", str(tmp_path)]) == 1
    head, gate, yard = capsys.readouterr().out.splitlines()
    assert head.startswith("running for") and head.endswith("messages that wait: 1 for mqtt")
    assert "12.5 pictures/s, latency 1.2 s, 4 dropped, score 0.40 of 0.80, alerts today 1 of 2" in gate
    assert "offline: no \\x1b[31mroute" in yard
    assert cli.main(["status", str(tmp_path), "--json"]) == 1
    printed = json.loads(capsys.readouterr().out)
    assert [one["ok"] for one in printed["cameras"]] == [True, False]
    store.camera(at=time.time(), name="yard")
    assert cli.main(["status", str(tmp_path)]) == 0


def test_status_of_a_folder_without_a_store_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["status", str(tmp_path)]) == 1
    assert "no store of wherewhen watch there" in capsys.readouterr().err
    Database(tmp_path).close()
    with pytest.raises(StoreError, match="no service has run"):
        overview(tmp_path, NOW)

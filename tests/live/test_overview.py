"""What ``wherewhen status`` says of a service that runs, was stopped, or died, and of each of its cameras."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from wherewhen import cli
from wherewhen.budget.blocks import DAY
from wherewhen.core.errors import StoreError
from wherewhen.live.camera import Status
from wherewhen.live.database import Database
from wherewhen.live.overview import LIVES, SCORES, overview
from wherewhen.live.presence import Presence, facts_of
from wherewhen.live.service import _Running, _supervised
from wherewhen.live.settings import CameraConfig

NOW = 1_790_000_000.0
FACTS = {"replayed": False, "model": "ab" * 32, "a_day": None, "per_day": 2.0, "upper": 2.5}


@pytest.fixture
def database(tmp_path: Path) -> Any:
    opened = Database(tmp_path)
    yield opened
    opened.close()


def service(database: Database, at: float = NOW, stopped: float | None = None, *cameras: str) -> None:
    facts = json.dumps(dict.fromkeys(cameras or ("gate",), FACTS))
    database.write("INSERT OR REPLACE INTO service VALUES (1, 7, ?, ?, ?, ?)", NOW - 600, at, stopped, facts)


def camera(
    database: Database, state: str = "ok", cause: str | None = None, at: float = NOW, name: str = "gate"
) -> None:
    text = json.dumps(asdict(Status(frames=300, rate=12.5, latency=1.25, score=0.4, threshold=0.8, at=at)))
    database.write("INSERT OR REPLACE INTO camera VALUES (?, ?, ?, ?, ?, ?)", name, state, cause, NOW - 90, at, text)


def alert(database: Database, id: str, start: float, severity: str = "alert") -> None:
    row = (id, "gate", start, start + 2, severity, 0.9, 0.8, None, "null", "[]", None, "ok")
    database.write("INSERT INTO item VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", *row)


@pytest.mark.parametrize(
    ("write", "fault"),
    [
        (lambda base: (service(base), camera(base)), None),
        (lambda base: (service(base), camera(base, "frozen")), "frozen"),
        (lambda base: (service(base), camera(base, "offline", "no route")), "offline: no route"),
        (lambda base: (service(base), camera(base, at=NOW - SCORES - 1)), "nothing was scored for 61 s"),
        (lambda base: service(base), "offline: not opened yet"),
        (lambda base: (service(base, NOW - 9, NOW - 9), camera(base, "offline", "stopped")), "the service was stopped"),
        (
            lambda base: (service(base, NOW - LIVES - 5), camera(base)),
            "the service does not run: no sign of life for 20 s",
        ),
        (lambda base: (service(base, NOW - 9, NOW - 9), camera(base, "offline", "finished")), None),
    ],
)
def test_a_camera_is_ok_or_has_a_fault_in_words(
    write: Callable[[Database], object], fault: str | None, database: Database, tmp_path: Path
) -> None:
    write(database)
    seen = overview(tmp_path, NOW)
    assert [one.fault for one in seen.cameras] == [fault]
    assert seen.ok is (fault is None)


def test_alerts_of_today_and_the_last_one_are_those_that_were_sent(database: Database, tmp_path: Path) -> None:
    service(database)
    camera(database)
    midnight = NOW // DAY * DAY
    for number, (start, severity) in enumerate(
        [(midnight - 1, "alert"), (midnight, "alert"), (midnight + 5, "alert"), (midnight + 9, "detection")]
    ):
        alert(database, str(number), start, severity)
    (seen,) = overview(tmp_path, NOW).cameras
    assert seen.used_today == 2
    assert seen.last_alert is not None and seen.last_alert.id == "2"


def test_a_process_that_died_is_a_fault_until_the_camera_is_open_again(database: Database, tmp_path: Path) -> None:
    presence = Presence(Database(tmp_path), {})
    service(database, time.time())
    camera(database, at=time.time())
    dead: Any = SimpleNamespace(is_alive=lambda: False, exitcode=-9)
    child = _supervised("gate", _Running(dead, None), lambda: pytest.fail("too early"), presence)
    presence.close()
    service(database, time.time())
    assert overview(tmp_path, time.time()).cameras[0].fault == "offline: its process ended with code -9"
    assert child.next_at > time.monotonic()
    camera(database, at=time.time())
    assert overview(tmp_path, time.time()).ok


def test_a_service_that_starts_forgets_the_states_of_an_earlier_one(database: Database, tmp_path: Path) -> None:
    camera(database)
    Presence(Database(tmp_path), {}).close()
    assert database.rows("SELECT * FROM camera") == []
    ((stopped, at),) = database.rows("SELECT stopped, at FROM service")
    assert stopped == pytest.approx(at, abs=1)


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
    database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service(database, time.time(), None, "gate", "yard")
    camera(database, at=time.time())
    camera(database, "offline", "no \x1b[31mroute", time.time(), "yard")
    alert(database, "1", time.time())
    database.write("INSERT INTO outbox(sink, key, message_json) VALUES ('mqtt', 'k', '{}')")
    assert cli.main(["status", str(tmp_path)]) == 1
    head, gate, yard = capsys.readouterr().out.splitlines()
    assert head.startswith("running for") and head.endswith("messages that wait: 1 for mqtt")
    assert "12.5 pictures/s, latency 1.2 s, 0 dropped, score 0.40 of 0.80, alerts today 1 of 2" in gate
    assert "offline: no \\x1b[31mroute" in yard
    assert cli.main(["status", str(tmp_path), "--json"]) == 1
    printed = json.loads(capsys.readouterr().out)
    assert [one["ok"] for one in printed["cameras"]] == [True, False]
    camera(database, at=time.time(), name="yard")
    assert cli.main(["status", str(tmp_path)]) == 0


def test_status_of_a_folder_without_a_store_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["status", str(tmp_path)]) == 1
    assert "no store of wherewhen watch there" in capsys.readouterr().err
    Database(tmp_path).close()
    with pytest.raises(StoreError, match="no service has run"):
        overview(tmp_path, NOW)

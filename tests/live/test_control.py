"""What users say to a running camera, and a database of an earlier version."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest

from wherewhen import cli
from wherewhen.core.database import MIGRATIONS, OF_STORE
from wherewhen.core.errors import ConfigError
from wherewhen.inference.model import Model
from wherewhen.live import control
from wherewhen.live.alerts import AlertConfig, Alerts
from wherewhen.live.camera import CameraWatch
from wherewhen.live.database import Database
from wherewhen.live.picture_state import PictureState
from wherewhen.live.settings import WatchConfig
from wherewhen.video.writer import Writer

LAYOUT = json.dumps({"zones": {"door": [], "gate": []}})


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    one = Database(tmp_path)
    one.write("INSERT INTO control(camera, layout) VALUES ('yard', ?)", LAYOUT)
    row = ("a1", "yard", 5.0, 9.0, "alert", 0.9, 0.8, "[]", "ok")
    one.write(
        f"INSERT INTO item(id, camera, t0, t1, severity, score, threshold, zones_json, state) "
        f"VALUES ({', '.join('?' * len(row))})", *row,
    )  # fmt: skip
    yield one
    one.close()


def test_a_silence_has_an_end_and_belongs_to_a_zone_or_to_all(database: Database) -> None:
    assert control.snooze(database, "yard", 30, 1000.0) == 2800.0
    control.snooze(database, "yard", 10, 1000.0, "door")
    assert control.orders(database, "yard", 1001.0).silent == {None, "door"}
    assert control.silent_until(database, "yard", 1001.0) == 2800.0
    assert control.orders(database, "yard", 1601.0).silent == {None}
    assert control.snooze(database, "yard", 0, 1602.0) == 0.0
    assert control.orders(database, "yard", 1603.0).silent == frozenset()
    assert control.orders(database, "gate", 1001.0).silent == frozenset()


@pytest.mark.parametrize(
    ("silent", "entered", "reason"),
    [({None}, [], "snooze"), ({"door"}, ["door"], "snooze"), ({"door"}, ["door", "gate"], None), ({"door"}, [], None)],
)
def test_a_silent_zone_holds_alerts_that_are_in_no_other(
    silent: set[str | None], entered: list[str], reason: str | None
) -> None:
    from wherewhen.core.values import Scores

    places = {"door": ((0, 0), (0.5, 0), (0.5, 0.5), (0, 0.5)), "gate": ((0.5, 0), (1, 0), (1, 0.5), (0.5, 0.5))}
    middles = {"door": 0.25, "gate": 0.75}
    alerts = Alerts("yard", 0.5, AlertConfig(duration=2.0), places)  # type: ignore[arg-type]
    alerts.silent = frozenset(silent)
    changes = []
    for second, zone in enumerate([*entered, *entered[-1:], *entered[-1:]] or [None] * 3):
        x, y = middles.get(zone or "", 0.5), 0.2 if zone else 0.8
        box = Scores(np.array([[0, 1, x - 0.1, y - 0.1, x + 0.1, y + 0.1]]), np.array([0.9]))
        changes += list(alerts(float(second), second + 1.0, 0.9, box))
    assert alerts.alert is not None
    assert alerts.alert.suppressed == reason
    assert bool(changes) == (reason is None)


def test_the_last_verdict_that_was_not_withdrawn_holds(database: Database) -> None:
    first = control.judge(database, "a1", "false", 20.0)
    second = control.judge(database, "a1", "true", 21.0, user="me")
    control.undo(database, second, 22.0)
    control.undo(database, second, 23.0)
    rows = database.rows("SELECT id, item, camera, user, verdict, t0, t1, at, undone_at FROM verdict ORDER BY id")
    assert [tuple(row) for row in rows] == [
        (first, "a1", "yard", None, "false", 5.0, 9.0, 20.0, None),
        (second, "a1", "yard", "me", "true", 5.0, 9.0, 21.0, 22.0),
    ]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("enabled", "MAYBE", "ON or OFF"),
        ("suspend", "long", "minutes"),
        ("suspend", -1, "from 0"),
        ("suspend", True, "minutes"),
        ("suspend", {"minutes": 5, "zone": "dor"}, "did you mean 'door'"),
        ("verdict", {"id": "a1", "verdict": "maybe"}, "unknown verdict"),
        ("verdict", {"id": "a9", "verdict": "true"}, "no alert 'a9'"),
        ("verdict", "true", "{id, verdict}"),
        ("dance", None, "unknown command"),
    ],
)
def test_what_a_camera_can_not_do_is_an_error(name: str, value: object, message: str, database: Database) -> None:
    with pytest.raises(ConfigError, match=message):
        control.obey(database, "yard", name, value, 1.0)
    with pytest.raises(ConfigError, match="unknown camera 'yrd'; did you mean 'yard'"):
        control.obey(database, "yrd", "rebaseline", None, 1.0)


def test_the_command_line_says_the_same(database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = str(tmp_path)
    assert cli.main(["control", "snooze", "yard", place, "--minutes", "5", "--zone", "door"]) == 0
    assert "zone door" in capsys.readouterr().out
    assert control.orders(database, "yard", time.time()).silent == {"door"}
    for action, enabled in (("disable", False), ("enable", True)):
        assert cli.main(["control", action, "yard", place]) == 0
        assert control.orders(database, "yard", 0.0).enabled is enabled
    assert cli.main(["control", "accept", "yard", place]) == 0
    assert control.orders(database, "yard", 0.0).accept
    capsys.readouterr()
    assert cli.main(["control", "verdict", "a1", place, "--verdict", "false", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"done": "alert a1: false"}
    assert database.rows("SELECT item, verdict FROM verdict") == [("a1", "false")]
    assert cli.main(["control", "accept", "yard", str(tmp_path / "no")]) == 1
    assert "no store of wherewhen watch there" in capsys.readouterr().err


RNG = np.random.default_rng(0)
VIEWS = [np.kron(RNG.integers(40, 220, (12, 16, 3)), np.ones((10, 10, 1))).astype(np.uint8) for _ in range(2)]


def shown(state: PictureState, view: int, begin: int) -> str:
    """The state after 20 seconds of a view."""
    for second in range(begin, begin + 20):
        noise = np.random.default_rng(second).integers(-3, 4, VIEWS[view].shape)
        state(float(second), (VIEWS[view].astype(int) + noise).clip(0, 255).astype(np.uint8))
    return state.state


def test_a_view_that_is_accepted_is_the_usual_one() -> None:
    state = PictureState()
    assert [shown(state, view, 20 * number) for number, view in enumerate((0, 1))] == ["ok", "moved"]
    state.accept()
    assert [shown(state, view, 40 + 20 * number) for number, view in enumerate((1, 0, 1))] == ["ok", "moved", "ok"]


def test_a_camera_that_was_moved_stays_so_through_a_restart_until_its_view_is_accepted() -> None:
    state = PictureState(held=True)
    assert shown(state, 1, 0) == "moved"
    state.accept()
    assert shown(state, 1, 20) == "ok"


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six recordings of half a minute, which show another view from the tenth second on."""
    folder = tmp_path_factory.mktemp("views")
    with Writer(folder / "a.mp4", 5.0) as writer:
        for index in range(150):
            picture = VIEWS[index >= 50].copy()
            picture[50:60, index : index + 8] = 128
            writer.write(picture)
    for name in "bcdef":
        shutil.copy(folder / "a.mp4", folder / f"{name}.mp4")
    return folder


def test_a_running_camera_does_what_it_is_asked(yard: Path, recording: Path, tmp_path: Path) -> None:
    """It is moved, its view is accepted, and it is switched off and on, while it replays a recording."""
    settings = {"cameras": {"yard": {"url": str(recording), "speed": 10.0, "budget": {}}}, "model": str(yard)}
    config = WatchConfig(**settings).of_cameras["yard"]  # type: ignore[arg-type]
    watch = CameraWatch("yard", config, Model.load(yard, device="cpu"), tmp_path, [], ["kept"])
    stop = Event()
    thread = Thread(target=watch.run, args=(stop,))
    thread.start()
    database, end = Database(tmp_path), time.monotonic() + 60

    def wait_for(holds: Callable[[], object]) -> None:
        while not holds() and time.monotonic() < end:
            time.sleep(0.02)
        assert holds()

    def orders() -> control.Orders:
        return control.orders(database, "yard", 0.0)

    wait_for(lambda: orders().moved)
    control.accept(database, "yard")
    wait_for(lambda: database.rows("SELECT 1 FROM control WHERE baseline_at > 0"))
    assert not orders().accept
    wait_for(lambda: watch.state == "ok" and not orders().moved)
    control.enable(database, "yard", False)
    wait_for(lambda: watch.state == "offline")
    assert thread.is_alive()
    control.enable(database, "yard", True)
    wait_for(lambda: watch.state == "ok")
    stop.set()
    thread.join(60)
    assert not thread.is_alive()
    database.close()


def test_a_database_of_the_first_version_keeps_what_it_has(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / OF_STORE)
    old.executescript(MIGRATIONS[0])
    old.execute("INSERT INTO item VALUES ('a1','yard',5,9,'alert',0.9,0.8,NULL,'null','[]',NULL,'ok')")
    old.execute("INSERT INTO item VALUES ('d1','yard',6,7,'detection',0.6,0.8,NULL,'null','[]',NULL,'ok')")
    old.execute("INSERT INTO block VALUES ('yard', 60.0, 59.5, '[0.2, null]', 'ok')")
    old.execute("INSERT INTO camera VALUES ('yard', 'ok', NULL, 0, 0, NULL)")
    old.execute("PRAGMA user_version = 1")
    old.commit()
    old.close()
    database = Database(tmp_path)
    assert [tuple(row) for row in database.rows("SELECT id, alerted, counted, model_sha FROM item ORDER BY id")] == [
        ("a1", 5.0, 0, ""),
        ("d1", None, 0, ""),
    ]
    assert [tuple(row) for row in database.rows("SELECT t, seconds, light, model_sha FROM block")] == [
        (60.0, 59.5, "day", "")
    ]
    control.judge(database, "a1", "true", 1.0)
    assert database.rows("PRAGMA user_version") == [(len(MIGRATIONS),)]
    database.close()

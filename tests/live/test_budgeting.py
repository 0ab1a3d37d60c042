"""The budget of a running camera: from its minutes to a threshold that keeps its promise, through restarts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherewhen.budget.blocks import BLOCK, DAY, BlockMaker, Blocks
from wherewhen.budget.tail import MOST
from wherewhen.core.config import build
from wherewhen.core.errors import ConfigError
from wherewhen.core.values import HeatMap, Prediction
from wherewhen.live.alerts import AlertConfig
from wherewhen.live.budgeting import BudgetConfig, CameraBudget, ModelRecord
from wherewhen.live.camera import CameraWatch
from wherewhen.live.control import judge, undo
from wherewhen.live.database import Database
from wherewhen.live.settings import WatchConfig, with_options

BEGIN = 20_000 * DAY
MODEL = ModelRecord("sha256:a", 0.5)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    one = Database(tmp_path)
    one.write("PRAGMA synchronous = OFF")  # a thousand cameras on a slow disk
    yield one
    one.close()


def minutes(peaks: np.ndarray, begin: float = BEGIN) -> Blocks:
    """Minutes without a gap, whose peaks are those of all durations unless they have columns."""
    rows = np.broadcast_to(peaks.reshape(len(peaks), -1), (len(peaks), 5))
    return Blocks(begin + np.arange(len(peaks)) * BLOCK, np.full(len(peaks), BLOCK), rows)


def budget(database: Database, per_day: float, camera: str = "gate", model: ModelRecord = MODEL, **more: Any) -> Any:
    config = BudgetConfig(per_day)
    return CameraBudget(database, camera, config, config.alerts(AlertConfig()), model, BEGIN, **more)


def test_the_bound_holds_for_95_of_100_cameras_at_their_first_promise(database: Database) -> None:
    """Uniform peaks: the true number of minutes in alarm a day is known for every threshold."""
    rng, per_day, count = np.random.default_rng(0), 200.0, 1000
    rates = []
    for number in range(count):
        one = budget(database, per_day, f"camera{number}")
        peaks = rng.random(22)
        assert one.held == "learning"
        one.store([minutes(peaks)], BEGIN)
        assert (one.level.method, one.held) == ("bound", None)
        rates.append(1440 * (1 - min(one.level.threshold, 1.0)))
    assert np.mean(np.array(rates) <= per_day) >= 0.95
    assert np.mean(rates) > per_day / 10, "not far too careful"
    assert database.rows("SELECT COUNT(*), MIN(method), MAX(upper) <= 200 FROM calibration") == [(count, "bound", 1)]


@dataclass
class Clock:
    """The time of day, as a test sets it."""

    at: float = BEGIN
    speed: float = 1.0

    def __call__(self) -> float:
        return self.at


@dataclass
class Scorer:
    """What a camera's process needs of a model."""

    alarm: float = 0.5


class Simulated:
    """A camera's process without pictures: one score a minute goes the way of all scores."""

    def __init__(self, folder: Path, per_day: float, **more: object) -> None:
        values = {"cameras": {"gate": {"url": "0", "budget": {"per_day": per_day, **more}}}, "model": "none"}
        self.clock = Clock()
        config = build(WatchConfig, values, "watch").of_cameras["gate"]
        self.watch = CameraWatch("gate", config, Scorer(), folder, ["kept"], [], self.clock)  # type: ignore[arg-type]
        self.watch._database = Database(folder)
        self.watch._begin()
        self.watch._seen = "ok"
        self.maker = BlockMaker()

    def see(self, scores: np.ndarray, minute: int) -> None:
        """Scores of successive minutes from one on."""
        start = BEGIN + minute * BLOCK
        for number, score in enumerate(scores):
            self.clock.at = start + (number + 1) * BLOCK
            frames = HeatMap(np.full((1, 1, 1), score), np.array([0.0, BLOCK]))
            self.watch._step(Prediction(frames=frames), self.clock.at - BLOCK, self.maker)

    def end(self) -> None:
        self.watch._database.close()

    @property
    def alerts(self) -> list[tuple[Any, ...]]:
        query = "SELECT severity, suppressed, COUNT(*) FROM item GROUP BY 1, 2 ORDER BY 1, 2"
        return [tuple(row) for row in self.watch._database.rows(query)]

    @property
    def level(self) -> float:
        return self.watch.budget._trackers["day"].level


def test_a_camera_learns_then_alerts_and_false_alarms_raise_its_threshold(tmp_path: Path) -> None:
    rng, camera = np.random.default_rng(3), Simulated(tmp_path, 20.0)
    usual = rng.beta(2, 8, 240)
    camera.see(np.where(np.arange(200) % 40 == 30, 0.9, usual[:200]), 0)
    assert {row[:2] for row in camera.alerts} == {("detection", None), ("detection", "learning")}, "nothing is sent"
    assert camera.alerts[-1][2] == 5
    standing = camera.watch.budget.standing(camera.watch.alerts.sent, camera.clock())
    assert standing["held"] == "learning"
    assert standing["missing_hours"] == pytest.approx((2.9958 / 20 - 180 / 1440) * 24, abs=0.01)
    camera.see(usual[200:], 200)
    assert camera.watch.budget.level.method == "bound"
    assert camera.watch.budget.level.threshold > 0.89
    first = camera.level
    camera.see(np.array([0.99, 0.1, 0.1]), 240)
    assert camera.alerts[0] == ("alert", None, 1)
    assert camera.level == pytest.approx(first + 1, abs=3.01 * 20 / 1440)
    assert camera.watch.alerts.raised > camera.watch.budget.level.threshold
    ((text,),) = camera.watch._database.rows("SELECT message_json FROM outbox ORDER BY id LIMIT 1")
    fields = json.loads(text)["after"]["wherewhen"]
    assert fields["budget"] == {"per_day": 20.0, "used_today": 1}
    assert 0 < fields["p_value"] < 0.01
    ((alert,),) = camera.watch._database.rows("SELECT id FROM item WHERE severity = 'alert'")
    judge(camera.watch._database, alert, "true", camera.clock())
    camera.watch._obey()
    assert camera.level == pytest.approx(first, abs=3.01 * 20 / 1440), "a confirmed alarm takes its step back"
    camera.end()


def test_a_restart_changes_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    scores = np.r_[rng.beta(2, 8, 240), rng.choice([0.1, 0.97], 60)]
    ends = [number for number in (241, 245, 252, 270, 271, 285) if scores[number - 1] == 0.1]  # no alert is open
    assert len(ends) > 1
    levels, messages = [], []
    for name, cuts in (("whole", []), ("parts", [100, *ends])):
        for begin, end in zip([0, *cuts], [*cuts, len(scores)], strict=True):
            camera = Simulated(tmp_path / name, 20.0)
            camera.see(scores[begin:end], begin)
            camera.watch.budget.store(camera.maker.close(), camera.clock())
            camera.watch._tell(camera.watch.alerts.gap(camera.clock()))
            levels.append(camera.level)
            rows = camera.watch._database.rows("SELECT alerted FROM item WHERE alerted IS NOT NULL ORDER BY 1")
            camera.end()
        messages.append([float(at) for (at,) in rows])
    assert levels[-1] == pytest.approx(levels[0])
    assert len(messages[0]) > 3
    assert messages[1] == messages[0]


@settings(max_examples=25)
@given(data=st.data())
def test_alarms_that_are_false_or_unjudged_stay_below_the_limit(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever the scores: verdicts may come late, change, and be withdrawn; the process may end at any time."""
    database = Database(tmp_path_factory.mktemp("any"))
    per_day, rng = 200.0, np.random.default_rng(data.draw(st.integers(0, 99)))
    model = ModelRecord("sha256:a", 0.8, {"method": "bound", "upper": per_day, "duration": 1.0})
    one = budget(database, per_day, model=model)
    one.store([minutes(rng.random(20))], BEGIN)
    first, numbers, undone = one._trackers["day"].level, [], 0
    events = data.draw(st.lists(st.sampled_from(["minute"] * 6 + ["true", "false", "undo", "restart"]), max_size=120))
    for number, event in enumerate(events):
        now = BEGIN + (20 + number) * BLOCK
        if event == "minute":
            score = float(rng.choice([0.3, 0.9, 1.0]))
            if score >= max(one.raised, one.level.threshold):
                row = (f"a{number}", "gate", now, now, "alert", score, 0.8, "[]", "ok", now, model.sha)
                columns = "id, camera, t0, t1, severity, score, threshold, zones_json, state, alerted, model_sha"
                database.write(f"INSERT INTO item({columns}) VALUES ({', '.join('?' * 11)})", *row)
                one.count_alarms(now)
            one.store([minutes(np.array([score]), now)], now)
        elif event == "restart":
            one = budget(database, per_day, model=model)
        elif event == "undo" and numbers:
            undo(database, numbers.pop(), now)
            undone += 1
        elif event != "undo" and (alarms := database.rows("SELECT id FROM item ORDER BY id")):
            numbers.append(judge(database, alarms[int(rng.integers(len(alarms)))][0], event, now))
        undone += event == "false"  # a confirmation that another verdict replaces is withdrawn too
        one.count_alarms(now)
        ((left,),) = database.rows("SELECT COUNT(*) FROM item WHERE counted = 1")
        days = (number + 1) * BLOCK / DAY
        assert left <= per_day * days + (MOST + 1 - first) + undone
    database.close()


def test_what_changes_the_scores_starts_again(database: Database) -> None:
    rng = np.random.default_rng(5)
    one = budget(database, 120.0, layout="a")
    one.store([minutes(rng.random(60), BEGIN - 3600)], BEGIN)
    assert one.level.method == "bound"
    assert budget(database, 120.0, layout="a").level.method == "bound"
    assert budget(database, 120.0, layout="a", model=ModelRecord("sha256:b", 0.5)).level.method == "model"
    assert budget(database, 120.0, layout="b").level.method == "model"
    assert budget(database, 120.0, layout="b").level.method == "model", "also after the next start"
    assert database.rows("SELECT * FROM tracker") == []


def test_day_and_infrared_are_apart_once_each_has_enough(database: Database) -> None:
    rng, one = np.random.default_rng(6), budget(database, 120.0)
    for light, scale in (("day", 0.5), ("ir", 1.0)):
        one.light = light
        one.store([minutes(scale * rng.random(40), BEGIN + 3600 * (light == "ir"))], BEGIN)
    assert one._levels["day"] is one._levels["ir"], "3.7 / 120 days are needed of each"
    for light, scale in (("day", 0.5), ("ir", 1.0)):
        one.light = light
        one.store([minutes(scale * rng.random(40), BEGIN + 7200 + 3600 * (light == "ir"))], BEGIN)
    one.recalibrate(BEGIN)
    assert one._levels["day"].threshold < 0.51 < 0.9 < one._levels["ir"].threshold
    assert one._levels["day"].calibration.confidence == pytest.approx(0.975)


def test_confirmed_events_are_no_false_alarms_and_choose_the_duration(database: Database) -> None:
    rng, one = np.random.default_rng(7), budget(database, 120.0)
    peaks = np.tile(0.5 * rng.random((120, 1)), (1, 5))
    peaks[:, :2] = rng.random((120, 2))  # short ones are often high
    peaks[50] = [0.9, 0.9, 0.8, 0.7, 0.2]
    one.store([Blocks(BEGIN + np.arange(120) * BLOCK, np.full(120, BLOCK), peaks)], BEGIN)
    assert one.level.duration == 1.0
    start = BEGIN + 50 * BLOCK
    columns = "id, camera, t0, t1, severity, score, threshold, zones_json, state"
    row = ("x", "gate", start + 5, start + 9, "detection", 0.9, 0.5, "[]", "ok")
    database.write(f"INSERT INTO item({columns}) VALUES ({', '.join('?' * 9)})", *row)
    number = judge(database, "x", "true", BEGIN)
    one.recalibrate(BEGIN)
    assert (one.level.duration, one.level.calibration.recall) == (2.0, 1.0)
    assert one.level.threshold < 0.7
    assert one.level.calibration.days == pytest.approx(119 / 1440)
    undo(database, number, BEGIN)
    one.recalibrate(BEGIN)
    assert one.level.duration == 1.0


def test_the_bound_of_a_run_folder_holds_until_the_camera_has_its_own(tmp_path: Path, database: Database) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "best.safetensors").write_bytes(b"weights")
    record = {"method": "bound", "upper": 4.7, "duration": 2.0}
    (tmp_path / "calibration.json").write_text(json.dumps(record))
    model = ModelRecord.of(str(tmp_path), 0.83)
    assert model.sha.startswith("sha256:")
    one = budget(database, 5.0, model=model)
    assert (one.level.threshold, one.level.duration, one.held) == (0.83, 2.0, None)
    one.store([minutes(np.random.default_rng(8).random(30))], BEGIN)
    assert (one.level.threshold, one.level.method) == (0.83, "run")
    assert budget(database, 4.0, model=model).held == "learning", "it is bounded for more alarms than wished"
    one.reset(model.at + 1, "another view")
    assert one.held == "learning", "it was calibrated for the view before"


def test_parts_of_a_minute_are_one_minute(database: Database) -> None:
    one = budget(database, 1.0)
    for seconds, peak in ((20.0, 0.7), (30.0, 0.4)):
        one.store(
            [Blocks(np.array([BEGIN]), np.array([seconds]), np.array([[peak, -np.inf, peak, peak, peak]]))], BEGIN
        )
    ((seconds, text),) = database.rows("SELECT seconds, peaks_json FROM block")
    assert (seconds, json.loads(text)) == (50.0, [0.7, None, 0.7, 0.7, 0.7])


@pytest.mark.parametrize(
    ("camera", "message"),
    [
        ({"budget": {"per_day": 0}}, "above 0"),
        ({"budget": {"confidence": 2}}, "confidence"),
        ({"budget": {"learning": "guess"}}, "hold, send"),
        ({"budget": {}, "alerts": {"threshold": 0.7}}, "budget chooses"),
        ({"budget": {}, "alerts": {"cooldown_seconds": 10}}, "at least 60"),
    ],
)
def test_settings_that_a_budget_can_not_have_are_errors(camera: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(WatchConfig, {"cameras": {"gate": {"url": "0", **camera}}, "model": "m"}, "watch")


def test_a_camera_changes_single_settings_of_the_budget_of_all() -> None:
    values = {
        "model": "m", "budget": {"per_day": 2, "learning": "send"},
        "cameras": {"a": "0", "b": {"url": "1", "budget": {"per_day": 3}}, "c": {"url": "2", "budget": None}},
    }  # fmt: skip
    cameras = build(WatchConfig, values, "watch").of_cameras
    assert cameras["a"].budget == BudgetConfig(2.0, learning="send")
    assert cameras["b"].budget == BudgetConfig(3.0, learning="send")
    assert cameras["c"].budget is None
    cameras = build(WatchConfig, with_options(values, alarms_per_day=0.5), "watch").of_cameras
    assert {one.budget.per_day for one in cameras.values() if one.budget} == {0.5}
    assert cameras["b"].budget is not None
    assert BudgetConfig(0.5).alerts(AlertConfig()).a_day == 3, "the hard cap"

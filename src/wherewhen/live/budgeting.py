"""The budget of a running camera: minutes stored, a threshold calibrated from them, and raised by false alarms."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from wherewhen.budget.blocks import BLOCK, DAY, Blocks
from wherewhen.budget.bounds import CONFIDENCE, days_for
from wherewhen.budget.calibration import Calibration, calibrate
from wherewhen.budget.tail import LEAST, Tail
from wherewhen.budget.tracker import Tracker
from wherewhen.core.documents import json_of, read_json
from wherewhen.core.errors import ConfigError
from wherewhen.core.extents import TICK
from wherewhen.core.values import Floats
from wherewhen.live.alerts import Alert, AlertConfig, Alerts, Reason
from wherewhen.live.database import Database
from wherewhen.live.minutes import Minutes, Statement
from wherewhen.live.picture_state import Light
from wherewhen.review.judged import CONFIRMED
from wherewhen.review.runs import sha_of

log = logging.getLogger("wherewhen")

SOON, DAILY = 20, 1440  # new minutes after which a camera is calibrated again: before there is a promise, and then
LIGHTS: tuple[Light, ...] = ("day", "ir")


@dataclass(frozen=True)
class BudgetConfig:
    """At most so many false alarms a day of a camera, from its own minutes.

    Args:
        per_day: false alarms a day, at most.
        confidence: of the bound.
        learning: until there is enough footage for a promise: hold sends no alerts, send sends those of the
            extrapolated threshold.
        step: by how much a false alarm raises the threshold, as -log10 of the share of minutes that reach it.
    """

    per_day: float = 1.0
    confidence: float = CONFIDENCE
    learning: Literal["hold", "send"] = "hold"
    step: float = 1.0

    def __post_init__(self) -> None:
        for name, value in (("per_day", self.per_day), ("step", self.step)):
            if not 0 < value < math.inf:
                raise ConfigError(f"budget.{name}: expected a number above 0, got {value}")
        if not 0.5 <= self.confidence < 1:
            raise ConfigError(f"budget.confidence: expected a number from 0.5 to below 1, got {self.confidence}")

    def alerts(self, config: AlertConfig) -> AlertConfig:
        """Settings of alerts with the hard cap; ConfigError for those that the budget chooses."""
        if config.threshold is not None or config.duration != AlertConfig.duration:
            raise ConfigError("alerts: the budget chooses threshold and duration; leave them out, or the budget")
        if config.cooldown_seconds < BLOCK:
            raise ConfigError(
                f"alerts.cooldown_seconds: expected at least {BLOCK:g} with a budget, which counts one alarm a minute, "
                f"got {config.cooldown_seconds:g}"
            )
        return config if config.a_day is not None else replace(config, a_day=math.ceil(5 * self.per_day))


@dataclass(frozen=True)
class ModelRecord:
    """What is known of a model: checksum of its file, threshold, and calibration record of its run folder.

    ``at``: when it was calibrated, in seconds since 1970.
    """

    sha: str
    threshold: float
    calibration: Mapping[str, Any] | None = None
    at: float = 0.0

    @classmethod
    def of(cls, run: str | None, threshold: float) -> ModelRecord:
        """The record of a run folder, or of a weights file; without a checksum where there is no file."""
        folder = Path(run or "")
        file = folder / "calibration.json"
        calibration, at = (read_json(file), file.stat().st_mtime) if file.is_file() else (None, 0.0)
        return cls(sha_of(folder), threshold, calibration, at)

    def promise(self, per_day: float, baseline: float) -> tuple[float, float] | None:
        """Threshold and duration of a calibration since ``baseline`` that is bounded within so many alarms a day."""
        record = self.calibration or {}
        if record.get("method") != "bound" or record.get("upper", math.inf) > per_day or self.at < baseline:
            return None
        return self.threshold, float(record["duration"])


@dataclass(frozen=True)
class Level:
    """When alerts begin in one kind of light, and what that rests on.

    ``method``: *model* (its threshold), *run* (the bound of its run folder), *extrapolated* or *bound*.
    """

    threshold: float
    duration: float
    method: Literal["model", "run", "extrapolated", "bound"]
    calibration: Calibration | None = None
    tail: Tail | None = None


class CameraBudget:
    """The budget of one camera: one object in its process, which keeps all that it knows in the database.

    Args:
        database: of the service.
        camera: name of the camera.
        config: budget; None: the threshold is that of the model or of the settings, and minutes are stored only.
        alerts: settings of its alerts.
        model: what scores it.
        now: seconds since 1970.
        layout: masks and zones; other ones than before reset the budget.
    """

    def __init__(
        self, database: Database, camera: str, config: BudgetConfig | None, alerts: AlertConfig, model: ModelRecord,
        now: float, layout: str = "",
    ) -> None:  # fmt: skip
        self.database, self.camera, self.config, self.alerts, self.model = database, camera, config, alerts, model
        self.light: Light = "day"
        self._detection = alerts.detection
        self._minutes = Minutes(database, camera, model.sha)
        self._trackers: dict[Light, Tracker] = {}
        self._levels: dict[Light, Level] = {}
        database.write("INSERT OR IGNORE INTO control(camera, layout) VALUES (?, ?)", camera, layout)
        ((before, baseline),) = database.rows("SELECT layout, baseline_at FROM control WHERE camera = ?", camera)
        database.write("UPDATE control SET layout = ? WHERE camera = ?", layout, camera)
        self.baseline: float = baseline
        if before in ("", layout):  # empty: another machine or a user was first, and said nothing of it
            self.recalibrate(now, self._last_minute())
        else:
            self.reset(now, "masks or zones changed")

    @property
    def level(self) -> Level:
        """When alerts begin in the present light."""
        return self._levels[self.light]

    @property
    def held(self) -> Reason | None:
        """Why no alert is sent at all."""
        if self.config is None or self.level.method in ("run", "bound"):
            return None
        return "learning" if self.level.method == "model" or self.config.learning == "hold" else None

    def tune(self, alerts: Alerts, light: Light) -> None:
        """Let alerts begin where the budget says, in a kind of light."""
        self.light, level = light, self.level
        detection = self.alerts.detection
        if self.held:  # all that the model finds is kept for review
            detection = min(self.model.threshold, level.threshold if detection is None else detection)
        if (level.threshold, level.duration, detection) != (alerts.threshold, alerts.duration, self._detection):
            alerts.tune(level.threshold, level.duration, detection)
        self._detection, alerts.raised = detection, self.raised

    @property
    def raised(self) -> float:
        """The score that an alert must reach now: the threshold, or more after false alarms."""
        tracker = self._trackers.get(self.light)
        if tracker is None or self.level.tail is None or tracker.level <= tracker.floor:
            return self.level.threshold
        return max(self.level.threshold, self.level.tail.score(tracker.level))

    def store(self, blocks: Iterable[Blocks], now: float) -> None:
        """Store finished minutes in state ok, let the threshold fall with them, and calibrate again when it is time."""
        statements = []
        for block in blocks:
            for start, seconds, peaks in zip(block.starts, block.seconds, block.peaks, strict=True):
                if seconds > TICK:
                    statements.append(self._minutes.row(float(start), float(seconds), peaks, self.light))
                    self._fresh += 1
                    if self.light in self._trackers:
                        self._trackers[self.light].elapse(float(seconds))
        if not statements:
            return
        self.database.write_all([*statements, *self._tracker_rows(now)])
        is_sure = self.level.method == "bound"
        if self.config is not None and self._fresh >= (DAILY if is_sure else SOON):
            self.recalibrate(now)

    def count_alarms(self, now: float) -> None:
        """Raise the threshold for alerts that are new, false or unjudged; take it back for those confirmed since."""
        query = """
            SELECT id, light, counted, (
                SELECT verdict FROM verdict WHERE item = item.id AND undone_at IS NULL ORDER BY id DESC LIMIT 1
            ) FROM item WHERE camera = ? AND alerted >= ? AND model_sha = ? ORDER BY alerted
        """
        rows = self.database.rows(query, self.camera, self.baseline, self.model.sha)
        every = [(id, light, int(verdict not in CONFIRMED), counted) for id, light, counted, verdict in rows]
        changed = [row for row in every if row[2] != row[3] and row[1] in self._trackers]
        if not changed:
            return
        levels = {light: tracker.level for light, tracker in self._trackers.items()}
        for _, light, counts, counted in changed:
            self._trackers[light].count(counts - counted)
        statements = [("UPDATE item SET counted = ? WHERE id = ?", (counts, id)) for id, _, counts, _ in changed]
        if not self.database.write_all([*statements, *self._tracker_rows(now)]):  # a full disk: once more later
            for light, level in levels.items():
                self._trackers[light].level = level

    def reset(self, now: float, reason: str) -> None:
        """Forget the minutes so far: they say nothing about what the camera sees from now on."""
        log.warning("%s: %s; its budget begins again", self.camera, reason)
        self.baseline = now
        self.database.write_all(
            [
                ("UPDATE control SET baseline_at = ? WHERE camera = ?", (now, self.camera)),
                ("DELETE FROM tracker WHERE camera = ?", (self.camera,)),
            ]
        )
        self._trackers.clear()
        self.recalibrate(now)

    def recalibrate(self, now: float, last: float = math.inf) -> None:
        """Choose the threshold from all minutes since the last reset, up to the one that starts at ``last``."""
        self._fresh = 0
        if self.config is None:
            threshold = self.model.threshold if self.alerts.threshold is None else self.alerts.threshold
            self._levels = dict.fromkeys(LIGHTS, Level(threshold, self.alerts.duration, "model"))
            return
        before, self._levels = self._levels, self._chosen(last)
        for light, level in self._levels.items():
            self._track(light, level)
        if last == math.inf:
            self._note(now)
        else:  # an earlier run calibrated there, and goes on
            self._fresh = self._minutes.after(last)
        if not before or before["day"].method != self._levels["day"].method:
            for line in self._lines(self.level):
                log.info("%s: %s", self.camera, line)
        if self.level.threshold > 1:
            log.warning(
                "%s: scores are the highest possible more often than %g times a day: nothing can be told apart from "
                "them, and no alert is sent; adapt the model to this camera (wherewhen adapt)",
                self.camera, self.config.per_day,
            )  # fmt: skip

    def standing(self, sent: tuple[int, int], now: float) -> dict[str, Any]:
        """What the budget allows and promises now; ``sent``: day and number of alerts of that day."""
        if self.config is None:
            return {}
        calibration = self.level.calibration
        used = sent[1] if sent[0] == int(now // DAY) else 0
        return {
            "per_day": self.config.per_day, "used_today": used, "method": self.level.method, "held": self.held,
            "upper": None if calibration is None else calibration.upper,
            "missing_hours": round(self.missing_hours, 2), "threshold": self.level.threshold,
            "raised": self.raised if math.isfinite(self.raised) else None,
        }  # fmt: skip

    @property
    def missing_hours(self) -> float:
        """Hours of footage that a promise still needs."""
        if self.config is None or self.level.method == "bound":
            return 0.0
        calibration = self.level.calibration
        if calibration is None:
            return days_for(self.config.per_day, self.config.confidence) * 24
        return calibration.missing_hours

    def payload(self, alert: Alert, sent: tuple[int, int]) -> dict[str, Any]:
        """What an alert says of model and budget; ``p_value``: share of minutes that reach its score."""
        tail = self.level.tail
        fields: dict[str, Any] = {
            "model": self.model.sha or None,
            "p_value": None if tail is None else float(f"{10 ** -tail.rarity(alert.top_score):.3g}"),
        }
        if self.config is not None:
            fields["budget"] = {"per_day": self.config.per_day, "used_today": sent[1]}
        return fields

    def _last_minute(self) -> float:
        """The last minute that an earlier run calibrated with for the same budget; infinite where there is none."""
        query = "SELECT record_json FROM calibration WHERE camera = ? AND model_sha = ? AND at >= ? ORDER BY id DESC"
        for (text,) in self.database.rows(f"{query} LIMIT 1", self.camera, self.model.sha, self.baseline):
            record = json_of(text)
            if self.config is not None and record["budget"] == asdict(self.config):
                return float(record["last"])
        return math.inf

    def _chosen(self, last: float) -> dict[Light, Level]:
        """The level of each light: apart where the minutes of both are enough for a promise, which share its error."""
        assert self.config is not None
        minutes = {light: self._minutes.of(light, self.baseline, last) for light in LIGHTS}
        share = 1 - (1 - self.config.confidence) / len(LIGHTS)
        if all(blocks.days >= days_for(self.config.per_day, share) for blocks, _ in minutes.values()):
            return {light: self._level(*minutes[light], share) for light in LIGHTS}
        every = Blocks.joined([blocks for blocks, _ in minutes.values()])
        confirmed = np.concatenate([events for _, events in minutes.values()])
        return dict.fromkeys(LIGHTS, self._level(every, confirmed, self.config.confidence))

    def _level(self, blocks: Blocks, confirmed: Floats, confidence: float) -> Level:
        assert self.config is not None
        promise = self.model.promise(self.config.per_day, self.baseline)
        if len(blocks.starts) < LEAST:
            threshold, duration = promise or (self.model.threshold, self.alerts.duration)
            return Level(threshold, duration, "run" if promise else "model")
        settings: dict[str, Any] = {"cap": self.alerts.a_day, "confidence": confidence}
        calibration = calibrate(blocks, self.config.per_day, confirmed=confirmed, **settings)
        if calibration.method == "extrapolated":  # one duration needs less footage than the choice among several
            calibration = calibrate(blocks, self.config.per_day, **settings)
        is_run = calibration.method == "extrapolated" and promise is not None
        threshold, duration = promise if is_run and promise else (calibration.threshold, calibration.duration)
        tail = Tail.of(blocks.peaks[:, blocks.durations.index(duration)])
        return Level(threshold, duration, "run" if is_run else calibration.method, calibration, tail)

    def _track(self, light: Light, level: Level) -> None:
        """The tracker of a light begins with the first calibration, and goes on with each later one."""
        assert self.config is not None
        if level.tail is None:
            return
        floor = level.tail.rarity(min(level.threshold, 1.0))
        tracker = self._trackers.get(light)
        if tracker is not None:
            tracker.floor = floor
            tracker.elapse(0.0)
            return
        query = "SELECT level FROM tracker WHERE camera = ? AND light = ? AND model_sha = ?"
        rows = self.database.rows(query, self.camera, light, self.model.sha)
        stored = float(rows[0][0]) if rows else floor
        self._trackers[light] = Tracker(floor, self.config.per_day, self.config.step, stored)

    def _tracker_rows(self, now: float) -> list[Statement]:
        return [
            ("INSERT OR REPLACE INTO tracker VALUES (?, ?, ?, ?, ?)", row)
            for light, tracker in self._trackers.items()
            for row in [(self.camera, light, self.model.sha, tracker.level, now)]
        ]

    def _note(self, now: float) -> None:
        """Store the calibrations; of those without a promise only the last one is kept."""
        assert self.config is not None
        newest = self._minutes.newest()
        apart = self._levels["day"] is not self._levels["ir"]
        statements: list[Statement] = [
            ("DELETE FROM calibration WHERE camera = ? AND method != 'bound'", (self.camera,))
        ]
        for name, level in self._levels.items() if apart else [("all", self._levels["day"])]:
            if (record := level.calibration) is None:
                continue
            plain = {**record.plain(), "promise": self._lines(level), "budget": asdict(self.config), "last": newest}
            row = {
                "camera": self.camera, "light": name, "model_sha": self.model.sha, "at": now,
                "hours": record.days * 24, "budget": record.per_day, "threshold": level.threshold,
                "min_duration": level.duration, "count": record.count, "upper": record.upper, "method": level.method,
                "record_json": json.dumps(plain),
            }  # fmt: skip
            insertion = f"INSERT INTO calibration({', '.join(row)}) VALUES ({', '.join('?' * len(row))})"
            statements.append((insertion, tuple(row.values())))
        self.database.write_all(statements)

    def _lines(self, level: Level) -> list[str]:
        """What is promised, in words."""
        if level.method == "run":
            return [f"threshold {level.threshold:.4g} for {level.duration:g} s: that of the model's own calibration"]
        return level.calibration.lines() if level.calibration is not None else []


def sent_before(database: Database, camera: str, now: float) -> tuple[float, int, int]:
    """What earlier runs sent: the end of the last alert, the present day since 1970, and how many it had so far."""
    day = int(now // DAY)
    query = """
        SELECT MAX(COALESCE(t1, alerted)), COALESCE(SUM(alerted >= ?), 0)
        FROM item WHERE camera = ? AND alerted <= ?
    """
    ((last, count),) = database.rows(query, day * DAY, camera, now)
    return -math.inf if last is None else float(last), day, int(count)

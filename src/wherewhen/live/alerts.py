"""Alerts of a camera: from scores, as they come, to the beginning, changes and end of an alert."""

from __future__ import annotations

import secrets
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import numpy as np

from wherewhen.budget.blocks import DAY, Lasting
from wherewhen.core.contracts.sinks import Kind
from wherewhen.core.values import Features, Scores
from wherewhen.live.picture_state import State
from wherewhen.live.zones import Polygon, of_box

SCHEMA = 1
Severity = Literal["alert", "detection"]
Reason = Literal["state", "learning", "schedule", "zone", "snooze", "cooldown", "budget", "cap"]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class AlertConfig:
    """When an alert begins and ends.

    Args:
        threshold: score at which an alert begins; null: that of the model.
        duration: seconds that the score must last.
        detection: lower score from which an event is stored, without a message; null: none.
        keep: share of the threshold below which an alert does not last.
        gap_seconds: a shorter pause doesn't end an alert.
        cooldown_seconds: time after the end of an alert that was sent in which no other one is sent.
        update_seconds: time between two messages about the progress of an alert.
        a_day: most alerts that are sent in a day; null: no limit.
    """

    threshold: float | None = None
    duration: float = 1.0
    detection: float | None = None
    keep: float = 0.8
    gap_seconds: float = 2.0
    cooldown_seconds: float = 60.0
    update_seconds: float = 10.0
    a_day: int | None = None


@dataclass(frozen=True)
class Alert:
    """An alert of a camera: times in seconds since 1970.

    ``box`` x0 y0 x1 y1 in fractions, and ``heat`` ``(h, w)`` in [0, 1], are those at the highest score.
    """

    id: str
    camera: str
    start: float
    last: float
    score: float
    top_score: float
    box: Box | None
    severity: Severity
    threshold: float
    zones: tuple[str, ...] = ()
    entered: tuple[str, ...] = ()
    end: float | None = None
    state: State = "ok"
    suppressed: Reason | None = None
    sent_at: float | None = None
    heat: Features | None = field(default=None, compare=False, repr=False)

    def plain(
        self, size: tuple[int, int], *, snapshot: bool = False, clip: bool = False, **more: Any
    ) -> dict[str, Any]:
        """The alert in Frigate's fields, and the toolkit's own below ``wherewhen``; ``size``: width, height in pixels.

        ``more``: further fields of the toolkit.
        """
        box = self.box or (0.0, 0.0, 1.0, 1.0)
        fields = {
            "schema": SCHEMA, "box_rel": [round(side, 4) for side in box], "frame_size": list(size),
            "threshold": self.threshold, "duration": (self.end or self.last) - self.start, "camera_state": self.state,
            "verdict": None, **more,
        }  # fmt: skip
        return {
            "id": self.id, "camera": self.camera, "label": "anomaly", "sub_label": None, "frame_time": self.last,
            "start_time": self.start, "end_time": self.end, "score": self.score, "top_score": self.top_score,
            "false_positive": False, "box": [round(side * size[number % 2]) for number, side in enumerate(box)],
            "current_zones": list(self.zones), "entered_zones": list(self.entered), "thumbnail": None,
            "has_snapshot": snapshot, "has_clip": clip, "severity": self.severity, "wherewhen": fields,
        }  # fmt: skip


class Change(NamedTuple):
    """What happened to an alert; ``before`` is None at its beginning."""

    kind: Kind
    before: Alert | None
    alert: Alert


@dataclass
class Alerts:
    """The alerts of one camera, from its scores in order of time.

    An alert begins where the score has been at the threshold for ``duration`` seconds, and ends where it has been below
    ``keep`` of it for ``gap_seconds``. One that may not be sent (`Reason`) stays a detection, which gives its end only.
    The pause after an alert counts only from one that was sent. ``required``: zones in which an alert must have been.
    ``silent``: zones that are not alerted for now; None among them: the whole picture. ``raised``: score that an alert
    must reach to be sent, where false alarms have used up the budget.
    """

    camera: str
    threshold: float
    config: AlertConfig = field(default_factory=AlertConfig)
    zones: Mapping[str, Polygon] = field(default_factory=dict)
    required: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.alert: Alert | None = None
        self.quiet_until = -np.inf
        self.sent = (0, 0)  # day, and number of alerts of that day
        self.silent: frozenset[str | None] = frozenset()
        self.raised = -np.inf
        self._updated_at = -np.inf
        self.tune(self.threshold, self.config.duration, self.config.detection)

    def tune(self, threshold: float, duration: float, detection: float | None) -> None:
        """Change when alerts begin, see `AlertConfig`; an open one ends as it would have."""
        self.threshold, self.duration = threshold, duration
        self.level = min(threshold, threshold if detection is None else detection)
        self.lasting = Lasting(duration)
        self._above: tuple[float, float] | None = None  # since when, and the highest score since

    def sent_before(self, last: float, day: int, count: int) -> None:
        """What an earlier run sent: the end of its last alert, and the number of alerts of a day."""
        self.quiet_until, self.sent = last + self.config.cooldown_seconds, (day, count)

    def __call__(
        self, start: float, end: float, score: float, boxes: Scores | None, state: State = "ok",
        held: Reason | None = None, heat: Features | None = None,
    ) -> Iterator[Change]:  # fmt: skip
        """Add a step of time in seconds since 1970; gives the changes that it makes.

        ``held``: why no alerts are sent now, such as the schedule. ``heat``: the scores of the step by place.
        """
        self._above = (
            None
            if score < self.level
            else (start, score)
            if self._above is None
            else (self._above[0], max(score, self._above[1]))
        )
        lasts, best = self.lasting(start, end, score), _best(boxes)
        if self.alert is None and lasts >= self.level:
            began, top = self._above or (start, score)
            fields = (end, score, top, best, "detection", self.threshold)
            self.alert = Alert(new_id(began), self.camera, began, *fields, state=state, heat=heat)  # type: ignore[arg-type]
            self._ends_below = self.level * self.config.keep
        elif self.alert is None:
            return
        elif score < self._ends_below:
            if end - self.alert.last >= self.config.gap_seconds:
                yield from self._closed(self.alert.last)
            return
        before, self.alert = self.alert, self._extended(self.alert, end, score, best, state, heat)
        if self.alert.severity == "detection":
            if lasts >= self.threshold:
                yield from self._sent(self.alert, end, held or self._against(self.alert, end, state, lasts))
        elif end - self._updated_at >= self.config.update_seconds:
            self._updated_at = end
            yield Change("update", before, self.alert)

    @property
    def is_sending(self) -> bool:
        """Whether an alert that was sent is open."""
        return self.alert is not None and self.alert.severity == "alert"

    @property
    def idle(self) -> bool:
        """Whether no alert is open, and none is about to begin."""
        return self.alert is None and self._above is None

    def gap(self, at: float) -> Iterator[Change]:
        """The stream was interrupted: an open alert ends, and what lasts begins again."""
        self.lasting.reset()
        self._above = None
        yield from self._closed(at)

    def _extended(
        self, alert: Alert, end: float, score: float, best: Box | None, state: State, heat: Features | None
    ) -> Alert:
        zones = tuple(of_box(best, self.zones)) if best is not None else alert.zones
        box = best if best is not None and (alert.box is None or score >= alert.top_score) else alert.box
        return replace(
            alert, last=end, score=score, top_score=max(score, alert.top_score), box=box, zones=zones,
            entered=tuple(dict.fromkeys((*alert.entered, *zones))), state=state,
            heat=heat if score >= alert.top_score else alert.heat,
        )  # fmt: skip

    def _sent(self, alert: Alert, at: float, reason: Reason | None) -> Iterator[Change]:
        """The beginning of an alert, unless something is against it."""
        if reason is not None:
            self.alert = replace(alert, suppressed=reason)
            return
        day = int(at // DAY)
        self.sent = (day, self.sent[1] + 1 if self.sent[0] == day else 1)
        self.alert, self._updated_at = replace(alert, severity="alert", suppressed=None, sent_at=at), at
        yield Change("new", None, self.alert)

    def _against(self, alert: Alert, at: float, state: State, lasts: float) -> Reason | None:
        """Why an alert may not be sent."""
        entered = set(alert.entered) & set(self.required or alert.entered)
        sent = self.sent[1] if self.sent[0] == int(at // DAY) else 0
        reasons: dict[Reason, bool] = {
            "state": state in ("moved", "ir_switch"),
            "zone": bool(self.required) and not entered,
            "snooze": None in self.silent or (bool(entered) and entered <= self.silent),
            "cooldown": at < self.quiet_until,
            "budget": lasts < self.raised,
            "cap": self.config.a_day is not None and sent >= self.config.a_day,
        }
        return next((reason for reason, holds in reasons.items() if holds), None)

    def _closed(self, at: float) -> Iterator[Change]:
        alert, self.alert = self.alert, None
        if alert is None:
            return
        if alert.severity == "alert":
            self.quiet_until = alert.last + self.config.cooldown_seconds
        yield Change("end", alert, replace(alert, end=max(at, alert.last)))


def _best(boxes: Scores | None) -> Box | None:
    """The box with the highest score."""
    if boxes is None or not len(boxes.values):
        return None
    x0, y0, x1, y1 = (float(side) for side in boxes.extents[int(boxes.values.argmax()), 2:])
    return x0, y0, x1, y1


def new_id(start: float) -> str:
    """A new name of what begins at a moment in seconds since 1970, by which a store sorts its files."""
    letters = string.ascii_lowercase + string.digits
    return f"{start:.6f}-{''.join(secrets.choice(letters) for _ in range(6))}"

"""Alerts from scores: when they begin, what they say, and why some are not sent."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherewhen.core.values import Scores
from wherewhen.live.alerts import AlertConfig, Alerts, Change

STEP = 0.5


def watched(
    scores: Sequence[float], alerts: Alerts, boxes: Scores | None = None, begin: float = 1000.0
) -> list[Change]:
    changes = []
    for number, score in enumerate(scores):
        start = begin + number * STEP
        changes += list(alerts(start, start + STEP, score, boxes))
    return changes


def alerts(**settings: object) -> Alerts:
    return Alerts("yard", 0.5, AlertConfig(**settings))  # type: ignore[arg-type]


@given(st.lists(st.sampled_from([0.1, 0.45, 0.6, 0.9]), max_size=80), st.sampled_from([0.5, 1.0, 2.0]))
def test_every_alert_begins_lasts_and_ends_once(scores: list[float], duration: float) -> None:
    one = alerts(duration=duration, cooldown_seconds=3.0)
    changes = [*watched(scores, one), *one.gap(1000 + len(scores) * STEP)]
    by_id: dict[str, list[Change]] = {}
    for change in changes:
        by_id.setdefault(change.alert.id, []).append(change)
    sent = [chain for chain in by_id.values() if chain[-1].alert.severity == "alert"]
    for chain in sent:
        assert [change.kind for change in chain if change.kind != "update"] == ["new", "end"]
        first, last = chain[0].alert, chain[-1].alert
        number = round((first.start - 1000) / STEP)
        lasting = scores[number : number + round(duration / STEP)]
        assert min(lasting) >= 0.5
        assert len(lasting) * STEP >= duration - 1e-9
        assert last.end is not None
        assert first.start < last.last <= last.end
        assert last.top_score == max(scores[number : round((last.last - 1000) / STEP)])
    for before, after in pairwise(sent):
        assert after[0].alert.last - before[-1].alert.last >= 3.0
    for chain in by_id.values():
        if chain not in sent:
            assert [change.kind for change in chain] == ["end"]


def test_a_score_that_does_not_last_is_no_alert() -> None:
    assert watched([0.1, 0.9, 0.1, 0.9, 0.1], alerts(duration=1.0)) == []


def test_what_was_not_sent_starts_no_pause() -> None:
    one = Alerts(
        "yard", 0.5, AlertConfig(duration=0.5, cooldown_seconds=60), {"gate": ((0, 0), (1, 0), (1, 1))}, ("gate",)
    )
    away = Scores(np.array([[0, 1, 0.0, 0.8, 0.1, 0.9]]), np.array([0.9]))
    near = Scores(np.array([[0, 1, 0.6, 0.1, 0.8, 0.3]]), np.array([0.9]))
    quiet = [0.0] * 10
    first = watched([0.9, 0.9, *quiet], one, away)
    assert [(change.kind, change.alert.suppressed) for change in first] == [("end", "zone")]
    second = watched([0.9, 0.9, *quiet], one, near, 1010.0)
    assert [change.kind for change in second] == ["new", "end"]
    assert second[0].alert.entered == ("gate",)
    third = watched([0.9, 0.9, *quiet], one, near, 1020.0)
    assert [(change.kind, change.alert.suppressed) for change in third] == [("end", "cooldown")]


@pytest.mark.parametrize(("state", "sent"), [("ok", 1), ("dark", 1), ("moved", 0), ("ir_switch", 0)])
def test_a_camera_that_moved_or_switches_to_infrared_sends_nothing(state: str, sent: int) -> None:
    one = alerts(duration=0.5)
    changes = [c for n in range(4) for c in one(n * STEP, (n + 1) * STEP, 0.9, None, state)]  # type: ignore[arg-type]
    assert len([change for change in changes if change.kind == "new"]) == sent


def test_a_day_has_a_limit() -> None:
    one = alerts(duration=0.5, cooldown_seconds=0.0, a_day=2)
    changes = watched([0.9, 0.9, 0, 0, 0, 0, 0, 0] * 5, one)
    assert len([change for change in changes if change.kind == "new"]) == 2
    assert {change.alert.suppressed for change in changes if change.alert.severity == "detection"} == {"cap"}
    later = watched([0.9, 0.9], one, begin=1000 + 86400.0)
    assert [change.kind for change in later] == ["new"]


def test_lower_scores_are_stored_as_detections_and_become_alerts() -> None:
    one = alerts(duration=0.5, detection=0.3)
    changes = watched([0.4, 0.4, 0.7, 0.7, *[0.0] * 8], one)
    assert [change.kind for change in changes] == ["new", "end"]
    assert changes[0].alert.start == 1000.0
    assert [c.kind for c in watched([0.4, 0.4, *[0.0] * 8], one, begin=2000.0)] == ["end"]


def test_an_alert_has_the_fields_of_frigate() -> None:
    boxes = Scores(np.array([[0, 1, 0.25, 0.5, 0.5, 0.75]]), np.array([0.9]))
    (new,) = watched([0.9], alerts(duration=0.5), boxes)
    plain = new.alert.plain((640, 480), snapshot=True, latency=1.5)
    assert plain["box"] == [160, 240, 320, 360]
    assert (plain["label"], plain["has_snapshot"], plain["start_time"]) == ("anomaly", True, 1000.0)
    assert plain["wherewhen"]["latency"] == 1.5

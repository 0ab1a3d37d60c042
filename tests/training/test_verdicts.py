"""Verdicts as weak labels: spans, places, shares of draws, and what is held out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherewhen.core import extents as ext
from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Bag, Instances, Video
from wherewhen.inference.camera_normalizer import CameraNormalizer
from wherewhen.inference.normalizer import Normalizer
from wherewhen.inference.running_normalizer import with_past
from wherewhen.review.judged import Judged
from wherewhen.training.batches import Batches
from wherewhen.training.verdicts import HARD, OFTEN, WeakLabel, between, draws, in_place, is_held_out, weak_labels


def item(verdict: str, **more: Any) -> Judged:
    values: dict[str, Any] = {
        "id": "a", "camera": "yard", "verdict": verdict, "footage": Path("a.mp4"), "start": 10.0, "end": 12.0,
        "box": None, "shown_box": (0.0, 0.0, 0.5, 0.5), "category": None, "cluster": None, "source": "alert",
        "at": 1.0, "hour": "2026-11-30T04", **more,
    }  # fmt: skip
    return Judged(**values)


def label(number: int, is_event: bool = False, cluster: int | None = None) -> WeakLabel:
    return WeakLabel(f"{number}", "yard", Path("a"), int(is_event), 0, 1, (0, 1), cluster=cluster)


@pytest.mark.parametrize(
    ("verdict", "span", "known"),
    [("false", (9, 13), 0), ("true", (8, 14), 1), ("wrong_place", (8, 14), 1), ("missed", (10, 12), 1)],
)
def test_the_bag_of_a_verdict_is_its_span_with_a_margin(verdict: str, span: tuple[float, float], known: int) -> None:
    (weak,) = weak_labels([item(verdict), item("unsure")])
    assert (weak.span, weak.label, weak.start, weak.end) == (span, known, 10, 12)
    (first,) = weak_labels([item(verdict, start=-0.5, end=0.5)])
    assert first.span[0] == first.start == 0
    assert weak.video(weak.span).category is None
    with pytest.raises(ConfigError, match="verdict"):
        weak_labels([item("maybe")])


def test_a_class_is_that_of_the_event_only() -> None:
    event, alarm = weak_labels([item("true", category="fight"), item("false", category="fight")])
    assert event.video(event.span).category == "fight" and alarm.video(alarm.span).category is None


def cells(steps: int = 4, rows: int = 2) -> Instances:
    extents = ext.grid([0, steps, 0, 0, 1, 1], (steps, rows, rows))
    return Instances(np.ones((len(extents), 3), np.float32), extents, shape=(steps, rows, rows))


def test_a_click_keeps_what_it_touches_and_a_wrong_box_leaves_out_what_is_inside() -> None:
    right, wrong = (0.6, 0.6, 0.1, 0.1), (0.0, 0.0, 0.5, 0.5)
    (clicked,) = weak_labels([item("wrong_place", box=right)])
    held = in_place(cells(), clicked).features.any(1).reshape(4, 2, 2)
    assert held[:, 1, 1].all() and held.sum() == 4
    (boxed,) = weak_labels([item("wrong_place", shown_box=wrong)])
    held = in_place(cells(), boxed).features.any(1).reshape(4, 2, 2)
    assert not held[:, 0, 0].any() and held.sum() == 12
    for verdict in ("true", "false", "missed"):  # a place is no reason to leave anything out here
        (other,) = weak_labels([item(verdict, box=right)])
        assert in_place(cells(), other).features.all()
    whole = cells(rows=1)
    assert in_place(whole, boxed) is whole, "one cell for the whole picture: nothing would be left"


@pytest.mark.parametrize("kind", ["none", "global", "past", "both", "camera"])
def test_what_a_place_excludes_stays_empty_when_features_are_normalized(kind: str) -> None:
    """Whatever the mean of the features is, as of a network or a file: zeros are not scaled with the rest."""
    rng = np.random.default_rng(0)
    noise = [replace(cells(rows=3), features=rng.normal(7, 2, (36, 3)).astype(np.float32)) for _ in range(3)]
    trained = Normalizer.none() if kind == "none" else Normalizer.fit(noise)
    normalizer = CameraNormalizer(trained, {"yard": trained}) if kind == "camera" else with_past(trained, kind)
    (boxed,) = weak_labels([item("wrong_place")])
    emptied = in_place(noise[0], boxed)
    excluded = ~emptied.features.any(1)
    features = normalizer.at("yard")(emptied).features
    assert excluded.any() and not features[excluded].any() and features[~excluded].any(1).all()


@given(st.integers(1, 30), st.floats(0, 40), st.floats(0.1, 10))
def test_a_cut_grid_has_every_step_that_overlaps_the_span(steps: int, start: float, length: float) -> None:
    whole = cells(steps)
    cut = between(whole, start, start + length)
    times = whole.extents[::4, :2]
    expected = [tuple(t) for t in times if t[1] > start and t[0] < start + length] or [tuple(times[-1])]
    assert [tuple(t) for t in cut.extents[::4, :2]] == expected
    assert cut.shape == (len(expected), 2, 2)


@given(st.lists(st.tuples(st.booleans(), st.none() | st.integers(0, 4)), max_size=60), st.integers(1, 200))
def test_rejected_alerts_are_a_quarter_of_the_normal_bags_at_most(
    kinds: list[tuple[bool, int | None]], normal: int
) -> None:
    labels = [label(n, *kind) for n, kind in enumerate(kinds)]
    times = draws(labels, normal)
    assert times.keys() == {f"verdict {weak.id}" for weak in labels}
    hard = [weak for weak in labels if not weak.label]
    total = sum(times[f"verdict {weak.id}"] for weak in hard)
    assert total <= HARD * (normal + total) + 1e-6
    assert all(0 < times[f"verdict {weak.id}"] <= OFTEN for weak in hard)
    assert all(times[f"verdict {weak.id}"] == 1 for weak in labels if weak.label)
    sums: dict[object, float] = {}
    for weak in hard:
        key = ("one", weak.id) if weak.cluster is None else weak.cluster
        sums[key] = sums.get(key, 0) + times[f"verdict {weak.id}"]
    share = normal * HARD / (1 - HARD) / max(1, len(sums))
    assert all(value <= share + 1e-6 for value in sums.values()), "no cluster of look-alikes has more than its share"


def test_batches_draw_as_often_as_they_are_told() -> None:
    bags = [Bag(Video(f"{n}", Path("x"), int(n < 2)), {"cells": cells()}) for n in range(6)]
    batches = Batches(bags, ["cells"], 30, 0, "cpu", draws={"3": 0.25, "4": 3.0, "5": 0.0})
    counts = np.zeros(6)
    for step in range(400):
        counts += np.bincount(batches.chosen(step), minlength=6)
    assert counts[[0, 1, 2, 4, 5]].tolist() == [400, 400, 400, 1200, 0]
    assert 70 < counts[3] < 130
    plain = Batches(bags, ["cells"], 30, 0, "cpu")
    assert plain.chosen(0) == list(range(6))


def test_a_fifth_of_cameras_and_hours_is_held_out_always_the_same() -> None:
    pairs = [
        (f"camera{c}", f"2026-11-{day:02}T{hour:02}") for c in range(5) for day in range(1, 29) for hour in range(24)
    ]
    held = [is_held_out(*pair) for pair in pairs]
    assert 0.18 < np.mean(held) < 0.22
    assert held == [is_held_out(*pair) for pair in pairs]
    (weak,) = weak_labels([item("false")])
    assert weak.held_out == is_held_out("yard", "2026-11-30T04")

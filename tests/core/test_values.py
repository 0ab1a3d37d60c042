from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from wherewhen.core.values import (
    Bag,
    Clip,
    Dataset,
    Event,
    Fold,
    Frame,
    Grid,
    HeatMap,
    Instances,
    Paths,
    Scores,
    Truth,
    Video,
)

WHOLE = [0, 1, 0, 0, 1, 1]
A, B = Video("a", Path("a.mp4"), 1), Video("b", Path("b.mp4"), 0)
CELLS = Instances(np.ones((2, 3), np.float32), np.array([WHOLE, WHOLE], float))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Video("", Path("a")), "needs an id"),
        (lambda: Video("a", Path("a"), 2), "label is 0, 1 or None"),
        (lambda: Video("a", Path("a"), 1, None, (2.0, 1.0)), "rising pair"),
        (lambda: Fold("f", (A, B), (B,)), "b in train and test"),
        (lambda: Dataset("d", (A, A)), "two videos are called 'a'"),
        (lambda: Frame(np.zeros((4, 4), np.uint8), 0, 0.0, 1.0), "uint8"),
        (lambda: Frame(np.zeros((4, 4, 3), np.uint8), 0, 1.0, 1.0), "time must advance"),
        (lambda: Clip(np.zeros((2, 4, 4, 3), np.uint8), np.array([0.0, 1.0])), "2 steps have 3 edges"),
        (lambda: Clip(np.zeros((2, 4, 4, 3), np.uint8), np.array([0.0, 1.0, 1.0])), "rise"),
        (lambda: Grid(np.zeros((2, 4), np.float32), np.array(WHOLE)), "features"),
        (lambda: Grid(np.zeros((2, 1, 1, 1), np.float32), np.array(WHOLE), np.zeros((3, 2, 2))), "detail"),
        (lambda: Instances(np.ones((3, 1), np.float32), np.array([WHOLE], float)), "expected features"),
        (lambda: Instances(np.ones((1, 1), np.float32), np.array([WHOLE], float), shape=(2, 1, 1)), "can't have 1"),
        (lambda: Bag(A, {}), "at least one instance"),
        (lambda: Scores(np.array([WHOLE]), np.array([0.1, 0.2])), "1 extents, 2 values"),
        (lambda: Scores(np.array([WHOLE]), np.array([np.inf])), "finite"),
        (lambda: HeatMap(np.empty((0, 1, 1)), np.array([0.0])), "expected values"),
        (lambda: HeatMap(np.array([np.nan]), np.array([0.0, 1.0])), "finite"),
        (lambda: Event(np.array([[2, 3, 0, 0, 1, 1], [0, 1, 0, 0, 1, 1.0]]), 0.5), "in time order"),
        (lambda: Event(np.empty((0, 6)), 0.5), "at least one extent"),
        (lambda: Truth(np.array([0.0])), "at least one frame"),
        (lambda: Truth(np.array([0.0, 1.0]), spans=[[1, 1]]), "ends before it starts"),
        (lambda: Truth(np.array([0.0, 1.0]), boxes=[WHOLE], track=[1, 2]), "1 boxes but 2 track numbers"),
        (lambda: Truth(np.array([0.0, 1.0]), categories=("x",)), "0 spans but 1 categories"),
    ],
)
def test_a_value_is_checked_at_birth(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_what_is_kept_can_not_be_changed_from_outside() -> None:
    spans = np.array([[0.0, 1.0]])
    truth = Truth(np.array([0.0, 1.0, 2.0]), spans)
    spans[0, 1] = 2
    assert truth.frames.tolist() == [True, False]
    with pytest.raises(ValueError, match="read-only"):
        truth.edges[0] = 5


def test_a_frame_is_positive_where_its_middle_is() -> None:
    truth = Truth(np.array([0.0, 1.0, 2.0, 3.0]), [[0.4, 1.6], [2.6, 3.0]])
    assert truth.frames.tolist() == [True, True, False]
    assert truth.label == 1
    assert Truth(np.array([0.0, 1.0])).label == 0


def test_heat_is_looked_up_by_time() -> None:
    heat = HeatMap(np.array([0.1, 0.2, 0.3]), np.array([1.0, 2.0, 4.0, 5.0]))
    looked = [float(heat.at(t)[0, 0]) for t in (0.0, 1.0, 1.99, 2.0, 4.5, 9.0)]
    assert looked == pytest.approx([0.1, 0.1, 0.1, 0.2, 0.3, 0.3])
    assert heat.on(np.array([1.0, 1.5, 2.5, 4.5]))[:, 0, 0].tolist() == pytest.approx([0.1, 0.2, 0.2])


def test_an_event_lasts_from_its_first_to_its_last_moment() -> None:
    event = Event(np.array([[1, 4, 0, 0, 1, 1], [2, 3, 0, 0, 1, 1.0]]), 0.5)
    assert (event.start, event.end) == (1.0, 4.0)


def test_paths_belong_to_instances_and_frames() -> None:
    rows = Scores([[0, 1, 0, 0, 1, 1]], [1.0], [1])
    with pytest.raises(ValueError, match="belongs to one of 1 instances, got number 1"):
        Instances(np.ones((1, 2)), [[0, 1, 0, 0, 1, 1]], paths=Paths(rows, np.array([0, 1.0])))
    with pytest.raises(ValueError, match="at least one frame"):
        Paths(rows, np.array([0.0]))
    with pytest.raises(ValueError, match="2 steps need boxes for each, got 1"):
        HeatMap([0.1, 0.2], [0, 1, 2], boxes=(rows,))

import json
import os
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherewhen.core.errors import ConfigError, DataError
from wherewhen.core.values import Prediction, Scores, Truth
from wherewhen.metrics import rbdc

SHARED = Path(os.environ.get("WHEREWHEN_SHARED", Path(__file__).parents[2] / "../shared"))
GOLDEN = SHARED / "golden" / "metric_rbdc_tbdc"
CASES = ["case1_perfect", "case2_partial_no_fp", "case3_random", "case4_overlaps_ties_duplicates"]

seeds = st.integers(0, 2**32 - 1)


def read(folder, columns):
    """Rows of every text file with the number of its video first."""
    files = {p.name: np.loadtxt(p, delimiter=",", ndmin=2) for p in sorted(folder.glob("*.txt"))}
    return np.concatenate([np.c_[np.full(len(rows), int(name[:2])), rows] for name, rows in files.items()])[:, :columns]


@pytest.mark.skipif(not GOLDEN.exists(), reason=f"no golden fixtures at {GOLDEN}")
@pytest.mark.parametrize("case", CASES)
def test_golden(case):
    facts, arrays = json.loads((GOLDEN / "spec.json").read_text())["cases"][case], np.load(GOLDEN / "out.npz")
    tracks, found = read(GOLDEN / case / "tracks", 7), read(GOLDEN / case / "anomalies", 7)
    truth = rbdc.Regions(tracks[:, 0] * 10000 + tracks[:, 2], tracks[:, 3:], tracks[:, 0] * 1000 + tracks[:, 1])
    detections = rbdc.Regions(found[:, 0] * 10000 + found[:, 1], found[:, 2:6], found[:, 6])
    line = rbdc.curves(truth, detections, facts["num_frames"], inclusive=True, ties="order")
    assert rbdc.area(line.fpr, line.rbdr) == pytest.approx(facts["rbdc"], abs=1e-12)
    assert rbdc.area(line.fpr, line.tbdr) == pytest.approx(facts["tbdc"], abs=1e-12)
    for name in ("fpr", "rbdr", "tbdr"):
        theirs, ours = arrays[f"{case}__{name}"], getattr(line, name)
        inserted = len(theirs) - len(ours)
        assert inserted in (0, 1)
        at = int((arrays[f"{case}__fpr"] < 1).sum())
        assert np.delete(theirs, [at] if inserted else []) == pytest.approx(ours, abs=1e-12)


def random_regions(rng, count, marks):
    corners = rng.integers(0, 9, (count, 2))
    return rbdc.Regions(rng.integers(0, 5, count), np.c_[corners, corners + rng.integers(1, 5, (count, 2))], marks)


def brute(truth, found, frames, alpha, beta, inclusive, merge):
    """Twin: go down the scores one by one and count pixels."""

    def cells(box):
        x0, y0, x1, y1 = (box + np.array([0, 0, inclusive, inclusive])).astype(int)
        return {(x, y) for x in range(x0, x1) for y in range(y0, y1)}

    levels = sorted(set(found.marks), reverse=True) if merge else None
    groups = (
        [np.flatnonzero(found.marks == v) for v in levels]
        if merge
        else [[i] for i in np.argsort(-found.marks, kind="stable")]
    )
    seen, false, points = set(), 0, [(0.0, 0.0, 0.0)]
    for group in groups:
        for i in group:
            a = cells(found.boxes[i])
            near = [(j, cells(b)) for j, b in enumerate(truth.boxes) if truth.frames[j] == found.frames[i]]
            close = {j for j, b in near if len(a & b) / len(a | b) >= beta}
            seen |= close
            false += not close
        shares = [np.mean([j in seen for j in np.flatnonzero(truth.marks == t)]) >= alpha for t in set(truth.marks)]
        points.append((false / frames, len(seen) / len(truth.boxes), np.mean(shares)))
    return np.array(points).T


@settings(deadline=None, max_examples=30)
@given(seeds, st.sampled_from([(0.1, 0.1), (0.5, 0.3), (1.0, 0.05)]), st.booleans(), st.booleans(), st.integers(1, 60))
def test_curves_equal_brute_force(seed, shares, inclusive, merge, pairs):
    rng = np.random.default_rng(seed)
    truth, found = random_regions(rng, 14, rng.integers(0, 4, 14)), random_regions(rng, 20, rng.integers(0, 8, 20) / 8)
    alpha, beta = shares
    with patch.object(rbdc, "PAIRS", pairs):  # so that few regions are several parts too
        line = rbdc.curves(
            truth, found, 7, alpha=alpha, beta=beta, inclusive=inclusive, ties="merge" if merge else "order"
        )
    fpr, rbdr, tbdr = brute(truth, found, 7, alpha, beta, inclusive, merge)
    assert line.fpr == pytest.approx(fpr) and line.rbdr == pytest.approx(rbdr) and line.tbdr == pytest.approx(tbdr)


@settings(deadline=None, max_examples=30)
@given(seeds, st.integers(1, 60))
def test_every_pair_of_a_frame_is_compared_once(seed, pairs):
    rng = np.random.default_rng(seed)
    truth, found = (random_regions(rng, count, np.zeros(count)) for count in rng.integers(0, 20, 2).tolist())
    with patch.object(rbdc, "PAIRS", pairs):
        region, detection = rbdc.overlapping(truth, found, 0.0)
    same = np.argwhere(truth.frames[:, None] == found.frames)
    assert sorted(np.stack([region, detection], 1).tolist()) == same.tolist()


@settings(deadline=None, max_examples=30)
@given(seeds)
def test_merged_ties_ignore_the_order(seed):
    rng = np.random.default_rng(seed)
    truth, found = random_regions(rng, 10, rng.integers(0, 3, 10)), random_regions(rng, 15, rng.integers(0, 3, 15) / 3)
    turn = rng.permutation(15)
    a = rbdc.curves(truth, found, 5)
    b = rbdc.curves(truth, rbdc.Regions(found.frames[turn], found.boxes[turn], np.exp(found.marks[turn])), 5)
    assert np.array_equal([a.fpr, a.rbdr, a.tbdr], [b.fpr, b.rbdr, b.tbdr])


@pytest.mark.parametrize(
    ("fpr", "rate", "expected"),
    [
        ([0], [0], 0.0),
        ([0, 0], [0, 1], 1.0),
        ([0, 1], [0, 1], 0.5),
        ([0, 2], [0, 1], 0.25),
        ([0, 0.5, 3], [0, 1, 1], 0.75),
    ],
)
def test_area(fpr, rate, expected):
    assert rbdc.area(fpr, rate) == pytest.approx(expected)


def test_rows_and_tracks_of_several_videos():
    box = [0.0, 0.0, 0.5, 0.5]
    truths = {
        "a": Truth(np.arange(5.0), [[0, 2]], [[0, 2, *box]], np.array([3])),
        "b": Truth(np.arange(5.0), [[0, 1]], [[0, 1, *box]], np.array([3])),
    }
    predictions = {
        "a": Prediction(boxes=Scores([[1, 2, *box]], [0.9])),
        "b": Prediction(boxes=Scores([[0, 4, 0.6, 0.6, 1, 1]], [0.5])),
    }
    truth, found, frames = rbdc.joined_regions(predictions, truths)
    assert (frames, len(set(truth.marks)), len(found.marks)) == (8, 2, 5)
    assert rbdc.compute(predictions, truths) == pytest.approx({"rbdc": 1 / 3, "tbdc": 1 / 2})


def test_frames_of_unknown_truth_do_not_count():
    boxed = np.array([True, False, False, False])
    truths = {"a": Truth(np.arange(5.0), [[0, 2]], [[0, 1, 0, 0, 1, 1]], boxed=boxed)}
    predictions = {"a": Prediction(boxes=Scores([[0, 2, 0, 0, 1, 1]], [0.9]))}
    _, found, frames = rbdc.joined_regions(predictions, truths)
    assert (frames, len(found.marks)) == (3, 1)
    assert rbdc.compute(predictions, truths) == {"rbdc": 1.0, "tbdc": 1.0}


def test_errors_say_what_is_missing():
    nothing = Prediction(boxes=Scores(np.empty((0, 6)), []))
    with pytest.raises(DataError, match="no truth region"):
        rbdc.compute({"a": nothing}, {"a": Truth([0, 1])})
    truth = Truth([0, 1], [[0, 1]], [[0, 1, 0, 0, 1, 1]])
    assert rbdc.compute({"a": nothing}, {"a": truth}) == {"rbdc": 0.0, "tbdc": 0.0}
    with pytest.raises(ConfigError, match="merge"):
        rbdc.compute({"a": nothing}, {"a": truth}, ties="random")
    with pytest.raises(DataError, match="1 frames"):
        rbdc.Regions([0], [[0, 0, 1, 1]], [1, 2])


def test_the_worked_example_of_the_docs():
    apart = np.array([[0, 0, 1, 1], [1, 0, 2, 1], [5, 0, 6, 1], [9, 9, 10, 10]], float)
    truth = rbdc.Regions(np.zeros(4), apart, np.arange(4))
    boxes = [[0, 0, 2, 1], [20, 0, 21, 1], [0, 0, 1, 1], [5, 0, 6, 1]]
    line = rbdc.curves(truth, rbdc.Regions(np.zeros(4), np.array(boxes, float), np.array([0.9, 0.8, 0.7, 0.6])), 10)
    assert line.rbdr.tolist() == [0, 0.5, 0.5, 0.5, 0.75]
    assert line.fpr.tolist() == [0, 0, 0.1, 0.1, 0.1]
    assert rbdc.area(line.fpr, line.rbdr) == pytest.approx(0.725)


@pytest.mark.parametrize(("ties", "right_first", "expected"), [("order", 1, 1.0), ("order", 0, 0.0), ("merge", 1, 0.5)])
def test_where_the_published_script_depends_on_the_order(ties, right_first, expected):
    truth = rbdc.Regions([0], [[0, 0, 1, 1]], [0])
    boxes = [[0, 0, 1, 1], [5, 5, 6, 6]]
    line = rbdc.curves(truth, rbdc.Regions([0, 0], boxes if right_first else boxes[::-1], [0.5, 0.5]), 1, ties=ties)
    assert rbdc.area(line.fpr, line.rbdr) == expected


@pytest.mark.parametrize(("beta", "found"), [(0.5, 1.0), (0.51, 0.0)])
def test_an_overlap_of_just_beta_is_enough(beta, found):
    truth = rbdc.Regions([0], [[0, 0, 2, 1]], [0])
    line = rbdc.curves(truth, rbdc.Regions([0], [[0, 0, 1, 1]], [0.5]), 1, beta=beta)
    assert line.rbdr[-1] == found

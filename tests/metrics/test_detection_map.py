import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wherewhen.core.errors import DataError
from wherewhen.core.values import Event, Prediction, Truth
from wherewhen.metrics import detection_map as dm

SHARED = Path(os.environ.get("WHEREWHEN_SHARED", Path(__file__).parents[2] / "../shared"))
GOLDEN = SHARED / "golden" / "metric_detection_map"
CASES = ["ucf_case1", "ucf_case2", "ucf_case3", "ucf_case4", "xd_case1", "xd_case2", "xd_case3"]

seeds = st.integers(0, 2**32 - 1)


@pytest.mark.skipif(not GOLDEN.exists(), reason=f"no golden fixtures at {GOLDEN}")
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("normal", [True, False])
def test_golden_vadclip(case, normal):
    spec, arrays = json.loads((GOLDEN / "spec.json").read_text()), np.load(GOLDEN / "out.npz")
    facts, kind = spec["cases"][case], case.split("_")[0]
    scores = [arrays[f"{case}__video{i}"].repeat(16, 0) for i in range(facts["videos"])]
    first = {"ucf": 140, "xd": 500}[kind] if normal else None
    found = dm.vadclip_detection_map(
        scores, facts["segments"], facts["labels"], spec["classes"][kind], thresholds=spec["iou"], first=first
    )
    assert 100 * np.array(found) == pytest.approx(facts["dmap_at_iou"][f"exclude_normal_{normal}"], abs=1e-9)


def world(seed, videos=3, frames=12, kinds=("fire", "fight")):
    """Truth spans with track boxes on a 12 x 12 grid, and events, some of them near the truth."""
    rng = np.random.default_rng(seed)
    predictions, truths = {}, {}
    for number in range(videos):
        spans, boxes, tracks, names, events = [], [], [], [], []
        for which in range(number):
            t0, t1 = 6 * which + np.sort(rng.choice(6, 2, replace=False))
            x0, y0 = rng.integers(0, 6, 2)
            spans.append((t0, t1))
            names.append(str(rng.choice(kinds)))
            boxes.append([t0, t1, x0 / 12, y0 / 12, (x0 + 6) / 12, (y0 + 6) / 12])
            tracks.append(which)
            shift = rng.integers(0, 3)
            rows = [[t0, t1, (x0 + shift) / 12, y0 / 12, (x0 + shift + 4) / 12, (y0 + 5) / 12]]
            events += [Event(rows, score, names[-1].split("+")[0]) for score in rng.integers(1, 4, 2) / 4]
        for _ in range(2):
            t0, t1 = np.sort(rng.choice(frames, 2, replace=False))
            rows = [[t0, t1, 0, 0, 0.5, 0.5], [t0, t1 + 1, 0.25, 0.25, 0.75, 0.5]]
            events.append(Event(rows, rng.integers(1, 4) / 4, str(rng.choice(["fire", "fight"]))))
        truths[f"v{number}"] = Truth(np.arange(frames + 1.0), spans, boxes, np.array(tracks, int), tuple(names))
        predictions[f"v{number}"] = Prediction(events=tuple(events))
    return predictions, truths


def instants(rows, frames=12):
    """Which of the 12 x 12 cells a chain of boxes covers in each frame, by the hull of its boxes there."""
    table = {}
    for frame in range(frames):
        now = np.array([row[2:] for row in rows if row[0] <= frame + 0.5 < row[1]])
        if len(now):
            x0, y0, x1, y1 = np.round(np.r_[now[:, :2].min(0), now[:, 2:].max(0)] * 12).astype(int)
            table[frame] = {(x, y) for x in range(x0, x1) for y in range(y0, y1)}
    return table


def brute_tube_iou(a, b):
    pairs = [(a.get(f, set()), b.get(f, set())) for f in a.keys() | b.keys()]
    return float(np.mean([len(p & q) / len(p | q) for p, q in pairs])) if pairs else 0.0


def brute_span_iou(a, b):
    ticks = np.arange(0, 24, 1) / 2 + 0.25
    p, q = ((r[0] <= ticks) & (ticks < r[1]) for r in (a, b))
    return float((p & q).sum() / (p | q).sum()) if (p | q).any() else 0.0


def brute_ap(predictions, truths, threshold, overlap, chosen):
    """Twin: greedy matching within each video, then precision at each distinct score, best at larger recall."""
    marks, total = [], 0
    for key, truth in truths.items():
        real = [n for n in range(len(truth.spans)) if chosen in (None, truth.categories[n])]
        events = [e for e in predictions[key].events if chosen in (None, e.category)]
        table = {(i, n): overlap(e, truth, n) for i, e in enumerate(events) for n in real}
        total += len(real)
        order = sorted(
            range(len(events)), key=lambda i: (-events[i].score, -max([table[i, n] for n in real], default=0))
        )
        for i in order:
            near = max(real, key=lambda n: table[i, n], default=None)
            good = near is not None and table[i, near] >= threshold
            marks.append((events[i].score, good))
            if good:
                real.remove(near)
    points = []
    for level in sorted({s for s, _ in marks}, reverse=True):
        taken = [g for s, g in marks if s >= level]
        points.append((sum(taken), sum(taken) / len(taken)))
    gains = zip(np.diff([0] + [r for r, _ in points]), range(len(points)), strict=True)
    return sum(gain * max(p for _, p in points[k:]) for gain, k in gains) / total


@settings(deadline=None, max_examples=30)
@given(seeds)
@example(3280)  # an overlap of exactly the threshold
def test_equals_brute_force(seed):
    predictions, truths = world(seed)
    found = dm.compute(predictions, truths)
    present = {name for truth in truths.values() for name in truth.categories}

    def in_time(event, truth, n):
        return brute_span_iou((event.start, event.end), truth.spans[n])

    def in_place(event, truth, n):
        return brute_tube_iou(instants(event.extents), instants(truth.boxes[n : n + 1]))

    for kind, overlap, thresholds in (("temporal", in_time, (0.1, 0.5)), ("tube", in_place, (0.1, 0.2))):
        for t in thresholds:
            assert found[f"{kind}_ap@{t}"] == pytest.approx(brute_ap(predictions, truths, t, overlap, None))
            by_class = [brute_ap(predictions, truths, t, overlap, name) for name in present]
            assert found[f"{kind}_map@{t}"] == pytest.approx(np.mean(by_class))
    assert found["temporal_map"] == pytest.approx(np.mean([found[f"temporal_map@{t}"] for t in dm.THRESHOLDS]))


def told_apart(truth):
    """The annotation of XD-Violence that VadCLIP is judged by: a span is written once for each of its classes."""
    rows = [(n, name) for n, several in enumerate(truth.categories) for name in several.split("+")]
    spans = [truth.spans[n] for n, _ in rows]
    boxes = [truth.boxes[n] for n, _ in rows]
    return Truth(truth.edges, spans, boxes, np.arange(len(rows)), tuple(name for _, name in rows))


@settings(deadline=None, max_examples=30)
@given(seeds)
def test_a_span_of_several_classes_counts_for_each(seed):
    predictions, truths = world(seed, kinds=("fire", "fight", "fight+fire", "riot+fight"))
    found = dm.compute(predictions, truths)
    apart = {key: told_apart(truth) for key, truth in truths.items()}
    present = {name for truth in apart.values() for name in truth.categories}
    assert "fight+fire" not in present

    def in_time(event, truth, n):
        return brute_span_iou((event.start, event.end), truth.spans[n])

    def in_place(event, truth, n):
        return brute_tube_iou(instants(event.extents), instants(truth.boxes[n : n + 1]))

    for kind, overlap in (("temporal", in_time), ("tube", in_place)):
        by_class = [brute_ap(predictions, apart, 0.1, overlap, name) for name in present]
        assert found[f"{kind}_map@0.1"] == pytest.approx(np.mean(by_class))
        assert found[f"{kind}_ap@0.1"] == pytest.approx(brute_ap(predictions, truths, 0.1, overlap, None))


@settings(deadline=None, max_examples=30)
@given(seeds)
def test_order_and_rising_transforms_change_nothing(seed):
    predictions, truths = world(seed)
    turned = {
        key: Prediction(events=tuple(Event(e.extents, e.score**3, e.category) for e in prediction.events[::-1]))
        for key, prediction in reversed(predictions.items())
    }
    assert dm.compute(turned, truths) == pytest.approx(dm.compute(predictions, truths))


def test_the_truth_told_back_is_perfect():
    _, truths = world(8)
    told = {
        key: Prediction(events=tuple(Event([row], 1.0, name) for row, name in zip(t.boxes, t.categories, strict=True)))
        for key, t in truths.items()
    }
    assert set(dm.compute(told, truths).values()) == {1.0}


def test_steps_are_never_above_the_interpolated_precision():
    videos = [(np.array([0.9, 0.8, 0.7]), np.array([[0.9, 0], [0, 0], [0, 0.9]]))]
    assert dm.detection_ap(videos, 0.5) == pytest.approx((1 + 2 / 3) / 2)
    late = [(np.array([0.9, 0.8, 0.7]), np.array([[0, 0], [0, 0.9], [0.9, 0]]))]
    assert dm.detection_ap(late, 0.5) == pytest.approx(2 / 3)
    assert dm.detection_ap(late, 0.5, interpolated=False) == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_boxes_without_tracks_form_one_tube_per_span():
    rows = [[0, 2, 0, 0, 0.5, 0.5], [1, 2, 0.25, 0, 0.75, 0.5], [5, 6, 0, 0, 1, 1]]
    truth = Truth(np.arange(8.0), [[0, 2], [5, 6]], rows, categories=("fire", "fight"))
    told = Prediction(events=(Event(rows[:2], 0.9, "fire"), Event(rows[2:], 0.8, "fight")))
    assert dm.compute({"a": told}, {"a": truth})["tube_map@0.5"] == 1.0


def test_numbers_that_nothing_defines_are_absent():
    nameless = {"a": Prediction(events=(Event([[0, 1, 0, 0, 1, 1]], 0.5),))}
    found = dm.compute(nameless, {"a": Truth([0, 1, 2], [[0, 1]], categories=("fire",))})
    assert "temporal_map" not in found and "tube_ap" not in found
    assert found["temporal_ap"] == 1.0
    nothing = dm.compute({"a": Prediction()}, {"a": Truth([0, 1, 2], [[0, 1]])})
    assert nothing["temporal_ap"] == 0.0
    with pytest.raises(DataError, match="no event in the truth"):
        dm.compute(nameless, {"a": Truth([0, 1, 2])})


def test_vadclip_lists_must_fit():
    with pytest.raises(DataError, match="1 videos' scores, 0 of segments"):
        dm.vadclip_detection_map([np.zeros((4, 2))], [], [], ["a", "b"])


def test_equal_scores_go_by_overlap_whatever_their_order():
    overlaps = np.array([[0.6, 0.0], [0.9, 0.55], [0.9, 0.0]])
    for turn in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):
        found = np.zeros(3, bool)
        found[turn] = dm.hits([0.5] * 3, overlaps[turn], 0.5)
        assert found.tolist() == [False, True, False]
    assert dm.hits([0.5], [[0.5]], 0.5).tolist() == [True]

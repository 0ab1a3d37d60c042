from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from wherewhen.core.errors import ConfigError, DataError
from wherewhen.core.values import HeatMap, Prediction, Truth
from wherewhen.metrics import pixel

seeds = st.integers(0, 2**32 - 1)


def world(seed, size=(6, 9), cells=(3, 4)):
    """A normal video and two with masks on a pixel grid; the score maps are coarse, tied and slower than the frames."""
    rng = np.random.default_rng(seed)
    predictions, truths, masks = {}, {}, {}
    for number in range(3):
        frames, steps = int(rng.integers(5, 9)), int(rng.integers(2, 5))
        picture = np.zeros((frames, *size), bool)
        if number:
            picture[1:4, 1 : 1 + rng.integers(1, 4), 2 : 2 + rng.integers(1, 6)] = True
            picture[2] |= rng.random(size) < 0.2
        edges = np.arange(frames + 1.0)
        masks[f"v{number}"] = picture
        truths[f"v{number}"] = Truth(edges, [[1, 5]] if number else [], masks=lambda picture=picture: picture)
        heat = HeatMap(rng.integers(0, 7, (steps, *cells)) / 6, np.linspace(0, frames, steps + 1))
        predictions[f"v{number}"] = Prediction(heat=heat)
    return predictions, truths, masks


def pictures(predictions, truths, masks):
    """Twin: every frame's score map at full resolution by nearest cell, its mask, and whether it lies in a span."""
    for key, truth in truths.items():
        heat = predictions[key].heat
        (h, w), (height, width) = heat.values.shape[1:], masks[key].shape[1:]
        rows = ((np.arange(height) + 0.5) * h / height).astype(int)
        columns = ((np.arange(width) + 0.5) * w / width).astype(int)
        for values, mask, busy in zip(heat.on(truth.edges), masks[key], truth.frames, strict=True):
            yield values[np.ix_(rows, columns)], mask, busy


def brute_pixel_auc(frames, coverage, false_positive):
    """Twin: sweep every threshold, count frames, and take the best rate of the ones so far allowed."""
    frames = list(frames)
    path = [(0.0, 0.0)]
    for level in sorted({float(v) for values, _, _ in frames for v in values.flat}, reverse=True):
        hits = [np.sum((v >= level) & m) >= coverage * m.sum() for v, m, _ in frames if m.any()]
        fires = [(v >= level).any() for v, m, _ in frames if m.any()]
        calm = [(v >= level).any() for v, m, busy in frames if not m.any() and not busy]
        extra = sum(f and not h for f, h in zip(fires, hits, strict=True)) if false_positive else 0
        path.append(((sum(calm) + extra) / len(calm), sum(hits) / len(hits)))
    if not false_positive:
        return sk.auc(*zip(*path, strict=True))
    xs = np.linspace(0, 1, 20001)[:-1] + 0.5 / 20000
    return np.mean([last_below(path, x) for x in xs])


def last_below(path, x):
    """The height at the last point of a polyline that lies at or left of x."""
    best = 0.0
    for (x0, y0), (x1, y1) in pairwise(path):
        if x1 <= x:
            best = y1
        elif x0 <= x:
            best = y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    return best


@settings(deadline=None, max_examples=30)
@given(seeds, st.sampled_from([0.4, 0.1, 1.0]))
def test_pixel_auc_equals_brute_force(seed, coverage):
    predictions, truths, masks = world(seed)
    found = pixel.compute(predictions, truths, coverage=coverage)
    assert found["pixel_auc"] == pytest.approx(brute_pixel_auc(pictures(predictions, truths, masks), coverage, False))


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_under_covered_frames_as_false_positives(seed):
    predictions, truths, masks = world(seed)
    found = pixel.compute(predictions, truths, under_covered="false_positive")["pixel_auc"]
    assert found == pytest.approx(brute_pixel_auc(pictures(predictions, truths, masks), 0.4, True), abs=2e-4)
    assert found <= pixel.compute(predictions, truths)["pixel_auc"] + 1e-12


@settings(deadline=None, max_examples=30)
@given(seeds, st.sampled_from([(3, 4), (6, 9), (1, 1), (12, 7)]))
def test_ranking_of_pixels_equals_sklearn(seed, cells):
    predictions, truths, masks = world(seed, cells=cells)
    found = pixel.compute(predictions, truths, pooled=True)
    frames = list(pictures(predictions, truths, masks))
    mixed = [(v.ravel(), m.ravel()) for v, m, _ in frames if m.any()]
    assert found["pixel_auroc"] == pytest.approx(np.mean([sk.roc_auc_score(m, v) for v, m in mixed if not m.all()]))
    assert found["pixel_ap"] == pytest.approx(np.mean([sk.average_precision_score(m, v) for v, m in mixed]))
    known = [(v.ravel(), m.ravel()) for v, m, busy in frames if m.any() or not busy]
    scores, labels = (np.concatenate(c) for c in zip(*known, strict=True))
    assert found["pixel_auroc_pooled"] == pytest.approx(sk.roc_auc_score(labels, scores))
    assert found["pixel_ap_pooled"] == pytest.approx(sk.average_precision_score(labels, scores))


@settings(deadline=None, max_examples=30)
@given(seeds)
def test_boxes_on_pixel_borders_equal_their_masks(seed):
    predictions, truths, _ = world(seed, size=(12, 12), cells=(4, 3))
    rng = np.random.default_rng(seed)
    drawn, boxed = {}, {}
    for key, truth in truths.items():
        masks, boxes = np.zeros((len(truth.edges) - 1, 12, 12), bool), []
        for _ in range(3 if len(truth.spans) else 0):
            x0, x1, y0, y1 = *sorted(rng.choice(13, 2, replace=False)), *sorted(rng.choice(13, 2, replace=False))
            first, last = sorted(rng.choice(np.arange(1, 6), 2, replace=False))
            masks[first:last, y0:y1, x0:x1] = True
            boxes.append([first, last, x0 / 12, y0 / 12, x1 / 12, y1 / 12])
        drawn[key] = Truth(truth.edges, truth.spans, masks=lambda masks=masks: masks)
        boxed[key] = Truth(truth.edges, truth.spans, boxes=np.reshape(boxes, (-1, 6)))
    a, b = (pixel.compute(predictions, t, pooled=True) for t in (drawn, boxed))
    assert a == pytest.approx(b)


@settings(deadline=None, max_examples=30)
@given(seeds)
def test_rising_transforms_change_nothing(seed):
    predictions, truths, _ = world(seed)
    bent = {k: Prediction(heat=HeatMap(p.heat.values**3 * 5 - 2, p.heat.edges)) for k, p in predictions.items()}
    assert pixel.compute(bent, truths) == pixel.compute(predictions, truths)


def test_flagging_everything_in_anomalous_frames_is_not_punished():
    predictions, truths, _ = world(4)
    oracle = {k: Prediction(heat=HeatMap(truths[k].frames.astype(float), truths[k].edges)) for k in predictions}
    found = pixel.compute(oracle, truths)
    assert found["pixel_auc"] == 1.0
    assert found["pixel_auroc"] == 0.5


def test_a_frame_that_is_all_truth_has_no_auroc_but_an_ap():
    full = np.ones((2, 2, 2), bool)
    truths = {"a": Truth([0, 1, 2], [[0, 2]], masks=lambda: full), "b": Truth([0, 1])}
    predictions = {k: Prediction(heat=HeatMap(np.full((1, 2, 2), 0.5), [0, 2])) for k in truths}
    found = pixel.compute(predictions, truths)
    assert "pixel_auroc" not in found and found["pixel_ap"] == 1.0


def test_errors_say_what_is_missing():
    heat = Prediction(heat=HeatMap(np.ones((1, 2, 2)), [0, 1]))
    with pytest.raises(DataError, match="without a positive"):
        pixel.compute({"a": heat}, {"a": Truth([0, 1])})
    with pytest.raises(DataError, match="reads 'heat'"):
        pixel.compute({"a": Prediction()}, {"a": Truth([0, 1])})
    with pytest.raises(DataError, match="1 frames but 3 pixel masks"):
        pixel.compute({"a": heat}, {"a": Truth([0, 1], masks=lambda: np.zeros((3, 2, 2), bool))})
    with pytest.raises(ConfigError, match="false_positive"):
        pixel.compute({"a": heat}, {"a": Truth([0, 1])}, under_covered="maybe")
    with pytest.raises(ConfigError, match="coverage"):
        pixel.covered_scores([[1.0]], [[1.0]], 0)
    with pytest.raises(DataError, match="without truth pixels"):
        pixel.covered_scores([[1.0]], [[0.0]])

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from wherewhen.core.errors import DataError
from wherewhen.core.values import HeatMap, Prediction, Truth
from wherewhen.metrics import frame

seeds = st.integers(0, 2**32 - 1)


def world(seed, videos=4, categories=()):
    """Videos of uneven length with coarse, tied scores; the first one is normal."""
    rng = np.random.default_rng(seed)
    predictions, truths = {}, {}
    for number in range(videos):
        frames, steps = rng.integers(12, 40), rng.integers(3, 9)
        spans = [] if number == 0 else [sorted(rng.choice(np.arange(1, frames), 2, replace=False))]
        names = tuple(rng.choice(categories, len(spans))) if categories else ()
        truths[f"v{number}"] = Truth(np.arange(frames + 1.0), spans, categories=names)
        predictions[f"v{number}"] = Prediction(
            HeatMap(rng.integers(0, 6, steps) / 5, np.linspace(0, frames, steps + 1))
        )
    return predictions, truths


def pooled(predictions, truths, keep=lambda truth: True):
    """Twin: look up every frame's score and label by hand."""
    scores, labels = [], []
    for key, truth in truths.items():
        if not keep(truth):
            continue
        heat = predictions[key].frames
        for a, b in zip(truth.edges[:-1], truth.edges[1:], strict=True):
            middle = (a + b) / 2
            step = max(i for i, edge in enumerate(heat.edges[:-1]) if edge <= middle)
            scores.append(float(heat.values[step, 0, 0]))
            labels.append(any(s <= middle < e for s, e in truth.spans))
    return scores, labels


def brute_auc(scores, labels):
    pairs = [(p > n) + (p == n) / 2 for p, y in zip(scores, labels, strict=True) if y
             for n, z in zip(scores, labels, strict=True) if not z]  # fmt: skip
    return sum(pairs) / len(pairs)


def brute_ap(scores, labels):
    total, before = 0.0, 0.0
    for level in sorted(set(scores), reverse=True):
        taken = [y for s, y in zip(scores, labels, strict=True) if s >= level]
        total += (sum(taken) / sum(labels) - before) * sum(taken) / len(taken)
        before = sum(taken) / sum(labels)
    return total


@settings(deadline=None, max_examples=30)
@given(seeds)
def test_equals_brute_force(seed):
    found = frame.compute(*world(seed))
    everything = pooled(*world(seed))
    clips = pooled(*world(seed), keep=lambda truth: len(truth.spans))
    assert found["frame_auc"] == pytest.approx(brute_auc(*everything))
    assert found["frame_ap"] == pytest.approx(brute_ap(*everything))
    assert found["frame_auc_anomalous"] == pytest.approx(brute_auc(*clips))
    assert found["frame_ap_anomalous"] == pytest.approx(brute_ap(*clips))


@settings(deadline=None, max_examples=30)
@given(seeds)
def test_rising_transforms_and_order_change_nothing(seed):
    predictions, truths = world(seed, categories=("fire", "fight"))
    found = frame.compute(predictions, truths)
    bent = {
        k: Prediction(HeatMap(np.exp(3 * p.frames.values) - 7, p.frames.edges))
        for k, p in reversed(predictions.items())
    }
    again = frame.compute(bent, truths)
    for name in set(found) - {"frame_auc_macro"}:
        assert again[name] == found[name], name


def test_a_constant_is_a_coin():
    _, truths = world(1)
    found = frame.compute({k: Prediction(HeatMap([0.3], [0, 1])) for k in truths}, truths)
    assert found["frame_auc"] == found["frame_eer"] == found["frame_auc_anomalous"] == 0.5
    assert found["frame_ap"] == np.mean(np.concatenate([t.frames for t in truths.values()]))


@settings(deadline=None, max_examples=30)
@given(seeds)
def test_macro_as_the_ubnormal_script(seed):
    predictions, truths = world(seed)
    scores = {k: predictions[k].frames.on(t.edges)[:, 0, 0] for k, t in truths.items()}
    padded = [sk.roc_auc_score(np.r_[0, t.frames, 1], np.r_[0, scores[k], 1]) for k, t in truths.items()]
    mixed = [sk.roc_auc_score(t.frames, scores[k]) for k, t in truths.items() if 0 < t.frames.mean() < 1]
    found = frame.compute(predictions, truths)
    assert found["frame_auc_macro"] == pytest.approx(np.mean(padded))
    assert found["frame_auc_macro_mixed"] == pytest.approx(np.mean(mixed))


def test_classes_are_judged_against_normal_frames_alone():
    edges = np.arange(5.0)
    truths = {
        "calm": Truth(edges),
        "both": Truth(edges, [[0, 1], [2, 3]], categories=("fire", "fight")),
        "fight": Truth(edges, [[0, 4]], categories=("fight",)),
    }
    scores = {"calm": [0.1, 0.2, 0.3, 0.4], "both": [0.35, 0.0, 0.9, 0.05], "fight": [0.6, 0.6, 0.1, 0.9]}
    found = frame.compute({k: Prediction(HeatMap(v, edges)) for k, v in scores.items()}, truths)
    fire = ([0.35, 0.0, 0.05, 0.1, 0.2, 0.3, 0.4], [1, 0, 0, 0, 0, 0, 0])
    fight = ([0.0, 0.9, 0.05, 0.6, 0.6, 0.1, 0.9, 0.1, 0.2, 0.3, 0.4], [0, 1, 0, 1, 1, 1, 1, 0, 0, 0, 0])
    assert found["frame_auc/fire"] == pytest.approx(brute_auc(*fire))
    assert found["frame_ap/fire"] == pytest.approx(brute_ap(*fire))
    assert found["frame_auc/fight"] == pytest.approx(brute_auc(*fight))
    assert found["frame_auc_anomalous/fire"] == 1.0


def test_what_the_truth_does_not_define_is_absent():
    truths = {"calm": Truth([0, 1, 2]), "all": Truth([0, 1, 2], [[0, 2]])}
    predictions = {k: Prediction(HeatMap([0.1, 0.2], [0, 1, 2])) for k in truths}
    found = frame.compute(predictions, truths)
    assert "frame_auc_anomalous" not in found and "frame_auc_macro_mixed" not in found
    assert found["frame_ap_anomalous"] == 1.0


def test_frames_of_several_classes_are_of_each():
    predictions, truths = world(3, categories=("fire", "fight", "fire+fight"))
    found = frame.compute(predictions, truths)
    assert not any("+" in name for name in found)
    for name in ("fire", "fight"):
        labels, scores = [], []
        for key, truth in truths.items():
            middles = (truth.edges[1:] + truth.edges[:-1]) / 2
            inside = [(truth.spans[n][0] <= middles) & (middles < truth.spans[n][1]) for n in range(len(truth.spans))]
            own = [i for i, several in zip(inside, truth.categories, strict=True) if name in several.split("+")]
            mine = np.any([*own, np.zeros(len(middles), bool)], 0)
            use = mine | ~np.any([*inside, np.zeros(len(middles), bool)], 0)
            if own or not len(truth.spans):
                labels += mine[use].tolist()
                scores += predictions[key].frames.on(truth.edges)[:, 0, 0][use].tolist()
        assert found[f"frame_auc/{name}"] == pytest.approx(brute_auc(np.array(scores), np.array(labels)))


def test_one_class_is_an_error():
    predictions = {"a": Prediction(HeatMap([0.1], [0, 1]))}
    with pytest.raises(DataError, match="without a positive"):
        frame.compute(predictions, {"a": Truth([0, 1])})
    with pytest.raises(DataError, match="without a negative"):
        frame.compute(predictions, {"a": Truth([0, 1], [[0, 1]])})


def test_ids_and_parts_must_fit():
    predictions, truths = world(3)
    with pytest.raises(DataError, match="no prediction for 'v2'"):
        frame.compute({k: v for k, v in predictions.items() if k != "v2"}, truths)
    with pytest.raises(DataError, match="without truth: 'more'"):
        frame.compute(predictions | {"more": predictions["v0"]}, truths)
    with pytest.raises(DataError, match="reads 'frames', but the prediction has none for 'v1'"):
        frame.compute(predictions | {"v1": Prediction()}, truths)
    with pytest.raises(DataError, match="nothing to evaluate"):
        frame.compute({}, {})

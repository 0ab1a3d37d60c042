import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from wherewhen.core.errors import ConfigError, DataError
from wherewhen.core.values import HeatMap, Prediction, Truth
from wherewhen.metrics import video


def world(seed):
    rng = np.random.default_rng(seed)
    edges = np.cumsum(np.r_[0, rng.integers(1, 4, 12)]) / 2
    truths = {f"v{n}": Truth(edges, [[0, 1]] if n % 2 else []) for n in range(6)}
    return {key: Prediction(HeatMap(rng.integers(0, 6, 12) / 5, edges)) for key in truths}, truths


def brute_smoothed(values, edges, seconds):
    """Twin: the mean of very many instants in each window."""
    means = []
    for middle in (edges[1:] + edges[:-1]) / 2:
        low, high = max(middle - seconds / 2, edges[0]), min(middle + seconds / 2, edges[-1])
        instants = low + (np.arange(4000) + 0.5) / 4000 * (high - low)
        means.append(np.mean([values[np.searchsorted(edges, t, "right") - 1] for t in instants]))
    return means


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_equals_sklearn_over_maxima(seed):
    predictions, truths = world(seed)
    tops, labels = [predictions[k].frames.values.max() for k in truths], [t.label for t in truths.values()]
    found = video.compute(predictions, truths)
    assert found["vauc"] == pytest.approx(sk.roc_auc_score(labels, tops))
    assert found["vap"] == pytest.approx(sk.average_precision_score(labels, tops))


@settings(deadline=None, max_examples=5)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.5, 3.0, 100.0]))
def test_smoothing_averages_over_seconds(seed, seconds):
    heat = world(seed)[0]["v0"].frames
    found = video.smoothed(heat.values, heat.edges, seconds)
    assert found == pytest.approx(brute_smoothed(heat.values[:, 0, 0], heat.edges, seconds), abs=2e-3)


def test_a_lone_spike_loses_against_a_lasting_score():
    edges = np.arange(11.0)
    truths = {"calm": Truth(edges), "busy": Truth(edges, [[0, 10]])}
    scores = {"calm": [0, 0, 0, 0, 0.9, 0, 0, 0, 0, 0], "busy": [0.8] * 10}
    predictions = {k: Prediction(HeatMap(v, edges)) for k, v in scores.items()}
    assert video.compute(predictions, truths)["vauc"] == 0.0
    assert video.compute(predictions, truths, smooth=5)["vauc"] == 1.0
    with pytest.raises(ConfigError, match="smooth"):
        video.compute(predictions, truths, smooth=-1)
    with pytest.raises(DataError, match="without a positive"):
        video.compute({"calm": predictions["calm"]}, {"calm": truths["calm"]})

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherewhen.core.errors import ConfigError, DataError
from wherewhen.core.values import HeatMap, Prediction, Truth
from wherewhen.metrics import delay

seeds = st.integers(0, 2**32 - 1)


def world(seed):
    """Videos with frames of uneven length and coarse scores."""
    rng = np.random.default_rng(seed)
    predictions, truths = {}, {}
    for number in range(3):
        edges = np.cumsum(np.r_[0, rng.integers(1, 4, 20)]) / 2
        spans = np.sort(rng.choice(np.arange(1, 10) + 0.1, (number, 2), replace=False), 1)
        truths[f"v{number}"] = Truth(edges, spans)
        predictions[f"v{number}"] = Prediction(HeatMap(rng.integers(0, 6, 20) / 8, edges))
    return predictions, truths


def brute(predictions, truths, threshold, tolerance):
    """Twin: walk over the frames with a flag that says whether an alarm is on."""
    delays, missed, false, quiet = [], 0, 0, 0.0
    for key, truth in truths.items():
        scores = predictions[key].frames.values[:, 0, 0]
        frames = list(zip(truth.edges[:-1], truth.edges[1:], scores, strict=True))
        for start, end in truth.spans:
            on = [max(a - start, 0) for a, b, s in frames if start <= (a + b) / 2 < end and s >= threshold]
            delays += on[:1]
            missed += not on
        alarmed = False
        for a, b, s in frames:
            calm = all(not t0 - tolerance <= (a + b) / 2 < t1 + tolerance for t0, t1 in truth.spans)
            quiet += (b - a) * calm
            false += calm and s >= threshold and not alarmed
            alarmed = calm and s >= threshold
    return delays, missed, false, quiet / 3600


@settings(deadline=None, max_examples=30)
@given(seeds, st.sampled_from([0.1, 0.25, 0.5]), st.sampled_from([0.0, 0.5, 2.0]))
def test_equals_brute_force(seed, threshold, tolerance):
    predictions, truths = world(seed)
    found = delay.compute(predictions, truths, threshold=threshold, tolerance=tolerance)
    delays, missed, false, hours = brute(predictions, truths, threshold, tolerance)
    assert found.get("detection_delay", -1) == pytest.approx(np.mean(delays) if delays else -1)
    assert found["missed_events"] == pytest.approx(missed / 3)
    assert found["false_alarms_per_hour"] == pytest.approx(false / hours)
    assert found["false_alarms_per_camera_day"] == pytest.approx(24 * false / hours)


@settings(deadline=None, max_examples=30)
@given(seeds, st.sampled_from([0, 200, 500, 1000]))
def test_recall_at_a_budget_equals_a_walk_down_the_thresholds(seed, budget):
    predictions, truths = world(seed)
    best = 0.0
    for threshold in sorted({s / 8 for s in range(-1, 7)}, reverse=True):
        _, missed, false, hours = brute(predictions, truths, threshold, 0.5)
        if false / hours > budget:
            break
        best = 1 - missed / 3
    found = delay.compute(predictions, truths, tolerance=0.5, budgets=(budget,))
    assert found[f"recall@{budget}/h"] == pytest.approx(best)


def test_one_endless_alarm_is_no_way_around_the_budget():
    truths = {"a": Truth(np.arange(3601.0), [[1000, 1001]])}
    scores = np.full(3600, 0.1)
    scores[::2] = 0.9
    scores[1000] = 0.2
    found = delay.compute({"a": Prediction(HeatMap(scores, truths["a"].edges))}, truths)
    assert found["recall@60/h"] == 0.0
    assert delay.recall_at_budget([0.2], [[-np.inf, 0.05]], 1, 0) == 1.0


def test_numbers_that_nothing_defines_are_absent():
    quiet = {"a": Prediction(HeatMap([0.1], [0, 1]))}
    found = delay.compute(quiet, {"a": Truth([0, 1])})
    assert found == {"false_alarms_per_hour": 0.0, "false_alarms_per_camera_day": 0.0, "false_alarm_share": 0.0}
    busy = delay.compute(quiet, {"a": Truth([0, 1], [[0, 1]])})
    assert busy == {"missed_events": 1.0}
    with pytest.raises(ConfigError, match="tolerance"):
        delay.compute(quiet, {"a": Truth([0, 1])}, tolerance=-1)
    with pytest.raises(DataError, match="no span"):
        delay.recall_at_budget([], [[0, 1]], 1, 1)


def test_a_span_between_two_frame_middles_is_never_found():
    truths = {"a": Truth([0, 1, 2], [[0.6, 0.9]])}
    found = delay.compute({"a": Prediction(HeatMap([1.0], [0, 2]))}, truths, tolerance=0)
    assert found["missed_events"] == 1.0 and found["recall@60/h"] == 0.0

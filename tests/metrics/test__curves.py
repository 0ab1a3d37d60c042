import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from wherewhen import metrics as curves
from wherewhen.core.errors import DataError

SHARED = Path(os.environ.get("WHEREWHEN_SHARED", Path(__file__).parents[2] / "../shared"))
GOLDEN = SHARED / "golden" / "metric_frame_auc_ap"

seeds = st.integers(0, 2**32 - 1)


@pytest.mark.skipif(not GOLDEN.exists(), reason=f"no golden fixtures at {GOLDEN}")
@pytest.mark.parametrize("case", [f"case{n}" for n in range(1, 7)])
def test_golden(case):
    spec, arrays = json.loads((GOLDEN / "spec.json").read_text())["cases"][case], np.load(GOLDEN / "out.npz")
    scores, labels = arrays[f"{case}__scores"], arrays[f"{case}__labels"]
    assert curves.roc_auc(scores, labels) == pytest.approx(spec["roc_auc"], abs=1e-12)
    assert curves.average_precision(scores, labels) == pytest.approx(spec["average_precision"], abs=1e-12)
    assert curves.pr_auc_trapezoid(scores, labels) == pytest.approx(spec["pr_auc_trapezoid"], abs=1e-12)
    assert curves.eer_point(scores, labels) == pytest.approx(spec["eer_point"], abs=1e-12)


@pytest.mark.skipif(not GOLDEN.exists(), reason=f"no golden fixtures at {GOLDEN}")
def test_golden_false_alarm_rate():
    scores = np.load(GOLDEN / "out.npz")["far__snippet_scores"].repeat(16)
    assert curves.false_alarm_rate(scores, np.zeros(len(scores))) == pytest.approx(0.55, abs=1e-12)


@settings(deadline=None, max_examples=30)
@given(seeds)
def test_equals_sklearn(seed):
    rng = np.random.default_rng(seed)
    scores, labels = rng.integers(0, 20, 60) / 7, np.r_[0, 1, rng.integers(0, 2, 58)]
    weights = rng.integers(1, 5, 60)
    precision, recall, _ = sk.precision_recall_curve(labels, scores)
    assert curves.pr_auc_trapezoid(scores, labels) == pytest.approx(sk.auc(recall, precision))
    assert curves.roc_auc(scores, labels, weights) == pytest.approx(
        sk.roc_auc_score(labels, scores, sample_weight=weights)
    )
    assert curves.average_precision(scores, labels, weights / 3) == pytest.approx(
        sk.average_precision_score(labels, scores, sample_weight=weights / 3)
    )
    fpr, tpr, _ = sk.roc_curve(labels, scores, drop_intermediate=False)
    rate = curves.eer(scores, labels)
    assert np.interp(rate, fpr + np.arange(len(fpr)) * 1e-12, tpr) == pytest.approx(1 - rate, abs=1e-6) or any(
        a <= 1 - rate <= b for x, a, b in zip(fpr[1:], tpr[:-1], tpr[1:], strict=True) if abs(x - rate) < 1e-9
    )


@settings(deadline=None, max_examples=30)
@given(seeds)
def test_shares_are_weighted_pairs_of_labels(seed):
    rng = np.random.default_rng(seed)
    scores, share, weights = rng.integers(0, 5, 12), rng.uniform(0.1, 0.9, 12), rng.uniform(1, 2, 12)
    twice, labels = np.r_[scores, scores], np.r_[np.ones(12), np.zeros(12)]
    split = np.r_[weights * share, weights * (1 - share)]
    for number in (curves.roc_auc, curves.average_precision, curves.pr_auc_trapezoid, curves.eer):
        assert number(scores, share, weights) == pytest.approx(number(twice, labels, split))


@pytest.mark.parametrize(
    ("scores", "labels", "weights", "message"),
    [
        ([np.nan], [1], None, "finite"),
        ([0.1, 0.2], [1], None, "2 scores but 1 labels"),
        ([0.1], [2], None, "share"),
        ([0.1], [1], [-1], "not negative"),
    ],
)
def test_bad_arrays(scores, labels, weights, message):
    with pytest.raises(DataError, match=message):
        curves.roc_auc(scores, labels, weights)


def test_huge_weights_do_not_overflow():
    assert curves.roc_auc([0.1, 0.2], [0, 1], [2**33, 2**33]) == 1.0

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherewhen.evaluation.statistics import interval, paired, sign_flip

FEW = st.lists(st.floats(-1, 1), min_size=1, max_size=6)


@given(FEW)
def test_sign_flip_counts_every_way_to_flip(values: list[float]) -> None:
    means = [
        abs(np.mean([s * v for s, v in zip(signs, values, strict=True)]))
        for signs in product((1, -1), repeat=len(values))
    ]
    assert sign_flip(values) == pytest.approx(np.mean([m >= abs(np.mean(values)) - 1e-12 for m in means]))


def test_sign_flip_of_many_is_near_the_normal_answer() -> None:
    values = np.random.default_rng(0).normal(0.5, 1, 40)
    z = abs(values.mean()) / (values.std(ddof=1) / np.sqrt(40))
    from scipy.stats import norm

    assert sign_flip(values) == pytest.approx(2 * norm.sf(z), abs=0.01)


def test_the_interval_is_that_of_the_mean() -> None:
    values = np.random.default_rng(1).normal(0.7, 0.1, 50)
    low, high = interval(values)
    half = 1.96 * values.std() / np.sqrt(50)
    assert low == pytest.approx(values.mean() - half, abs=0.004)
    assert high == pytest.approx(values.mean() + half, abs=0.004)
    assert interval([0.3]) == (0.3, 0.3)


def test_pairs_use_only_the_repeats_that_both_have() -> None:
    rows = {
        ("a", "motion"): [{"auc": 0.9}, {"auc": 0.8}, {}],
        ("b", "motion"): [{"auc": 0.7}, {"auc": 0.7}, {"auc": 0.1}],
        ("a", "other"): [{"auc": 0.5}],
    }
    (pair,) = paired(rows, ["a", "b"], ["auc"])
    assert (pair.a, pair.b, pair.backbone, pair.n) == ("a", "b", "motion", 2)
    assert pair.difference == pytest.approx(0.15)
    assert pair.low <= pair.difference <= pair.high

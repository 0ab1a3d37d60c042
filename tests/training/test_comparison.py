"""AUC within folds and the standard error of differences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherewhen.metrics import roc_auc
from wherewhen.training.comparison import paired_error, ranking


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from([0, 1]), st.integers(0, 2)), min_size=1, max_size=30))
def test_a_ranking_is_the_auc_over_the_pairs_of_each_fold(rows: list[tuple[int, int, int]]) -> None:
    rows = [*rows, (1, 0, 0), (2, 1, 0)]
    peaks, labels, folds = ({f"v{k}": row[i] for k, row in enumerate(rows)} for i in range(3))
    pairs = []
    for number in set(folds.values()):
        both = [(row[0], row[1]) for row in rows if row[2] == number]
        size = sum(label for _, label in both) * sum(1 - label for _, label in both)
        if size:
            pairs.append((roc_auc([s for s, _ in both], [bool(label) for _, label in both]), size))
    values, weights = zip(*pairs, strict=True)
    assert ranking(peaks, labels, folds).auc == pytest.approx(np.average(values, weights=weights))


def test_scores_of_two_folds_are_not_compared() -> None:
    labels, folds = {"a": 1, "b": 0, "c": 1, "d": 0}, {"a": 0, "b": 0, "c": 1, "d": 1}
    assert ranking({"a": 0.2, "b": 0.1, "c": 0.9, "d": 0.8}, labels, folds).auc == 1.0


def test_the_paired_error_is_that_of_resampled_videos() -> None:
    rng = np.random.default_rng(0)
    labels = {f"v{k}": k % 2 for k in range(80)}
    folds = {name: k // 40 for k, name in enumerate(labels)}
    base = {name: label + rng.normal() for name, label in labels.items()}
    other = {name: value + rng.normal() for name, value in base.items()}
    names = np.array(list(labels))
    strata = [[n for n in names if labels[n] == label and folds[n] == f] for label in (0, 1) for f in (0, 1)]
    gaps = []
    for _ in range(300):
        drawn = np.concatenate([rng.choice(part, len(part)) for part in strata])
        again = [{f"{k}": source[n] for k, n in enumerate(drawn)} for source in (base, other)]
        marks, parts = ({f"{k}": source[n] for k, n in enumerate(drawn)} for source in (labels, folds))
        gaps.append(ranking(again[0], marks, parts).auc - ranking(again[1], marks, parts).auc)
    one, two = ranking(base, labels, folds), ranking(other, labels, folds)
    assert paired_error(one, two) == pytest.approx(float(np.std(gaps)), rel=0.2)
    assert paired_error(one, one) == 0

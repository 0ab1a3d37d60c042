"""The order of the trainings of a comparison, and which candidates are dropped."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from wherewhen.training.comparison import ranking
from wherewhen.training.out_of_fold import FOLDS, FoldScores
from wherewhen.training.trials import DROPPED, KEPT, Trial, Trials, beats_chance

SIZE = 20  # videos of each label in a fold
LABELS = {f"{fold}-{label}-{k}": label for fold in range(FOLDS) for label in (0, 1) for k in range(SIZE)}
PLACES = {name: int(name[0]) for name in LABELS}


def scores(fold: int, right: int, seconds: float = 1.0) -> FoldScores:
    """Peaks of a fold: above all normal videos are ``right`` of its anomalous ones, the others are below."""
    peaks = {}
    for name in LABELS:
        if PLACES[name] == fold:
            above = int(name.split("-")[2]) < right
            peaks[name] = 0.5 if not LABELS[name] else 0.9 if above else 0.1
    return FoldScores(peaks, [0.5], 0.1, seconds)


def run(right: Mapping[str, int], costs: Mapping[str, float] | None = None) -> tuple[Trials, list[tuple[str, int]]]:
    """A finished comparison of candidates that rank so many anomalous videos right, and the order of trainings."""
    trials = Trials([Trial(name, (costs or {}).get(name, k)) for k, name in enumerate(right)], LABELS, PLACES)
    order = []
    for trial, number in trials.turns():
        order.append((trial.name, number))
        trial.folds.append(scores(number, right[trial.name]))
    return trials, order


def test_the_cheapest_begins_and_the_best_goes_on_first() -> None:
    costs = {"a": 3.0, "b": 1.0, "c": 2.0}
    _, order = run({"a": 18, "b": 2, "c": 19}, costs)
    assert order == [("b", 0), ("c", 0), ("a", 0), *((name, k) for k in (1, 2) for name in ("c", "a", "b"))]


def test_the_lower_half_is_dropped_after_a_fold_and_says_so() -> None:
    right = {"a": 20, "b": 19, "c": 18, "d": 17, "e": 5, "f": 4, "g": 3, "h": 2}
    trials, order = run(right)
    assert [name for name, number in order if number == 1] == ["a", "b", "c", "d"]
    notes = {trial.name: trial.note for trial in trials.candidates if trial.note}
    assert notes["e"] == f"{DROPPED} after 1 of {FOLDS} folds: AUC 0.250, the best one had 1.000"
    assert set(notes) == {"d", "e", "f", "g", "h"} and notes["d"].startswith(f"{DROPPED} after 2 ")
    assert list(trials.ranks(FOLDS)) == ["a", "b", "c"]


@given(st.lists(st.integers(0, SIZE), min_size=1, max_size=9))
def test_only_what_is_clearly_worse_is_dropped(right: list[int]) -> None:
    """The best one and equals of it go to the end, so do three at least, and nobody skips a fold."""
    trials, order = run({f"m{k}": value for k, value in enumerate(right)})
    done = {trial.name: [number for name, number in order if name == trial.name] for trial in trials.candidates}
    assert all(numbers == list(range(len(numbers))) for numbers in done.values())
    whole = {name for name, numbers in done.items() if len(numbers) == FOLDS}
    assert len(whole) >= min(KEPT, len(right))
    assert {f"m{k}" for k, value in enumerate(right) if value == max(right)} <= whole
    assert whole == {trial.name for trial in trials.candidates if not trial.note}


def test_a_finished_comparison_has_nothing_to_do_even_without_its_notes() -> None:
    trials, _ = run({"a": 20, "b": 19, "c": 18, "d": 1, "e": 0})
    notes = [trial.note for trial in trials.candidates]
    for trial in trials.candidates:
        trial.note = ""
    assert list(trials.turns()) == [] and [trial.note for trial in trials.candidates] == notes


def test_time_is_kept_for_those_that_would_go_on() -> None:
    trials = Trials([Trial(name, k) for k, name in enumerate("abcdef")], LABELS, PLACES)
    assert trials.reserved() == 0
    for trial, (right, seconds) in zip(trials.candidates, [(20, 3.0), (19, 5.0), (18, 7.0), (2, 100.0)], strict=False):
        trial.folds.append(scores(0, right, seconds))
    assert trials.reserved() == (FOLDS - 1) * (3 + 5 + 7)


def test_few_rankings_by_chance_beat_chance() -> None:
    rng = np.random.default_rng(0)

    def share(gain: float) -> float:
        peaks = [{name: rng.normal() + gain * label for name, label in LABELS.items()} for _ in range(400)]
        return float(np.mean([beats_chance(ranking(each, LABELS, PLACES)) for each in peaks]))

    assert 0.02 < share(0.0) < 0.09 and share(1.0) > 0.95

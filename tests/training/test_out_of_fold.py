"""Scores out of fold: no video is scored by a model that was trained on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherewhen.core.values import Bag, Video
from wherewhen.inference.frame_scores import frame_scores
from wherewhen.inference.model_config import ModelConfig
from wherewhen.training import out_of_fold
from wherewhen.training.fit import fit
from wherewhen.training.loop import OutOfTime
from wherewhen.training.out_of_fold import FOLDS, FoldScores, block_maxima, fold_scores, folds_of, platt_threshold

CONFIG = ModelConfig.of({"training": {"steps": 6}})


@given(st.lists(st.tuples(st.integers(0, 15), st.sampled_from([0, 1])), min_size=1, max_size=40), st.integers(2, 4))
def test_clips_of_one_file_are_in_one_fold(rows: list[tuple[int, int]], parts: int) -> None:
    rows = [*rows, *((20 + k, 0) for k in range(parts))]
    videos = [Video(f"v{k}", Path(f"{file}.mp4"), label) for k, (file, label) in enumerate(rows)]
    fold = folds_of(videos, parts, 0)
    assert set(fold) <= set(range(parts))
    assert len(set(zip([v.path for v in videos], fold, strict=True))) == len({v.path for v in videos})


def test_clips_of_one_camera_are_in_one_fold() -> None:
    videos = [Video(f"v{k}", Path(f"{k}.mp4"), k % 2, camera=f"c{k // 4}") for k in range(24)]
    fold = folds_of(videos, FOLDS, 0)
    assert len(set(zip([v.camera for v in videos], fold, strict=True))) == 6 and set(fold) == set(range(FOLDS))


def test_the_videos_of_a_fold_teach_nothing(
    toy_bags: Callable[..., list[Bag]], monkeypatch: pytest.MonkeyPatch
) -> None:
    bags = toy_bags(12)
    fold = folds_of([bag.video for bag in bags], FOLDS, 0)
    seen: list[set[str]] = []
    fit = out_of_fold.fit

    def watched(some: list[Bag], *args: object, **kwargs: object) -> object:
        seen.append({bag.video.id for bag in some})
        return fit(some, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(out_of_fold, "fit", watched)
    scores = fold_scores(bags, fold, 0, CONFIG, device="cpu")
    held = {bag.video.id for bag, number in zip(bags, fold, strict=True) if number == 0}
    assert set(scores.peaks) == held and not held & seen[0] and held | seen[0] == {bag.video.id for bag in bags}
    assert all(0 <= peak <= 1 for peak in scores.peaks.values())
    seconds = sum(5 + int(bag.video.id[1:]) % 4 for bag in bags if bag.video.id in held and not bag.video.label)
    assert scores.hours == pytest.approx(seconds / 3600) and len(scores.maxima) >= 1
    cells = bags[fold.index(0)].views["cells"]
    bags[fold.index(0)] = replace(
        bags[fold.index(0)], views={"cells": replace(cells, features=np.full_like(cells.features, 1e6))}
    )
    again = fold_scores(bags, fold, 0, CONFIG, device="cpu")
    others = held - {bags[fold.index(0)].video.id}
    assert {name: again.peaks[name] for name in others} == {name: scores.peaks[name] for name in others}


def test_scores_out_of_fold_are_raw_and_need_no_threshold(
    toy_bags: Callable[..., list[Bag]], monkeypatch: pytest.MonkeyPatch
) -> None:
    bags = toy_bags(12)
    with_threshold, without = (fit(bags, CONFIG, device="cpu", thresholds=some).best for some in (True, False))
    assert without.threshold == 0.5 != with_threshold.threshold
    for bag in bags:
        part = replace(bag, views=without.normalized(bag.views))
        np.testing.assert_array_equal(frame_scores(without, part)[1], frame_scores(with_threshold, part)[1])
    monkeypatch.setattr("wherewhen.training.fit.choose_threshold", lambda *_: pytest.fail("scores all training bags"))
    assert fold_scores(bags, [k % 6 // 2 for k in range(12)], 0, CONFIG, device="cpu").peaks


def test_training_ends_when_its_time_is_over(toy_bags: Callable[..., list[Bag]]) -> None:
    bags = toy_bags(12)
    with pytest.raises(OutOfTime, match="step 1 of 6"):
        fold_scores(bags, [k % 6 // 2 for k in range(12)], 0, CONFIG, device="cpu", limit=0.0)


@given(
    st.lists(st.floats(0.05, 0.95), min_size=3, max_size=20), st.lists(st.floats(0.05, 0.95), min_size=3, max_size=20)
)
def test_a_threshold_of_platt_is_between_the_peaks(normal: list[float], anomalous: list[float]) -> None:
    scores, labels = [*normal, *anomalous], [0] * len(normal) + [1] * len(anomalous)
    threshold = platt_threshold(scores, labels)
    if threshold is not None:
        assert min(scores) - 1e-6 <= threshold <= max(scores) + 1e-6
    if max(normal) + 0.1 < min(anomalous):
        assert threshold is not None and max(normal) < threshold < min(anomalous)


def test_no_threshold_where_scores_mean_nothing() -> None:
    assert platt_threshold([0.9, 0.8, 0.2, 0.1], [0, 0, 1, 1]) is None
    assert platt_threshold([0.5] * 4, [0, 0, 1, 1]) is None
    assert platt_threshold([0.5, 0.6], [1, 1]) is None


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60))
def test_each_block_of_time_has_its_maximum(scores: list[float]) -> None:
    times = np.arange(len(scores))[:, None] * 0.7 + [0, 0.7]
    maxima = block_maxima(times, np.array(scores), 7.0)
    assert maxima == [max(scores[k : k + 10]) for k in range(0, len(scores), 10)]


def test_scores_are_read_as_they_were_written() -> None:
    scores = FoldScores({"a": 0.25}, [0.5], 0.1, 3.0)
    assert FoldScores.of({"peaks": {"a": 0.25}, "maxima": [0.5], "hours": 0.1, "seconds": 3}) == scores

"""What is said of a model after training: by videos that it did not learn from, or that it is no estimate."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherewhen.api import sanity
from wherewhen.api.sanity import Sanity, check, crossed, moving, plain_motion, split
from wherewhen.core.errors import DataError
from wherewhen.core.values import Bag, Event, HeatMap, Instances, Prediction, Video
from wherewhen.evaluation.statistics import auc_interval
from wherewhen.inference.model_config import ModelConfig
from wherewhen.training.fit import fit

CONFIG = ModelConfig.of({"training": {"steps": 8, "validate_every": 4}})
Bags = Callable[..., list[Bag]]


# --- the record


def sane(anomalous: Sequence[float], normal: Sequence[float], **more: Any) -> Sanity:
    """Videos with these highest scores; an alarm goes off from 0.5."""
    scores = {f"a{k}": score for k, score in enumerate(anomalous)} | {f"n{k}": score for k, score in enumerate(normal)}
    labels = {name: int(name[0] == "a") for name in scores}
    alarms = {name: score >= 0.5 for name, score in scores.items()}
    return Sanity(more.pop("protocol", "out of fold"), labels, scores, alarms, **more)


def test_one_line_says_it_all() -> None:
    found = sane([0.9] * 12 + [0.15] * 8, [0.1] * 9 + [0.2] * 10 + [0.7], motion=0.69, parts=4)
    assert found.line == (
        "12 of 20 anomalous and 1 of 20 normal training videos would alarm, out of fold: each by a model that was "
        "not trained on it; AUC 0.78, plain motion 0.69; 40 videos are few: expect an AUC of 0.60 to 0.89 on others "
        "like these"
    )
    assert found.warnings == []
    few = sane([0.9, 0.2, 0.7, 0.6], [0.1, 0.3, 0.65, 0.2])
    assert "; 8 videos are few: expect an AUC of 0." in few.line and "plain motion" not in few.line


def test_what_speaks_against_a_model_is_told() -> None:
    rng = np.random.default_rng(0)
    (warning,) = sane(rng.random(8).tolist(), rng.random(8).tolist()).warnings
    assert warning.startswith("no better than chance")
    good = [0.45 + k / 100 for k in range(30)], [0.3 + k / 100 for k in range(30)]
    assert sane(*good, motion=0.5).warnings == []
    (warning,) = sane(*good, motion=sane(*good).auc - 0.01).warnings
    assert "no better than plain motion (motion alone 0.87, this model 0.88)" in warning
    assert sane([0.9] * 30, [0.1] * 30, motion=1.0).warnings == [], "there is nothing left to be better in"


def test_a_better_threshold_is_named_where_alarms_are_rare() -> None:
    quiet = sane([0.3 + k / 1000 for k in range(30)], [0.1 + k / 1000 for k in range(30)])
    assert quiet.count(1) == 0 and quiet.level == 0.21
    (warning,) = quiet.warnings
    assert "30 of 30 anomalous and 0 of 30 normal videos reach 0.21; see detect --threshold 0.21" in warning
    assert sane([0.8] * 30, [0.1] * 30).level is None


def test_in_sample_nothing_is_expected() -> None:
    found = sane([0.9], [0.1, 0.2], protocol="in sample", motion=1.0, single=("anomalous",))
    assert (
        "in sample: the model was trained on them, so this is no estimate" in found.line and "expect" not in found.line
    )
    assert found.warnings == ["all anomalous videos are from one file, so validation is not possible"]
    assert found.level is None


def test_the_table_names_what_is_wrong() -> None:
    facts = sane([0.9, 0.2], [0.1, 0.7, 0.3], motion=0.5).facts
    rows = {row[0]: row[1:] for row in facts.rows}
    assert facts.columns == ("anomalous", "normal")
    assert rows["videos"] == ("2", "3") and rows["with an alarm"] == ("1 (50%)", "1 (33%)")
    assert rows["missed; false alarms"] == ("a1", "n1")
    assert "Plain motion, without training: 0.50." in facts.note
    many = sane([0.1] * 12, [0.2])
    assert {row[0]: row[1] for row in many.facts.rows}["missed; false alarms"].endswith("a7 and 4 more")


def test_all_of_it_is_json() -> None:
    told = sane([0.9, 0.2], [0.1, 0.7], motion=None, parts=2).plain()
    assert json.loads(json.dumps(told)) == told
    assert told["anomalous"] == {"videos": 2, "alarms": 1} and told["alarms"] == ["a0", "n1"]
    assert set(told) >= {"how", "parts", "vauc", "low", "high", "motion", "line", "warnings", "scores"}


@given(st.floats(0, 1), st.integers(2, 200), st.integers(2, 200))
def test_the_interval_of_an_auc(auc: float, positives: int, negatives: int) -> None:
    low, high = auc_interval(auc, positives, negatives)
    assert 0 <= low <= auc <= high <= 1 and high - low > 0
    other = auc_interval(1 - auc, positives, negatives)
    assert other == pytest.approx((1 - high, 1 - low), abs=1e-6)
    larger = auc_interval(auc, 4 * positives, 4 * negatives)
    assert larger[1] - larger[0] < high - low


# --- how videos are scored


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(1, 3)), min_size=4, max_size=20), st.integers(0, 9))
def test_parts_share_no_file_and_teach_both_labels(files: list[tuple[int, int]], seed: int) -> None:
    files = [(0, 1), (0, 2), (1, 1), (1, 3), *files]
    videos = [
        Video(f"{number}-{k}", Path(f"{number}.mp4"), label)
        for number, (label, count) in enumerate(files)
        for k in range(count)
    ]
    least = min(sum(label == own for label, _ in files) for own in (0, 1))
    for parts in range(2, min(4, least) + 1):
        part = split(videos, parts, seed)
        assert part == split(videos, parts, seed) and set(part) == set(range(parts))
        of_file: dict[Path, set[int]] = {}
        for video, own in zip(videos, part, strict=True):
            of_file.setdefault(video.path, set()).add(own)
        assert all(len(own) == 1 for own in of_file.values())
        for own in range(parts):
            assert {video.label for video, one in zip(videos, part, strict=True) if one != own} == {0, 1}


def test_no_video_is_judged_by_who_learned_from_it(toy_bags: Bags, monkeypatch: pytest.MonkeyPatch) -> None:
    taught: dict[int, set[str]] = {}
    steps, judged = [], []

    def noted(bags: Sequence[Bag], config: ModelConfig, **more: Any) -> Any:
        made = fit(bags, config, **more)
        taught[id(made.last)] = {bag.video.id for bag in bags}
        steps.append(config.training.steps)
        kept.append(made)
        return made

    real, kept = sanity.predicted, list[Any]()

    def judging(model: Any, bags: Sequence[Bag]) -> dict[str, Prediction]:
        judged.extend(bag.video.id for bag in bags)
        assert not taught[id(model)] & {bag.video.id for bag in bags}
        return real(model, bags)

    monkeypatch.setattr(sanity, "fit", noted)
    monkeypatch.setattr(sanity, "predicted", judging)
    bags = toy_bags(10)
    found = crossed(bags, CONFIG, 4, "cpu")
    assert sorted(judged) == sorted(found) == sorted(bag.video.id for bag in bags)
    assert sum(steps) == CONFIG.training.steps and len(steps) == 4
    again = crossed(bags, CONFIG, 4, "cpu")
    for name, one in found.items():
        assert one.frames is not None and again[name].frames is not None
        np.testing.assert_array_equal(one.frames.values, again[name].frames.values)  # type: ignore[union-attr]


def made_up(bags: Sequence[Bag], *_: Any) -> dict[str, Prediction]:
    edges = np.array([0.0, 1.0])
    return {
        bag.video.id: Prediction(
            HeatMap([0.2 + 0.6 * (bag.video.label or 0)], edges),
            events=(Event([[0, 1, 0, 0, 1, 1]], 0.8),) if bag.video.label else (),
        )
        for bag in bags
    }


@pytest.mark.parametrize(
    ("labels", "held", "cross", "how", "count"),
    [
        ([0, 0, 1, 1], 0, True, "out of fold", 4),
        ([0, 0, 1, 1], 2, True, "out of fold", 4),
        ([0, 1] * 30, 40, True, "on validation videos", 40),
        ([0, 1] * 30, 38, True, "out of fold", 60),
        ([0, 1] * 10, 4, False, "on validation videos", 4),
        ([0, 0, 1, 1], 0, False, "in sample", 4),
        ([0, 0, 0, 1], 0, True, "in sample", 4),
        ([0, 1], 0, True, "in sample", 2),
    ],
)
def test_how_videos_are_scored(
    labels: list[int], held: int, cross: bool, how: str, count: int, toy_bags: Bags, monkeypatch: pytest.MonkeyPatch
) -> None:
    bags = [
        Bag(replace(bag.video, label=label, id=f"x{k}", path=Path(f"x{k}.mp4")), bag.views)
        for k, (label, bag) in enumerate(zip(labels, toy_bags(1) * len(labels), strict=True))
    ]
    monkeypatch.setattr(sanity, "crossed", made_up)
    monkeypatch.setattr(sanity, "predicted", lambda model, bags: made_up(bags))
    fitted = fit(toy_bags(4), CONFIG, device="cpu")
    found = check(bags, fitted, CONFIG, [bag.video for bag in bags[:held]], "cpu", cross=cross)
    assert (found.protocol, len(found.labels)) == (how, count)
    assert found.auc == 1 and found.count(1) == len(found.of(1)) and found.count(0) == 0
    told = any("validation is not possible" in warning for warning in found.warnings)
    assert told == (labels.count(1) == 1)


def test_a_model_is_kept_where_no_part_can_be_learnt(toy_bags: Bags, monkeypatch: pytest.MonkeyPatch) -> None:
    bags = toy_bags(6)
    fitted = fit(bags, CONFIG, device="cpu")

    def broken(*_: Any, **__: Any) -> None:
        raise DataError("the loss is not finite at step 3")

    monkeypatch.setattr(sanity, "fit", broken)
    found = check(bags, fitted, CONFIG, [], "cpu")
    assert found.protocol == "in sample"
    assert found.warnings == ["no model could be cross-fitted: the loss is not finite at step 3"]


def test_labels_by_chance_look_good_in_sample_alone(toy_bag: Callable[..., Bag]) -> None:
    """Noise with drawn labels: what was seen is told apart, what was not isn't."""
    bags = []
    for k, label in enumerate(np.random.default_rng(3).permutation([0, 1] * 20).tolist()):
        bag = toy_bag(300 + k, 0, 4)
        bags.append(Bag(replace(bag.video, label=label), bag.views))
    config = ModelConfig.of({"training": {"steps": 60}, "validation": 0.0})
    fitted = fit(bags, config, device="cpu")
    blind = check(bags, fitted, config, [], "cpu")
    seen = check(bags, fitted, config, [], "cpu", cross=False)
    assert (blind.protocol, seen.protocol) == ("out of fold", "in sample")
    assert seen.auc > 0.6 > 0.55 > blind.auc
    assert any("chance" in warning for warning in blind.warnings)


# --- plain motion


def moved(number: int, label: int, detail: bool = True) -> Bag:
    """Six steps of two cells in a row; in an anomalous video something moves in the middle of it."""
    steps = np.zeros((6, 4, 8), np.float32)
    steps[2:4, 1:3, 2:6] = 0.3 * label + 0.01 * number
    rows = np.array([[t, t + 1, x / 2, 0, x / 2 + 0.5, 1] for t in range(6) for x in range(2)], float)
    features = np.random.default_rng(number).random((12, 6)).astype(np.float32)
    seen = Instances(features, rows, shape=(6, 1, 2), detail=steps if detail else None)
    return Bag(Video(f"m{number}", Path(f"m{number}.mp4"), label), {"cells": seen})


def test_plain_motion_needs_no_learning() -> None:
    bags = [moved(number, number % 2) for number in range(6)]
    model = fit(bags, CONFIG, device="cpu").best
    labels = {bag.video.id: bag.video.label or 0 for bag in bags}
    assert plain_motion(bags, labels, model) == 1.0
    turned = {name: 1 - label for name, label in labels.items()}
    assert plain_motion(bags, turned, model) == 0.0
    assert plain_motion([*bags[:5], moved(5, 1, detail=False)], labels, model) is None
    grid = moving(bags[1].views["cells"])
    assert grid is not None and grid.shape == (6, 4, 8) and grid.features.shape == (192, 1)
    assert grid.extents[:, 0].reshape(6, 32).tolist() == [[t] * 32 for t in range(6)]

"""The choice of a method: by training videos alone, within its time, and the same after an interruption."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from wherewhen.core.errors import ConfigError, DataError, StoreError
from wherewhen.core.values import Bag, Video
from wherewhen.inference.model_config import ModelConfig
from wherewhen.training import selection
from wherewhen.training.out_of_fold import FOLDS, FoldScores
from wherewhen.training.selection import FEW, Request, select

MakeBags = Callable[..., list[Bag]]
NAMES = ("cuboid_mil", "wherewhen")
SETTINGS: Mapping[str, Any] = {"training": {"steps": 4}, "auto": {"candidates": ",".join(NAMES)}}


def request(**auto: Any) -> Request:
    made = Request.of({**SETTINGS, "auto": {**SETTINGS["auto"], **auto}})
    assert made is not None
    return made


def scripted(monkeypatch: pytest.MonkeyPatch, skill: Mapping[str, float], fails: int | None = None) -> list[str]:
    """Replace trainings by peaks that rank this share of anomalous videos right; the call ``fails`` is interrupted."""
    calls: list[str] = []

    def scores(bags: Sequence[Bag], fold: Sequence[int], number: int, config: Any, **_: Any) -> FoldScores:
        if len(calls) == fails:
            raise KeyboardInterrupt
        calls.append(config.method)
        videos = [bag.video for bag, own in zip(bags, fold, strict=True) if own == number]
        bad = [video.id for video in videos if video.label]
        right = set(bad[: round(skill[config.method] * len(bad))])
        return FoldScores({v.id: 0.5 + 0.4 * (v.id in right) - 0.1 * (v.label or 0) for v in videos}, [0.1], 0.1, 1.0)

    monkeypatch.setattr(selection, "fold_scores", scores)
    return calls


def test_a_named_method_is_not_chosen() -> None:
    assert Request.of({"method": "rtfm"}) is None
    assert Request.of({}) is not None and Request.of({"method": "auto"}) is not None
    with pytest.raises(ConfigError, match="auto: its settings have no effect with the method rtfm"):
        Request.of({"method": "rtfm", "auto": {"minutes": 3}})
    with pytest.raises(ConfigError, match="unknown method 'rtfn'; did you mean 'rtfm'"):
        Request.of({"auto": {"candidates": "rtfn"}})
    with pytest.raises(ConfigError, match="minutes must be above 0"):
        Request.of({"auto": {"minutes": 0}})


def test_candidates_are_those_that_fit_the_backbone() -> None:
    usual = Request.of({})
    assert usual is not None and {"cuboid_mil", "gclnc", "rtfm"} <= set(usual.candidates)
    assert "encodes none" in usual.unfit["vadclip"] and "tracked objects" in usual.unfit["mgpr"]
    reads = Request.of({"backbone": "toywords"})
    assert reads is not None and "vadclip" in reads.candidates
    named = Request.of({"auto": {"candidates": "mgpr, vadclip"}})
    assert named is not None and set(named.candidates) == {"mgpr", "vadclip"}


def test_too_few_videos_choose_nothing() -> None:
    def videos(count: int, file: str = "{}.mp4") -> list[Video]:
        return [Video(f"{k}{label}", Path(file.format(f"{k}{label}")), label) for k in range(count) for label in (0, 1)]

    assert request().too_few(videos(FEW)) is None
    assert "too few" in (request().too_few(videos(FEW - 1)) or "")
    assert "of 1 files" in (request().too_few(videos(FEW, "one.mp4")) or "")


@pytest.mark.parametrize(
    ("skill", "chosen"),
    [
        ({"cuboid_mil": 0.9, "wherewhen": 0.9}, "cuboid_mil"),
        ({"cuboid_mil": 0.2, "wherewhen": 1.0}, "wherewhen"),
        ({"cuboid_mil": 1.0, "wherewhen": 0.2}, "cuboid_mil"),
    ],
)
def test_the_best_is_chosen_and_the_usual_one_of_equals(
    skill: dict[str, float], chosen: str, toy_bags: MakeBags, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = scripted(monkeypatch, skill)
    bags = toy_bags(24)
    result = select(request(), lambda config: bags, device="cpu", quiet=True)
    assert result.config.method == chosen and len(calls) == FOLDS * len(NAMES)
    assert result.chosen is not None and set(result.chosen.peaks) == {bag.video.id for bag in bags}
    assert chosen in result.line and "2 methods compared" in result.line
    assert [row["method"] for row in result.plain()["candidates"] if row["chosen"]] == [chosen]


def test_the_usual_one_is_chosen_where_none_beats_chance(toy_bags: MakeBags, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, {"cuboid_mil": 0.3, "wherewhen": 0.6})
    bags = toy_bags(24)
    result = select(request(), lambda config: bags, device="cpu", quiet=True)
    assert result.config.method == "cuboid_mil"
    assert "better than chance (best: wherewhen, AUC 0." in result.line and "it is the default" in result.line


@pytest.mark.parametrize("fails", [0, 1, 4])
def test_an_interrupted_comparison_continues(
    fails: int, toy_bags: MakeBags, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bags, skill, file = toy_bags(24), {"cuboid_mil": 0.3, "wherewhen": 0.9}, tmp_path / "selection.json"
    scripted(monkeypatch, skill)
    whole = select(request(), lambda config: bags, device="cpu", quiet=True)
    scripted(monkeypatch, skill, fails)
    with pytest.raises(KeyboardInterrupt):
        select(request(), lambda config: bags, device="cpu", file=file, quiet=True)
    calls = scripted(monkeypatch, skill)
    again = select(request(), lambda config: bags, device="cpu", file=file, resume=True, quiet=True)
    assert again == whole and len(calls) == FOLDS * len(NAMES) - fails
    with pytest.raises(StoreError, match="started with other data or settings"):
        select(request(), lambda config: bags[:22], device="cpu", file=file, resume=True, quiet=True)
    file.write_text('{"key": 3}')
    with pytest.raises(StoreError, match=r"selection\.json"):
        select(request(), lambda config: bags, device="cpu", file=file, resume=True, quiet=True)


def test_what_takes_too_long_is_left_out(toy_bags: MakeBags, tmp_path: Path) -> None:
    bags, file = toy_bags(24), tmp_path / "selection.json"
    result = select(request(minutes=1e-9), lambda config: bags, device="cpu", file=file, quiet=True)
    assert result.config.method == "cuboid_mil" and "no comparison of methods ended" in result.line
    assert all("--auto.minutes" in trial.note for trial in result.trials)
    assert result.chosen is None
    stored = json.loads(file.read_text())["trials"]
    assert set(stored) == set(NAMES) and all(trial["note"] for trial in stored.values())


def test_a_method_that_fails_is_a_row_of_the_table(toy_bags: MakeBags, monkeypatch: pytest.MonkeyPatch) -> None:
    bags = toy_bags(24)
    scripted(monkeypatch, {"cuboid_mil": 0.9, "wherewhen": 0.5})
    working = selection.fold_scores

    def failing(*args: Any, **kwargs: Any) -> FoldScores:
        if args[3].method == "wherewhen":
            raise DataError("the loss is not finite")
        return working(*args, **kwargs)

    monkeypatch.setattr(selection, "fold_scores", failing)
    result = select(request(), lambda config: bags, device="cpu", quiet=True)
    assert result.config.method == "cuboid_mil"
    assert {trial.name: trial.note for trial in result.trials}["wherewhen"] == "failed: the loss is not finite"
    assert "1 methods compared" in result.line


def test_a_comparison_continues_with_more_time(
    toy_bags: MakeBags, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bags, file = toy_bags(24), tmp_path / "selection.json"
    calls = scripted(monkeypatch, {"cuboid_mil": 0.9, "wherewhen": 0.3})  # each training takes a second
    first = select(request(minutes=4.5 / 60), lambda config: bags, device="cpu", file=file, quiet=True)
    assert len(calls) == 5 and first.config.method == "cuboid_mil" and "1 left out for time" in first.line
    again = select(request(minutes=1), lambda config: bags, device="cpu", file=file, resume=True, quiet=True)
    assert len(calls) == 6 and again.config.method == "cuboid_mil" and "2 methods compared" in again.line


def test_a_cost_is_that_of_the_bag_that_training_sees(toy_bag: Callable[..., Bag]) -> None:
    """`pooled` learns from one row of each time step, so its cost does not depend on the number of cells."""
    config = ModelConfig.of({"method": "pooled"})
    costs = [selection.cost(config, toy_bag(0, 1, size=size)) for size in ((3, 4), (6, 8))]
    assert costs[0] == costs[1] > 0
    longer = selection.cost(config, toy_bag(0, 1, steps=16))
    assert longer > costs[0]

"""The method of a run: chosen by its training videos, told in its folder, the same in ``bench``."""

from __future__ import annotations

import html
import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wherewhen.api import benchmark, choosing, jobs, runs
from wherewhen.core.config import read_yaml
from wherewhen.core.errors import ConfigError, DataError
from wherewhen.core.values import Bag, Video
from wherewhen.evaluation import pages
from wherewhen.evaluation.evaluator import Scored, detect_bags
from wherewhen.inference.model import Model
from wherewhen.inference.model_config import ModelConfig
from wherewhen.training import selection
from wherewhen.training.selection import FEW, Request, Selection
from wherewhen.video.writer import Writer

SETTINGS: dict[str, Any] = {
    "backbone": "frame_difference",
    "cells": {"rows": 2, "columns": 2},
    "training": {"steps": 4},
    "auto": {"candidates": "cuboid_mil,wherewhen"},
}
TEST = 2  # test videos of each label


def _clip(path: Path, label: int, seed: int) -> None:
    """A second in which a square crosses the picture if the label is 1, and a dim spot otherwise."""
    with Writer(path, 12.5) as writer:
        for index in range(13):
            picture = np.full((32, 32, 3), 40 + 3 * seed, np.uint8)
            picture[8:16, 2 * index : 2 * index + 6] = 240 if label else 60 + 3 * seed
            writer.write(picture)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips with a labels.csv: enough to train on for a choice, and a few test clips."""
    folder = tmp_path_factory.mktemp("yard")
    rows = ["path,label,split"]
    for number in range(FEW + TEST):
        for label in (0, 1):
            name = f"{'na'[label]}{number:02}.mp4"
            _clip(folder / name, label, number)
            rows.append(f"{name},{('normal', 'anomalous')[label]},{'train' if number < FEW else 'test'}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def run(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run whose method was chosen."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    runs.train(root, folder, settings=SETTINGS, device="cpu", check=False, quiet=True)
    return folder


def peaks(run: Path) -> dict[str, list[dict[str, float]]]:
    trials = json.loads((run / "selection.json").read_text())["trials"]
    return {name: [fold["peaks"] for fold in trial["folds"]] for name, trial in trials.items()}


def test_a_run_tells_which_method_was_chosen_and_why(run: Path) -> None:
    numbers = json.loads((run / "metrics.json").read_text())["selection"]
    assert numbers["method"] in SETTINGS["auto"]["candidates"] and "2 methods compared" in numbers["reason"]
    assert [row["method"] for row in numbers["candidates"] if row["chosen"]] == [numbers["method"]]
    config = read_yaml(run / "config.yaml")
    assert config["method"] == numbers["method"] and "auto" not in config and ModelConfig.of(config)
    page = html.unescape((run / "report.html").read_text())
    assert "Choice of the method" in page and numbers["reason"] in page and "wherewhen" in page
    assert f"method {numbers['method']}: " in (run / "log.txt").read_text()


def test_the_threshold_of_a_chosen_method_is_out_of_fold(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    numbers = json.loads((run / "metrics.json").read_text())
    model = Model.load(run, device="cpu")
    assert numbers["threshold_from"] == "scores out of fold (Platt)" and model.threshold == numbers["threshold"]
    assert (numbers["sanity"]["how"], numbers["sanity"]["parts"]) == ("out of fold", 3)
    assert model.normal_time is not None and model.normal_time.hours == pytest.approx(FEW * 13 / 12.5 / 3600, rel=0.2)
    with caplog.at_level(logging.WARNING, "wherewhen"):
        strict = model.with_alarms_per_day(1)
    assert "1 alarms a day can't be measured" in caplog.text
    assert strict.threshold == model.threshold and strict.alarm >= 0.5 * model.normal_time.maxima.max()
    assert model.with_alarms_per_day(1e6).alarm == 0


def test_a_named_method_is_scored_out_of_fold_when_asked(clips: Path, root: Path, tmp_path: Path) -> None:
    settings = {**{k: v for k, v in SETTINGS.items() if k != "auto"}, "method": "cuboid_mil"}
    how: dict[str, Any] = {"settings": settings, "device": "cpu", "check": False, "quiet": True}
    model = runs.train(root, tmp_path / "run", threshold_from="out-of-fold", **how)
    numbers = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert numbers["threshold_from"] == "scores out of fold (Platt)" and model.normal_time is not None
    assert numbers["selection"]["reason"] == "named in the settings"
    with pytest.raises(DataError, match="too few"):
        runs.train(clips, tmp_path / "few", alarms_per_day=2.0, **how)
    with pytest.raises(ConfigError, match="this model has no scores out of fold"):
        runs.train(clips, tmp_path / "plain", **how).with_alarms_per_day(2)


def test_no_test_video_enters_the_choice(root: Path, run: Path, tmp_path: Path) -> None:
    poisoned = shutil.copytree(root, tmp_path / "yard")
    for number in range(FEW, FEW + TEST):
        for name in (f"n{number:02}.mp4", f"a{number:02}.mp4"):
            (poisoned / name).write_bytes(b"not a video")
    runs.train(poisoned, tmp_path / "run", settings=SETTINGS, device="cpu", check=False, quiet=True)
    assert peaks(tmp_path / "run") == peaks(run)
    assert not (tmp_path / "run" / "quarantine.json").exists()
    ids = {name for folds in peaks(run).values() for fold in folds for name in fold}
    assert len(ids) == 2 * FEW and not [name for name in ids if int(Path(name).stem[1:]) >= FEW]


def test_a_finished_choice_is_not_made_again(
    root: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a training of the comparison")

    monkeypatch.setattr(selection, "fold_scores", never)
    folder = shutil.copytree(run, tmp_path / "run")
    assert runs.train(root, folder, settings=SETTINGS, resume=True, device="cpu", quiet=True).config.method
    (folder / "report.html").unlink()  # as if it had been interrupted after the choice
    model = runs.train(root, folder, settings=SETTINGS, resume=True, device="cpu", check=False, quiet=True)
    assert model.config.method == read_yaml(run / "config.yaml")["method"]
    with pytest.raises(ConfigError, match="started with other settings"):
        runs.train(root, folder, settings={**SETTINGS, "gate": 3.0}, resume=True, device="cpu", quiet=True)


def test_too_few_videos_take_the_default_and_say_so(clips: Path, tmp_path: Path) -> None:
    model = runs.train(
        clips, tmp_path / "run", settings={"training": {"steps": 2}}, device="cpu", check=False, quiet=True
    )
    numbers = json.loads((tmp_path / "run" / "metrics.json").read_text())["selection"]
    assert model.config.method == numbers["method"] == "cuboid_mil" and not numbers["candidates"]
    assert f"2 normal training videos of 2 files are too few to compare methods (needed: {FEW})" in numbers["reason"]


def test_unreadable_training_videos_are_left_out_of_the_choice(root: Path, tmp_path: Path) -> None:
    damaged = shutil.copytree(root, tmp_path / "yard")
    (damaged / "n00.mp4").write_bytes(b"not a video")
    runs.train(damaged, tmp_path / "run", settings=SETTINGS, device="cpu", check=False, quiet=True)
    assert len(json.loads((tmp_path / "run" / "quarantine.json").read_text())) == 1
    reason = json.loads((tmp_path / "run" / "metrics.json").read_text())["selection"]["reason"]
    assert f"{FEW - 1} normal training videos" in reason


def test_bench_chooses_by_the_training_videos_of_each_fold(natives: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[set[str]] = []

    def chosen(request: Request, videos: Sequence[Video], **_: Any) -> Selection:
        asked.append({video.id for video in videos})
        return Selection(request.config("wherewhen"), "the test says so")

    monkeypatch.setattr(choosing, "chosen", chosen)
    settings = {"method": "auto", **SETTINGS}
    request = Request.of(settings)
    assert request is not None
    job = jobs.Job(str(natives), None, 0, None, request.usual.plain(), ("video",), False, auto=settings)
    rows, choice = job.run()
    assert set(rows) == {"auto", "auto (last)", "auto (test oracle)"} and asked == [{"n0", "a0"}]
    assert choice is not None and (choice["method"], choice["reason"]) == ("wherewhen", "the test says so")
    assert job.method == "auto" and replace(job, auto=None).method == "cuboid_mil"
    named = benchmark._configs({"auto": ("auto", SETTINGS)}, ["frame_difference"], [3])
    assert [(name, config.seed, auto["method"]) for name, config, auto in named if auto] == [("auto", 3, "auto")]


def benched(root: Path, methods: Sequence[str] = ("auto",)) -> benchmark.Bench:
    how: dict[str, Any] = {"settings": SETTINGS, "families": ("video",), "workers": 1, "quiet": True}
    return benchmark.bench(root, methods, ["frame_difference"], **how)


def without_times(choice: Mapping[str, Any]) -> dict[str, Any]:
    """A choice without the seconds that it took."""
    rows = [{**row, "seconds": None} for row in choice["candidates"]]
    return {**choice, "candidates": rows}


@pytest.fixture(scope="module")
def bench(root: Path) -> benchmark.Bench:
    """A benchmark of auto and a named method, on the only fold."""
    return benched(root, ("dmrm", "auto"))


def test_a_benchmark_states_the_choice_of_each_fold(bench: benchmark.Bench, tmp_path: Path) -> None:
    made = bench.as_json()
    (choice,) = made["choices"]
    fold = choice["fold"]
    assert (choice["row"], choice["backbone"], choice["seed"]) == ("auto", "frame_difference", 0) and fold
    assert choice["videos"] == {"normal": FEW, "anomalous": FEW}
    assert {row["method"] for row in choice["candidates"]} == {"cuboid_mil", "wherewhen"}
    assert [row["method"] for row in choice["candidates"] if row["chosen"]] == [choice["method"]]
    assert all(0 <= row["vauc"] <= 1 and row["seconds"] > 0 for row in choice["candidates"])
    pages.bench_pages(tmp_path, bench.table, made)
    assert json.loads((tmp_path / "bench.json").read_text())["choices"] == made["choices"]
    page = html.unescape((tmp_path / "report.html").read_text())
    for text in ((tmp_path / "bench.md").read_text(), page):
        assert f"auto on frame_difference, fold {fold}, seed 0: {choice['method']} ({choice['reason']})" in text
        for row in choice["candidates"]:
            assert f"{row['vauc']:.3f} (" in text
    assert "Choice of the method: auto on frame_difference" in page


def test_a_benchmark_of_auto_detects_with_the_threshold_of_train(
    root: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []

    def watched(model: Model, bags: Sequence[Bag], places: bool = True) -> Scored:
        seen.append(model.threshold)
        return detect_bags(model, bags, places)

    monkeypatch.setattr(jobs, "detect_bags", watched)
    settings = {"method": "auto", **SETTINGS}
    request = Request.of(settings)
    assert request is not None
    jobs.Job(str(root), None, 0, None, request.usual.plain(), ("video",), False, auto=settings).run()
    numbers = json.loads((run / "metrics.json").read_text())
    assert numbers["threshold_from"] == "scores out of fold (Platt)"
    ranked = [threshold == 0.5 for threshold in seen]  # checkpoints are only ranked, before the models are judged
    judged = seen[sum(ranked) :]
    assert ranked == sorted(ranked, reverse=True) and set(judged) == {numbers["threshold"]}
    assert 1 <= len(judged) <= len({"selected by validation", "last", "selected by test videos"})


def test_no_test_video_enters_the_choice_of_a_benchmark(root: Path, bench: benchmark.Bench, tmp_path: Path) -> None:
    """With the labels of all test videos exchanged, the row changes and the choice does not."""
    swapped = shutil.copytree(root, tmp_path / root.name)
    rows = (swapped / "labels.csv").read_text().splitlines()
    other = {"normal": "anomalous", "anomalous": "normal"}
    lines = [row.split(",") for row in rows]
    lines = [[path, other[label] if split == "test" else label, split] for path, label, split in lines]
    (swapped / "labels.csv").write_text("\n".join(map(",".join, lines)) + "\n")
    again = benched(swapped)
    assert [*map(without_times, again.facts["choices"])] == [*map(without_times, bench.facts["choices"])]
    vauc = [
        next(row.mean for row in made.table if (row.method, row.metric) == ("auto", "vauc")) for made in (bench, again)
    ]
    assert vauc[0] == 1 - vauc[1] != 0.5

"""Calibration of a run on footage: what it promises, keeps and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import wherewhen
from wherewhen import cli
from wherewhen.api import calibrating
from wherewhen.api.results import About, Recorder
from wherewhen.budget.blocks import DAY
from wherewhen.core.errors import DataError
from wherewhen.core.values import HeatMap, Prediction
from wherewhen.inference.model import Model
from wherewhen.localize.regions import Regions, RegionsConfig
from wherewhen.video.writer import Writer

RATE, MINUTES = 1.0, 21


def footage(path: Path, seed: int) -> None:
    """A gray wall where a spot creeps, a picture a second."""
    with Writer(path, RATE) as writer:
        for index in range(int(MINUTES * 60 * RATE)):
            picture = np.full((48, 64, 3), 90, np.uint8)
            x = (2 * index + 17 * seed) % 56
            picture[8:18, x : x + 8] = 180
            writer.write(picture)


@pytest.fixture(scope="module")
def hours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hours")
    footage(root / "night.mp4", 0)
    return root


def stored(output: Path, id: str, scores: np.ndarray, sha256: str = "") -> None:
    """Results of a video with a score a second."""
    recorder = Recorder(output, About(id, f"{id}.mp4", ".", sha256, "m", 64, 48))
    edges = np.arange(len(scores) + 1.0)
    recorder.step(Prediction(HeatMap(scores.astype(np.float32), edges)), edges[:-1].tolist())
    recorder.close(float(edges[-1]), None, complete=True)


def test_a_short_footage_gives_a_run_without_a_guarantee_and_says_so(
    yard: Path, hours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (yard / "weights" / "best.safetensors").read_bytes()
    command = ["calibrate", "--model", str(yard), "--footage", str(hours), "--output", str(tmp_path / "out"), "--json"]
    assert cli.main([*command, "--quiet"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["method"] == "extrapolated"
    assert printed["missing_hours"] == pytest.approx(72 - MINUTES / 60, abs=0.2)
    assert "without a guarantee" in printed["promise"][0]
    model = Model.load(tmp_path / "out")
    assert model.alarm == printed["threshold"]
    assert (yard / "weights" / "best.safetensors").read_bytes() == before


def test_another_budget_reads_no_video_again(yard: Path, hours: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    wherewhen.calibrate(yard, hours, out, alarms_per_day=1, device="cpu", quiet=True)
    results = next((out / "footage" / "results").glob("*.jsonl"))
    written = results.stat().st_mtime_ns
    _, many = wherewhen.calibrate(yard, hours, out, alarms_per_day=500, device="cpu", resume=True, quiet=True)
    assert results.stat().st_mtime_ns == written
    assert (many.per_day, many.method) == (500, "bound")


def test_alarms_of_the_calibrated_model_are_at_most_the_counted_blocks(tmp_path: Path, yard: Path) -> None:
    """The localizer with the calibrated settings, on the scores of the footage themselves."""
    rng = np.random.default_rng(0)
    scores = np.repeat(rng.random(4000), rng.integers(1, 4, 4000)).astype(np.float32)
    stored(tmp_path, "a", scores)
    calibration = calibrating.calibration_of(calibrating.blocks_in(tmp_path), 200)
    assert calibration.method == "bound"
    model = calibrating.with_calibration(Model.load(yard, device="cpu"), calibration)
    edges = np.arange(len(scores) + 1.0)
    settings = {"sharpen": 0.0, "smooth_seconds": 0.0, "smooth_cells": 0.0, "top": 1}
    config = {**vars(model.config.settings["regions"]), **settings}
    events = [
        event for step in Regions(RegionsConfig(**config))([HeatMap(scores, edges)]) for event in step.events
    ]  # fmt: skip
    assert 0 < len(events) <= calibration.count


def test_videos_follow_one_another_and_days_add_up(tmp_path: Path) -> None:
    for id in "ab":
        stored(tmp_path, id, np.r_[np.zeros(90), np.ones(20), np.zeros(40)])
    blocks = calibrating.blocks_in(tmp_path)
    assert blocks.starts.tolist() == [0, 60, 120, 180, 240, 300]
    assert blocks.days == pytest.approx(300 / DAY)
    assert blocks.peaks[:, 1].tolist() == [0, 1, 0, 0, 1, 0]


def test_footage_of_the_training_is_refused(tmp_path: Path) -> None:
    stored(tmp_path, "a", np.zeros(100), sha256="abc")
    with pytest.raises(DataError, match="trained on this video"):
        calibrating.blocks_in(tmp_path, ("abc",))


def test_what_can_not_be_calibrated_says_what_to_do(
    yard: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["calibrate", "--model", str(yard)]) == 2
    assert "--footage" in capsys.readouterr().err
    with pytest.raises(DataError, match="no results"):
        calibrating.blocks_in(tmp_path)

"""A trained model run in other ways than it was trained, and shares of videos that a data set decides itself."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from wherewhen import cli
from wherewhen.api import benchmark, runs
from wherewhen.core.errors import ConfigError, EngineError, StoreError
from wherewhen.core.values import Instances
from wherewhen.inference.model import Model
from wherewhen.inference.model_config import ModelConfig
from wherewhen.inference.normalizer import Normalizer
from wherewhen.runtime.batching import EngineChoice

NETWORK = {
    "backbone": "shufflenet",
    "shufflenet": {"weights": "random"},
    "engine": "torch",
    "precision": "fp32",
    "cells": {"rows": 1, "columns": 1},
}


def untrained(config: ModelConfig) -> Model:
    """A model that was never trained, for features of a length that a backbone may have."""
    features = np.random.default_rng(0).normal(size=(9, 96)).astype(np.float32)
    seen = Instances(features, np.tile([0.0, 1, 0, 0, 1, 1], (9, 1)))
    return Model(config, {"cells": Normalizer.fit([seen])}, config.make("method", {"cells": 96}), 0.5, seen)


def test_a_model_prints_as_one_short_line() -> None:
    assert (
        repr(untrained(ModelConfig.of(NETWORK)))
        == "Model(shufflenet, cells, cuboid_mil, regions, 0 training videos, cpu)"
    )


def test_another_engine_runs_the_backbone_of_a_model(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def attach(backbone: object, engine: str, precision: str, device: str) -> EngineChoice:
        asked.append((engine, precision))
        return EngineChoice(engine, precision)

    monkeypatch.setattr("wherewhen.inference.model.attach", attach)
    model = untrained(ModelConfig.of(NETWORK))
    for other in (model, model.with_engine("onnx"), model.with_engine(precision="int8"), model):
        other.detect(clips / "anomalous/a0.mp4")
    assert asked == [("torch", "fp32"), ("onnx", "auto"), ("auto", "int8")]
    with pytest.raises(EngineError, match="engine torch has no int8 on cpu"):
        model.with_engine("torch", "int8")
    with pytest.raises(ConfigError, match="unknown engine 'onx'; did you mean 'onnx'"):
        model.with_engine("onx")


def test_engines_are_refused_where_no_network_runs(
    tmp_path: Path, clips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = ModelConfig.of({"backbone": "motion"})
    untrained(config).save(tmp_path / "model.safetensors")
    words = ["detect", str(clips), "--model", str(tmp_path / "model.safetensors"), "--output", str(tmp_path / "found")]
    for more in (["--engine", "onnx"], ["--precision", "int8"]):
        assert cli.main([*words, *more]) == 2
        assert "--engine and --precision have no effect on this model" in capsys.readouterr().err
    assert not (tmp_path / "found").exists()


def test_a_share_to_validate_on_is_refused_where_the_data_says_it(clips: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    shutil.copytree(clips, root)
    for number in (2, 3):
        for label in ("normal", "anomalous"):
            shutil.copy(root / label / f"{label[0]}{number - 2}.mp4", root / label / f"{label[0]}{number}.mp4")
            with (root / label / f"{label[0]}{number}.mp4").open("ab") as file:
                file.write(bytes(number))  # another content, the same pictures
    rows = [
        f"{label}/{label[0]}{number}.mp4,{label},{split}"
        for label in ("normal", "anomalous")
        for number, split in enumerate(("train", "val", "train", "test"))
    ]
    (root / "labels.csv").write_text("\n".join(["path,label,split", *rows]))
    with pytest.raises(ConfigError, match=r"--validation 0\.3 has no effect: this data set defines.*--fold all"):
        runs.train(root, tmp_path / "run", settings={"validation": 0.3}, quiet=True)
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigError, match=r"--validation 0\.3 has no effect"):
        benchmark.bench(root, settings={"validation": 0.3}, families=("video",), quiet=True)
    settings = {"validation": 0.3, "training": {"steps": 2}}
    runs.train(root, tmp_path / "run", settings=settings, fold="all", check=False, device="cpu", quiet=True)


@pytest.mark.parametrize(
    ("run", "command"),
    [
        ("runs/latest", "wherewhen train CLIPS; "),
        ("runs/yard", "wherewhen train CLIPS --output runs/yard; "),
        ("best.safetensors", "wherewhen train CLIPS; "),
    ],
)
def test_the_error_of_a_missing_model_names_commands(
    run: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError, match="no model there") as error:
        Model.load(run)
    assert command in str(error.value) and "--model RUN" in str(error.value)

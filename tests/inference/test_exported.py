"""Exported runs: the same scores at every size by other libraries, and a folder that is used as any other run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

import wherewhen
from wherewhen import cli
from wherewhen.api.exporting import training_videos
from wherewhen.core import array_files, registry
from wherewhen.core.contracts import Classes
from wherewhen.core.errors import ConfigError, EngineError, StoreError
from wherewhen.core.values import Instances
from wherewhen.extraction.assembly import join_instances
from wherewhen.inference import exporting
from wherewhen.inference.exported import Exported, inputs
from wherewhen.inference.model import Model
from wherewhen.inference.model_config import ModelConfig
from wherewhen.inference.normalizer import Normalizer
from wherewhen.inference.packing import view
from wherewhen.runtime import graphs

Draw = Callable[..., Any]
METHODS = [(name, "onnx") for name in registry.names("methods")]
OTHERS = [("pooled", "openvino"), ("wherewhen", "openvino"), ("mgpr", "torchscript")]
SMALL: dict[str, dict[str, Any]] = {"vadclip": {"length": 16}, "wherewhen": {"memory": 8}}
GRID = (3, 4)


@dataclass
class Both:
    """A method with random weights and the same one exported; bags of any size with empty instances."""

    method: Any
    exported: Exported
    draw: Callable[[int, tuple[int, int]], dict[str, Instances]]

    def deviation(self, steps: int, grid: tuple[int, int]) -> float:
        """Of the scores, and likelihoods of classes, of a bag."""
        views = self.draw(steps, grid)
        with torch.inference_mode():
            output = self.method({name: view([rows]) for name, rows in views.items()})
        columns = [output.scores[0, :, None], *([output.extra["classes"][0]] if "classes" in output.extra else [])]
        return exporting.largest(self.exported.answers(views), torch.cat(columns, 1).numpy())


def made(name: str, draw: Draw, **more: Any) -> tuple[Any, Callable[[int, tuple[int, int]], dict[str, Instances]]]:
    plugin = registry.load("methods", name)
    config = plugin.Config(**SMALL.get(name, {}), **more)
    names, size = plugin.abilities.views(plugin.views, config), plugin.abilities.feature_length or 6
    torch.manual_seed(0)
    classes = [Classes(("fight", "fall"))] if plugin.abilities.predicts_classes else []
    method = plugin(config, dict.fromkeys(names, size), *classes).eval()
    with torch.no_grad():
        for weight in method.parameters():
            weight.add_(0.05 * torch.randn_like(weight))

    def bag(steps: int, grid: tuple[int, int]) -> dict[str, Instances]:
        views = draw(steps, 1, steps, grid, names, size).views
        return {name: replace(rows, features=emptied(rows.features)) for name, rows in views.items()}

    return method, bag


def emptied(features: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The same with a fifth of the rows all zeros."""
    empty = np.random.default_rng(len(features)).random(len(features)) < 0.2
    return np.where(empty[:, None], np.float32(0), features)


def recorded(method: Any, views: dict[str, Instances], form: str) -> Exported:
    grids = {name: rows.shape is not None for name, rows in views.items()}
    arrays = {key: torch.from_numpy(array) for key, array in inputs(views, grids).items()}
    axes = {key: array.ndim - (not key.endswith("track")) for key, array in arrays.items()}
    graph = graphs.written(exporting.Recorded(method, grids), arrays, axes, form)
    return Exported(graph, grids, method.reach, trust=True)


@pytest.fixture(scope="module")
def both(toy_bag: Draw) -> Callable[[str, str], Both]:
    done: dict[tuple[str, str], Both] = {}

    def of(name: str, form: str) -> Both:
        if (name, form) not in done:
            method, draw = made(name, toy_bag)
            done[name, form] = Both(method, recorded(method, draw(6, GRID), form), draw)
        return done[name, form]

    return of


@pytest.mark.parametrize(("name", "form"), [*METHODS, *OTHERS], ids=lambda word: word)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_exported_method_gives_the_same_scores_at_any_size(
    name: str, form: str, both: Callable[[str, str], Both]
) -> None:
    """One instance, odd lengths, and more steps than methods that cut videos into pieces take at once."""
    pair = both(name, form)

    @settings(max_examples=4)
    @given(steps=st.integers(1, 40), rows=st.integers(1, 4), columns=st.integers(1, 4))
    @example(steps=1, rows=1, columns=1)
    @example(steps=33, rows=3, columns=4)
    def check(steps: int, rows: int, columns: int) -> None:
        assert pair.deviation(steps, (rows, columns)) < 1e-4

    check()


@pytest.mark.parametrize(
    ("name", "more", "told"),
    [
        ("clip_tsa", {"compat": True}, "with compat it can't be exported: it draws noise"),
        ("mgpr", {"relation": "graph"}, "with relation: graph it can't be exported"),
        ("stprompt", {"choose": "random"}, "with choose: random it can't be exported"),
        ("alocc", {"compat": True}, "with compat it can't be exported"),
    ],
)
def test_what_no_graph_can_hold_is_refused(name: str, more: dict[str, Any], told: str, toy_bag: Draw) -> None:
    method, draw = made(name, toy_bag, **more)
    with pytest.raises(ConfigError, match=told):
        recorded(method, draw(6, GRID), "torchscript")


@pytest.fixture(scope="module")
def run(yard: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "yard"
    assert cli.main(["export", "--model", str(yard), "--output", str(folder)]) == 0
    return folder


def test_an_exported_run_detects_what_the_run_does(run: Path, yard: Path, clips: Path, tmp_path: Path) -> None:
    before, after = Model.load(yard, device="cpu"), wherewhen.load(run)
    assert repr(after).endswith("cpu, onnx)") and after.config == before.config and after.threshold == before.threshold
    assert np.array_equal(after.bank.features, before.bank.features) and after.trained_on == before.trained_on
    video = clips / "anomalous" / "a0.mp4"
    one, other = (model.detect(video) for model in (before, after))
    assert len(one.events) > 0 and [(e.start, e.end) for e in other.events] == [(e.start, e.end) for e in one.events]
    np.testing.assert_allclose(other.scores, one.scores, atol=1e-5)
    words = ["detect", str(video), "--model", str(run), "--output", str(tmp_path / "out"), "--workers", "1"]
    assert cli.main([*words, "--no-render", "--quiet"]) == 0  # a process of its own reads a copy of the model
    events = json.loads((tmp_path / "out/events.json").read_text("utf-8"))["videos"]["a0"]["events"]
    assert [event["start"] for event in events] == [event.start for event in one.events]


def test_the_certificate_names_versions_bound_and_deviations(run: Path, clips: Path, yard: Path) -> None:
    record = json.loads((run / "parity.json").read_text("utf-8"))
    assert (record["format"], record["precision"], record["tolerance"]) == ("onnx", "fp32", 1e-3)
    assert record["run_by"].startswith("onnxruntime ") and record["backbone"] == "in Python: motion is no network"
    assert 0 < record["deviation"] == max(record[name] for name in ("score", "heat", "sizes")) < 1e-5
    assert record["changed"] == 0 and record["events"] > 0 and 7.9 < record["seconds"] < 8.1
    assert sorted(Path(name).name for name in record["videos"]) == ["a0.mp4", "a1.mp4", "n0.mp4", "n1.mp4"]
    stored = array_files.load(run / "weights/best.safetensors")[0]["exported.method.onnx"]
    assert stored.tobytes() == (run / "method.onnx").read_bytes()
    assert {path.resolve() for path in training_videos(yard)} == {path.resolve() for path in clips.rglob("*.mp4")}
    assert training_videos(run) == [], "an exported run has no training videos"


def test_a_live_stream_of_an_exported_run_gives_what_the_whole_video_does(yard: Path, clips: Path) -> None:
    """A method with a reach of seconds gets another number of time steps in every call of a stream."""
    model = Model.load(yard, device="cpu")
    parts = list(model.instances(clips / "anomalous" / "a0.mp4")[0])
    size = parts[0][1].features.shape[1]
    config = ModelConfig.of(
        {**model.config.plain(), "method": "pooled", "normalizer": "auto", "pooled": {"window": 0.7}}
    )
    torch.manual_seed(0)
    method = config.student({"cells": size}).eval()
    other = recorded(method, exporting.drawn_bag(dict(parts[:1]), 6), "onnx")
    plain, exported = (Model(config, {"cells": Normalizer.none()}, one, 0.5, model.bank) for one in (method, other))
    live = [(len(part.features), values) for part, values in exported.answered(iter(parts))]
    whole = plain.answers({"cells": join_instances(part for _, part in parts)})
    assert len(live) >= 3 and sum(count for count, _ in live) == len(whole)
    assert exporting.largest(np.concatenate([values for _, values in live]), whole) < 1e-5


def test_a_deviation_beyond_the_bound_is_refused_and_nothing_is_written(
    yard: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["export", "--model", str(yard), "--output", str(tmp_path / "x"), "--tolerance", "1e-12"]
    assert cli.main(words) == 2
    assert "1e-12 is allowed: nothing is written" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_an_exported_run_is_not_exported_adapted_or_given_an_engine(run: Path, clips: Path, tmp_path: Path) -> None:
    model = Model.load(run)
    with pytest.raises(ConfigError, match="exported already; export the run that it was made from"):
        model.export(output=tmp_path / "again")
    with pytest.raises(ConfigError, match="an exported run can't learn"):
        wherewhen.adapt(run, clips, tmp_path / "adapted")
    with pytest.raises(ConfigError, match="export another format of the run"):
        model.with_engine("torch")
    with pytest.raises(ConfigError, match="holds a run already"):
        Model.load(run).export(output=run)
    assert list(tmp_path.iterdir()) == []


def test_torchscript_runs_only_with_consent(yard: Path, clips: Path, tmp_path: Path) -> None:
    folder = Model.load(yard, device="cpu").export(
        "torchscript", tmp_path / "script", videos=clips / "normal" / "n0.mp4"
    )
    with pytest.raises(ConfigError, match="holds code that runs when it is opened"):
        Model.load(folder)
    model = Model.load(folder, trust=True)
    assert model.trusted and model.with_threshold(0.4).trusted
    assert cli.main(["detect", str(clips), "--model", str(folder), "--output", str(tmp_path / "out")]) == 2


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda about: about.update(format="pickle"), "unknown format 'pickle'"),
        (lambda about: about.update(grids={"tubes": True}), "grids, batch or reach are wrong"),
        (lambda about: about.update(backbone=True), "the backbone motion is no network"),
        (lambda about: about.update(reach="far"), "reach"),
    ],
)
def test_a_damaged_exported_run_is_an_error_that_names_its_file(
    run: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None], told: str
) -> None:
    arrays, passport = array_files.load(run / "weights/best.safetensors")
    del passport["digest"]
    change(passport["exported"])
    array_files.save(tmp_path / "a.safetensors", arrays, passport)
    with pytest.raises(StoreError, match=f"a.safetensors.*{told}"):
        Model.load(tmp_path / "a.safetensors")


def test_bytes_that_are_no_network_are_an_error() -> None:
    with pytest.raises(EngineError, match="can't read this network"):
        graphs.opened(graphs.Graph("onnx", {".onnx": b"no"}, ("x",)))


@pytest.mark.usefixtures("quick_noise")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_network_of_a_backbone_runs_without_its_weights(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {"backbone": "shufflenet", "shufflenet": {"weights": "random"}, "cells": {"rows": 1, "columns": 1}}
    config = ModelConfig.of(values)
    video = clips / "anomalous" / "a0.mp4"
    seen = Instances(np.ones((4, 96), np.float32), np.tile([0.0, 1, 0, 0, 1, 1], (4, 1)))
    model = Model(config, {"cells": Normalizer.fit([seen])}, config.student({"cells": 96}), 0.5, seen)
    monkeypatch.setattr("wherewhen.inference.model.attach", lambda *_: exporting.NONE)
    folder = model.export("onnx", tmp_path / "x", videos=video)
    assert (folder / "backbone.onnx").is_file()
    before = model.detect(video).scores
    monkeypatch.setattr(config.part("backbone"), "build", lambda config: pytest.fail("the weights were asked for"))
    np.testing.assert_allclose(Model.load(folder).detect(video).scores, before, atol=1e-5)

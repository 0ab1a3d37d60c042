"""Models from a user's disk: any file gives the model that was saved, or an error of ours that names the file."""

from __future__ import annotations

import json
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wherewhen import cli
from wherewhen.core import array_files, registry
from wherewhen.core.errors import ConfigError, StoreError, WherewhenError
from wherewhen.core.values import Instances
from wherewhen.inference.model import Model
from wherewhen.inference.model_config import ModelConfig
from wherewhen.inference.normalizer import Normalizer

Change = Callable[[dict[str, Any], dict[str, Any]], None]


def made(config: ModelConfig, size: int = 6) -> Model:
    """A model that nobody trained."""
    torch.manual_seed(0)
    rows = np.random.default_rng(0).normal(size=(8, size)).astype(np.float32)
    seen = Instances(rows, np.tile([0, 1, 0, 0, 1, 1.0], (8, 1)))
    dims = dict.fromkeys(config.views, size)
    normalizers = {
        name: Normalizer.none() if config.normalizer_of(name) == "none" else Normalizer.fit([seen]) for name in dims
    }
    return Model(config, normalizers, config.student(dims), 0.3, seen, dims=dims)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "model.safetensors"
    made(ModelConfig.of()).save(path)
    return path


def changed(source: Path, target: Path, change: Change) -> Path:
    """A copy with changed arrays and passport, as an earlier version or a careless tool may write it: no digest."""
    arrays, passport = array_files.load(source)
    arrays = {name: array.copy() for name, array in arrays.items()}
    del passport["digest"]
    change(arrays, passport)
    array_files.save(target, arrays, passport)
    return target


@pytest.mark.parametrize("name", registry.names("methods"))
def test_every_method_comes_back_as_it_was_saved(name: str, tmp_path: Path) -> None:
    model = made(ModelConfig.of({"method": name}), registry.load("methods", name).abilities.feature_length or 6)
    model.save(tmp_path / "a.safetensors")
    back = Model.load(tmp_path / "a.safetensors", device="cpu")
    assert (back.config, back.threshold, dict(back.dims)) == (model.config, 0.3, dict(model.dims))
    for key, tensor in model.method.state_dict().items():
        assert torch.equal(back.method.state_dict()[key], tensor), key
    changed(tmp_path / "a.safetensors", tmp_path / "b.safetensors", lambda arrays, passport: None)
    assert Model.load(tmp_path / "b.safetensors", device="cpu").config == model.config, "as 0.1.0 wrote them"


def _set(path: str, value: Any) -> Change:
    """A change of the passport: ``recipe.cuboid_mil.hidden``; of an array where one has that name."""

    def change(arrays: dict[str, Any], passport: dict[str, Any]) -> None:
        if path in arrays:
            arrays[path] = value(arrays[path]) if callable(value) else value
            return
        *above, last = path.split(".")
        for name in above:
            passport = passport[name]
        passport[last] = value

    return change


def _drop(path: str) -> Change:
    def change(arrays: dict[str, Any], passport: dict[str, Any]) -> None:
        for kept in (arrays, passport):
            kept.pop(path, None)

    return change


def _rename(arrays: dict[str, Any], passport: dict[str, Any]) -> None:
    arrays["method.renamed"] = arrays.pop("method.head.0.weight")


def _one(value: float) -> Callable[[Any], Any]:
    def change(array: Any) -> Any:
        array.flat[0] = value
        return array

    return change


WEIGHT = "method.head.0.weight"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_rename, "lacks method.head.0.weight"),
        (_drop(WEIGHT), "lacks method.head.0.weight"),
        (_set("method.more", None), "unknown are method.more"),
        (_set(WEIGHT, lambda a: a.T), "method.head.0.weight: expected"),
        (_set(WEIGHT, lambda a: a.astype(np.float64)), "float64"),
        (_set(WEIGHT, lambda a: a.astype(np.int32)), "int32"),
        (_set(WEIGHT, _one(np.nan)), "not finite"),
        (_set(WEIGHT, _one(-np.inf)), "not finite"),
        (_set("bank.features", _one(np.inf)), "not finite"),
        (_drop("bank.features"), "lacks 'bank.features'"),
        (_set("bank.extents", lambda a: a[:3]), "bank"),
        (_set("bank.features", lambda a: a[:, :3]), "length 3"),
        (_set("normalizer.scale", _one(0.0)), "normalizer.scale: expected scales above 0, found 0"),
        (_set("normalizer.scale", _one(-1.0)), "scales above 0"),
        (_set("normalizer.scale", _one(np.nan)), "not finite"),
        (_set("normalizer.scale", lambda a: a[:2]), "normalizer.scale"),
        (_set("normalizer.mean", lambda a: a[None]), "normalizer.mean"),
        (_set("normalizer.mix", lambda a: a[:, :2]), "normalizer.mix"),
        (_set("normalizer.places", lambda a: -np.ones((2, 3, 3, 6))), "places: expected scales above 0"),
        (_set("normalizer.places", lambda a: np.ones((3, 3, 6))), "normalizer.places"),
        (_set("normalizer.limit", lambda a: a * 0), "limit"),
        (_set("normalizer.limit", lambda a: a * np.nan), "limit"),
        (_drop("normalizer.mean"), "lacks normalizer.mean"),
        (_drop("config"), "has no configuration"),
        (_set("config", 5), "config"),
        (_set("config", {"method": "none such"}), "none such"),
        (_set("config.method", 7), "method: expected text, got 7"),
        (_set("config.method", "rtfm"), "method."),
        (_set("config.training", 5), "settings of training"),
        (_set("config.motion", [1]), "settings of motion: expected 'name: value' pairs"),
        (_set("config.cuboid_mil.hidden", 10**9), "expected"),
        (_set("config.cuboid_mil.hidden", 10**18), "can't be"),
        (_set("config.cuboid_mil.hidden", -3), "config"),
        (_set("config.crops", "x"), "crops"),
        (_set("config.seed", None), "seed"),
        (_set("config.movers", 9), "movers"),
        (_drop("threshold"), "threshold"),
        (_set("threshold", "high"), "threshold: expected a number, got 'high'"),
        (_set("threshold", 7.0), "from 0 to 1"),
        (_drop("dims"), "dims"),
        (_set("dims", [6]), "dims"),
        (_set("dims", {"cells": "6"}), "dims"),
        (_set("dims", {"cells": 10**15}), "dims"),
        (_set("dims", {"cells": 7}), "expected"),
        (_set("dims", {"tubes": 6}), "dims: expected cells, found tubes"),
        (_set("classes", [1]), "classes"),
        (_set("classes", "fight"), "classes"),
        (_set("trained_on", {"a": 1}), "trained_on"),
    ],
)
def test_what_is_wrong_with_a_model_is_told(saved: Path, tmp_path: Path, change: Change, told: str) -> None:
    def more(arrays: dict[str, Any], passport: dict[str, Any]) -> None:
        if "method.more" in told:
            arrays["method.more"] = np.zeros(1, np.float32)
        else:
            change(arrays, passport)

    path = changed(saved, tmp_path / "m.safetensors", more)
    with pytest.raises(StoreError) as caught:
        Model.load(path, device="cpu")
    assert str(caught.value).startswith(f"{path}: ") and told in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_model_that_diverged_is_not_written(tmp_path: Path) -> None:
    model = made(ModelConfig.of())
    with torch.no_grad():
        next(model.method.parameters()).fill_(float("nan"))
    with pytest.raises(StoreError, match=r"not finite.*learning_rate"):
        model.save(tmp_path / "m.safetensors")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"a video, say",
        pickle.dumps({"config": {}}),
        b"\x80\x04" + b"]" * 100_000 + b"a" * 99_999 + b".",
        b"PK\x03\x04" + bytes(100),
        json.dumps({"config": {}}).encode(),
        (200_000).to_bytes(8, "little") + b"[" * 200_000,
        (2**40).to_bytes(8, "little") + b"{}" * 50,
    ],
)
def test_another_kind_of_file_is_told(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "best.pt"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"best\.pt: .*(weights of a model|passport)"):
        Model.load(path)
    with pytest.raises(StoreError, match="no model there"):
        Model.load(tmp_path)


def test_no_change_of_a_byte_goes_by_in_silence(saved: Path, tmp_path: Path) -> None:
    """Any byte, anywhere: the model that was saved, or an error that names the file."""
    whole, path = saved.read_bytes(), tmp_path / "m.safetensors"
    right = Model.load(saved, device="cpu")
    rng, refused = np.random.default_rng(0), 0
    for turn in range(150):
        data = bytearray(whole)
        if turn % 3 == 0:
            del data[int(rng.integers(len(data))) :]
        else:
            for _ in range(int(rng.integers(1, 4))):
                data[int(rng.integers(len(data) if turn % 3 == 1 else 4000))] = int(rng.integers(256))
        path.write_bytes(data)
        try:
            found = Model.load(path, device="cpu")
        except WherewhenError as error:
            refused += str(path) in str(error)
            assert str(path) in str(error)
            continue
        assert (found.config, found.threshold) == (right.config, right.threshold)
        for key, tensor in right.method.state_dict().items():
            assert torch.equal(found.method.state_dict()[key], tensor), key
    assert refused > 100


# --- files that hold code


class Mean(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((-1, -2))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What TorchScript was run."""
    seen: list[object] = []
    load = torch.jit.load

    def noted(file: Any, *args: Any, **more: Any) -> Any:
        seen.append(file)
        return load(file, *args, **more)

    monkeypatch.setattr(torch.jit, "load", noted)
    return seen


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "net.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(Mean()).save(str(path))
    return path


@pytest.fixture
def coded(script: Path, tmp_path: Path, opened: list[object]) -> Path:
    """A model on features of a TorchScript file."""
    settings = {"path": str(script), "trust": True, "input": "BCTHW", "output": "BTD"}
    made(ModelConfig.of({"backbone": "file", "file": settings}), 3).save(tmp_path / "model.safetensors")
    opened.clear()
    return tmp_path / "model.safetensors"


def test_a_model_runs_no_code_unasked(coded: Path, script: Path, opened: list[object], tmp_path: Path) -> None:
    assert "trust" not in array_files.load(coded)[1]["config"]["file"]
    path = changed(coded, tmp_path / "sly.safetensors", _set("config.file.trust", True))
    for one in (coded, path):
        with pytest.raises(ConfigError) as caught:
            Model.load(one, device="cpu")
        assert str(one) in str(caught.value) and str(script) in str(caught.value) and "--trust" in str(caught.value)
    words = ["--model", str(path), "--output", str(tmp_path / "out"), "--device", "cpu", "--quiet"]
    for verb, more in (("detect", [str(tmp_path)]), ("evaluate", [str(tmp_path)])):
        assert cli.main([verb, *more, *words]) == 2
    assert not opened
    assert Model.load(path, device="cpu", trust=True).config.trusted
    assert len(opened) == 1


def test_only_the_very_file_is_run(coded: Path, script: Path, opened: list[object], tmp_path: Path) -> None:
    nameless = changed(coded, tmp_path / "sly.safetensors", _set("config.file.sha256", ""))
    with pytest.raises(StoreError, match="has no sha256"):
        Model.load(nameless, device="cpu", trust=True)
    script.write_bytes(script.read_bytes() + b"x")
    with pytest.raises(StoreError, match="has changed: its sha256"):
        Model.load(coded, device="cpu", trust=True)
    script.unlink()
    with pytest.raises(StoreError, match=r"there is no .*net\.pt"):
        Model.load(coded, device="cpu", trust=True)
    assert not opened


def test_imported_features_bring_no_consent(script: Path, opened: list[object], tmp_path: Path) -> None:
    inner = {"path": str(script), "sha256": "0" * 64, "trust": True}
    settings = {"backbone": "file", "settings": inner, "length": 3}
    config = ModelConfig.of({"backbone": "imported", "imported": settings})
    made(config, 3).save(tmp_path / "m.safetensors")
    with pytest.raises(ConfigError, match=r"net\.pt"):
        Model.load(tmp_path / "m.safetensors", device="cpu")
    assert not opened

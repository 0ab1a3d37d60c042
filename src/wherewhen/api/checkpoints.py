"""Models of the authors' own weights: a checkpoint of their code becomes a run folder."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wherewhen.api.runs import check_names, next_folder, point_latest
from wherewhen.core import registry
from wherewhen.core.config import merged, write_yaml
from wherewhen.core.contracts import Checkpoint, Classes
from wherewhen.core.errors import ConfigError, StoreError, expected, unknown
from wherewhen.core.store import content_hash, write_json
from wherewhen.core.values import Instances
from wherewhen.data_tools.features.importing import adopted
from wherewhen.inference.model import Model
from wherewhen.inference.model_config import ModelConfig
from wherewhen.inference.normalizer import Normalizer
from wherewhen.runtime import weights

if TYPE_CHECKING:
    import torch

log = logging.getLogger("wherewhen")

RECORD = "checkpoint.json"
WRITTEN = (RECORD, "weights/best.safetensors", "weights/last.safetensors")
"""Files that an import writes into its folder, besides its settings."""
LOCALIZED = {"localizer": "regions", "regions": {"smooth_seconds": 0.0, "smooth_cells": 0.0, "top": 1}}
"""Published frame scores are those of the method, not smoothed."""


def import_model(
    checkpoint: str | Path,
    method: str,
    output: str | Path | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    features: str | Path | None = None,
) -> Model:
    """Turn a checkpoint of the authors' code into a run folder, for detection and evaluation like a trained model.

    Features are not normalized, scores are not smoothed, and a raw score of 0.5 is the threshold. No code in the
    file is run.

    Args:
        checkpoint: file of weights, as the authors' code saves it (``.pkl``, ``.pth``, ``.pt`` or ``.safetensors``).
        method: name of the method (`importable`).
        output: run folder to write; None: a new one below ``runs/``.
        settings: settings that differ from the published ones, as in ``config.yaml``: ``{"backbone": "i3d"}``.
        features: store of imported features that the model is for, in place of a backbone.

    Returns:
        The model.

    Raises:
        ConfigError: the method has no such weights, or the features have another length.
        StoreError: names or shapes of the weights are not those of the method, or the file holds more than tensors.
        OutputError: a file that the toolkit did not write would be replaced.
    """
    if not isinstance(checkpoint, str | Path):
        raise expected("checkpoint", "the path of a file of weights", checkpoint)
    path = Path(checkpoint)
    if method not in importable():
        raise ConfigError(unknown("method with published weights", str(method)[:80], importable()))
    if not path.is_file():
        raise StoreError(f"{path}: no such file; expected weights that the authors of {method} published")
    tensors = weights.read(path)
    published = _published(path, method, tensors)
    config = _config(published, method, dict(settings or {}), features)
    folder = Path(output) if output else next_folder("runs", method)
    if (folder / "config.yaml").exists():
        raise ConfigError(f"{folder}: holds a run already; choose another --output")
    check_names(folder, WRITTEN, ())
    model = _model(path, tensors, published, config)
    write_yaml(folder / "config.yaml", config.plain())
    for name in ("best", "last"):
        model.save(folder / "weights" / f"{name}.safetensors")
    record = {"file": path.name, "sha256": content_hash(path), "method": method, "tensors": len(tensors)}
    write_json(folder / RECORD, {**record, "classes": model.classes, "features": published.length})
    point_latest(folder)
    return model


def importable() -> list[str]:
    """Names of the methods whose published weights can be imported.

    >>> "rtfm" in importable(), "mgpr" in importable()
    (True, False)
    """
    return [name for name in registry.names("methods") if registry.load("methods", name).abilities.reads_checkpoints]


def _published(path: Path, method: str, tensors: Mapping[str, torch.Tensor]) -> Checkpoint:
    """The tensors of a file as weights of a method; StoreError where it is of another one."""
    try:
        result: Checkpoint = registry.load("methods", method).checkpoint(tensors)
    except KeyError as error:
        raise _mismatch(path, method, tensors, f"{error.args[0]} is missing") from None
    except (ValueError, IndexError) as error:
        raise _mismatch(path, method, tensors, f"a tensor has other axes ({error})") from None
    return result


def _mismatch(path: Path, method: str, tensors: Mapping[str, torch.Tensor], fault: str) -> StoreError:
    """An error about weights that are not those of a method; it names the method that they fit, if any."""
    others = [name for name in importable() if name != method and _fits(name, tensors)]
    hint = f"; they fit --method {others[0]}" if others else "; expected a state dict of the authors' code"
    return StoreError(f"{path}: not the weights of {method}: {fault}{hint}")


def _fits(method: str, tensors: Mapping[str, torch.Tensor]) -> bool:
    """Whether tensors have the names and shapes of a method's checkpoint."""
    from wherewhen.runtime.shapes import shapes_only

    plugin = registry.load("methods", method)
    try:
        published = plugin.checkpoint(tensors)
        with shapes_only():
            student = plugin(plugin.Config(**published.settings), {plugin.views[0]: published.length})
    except (KeyError, ValueError, IndexError, RuntimeError, ConfigError):
        return False
    return not _faults(student.state_dict(), published)


def _config(published: Checkpoint, method: str, settings: dict[str, Any], features: str | Path | None) -> ModelConfig:
    """The configuration of the model: as published, with changes."""
    made_by = dict(published.features)
    if features is not None:
        if "backbone" in settings:
            raise ConfigError("--backbone has no effect with --features: the store has the features; leave one out")
        made_by = adopted(features, {})
        if made_by.get("backbone") is None:
            raise ConfigError(f"{features}: expected a store with imported features alone (wherewhen features import)")
        if made_by.get("crops", 1) > 1:
            made_by["crop_mode"] = published.features.get("crop_mode", "separate")
    elif "backbone" not in {**made_by, **settings}:
        raise ConfigError(
            f"{method} was published with features of length {published.length} of a network that is not in this "
            "toolkit; name a backbone that makes them, such as --backbone file --file.path NETWORK.onnx, or a store of "
            "imported features: --features STORE"
        )
    values = merged({**made_by, **LOCALIZED, "method": method, method: published.settings}, settings)
    if values.get("crops", 1) == 1:
        values.pop("crop_mode", None)
    config = ModelConfig.of(values)
    _check_used(config, settings)
    if any(config.normalizer_of(name) != "none" for name in config.views):
        config = replace(config, normalizer="none")
    return config


def _check_used(config: ModelConfig, settings: Iterable[str]) -> None:
    """ConfigError for settings of a plug-in that the model does not have."""
    for name in settings:
        if name not in config.plain():
            raise ConfigError(f"the settings of {name} have no effect: {config.summary} is imported; leave them out")


def _model(path: Path, tensors: Mapping[str, torch.Tensor], published: Checkpoint, config: ModelConfig) -> Model:
    """The model with the weights, on the processor; StoreError names the tensors that don't fit."""
    names = published.classes if config.tells_classes and config.reads else ()
    dims = {config.scored: published.length}
    classes = Classes(names, config.reader()) if names else None
    student = weights.seeded(lambda: config.student(dims, classes), random=True)
    initial = student.state_dict()
    if fault := _faults(initial, published):
        raise _mismatch(path, config.method, tensors, fault)
    student.load_state_dict({name: published.weights.get(name, tensor) for name, tensor in initial.items()})
    student.train().eval()  # texts of classes follow from the prompts that were loaded
    bank = Instances(np.zeros((0, published.length), np.float32), np.zeros((0, 6)))
    model = Model(config, {config.scored: Normalizer.none()}, student, 0.5, bank, dims=dims, classes=names)
    _check_length(model, published.length)
    return model


def _faults(tensors: Mapping[str, torch.Tensor], published: Checkpoint) -> str:
    """Names in the authors' file that are missing, unexpected or of another shape for a method's tensors."""
    weights = {name for name in published.weights if name in tensors or not name.startswith(published.encoded)}
    required = {name for name in tensors if not name.startswith(published.absent)}
    shapes = [(name, published.weights[name].shape, tensors[name].shape) for name in sorted(weights & tensors.keys())]
    faults = {
        "missing": [published.published_name(name) for name in sorted(required - weights)],
        "unexpected": [published.published_name(name) for name in sorted(weights - tensors.keys())],
        "of another shape": [
            f"{published.published_name(name)} {tuple(shape)}, expected {tuple(shape_here)}"
            for name, shape, shape_here in shapes
            if shape != shape_here
        ],
    }
    return "; ".join(f"{len(names)} {fault} ({_listed(names)})" for fault, names in faults.items() if names)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def _check_length(model: Model, length: int) -> None:
    """ConfigError where the backbone gives features of another length than the weights take."""
    if model.config.backbone == "imported":
        count = model.config.settings["imported"].length or length
    else:
        spec = model.backbone.clip
        height, width = spec.size or (64, 64)
        clips = np.zeros((1, spec.frames, height, width, 3), np.uint8)
        arguments = (
            [np.full((1, spec.frames - 1), 0.04)] if model.config.part("backbone").abilities.takes_seconds else []
        )
        count = model.backbone(clips, *arguments).shape[-1]
    if count != length:
        raise ConfigError(
            f"the features of {model.config.backbone} are {count} numbers long, and these weights take {length}; "
            "choose another --backbone, or its layer"
        )

"""Parts of a model as its file holds them, and their checks when it is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wherewhen.core import registry
from wherewhen.core.config import mapping
from wherewhen.core.contracts import Classes
from wherewhen.core.errors import ConfigError, first_line
from wherewhen.extraction.backgrounds import SIZE, Background
from wherewhen.inference import model_file
from wherewhen.inference.exported import KEY, Exported
from wherewhen.inference.model_config import ModelConfig


def pictures(cameras: Mapping[str, Sequence[Background]]) -> dict[str, NDArray[Any]]:
    """The arrays to save of backgrounds: pictures, their shapes, and the number of the camera of each."""
    rows = [(number, picture) for number, same in enumerate(cameras.values()) for picture in same]
    pictures = [picture.picture for _, picture in rows]
    return {
        "cameras.pictures": np.stack(pictures) if pictures else np.empty((0, *SIZE), np.uint8),
        "cameras.shapes": np.array([picture.shape for _, picture in rows], np.float64),
        "cameras.numbers": np.array([number for number, _ in rows], np.int64),
    }


def contents(model: Any) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """The arrays and the values to save of a `Model`."""
    values: dict[str, Any] = {"config": model.config.plain()}
    if isinstance(model.method, Exported):
        arrays = model.method.arrays()
        values[KEY] = model.method.plain()
    else:
        arrays = {f"method.{k}": v.cpu().numpy() for k, v in model.method.state_dict().items()}
    for name, normalizer in model.normalizers.items():
        arrays |= {key(model.config, name) + k: v for k, v in normalizer.to_arrays().items()}
    arrays |= {"bank.features": model.bank.features, "bank.extents": model.bank.extents}
    if model.normal_time is not None:
        arrays |= {"normal.maxima": model.normal_time.maxima, "normal.hours": np.array([model.normal_time.hours])}
    if model.adaptation is not None:
        arrays |= {f"adaptation.{name}": array for name, array in model.adaptation.to_arrays().items()}
    if model.cameras:
        arrays |= pictures(model.cameras)
    return arrays, values | {
        "threshold": model.threshold,
        "dims": model.dims,
        "classes": model.classes,
        "trained_on": model.trained_on,
        "cameras": list(model.cameras),
        "camera": model.camera or "",
    }


def advice(run: Path) -> str:
    """The command that trains a model at a path, or the option that names another run folder."""
    output = "" if run.name == "latest" or run.suffix or run.exists() else f" --output {run}"
    return f"train one: wherewhen train CLIPS{output}; or name a run folder: --model RUN (in Python: load(RUN))"


def check_code(stored: model_file.Stored, config: ModelConfig) -> None:
    """ConfigError where a model would run code without consent, StoreError where the file is not identified."""
    for name in config.backbones:
        code = registry.load("backbones", name).abilities.runs_code_of
        if code and (code_file := code(mapping(stored.config.get(name), name))):
            _check_consent(stored, config, *code_file)


def _check_consent(stored: model_file.Stored, config: ModelConfig, path: str, sha256: str) -> None:
    """The errors of `check_code` for one file."""
    if not sha256:
        raise stored.wrong(f"its configuration has no sha256 of {path}, so the file can't be identified")
    if not config.trusted:
        raise ConfigError(
            f"{stored.path}: this model runs the code in {path} (sha256 {sha256}). "
            "If you trust that file: --trust (in Python: trust=True)"
        )


def student(stored: model_file.Stored, config: ModelConfig) -> Any:
    """The method with its weights; shapes are compared before memory is allocated."""
    from wherewhen.runtime.shapes import shapes_only

    classes = Classes(stored.classes or Classes().names)
    try:
        with shapes_only():
            stored.fits(config.student(stored.dims, classes))
        method = config.student(stored.dims, classes)
    except (ValueError, TypeError, RuntimeError, MemoryError, ArithmeticError, LookupError) as error:
        raise stored.wrong(f"its configuration can't be followed: {first_line(error)}") from None
    stored.put(method)
    return method


def key(config: ModelConfig, view: str) -> str:
    """Prefix of the names of a normalizer's arrays; that of the scored view has no view name."""
    return "normalizer." if view == config.scored else f"normalizer.{view}."

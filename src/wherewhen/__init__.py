"""Learn from labels on whole videos, then say when and where it happens.

import wherewhen

model = wherewhen.train("clips/", "runs/yard")  # or wherewhen.load("runs/yard")
found = model.detect("new.mp4")
found.events, found.scores, found.heatmap(2.0), found.render("out.mp4")
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wherewhen.api.benchmark import bench
    from wherewhen.api.detection import detect
    from wherewhen.api.runs import evaluate, load, train
    from wherewhen.core.errors import WherewhenError
    from wherewhen.core.values import Event, HeatMap, Pictures, Prediction, Scores, Truth, Video
    from wherewhen.inference.model import Model
    from wherewhen.inference.model_config import ModelConfig
    from wherewhen.inference.result import Result

_HOMES = {
    "bench": "api.benchmark",
    "WherewhenError": "core.errors",
    "Result": "inference.result",
    "Model": "inference.model",
    "ModelConfig": "inference.model_config",
    "detect": "api.detection",
    "evaluate": "api.runs",
    "load": "api.runs",
    "train": "api.runs",
    "Event": "core.values",
    "HeatMap": "core.values",
    "Pictures": "core.values",
    "Prediction": "core.values",
    "Scores": "core.values",
    "Truth": "core.values",
    "Video": "core.values",
}

__all__ = [
    "Event",
    "HeatMap",
    "Model",
    "ModelConfig",
    "Pictures",
    "Prediction",
    "Result",
    "Scores",
    "Truth",
    "Video",
    "WherewhenError",
    "bench",
    "detect",
    "evaluate",
    "load",
    "train",
]


def __getattr__(name: str) -> Any:
    """Public names, loaded when first asked for: ``import wherewhen`` loads neither torch nor PyAV."""
    if name == "__version__":
        return version("wherewhen")
    if name not in _HOMES:
        raise AttributeError(f"module 'wherewhen' has no attribute {name!r}")
    return getattr(import_module(f"wherewhen.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__doc__", "__version__"]

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
    from wherewhen.benchmark import bench
    from wherewhen.detection import detect
    from wherewhen.errors import WherewhenError
    from wherewhen.found import Found
    from wherewhen.model import Model
    from wherewhen.recipe import Recipe
    from wherewhen.runs import judge, load, train
    from wherewhen.values import Event, HeatMap, Pictures, Prediction, Scores, Truth, Video

_HOMES = {
    "bench": "benchmark",
    "WherewhenError": "errors",
    "Found": "found",
    "Model": "model",
    "Recipe": "recipe",
    "detect": "detection",
    "judge": "runs",
    "load": "runs",
    "train": "runs",
    "Event": "values",
    "HeatMap": "values",
    "Pictures": "values",
    "Prediction": "values",
    "Scores": "values",
    "Truth": "values",
    "Video": "values",
}

__all__ = [
    "Event",
    "Found",
    "HeatMap",
    "Model",
    "Pictures",
    "Prediction",
    "Recipe",
    "Scores",
    "Truth",
    "Video",
    "WherewhenError",
    "bench",
    "detect",
    "judge",
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

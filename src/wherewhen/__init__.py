"""Weakly supervised video anomaly detection: labels of whole videos in, events with time and place out.

import wherewhen

model = wherewhen.train("clips/", "runs/yard")  # or wherewhen.load("runs/yard")
result = model.detect("new.mp4")
result.events, result.scores, result.heatmap(2.0), result.render("out.mp4")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wherewhen.api.adapting import adapt
    from wherewhen.api.benchmark import Bench, bench
    from wherewhen.api.calibrating import calibrate
    from wherewhen.api.checkpoints import import_model
    from wherewhen.api.detection import detect
    from wherewhen.api.evaluation import EvaluationReport, evaluate
    from wherewhen.api.exporting import export
    from wherewhen.api.learning import Learned, learn
    from wherewhen.api.reproduction import Reproduction, reproduce
    from wherewhen.api.runs import load, train
    from wherewhen.core.errors import (
        ConfigError,
        DataError,
        EngineError,
        OutputError,
        StoreError,
        VideoError,
        WherewhenError,
    )
    from wherewhen.core.values import Event, HeatMap, Pictures, Prediction, Scores, Truth, Video
    from wherewhen.inference.model import Model
    from wherewhen.inference.model_config import ModelConfig
    from wherewhen.inference.result import Result
    from wherewhen.text.zero_shot import ZeroShot
    from wherewhen.video.batch import Quarantine

_HOMES = {
    "adapt": "api.adapting",
    "calibrate": "api.calibrating",
    "Bench": "api.benchmark",
    "bench": "api.benchmark",
    "import_model": "api.checkpoints",
    "detect": "api.detection",
    "EvaluationReport": "api.evaluation",
    "evaluate": "api.evaluation",
    "export": "api.exporting",
    "Learned": "api.learning",
    "learn": "api.learning",
    "Reproduction": "api.reproduction",
    "reproduce": "api.reproduction",
    "load": "api.runs",
    "train": "api.runs",
    "ConfigError": "core.errors",
    "DataError": "core.errors",
    "EngineError": "core.errors",
    "OutputError": "core.errors",
    "StoreError": "core.errors",
    "VideoError": "core.errors",
    "WherewhenError": "core.errors",
    "Event": "core.values",
    "HeatMap": "core.values",
    "Pictures": "core.values",
    "Prediction": "core.values",
    "Scores": "core.values",
    "Truth": "core.values",
    "Video": "core.values",
    "Model": "inference.model",
    "ModelConfig": "inference.model_config",
    "Result": "inference.result",
    "ZeroShot": "text.zero_shot",
    "Quarantine": "video.batch",
}

__all__ = [
    "Bench",
    "ConfigError",
    "DataError",
    "EngineError",
    "EvaluationReport",
    "Event",
    "HeatMap",
    "Learned",
    "Model",
    "ModelConfig",
    "OutputError",
    "Pictures",
    "Prediction",
    "Quarantine",
    "Reproduction",
    "Result",
    "Scores",
    "StoreError",
    "Truth",
    "Video",
    "VideoError",
    "WherewhenError",
    "ZeroShot",
    "adapt",
    "bench",
    "calibrate",
    "detect",
    "evaluate",
    "export",
    "import_model",
    "learn",
    "load",
    "reproduce",
    "train",
]


def __getattr__(name: str) -> Any:
    """Public names, loaded on first access: ``import wherewhen`` loads neither torch nor PyAV."""
    if name == "__version__":
        from importlib.metadata import version

        return version("wherewhen")
    if name not in _HOMES:
        raise AttributeError(f"module 'wherewhen' has no attribute {name!r}")
    return getattr(import_module(f"wherewhen.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__doc__", "__version__"]

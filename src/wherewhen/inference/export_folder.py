"""The run folder of an exported model, with its comparison with the original."""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from wherewhen.core import outputs
from wherewhen.core.config import write_yaml
from wherewhen.core.errors import ConfigError
from wherewhen.core.printable import unused
from wherewhen.core.store import write_atomic, write_json
from wherewhen.core.values import Pictures
from wherewhen.datasets.toy import Toy, clip
from wherewhen.inference.detector import sources_of
from wherewhen.inference.exporting import TOLERANCE, Parity, exported
from wherewhen.runtime import graphs
from wherewhen.video.sources import Source

log = logging.getLogger("wherewhen")

RECORD, SETTINGS, WEIGHTS = "parity.json", "config.yaml", "weights/best.safetensors"


def write(
    model: Any, form: str, output: str | Path | None = None, videos: Any = None, tolerance: float = TOLERANCE
) -> tuple[Path, Any, dict[str, Any]]:
    """Export a model and write its run folder; nothing is written where it deviates too much.

    Args:
        model: a trained `Model`.
        form: onnx, openvino or torchscript.
        output: run folder to write; None: a new one below ``runs/``.
        videos: those that both are compared on, as for `Detector.detect`; None: two drawn ones.
        tolerance: largest absolute deviation that is accepted.

    Returns:
        The folder, the exported model, and the content of ``parity.json``.
    """
    graphs.check(form)
    folder = Path(output) if output else Path("runs") / unused("export", lambda name: Path("runs", name).exists())
    names = [f"{name}{ending}" for name in ("method", "backbone") for ending in graphs.ENDINGS[form]]
    outputs.check_folder(folder, (*names, RECORD, WEIGHTS))
    if (folder / SETTINGS).exists():
        raise ConfigError(f"{folder}: holds a run already; choose another --output")
    sources = drawn() if videos is None else sources_of(videos)
    with outputs.reading(sources):
        other, parity = exported(model, form, sources, tolerance)
        record = _record(other, parity, tolerance)
        for name, graph in (("method", other.method.graph), ("backbone", other.method.backbone)):
            for ending, data in graph.files.items() if graph else ():
                write_atomic(folder / f"{name}{ending}", data)
        write_yaml(folder / SETTINGS, other.config.plain())
        write_json(folder / RECORD, record)
        other.save(folder / WEIGHTS)  # the last one: without it the folder is no run
    return folder, other, record


def drawn() -> list[Source]:
    """Two drawn videos of 12 seconds in memory, a normal and an anomalous one."""
    settings = Toy(clips_normal=1, clips_anomalous=1, seconds=12, rate=12.5)
    return [Pictures(np.stack([picture.image for picture in clip(settings, k)]), settings.rate) for k in (0, 1)]


def _record(model: Any, parity: Parity, tolerance: float) -> dict[str, Any]:
    """The content of ``parity.json``."""
    method = model.method
    stays = f"{model.config.backbone} is no network" if len(model.config.backbones) == 1 else "it joins several"
    return {
        "format": method.graph.format,
        "written_by": method.graph.version,
        "run_by": graphs.runtime_version(method.graph.format),
        "precision": "fp32",
        "method": model.config.method,
        "backbone": "exported" if method.backbone else f"in Python: {stays}",
        "deviation": parity.largest,
        **asdict(parity),
        "tolerance": tolerance,
    }

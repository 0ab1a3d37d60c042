"""Export of a run folder: its networks in a format that other libraries run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wherewhen.core.documents import read_json
from wherewhen.core.errors import WherewhenError, expected
from wherewhen.inference import export_folder
from wherewhen.inference.model import Model

EVENTS = "events.json"
MOST = 4  # training videos that both models are compared on by default


def export(
    model: str | Path | Model,
    format: str = "onnx",
    output: str | Path | None = None,
    *,
    videos: Any = None,
    tolerance: float = 1e-3,
    which: str = "best",
    trust: bool = False,
) -> tuple[Model, dict[str, Any]]:
    """Write a run folder whose networks other libraries run, after a comparison with the original.

    Args:
        model: run folder of a trained, adapted or calibrated model, or the model.
        format: onnx, openvino or torchscript.
        output: run folder to write; None: a new one below ``runs/``.
        videos: those that both models are compared on, as for `Model.detect`; None: up to four training videos of the
            run folder, or two drawn ones.
        tolerance: largest absolute deviation of scores that is accepted.
        which: best or last checkpoint of the run folder.
        trust: run the code in the TorchScript file that the model names, if it names one.

    Returns:
        The exported model, and the content of ``parity.json``.

    Raises:
        ConfigError: the method can't be exported, or a deviation is larger.
        EngineError: a library is missing, or has no operation for a part of a network.
        OutputError: a file that the toolkit did not write would be replaced.
    """
    if not isinstance(model, str | Path | Model):
        raise expected("model", "the path of a run folder, or a model", model)
    run = None if isinstance(model, Model) else Path(model)
    source = model if isinstance(model, Model) else Model.load(model, which, "cpu", trust=trust)
    chosen = videos if videos is not None or run is None else training_videos(run) or None
    _, other, record = export_folder.write(source, format, output, chosen, tolerance)
    return other, record


def training_videos(run: Path) -> list[Path]:
    """Up to four videos of a run's ``events.json`` that are there: those with the most events, and with the fewest."""
    try:
        videos = read_json(run / EVENTS)["videos"].values()
        files = sorted((len(v["events"]), str(run / v["folder"] / v["file"])) for v in videos if "folder" in v)
    except (OSError, WherewhenError, KeyError, TypeError, AttributeError):
        return []
    paths = [path for _, name in files if (path := Path(name)).is_file()]
    return paths if len(paths) <= MOST else [*paths[: MOST // 2], *paths[-MOST // 2 :]]

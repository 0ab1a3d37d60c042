"""Runs: folders that hold what a training or a detection made, and how it was made."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wherewhen import data, extract
from wherewhen.config import write_yaml
from wherewhen.errors import ConfigError, DataError, VideoError
from wherewhen.evaluate import normalized, predict
from wherewhen.extract import Look
from wherewhen.found import Found, write_tables
from wherewhen.metrics import roc_auc
from wherewhen.model import Model, Recipe
from wherewhen.store import write_json
from wherewhen.train import Fitted, carve, fit
from wherewhen.values import Bag, Dataset, Video

log = logging.getLogger("wherewhen")


@contextmanager
def log_file(folder: Path) -> Iterator[None]:
    """Copy what the toolkit logs to ``log.txt`` in a run folder."""
    folder.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(folder / "log.txt", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        handler.close()


def point_latest(folder: Path) -> None:
    """Let ``latest`` beside a run folder point to it."""
    link = folder.parent / "latest"
    if folder.name == "latest" or (link.exists() and not link.is_symlink()):
        return
    link.unlink(missing_ok=True)
    link.symlink_to(folder.name, target_is_directory=True)


def next_folder(parent: str | Path, name: str) -> Path:
    """A folder that is not there yet: ``parent/name``, ``parent/name-2``, ..."""
    number = 1
    while (folder := Path(parent) / (name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    return folder


def labelled(root: str | Path, fold: str | None = None) -> Sequence[Video]:
    """The videos to train on: all that have a label, or those of one fold's training part."""
    found: Dataset = data.reader_of(root).load(Path(root))
    if fold is None:
        return [v for v in found.videos if v.label is not None]
    named = {f.name: f for f in found.folds}
    if fold not in named:
        raise DataError(f"{root}: no fold called {fold!r}; there are {', '.join(named) or 'none'}")
    return named[fold].train


def train(
    root: str | Path,
    output: str | Path | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    fold: str | None = None,
    device: str = "auto",
    resume: bool = False,
    quiet: bool = False,
) -> Model:
    """Learn from labelled videos and write a run folder; gives the model that validation liked best.

    ``root``: ``normal/`` and ``anomalous/`` folders, a ``labels.csv``, or a known data set. ``settings``: plain values
    as in ``config.yaml``. ``resume``: go on with a run that was interrupted. A video that can't be read is set aside.
    """
    recipe = Recipe.of(settings)
    folder = Path(output) if output else next_folder("runs", "train")
    if (folder / "config.yaml").exists() and not resume:
        raise ConfigError(f"{folder}: holds a run already; add --resume to go on with it, or choose another --output")
    with log_file(folder):
        write_yaml(folder / "config.yaml", recipe.plain())
        videos = labelled(root, fold)
        quarantine: dict[str, str] = {}
        views = {recipe.instances: Look.of(recipe)}
        bags = list(extract.bags(videos, views, quarantine=quarantine, quiet=quiet))
        if quarantine:
            write_json(folder / "quarantine.json", quarantine)
        fitted = fit(bags, recipe, folder=folder, device=device, resume=resume, quiet=quiet)
        _keep(folder, fitted, bags, recipe, quarantine)
    point_latest(folder)
    return fitted.best


def _keep(folder: Path, fitted: Fitted, bags: list[Bag], recipe: Recipe, quarantine: Mapping[str, str]) -> None:
    fitted.last.save(folder / "weights" / "last.safetensors")
    fitted.best.save(folder / "weights" / "best.safetensors")
    (folder / "weights" / "checkpoint.safetensors").unlink(missing_ok=True)
    predictions = predict(fitted.best, normalized(fitted.best, bags))
    held = {v.id for v in carve([b.video for b in bags], recipe.validation, recipe.seed)[1]}
    peaks = {name: float(p.frames.values.max()) for name, p in predictions.items() if p.frames is not None}
    numbers: dict[str, Any] = {"videos": len(bags), "quarantined": len(quarantine), "threshold": fitted.best.threshold}
    for part, ids in (("training", peaks.keys() - held), ("validation", held)):
        labels = [b.video.label == 1 for b in bags if b.video.id in ids]
        if any(labels) and not all(labels):
            values = [peaks[b.video.id] for b in bags if b.video.id in ids]
            numbers[f"{part}_vauc"] = roc_auc(values, labels)
    numbers["history"] = fitted.history
    numbers["video_scores"] = peaks
    write_json(folder / "metrics.json", numbers)


def detect(
    model: Model,
    sources: Sequence[str | Path],
    output: str | Path | None = None,
    *,
    render: bool = True,
    quarantine: dict[str, str] | None = None,
    quiet: bool = False,
) -> list[Found]:
    """Find what happens in videos, and write events, scores, overlays and timelines below ``output``.

    A video that can't be read is noted in ``quarantine`` (path -> reason) and left out; without one it raises.
    """
    found: list[Found] = []
    for source in sources:
        try:
            one = model.detect(source)
            if output and render:
                one.render(Path(output) / f"{one.id}.mp4")
                one.timeline(Path(output) / f"{one.id}.png")
        except VideoError as error:
            if quarantine is None:
                raise
            quarantine[str(source)] = error.cause
            log.warning("set aside %s: %s", source, error.cause)
            continue
        found.append(one)
        log.info("%s: %d events", one.id, len(one.events))
    if output:
        write_tables(Path(output), found)
        if quarantine:
            write_json(Path(output) / "quarantine.json", quarantine)
    return found

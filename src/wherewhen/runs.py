"""Runs: folders that hold what a training or a detection made, and how it was made."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from wherewhen import data, distributed, extract, review
from wherewhen.config import read_yaml, write_yaml
from wherewhen.errors import ConfigError, DataError, VideoError
from wherewhen.evaluate import FAMILIES, Row, evaluate, normalized, predict
from wherewhen.feature_stores.importing import adopted
from wherewhen.features import content
from wherewhen.found import Found, write_events, write_scores, write_tables
from wherewhen.kept import settled
from wherewhen.looks import Look
from wherewhen.metrics import roc_auc
from wherewhen.model import Model, Recipe, pick_device
from wherewhen.progress import track
from wherewhen.spread import GIVEN_UP, Where, spread
from wherewhen.store import draft, plain, sweep, write_json
from wherewhen.training import Fitted, carve, check_labels, fit
from wherewhen.values import Bag, Dataset, Fold, Video
from wherewhen.video.batch import Quarantine, survivors
from wherewhen.video.sources import Source, address, camera, shown
from wherewhen.zeroshot import ZeroShot

log = logging.getLogger("wherewhen")

WORDS = ".json"  # of a file that says what a model of words was made from


@contextmanager
def log_file(folder: Path) -> Iterator[None]:
    """Copy what the toolkit logs to ``log.txt`` in a run folder."""
    folder.mkdir(parents=True, exist_ok=True)
    level, handler = log.level, logging.FileHandler(folder / "log.txt", encoding="utf-8")
    log.setLevel(logging.INFO)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    try:
        yield
    finally:
        log.setLevel(level)
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
    return _fold(found, fold).train if fold is not None else [v for v in found.videos if v.label is not None]


def _fold(dataset: Dataset, name: str) -> Fold:
    named = {fold.name: fold for fold in dataset.folds}
    if name not in named:
        raise DataError(f"{dataset.name}: no fold called {name!r}; there are {', '.join(named) or 'none'}")
    return named[name]


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
    recipe, device = Recipe.of(adopted(root, settings)), pick_device(device)
    folder = Path(output) if output else next_folder("runs", "train")
    _check_folder(folder, recipe, resume)
    videos = labelled(root, fold)
    check_labels(videos)
    if resume and _finished(folder):
        log.info("%s: finished already", folder)
        distributed.tell(None)
        return Model.load(folder, device=device)
    with log_file(folder):
        log.info("learning from %d videos of %s, %d anomalous", len(videos), root, sum(v.label == 1 for v in videos))
        for name in sorted(set(settings or {}) - set(recipe.plain())):
            log.warning("the settings of %s say nothing here: %s on %s", name, recipe.method, recipe.instances)
        quarantine = Quarantine(folder)
        quarantine.file.unlink(missing_ok=True)
        views = Look.all_of(recipe, device)
        bags = extract.gathered(videos, views, quarantine=quarantine, quiet=quiet)
        seen = [bag.video for bag in bags]
        check_labels(seen)
        write_yaml(folder / "config.yaml", recipe.plain())
        look = settled(views[recipe.scored], seen[0])  # so that detection runs what training saw
        exact = replace(recipe, engine=look.engine, precision=look.precision)
        distributed.tell((seen, views, exact, folder, resume))
        fitted = fit(bags, exact, folder=folder, device=device, resume=resume, quiet=quiet)
        _keep(folder, fitted, bags, seen, recipe, quarantine)
        log.info("trained %d steps; the score %.3f is the threshold", recipe.training.steps, fitted.best.threshold)
    point_latest(folder)
    return fitted.best


def follow(device: str = "auto") -> None:
    """Train beside the process that called `train`, on what it says; writes nothing."""
    said = distributed.tell(None)
    if said is not None:
        videos, views, recipe, folder, resume = said
        device = pick_device(device)
        views = {name: replace(look, device=device) for name, look in views.items()}
        bags = extract.gathered(videos, views, quiet=True)
        fit(bags, recipe, folder=folder, device=device, resume=resume)


def _finished(folder: Path) -> bool:
    weights = folder / "weights"
    return (folder / "report.html").exists() and not (weights / "checkpoint.safetensors").exists()


def _check_folder(folder: Path, recipe: Recipe, resume: bool) -> None:
    """ConfigError where a run would be overwritten, or gone on with by other settings."""
    if not (folder / "config.yaml").exists():
        return
    if not resume:
        raise ConfigError(f"{folder}: holds a run already; add --resume to go on with it, or choose another --output")
    before, now = _flat(read_yaml(folder / "config.yaml")), _flat(plain(recipe.plain()))
    other = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    if other:
        told = ", ".join(f"{key} was {before.get(key)}, is {now.get(key)}" for key in other[:5])
        raise ConfigError(
            f"{folder}: begun with other settings ({told}); resume it with -c {folder / 'config.yaml'}, "
            "or choose another --output"
        )


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by their dotted names."""
    rows: dict[str, Any] = {}
    for key, value in values.items():
        rows |= {f"{key}.{k}": v for k, v in value.items()} if isinstance(value, Mapping) else {key: value}
    return rows


def _keep(
    folder: Path, fitted: Fitted, bags: Sequence[Bag], videos: list[Video], recipe: Recipe, quarantine: Quarantine
) -> None:
    fitted.last.trained_on = fitted.best.trained_on = tuple(sorted({content(v.path) for v in videos}))
    fitted.last.save(folder / "weights" / "last.safetensors")
    fitted.best.save(folder / "weights" / "best.safetensors")
    predictions = predict(fitted.best, (one for bag in bags for one in normalized(fitted.best, [bag])))
    held = {v.id for v in carve(videos, recipe.validation, recipe.seed)[1]}
    peaks = {name: float(p.frames.values.max()) for name, p in predictions.items() if p.frames is not None}
    numbers: dict[str, Any] = {
        "videos": len(videos),
        "quarantined": len(quarantine.reasons),
        "threshold": fitted.best.threshold,
    }
    for part, ids in (("training", peaks.keys() - held), ("validation", held)):
        labels = [v.label == 1 for v in videos if v.id in ids]
        if any(labels) and not all(labels):
            values = [peaks[v.id] for v in videos if v.id in ids]
            numbers[f"{part}_vauc"] = roc_auc(values, labels)
    numbers["history"] = fitted.history
    numbers["video_scores"] = peaks
    write_json(folder / "metrics.json", numbers)
    write_scores(folder / "scores.parquet", predictions)
    write_events(folder / "events.json", videos, predictions)
    notes = [f"{name}: {numbers[name]:.3f}" for name in ("training_vauc", "validation_vauc") if name in numbers]
    review.page(
        folder / "report.html",
        f"Training run {folder.name}",
        videos=videos,
        found=predictions,
        settings=recipe.plain(),
        notes=["These are the training videos: the scores show how well they are fitted, no more.", *notes],
        quarantine=quarantine,
    )
    (folder / "weights" / "checkpoint.safetensors").unlink(missing_ok=True)


def judge(
    model: Model,
    root: str | Path,
    output: str | Path,
    *,
    fold: str | None = None,
    families: Sequence[str] = FAMILIES,
    quiet: bool = False,
) -> tuple[list[Row], Quarantine]:
    """Evaluate a model on a data set with truth and write metrics, scores, events and a report to a folder."""
    folder = Path(output)
    reader = data.reader_of(root)
    dataset = reader.load(Path(root))
    videos = dataset.videos if fold is None else _fold(dataset, fold).test
    truths = reader.truth(Path(root))
    quarantine = Quarantine(folder)
    with log_file(folder):
        quarantine.write()
        known = [v.id for v in videos if v.path.exists() and content(v.path) in model.trained_on]
        notes = [f"{len(known)} of these {len(videos)} videos were trained on: no honest figure"] if known else []
        for note in notes:
            log.warning("%s; judge on others, or on the test part of a --fold", note)
        table, found = evaluate(model, videos, truths, families, quarantine=quarantine, quiet=quiet)
        write_scores(folder / "scores.parquet", found)
        write_events(folder / "events.json", videos, found)
        rows = [row._asdict() for row in table]
        write_json(folder / "metrics.json", {"dataset": dataset.name, "fold": fold, "rows": rows})
        review.page(
            folder / "report.html",
            f"Evaluation on {dataset.name}",
            videos=videos,
            found=found,
            truths=truths,
            table=table,
            settings=model.recipe.plain(),
            notes=notes,
            quarantine=quarantine,
        )
    return table, quarantine


def detect(
    model: Model | ZeroShot,
    sources: Sequence[Source],
    output: str | Path,
    *,
    render: bool = True,
    where: Where | None = None,
    quiet: bool = False,
) -> tuple[list[Found], Quarantine]:
    """Find what happens in videos, and write events, scores, overlays and timelines to the folder ``output``.

    ``model``: a trained one, or words alone. A video that can't be read is set aside with its reason, and the rest goes
    on. ``where``: in which processes, or on which Ray cluster, each with one thread; here, with all threads, unless
    told.
    """
    folder = Path(output)
    quarantine = Quarantine(folder)
    names = _names(sources)

    def work(source: Source) -> Found:
        return _shown(replace(model.detect(source), id=names[source]), folder, render)

    with log_file(folder):
        if where is None:
            todo = survivors(sources, work, quarantine)
            found = [one for _, one in track(todo, "detecting", len(sources), quiet=quiet)]
        else:
            found = _detect_elsewhere(model, sources, quarantine, where, render, quiet)
        for path, reason in quarantine.reasons.items():
            log.warning("set aside %s: %s", path, reason)
        write_tables(folder, found)
    return found, quarantine


def _shown(one: Found, folder: Path, render: bool) -> Found:
    if render:
        one.render(folder / f"{one.id}.mp4")
        one.timeline(folder / f"{one.id}.png")
    return one


@dataclass(frozen=True)
class _Order:
    """One video to detect in, for a process of its own."""

    model: Path
    device: str
    source: Source
    id: str
    folder: Path
    render: bool


@lru_cache(maxsize=1)
def _model_at(path: Path, device: str) -> Model | ZeroShot:
    return ZeroShot.load(path) if path.suffix == WORDS else Model.load(path, device=device)


def _detect_one(order: _Order) -> Found | str:
    """What was found, or why the video can't be read."""
    try:
        found = _model_at(order.model, order.device).detect(order.source)
        return _shown(replace(found, id=order.id), order.folder, order.render)
    except VideoError as error:
        return error.cause


def _detect_elsewhere(
    model: Model | ZeroShot, sources: Sequence[Source], quarantine: Quarantine, where: Where, render: bool, quiet: bool
) -> list[Found]:
    folder = quarantine.file.parent.resolve()
    quarantine.write()
    sweep(folder)
    names = _names(sources)
    with draft(folder, "model", WORDS if isinstance(model, ZeroShot) else ".safetensors") as path:
        model.save(path)
        places = [source if address(source) or camera(source) else Path(source).absolute() for source in sources]
        wanted = zip(sources, places, strict=True)
        orders = [_Order(path, model.device, place, names[source], folder, render) for source, place in wanted]
        made = dict(track(spread(_detect_one, orders, where), "detecting", len(sources), quiet=quiet))
    kept = [(number, one) for number in sorted(made) if isinstance(one := made[number], Found)]
    found = [replace(one, path=Path(shown(sources[number]))) for number, one in kept]
    for number in sorted(made):
        if not isinstance(cause := made[number], Found):
            quarantine.add(sources[number], cause or GIVEN_UP)
    return found


def _names(sources: Sequence[Source]) -> dict[Source, str]:
    """A file name for each source: its stem, with a number where two share one."""
    names: dict[Source, str] = {}
    for source in sources:
        stem = name = Path(shown(source)).stem or "video"
        number = 1
        while name in names.values():
            number += 1
            name = f"{stem}-{number}"
        names.setdefault(source, name)
    return names

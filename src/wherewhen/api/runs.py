"""Run folders of trainings and evaluations: their results and their settings."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from wherewhen import datasets
from wherewhen.api import sanity
from wherewhen.api.sanity import Sanity
from wherewhen.api.tables import write_events, write_scores
from wherewhen.core import diagnostics, outputs
from wherewhen.core.config import flat, read_yaml, write_yaml
from wherewhen.core.console import Discreet
from wherewhen.core.documents import json_of
from wherewhen.core.errors import ConfigError, expected
from wherewhen.core.feature_file import content
from wherewhen.core.printable import unused
from wherewhen.core.store import draft, plain, write_json
from wherewhen.core.values import Bag, Video
from wherewhen.data_tools.dataset_checks import check_contents, check_few
from wherewhen.data_tools.features.importing import adopted
from wherewhen.datasets import Folders
from wherewhen.evaluation import pages
from wherewhen.evaluation.evaluator import Row, detect_bags, evaluate_videos, normalized
from wherewhen.evaluation.measurable import demanded, judged
from wherewhen.extraction import frame_rates, loading
from wherewhen.extraction.feature_cache import settled
from wherewhen.inference.model import Model
from wherewhen.inference.model_config import ModelConfig
from wherewhen.metrics import roc_auc
from wherewhen.runtime.devices import pick_device
from wherewhen.training import distributed
from wherewhen.training.fit import Fitted, check_labels, fit
from wherewhen.video.batch import Quarantine
from wherewhen.video.reader import Damaged

log = logging.getLogger("wherewhen")

LOG = "log.txt"
JUDGED = ("metrics.json", "scores.parquet", "events.json", "report.html", "quarantine.json", LOG)
"""What an evaluation writes into its folder."""
TRAINED = (
    *JUDGED,
    "training.csv",
    "tensorboard",
    *(f"weights/{name}.safetensors" for name in ("best", "last", "checkpoint")),
)
"""What a training writes into its folder, beside its settings."""
TRAINED_0_1 = (*TRAINED, "config.yaml")


@contextmanager
def log_file(folder: Path) -> Iterator[None]:
    """Copy what the toolkit logs to ``log.txt`` in a run folder."""
    file = outputs.grow(folder / LOG)
    level, handler = log.level, logging.FileHandler(file, encoding="utf-8", errors="backslashreplace")
    log.setLevel(logging.INFO)
    handler.addFilter(Discreet())
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
    if folder.name == "latest" or (os.path.lexists(link) and not _points_to_a_run(link)):
        return
    with draft(folder.parent, "latest", "") as fresh:
        fresh.unlink()
        fresh.symlink_to(folder.name, target_is_directory=True)
        fresh.replace(link)


def _points_to_a_run(link: Path) -> bool:
    """Whether a link is one that `point_latest` made: to a run beside it, which may be gone by now."""
    if not link.is_symlink() or len(link.readlink().parts) != 1:
        return False
    return not link.exists() or (link / "config.yaml").exists()


def next_folder(parent: str | Path, name: str) -> Path:
    """A folder that is not there yet: ``parent/name``, ``parent/name-2``, ..."""
    return Path(parent) / unused(name, lambda one: (Path(parent) / one).exists())


def train(
    root: str | Path,
    output: str | Path | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    fold: str | None = None,
    reader: str | None = None,
    normal: str | None = None,
    anomalous: str | None = None,
    device: str = "auto",
    resume: bool = False,
    check: bool = True,
    damaged: Damaged = "keep",
    quiet: bool = False,
) -> Model:
    """Learn from labelled videos, write a run folder, and return the model that validation chose.

    Unreadable videos are listed in ``quarantine.json`` of the run folder; training continues without them.

    Args:
        root: folder with ``normal/`` and ``anomalous/`` videos, with a ``labels.csv``, or of a known data set.
        output: run folder to write; None: a new one below ``runs/``.
        settings: plain values as in ``config.yaml``, such as ``{"cuboid_mil": {"dropout": 0.5}}``.
        fold: train on the training part of this fold; "all": on every labelled video; None: as the data set states.
        reader: name of the data set's reader; None: the one that recognizes the folder.
        normal: names of the folders of normal videos, separated by commas; needs ``anomalous`` too.
        anomalous: names of the folders of anomalous videos.
        device: auto, cpu or cuda.
        resume: continue an interrupted run in ``output``.
        check: estimate the quality on new videos by cross-validation, which takes about as long as training.
        damaged: keep uses a damaged video as far as it can be read; set-aside lists it in ``quarantine.json``.
        quiet: no progress bars.

    Raises:
        ConfigError: unknown settings, or ``output`` holds another run.
        DataError: labels or files are wrong.
        OutputError: a file that the toolkit did not write would be replaced.
    """
    if not isinstance(root, str | Path):
        raise expected("root", "the path of a folder of labelled videos", root)
    config, device = ModelConfig.of(adopted(root, settings)), pick_device(device)
    folder = Path(output) if output else next_folder("runs", "train")
    _check_folder(folder, config, resume)
    _check_names(folder, TRAINED, TRAINED_0_1 if (folder / "weights").is_dir() and resume else ())
    chosen = datasets.reader_of(root, reader, Folders.of(normal, anomalous))
    with diagnostics.listening() as odd:
        dataset = chosen.load(Path(root))
        videos, validation = datasets.to_learn(dataset, fold)
        if validation:
            config.check_share(str(root))
        check_labels(videos)
        check_contents(videos)
        check_few(videos)
    diagnostics.refuse(odd, root)
    if resume and _finished(folder):
        log.info("%s: finished already", folder)
        distributed.tell(None)
        return Model.load(folder, device=device, trust=config.trusted)
    with outputs.reading(video.path for video in videos), log_file(folder):
        log.info("learning from %d videos of %s, %d anomalous", len(videos), root, sum(v.label == 1 for v in videos))
        diagnostics.tell(odd, root)
        if fold is None and dataset.default:
            some = f", {len(validation)} of them to choose the model by" if validation else ""
            told = "fold %s: %d videos to train on%s; the others are left out (--fold all uses all)"
            log.info(told, dataset.default, len(videos), some)
        for name in sorted(set(settings or {}) - set(config.plain())):
            log.warning("the settings of %s have no effect: %s on %s is trained", name, config.method, config.instances)
        quarantine = Quarantine(folder, damaged)
        outputs.remove(quarantine.file)
        views = config.feature_specs(device)
        bags = loading.gathered(videos, views, quarantine=quarantine, quiet=quiet)
        seen = [bag.video for bag in bags]
        frame_rates.tell_seen(seen, views.values())
        check_labels(seen)
        if not (folder / "config.yaml").exists():
            write_yaml(folder / "config.yaml", config.plain())
        look = settled(views[config.scored], seen[0])  # so that detection runs what training saw
        exact = replace(config, engine=look.engine, precision=look.precision)
        held = _validating(seen, validation)
        distributed.tell((seen, views, exact, folder, resume, held))
        fitted = fit(bags, exact, folder=folder, device=device, resume=resume, quiet=quiet, validation=held)
        parts = fitted.learned, fitted.held_out
        _save(folder, fitted, seen)
        sane = sanity.check(bags, fitted, exact, parts[1], device, cross=check, quiet=quiet)
        _keep(folder, fitted, bags, parts, config, quarantine, sane)
        log.info("trained %d steps; the score %.3f is the threshold", config.training.steps, fitted.best.threshold)
    point_latest(folder)
    return fitted.best


def load(run: str | Path = "runs/latest", which: str = "best", device: str = "auto", *, trust: bool = False) -> Model:
    """Open the model of a run folder.

    Args:
        run: the run folder, or the path of a weights file.
        which: best (by validation) or last checkpoint.
        device: auto, cpu or cuda.
        trust: run the code in the TorchScript file that the model names, if it names one.

    Raises:
        StoreError: no model is there, or its file is damaged.
    """
    if not isinstance(run, str | Path):
        raise expected("run", "the path of a run folder", run)
    return Model.load(run, which, device, trust=trust)


def follow(device: str = "auto") -> None:
    """Train in a further process of distributed training, with the arguments of the first one; writes nothing."""
    said = distributed.tell(None)
    if said is not None:
        videos, views, config, folder, resume, held = said
        device = pick_device(device)
        views = {name: replace(look, device=device) for name, look in views.items()}
        bags = loading.gathered(videos, views, quiet=True)
        fit(bags, config, folder=folder, device=device, resume=resume, validation=held)


def _validating(videos: Sequence[Video], chosen: Sequence[str]) -> tuple[str, ...]:
    """Those of the videos to validate on that could be read; none, which is told, where they lack a label."""
    held = [video for video in videos if video.id in set(chosen)]
    if chosen and {video.label for video in held} != {0, 1}:
        log.warning("of the %d videos to validate on those of a label can't be read; others are drawn", len(chosen))
        return ()
    return tuple(video.id for video in held)


def _finished(folder: Path) -> bool:
    weights = folder / "weights"
    return (folder / "report.html").exists() and not (weights / "checkpoint.safetensors").exists()


def _check_folder(folder: Path, config: ModelConfig, resume: bool) -> None:
    """ConfigError where a run would be overwritten, or gone on with by other settings."""
    if not (folder / "config.yaml").exists():
        return
    if not resume:
        raise ConfigError(f"{folder}: holds a run already; add --resume to continue it, or choose another --output")
    before, now = flat(read_yaml(folder / "config.yaml")), flat(plain(config.plain()))
    other = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    if other:
        told = ", ".join(f"{key} was {before.get(key)}, is {now.get(key)}" for key in other[:5])
        raise ConfigError(
            f"{folder}: begun with other settings ({told}); resume it with -c {folder / 'config.yaml'}, "
            "or choose another --output"
        )


def _check_names(folder: Path, names: Sequence[str], before: Sequence[str]) -> None:
    """OutputError where a file of somebody else is in the way; ``before``: what version 0.1 left there unnoted."""
    if not (folder / outputs.MANIFEST).exists():
        outputs.adopt(folder / name for name in before)
    outputs.check_folder(folder, names)


def _save(folder: Path, fitted: Fitted, videos: Sequence[Video]) -> None:
    fitted.last.trained_on = fitted.best.trained_on = tuple(sorted({content(v.path) for v in videos}))
    fitted.last.save(folder / "weights" / "last.safetensors")
    fitted.best.save(folder / "weights" / "best.safetensors")


def _keep(
    folder: Path,
    fitted: Fitted,
    bags: Sequence[Bag],
    parts: tuple[list[Video], list[Video]],
    config: ModelConfig,
    quarantine: Quarantine,
    sane: Sanity,
) -> None:
    videos, held = [bag.video for bag in bags], {v.id for v in parts[1]}
    predictions = detect_bags(fitted.best, (one for bag in bags for one in normalized(fitted.best, [bag])))
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
    numbers["sanity"] = sane.plain()
    numbers["history"] = fitted.history
    numbers["video_scores"] = peaks
    write_json(folder / "metrics.json", numbers)
    write_scores(folder / "scores.parquet", predictions)
    write_events(folder / "events.json", videos, predictions)
    notes = [f"{name}: {numbers[name]:.3f}" for name in ("training_vauc", "validation_vauc") if name in numbers]
    pages.page(
        folder / "report.html",
        f"Training run {folder.name}",
        videos=videos,
        found=predictions,
        settings=config.plain(),
        notes=[
            *sane.warnings,
            "These are the training videos: the scores below show how well they are fitted, no more.",
            *notes,
        ],
        facts=sane.facts,
        quarantine=quarantine,
    )
    (folder / "weights" / "checkpoint.safetensors").unlink(missing_ok=True)


class EvaluationReport(NamedTuple):
    """Result of `evaluate`: a table, the unreadable videos, the metric families in it, notes on it."""

    table: list[Row]
    quarantine: Quarantine
    families: tuple[str, ...]
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        skipped = f"{len(self.quarantine.reasons)} videos skipped"
        return f"EvaluationReport({len(self.table)} rows, {len(self.families)} metric families, {skipped})"


def evaluate(
    model: Model,
    root: str | Path,
    output: str | Path,
    *,
    fold: str | None = None,
    reader: str | None = None,
    normal: str | None = None,
    anomalous: str | None = None,
    families: Sequence[str] | None = None,
    damaged: Damaged = "keep",
    quiet: bool = False,
) -> EvaluationReport:
    """Evaluate a model on a data set and write metrics, scores, events and a report to a folder.

    Args:
        model: a trained model.
        root: folder of a data set with ground truth; labels of whole videos allow the family ``video`` only.
        output: folder to write.
        fold: evaluate on the test part of this fold; None: as the data set states.
        reader: name of the data set's reader; None: the one that recognizes the folder.
        normal: names of the folders of normal videos, separated by commas; needs ``anomalous`` too.
        anomalous: names of the folders of anomalous videos.
        families: metric families; None: the usual ones that the ground truth allows.
        damaged: keep uses a damaged video as far as it can be read; set-aside lists it in ``quarantine.json``.
        quiet: no progress bars.
    """
    folder = Path(output)
    _check_names(folder, JUDGED, JUDGED if _judged(folder) else ())
    chosen = datasets.reader_of(root, reader, Folders.of(normal, anomalous))
    with diagnostics.summed(root):
        dataset, truths = chosen.load(Path(root)), chosen.truth(Path(root))
    videos = datasets.to_judge(dataset, fold)
    subject = judged(videos, truths, str(root))
    asked = demanded(families, subject.truths.values(), str(root))
    quarantine = Quarantine(folder, damaged)
    with outputs.reading(video.path for video in videos), log_file(folder):
        quarantine.write()
        known = [v.id for v in subject.videos if v.path.exists() and content(v.path) in model.trained_on]
        count = f"{len(known)} of these {len(subject.videos)} videos"
        notes = [f"{count} were trained on, so the figures are too high"] if known else []
        for note in notes:
            log.warning("%s; evaluate on other videos, or on the test part of a --fold", note)
        table, found, truths, used, more = evaluate_videos(model, subject, asked, quarantine=quarantine, quiet=quiet)
        for note in more:
            log.info("%s", note)
        notes += more
        write_scores(folder / "scores.parquet", found)
        write_events(folder / "events.json", videos, found)
        rows = [row._asdict() for row in table]
        told = {"dataset": dataset.name, "fold": fold or dataset.default or None, "notes": notes, "rows": rows}
        write_json(folder / "metrics.json", told)
        pages.page(
            folder / "report.html",
            f"Evaluation on {dataset.name}",
            videos=videos,
            found=found,
            truths=truths,
            table=table,
            settings=model.config.plain(),
            notes=notes,
            quarantine=quarantine,
        )
    return EvaluationReport(table, quarantine, used, tuple(more))


def _judged(folder: Path) -> bool:
    """Whether a folder holds an evaluation, by its numbers."""
    try:
        told = json_of((folder / "metrics.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(told, dict) and set(told) >= {"dataset", "fold", "rows"}

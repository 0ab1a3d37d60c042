"""Run folders of trainings and evaluations: their results and their settings."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wherewhen import datasets
from wherewhen.api import choosing, sanity, training_results
from wherewhen.api.logs import LOG, log_file
from wherewhen.api.thresholds import ThresholdFrom, ThresholdRule
from wherewhen.api.training_data import DataRecord
from wherewhen.core import diagnostics, outputs
from wherewhen.core.config import flat, read_yaml, write_yaml
from wherewhen.core.contracts import DatasetReader
from wherewhen.core.errors import ConfigError, expected
from wherewhen.core.printable import unused
from wherewhen.core.store import draft, plain
from wherewhen.core.values import Video
from wherewhen.data_tools.dataset_checks import check_contents, check_few
from wherewhen.data_tools.features.importing import adopted
from wherewhen.datasets import Folders
from wherewhen.extraction import frame_rates, loading
from wherewhen.extraction.feature_cache import settled
from wherewhen.inference.model import Model
from wherewhen.inference.model_config import ModelConfig
from wherewhen.runtime.devices import pick_device
from wherewhen.training import distributed
from wherewhen.training.fit import check_labels, fit
from wherewhen.training.selection import NAMED, Request, Selection
from wherewhen.video.batch import Quarantine
from wherewhen.video.reader import Damaged

log = logging.getLogger("wherewhen")

JUDGED = ("metrics.json", "scores.parquet", "events.json", "report.html", "quarantine.json", LOG)
"""Files that an evaluation writes into its folder."""
TRAINED = (
    *JUDGED,
    "selection.json",
    "data.json",
    "training.csv",
    "tensorboard",
    *(f"weights/{name}.safetensors" for name in ("best", "last", "checkpoint")),
)
"""Files that a training writes into its folder, besides its settings."""
TRAINED_0_1 = (*TRAINED, "config.yaml")


def point_latest(folder: Path) -> None:
    """Point the link ``latest`` beside a run folder to it."""
    link = folder.parent / "latest"
    if folder.name == "latest" or (os.path.lexists(link) and not _points_to_a_run(link)):
        return
    with draft(folder.parent, "latest", "") as fresh:
        fresh.unlink()
        fresh.symlink_to(folder.name, target_is_directory=True)
        fresh.replace(link)


def _points_to_a_run(link: Path) -> bool:
    """Whether a link is one of `point_latest`: to a run beside it, which may be deleted."""
    if not link.is_symlink() or len(link.readlink().parts) != 1:
        return False
    return not link.exists() or (link / "config.yaml").exists()


def next_folder(parent: str | Path, name: str) -> Path:
    """The first folder that does not exist: ``parent/name``, ``parent/name-2``, ..."""
    return Path(parent) / unused(name, lambda name: (Path(parent) / name).exists())


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
    threshold_from: ThresholdFrom | None = None,
    alarms_per_day: float | None = None,
    damaged: Damaged = "keep",
    quiet: bool = False,
) -> Model:
    """Learn from labelled videos, write a run folder, and return the model that validation chose.

    Unreadable videos are listed in ``quarantine.json`` of the run folder; training continues without them.

    Args:
        root: folder with ``normal/`` and ``anomalous/`` videos, with a ``labels.csv``, or of a known data set.
        output: run folder to write; None: a new one below ``runs/``.
        settings: plain values as in ``config.yaml``, such as ``{"method": "rtfm", "rtfm": {"width": 64}}``. Without a
            method, or with "auto", cross-validation over the training videos chooses one.
        fold: train on the training part of this fold; "all": on every labelled video; None: as the data set states.
        reader: name of the data set's reader; None: the one that recognizes the folder.
        normal: names of the folders of normal videos, separated by commas; needs ``anomalous`` too.
        anomalous: names of the folders of anomalous videos.
        device: auto, cpu or cuda.
        resume: continue an interrupted run in ``output``.
        check: estimate the quality on new videos by cross-validation, which takes about as long as training.
        threshold_from: "out-of-fold" or "training": scores of training videos that choose the threshold; None:
            out-of-fold where methods are compared, else training.
        alarms_per_day: wished number of false alarms a day, which chooses the threshold out of fold.
        damaged: keep uses a damaged video as far as it can be read; set-aside lists it in ``quarantine.json``.
        quiet: no progress bars.

    Returns:
        The model with the weights that the validation videos selected, or the last weights without such videos.

    Raises:
        ConfigError: unknown settings, or ``output`` holds another run.
        DataError: labels or files are wrong.
        OutputError: a file that the toolkit did not write would be replaced.
    """
    if not isinstance(root, str | Path):
        raise expected("root", "the path of a folder of labelled videos", root)
    requested, device = adopted(root, settings), pick_device(device)
    folder = Path(output) if output else next_folder("runs", "train")
    request = Request.of(requested)
    config = _begun(request, folder, resume) if request else ModelConfig.of(requested)
    _check_folder(folder, config, resume)
    check_names(folder, TRAINED, TRAINED_0_1 if (folder / "weights").is_dir() and resume else ())
    data = _TrainingData.of(root, config, datasets.reader_of(root, reader, Folders.of(normal, anomalous)), fold)
    if resume and _finished(folder):
        log.info("%s: finished already", folder)
        distributed.tell(None)
        return Model.load(folder, device=device, trust=config.trusted)
    with outputs.reading(video.path for video in data.videos), log_file(folder):
        rule = ThresholdRule(threshold_from, alarms_per_day)
        order = _Order(folder, device, resume, check, rule, Quarantine(folder, damaged), quiet)
        outputs.remove(order.quarantine.file)
        DataRecord("", reader, fold, normal, anomalous).at(Path(root), folder).write(folder)
        data.report()
        if request is None and rule.required:
            request = Request.single(config, requested)
        data, selection = _selected(request, data, order) if request else (data, Selection(config, NAMED))
        rule.check(selection)
        _check_folder(folder, selection.config, resume)
        _warn_unused(request.settings if request else requested, selection)
        best = _learned(data, selection, order)
    point_latest(folder)
    return best


@dataclass(frozen=True)
class _TrainingData:
    """The videos to train on, the ids of validation videos, and the findings of the reader.

    ``fold``: the data set's default fold, where no other was chosen.
    """

    root: str | Path
    videos: Sequence[Video]
    validation: tuple[str, ...]
    findings: list[diagnostics.Finding]
    fold: str

    @classmethod
    def of(cls, root: str | Path, config: ModelConfig, reader: DatasetReader, fold: str | None) -> _TrainingData:
        """Read and check the videos; DataError for labels or contents that don't allow training."""
        with diagnostics.listening() as findings:
            dataset = reader.load(Path(root))
            videos, validation = datasets.training_videos(dataset, fold)
            if validation:
                config.check_share(str(root))
            check_labels(videos)
            check_contents(videos)
            check_few(videos)
        diagnostics.raise_errors(findings, root)
        return cls(root, videos, validation, findings, dataset.default if fold is None else "")

    def report(self) -> None:
        """Log what is trained on."""
        anomalous = sum(video.label == 1 for video in self.videos)
        log.info("learning from %d videos of %s, %d anomalous", len(self.videos), self.root, anomalous)
        diagnostics.log_findings(self.findings, self.root)
        if self.fold:
            share = f", {len(self.validation)} of them to choose the model by" if self.validation else ""
            text = "fold %s: %d videos to train on%s; the others are left out (--fold all uses all)"
            log.info(text, self.fold, len(self.videos), share)


@dataclass(frozen=True)
class _Order:
    """How a run is made: arguments of `train`."""

    folder: Path
    device: str
    resume: bool
    check: bool
    rule: ThresholdRule
    quarantine: Quarantine
    quiet: bool


def _begun(request: Request, folder: Path, resume: bool) -> ModelConfig:
    """The configuration of a run whose method was chosen before, or that of the default method."""
    if resume and (folder / "config.yaml").exists():
        return request.config(str(read_yaml(folder / "config.yaml").get("method")))
    return request.usual


def _selected(request: Request, data: _TrainingData, order: _Order) -> tuple[_TrainingData, Selection]:
    """The readable training videos, and the method that they choose."""
    quarantine = order.quarantine
    selection = choosing.chosen(
        request, data.videos, device=order.device, file=order.folder / "selection.json", resume=order.resume,
        validation=data.validation, quarantine=quarantine, quiet=order.quiet,
    )  # fmt: skip
    if selection.trials and request.settings.get("method"):
        selection = replace(selection, reason=NAMED)
    log.info("method %s", selection.line)
    readable = [video for video in data.videos if quarantine.named(video.path) not in quarantine.reasons]
    return replace(data, videos=readable), selection


def _warn_unused(settings: Mapping[str, Any], selection: Selection) -> None:
    """Log settings without effect; those of candidates that were not chosen have one."""
    config = selection.config
    compared = {trial.name for trial in selection.trials}
    for name in sorted(set(settings) - set(config.plain()) - compared):
        log.warning("the settings of %s have no effect: %s on %s is trained", name, config.method, config.instances)


def _learned(data: _TrainingData, selection: Selection, order: _Order) -> Model:
    """Extract features, train, check and write the run folder; the model that validation chose."""
    config, folder, device = selection.config, order.folder, order.device
    quarantine, quiet = order.quarantine, order.quiet
    specs = config.training_specs(device)
    bags = loading.gathered(data.videos, specs, quarantine=quarantine, quiet=quiet)
    videos = [bag.video for bag in bags]
    frame_rates.warn_of_videos(videos, specs.values())
    check_labels(videos)
    if not (folder / "config.yaml").exists():
        write_yaml(folder / "config.yaml", config.plain())
    spec = settled(specs[config.scored], videos[0])  # so that detection runs what training used
    exact = replace(config, engine=spec.engine, precision=spec.precision)
    validation = _validating(videos, data.validation)
    distributed.tell((videos, specs, exact, folder, order.resume, validation))
    fitted = fit(bags, exact, folder=folder, device=device, resume=order.resume, quiet=quiet, validation=validation)
    origin = order.rule(fitted.best, selection)
    training_results.save(folder, fitted, videos)
    if (trial := selection.chosen) is not None:
        checked = sanity.of_peaks(bags, fitted.best, trial.peaks)
    else:
        checked = sanity.check(bags, fitted, exact, fitted.held_out, device, cross=order.check, quiet=quiet)
    training_results.write(folder, fitted, bags, selection, quarantine, checked, origin)
    log.info("trained %d steps; the score %.3f is the threshold", config.training.steps, fitted.best.threshold)
    return fitted.best


def load(run: str | Path = "runs/latest", which: str = "best", device: str = "auto", *, trust: bool = False) -> Model:
    """Open the model of a run folder.

    Args:
        run: the run folder, or the path of a weights file.
        which: best (by validation) or last checkpoint.
        device: auto, cpu or cuda.
        trust: run the code in the TorchScript file that the model names, if it names one.

    Returns:
        The model, ready for detection.

    Raises:
        StoreError: no model is there, or its file is damaged.
        ConfigError: the model needs ``trust``.
    """
    if not isinstance(run, str | Path):
        raise expected("run", "the path of a run folder", run)
    return Model.load(run, which, device, trust=trust)


def following(config: ModelConfig, data: str, folder: Path) -> str:
    """The command that comes next: a model of imported features can be evaluated only, if their backbone is unknown."""
    imported = config.settings.get("imported")
    if imported is not None and imported.backbone == "unknown":
        return f"wherewhen evaluate {data} --model {folder}"
    return f"wherewhen detect VIDEO --model {folder} --output found/"


def follow(device: str = "auto") -> None:
    """Train in a further process of distributed training, with the arguments of the first one; writes nothing."""
    arguments = distributed.tell(None)
    if arguments is not None:
        videos, views, config, folder, resume, validation = arguments
        device = pick_device(device)
        views = {name: replace(look, device=device) for name, look in views.items()}
        bags = loading.gathered(videos, views, quiet=True)
        fit(bags, config, folder=folder, device=device, resume=resume, validation=validation)


def _validating(videos: Sequence[Video], chosen: Sequence[str]) -> tuple[str, ...]:
    """Ids of the readable validation videos; none, with a warning, where a label is missing among them."""
    held = [video for video in videos if video.id in set(chosen)]
    if chosen and {video.label for video in held} != {0, 1}:
        log.warning("of the %d videos to validate on those of a label can't be read; others are drawn", len(chosen))
        return ()
    return tuple(video.id for video in held)


def _finished(folder: Path) -> bool:
    weights = folder / "weights"
    return (folder / "report.html").exists() and not (weights / "checkpoint.safetensors").exists()


def _check_folder(folder: Path, config: ModelConfig, resume: bool) -> None:
    """ConfigError where a run would be overwritten, or continued with other settings."""
    if not (folder / "config.yaml").exists():
        return
    if not resume:
        raise ConfigError(f"{folder}: holds a run already; add --resume to continue it, or choose another --output")
    before, now = flat(read_yaml(folder / "config.yaml")), flat(plain(config.plain()))
    other = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    if other:
        changes = ", ".join(f"{key} was {before.get(key)}, is {now.get(key)}" for key in other[:5])
        raise ConfigError(
            f"{folder}: started with other settings ({changes}); resume it with -c {folder / 'config.yaml'}, "
            "or choose another --output"
        )


def check_names(folder: Path, names: Sequence[str], before: Sequence[str]) -> None:
    """OutputError for a file that the toolkit did not write; ``before``: files of version 0.1, without manifest."""
    if not (folder / outputs.MANIFEST).exists():
        outputs.adopt(folder / name for name in before)
    outputs.check_folder(folder, names)

"""Learning from verdicts: a new model, which takes over only if it is better on verdicts that it did not learn from."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from wherewhen.api.logs import LOG, log_file
from wherewhen.api.runs import check_names, next_folder, point_latest
from wherewhen.api.training_data import training_data, training_videos
from wherewhen.api.training_results import save
from wherewhen.core import outputs
from wherewhen.core.calibration import calibrate
from wherewhen.core.config import write_yaml
from wherewhen.core.database import Tables
from wherewhen.core.errors import ConfigError, DataError, expected
from wherewhen.core.feature_file import content
from wherewhen.core.store import plain, write_json
from wherewhen.core.values import Bag, Video
from wherewhen.extraction import frame_rates, loading
from wherewhen.extraction.feature_cache import settled
from wherewhen.inference import alarms
from wherewhen.inference.exported import Exported
from wherewhen.inference.model import Model
from wherewhen.inference.model_config import ModelConfig
from wherewhen.inference.normal_time import NormalTime, rate
from wherewhen.review import runs
from wherewhen.review.audit import Misses, misses
from wherewhen.review.judged import Judged, database_of, judged_items
from wherewhen.training.fit import check_labels, fit
from wherewhen.training.out_of_fold import FOLDS, fold_scores, folds_of, platt_threshold
from wherewhen.training.selection import FEW
from wherewhen.training.verdicts import Read, WeakLabel, draws, read, weak_labels
from wherewhen.video.batch import Quarantine
from wherewhen.video.reader import Damaged

log = logging.getLogger("wherewhen")

RECORD = "learning.json"
WRITTEN = (
    RECORD, LOG, "data.json", "quarantine.json", "training.csv", "tensorboard",
    *(f"weights/{name}.safetensors" for name in ("best", "last", "checkpoint")),
)  # fmt: skip
"""Files that learning writes into its folder, besides its settings."""
CALIBRATED = ("alarm", "keep", "gap_seconds", "shortest_seconds", "cooldown_seconds")
"""Settings of a localizer that a calibration chooses for the scores of one model."""


@dataclass(frozen=True)
class HeldOut:
    """Verdicts that were not learned from: how many of the false and of the confirmed ones reach a model's alarm."""

    false_alarms: int
    false: int
    events_found: int
    confirmed: int

    @classmethod
    def of(cls, labels: Sequence[int], hits: Sequence[bool]) -> HeldOut:
        """The counts, from the label of each item and whether it reaches the alarm."""
        counts = Counter(zip(labels, hits, strict=True))
        return cls(counts[0, True], labels.count(0), counts[1, True], labels.count(1))


@dataclass(frozen=True)
class Comparison:
    """The model before (champion) and the new one (challenger) on the same held-out verdicts.

    ``lost``: ids of confirmed events that only the champion finds. ``threshold_from``: scores that chose the
    challenger's threshold. ``promoted``: whether it may take over; ``reason``: why, or why not.
    """

    champion: HeldOut
    challenger: HeldOut
    lost: tuple[str, ...]
    threshold_from: str
    promoted: bool
    reason: str

    @classmethod
    def of(cls, champion: Model, challenger: Model, items: Sequence[Read], threshold_from: str) -> Comparison:
        """Compare two models."""
        before, after = (_alarms(model, items) for model in (champion, challenger))
        lost = tuple(
            item.label.id
            for item, old, new in zip(items, before, after, strict=True)
            if item.label.label and old and not new
        )
        labels = [item.label.label for item in items]
        counts = HeldOut.of(labels, before), HeldOut.of(labels, after)
        reason = _refusal(*counts, lost, bool(threshold_from))
        fewer = (
            f"{counts[1].false_alarms} false alarms instead of {counts[0].false_alarms}, and no confirmed event lost"
        )
        return cls(*counts, lost, threshold_from, reason is None, reason or fewer)

    def lines(self) -> list[str]:
        """The table and the decision, for people."""
        rows = [("", "false alarms", "events found")]
        for name, counts in (("champion", self.champion), ("challenger", self.challenger)):
            of = f"{counts.false_alarms} of {counts.false}", f"{counts.events_found} of {counts.confirmed}"
            rows.append((name, *of))
        table = [f"{name:<12}{false:>14}{events:>16}".rstrip() for name, false, events in rows]
        return [*table, f"{'promoted' if self.promoted else 'not promoted'}: {self.reason}"]


def _refusal(before: HeldOut, after: HeldOut, lost: Sequence[str], calibrated: bool) -> str | None:
    """Why a challenger may not take over; None where it may."""
    if not before.false:
        return "none of the held-out verdicts is false, so it can't be compared; judge more alerts"
    if lost:
        return f"it loses {len(lost)} confirmed event{'s' * (len(lost) > 1)} ({', '.join(lost[:3])})"
    if after.false_alarms >= before.false_alarms:
        return f"its false alarms don't fall ({before.false_alarms} before, {after.false_alarms} after)"
    return None if calibrated else "its threshold was not chosen anew"


def _alarms(model: Model, items: Sequence[Read]) -> list[bool]:
    """Whether each item reaches a model's alarm."""
    peaks = np.array([item.peak(model) for item in items])
    return [bool(hit) for hit in calibrate(peaks, model.threshold) >= model.alarm]


@dataclass(frozen=True)
class Learned:
    """What `learn` leaves: the new model, its folder, the comparison, and ids of the items that it learned from.

    ``held_out``: ids of those that compared the models. ``audit``: how often clips without an alarm show an event, by
    verdicts on random ones.
    """

    model: Model
    folder: Path
    comparison: Comparison
    items: tuple[str, ...]
    held_out: tuple[str, ...]
    audit: Misses

    def lines(self) -> list[str]:
        """What was learned, and the comparison, for people."""
        lines = [f"learned from {len(self.items)} verdicts, {len(self.held_out)} held out"]
        if self.audit.audited:
            low, high = (f"{100 * share:.3g}" for share in (self.audit.low, self.audit.high))
            lines.append(
                f"audit: {self.audit.missed} of {self.audit.audited} random clips without an alarm show an event: "
                f"{low} to {high} % of all such clips (95 %)"
            )
        return [*lines, *self.comparison.lines()]


def learn(
    verdicts: str | Path | Sequence[Judged],
    model: str | Path = "runs/latest",
    output: str | Path | None = None,
    *,
    videos: str | Path | None = None,
    alarms_per_day: float | None = None,
    promote: bool = True,
    which: str = "best",
    device: str = "auto",
    trust: bool = False,
    damaged: Damaged = "keep",
    quiet: bool = False,
) -> Learned:
    """Train a model again on its training videos and on verdicts, and compare both on verdicts held out.

    Verdicts become weak labels (`wherewhen.training.verdicts`). Those of a fifth of all cameras and hours are held out.
    The threshold is from scores out of fold where there are 12 training videos of each label, else from training
    scores, as in `train`. The database gets a row of the new model; cameras that use the model before use the new one
    where it is promoted.

    Args:
        verdicts: ``review.db`` or ``live.db``, or the folder that holds it; or judged items.
        model: run folder of the model; of a store, the one that was promoted in its place is the champion.
        output: run folder to write; None: a new one below ``runs/``.
        videos: folder of the training videos, where it is another one now than the run recorded.
        alarms_per_day: wished number of false alarms a day on normal training videos, which chooses the threshold.
        promote: use the new model at once where the comparison permits it.
        which: best or last checkpoint of the champion.
        device: auto, cpu or cuda.
        trust: run the code in the TorchScript file that the model names, if it names one.
        damaged: keep uses a damaged video as far as it can be read; set-aside lists it in ``quarantine.json``.
        quiet: no progress bars.

    Returns:
        The challenger and how it compares.

    Raises:
        DataError: there are no verdicts to learn from, or the training videos are gone.
        ConfigError: the model can't be trained again, or ``output`` holds another run.
    """
    if not isinstance(model, str | Path):
        raise expected("model", "the path of a run folder", model)
    if alarms_per_day is not None:
        rate(alarms_per_day)
    order = _Order(Path(model), output, videos, alarms_per_day, which, device, trust, damaged, quiet)
    if not isinstance(verdicts, str | Path):
        learned = order(verdicts)
    else:
        items = judged_items(Path(verdicts))
        with Tables(database_of(Path(verdicts))) as tables:
            order = replace(order, run=runs.current(tables, model))
            learned = order(items)
            comparison = plain(asdict(learned.comparison))
            runs.record(tables, runs.sha_of(order.run), learned.folder, comparison, learned.items, time.time())
            if promote and learned.comparison.promoted:
                runs.promote(tables, str(learned.folder), time.time())
    if promote and learned.comparison.promoted:
        point_latest(learned.folder)
    return learned


@dataclass(frozen=True)
class _Order:
    """How a model learns: arguments of `learn`; ``run`` is the champion."""

    run: Path
    output: str | Path | None
    root: str | Path | None
    per_day: float | None
    which: str
    device: str
    trust: bool
    damaged: Damaged
    quiet: bool

    def __call__(self, verdicts: Sequence[Judged]) -> Learned:
        """Train the challenger, compare it, and write its run folder."""
        run = self.run
        champion = Model.load(run, self.which, self.device, trust=self.trust)
        _check_trainable(champion)
        labels = weak_labels(verdicts)
        _check_verdicts(verdicts, labels)
        record, root = training_data(run, self.root)
        videos, validation = training_videos(record, root, champion.trained_on)
        check_labels(videos)
        folder = Path(self.output) if self.output else next_folder("runs", "learn")
        if (folder / "config.yaml").exists():
            raise ConfigError(f"{folder}: holds a run already; choose another --output")
        check_names(folder, WRITTEN, ())
        paths = {video.path for video in videos} | {label.path for label in labels}
        with outputs.reading(paths), log_file(folder):
            quarantine = Quarantine(folder, self.damaged)
            outputs.remove(quarantine.file)
            log.info("learning from %d verdicts and %d training videos of %s", len(labels), len(videos), root)
            trainer = _Trainer(folder, champion, uncalibrated(champion.config), self.per_day, quarantine, self.quiet)
            challenger, items, threshold_from = trainer(videos, labels, validation)
            held = [item for item in items if item.label.held_out]
            comparison = Comparison.of(champion, challenger, held, threshold_from)
            used = tuple(item.label.id for item in items if not item.label.held_out)
            replayed = tuple(sorted({content(video.path) for video in videos}))
            data_record = record.moved(run, folder) if self.root is None else record.at(root, folder)
            replace(data_record, videos=replayed).write(folder)
            audit = misses(item.verdict for item in verdicts if item.source == "audit")
            learned = Learned(challenger, folder, comparison, used, tuple(item.label.id for item in held), audit)
            _write(learned, run, verdicts)
            for line in learned.lines():
                log.info("%s", line)
        return learned


@dataclass(frozen=True)
class _Trainer:
    """Trains a challenger: run folder, champion, settings, and what chooses the threshold."""

    folder: Path
    champion: Model
    config: ModelConfig
    per_day: float | None
    quarantine: Quarantine
    quiet: bool

    def __call__(
        self, videos: Sequence[Video], labels: Sequence[WeakLabel], validation: Sequence[str]
    ) -> tuple[Model, Sequence[Read], str]:
        """The challenger, the verdicts that could be read, and the scores that its threshold is from.

        ``validation``: ids of the videos that validate, where the data set defines them.
        """
        device = self.champion.device
        specs = self.config.training_specs(device)
        old = loading.gathered(videos, specs, quarantine=self.quarantine, quiet=self.quiet)
        check_labels([bag.video for bag in old])
        frame_rates.warn_of_videos([bag.video for bag in old], specs.values())
        items = read(labels, specs, quarantine=self.quarantine, quiet=self.quiet)
        fresh = [item for item in items if not item.label.held_out]
        if not fresh:
            raise DataError(f"no verdict can be read; the reasons are in {self.quarantine.file}")
        spec = settled(specs[self.config.scored], old[0].video)
        exact = replace(self.config, engine=spec.engine, precision=spec.precision)
        write_yaml(self.folder / "config.yaml", self.config.plain())
        often = draws([item.label for item in fresh], sum(bag.video.label == 0 for bag in old))
        bags = [*old, *(item.bag for item in fresh)]
        fitted = fit(
            bags, exact, folder=self.folder, device=device, quiet=self.quiet, validation=validation, draws=often
        )
        origin = self._choose_threshold(fitted.best, bags, exact, often)
        save(self.folder, fitted, [bag.video for bag in bags])
        (self.folder / "weights" / "checkpoint.safetensors").unlink(missing_ok=True)
        return fitted.best, items, origin

    def _choose_threshold(self, model: Model, bags: Sequence[Bag], config: ModelConfig, often: dict[str, float]) -> str:
        """Choose the threshold of a model by scores out of fold, where there are enough videos; their name."""
        videos = [bag.video for bag in bags]
        old = [video for video in videos if video.id not in often]
        few = min(sum(video.label == label for video in old) for label in (0, 1))
        if few < FEW or len({video.path for video in old}) < FOLDS:
            if self.per_day is not None:
                raise DataError(f"alarms per day need {FEW} training videos of each label; leave them out")
            return "training scores"
        places = folds_of(videos, FOLDS, config.seed)
        device = self.champion.device
        folds = [fold_scores(bags, places, n, config, device=device, draws=often) for n in range(FOLDS)]
        maxima = np.array([value for fold in folds for value in fold.maxima])
        model.normal_time = NormalTime(maxima, sum(fold.hours for fold in folds))
        if self.per_day is not None:
            if (caution := model.normal_time.caution(self.per_day)) is not None:
                log.warning(caution)
            model.threshold = model.normal_time.level(self.per_day)
            return f"{self.per_day:g} alarms a day of normal video, out of fold"
        peaks = {name: peak for fold in folds for name, peak in fold.peaks.items()}
        threshold = platt_threshold([peaks[video.id] for video in videos], [video.label or 0 for video in videos])
        if threshold is None:
            log.warning("scores out of fold don't separate the labels: the threshold is that of the training scores")
            return "training scores"
        model.threshold = threshold
        return "scores out of fold (Platt)"


def _check_trainable(model: Model) -> None:
    """ConfigError for a model that can't be trained again."""
    if isinstance(model.method, Exported):
        raise ConfigError("learn: an exported run can't learn; use the run that it was exported from, then export that")
    if model.adaptation is not None:
        raise ConfigError(
            "learn: this model was adapted to a camera, which new weights would undo; learn from the run that it was "
            "adapted from, then adapt the result: wherewhen adapt --model NEW --footage FOOTAGE"
        )


def _check_verdicts(verdicts: Collection[Judged], labels: Sequence[WeakLabel]) -> None:
    """DataError where there is nothing to learn from."""
    if not labels:
        raise DataError(
            f"there are no verdicts to learn from ({len(verdicts)} judged, all unsure)" if verdicts
            else "there are no verdicts yet; judge alerts first: wherewhen review"
        )  # fmt: skip
    if all(label.held_out for label in labels):
        raise DataError(
            f"all {len(labels)} verdicts are of hours that are held out to compare models; judge alerts of other hours"
        )


def uncalibrated(config: ModelConfig) -> ModelConfig:
    """Settings without those of alarms that a calibration chose for other scores."""
    usual = type(config.settings[config.localizer])()
    changes = {name: getattr(usual, name) for name in CALIBRATED}
    changed = alarms.tuned(config.localizer, config.settings[config.localizer], changes)
    return replace(config, settings={**config.settings, config.localizer: changed})


def _write(learned: Learned, champion: Path, verdicts: Sequence[Judged]) -> None:
    """Write the record of what was learned."""
    record = {
        "champion": str(champion),
        "verdicts": dict(Counter(item.verdict for item in verdicts)),
        "learned": learned.items,
        "held_out": learned.held_out,
        "threshold": learned.model.threshold,
        "comparison": plain(asdict(learned.comparison)),
        "audit": asdict(learned.audit),
    }
    write_json(learned.folder / RECORD, record)

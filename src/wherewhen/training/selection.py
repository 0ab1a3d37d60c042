"""The choice of a method by cross-validation over training videos alone (``--method auto``)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wherewhen.core import registry
from wherewhen.core.config import build, typed
from wherewhen.core.documents import read_json
from wherewhen.core.errors import ConfigError, DataError, StoreError, WherewhenError, first_line, unknown
from wherewhen.core.progress import track
from wherewhen.core.store import fingerprint, write_json
from wherewhen.core.values import Bag, Video
from wherewhen.extraction import track_cache
from wherewhen.inference.model_config import DEFAULTS, ModelConfig
from wherewhen.training.clock import Clock
from wherewhen.training.comparison import Ranking, ranking
from wherewhen.training.fit import batches_of
from wherewhen.training.loop import OutOfTime
from wherewhen.training.out_of_fold import FOLDS, FoldScores, fold_scores, folds_of
from wherewhen.training.trials import DROPPED, Trial, Trials, beats_chance, tied

log = logging.getLogger("wherewhen")

AUTO = "auto"
USUAL = DEFAULTS["method"]
FEW = 12  # with fewer videos of either label, or fewer files than folds, no method is chosen by data
LATE = "not compared"
NAMED = "named in the settings"
LABELS = ("normal", "anomalous")

BagsOf = Callable[[ModelConfig], Sequence[Bag]]


@dataclass(frozen=True)
class AutoConfig:
    """Settings of the choice of a method by cross-validation over the training videos.

    Args:
        minutes: time for all trainings together, without that of other programs on the same cores; methods for which it
            doesn't suffice are not compared.
        candidates: names of methods to compare, separated by commas; default: all that fit the backbone and need no
            tracked objects.
    """

    minutes: float = 10.0
    candidates: str | None = None

    def __post_init__(self) -> None:
        if not self.minutes > 0:
            raise ConfigError(f"auto: minutes must be above 0, got {self.minutes}")
        for name in self.names:
            if name not in registry.names("methods"):
                raise ConfigError(unknown("method", name, registry.names("methods")))

    @property
    def names(self) -> list[str]:
        """The candidates, where they are named."""
        return [name.strip() for name in self.candidates.split(",")] if self.candidates else []


@dataclass(frozen=True)
class Request:
    """Settings of a model without its method, and how to choose that; ``candidates`` by name, ``unfit``: why not."""

    auto: AutoConfig
    settings: Mapping[str, Any]
    candidates: Mapping[str, ModelConfig]
    unfit: Mapping[str, str]
    usual: ModelConfig
    trust: bool = False

    @classmethod
    def of(cls, settings: Mapping[str, Any], *, trust: bool = False) -> Request | None:
        """The request in plain settings of a model; None where they name a method. ConfigError for a wrong setting."""
        if (method := typed(str, settings.get("method", AUTO), "method")) != AUTO:
            if AUTO in settings:
                raise ConfigError(f"auto: its settings have no effect with the method {method}; leave one out")
            return None
        auto = build(AutoConfig, settings.get(AUTO), AUTO)
        rest = {name: value for name, value in settings.items() if name not in ("method", AUTO)}
        candidates: dict[str, ModelConfig] = {}
        unfit: dict[str, str] = {}
        for name in auto.names or registry.names("methods"):
            try:
                config = ModelConfig.of({**rest, "method": name}, trust=trust)
            except ConfigError as error:
                if auto.candidates or name == USUAL:
                    raise
                unfit[name] = first_line(error)
                continue
            reason = None if auto.candidates else _unfit(config)
            if reason is None:
                candidates[name] = config
            else:
                unfit[name] = reason
        usual = USUAL if USUAL in candidates or not candidates else next(iter(candidates))
        return cls(auto, rest, candidates, unfit, ModelConfig.of({**rest, "method": usual}, trust=trust), trust)

    @classmethod
    def single(cls, config: ModelConfig, settings: Mapping[str, Any]) -> Request:
        """A request for the scores of one configuration, however long they take; ``settings``: its plain settings."""
        auto = AutoConfig(minutes=float("inf"), candidates=config.method)
        return cls(auto, settings, {config.method: config}, {}, config, config.trusted)

    def config(self, method: str) -> ModelConfig:
        """The configuration with this method, a candidate or not."""
        return self.candidates.get(method) or ModelConfig.of({**self.settings, "method": method}, trust=self.trust)

    def too_few(self, videos: Sequence[Video]) -> str | None:
        """Why these videos can't choose a method; None where they can."""
        for label, word in enumerate(LABELS):
            count = sum(video.label == label for video in videos)
            files = len({video.path for video in videos if video.label == label})
            if count < FEW or files < FOLDS:
                return f"{count} {word} training videos of {files} files are too few to compare methods (needed: {FEW})"
        return None


def _unfit(config: ModelConfig) -> str | None:
    """Why a method is no candidate unless it is named; None where it is one."""
    if track_cache.track_sources(config.builders()):
        return "scores tracked objects; name it in auto.candidates to compare it"
    if config.tells_classes and not config.reads:
        return f"learns from texts, and the backbone {config.backbone} encodes none"
    return None


@dataclass(frozen=True)
class Selection:
    """The chosen configuration with the trials that led to it, the cheapest first, and the reason in words.

    ``labels`` and ``folds`` of the videos, by id. No trials where there were too few videos.
    """

    config: ModelConfig
    reason: str
    trials: Sequence[Trial] = ()
    labels: Mapping[str, int] = field(default_factory=dict)
    folds: Mapping[str, int] = field(default_factory=dict)

    @property
    def chosen(self) -> Trial | None:
        """The trial of the chosen method; None without trials."""
        return next((trial for trial in self.trials if trial.name == self.config.method and not trial.note), None)

    def ranking(self, trial: Trial) -> Ranking:
        """How well the peaks of a trial rank the videos of each fold."""
        return ranking(trial.peaks, self.labels, self.folds)

    @property
    def line(self) -> str:
        """The choice in one line."""
        return f"{self.config.method}: {self.reason}"

    def plain(self) -> dict[str, Any]:
        """What ``metrics.json`` and ``bench.json`` hold."""
        rows = [
            {"method": trial.name, "vauc": None if trial.note else self.ranking(trial).auc, "seconds": trial.seconds,
             "note": trial.note, "chosen": trial is self.chosen}
            for trial in self.trials
        ]  # fmt: skip
        counts = {name: list(self.labels.values()).count(label) for label, name in enumerate(LABELS)}
        return {"method": self.config.method, "reason": self.reason, "videos": counts, "candidates": rows}


def select(
    request: Request,
    bags_of: BagsOf,
    *,
    device: str = "auto",
    file: Path | None = None,
    resume: bool = False,
    validation: Collection[str] = (),
    quiet: bool = False,
) -> Selection:
    """Compare the candidates by cross-validation over training bags and choose one.

    The criterion is the AUC of the highest raw frame scores of videos, each by a model that was not trained on its
    fold. All candidates score the first fold, the cheapest first; after a fold those in the lower half are dropped,
    and the best go on first. Of candidates whose AUC is within one standard error of the best one's, the first one in
    order is chosen: the usual method, then the others by cost. The usual method is chosen where none beats chance.

    Args:
        request: candidates and time.
        bags_of: gives the training bags for a configuration, the same videos for each.
        device: auto, cpu or cuda.
        file: written after each training; None: nothing is written.
        resume: continue with the trainings in ``file``; there may be more time and other candidates than before.
        validation: ids of the videos to validate on, where the data set defines them.
        quiet: no progress bar.

    Raises:
        StoreError: ``file`` is of other data or settings.
        DataError: no candidate could be trained.
    """
    bags: Mapping[str, Sequence[Bag]] = {}
    trials, notes = [], dict(request.unfit)
    for name, config in request.candidates.items():
        try:
            bags = {**bags, name: bags_of(config)}
            trials.append(Trial(name, cost(config, bags[name][0])))
        except WherewhenError as error:
            if request.auto.candidates:
                raise
            notes[name] = first_line(error)
    if not trials:
        raise DataError(f"no method fits these features: {'; '.join(f'{k}: {v}' for k, v in notes.items())}")
    trials.sort(key=lambda trial: (trial.name != request.usual.method, trial.cost))
    videos = [bag.video for bag in bags[trials[0].name]]
    fold = folds_of(videos, FOLDS, request.usual.seed)
    state = _State(file, _key(request, videos, fold, validation), trials)
    if resume:
        state.read()
    labels = {video.id: int(video.label or 0) for video in videos}
    race = Trials(trials, labels, dict(zip(labels, fold, strict=True)))
    for trial, number in track(race.turns(), "comparing methods", len(trials) * FOLDS, quiet=quiet):
        left = 60 * request.auto.minutes - sum(trial.seconds for trial in trials)
        left -= race.reserved() if number == 0 else 0.0
        clock = Clock()
        try:
            if left <= 0:
                raise OutOfTime
            trial.folds.append(
                fold_scores(bags[trial.name], fold, number, request.candidates[trial.name], device=device,
                            validation=validation, limit=left)
            )  # fmt: skip
        except OutOfTime:
            trial.note = f"{LATE}: more than the {request.auto.minutes:g} minutes of --auto.minutes"
        except WherewhenError as error:
            trial.note = f"failed: {first_line(error)}"
        trial.wasted += clock.seconds if trial.note else 0.0
        state.write()
    unfit = [Trial(name, float("inf"), note=note) for name, note in notes.items()]
    return _choose(request, [*trials, *unfit], race)


def _choose(request: Request, trials: Sequence[Trial], race: Trials) -> Selection:
    """The first candidate that the videos can't tell from the best one."""
    ranks = race.ranks(FOLDS)
    if not ranks:
        reason = f"no comparison of methods ended in {request.auto.minutes:g} minutes; it is the default"
        return Selection(request.usual, reason, trials, race.labels, race.folds)
    best = max(ranks, key=lambda name: ranks[name].auc)
    if not beats_chance(ranks[best]):
        reason = f"no method ranks the training videos better than chance (best: {best}, AUC {ranks[best].auc:.3f})"
        return Selection(request.usual, f"{reason}; it is the default", trials, race.labels, race.folds)
    name = next(trial.name for trial in trials if trial.name in ranks and tied(ranks[best], ranks[trial.name]))
    reason = f"AUC {ranks[name].auc:.3f} of {len(race.labels)} training videos, out of fold"
    if name != best:
        reason += f"; {best} has {ranks[best].auc:.3f}, which is within one standard error"
    dropped, skipped = (sum(trial.note.startswith(start) for trial in trials) for start in (DROPPED, LATE))
    reason += f"; {len(ranks)} methods compared"
    reason += f", {dropped} dropped before the last fold" if dropped else ""
    reason += f", {skipped} left out for time (--auto.minutes)" if skipped else ""
    return Selection(request.candidates[name], reason, trials, race.labels, race.folds)


def cost(config: ModelConfig, bag: Bag) -> float:
    """Multiply-adds of all steps of a training, from a forward pass of a bag; it doesn't depend on the machine.

    The bag is as short as training makes it.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    ((views, _),) = batches_of([bag], [bag], [0], config, "cpu")
    method = config.student({name: int(bag.views[name].features.shape[1]) for name in config.views}).eval()
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        method(views)
    return float(counter.get_total_flops() * config.training.steps * config.training.bags)


def _key(request: Request, videos: Sequence[Video], fold: Sequence[int], validation: Collection[str]) -> str:
    """A fingerprint of what scores depend on beside the method: settings, videos with labels, and folds."""
    return fingerprint([request.settings, [(v.id, v.label, v.span) for v in videos], fold, sorted(validation)])


@dataclass(frozen=True)
class _State:
    """The finished trainings of a comparison, in a file."""

    file: Path | None
    key: str
    trials: Sequence[Trial]

    def write(self) -> None:
        """Write what is finished, in one go."""
        if self.file is not None:
            trials = {
                trial.name: {"folds": trial.folds, "note": trial.note, "wasted": trial.wasted} for trial in self.trials
            }
            write_json(self.file, {"key": self.key, "trials": trials})

    def read(self) -> None:
        """Take over the trainings in the file, if there is one; StoreError for one of other data or settings."""
        if self.file is None or not self.file.exists():
            return
        stored = read_json(self.file, StoreError)
        try:
            if stored["key"] != self.key:
                raise StoreError(f"{self.file}: the comparison was started with other data or settings; remove it")
            for trial in self.trials:
                values = stored["trials"].get(trial.name, {"folds": [], "note": "", "wasted": 0.0})
                trial.folds = [FoldScores.of(entry) for entry in values["folds"]]
                trial.note, trial.wasted = str(values["note"]), float(values["wasted"])
                if trial.note.startswith((LATE, DROPPED)):  # the time may be longer now, and candidates others
                    trial.note = ""
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StoreError(f"{self.file}: no comparison of methods ({first_line(error)}); remove it") from None

"""One training of a benchmark and its evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from wherewhen import datasets
from wherewhen.api import choosing
from wherewhen.api.thresholds import ThresholdRule
from wherewhen.core.store import plain
from wherewhen.core.values import Bag, Truth, Video
from wherewhen.datasets import Folders
from wherewhen.evaluation.evaluator import (
    Numbers,
    Scored,
    detect_bags,
    feature_specs,
    measure,
    normalized,
    reads_places,
    trivial_numbers,
    trivial_rows,
)
from wherewhen.evaluation.measurable import EvaluationSet, evaluation_set, measurable
from wherewhen.extraction import loading
from wherewhen.inference.model import Model
from wherewhen.inference.model_config import ModelConfig
from wherewhen.training.fit import fit
from wherewhen.training.selection import AUTO, Request, Selection

LAST, ORACLE = " (last)", " (test oracle)"
CHOSEN_BY = {"frame": "frame_auc", "video": "vauc"}  # metrics by which the test oracle selects the checkpoint


class Results(NamedTuple):
    """What a job gives: numbers by name of the row, and how its training videos chose the method, if they did."""

    rows: dict[str, Numbers]
    choice: dict[str, Any] | None = None


@dataclass(frozen=True)
class Job:
    """One training and its evaluation: data sets, configuration and metric families.

    ``fold``: number of the fold, None for all labelled videos. ``test``: another data set to evaluate on, None for the
    test part of the fold. ``auto``: settings of a request that lets the training videos choose the method; ``config``
    is then that of the default method. ``device``: cpu or cuda. ``oracle``: metric by which the test videos would
    select a checkpoint, empty for no such row; None: the AUC over frames, else over videos. ``resume``: an interrupted
    training continues from its last validation.
    """

    root: str
    reader: str | None
    fold: int | None
    test: str | None
    config: Mapping[str, Any]
    families: tuple[str, ...]
    trivial: bool
    folders: Folders | None = None
    trust: bool = False
    auto: Mapping[str, Any] | None = None
    device: str = "cpu"
    oracle: str | None = None
    resume: bool = False

    @property
    def method(self) -> str:
        """Name of the method in the table."""
        return AUTO if self.auto is not None else str(self.config["method"])

    def chosen(self, train: Sequence[Video]) -> Selection | None:
        """The method that the training videos alone choose; None where it is named."""
        request = None if self.auto is None else Request.of(self.auto, trust=self.trust)
        if request is None:
            return None
        return choosing.chosen(request, train, device="cpu", validation=self.validation(), quiet=True)

    def validation(self) -> tuple[str, ...]:
        """Ids of the validation videos among the training videos, where the data set defines them."""
        if self.fold is None:
            return ()
        return (
            datasets.reader_of(self.root, self.reader, self.folders).load(Path(self.root)).folds[self.fold].validation
        )

    def videos(self) -> tuple[Sequence[Video], EvaluationSet]:
        """Training videos, and the test videos that can be evaluated with their ground truth."""
        reader = datasets.reader_of(self.root, self.reader, self.folders)
        dataset = reader.load(Path(self.root))
        labelled = [v for v in dataset.videos if v.label is not None]
        train = labelled if self.fold is None else dataset.folds[self.fold].train
        if self.test is not None:
            other = datasets.reader_of(self.test)
            return train, evaluation_set(other.load(Path(self.test)).videos, other.truth(Path(self.test)), self.test)
        assert self.fold is not None
        return train, evaluation_set(dataset.folds[self.fold].test, reader.truth(Path(self.root)), self.root)

    def run(self, folder: Path | None = None) -> Results:
        """Train and evaluate; ``folder``: an interrupted training is continued there.

        The row of a method is the checkpoint selected by its validation videos. The last checkpoint, and the one that
        the test videos would select, have separate rows: the difference is the effect of selection on test data.
        """
        import torch

        torch.set_num_threads(1)
        train, test = self.videos()
        selection = self.chosen(train)
        config = selection.config if selection else ModelConfig.of(self.config, trust=self.trust)
        test_specs = feature_specs(config.feature_specs())
        learned = list(loading.bags(train, config.training_specs(), workers=1, quiet=True))
        raw = list(loading.bags(test.videos, test_specs, workers=1, quiet=True))
        truths = test.truths_of(raw, config.scored)
        ready: list[Bag] = []  # normalizers are the same at every checkpoint

        def predicted(model: Model, families: Sequence[str]) -> Scored:
            if not ready:
                ready.extend(normalized(model, raw))
            return detect_bags(model, ready, reads_places(families))

        families, metric = self._selecting(truths)
        fitted = fit(
            learned, config, device=self.device, validation=self.validation(), folder=folder, resume=folder is not None,
            judge=(lambda model: measure(predicted(model, families), truths, families)[metric]) if metric else None,
        )  # fmt: skip
        results, measured = dict[str, Numbers](), dict[int, Numbers]()
        models = {"": fitted.best, LAST: fitted.last, **({ORACLE: fitted.judged} if fitted.judged else {})}
        for suffix, model in models.items():
            if id(model) not in measured:
                if selection:
                    ThresholdRule()(model, selection)
                measured[id(model)] = measure(predicted(model, self.families), truths, self.families)
            results[self.method + suffix] = measured[id(model)]
        for name in trivial_rows(fitted.best, ready) if self.trivial else ():
            results[name] = trivial_numbers(name, fitted.best, ready, truths, self.families)
        return Results(results, plain(selection.plain()) if selection else None)

    def _selecting(self, truths: Mapping[str, Truth]) -> tuple[Sequence[str], str]:
        """The metric by which the test videos would select a checkpoint, and its families; empty for none."""
        if self.oracle is not None:
            return self.families, self.oracle
        families = measurable(tuple(CHOSEN_BY), truths.values()).families[:1]
        return families, CHOSEN_BY[families[0]] if families else ""

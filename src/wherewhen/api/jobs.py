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
from wherewhen.core.values import Video
from wherewhen.datasets import Folders
from wherewhen.evaluation.evaluator import (
    Numbers,
    detect_bags,
    feature_specs,
    measure,
    normalized,
    trivial_numbers,
    trivial_rows,
)
from wherewhen.evaluation.measurable import EvaluationSet, evaluation_set, measurable
from wherewhen.extraction import loading
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
    select a checkpoint, empty for no such row; None: the AUC over frames, else over videos.
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

    def run(self) -> Results:
        """Train and evaluate.

        The row of a method is the checkpoint selected by its validation videos. The last checkpoint, and the one that
        the test videos would select, have separate rows: the difference is the effect of selection on test data.
        """
        import torch

        torch.set_num_threads(1)
        train, test = self.videos()
        selection = self.chosen(train)
        config = selection.config if selection else ModelConfig.of(self.config, trust=self.trust)
        specs = config.feature_specs()
        test_specs = feature_specs(specs)
        learned = list(loading.bags(train, config.training_specs(), workers=1, quiet=True))
        fitted = fit(
            learned, config, device=self.device, keep_checkpoints=self.oracle != "", validation=self.validation()
        )
        bags = normalized(fitted.best, loading.bags(test.videos, test_specs, workers=1, quiet=True))
        truths = test.truths_of(bags, config.scored)
        models = {id(model): model for model in (*fitted.checkpoints, fitted.last, fitted.best)}
        if selection:
            for model in models.values():
                ThresholdRule()(model, selection)
        predictions = {key: detect_bags(model, bags) for key, model in models.items()}
        chosen = {"": id(fitted.best), LAST: id(fitted.last)}
        by = measurable(tuple(CHOSEN_BY), truths.values()).families[:1] if self.oracle is None else self.families
        if by and self.oracle != "":
            metric = self.oracle or CHOSEN_BY[by[0]]
            ranks = {key: measure(values, truths, by)[metric] for key, values in predictions.items()}
            chosen[ORACLE] = max(ranks, key=lambda key: ranks[key])
        numbers = {key: measure(predictions[key], truths, self.families) for key in set(chosen.values())}
        results = {self.method + suffix: numbers[key] for suffix, key in chosen.items()}
        for name in trivial_rows(fitted.best, bags) if self.trivial else ():
            results[name] = trivial_numbers(name, fitted.best, bags, truths, self.families)
        return Results(results, plain(selection.plain()) if selection else None)

"""Models on cameras that they were not trained on, before and after adaptation, beside the trivial rows.

    python benchmarks/adapt.py DATA                    # a data set with cameras and the fold unseen (toy --cameras 12)
    python benchmarks/adapt.py TARGET --source SOURCE  # train on one data set, adapt to and test on another

Each method is trained once, on the training videos of the fold or on all labelled videos of SOURCE; ``auto`` is the
method that these choose, whose table of candidates is printed too. With cameras, every
second normal test clip of a camera is footage, and the other clips of that camera are its test; with a SOURCE, footage
is the normal training videos of a fold of TARGET, and the test is that of the fold. The trivial rows see the same
footage. Mean and deviation over cameras or folds.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is loaded

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from wherewhen import datasets
from wherewhen.api import choosing
from wherewhen.core.errors import DataError
from wherewhen.core.values import Dataset, Truth, Video
from wherewhen.evaluation import choices
from wherewhen.evaluation.evaluator import Numbers, detect_bags, feature_specs, measure, normalized, trivial_numbers
from wherewhen.evaluation.measurable import evaluation_set
from wherewhen.extraction import loading
from wherewhen.inference.model import Model
from wherewhen.inference.model_config import ModelConfig
from wherewhen.training.adapting import adapted
from wherewhen.training.fit import fit
from wherewhen.training.selection import AUTO, Request

FAMILIES = ("frame", "pointing")
METRICS = ("frame_auc", "frame_auc_anomalous", "pointing_hit")
TRIVIAL = ("motion_only", "normality_knn", "mean_prior", "central_box", "chance")
UNSEEN = "unseen"


class Case(NamedTuple):
    """A camera or fold: its name, unlabelled footage, and test videos."""

    name: str
    footage: Sequence[Video]
    test: Sequence[Video]


def by_camera(videos: Sequence[Video]) -> Iterator[Case]:
    """A case per camera of these test videos."""
    for camera in sorted({video.camera for video in videos if video.camera is not None}):
        clips = [video for video in videos if video.camera == camera]
        footage = [video for video in clips if video.label == 0][::2]
        yield Case(str(camera), footage, [video for video in clips if video not in footage])


def by_fold(target: Dataset) -> Iterator[Case]:
    """A case per fold of a data set."""
    for fold in target.folds:
        yield Case(fold.name, [video for video in fold.train if video.label == 0], fold.test)


def experiment(root: Path, source: Path | None) -> tuple[list[Video], list[Case]]:
    """The training videos, and the cases."""
    target = datasets.reader_of(root).load(root)
    if source is not None:
        labelled = datasets.reader_of(source).load(source).videos
        return [video for video in labelled if video.label is not None], list(by_fold(target))
    fold = next((fold for fold in target.folds if fold.name == UNSEEN), None)
    if fold is None:
        raise DataError(f"{root}: has no fold {UNSEEN}; name a --source, or draw cameras with toy --cameras 12")
    return list(fold.train), list(by_camera(fold.test))


def numbers_of(model: Model, case: Case, truths: Mapping[str, Truth], root: Path, rows: Sequence[str]) -> list[Numbers]:
    """The numbers of a model and of trivial rows, which compare with the model's bank, on the test of a case."""
    test = evaluation_set(case.test, truths, str(root))
    specs = feature_specs(model.config.feature_specs("cpu"))
    bags = normalized(model, loading.bags(test.videos, specs, workers=1, quiet=True))
    judged = test.truths_of(bags, model.config.scored)
    trivial = [trivial_numbers(name, model, bags, judged, FAMILIES) for name in rows]
    return [measure(detect_bags(model, bags), judged, FAMILIES), *trivial]


def config_of(method: str, training: Sequence[Video], minutes: float) -> ModelConfig:
    """The configuration with this method, or with the one that the training videos choose in so many minutes."""
    settings = {"auto": {"minutes": minutes}} if method == AUTO else {}
    request = Request.of({"method": method, **settings})
    if request is None:
        return ModelConfig.of({"method": method})
    selection = choosing.chosen(request, training, device="cpu", quiet=True)
    print(choices.markdown(selection.plain()), flush=True)
    return selection.config


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--source", type=Path)
    parser.add_argument("--methods", default="cuboid_mil,wherewhen,pooled")
    parser.add_argument("--minutes", type=float, default=10.0, help="for the comparison of methods by auto")
    parser.add_argument("--alarms-per-day", type=float, default=100.0)
    options = parser.parse_args()
    truths = datasets.reader_of(options.data).truth(options.data)
    training, cases = experiment(options.data, options.source)
    table: dict[str, list[Numbers]] = {}
    for number, method in enumerate(options.methods.split(",")):
        config = config_of(method, training, options.minutes)
        specs = config.feature_specs("cpu")
        model = fit(loading.gathered(training, specs, quiet=True), config, device="cpu").best
        rows = TRIVIAL if number == 0 else ()
        for case in cases:
            footage = list(loading.bags(case.footage, specs, workers=1, quiet=True))
            result = adapted(model, footage, options.alarms_per_day).model
            before = numbers_of(model, case, truths, options.data, ())
            after = numbers_of(result, case, truths, options.data, rows)
            names = (method, f"{method}, adapted", *rows)
            for name, values in zip(names, [*before, *after], strict=True):
                table.setdefault(name, []).append(values)
    print(f"\n{options.data.name}: {', '.join(case.name for case in cases)}\n")
    print("| row |", " | ".join(METRICS), "|\n|---|" + "---:|" * len(METRICS))
    for name, numbers in table.items():
        print(f"| {name} |", " | ".join(_cell([values.get(metric) for values in numbers]) for metric in METRICS), "|")


def _cell(values: Sequence[float | None]) -> str:
    """Mean and deviation of the defined values."""
    defined = np.array([value for value in values if value is not None and np.isfinite(value)])
    if not len(defined):
        return ""
    spread = f" ± {defined.std(ddof=1):.3f}" if len(defined) > 1 else ""
    return f"{defined.mean():.3f}{spread}".replace("0.", ".")


if __name__ == "__main__":
    main()

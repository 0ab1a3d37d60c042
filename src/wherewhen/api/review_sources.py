"""What is reviewed: results of detection, a running store, videos with a model, moments of a search, labels."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from wherewhen.api import detection, runs
from wherewhen.api.ids import base_of
from wherewhen.api.results import StoredResult, all_of, read
from wherewhen.core.database import OF_REVIEW, OF_STORE
from wherewhen.core.errors import ConfigError, StoreError
from wherewhen.core.printable import original
from wherewhen.inference.model import Model
from wherewhen.review.building import ReviewedVideo, Span, build, spans_of, with_heat
from wherewhen.review.opened import Review
from wherewhen.video import sources

log = logging.getLogger("wherewhen")


def opened(folder: Path, model: str | None = None) -> Review:
    """The review of a store of ``watch``, or of the results that ``detect`` wrote to a folder, which become its items.

    Results that came since the last time are added; verdicts stay.

    Args:
        folder: that of the store, or of the results.
        model: run folder of the model that learns from the verdicts, where it is known.

    Raises:
        ConfigError: the folder holds neither.
        StoreError: a database of a newer version.
    """
    if (folder / OF_STORE).is_file():
        review = Review(folder / OF_STORE, is_live=True)
    else:
        review = Review(folder / OF_REVIEW)
        videos = [] if review.origin else [reviewed(folder, result) for result in _results(folder)]
        if videos:
            build(review.file, videos)
        elif not review.file.is_file():
            raise ConfigError(
                f"{folder}: nothing to review there; expected a folder that wherewhen detect or watch wrote, or videos "
                "and --model RUN"
            )
    if model is not None:
        review.name_model(Path(model))
    review.expire()
    return review


def written(folder: Path, videos: Sequence[ReviewedVideo], origin: str, keep: bool = False) -> Review:
    """A review in a folder, with the spans of some videos as items; `opened` opens it again.

    Args:
        folder: of the database, which may exist.
        videos: with the spans that are shown.
        origin: source of all items, label or search.
        keep: items that wait for a verdict stay also where they are not among these.

    Raises:
        ConfigError: the folder holds another review.
    """
    check_origin(folder, origin)
    review = Review(folder / OF_REVIEW)
    build(review.file, videos, audits=False, keep=keep)
    review.name_origin(origin)
    return review


def check_origin(folder: Path, origin: str) -> None:
    """ConfigError where a folder holds a review with items of another source, or a store."""
    review = Review(folder / OF_REVIEW)
    if (folder / OF_STORE).exists() or (review.file.exists() and review.origin != origin):
        raise ConfigError(f"{folder}: holds another review; choose another --review")


def _results(folder: Path) -> list[StoredResult]:
    """The results of each video, complete ones first; unreadable ones are left out with a warning."""
    by_id: dict[str, StoredResult] = {}
    for path in all_of(folder):
        try:
            result = read(path)
        except StoreError as error:
            log.warning("left out of the review: %s", error)
            continue
        if result is not None:
            by_id.setdefault(result.about.id, result)
    return [by_id[id] for id in sorted(by_id)]


def reviewed(folder: Path, result: StoredResult, shown: Sequence[Span] | None = None) -> ReviewedVideo:
    """A video as review has it, from its results in a folder, with its spans: those of its scores, or others."""
    about, heat, clock = result.about, result.prediction.frames, result.clock
    path = None if about.folder is None else folder / original(about.folder) / original(about.file)
    scores = np.asarray(heat.values, np.float64)[:, 0, 0] if heat is not None else np.empty(0)
    edges = heat.edges if heat is not None else np.empty(0)
    rate = (len(clock) - 1) / max(float(clock[-1] - clock[0]), 1e-9)
    listed = spans_of(result.prediction.events, edges, scores, about.alarm) if shown is None else shown
    spans = with_heat(listed, result.maps)
    return ReviewedVideo(
        about.id, path, float(clock[-1]), (about.width, about.height), rate, about.alarm, edges, scores, spans
    )


def detected(source: str, run: str, output: str | None, device: str, quiet: bool) -> Path:
    """Detect in videos with a trained model, or resume it; the folder of the results.

    Args:
        source: file, folder or glob.
        run: run folder of the model.
        output: folder to write; None: a new one below ``runs``.
        device: auto, cpu or cuda.
        quiet: no progress bars.
    """
    folder = Path(output) if output else runs.next_folder("runs", "review")
    model = Model.load(run, "best", device)
    paths = sources.expand(source)
    detection.detect(model, paths, folder, render=False, resume=True, base=base_of(source), quiet=quiet)
    return folder

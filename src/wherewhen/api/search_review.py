"""Moments of a search by text as items of a review."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from wherewhen.api import review_sources
from wherewhen.core.errors import ConfigError
from wherewhen.core.extents import WHOLE_PICTURE
from wherewhen.review.building import ReviewedVideo, Span
from wherewhen.review.judged import SEARCH
from wherewhen.text.search import Moment
from wherewhen.text.search_thumbnails import files_of
from wherewhen.text.spatial import stretched
from wherewhen.video import reader


def review_moments(moments: Sequence[Moment], videos: Path, folder: Path) -> list[str]:
    """Write a review of moments; those of earlier searches in the same folder stay.

    Args:
        moments: of a search, with cosines as scores.
        videos: folder of the videos.
        folder: of the review.

    Returns:
        The videos that are not in their folder.

    Raises:
        ConfigError: none of them is there, or the folder holds another review.
        VideoError: one of them can't be read.
    """
    review_sources.check_origin(folder, SEARCH)
    paths = files_of(moments, videos)
    if moments and not paths:
        raise ConfigError(f"{videos}: holds none of the videos of these moments, such as {moments[0].video}")
    reviewed = [
        _reviewed(video, path, [_span(moment) for moment in moments if moment.video == video])
        for video, path in paths.items()
    ]
    review_sources.written(folder, reviewed, SEARCH, keep=True)
    return list(dict.fromkeys(moment.video for moment in moments if moment.video not in paths))


def _span(moment: Moment) -> Span:
    box = None if moment.box == tuple(WHOLE_PICTURE) else moment.box
    return Span(moment.start, moment.end, float(np.clip(moment.score, 0, 1)), SEARCH, box, heat=stretched(moment.heat))


def _reviewed(video: str, path: Path, spans: Sequence[Span]) -> ReviewedVideo:
    with reader.reading(path) as source:
        info, edges = source.info, source.whole()
    none, size = np.empty(0), (info.width, info.height)
    return ReviewedVideo(video, path, float(edges[-1]), size, info.rate, 0.0, none, none, tuple(spans))

"""Warning about videos with too few pictures per second to measure motion, once per run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from wherewhen.core.contracts import Backbone
from wherewhen.core.errors import StoreError, VideoError
from wherewhen.core.feature_file import FeatureFile
from wherewhen.core.values import Floats, Video
from wherewhen.extraction.extractor import FeatureSpec
from wherewhen.extraction.feature_cache import file_of

log = logging.getLogger("wherewhen")

SHARE = 0.5  # of the backbone's rate; measured down to 0.4, see docs/backbones.md


def rate_of(clock: Floats) -> float:
    """Pictures per second of a video with these frame edges; 0 for a single picture, which has no rate.

    >>> import numpy as np
    >>> rate_of(np.array([0.0, 0.5, 1.0]))
    2.0
    """
    seconds = float(clock[-1] - clock[0])
    return (len(clock) - 1) / seconds if len(clock) > 2 and seconds > 0 else 0.0


def note(rates: Iterable[float], required: float | None) -> str | None:
    """A warning about videos with these frame rates; None where all are high enough for the ``required`` rate.

    A rate of 0 is unknown.

    >>> note([25, 12.0], 12.5), note([25, 5, 4.0], 12.5)  # doctest: +ELLIPSIS
    (None, '2 of 3 videos have less than 6.25 pictures a second (4 to 5): motion ...')
    """
    every = list(rates)
    few = sorted(rate for rate in every if required is not None and 0 < rate < SHARE * required)
    if not few or required is None:
        return None
    low, high = f"{few[0]:.3g}", f"{few[-1]:.3g}"
    span = low if low == high else f"{low} to {high}"
    return (
        f"{len(few)} of {len(every)} video{'s'[: len(every) > 1]} ha{'ve' if len(few) > 1 else 's'} less than "
        f"{SHARE * required:.3g} pictures a second ({span}): motion in them is measured per second, but events shorter "
        f"than {2 / few[0]:.2g} s can be missed"
    )


def warn_of_edges(clocks: Iterable[Floats], backbone: Backbone) -> None:
    """Warn of low frame rates of videos with these frame edges, for a backbone that measures speed."""
    if backbone.abilities.takes_seconds:
        _warn(map(rate_of, clocks), backbone.clip.rate)


def warn_of_videos(
    videos: Iterable[Video], specs: Iterable[FeatureSpec], opened: Callable[[Video, FeatureSpec], FeatureFile] = file_of
) -> None:
    """Warn of low frame rates of videos, from the files of their features, which ``opened`` opens."""
    spec, all_videos = next((item for item in specs if item.timed), None), list(videos)
    if spec is None or not all_videos:
        return
    rates = []
    for video in all_videos:
        try:
            rates.append(rate_of(opened(video, spec).clock))
        except (StoreError, VideoError):  # such as in a cache that can't be written to
            rates.append(0.0)
    _warn(rates, spec.opened(all_videos[0]).backbone.clip.rate)


def _warn(rates: Iterable[float], required: float | None) -> None:
    if (message := note(rates, required)) is not None:
        log.warning("%s", message)

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

SHARE = 0.5  # of the rate that a backbone wants; measured down to 0.4, see docs/backbones.md


def rate_of(clock: Floats) -> float:
    """Pictures a second of a video with these borders of its frames; 0 for a single picture, which has no rate.

    >>> import numpy as np
    >>> rate_of(np.array([0.0, 0.5, 1.0]))
    2.0
    """
    seconds = float(clock[-1] - clock[0])
    return (len(clock) - 1) / seconds if len(clock) > 2 and seconds > 0 else 0.0


def note(rates: Iterable[float], wanted: float | None) -> str | None:
    """A warning about videos with these pictures per second each; None where all have enough of those ``wanted``.

    A rate of 0 is unknown.

    >>> note([25, 12.0], 12.5), note([25, 5, 4.0], 12.5)  # doctest: +ELLIPSIS
    (None, '2 of 3 videos have less than 6.25 pictures a second (4 to 5): motion ...')
    """
    every = list(rates)
    few = sorted(rate for rate in every if wanted is not None and 0 < rate < SHARE * wanted)
    if not few or wanted is None:
        return None
    low, high = f"{few[0]:.3g}", f"{few[-1]:.3g}"
    span = low if low == high else f"{low} to {high}"
    return (
        f"{len(few)} of {len(every)} video{'s'[: len(every) > 1]} ha{'ve' if len(few) > 1 else 's'} less than "
        f"{SHARE * wanted:.3g} pictures a second ({span}): motion in them is measured per second, but events shorter "
        f"than {2 / few[0]:.2g} s can be missed"
    )


def tell_found(clocks: Iterable[Floats], backbone: Backbone) -> None:
    """Warn of videos of low frame rate with these frame edges, for a backbone that measures speed."""
    if backbone.abilities.takes_seconds:
        _tell(map(rate_of, clocks), backbone.clip.rate)


def tell_seen(
    videos: Iterable[Video], looks: Iterable[FeatureSpec], opened: Callable[[Video, FeatureSpec], FeatureFile] = file_of
) -> None:
    """The same of videos that looks saw, by the files of their features, which ``opened`` opens."""
    look, known = next((one for one in looks if one.timed), None), list(videos)
    if look is None or not known:
        return
    rates = []
    for video in known:
        try:
            rates.append(rate_of(opened(video, look).clock))
        except (StoreError, VideoError):  # such as in a cache that can't be written to
            rates.append(0.0)
    _tell(rates, look.opened(known[0]).backbone.clip.rate)


def _tell(rates: Iterable[float], wanted: float | None) -> None:
    if (told := note(rates, wanted)) is not None:
        log.warning("%s", told)

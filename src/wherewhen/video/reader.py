"""Frames of any source with exact times: the one way in which pictures enter the toolkit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np

from wherewhen.errors import VideoError
from wherewhen.values import Floats, Frame
from wherewhen.video.clock import thinned
from wherewhen.video.shot import Reel, Shot, VideoInfo
from wherewhen.video.sources import Source, address, shown

__all__ = ["VideoInfo", "edges", "frames", "probe"]

PICTURE_RATE = 25.0


def frames(
    source: Source,
    *,
    span: tuple[float, float] | None = None,
    rate: float | None = None,
    width: int | None = None,
    picture_rate: float | None = None,
) -> Iterator[Frame]:
    """Frames of a file, folder of pictures, camera or address, one by one, in RGB and upright.

    ``span``: only frames that start in ``[t0, t1)`` seconds; the same ones, with the same times and numbers, as
    without it. ``rate``: at most this many frames per second, by leaving some out; none is ever doubled.
    ``width``: larger pictures are shrunk to it, aspect kept. ``picture_rate``: pictures per second of a folder of
    pictures (default 25). A frame ends where the next one given starts, the last one after its nominal duration.

    Raises VideoError, after the frames that could be read, if the video is missing, damaged or cut short.

    >>> list(frames("no.mp4"))
    Traceback (most recent call last):
    wherewhen.errors.VideoError: no.mp4: there is no such file or folder
    """
    if span is not None and not 0 <= span[0] < span[1]:
        raise ValueError(f"span: expected a rising pair of seconds, got {span}")
    for name, value in (("rate", rate), ("width", width), ("picture_rate", picture_rate)):
        if value is not None and not value > 0:
            raise ValueError(f"{name}: expected a number above 0, got {value}")
    return _frames(source, span, rate, width, picture_rate)


def probe(source: Source, *, picture_rate: float | None = None) -> VideoInfo:
    """Size, rate, length and coding of a video from its head; raises VideoError as ``frames`` does."""
    with closing(_opened(source, picture_rate)) as reel:
        return reel.info()


def edges(source: Source, *, picture_rate: float | None = None) -> Floats:
    """The F + 1 borders in seconds of a video's F frames: what ``frames`` gives, mostly without decoding."""
    with closing(_opened(source, picture_rate)) as reel:
        starts = list(reel.starts())
        return np.array([*starts, starts[-1] + reel.step])


def _opened(source: Source, picture_rate: float | None) -> Reel:
    # PyAV and OpenCV are loaded here, when a video is opened, not when this module is
    if not address(source) and Path(source).is_dir():
        from wherewhen.video.album import Album

        return Album(Path(source), picture_rate or PICTURE_RATE)
    from wherewhen.video.film import Film

    return Film(source)


def _frames(
    source: Source,
    span: tuple[float, float] | None,
    rate: float | None,
    width: int | None,
    picture_rate: float | None,
) -> Iterator[Frame]:
    since, until = span or (0.0, float("inf"))
    with closing(_opened(source, picture_rate)) as reel:
        convert = reel.converter(width)
        shots = reel.shots(since)
        marked = ((shot, True) for shot in shots) if rate is None else thinned(shots, rate, reel.step, reel.tick)
        for shot, end in _ended(marked, reel.step, since, until, shown(source)):
            yield Frame(convert(shot.picture, f"frame {shot.index}"), shot.index, shot.start, end)


def _ended(
    marked: Iterator[tuple[Shot, bool]], step: float, since: float, until: float, name: str
) -> Iterator[tuple[Shot, float]]:
    """Kept shots that start in ``[since, until)``, each with its end: one shot of look-ahead."""
    held, last, trouble = None, None, None
    try:
        for shot, kept in marked:
            last = shot.start
            if not kept:
                continue
            if held is not None:
                yield held, shot.start
            if shot.start >= until:
                return
            held = shot if shot.start >= since else None
    except VideoError as error:
        trouble = error
    if held is not None and last is not None:
        yield held, last + step
    if trouble is not None:
        raise trouble
    if last is not None and last < since:
        raise VideoError(name, f"the video ends at {last + step:.3f} s, before the asked span begins ({since:.3f} s)")

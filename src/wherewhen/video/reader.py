"""Frames of any source with exact times: the one way in which pictures enter the toolkit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from heapq import merge
from itertools import tee
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np

from wherewhen.errors import VideoError
from wherewhen.features import is_features
from wherewhen.values import Floats, Frame, Pixels
from wherewhen.video.clock import thinned
from wherewhen.video.shot import Converter, Reel, Shot, VideoInfo
from wherewhen.video.sources import Source, address, shown

__all__ = ["Spent", "VideoInfo", "Want", "decoder", "edges", "frames", "probe", "several"]

PICTURE_RATE = 25.0
KEPT = 64  # pictures that wait for a slower taker who wants the same size


class Want(NamedTuple):
    """Which frames somebody wants: see `frames`."""

    rate: float | None = None
    width: int | None = None
    size: tuple[int, int] | None = None


class Spent:
    """Seconds of the clock that reading took, and pictures decoded."""

    decode = 0.0
    resize = 0.0
    pictures = 0


def frames(
    source: Source,
    *,
    span: tuple[float, float] | None = None,
    rate: float | None = None,
    width: int | None = None,
    size: tuple[int, int] | None = None,
    picture_rate: float | None = None,
) -> Iterator[Frame]:
    """Frames of a file, folder of pictures, camera or address, one by one, in RGB and upright.

    ``span``: only frames that start in ``[t0, t1)`` seconds; the same ones, with the same times and numbers, as
    without it. ``rate``: at most this many frames per second, by leaving some out; none is ever doubled.
    ``width``: larger pictures are shrunk to it, aspect kept. ``size``: instead, every picture becomes exactly
    ``(height, width)``: shrinking averages over areas, enlarging is bilinear. ``picture_rate``: pictures per
    second of a folder of pictures (default 25). A frame ends where the next one given starts, the last one after its
    nominal duration.

    Raises VideoError, after the frames that could be read, if the video is missing, damaged or cut short.

    >>> list(frames("no.mp4"))
    Traceback (most recent call last):
    wherewhen.errors.VideoError: no.mp4: there is no such file or folder
    """
    return (frame for _, frame in several(source, [Want(rate, width, size)], span=span, picture_rate=picture_rate))


def several(
    source: Source,
    wants: Sequence[Want],
    *,
    span: tuple[float, float] | None = None,
    picture_rate: float | None = None,
    spent: Spent | None = None,
) -> Iterator[tuple[int, Frame]]:
    """Frames for several takers who want other rates or sizes, each with its taker's number, in order of start.

    Decoded once; a picture that several want in one size is resized once and shared. Each taker gets what `frames`
    would give.
    """
    if span is not None and not 0 <= span[0] < span[1]:
        raise ValueError(f"span: expected a rising pair of seconds, got {span}")
    for want in wants:
        sides = want.size or (None, None)
        asked = (("rate", want.rate), ("width", want.width), ("size", sides[0]), ("size", sides[1]))
        for name, value in (*asked, ("picture_rate", picture_rate)):
            if value is not None and not value > 0:
                raise ValueError(f"{name}: expected a number above 0, got {value}")
    return _several(source, wants, span, picture_rate, spent or Spent())


def probe(source: Source, *, picture_rate: float | None = None) -> VideoInfo:
    """Size, rate, length and coding of a video from its head; raises VideoError as ``frames`` does."""
    with closing(_opened(source, picture_rate)) as reel:
        return reel.info()


def edges(source: Source, *, picture_rate: float | None = None) -> Floats:
    """The F + 1 borders in seconds of a video's F frames: what ``frames`` gives, mostly without decoding."""
    with closing(_opened(source, picture_rate)) as reel:
        starts = list(reel.starts())
        return np.array([*starts, starts[-1] + reel.step])


def decoder() -> str:
    """What decodes here, with its versions."""
    import av

    codec = ".".join(map(str, av.library_versions["libavcodec"]))
    return f"PyAV {av.__version__}, libavcodec {codec}"


def _opened(source: Source, picture_rate: float | None) -> Reel:
    # PyAV and OpenCV are loaded here, when a video is opened, not when this module is
    if not address(source) and Path(source).is_dir():
        from wherewhen.video.album import Album

        return Album(Path(source), picture_rate or PICTURE_RATE)
    if not address(source) and is_features(source):
        from wherewhen.video.trace import Trace

        return Trace(Path(source))
    from wherewhen.video.film import Film

    return Film(source)


def _several(
    source: Source,
    wants: Sequence[Want],
    span: tuple[float, float] | None,
    picture_rate: float | None,
    spent: Spent,
) -> Iterator[tuple[int, Frame]]:
    since, until = span or (0.0, float("inf"))
    with closing(_opened(source, picture_rate)) as reel:
        shots = _timed(reel.shots(since), spent)
        sizes = [want[1:] for want in wants]
        converters = {size: _Sized(reel.converter(*size), sizes.count(size), spent) for size in sizes}

        def taken(number: int, want: Want, own: Iterator[Shot]) -> Iterator[tuple[int, Frame]]:
            marked = ((s, True) for s in own) if want.rate is None else thinned(own, want.rate, reel.step, reel.tick)
            for shot, end in _ended(marked, reel.step, since, until, shown(source)):
                yield number, Frame(converters[want[1:]](shot), shot.index, shot.start, end)

        copies = tee(shots, len(wants)) if len(wants) > 1 else (shots,)
        takers = [taken(k, want, own) for k, (want, own) in enumerate(zip(wants, copies, strict=True))]
        yield from takers[0] if len(takers) == 1 else merge(*takers, key=lambda pair: pair[1].start)


def _timed(shots: Iterator[Shot], spent: Spent) -> Iterator[Shot]:
    while True:
        began = perf_counter()
        shot = next(shots, None)
        spent.decode += perf_counter() - began
        if shot is None:
            return
        spent.pictures += 1
        yield shot


class _Sized:
    """Pictures of one size, each made once for all who want it."""

    def __init__(self, convert: Converter, takers: int, spent: Spent) -> None:
        self._convert, self._takers, self._spent = convert, takers, spent
        self._made: dict[int, Pixels] = {}

    def __call__(self, shot: Shot) -> Pixels:
        if shot.index in self._made:
            return self._made[shot.index]
        began = perf_counter()
        made = self._convert(shot.picture, f"frame {shot.index}")
        self._spent.resize += perf_counter() - began
        if self._takers > 1:
            made.flags.writeable = False
            self._made[shot.index] = made
            if len(self._made) > KEPT:
                del self._made[next(iter(self._made))]
        return made


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

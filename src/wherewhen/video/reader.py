"""Frames of any source with exact times: the one way in which pictures enter the toolkit."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import tee
from pathlib import Path
from time import perf_counter
from typing import Literal, NamedTuple, Self

import numpy as np

from wherewhen.errors import VideoError
from wherewhen.features import is_features
from wherewhen.values import Floats, Frame, Pictures, Pixels
from wherewhen.video.clock import thinned
from wherewhen.video.shot import Converter, Reel, Shot, VideoInfo
from wherewhen.video.sources import Given, Source, is_live, parsed, shown

__all__ = [
    "Damaged", "Reading", "Spent", "VideoInfo", "Want", "decoder", "edges", "frames", "picture", "probe", "reading",
    "several",
]  # fmt: skip

Damaged = Literal["keep", "set-aside"]

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


class Reading:
    """A source that is opened once: its pictures, their times, and what is wrong with it; see `reading`.

    A file can be read several times, a camera or stream once. Closing it while another thread reads is not allowed.
    """

    def __init__(self, source: Source, damaged: Damaged, picture_rate: float | None) -> None:
        self.source, self.damaged = source, damaged
        self._picture_rate, self._live = picture_rate, is_live(source)
        self._reel = self._opened()
        self._info: VideoInfo | None = None
        self._starts = array("d")
        self._passes, self._complete = 0, False
        self._damage: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the source."""
        self._reel.close()

    @property
    def info(self) -> VideoInfo:
        """Size, rate, length and coding from the head of the source and its first picture; VideoError without one."""
        if self._info is None:
            self._info = self._reel.info()
        return self._info

    @property
    def edges(self) -> Floats:
        """The F + 1 borders in seconds of the F pictures decoded so far, at the source's own rate."""
        return np.array([*self._starts, self._starts[-1] + self._reel.step] if self._starts else [0.0])

    @property
    def damage(self) -> str | None:
        """Why less came than the container promised, or how a live stream ended, as far as was read; else None."""
        return self._damage or self._reel.damage

    def whole(self) -> Floats:
        """The borders of all pictures: those decoded if reading came to the end, else mostly without decoding."""
        if self._complete or self._live:
            return self.edges
        self._rewind()
        starts = list(self._reel.starts())
        return np.array([*starts, starts[-1] + self._reel.step])

    def frames(
        self,
        *,
        span: tuple[float, float] | None = None,
        rate: float | None = None,
        width: int | None = None,
        size: tuple[int, int] | None = None,
    ) -> Iterator[Frame]:
        """Frames one by one, as the function `frames` gives them."""
        return (frame for _, frame in self.several([Want(rate, width, size)], span))

    def picture(self, time: float, *, width: int | None = None) -> Frame:
        """The frame that is shown at a moment in seconds; before the first and after the last one, the nearest."""
        self._rewind()
        held, end = None, None
        for shot in self._reel.shots(max(time, 0.0)):
            if held is not None and shot.start > time:
                end = shot.start
                break
            held = shot
        if held is None:
            raise VideoError(shown(self.source), "has no picture that can be read")
        image = self._reel.converter(width)(held.picture, f"frame {held.index}")
        return Frame(image, held.index, held.start, held.start + self._reel.step if end is None else end)

    def several(
        self, wants: Sequence[Want], span: tuple[float, float] | None = None, spent: Spent | None = None
    ) -> Iterator[tuple[int, Frame]]:
        """Frames for several takers, as the function `several` gives them."""
        _check(wants, span)
        return self._several(wants, span or (0.0, float("inf")), spent or Spent())

    def _opened(self) -> Reel:
        return _opened(self.source, self._picture_rate, self.damaged == "set-aside")

    def _rewind(self) -> None:
        """Be ready for the next pass."""
        if self._passes:
            if self._live:
                raise VideoError(self.source, "a camera or stream can be read only once")
            self._damage = self.damage
            self._reel.close()
            self._reel = self._opened()
        self._passes += 1

    def _noted(self, shots: Iterator[Shot]) -> Iterator[Shot]:
        for shot in shots:
            if shot.index == len(self._starts):
                self._starts.append(shot.start)
            yield shot
        self._complete = len(self._starts) > 0

    def _several(self, wants: Sequence[Want], span: tuple[float, float], spent: Spent) -> Iterator[tuple[int, Frame]]:
        since, until = span
        self._rewind()
        reel = self._reel
        shots = _timed(self._noted(reel.shots(since)), spent)
        sizes = [want[1:] for want in wants]
        converters = {size: _Sized(reel.converter(*size), sizes.count(size), spent) for size in sizes}

        def taken(number: int, want: Want, own: Iterator[Shot]) -> Iterator[tuple[int, Frame]]:
            marked = ((s, True) for s in own) if want.rate is None else thinned(own, want.rate, reel.step, reel.tick)
            for shot, end in _ended(marked, reel.step, since, until, shown(self.source)):
                yield number, Frame(converters[want[1:]](shot), shot.index, shot.start, end)

        copies = tee(shots, len(wants)) if len(wants) > 1 else (shots,)
        takers = [taken(k, want, own) for k, (want, own) in enumerate(zip(wants, copies, strict=True))]
        yield from takers[0] if len(takers) == 1 else merge(*takers, key=lambda pair: pair[1].start)


def reading(source: Given, *, damaged: Damaged = "keep", picture_rate: float | None = None) -> Reading:
    """Open a file, folder of pictures, camera or address once, for its pictures and all that is to know of it.

    ``damaged``: what becomes of a recording that can't be read as a whole. ``keep``: it is read as far as that goes,
    and `Reading.damage` says what is missing; ``set-aside``: VideoError, after the frames that could be read. A source
    without one picture that can be read is always a VideoError. ``picture_rate``: as in `frames`.

    >>> with reading("no.mp4") as one:
    ...     one.info
    Traceback (most recent call last):
    wherewhen.errors.VideoError: no.mp4: there is no such file or folder
    """
    if damaged not in ("keep", "set-aside"):
        raise ValueError(f"damaged: expected keep or set-aside, got {damaged!r}")
    if picture_rate is not None and not picture_rate > 0:
        raise ValueError(f"picture_rate: expected a number above 0, got {picture_rate}")
    return Reading(parsed(source), damaged, picture_rate)


def frames(
    source: Given,
    *,
    span: tuple[float, float] | None = None,
    rate: float | None = None,
    width: int | None = None,
    size: tuple[int, int] | None = None,
    picture_rate: float | None = None,
    damaged: Damaged = "set-aside",
) -> Iterator[Frame]:
    """Frames of a file, folder of pictures, camera or address, one by one, in RGB and upright.

    ``span``: only frames that start in ``[t0, t1)`` seconds; the same ones, with the same times and numbers, as
    without it. ``rate``: at most this many frames per second, by leaving some out; none is ever doubled.
    ``width``: larger pictures are shrunk to it, aspect kept. ``size``: instead, every picture becomes exactly
    ``(height, width)``: shrinking averages over areas, enlarging is bilinear. ``picture_rate``: pictures per
    second of a folder of pictures (default 25). A frame ends where the next one given starts, the last one after its
    nominal duration.

    Raises VideoError, after the frames that could be read, if the video is missing, damaged or cut short; with
    ``damaged="keep"`` only if it has none.

    >>> list(frames("no.mp4"))
    Traceback (most recent call last):
    wherewhen.errors.VideoError: no.mp4: there is no such file or folder
    """
    wants = [Want(rate, width, size)]
    return (frame for _, frame in several(source, wants, span=span, picture_rate=picture_rate, damaged=damaged))


def picture(source: Source, time: float, *, width: int | None = None) -> Frame:
    """The frame of a source that is shown at a moment in seconds, the nearest one outside of its time.

    VideoError without one that can be read.
    """
    with reading(source) as one:
        return one.picture(time, width=width)


def several(
    source: Given,
    wants: Sequence[Want],
    *,
    span: tuple[float, float] | None = None,
    picture_rate: float | None = None,
    spent: Spent | None = None,
    damaged: Damaged = "set-aside",
) -> Iterator[tuple[int, Frame]]:
    """Frames for several takers who want other rates or sizes, each with its taker's number, in order of start.

    Decoded once; a picture that several want in one size is resized once and shared. Each taker gets what `frames`
    would give.
    """
    _check(wants, span, picture_rate)
    return _several(source, wants, span, picture_rate, spent, damaged)


def probe(source: Given, *, picture_rate: float | None = None) -> VideoInfo:
    """Size, rate, length and coding of a video from its head; raises VideoError as ``frames`` does."""
    with reading(source, damaged="set-aside", picture_rate=picture_rate) as one:
        return one.info


def edges(source: Given, *, picture_rate: float | None = None) -> Floats:
    """The F + 1 borders in seconds of a video's F frames: what ``frames`` gives, mostly without decoding."""
    with reading(source, damaged="set-aside", picture_rate=picture_rate) as one:
        return one.whole()


def decoder() -> str:
    """What decodes here, with its versions."""
    import av

    codec = ".".join(map(str, av.library_versions["libavcodec"]))
    return f"PyAV {av.__version__}, libavcodec {codec}"


def _check(wants: Sequence[Want], span: tuple[float, float] | None, picture_rate: float | None = None) -> None:
    if span is not None and not 0 <= span[0] < span[1]:
        raise ValueError(f"span: expected a rising pair of seconds, got {span}")
    for want in wants:
        sides = want.size or (None, None)
        asked = (("rate", want.rate), ("width", want.width), ("size", sides[0]), ("size", sides[1]))
        for name, value in (*asked, ("picture_rate", picture_rate)):
            if value is not None and not value > 0:
                raise ValueError(f"{name}: expected a number above 0, got {value}")


def _several(
    source: Given,
    wants: Sequence[Want],
    span: tuple[float, float] | None,
    picture_rate: float | None,
    spent: Spent | None,
    damaged: Damaged,
) -> Iterator[tuple[int, Frame]]:
    with reading(source, damaged=damaged, picture_rate=picture_rate) as one:
        yield from one.several(wants, span, spent)


def _opened(source: Source, picture_rate: float | None, strict: bool) -> Reel:
    # PyAV and OpenCV are loaded here, when a video is opened, not when this module is
    if isinstance(source, Pictures):
        from wherewhen.video.pictures import PicturesReel

        return PicturesReel(source)
    if isinstance(source, Path) and source.is_dir():
        from wherewhen.video.album import Album

        return Album(source, picture_rate or PICTURE_RATE, strict)
    if isinstance(source, Path) and is_features(source):
        from wherewhen.video.trace import Trace

        return Trace(source)
    from wherewhen.video.film import Film

    return Film(source, strict)


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

"""Frames of any source with exact times: the only reader of pictures."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self, get_args

import numpy as np

from wherewhen.core.errors import ConfigError, VideoError
from wherewhen.core.feature_file import is_features
from wherewhen.core.values import Floats, Frame, Pictures
from wherewhen.video.guard import guarded
from wherewhen.video.shot import Reel, Shot, VideoInfo
from wherewhen.video.sources import PICTURE_SUFFIXES, USUAL, Access, Source, SourceLike, is_live, parsed, shown
from wherewhen.video.taking import Spent, Taking, Want

if TYPE_CHECKING:
    from wherewhen.video.packets import Packets

__all__ = [
    "Damaged", "Reading", "Spent", "VideoInfo", "Want", "decoder", "edges", "frames", "picture", "policy", "probe",
    "reading", "several",
]  # fmt: skip

Damaged = Literal["keep", "set-aside"]

PICTURE_RATE = 25.0


class Reading:
    """A source that is opened once: its pictures, their times, and its damage; see `reading`.

    A file can be read several times, a camera or stream once. Closing it while another thread reads is not allowed.
    ``ring`` gets the packets of a video; ``access``: how a camera or stream is read; ``whole``: as of `reading`.
    """

    def __init__(
        self, source: Source, damaged: Damaged, picture_rate: float | None, ring: Packets | None = None,
        access: Access = USUAL, whole: bool = False,
    ) -> None:  # fmt: skip
        self._access = access
        self._decodes_all = whole or damaged == "set-aside"
        self.source, self.damaged, self._ring = source, damaged, ring
        self._picture_rate, self._live = picture_rate, is_live(source)
        self._reel = self._opened()
        self._info: VideoInfo | None = None
        self._starts = array("d")
        self._passes, self._complete = 0, False
        self._damage: str | None = None
        self._stopped: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the source."""
        self._reel.close()

    @property
    def info(self) -> VideoInfo:
        """Size, rate, length and coding from the head of the source and its first picture; VideoError without one."""
        if self._info is None:
            with guarded(shown(self.source)):
                self._info = self._reel.info()
        return self._info

    @property
    def edges(self) -> Floats:
        """The F + 1 borders in seconds of the F pictures decoded so far, at the source's own rate."""
        return np.array([*self._starts, self._starts[-1] + self._reel.step] if self._starts else [0.0])

    def since(self, number: int) -> list[float]:
        """When pictures decoded so far begin, from picture ``number`` on, in seconds."""
        return self._starts[number:].tolist()

    def stop(self, cause: str) -> None:
        """End the source at its next picture, as if there were no more; `damage` is the cause then."""
        self._stopped = cause

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped is not None

    @property
    def damage(self) -> str | None:
        """Why less was read than the container declares, or how a live stream ended, so far; else None."""
        return self._damage or self._reel.damage

    @property
    def device(self) -> str:
        """The device that decodes, empty for the processor: certain once there is a picture."""
        return self._reel.device

    def whole(self) -> Floats:
        """The borders of all pictures: those decoded if reading reached the end, else mostly without decoding."""
        if self._complete or self._live:
            return self.edges
        self._rewind()
        with guarded(shown(self.source)):
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
        """Frames one by one, as the function `frames`."""
        return (frame for _, frame in self.several([Want(rate, width, size)], span))

    def picture(self, time: float, *, width: int | None = None) -> Frame:
        """The frame that is shown at a moment in seconds; before the first and after the last one, the nearest."""
        self._rewind()
        convert = self._reel.converter(width)
        shown_shot, end = None, None
        for shot in self._noted(self._reel.shots(max(time, 0.0)), whole=False):
            if shown_shot is not None and shot.start > time:
                end = shot.start
                break
            shown_shot = shot
        if shown_shot is None:
            raise VideoError(shown(self.source), "has no picture that can be read")
        with guarded(shown(self.source)):
            image = convert(shown_shot.picture, f"frame {shown_shot.index}")
        return Frame(
            image, shown_shot.index, shown_shot.start, shown_shot.start + self._reel.step if end is None else end
        )

    def several(
        self, wants: Sequence[Want], span: tuple[float, float] | None = None, spent: Spent | None = None
    ) -> Iterator[tuple[int, Frame]]:
        """Frames for several consumers, as the function `several`."""
        _check(wants, span)
        return self._several(wants, span or (0.0, float("inf")), spent or Spent())

    def _opened(self) -> Reel:
        with guarded(shown(self.source)):
            return _opened(self.source, self._picture_rate, self.damaged == "set-aside", self._ring, self._access)

    def _rewind(self) -> None:
        """Prepare the next pass."""
        if self._passes:
            if self._live:
                raise VideoError(self.source, "a camera or stream can be read only once")
            self._damage = self.damage
            self._reel.close()
            self._reel = self._opened()
        self._passes += 1

    def _noted(self, shots: Iterator[Shot], whole: bool) -> Iterator[Shot]:
        """The same shots; they end after a break that is kept, and those of a whole pass set the edges."""
        if whole:
            self._starts = array("d")
        has_yielded = False
        try:
            with guarded(shown(self.source)):
                for shot in shots:
                    if self._stopped is not None:
                        self._damage = self._stopped
                        break
                    if whole:
                        self._starts.append(shot.start)
                    has_yielded = True
                    yield shot
        except VideoError as error:
            if not has_yielded or self.damaged == "set-aside":
                raise
            self._damage = self._damage or error.cause
        self._complete = whole

    def _several(self, wants: Sequence[Want], span: tuple[float, float], spent: Spent) -> Iterator[tuple[int, Frame]]:
        self._rewind()
        taking = Taking(self._reel, wants, span, spent, shown(self.source))
        since = max(0.0, span[0] - taking.memory)
        shots = self._reel.shots(since, None if self._decodes_all else taking.needless)
        yield from taking.frames(self._noted(shots, whole=span[0] == 0))


def policy(damaged: str) -> Damaged:
    """The policy for damaged recordings: keep or set-aside; ConfigError for anything else."""
    for choice in get_args(Damaged):
        if damaged == choice:
            return choice  # type: ignore[no-any-return]
    raise ConfigError(f"damaged: expected keep or set-aside, got {damaged!r}")


def reading(
    source: SourceLike,
    *,
    damaged: Damaged = "keep",
    picture_rate: float | None = None,
    whole: bool = False,
    hwaccel: str = "none",
) -> Reading:
    """Open a file, folder of pictures, camera or address once, for its pictures, times and facts.

    ``damaged``: the policy for a recording that can't be read as a whole. ``keep``: it is read as far as possible,
    and `Reading.damage` describes the missing part; ``set-aside``: VideoError, after the readable frames. A source
    without a readable picture is always a VideoError. ``picture_rate``: as in `frames`.

    Of H.264 and H.265 a picture that no consumer takes and no other picture refers to is not decoded. Frames, times and
    numbers are the same, but damage in such a picture is not found. With ``whole`` or ``set-aside`` all are decoded.
    ``hwaccel``: what decodes: none (the processor), auto, or the name of a device; ConfigError where it does not work.

    >>> with reading("no.mp4") as video:
    ...     video.info
    Traceback (most recent call last):
    wherewhen.core.errors.VideoError: no.mp4: there is no such file or folder
    """
    policy(damaged)
    if picture_rate is not None and not picture_rate > 0:
        raise ValueError(f"picture_rate: expected a number above 0, got {picture_rate}")
    return Reading(parsed(source), damaged, picture_rate, access=Access(hwaccel=hwaccel), whole=whole)


def frames(
    source: SourceLike,
    *,
    span: tuple[float, float] | None = None,
    rate: float | None = None,
    width: int | None = None,
    size: tuple[int, int] | None = None,
    picture_rate: float | None = None,
    damaged: Damaged = "set-aside",
) -> Iterator[Frame]:
    """Frames of a file, folder of pictures, camera or address, one by one, in RGB and upright.

    ``span``: only frames that start in ``[t0, t1)`` seconds; with the same times and numbers as
    without it. ``rate``: at most this many frames per second, by leaving some out; none is ever doubled.
    ``width``: larger pictures are shrunk to it, aspect kept. ``size``: instead, every picture becomes exactly
    ``(height, width)``: shrinking averages over areas, enlarging is bilinear. ``picture_rate``: pictures per
    second of a folder of pictures (default 25). A frame ends where the next returned one starts, the last one after its
    nominal duration.

    Raises VideoError, after the frames that could be read, if the video is missing, damaged or cut short; with
    ``damaged="keep"`` only if it has none.

    >>> list(frames("no.mp4"))
    Traceback (most recent call last):
    wherewhen.core.errors.VideoError: no.mp4: there is no such file or folder
    """
    wants = [Want(rate, width, size)]
    return (frame for _, frame in several(source, wants, span=span, picture_rate=picture_rate, damaged=damaged))


def picture(source: Source, time: float, *, width: int | None = None) -> Frame:
    """The frame of a source that is shown at a moment in seconds, the nearest one outside of its time.

    VideoError without one that can be read.
    """
    with reading(source) as video:
        return video.picture(time, width=width)


def several(
    source: SourceLike,
    wants: Sequence[Want],
    *,
    span: tuple[float, float] | None = None,
    picture_rate: float | None = None,
    spent: Spent | None = None,
    damaged: Damaged = "set-aside",
) -> Iterator[tuple[int, Frame]]:
    """Frames for several consumers with other rates or sizes, each with its consumer's number, in order of start.

    Decoded once; a picture that several need in one size is resized once and shared. Each consumer gets the frames
    of `frames`.
    """
    _check(wants, span, picture_rate)
    return _several(source, wants, span, picture_rate, spent, damaged)


def probe(source: SourceLike, *, picture_rate: float | None = None) -> VideoInfo:
    """Size, rate, length and coding of a video from its head; raises VideoError as ``frames`` does."""
    with reading(source, damaged="set-aside", picture_rate=picture_rate) as video:
        return video.info


def edges(source: SourceLike, *, picture_rate: float | None = None) -> Floats:
    """The F + 1 borders in seconds of a video's F frames: those of ``frames``, mostly without decoding."""
    with reading(source, damaged="set-aside", picture_rate=picture_rate) as video:
        return video.whole()


def decoder() -> str:
    """The decoder and its versions."""
    import av

    codec = ".".join(map(str, av.library_versions["libavcodec"]))
    return f"PyAV {av.__version__}, libavcodec {codec}"


def _check(wants: Sequence[Want], span: tuple[float, float] | None, picture_rate: float | None = None) -> None:
    if span is not None and not 0 <= span[0] < span[1]:
        raise ValueError(f"span: expected a rising pair of seconds, got {span}")
    for want in wants:
        sides = want.size or (None, None)
        values = (("rate", want.rate), ("width", want.width), ("size", sides[0]), ("size", sides[1]))
        for name, value in (*values, ("picture_rate", picture_rate)):
            if value is not None and not value > 0:
                raise ValueError(f"{name}: expected a number above 0, got {value}")


def _several(
    source: SourceLike,
    wants: Sequence[Want],
    span: tuple[float, float] | None,
    picture_rate: float | None,
    spent: Spent | None,
    damaged: Damaged,
) -> Iterator[tuple[int, Frame]]:
    with reading(source, damaged=damaged, picture_rate=picture_rate) as video:
        yield from video.several(wants, span, spent)


def _opened(source: Source, picture_rate: float | None, strict: bool, ring: Packets | None, access: Access) -> Reel:
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
    if isinstance(source, Path) and source.suffix.lower() in PICTURE_SUFFIXES:
        from wherewhen.video.album import Album, is_large_picture

        if is_large_picture(source):
            return Album(source, picture_rate or PICTURE_RATE, strict)
    from wherewhen.video.film import Film

    return Film(source, strict, ring, access)

"""A video file, stream or camera: its pictures in order with exact times, missing parts, plain errors."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from contextlib import closing
from fractions import Fraction
from itertools import chain

from wherewhen.core.errors import VideoError
from wherewhen.video import convert as _convert
from wherewhen.video import devices
from wherewhen.video.clock import WRAPS, Clock, timed
from wherewhen.video.decoding import Decoding, NotFound
from wherewhen.video.opening import file_of, opened
from wherewhen.video.packets import Packets
from wherewhen.video.promise import TIMED, TOLD, Promise, missing
from wherewhen.video.shot import Converter, Needless, Shot, VideoInfo
from wherewhen.video.skipping import Decoded, Skipped
from wherewhen.video.sources import USUAL, Access, Medium, is_live, shown
from wherewhen.video.stamps import Stamps, stamps, uneven
from wherewhen.video.wholeness import cut_short

_NO_TIMES = 0x0080  # FFmpeg's mark of containers without times, such as raw H.264


class Film:
    """An open video: ``shots`` gives its pictures, ``step`` is the nominal and ``tick`` the smallest time, in seconds.

    In a file everything that doesn't decode cleanly is an error; a live stream continues with its next picture. Unless
    ``strict``, undecodable parts are left out, and listed in ``damage``. ``ring`` gets its packets. Raises VideoError.
    """

    def __init__(
        self, source: Medium, strict: bool = True, ring: Packets | None = None, access: Access = USUAL
    ) -> None:
        self.name, self.live = shown(source), is_live(source)
        self._source, self._file, self._strict, self._ring = source, file_of(source), strict, ring
        self._access = access
        self._open()
        self._begun: Iterator[Shot] | None = None
        self._needless: Needless | None = None
        self._size: tuple[int, int] | None = None  # of the first picture, as shown
        self._ended: str | None = None

    def _open(self) -> None:
        self._opened = opened(self._source, self._access)
        container, stream = self._opened
        self._promise = Promise.of(self._opened, self._file)
        self._tick = stream.time_base or Fraction(1, 90_000)
        self._step = 1 / self.rate
        self.step, self.tick = float(self._step), float(self._tick)
        kind = container.format.name if self._file is not None else ""
        self._timed, self._headed = kind in TIMED, kind in TIMED or kind in TOLD
        self._decoding = self._decoder(lambda stamp: None)

    @property
    def rate(self) -> Fraction:
        """Nominal frames per second: the average, or for a stream without times that of its pictures; else 25.

        No picture lasts longer than its whole file.
        """
        container, stream = self._opened
        timeless = bool(container.format.flags & _NO_TIMES)
        rates = (stream.guessed_rate if timeless else stream.average_rate, stream.guessed_rate, stream.base_rate)
        rate = next((rate for rate in rates if rate and 0 < rate <= 100_000), Fraction(25))
        lasts = self._promise.lasts
        return rate if not lasts or rate * lasts >= 1 else 1 / Fraction(self._promise.step).limit_denominator(100_000)

    @property
    def damage(self) -> str | None:
        """Why less was read than declared, or how a live stream ended, so far."""
        return self._ended or self._decoding.damage()

    @property
    def device(self) -> str:
        """The device that decodes, empty for the processor: certain once there is a picture."""
        context = self._opened.stream.codec_context
        of_devices = {config.format.name for config in context.codec.hardware_configs if config.format is not None}
        is_used = context.is_hwaccel and context.pix_fmt in of_devices
        return devices.device(self._access.hwaccel) or "" if is_used else ""

    def close(self) -> None:
        """Close the file."""
        self._opened.container.close()

    def converter(self, width: int | None, exact: tuple[int, int] | None = None) -> Converter:
        """Turns a picture into RGB, at most ``width`` wide, or of exactly ``exact`` (height, width)."""
        return _convert.Converter(self.name, width, exact)

    def info(self) -> VideoInfo:
        """The facts in its header; for a file also whether its first pictures are unevenly spaced."""
        stream, promise = self._opened.stream, self._promise
        if self._size is None:
            shots = self._all()
            self._begun = chain((next(shots),), shots)  # a stream gives its first picture only once
        width, height = self._size or (0, 0)
        duration = promise.lasts or promise.until
        variable = self._file is not None and self._uneven()
        codec = stream.codec_context.name
        return VideoInfo(width, height, float(self.rate), promise.frames or None, duration or None, codec, variable)

    def shots(self, since: float = 0.0, needless: Needless | None = None) -> Iterator[Shot]:
        """Every picture from ``since`` on, and at least one before it: found by seeking where that is exact."""
        self._needless = needless
        if since > 0 and (stamps_of_file := self._stamps()) is not None:
            try:
                yield from self._from(stamps_of_file, since)
                return
            except NotFound:
                self.close()
                self._open()
                self._begun = None
        begun, self._begun = self._begun, None
        yield from begun or self._all()

    def starts(self) -> Iterator[float]:
        """When each picture begins, in seconds; decodes only where packets have no times."""
        stamps_of_file = self._stamps()
        if stamps_of_file is None:
            yield from (shot.start for shot in self.shots())
            return
        self._end(
            cut_short(self._file) if self._file else None,
            len(stamps_of_file.pictures),
            missing(self._promise, stamps_of_file.totals, None),
        )
        clock = Clock(self._tick, self._step)
        yield from map(clock, stamps_of_file.pictures)

    def _stamps(self) -> Stamps | None:
        if not self._timed:
            return None
        other = opened(self._source)
        with closing(other.container):
            return stamps(other)

    def _uneven(self) -> bool:
        other = opened(self._source)
        with closing(other.container):
            return uneven(other, self.step, self.tick)

    def _decoder(self, foreseen: Callable[[int], float | None]) -> Decoding:
        def needless(before: int, stamp: int) -> bool:
            if self._needless is None:
                return False
            begin, start = foreseen(before), foreseen(stamp)
            return begin is not None and start is not None and self._needless(begin, start)

        return Decoding(
            self.name, self._opened, strict=self._strict, live=self.live, counted=self._headed, ring=self._ring,
            needless=needless,
        )  # fmt: skip

    def _all(self) -> Iterator[Shot]:
        """Every picture; lost pictures leave a gap in times and numbers."""
        wrap = WRAPS.get(self._opened.container.format.name)
        clock = Clock(self._tick, self._step, wrap=wrap, live=self.live)
        decoding = self._decoding = self._decoder(clock.foreseen)
        if self._ring is not None:
            self._ring.open(self._opened.stream)

        def stamped() -> Iterator[tuple[tuple[Decoded, int], int | None, float]]:
            for picture in self._alike(decoding.pictures()):
                for stamp in decoding.skipped(picture):
                    clock(stamp)
                waited, decoding.waited = decoding.waited, 0.0
                yield (picture, decoding.number(picture)), picture.pts, waited

        try:
            for (picture, index), start in timed(stamped(), clock, doubted=not self._timed):
                if self._ring is not None:
                    self._ring.shown(picture.pts, start)
                yield _shot(picture, index, start)
        except VideoError:
            if cut := self._cut():
                self._end(cut, decoding.count, None)
            raise
        self._finish(decoding)

    def _cut(self) -> str | None:
        return cut_short(self._file) if self._file is not None else None

    def _finish(self, decoding: Decoding) -> None:
        cut = self._cut()
        lacking = missing(self._promise, decoding.totals, decoding.count) if self._file is not None else None
        if not decoding.count:
            cause = cut and f"{cut}; it breaks off after 0 frames"
            raise VideoError(self.name, cause or decoding.damage() or "it holds no picture that can be decoded")
        if self.live:
            self._ended = decoding.damage() or f"the stream ended after {decoding.count} frames"
        else:
            self._end(cut, decoding.count, decoding.damage() or lacking)

    def _end(self, cut: str | None, count: int, lacking: str | None) -> None:
        """Note, or if ``strict`` raise, the missing part of a file."""
        cause = f"{cut}; it breaks off after {count} frames" if cut else lacking
        if cause and self._strict:
            raise VideoError(self.name, cause)
        self._ended = cause

    def _alike(self, pictures: Iterator[Decoded]) -> Iterator[Decoded]:
        """The same pictures, which must all have one size."""
        first = None
        for number, picture in enumerate(pictures):
            size = picture.width, picture.height
            first = first or size
            if not isinstance(picture, Skipped) and self._size is None:
                self._size = _convert.upright(picture)
                if self._access.hwaccel not in ("none", "auto") and not self.device:
                    cause = f"{self._access.hwaccel} can't decode pictures of this kind ({picture.format.name})"
                    raise VideoError(self.name, f"{cause}; hwaccel: auto takes the processor then")
            if size != first:
                was, now = (f"{width}x{height}" for width, height in (first, size))
                if self.live:
                    raise VideoError(self.name, f"the pictures changed from {was} to {now}")
                raise VideoError(
                    self.name, f"every picture must have one size: frame {number} is {now}, those before are {was}"
                )
            yield picture

    def _from(self, stamps_of_file: Stamps, since: float) -> Iterator[Shot]:
        """Pictures from the last one before ``since`` on; NotFound, before any, if they can't be had from a key."""
        times, keys, _ = stamps_of_file
        clock = Clock(self._tick, self._step)
        clock(times[0])
        first = max(0, bisect_left(times, since, key=clock.seconds) - 1)
        key = keys[bisect_right(keys, times[first]) - 1]
        decoding = self._decoding = self._decoder(clock.seconds)
        has_yielded, index = False, 0
        try:
            self._opened.container.seek(key, stream=self._opened.stream)
            for picture in self._alike(decoding.pictures(key)):
                if picture.pts is None or (not decoding.count and picture.pts != key):
                    raise NotFound
                if decoding.breaks and not has_yielded:  # the place may be none where decoding can begin
                    raise NotFound
                index = bisect_left(times, picture.pts)
                if index >= first:
                    has_yielded = True
                    yield _shot(picture, index, clock.seconds(picture.pts))
        except Exception as error:
            if not has_yielded:
                raise NotFound from error
            raise
        if not has_yielded:
            raise NotFound
        self._end(self._cut(), index + 1, decoding.damage())


def _shot(picture: Decoded, index: int, start: float) -> Shot:
    return Shot(None if isinstance(picture, Skipped) else picture, index, start)

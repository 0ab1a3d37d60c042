"""Frames for several consumers from one pass: subsampled, resized, each with its end, in order of start."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from time import perf_counter
from typing import NamedTuple

from wherewhen.core.errors import VideoError
from wherewhen.core.values import Frame, Pixels
from wherewhen.video.clock import Thinner
from wherewhen.video.guard import guarded
from wherewhen.video.repeats import MEMORY, Repeats
from wherewhen.video.shot import Converter, Reel, Shot

INF = float("inf")


class Want(NamedTuple):
    """The frames that a consumer needs: see `wherewhen.video.reader.frames`.

    ``new``: pictures that repeat the one before are left out, see `Repeats`; the frame before lasts longer.
    ``delay``: seconds left out at the beginning; frames are chosen as if the recording began there. ``apart``: others
    don't wait for its frames, which come after those that begin later.
    """

    rate: float | None = None
    width: int | None = None
    size: tuple[int, int] | None = None
    new: bool = False
    delay: float = 0.0
    apart: bool = False


class Spent:
    """Seconds of the clock that reading took, and pictures decoded."""

    decode = 0.0
    resize = 0.0
    pictures = 0


class _Held(NamedTuple):
    image: Pixels
    number: int
    start: float


class _Taker:
    """A consumer of frames: its selection, and its last frame, whose end is not known yet."""

    def __init__(self, want: Want, reel: Reel, since: float) -> None:
        self.size, self.new, self.delay, self.apart = want[1:3], want.new, want.delay, want.apart
        self.since = since + want.delay
        self.keeps = None if want.rate is None else Thinner(want.rate, reel.step, reel.tick)
        self.held: _Held | None = None
        self.done = self.owed = False

    def needless(self, before: float, start: float) -> bool:
        """Whether it does not take the picture that begins at ``start``, by the start of one before it."""
        if self.done or start < self.since:
            return True
        if self.owed or self.keeps is None:
            return False
        return not self.keeps.keeps(before - self.delay, start - self.delay)


class Taking:
    """Distributes shots to consumers; a picture is released once it is resized, so only resized ones are kept."""

    def __init__(self, reel: Reel, wants: Sequence[Want], span: tuple[float, float], spent: Spent, name: str) -> None:
        self._since, self._until = span
        self._spent, self._name, self._step = spent, name, reel.step
        self._takers = [_Taker(want, reel, span[0]) for want in wants]
        sizes = [taker.size for taker in self._takers]
        self._converters: dict[tuple[object, ...], Converter] = {size: reel.converter(*size) for size in sizes}
        self._shared = {size for size in sizes if sizes.count(size) > 1}
        self._ready: list[tuple[float, int, Frame]] = []
        self._repeats = Repeats(reel.step) if any(want.new for want in wants) else None

    @property
    def memory(self) -> float:
        """Seconds before the span that the choice of its frames depends on."""
        return 0.0 if self._repeats is None else 2 * MEMORY

    def needless(self, before: float, start: float) -> bool:
        """Whether no consumer takes the picture that begins at ``start``, by the start of one before it."""
        return self._repeats is None and all(taker.needless(before, start) for taker in self._takers)

    def frames(self, shots: Iterator[Shot]) -> Iterator[tuple[int, Frame]]:
        """Frames with their taker's number; an error of the reader comes after all frames before it."""
        last, trouble = None, None
        shots = self._clocked(shots)
        while not all(taker.done for taker in self._takers):
            try:
                shot = next(shots, None)
            except VideoError as error:
                trouble, shot = error, None
            if shot is None:
                break
            last = shot.start
            self._take(shot)
            takers = [taker for taker in self._takers if not (taker.done or taker.apart)]
            coming = [taker.held.start if taker.held else last for taker in takers]
            yield from self._before(min(coming, default=INF))
        if last is not None:
            for number, taker in enumerate(self._takers):
                self._release(number, taker, last + self._step)
        yield from self._before(INF)
        if trouble is not None:
            raise trouble
        if last is not None and last < self._since:
            cause = (
                f"the video ends at {last + self._step:.3f} s, before the requested span begins ({self._since:.3f} s)"
            )
            raise VideoError(self._name, cause)

    def _clocked(self, shots: Iterator[Shot]) -> Iterator[Shot]:
        while True:
            began = perf_counter()
            shot = next(shots, None)
            self._spent.decode += perf_counter() - began
            if shot is None:
                return
            self._spent.pictures += shot.picture is not None
            yield shot

    def _take(self, shot: Shot) -> None:
        images: dict[tuple[object, ...], Pixels] = {}
        with guarded(self._name):
            repeats = self._repeats is not None and self._repeats(shot.picture, shot.start)
        for number, taker in enumerate(self._takers):
            if taker.done or not (self._is_kept(taker, shot, repeats) or taker.owed):
                continue
            if shot.picture is None and taker.since <= shot.start < self._until:
                taker.owed = True  # not foreseen, as one before it was lost: the next one takes its place
                continue
            taker.owed = False
            self._release(number, taker, shot.start)
            if shot.start >= self._until:
                taker.done = True
            elif shot.start >= taker.since:
                if taker.size not in images:
                    images[taker.size] = self._converted(shot, taker.size)
                taker.held = _Held(images[taker.size], shot.index, shot.start)

    def _is_kept(self, taker: _Taker, shot: Shot, repeats: bool) -> bool:
        """Whether a taker gets a shot; of a span that begins with repetitions it gets the first one."""
        if repeats and taker.new and shot.start < self._until:
            return taker.held is None and shot.start >= taker.since
        return taker.keeps is None or taker.keeps(shot.start - taker.delay)

    def _converted(self, shot: Shot, size: tuple[object, ...]) -> Pixels:
        began = perf_counter()
        with guarded(self._name):
            image = self._converters[size](shot.picture, f"frame {shot.index}")
        self._spent.resize += perf_counter() - began
        if size in self._shared:
            image.flags.writeable = False
        return image

    def _release(self, number: int, taker: _Taker, end: float) -> None:
        """Set the end of the last frame of a taker."""
        if taker.held is not None:
            heappush(self._ready, (taker.held.start, number, Frame(*taker.held, end)))
            taker.held = None

    def _before(self, start: float) -> Iterator[tuple[int, Frame]]:
        """Frames that begin before a time; later ones are not complete."""
        while self._ready and self._ready[0][0] < start:
            _, number, frame = heappop(self._ready)
            yield number, frame

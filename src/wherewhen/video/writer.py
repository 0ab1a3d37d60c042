"""Writing of H.264 mp4 files that common players support, atomically."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from queue import Queue
from threading import Thread
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from wherewhen.core.errors import VideoError
from wherewhen.core.store import atomic
from wherewhen.core.values import Pixels

if TYPE_CHECKING:
    from av import VideoFrame

_TICKS = 90_000
_AHEAD = 4  # pictures that wait for their encoding


class Writer:
    """Writes uint8 RGB pictures ``(H, W, 3)`` of one size to an mp4, ``rate`` per second or at given times.

    The file appears under its name when the ``with`` block ends well; after an error nothing is left. Odd sizes are
    padded by their last row or column. A thread encodes them while the next ones are made, so an error of writing can
    come with a later picture or the end. ``painted``: results are painted on them, ``ours``: see `atomic`. Raises
    ValueError for a wrong picture or time, VideoError if writing fails.
    """

    def __init__(self, path: str | Path, rate: float | Fraction, *, painted: bool = False, ours: bool = False) -> None:
        self._path = Path(path)
        self._rate = Fraction(rate).limit_denominator(1001)
        if self._rate <= 0:
            raise ValueError(f"rate: expected a number above 0, got {rate}")
        # whole ticks per frame, so that 29.97 stays exact, and fine enough for times in between
        self._tick = Fraction(1, self._rate.numerator * max(1, round(_TICKS / self._rate.numerator)))
        self._file = atomic(self._path, painted=painted, ours=ours)
        self._size: tuple[int, int] | None = None
        self._last: int | None = None
        self._waiting = Queue[Any](_AHEAD)
        self._encoder = Thread(target=self._encode_all, name="encoder", daemon=True)
        self._trouble: BaseException | None = None  # of the encoder: what comes after it is not encoded

    def __enter__(self) -> Self:
        import av

        if not self._path.parent.is_dir():
            raise VideoError(self._path, "its folder doesn't exist: create it first")
        try:
            draft = self._file.__enter__()
        except OSError as error:
            raise VideoError(self._path, f"it can't be written ({error.strerror})") from error
        try:
            self._container = av.open(str(draft), "w", format="mp4", options={"movflags": "+faststart"})
        except (av.error.FFmpegError, OSError) as error:
            self._leave(error)
            raise VideoError(self._path, f"it can't be written ({error.strerror})") from error
        return self

    def write(self, rgb: Pixels, time: float | None = None) -> None:
        """Add a picture that begins at ``time`` seconds; None: one frame after the last one."""
        import av

        stamp = self._stamp(time)
        frame = av.VideoFrame.from_ndarray(self._even(rgb), "rgb24")
        frame.pts, frame.time_base, frame.duration = stamp, self._tick, round(1 / self._rate / self._tick)
        if self._size is None:
            with self._failing():
                self._begin(rgb)
            self._encoder.start()
        if self._trouble is not None:
            raise self._trouble
        self._waiting.put(frame)
        self._last = stamp

    def _encode_all(self) -> None:
        """Encode pictures until None comes."""
        while (frame := self._waiting.get()) is not None:
            if self._trouble is None:
                try:
                    self._encode(frame)
                except BaseException as error:
                    self._trouble = error

    def _encode(self, frame: VideoFrame | None) -> None:
        """Write a picture, or with None what the encoder still holds."""
        with self._failing():
            for packet in self._stream.encode(frame):
                self._container.mux(packet)

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Errors of libraries and the system as VideoError."""
        import av

        try:
            yield
        except (av.error.FFmpegError, OSError) as error:
            raise VideoError(self._path, f"writing failed ({error.strerror})") from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        except BaseException as trouble:
            error = trouble
            raise
        finally:
            try:
                self._end(error)
                self._close(error)
            finally:
                self._leave(error)

    def _end(self, error: BaseException | None) -> None:
        """Wait for the thread; after an error, pictures that wait are left out."""
        if self._encoder.is_alive():
            self._trouble = self._trouble or error
            self._waiting.put(None)
            self._encoder.join()

    def _close(self, error: BaseException | None) -> None:
        """Close the file; an error of that is told unless there was one before."""
        try:
            with self._failing():
                self._container.close()
        except VideoError:
            if error is None:
                raise

    def _leave(self, error: BaseException | None) -> None:
        """Rename the finished file, or remove it after an error."""
        try:
            self._file.__exit__(type(error) if error else None, error, error.__traceback__ if error else None)
        except OSError as trouble:
            if trouble is not error:
                raise VideoError(self._path, f"writing failed ({trouble.strerror})") from trouble

    def _begin(self, rgb: Pixels) -> None:
        self._size = rgb.shape[0], rgb.shape[1]
        options = {"crf": "18", "preset": "veryfast"}
        self._stream = self._container.add_stream("libx264", rate=self._rate, options=options)
        self._stream.height, self._stream.width = (length + length % 2 for length in self._size)
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = self._tick

    def _finish(self) -> None:
        if self._size is None:
            raise VideoError(self._path, "no picture was written")
        self._end(None)
        if self._trouble is not None:
            raise self._trouble
        self._encode(None)
        self._close(None)

    def _stamp(self, time: float | None) -> int:
        frame = round(1 / self._rate / self._tick)
        if time is None:
            return 0 if self._last is None else self._last + frame
        if not (np.isfinite(time) and time >= 0):
            raise ValueError(f"time: expected seconds from 0 on, got {time}")
        stamp = round(time / self._tick)
        if self._last is not None and stamp <= self._last:
            raise ValueError(f"time: must rise, got {time} s after {float(self._last * self._tick)} s")
        return stamp

    def _even(self, rgb: Pixels) -> Pixels:
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
            raise ValueError(f"picture: expected uint8 (H, W, 3), got {rgb.dtype} {rgb.shape}")
        if self._size not in (None, rgb.shape[:2]):
            raise ValueError(f"picture: expected the size of the first, {self._size}, got {rgb.shape[:2]}")
        height, width, _ = rgb.shape
        if height % 2 == width % 2 == 0:
            return np.ascontiguousarray(rgb)
        return np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), "edge")

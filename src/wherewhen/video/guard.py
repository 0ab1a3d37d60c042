"""Conversion of all exceptions of decoders to the toolkit's errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from wherewhen.core.errors import VideoError, WherewhenError


@contextmanager
def guarded(name: str) -> Iterator[None]:
    """Whatever a decoder, its binding or the system raises in here is a VideoError about the video called ``name``."""
    try:
        yield
    except WherewhenError:
        raise
    except Exception as error:
        # what FFmpeg says of an address may hold all of it
        raise VideoError(name, f"the video can't be read ({reason(error)})") from (None if "://" in name else error)


def reason(error: Exception) -> str:
    """What an exception of FFmpeg, PyAV, OpenCV or the system says, in a few words."""
    import av

    if isinstance(error, av.error.InvalidDataError):
        return "invalid data"
    if isinstance(error, MemoryError):
        return "not enough memory"
    said = " ".join(str(getattr(error, "strerror", None) or error).lower().split())
    if isinstance(error, av.error.FFmpegError | OSError):
        return said
    return f"the decoder failed: {type(error).__name__} {said}".rstrip()

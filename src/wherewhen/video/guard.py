"""Conversion of all exceptions of decoders to the toolkit's errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from wherewhen.core.errors import VideoError, WherewhenError


@contextmanager
def guarded(name: str) -> Iterator[None]:
    """Errors of a decoder, its binding or the system inside the block become a VideoError about the video ``name``."""
    try:
        yield
    except WherewhenError:
        raise
    except Exception as error:
        # messages of FFmpeg may contain the whole address
        raise VideoError(name, f"the video can't be read ({reason(error)})") from (None if "://" in name else error)


def reason(error: Exception) -> str:
    """The message of an exception of FFmpeg, PyAV, OpenCV or the system, shortened."""
    import av

    if isinstance(error, av.error.InvalidDataError):
        return "invalid data"
    if isinstance(error, av.error.ExitError):
        return "nothing came for too long"
    if isinstance(error, MemoryError):
        return "not enough memory"
    text = " ".join(str(getattr(error, "strerror", None) or error).lower().split())
    if isinstance(error, av.error.FFmpegError | OSError):
        return text
    return f"the decoder failed: {type(error).__name__} {text}".rstrip()

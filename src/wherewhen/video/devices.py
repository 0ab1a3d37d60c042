"""Devices that decode videos: which of them FFmpeg offers, and which one works here."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import lru_cache

from wherewhen.core.errors import ConfigError
from wherewhen.video.guard import reason

log = logging.getLogger("wherewhen")

_CODECS = ("h264", "hevc")  # a device that decodes neither is of no use


@lru_cache
def device(hwaccel: str) -> str | None:
    """The device that decodes by a setting of ``hwaccel``; None is the processor.

    ``auto`` is the first one that works, else the processor, which is logged. ConfigError where a named one does not
    work.

    >>> device("none") is None
    True
    """
    if hwaccel == "none":
        return None
    from av.codec.hwaccel import hwdevices_available  # PyAV is loaded when a video is opened

    offered: list[str] = hwdevices_available()
    causes = {}
    for name in offered if hwaccel == "auto" else [hwaccel]:
        cause = _cause(name, offered)
        if cause is None:
            return name
        causes[name] = cause
    tried = ", ".join(f"{name} ({cause})" for name, cause in causes.items()) or "none"
    text = f"FFmpeg offers {', '.join(offered) or 'no device'}; tried: {tried}"
    if hwaccel != "auto":
        raise ConfigError(f"hwaccel: {hwaccel} can't decode here; {text}; auto takes the processor then")
    log.warning("hwaccel: auto finds no device that works; the processor decodes. %s", text)
    return None


def _cause(name: str, offered: Sequence[str]) -> str | None:
    """Why a device can't be used, None where it can."""
    if name not in offered:
        return "not part of it"
    cause = None
    for codec in _CODECS:
        try:
            _try(name, codec)
        except NotImplementedError:
            cause = cause or "no decoder uses it"
        except Exception as error:
            cause = reason(error)
        else:
            return None
    return cause


def _try(name: str, codec: str) -> None:
    from av.codec import Codec
    from av.codec.hwaccel import HWAccel

    HWAccel(name).create(Codec(codec, "r"))

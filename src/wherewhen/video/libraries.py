"""The libraries that read and write videos: versions and supported codecs."""

from __future__ import annotations

DECODERS = ("h264", "hevc", "vp9", "av1", "mpeg4", "mpeg2video", "mjpeg", "prores", "rawvideo")
ENCODERS = ("libx264", "mpeg4")


def libraries() -> dict[str, str]:
    """Versions of PyAV's FFmpeg libraries, by name."""
    import av

    return {name: ".".join(map(str, version)) for name, version in sorted(av.library_versions.items())}


def codecs() -> dict[str, list[str]]:
    """The usual decoders and encoders that are available, and those that are missing."""
    import av

    available = av.codec.codecs_available
    return {
        "decoders": [name for name in DECODERS if name in available],
        "encoders": [name for name in ENCODERS if name in available],
        "missing": [name for name in (*DECODERS, *ENCODERS) if name not in available],
    }

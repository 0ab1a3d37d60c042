"""Video files of many containers and codecs: frames come with rising times, and what is missing is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mutate_video
import numpy as np
from case import Kind, Wrong

FRAMES, SIZE, RATE = 40, (96, 64), 25
FILMS: dict[str, tuple[str, str, dict[str, str]]] = {
    "h264.mp4": ("libx264", "yuv420p", {"g": "12"}),
    "index_first.mp4": ("libx264", "yuv420p", {"g": "12", "movflags": "+faststart"}),
    "fragments.mp4": ("libx264", "yuv420p", {"g": "10", "movflags": "frag_keyframe+empty_moov+default_base_moof"}),
    "mpeg4.mov": ("mpeg4", "yuv420p", {"g": "12"}),
    "h264.mkv": ("libx264", "yuv420p", {"g": "12"}),
    "vp8.webm": ("libvpx", "yuv420p", {"g": "12"}),
    "mpeg4.avi": ("mpeg4", "yuv420p", {"g": "12"}),
    "mjpeg.avi": ("mjpeg", "yuvj420p", {}),
    "h264.ts": ("libx264", "yuv420p", {"g": "12"}),
    "mpeg2.mpg": ("mpeg2video", "yuv420p", {"g": "12"}),
    "h264.h264": ("libx264", "yuv420p", {"g": "12"}),
    "pictures.mjpeg": ("mjpeg", "yuvj420p", {}),
    "palette.gif": ("gif", "rgb8", {}),
    "flash.flv": ("flv", "yuv420p", {"g": "12"}),
}
PROMISES = ("mp4", "mov", "mkv", "webm", "avi")  # containers that say how much they hold
LEAST = 0.6  # of the frames; fewer without a word are lost in silence


def film(path: Path, codec: str, pixels: str, options: dict[str, str], frames: int = FRAMES) -> None:
    """Write noise in which a square moves."""
    import av

    rng = np.random.default_rng(len(path.name))
    muxed = {key: value for key, value in options.items() if key == "movflags"}
    with av.open(str(path), "w", options=muxed) as container:
        coded = {key: value for key, value in options.items() if key not in muxed} | {"threads": "1"}
        stream: Any = container.add_stream(codec, rate=RATE, options=coded)
        (stream.width, stream.height), stream.pix_fmt = SIZE, pixels
        for index in range(frames):
            picture = rng.integers(90, 120, (SIZE[1], SIZE[0], 3), np.uint8)
            picture[20:40, index : index + 20] = 220
            frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format=pixels)
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def seeds(corpus: Path) -> None:
    for name, told in FILMS.items():
        film(corpus / name, *told)


def check_frames(source: Path) -> tuple[int, str | None]:
    """How many frames a source gives, and its damage; Wrong where times or pictures can't be."""
    from wherewhen.video.reader import reading

    count, before, shape = 0, -np.inf, None
    with reading(source) as one:
        for frame in one.frames():
            if not (np.isfinite(frame.start) and np.isfinite(frame.end) and before <= frame.start < frame.end):
                raise Wrong("times don't rise", f"frame {frame.index}: {frame.start} to {frame.end}, before {before}")
            if frame.image.dtype != np.uint8 or shape not in (None, frame.image.shape):
                raise Wrong("pictures of several sizes", f"{frame.image.dtype} {frame.image.shape}, before {shape}")
            count, before, shape = count + 1, frame.start, frame.image.shape
        edges, damage = one.edges, one.damage
    if len(edges) != count + 1 or not (np.diff(edges) > 0).all():
        raise Wrong("borders don't fit the frames", f"{len(edges)} borders of {count} frames")
    if count == 0:
        raise Wrong("no frame and no error")
    return count, damage


def judge(file: Path, corpus: Path) -> None:
    count, damage = check_frames(file)
    if damage is not None and (not damage.strip() or not damage.isprintable()):
        raise Wrong("the damage is no printable line", repr(damage))
    if damage is None and count < LEAST * FRAMES and file.suffix[1:] in PROMISES:
        raise Wrong("frames are lost in silence", f"{count} of {FRAMES} came, no damage is told")


KIND = Kind(seeds, mutate_video.mutated, judge)

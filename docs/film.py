"""Compress an overlay video for the site: ``python docs/film.py out/toy0003.mp4 docs/images/detect.mp4``."""

from __future__ import annotations

import sys
from pathlib import Path

import av


def compress(source: Path, target: Path, quality: int = 29) -> None:
    """Encode as H.264 at the constant rate factor ``quality``, with the times of the source's frames."""
    options = {"crf": str(quality), "preset": "veryslow", "tune": "animation"}
    with av.open(source) as film, av.open(target, "w", options={"movflags": "+faststart"}) as output:
        video = film.streams.video[0]
        stream = output.add_stream("libx264", video.average_rate, options=options)
        stream.width, stream.height, stream.pix_fmt = video.width, video.height, "yuv420p"
        stream.time_base = stream.codec_context.time_base = video.time_base
        for frame in film.decode(video):
            frame.pict_type = av.video.frame.PictureType.NONE
            output.mux(stream.encode(frame))
        output.mux(stream.encode())


if __name__ == "__main__":
    compress(*map(Path, sys.argv[1:]))

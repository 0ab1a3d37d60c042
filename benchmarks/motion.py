"""How fast motion features are on one core, beside decoding alone, and whether memory stays flat.

    python benchmarks/motion.py [VIDEO] [--seconds 120]

Processor seconds, so that other load on the machine matters little. Without VIDEO it draws one: 320x240, 25 frames a
second, 64 textured patches that cross a noisy background.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # one core: before numpy comes

import argparse
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from time import process_time

import av
import cv2
import numpy as np

from wherewhen import pipeline, registry
from wherewhen.contracts import ClipSpec

RATE, WIDTH, HEIGHT = 25, 320, 240


def drawn(path: Path, seconds: int) -> Path:
    """A made-up surveillance video, H.264."""
    rng = np.random.default_rng(0)
    ground = cv2.GaussianBlur(rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8), (0, 0), 3)
    patches = [rng.integers(0, 255, (24, 12, 3), np.uint8) for _ in range(64)]
    starts, speeds = rng.random((64, 2)) * [WIDTH, HEIGHT], rng.normal(0, 1.5, (64, 2))
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=RATE, options={"preset": "veryfast", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for k in range(seconds * RATE):
            picture = ground.copy()
            for patch, start, speed in zip(patches, starts, speeds, strict=True):
                x, y = ((start + k * speed) % [WIDTH - 12, HEIGHT - 24]).astype(int)
                picture[y : y + 24, x : x + 12] = patch
            noisy = cv2.add(picture, rng.integers(0, 4, picture.shape, np.uint8))
            file.mux(stream.encode(av.VideoFrame.from_ndarray(noisy, format="rgb24")))
        file.mux(stream.encode())
    return path


def memory() -> float:
    """Resident memory of this process in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def timed(items: Iterator[object], marks: list[float] | None = None) -> float:
    start = process_time()
    for number, _ in zip(count(), items, strict=False):
        if marks is not None and number % 50 == 49:
            marks.append(memory())
    return process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", nargs="?", type=Path)
    parser.add_argument("--seconds", type=int, default=120)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        video = options.video or drawn(Path(folder) / "drawn.mp4", options.seconds)
        native = ClipSpec(1, 1)
        pictures = list(pipeline.frames(video, native)) if options.video else None
        total = len(pictures) if pictures else options.seconds * RATE
        length = pictures[-1].end if pictures else float(options.seconds)
        del pictures
        print(f"{video.name}: {total} frames, {length:.1f} s, {total / length:.1f} frames/s")
        alone = timed(iter(pipeline.frames(video, native)))
        print(f"decoding alone        {total / alone:8.0f} frames/s  {length / alone:6.1f} x real time")
        for name in ("frame_difference", "motion"):
            plugin = registry.load("backbones", name)
            backbone, marks = plugin(plugin.Config()), [memory()]
            cells = registry.load("instances", "cells")
            spent = timed(iter(pipeline.instances(video, backbone, cells(cells.Config()))), marks)
            rate = backbone.clip.rate
            at = f"sampled at {rate:g} frames/s" if rate else "every frame"
            print(f"{name:<21} {total / spent:8.0f} frames/s  {length / spent:6.1f} x real time  "
                  f"{spent / alone:5.2f} x decoding  {at}")  # fmt: skip
            print(f"{'':<21} memory MiB: {', '.join(f'{m:.0f}' for m in marks[:: max(1, len(marks) // 8)])}")


if __name__ == "__main__":
    main()

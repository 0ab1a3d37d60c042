"""How many times faster than the video sources of boxes are, beside decoding alone, in one run on one core.

    python benchmarks/proposals.py [VIDEO] [--detector FastestDet.onnx] [--seconds 20] [--rounds 3]

Without VIDEO it draws one: 320x240, 25 frames a second, the toy's busiest scene. ``motion`` looks at 12.5 frames a
second, as it does by default; the detector at every second frame. Linking and tubes are timed with ``motion``. The
best of ROUNDS counts, in processor time and in the clock's, taken in turn: other load on the machine slows all of them.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # one core: before numpy comes

import argparse
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import cv2

from wherewhen.core.contracts import ClipSpec
from wherewhen.datasets import toy
from wherewhen.extraction import box_tracks, sampling
from wherewhen.video import reader
from wherewhen.video.writer import Writer


def drawn(path: Path, seconds: int) -> Path:
    """A clip of the toy."""
    settings = toy.Toy(seed=1, scene=1, seconds=seconds, clips_normal=1, clips_anomalous=1, kinds=("wheels",))
    with Writer(path, settings.rate) as writer:
        for picture in toy.clip(settings, 1):
            writer.write(picture.image)
    return path


def drained(items: Iterable[object]) -> None:
    for _ in items:
        pass


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of the processor and of the clock."""
    wall, cpu = perf_counter(), process_time()
    work()
    return process_time() - cpu, perf_counter() - wall


def works(video: Path, detector: str | None) -> dict[str, Callable[[], object]]:
    looked = ClipSpec(1, 1, 12.5, 320)
    found: dict[str, Callable[[], object]] = {
        "decoding at 12.5/s": lambda: drained(sampling.frames(video, looked)),
        "decoding all": lambda: drained(sampling.frames(video, ClipSpec(1, 1, None, 320))),
        "motion": lambda: drained(box_tracks.boxes(video, box_tracks.proposer("motion"))),
        "motion, tracks, tubes": lambda: drained(box_tracks.proposed(video, box_tracks.proposer("motion"))),
    }
    if detector:
        settings: dict[str, Any] = {"path": detector, "stride": 2}
        source = box_tracks.proposer("onnx", settings)
        found["detector, stride 2"] = lambda: drained(box_tracks.boxes(video, source))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", nargs="?", type=Path)
    parser.add_argument("--detector")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    told = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        video = told.video or drawn(Path(folder) / "toy.mp4", told.seconds)
        edges = reader.edges(video)
        length = float(edges[-1] - edges[0])
        todo = works(video, told.detector)
        rounds = [{name: timed(work) for name, work in todo.items()} for _ in range(told.rounds)]
    base = min(one["decoding all"][0] for one in rounds)
    print(f"{video.name}: {length:.1f} s")
    for name in todo:
        cpu, wall = (min(one[name][k] for one in rounds) for k in (0, 1))
        print(
            f"{name:24s} {cpu:7.2f} s of processor = {length / cpu:6.1f} x real time, {cpu / base:5.1f} x all; "
            f"{wall:7.2f} s of the clock"
        )


if __name__ == "__main__":
    main()

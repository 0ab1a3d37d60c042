"""How far motion features are from their own limit on one core: decoding and the optical flow, which nothing avoids.

    python benchmarks/motion.py [VIDEO] [--seconds 20] [--rounds 5]

One run prints, in processor time and in the clock's:

- decoding alone, as RGB at the backbone's size and rate, and with the gray of each picture and the flow of each pair,
  as OpenCV gives it: the limit;
- the plain way: the same numbers with OpenCV's flow of whole pictures, the camera fitted pair by pair, all pixels
  looked at, and dense products;
- `motion` from file to instances, without and with all of its groups, and `frame_difference`, the least that looks at
  pictures at all;
- milliseconds a pair of pictures by part, and whether memory stays flat.

The best of ROUNDS counts, taken in turn, so that other load on the machine matters little: compare the multiples.
Without VIDEO it draws one: 320x240, 25 frames a second, 64 textured patches that cross a noisy background, a hard case,
since next to nothing can be left out.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # one core: before numpy comes

import argparse
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice, pairwise
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, NamedTuple
from unittest.mock import patch

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from wherewhen.backbones import motion
from wherewhen.backbones._camera import camera_motions, places
from wherewhen.backbones._flow import Flow
from wherewhen.backbones._maps import (
    CHANNELS,
    SCALES,
    fill_change,
    fill_channels,
    fill_share,
    steadied,
    subtract_camera,
)
from wherewhen.backbones._motion_groups import GROUPS
from wherewhen.backbones._pace import to_one_step
from wherewhen.backbones._pooling import Side, weights
from wherewhen.backbones.motion import LEAST, NAMES, Motion, MotionConfig, _grays, _numbers
from wherewhen.core import registry
from wherewhen.core.contracts import ClipSpec
from wherewhen.core.values import Clip, Features, Pixels
from wherewhen.extraction import assembly, sampling
from wherewhen.runtime.hardware import described

RATE, WIDTH, HEIGHT = 25, 320, 240
PRESETS = {
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}
PARTS = (
    "_differ",
    "_grays",
    "camera_motions",
    "steadied",
    "subtract_camera",
    "fill_change",
    "fill_share",
    "fill_channels",
    "pooled",
    "windows_around",
    "_numbers",
)


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


class Spent(NamedTuple):
    """Seconds of the processor and of the clock."""

    cpu: float
    wall: float


def timed(work: Callable[[], object]) -> Spent:
    """What some work takes."""
    wall, cpu = perf_counter(), process_time()
    work()
    return Spent(process_time() - cpu, perf_counter() - wall)


def best(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, Spent]:
    """The least that each takes, when they take turns."""
    found = [{name: timed(work) for name, work in works.items()} for _ in range(rounds)]
    return {name: Spent(*(min(times) for times in zip(*(one[name] for one in found), strict=True))) for name in works}


def drained(items: Iterable[object]) -> None:
    """Take all and keep none."""
    for _ in items:
        pass


def flowed(video: Path, spec: ClipSpec, preset: int) -> None:
    """Decode, make gray, and find the flow of each pair of pictures: what motion can't do without."""
    flow, last = cv2.DISOpticalFlow.create(preset), None
    for frame in sampling.frames(video, spec):
        gray = cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY)
        if last is not None:
            flow.calc(last, gray, None)
        last = gray


class Plain(Motion):
    """The same numbers in the plain way: whole flow, no box around what moves, dense products."""

    def _of_clip(self, clip: Pixels, paces: NDArray[np.float32]) -> Features:
        grays = _grays(clip)
        height, width = grays[0].shape
        flow, spots = cv2.DISOpticalFlow.create(PRESETS[self.config.flow]), np.ix_(*places(height, width))
        rows, columns = (weights(Side(n, self.config.cell, self.config.window)) for n in clip.shape[1:3])
        everything = slice(0, -(-height // 2)), slice(0, -(-width // 2))
        means, shares = [], []
        for pace, (first, second) in zip(paces, pairwise(grays), strict=True):
            found = flow.calc(first, second, None)
            fields = np.empty((4, *(side.stop for side in everything)), np.float32)
            fields[:2] = np.moveaxis(found[::2, ::2], 2, 0)
            model = camera_motions(found[spots].transpose(2, 0, 1)[None], height, width)[0]
            if model is not None:
                second = steadied(second, model)
                subtract_camera(fields[:2], model)
            fill_change(first, second, fields[2])
            to_one_step(fields[:2], fields[2], pace)
            fill_share(fields)
            maps = np.empty((CHANNELS + 1, *fields.shape[1:]), np.float32)
            fill_channels(first, fields, everything, maps[:-1])
            maps[-1] = fields[3]
            pooled = rows @ (maps.reshape(-1, maps.shape[2]) @ columns.T).reshape(*maps.shape[:2], -1)
            means.append(pooled[:-1] * SCALES)
            shares.append(pooled[-1])
        cells = _numbers(np.stack(means), np.stack(shares))
        edges = np.linspace(0, len(cells), min(self.config.steps, len(cells)) + 1).round().astype(int)
        steps = np.stack([cells[a:b].mean(0) for a, b in pairwise(edges)])
        steps[steps[..., NAMES.index("foreground")] < LEAST] = 0
        return steps


def parts(clips: Sequence[Clip], backbone: Motion, rounds: int) -> dict[str, tuple[float, float]]:
    """Milliseconds a pair by part: the least of many rounds of each call by itself, so that pauses don't count.

    The parts are functions of `wherewhen.backbones.motion`; a part that calls another counts it too.
    """
    least: dict[tuple[str, int], list[float]] = {}
    calls: Counter[str] = Counter()

    def watched(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            key = name, calls[name]
            calls[name] += 1
            wall, cpu = perf_counter(), process_time()
            result = function(*given, **named)
            spent = process_time() - cpu, perf_counter() - wall
            least[key] = [min(pair) for pair in zip(least.get(key, spent), spent, strict=True)]
            return result

        return call

    with ExitStack() as patches:
        for name in PARTS:
            patches.enter_context(patch.object(motion, name, watched(name, getattr(motion, name))))
        for name in ("shrunk", "__call__"):
            patches.enter_context(patch.object(Flow, name, watched(f"flow {name.strip('_')}", getattr(Flow, name))))
        for name, label in (("_grouped", "groups"), ("_of_clip", "all")):
            patches.enter_context(patch.object(Motion, name, watched(label, getattr(Motion, name))))
        for _ in range(rounds):
            calls.clear()
            for clip in clips:
                backbone(clip.images[None])
    pairs = sum(len(clip.images) - 1 for clip in clips)
    found: dict[str, tuple[float, float]] = {}
    for (name, _), (cpu, wall) in least.items():
        before = found.get(name, (0.0, 0.0))
        found[name] = before[0] + 1e3 * cpu / pairs, before[1] + 1e3 * wall / pairs
    return found


def instances(video: Path, backbone: Any, builder: Any) -> Iterator[Any]:
    """All instances of a file, a clip at a time."""
    return assembly.instances(assembly.Streams.of(video, backbone.clip), backbone, {"cells": builder})


def flat(video: Path, backbone: Motion, cells: Any) -> list[float]:
    """Memory along the way, in MiB."""
    marks = [memory() for _ in instances(video, backbone, cells)]
    return marks[:: max(1, len(marks) // 8)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", nargs="?", type=Path)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    cells = registry.load("instances", "cells")
    builder, still = cells(cells.Config()), registry.load("backbones", "frame_difference")
    fast, plain, grouped = Motion(MotionConfig()), Plain(MotionConfig()), Motion(MotionConfig(groups=tuple(GROUPS)))
    with tempfile.TemporaryDirectory() as folder:
        video = options.video or drawn(Path(folder) / "drawn.mp4", options.seconds)
        total, length = 0, 0.0
        for frame in sampling.frames(video, ClipSpec(1, 1)):
            total, length = total + 1, frame.end
        kept = sum(1 for _ in sampling.frames(video, fast.clip))
        print(described())
        print(f"{video.name}: {total} frames, {length:.1f} s; motion looks at {kept} of them")
        difference = still(still.Config(rate=fast.clip.rate))
        works: dict[str, Callable[[], object]] = {
            "decoding alone": lambda: drained(sampling.frames(video, fast.clip)),
            "decoding and flow": lambda: flowed(video, fast.clip, PRESETS[fast.config.flow]),
            "frame_difference": lambda: drained(instances(video, difference, builder)),
            "motion": lambda: drained(instances(video, fast, builder)),
            "motion, all groups": lambda: drained(instances(video, grouped, builder)),
            "motion, plain way": lambda: drained(instances(video, plain, builder)),
        }
        found = best(works, options.rounds)
        limit = found["decoding and flow"]
        print(f"{'':<20}{'processor':>28}{'clock':>32}")
        print(f"{'':<20}" + f"{'frames/s':>10} {'x real time':>11} {'x limit':>8}  " * 2)
        for name, spent in found.items():
            columns = [
                f"{total / one:>10.0f} {length / one:>11.0f} {one / least:>8.2f}  "
                for one, least in zip(spent, limit, strict=True)
            ]
            print(f"{name:<20}{''.join(columns)}")
        clips = list(islice(sampling.clips(sampling.frames(video, fast.clip), fast.clip), 6))
        same = [(plain(clip.images[None]), fast(clip.images[None])) for clip in clips]
        apart = max(float(np.abs(a - b).max() / max(a.max(), 1e-9)) for a, b in same)
        print(f"the plain way gives the same numbers to {apart:.0e} of the largest")
        print("all groups, ms a pair, processor and clock, each call at its best (a part counts those within it):")
        for name, (cpu, wall) in parts(clips, grouped, 4 * options.rounds).items():
            print(f"  {name:<18} {cpu:7.3f} {wall:7.3f}")
        print(f"memory MiB: {', '.join(f'{mark:.0f}' for mark in flat(video, fast, builder))}")


if __name__ == "__main__":
    main()

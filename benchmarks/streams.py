"""How many cameras a machine carries, and what a second of each costs.

    python benchmarks/streams.py [--seconds 20] [--rounds 3] [--only 1080p-h264,720p-h265] [--cameras 8]

Draws videos of 25 pictures a second and 4 Mbit/s with 12 people-sized patches that move, and one with three B-pictures
between others. For each video and backbone one run prints milliseconds of one core for a second of the video:

- limit: all pictures decoded by one thread, nothing else
- decode: the pictures that a camera needs at the rate of the backbone
- scale: those that the backbone takes, shrunk, as RGB
- flow: gray and optical flow of each pair (motion only)
- features: the rest of the backbone and its cells
- model: method and localizer, as in a live stream

and cameras a core, also at the limit. The last three are differences of longer and longer works on the shrunk pictures
alone, each the best of ROUNDS in turn; they are processor times, ``scale`` is the clock's. The models are trained for a
few steps: their scores mean nothing, their cost is the usual one.

Then CAMERAS processes watch one video each in real time, as ``wherewhen watch`` does: the longest time that a picture
waited, cores in use, and memory a camera (its share of what processes have in common, Linux). A camera is carried
while pictures wait less than a second.

    python benchmarks/streams.py --skipping

reads each video at several rates, pictures 320 wide, with all pictures decoded and without those that are not needed.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one core: before numpy is loaded
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import runpy
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from threading import Event
from time import process_time
from types import SimpleNamespace
from typing import Any, NamedTuple

import av
import cv2
import numpy as np

from wherewhen.core import registry
from wherewhen.core.values import Video
from wherewhen.extraction import assembly, loading, sampling
from wherewhen.inference.model import Model
from wherewhen.inference.model_config import ModelConfig
from wherewhen.live.feed import Feed
from wherewhen.live.wall_clock import Now
from wherewhen.live.zones import Masks
from wherewhen.runtime.hardware import described
from wherewhen.training.fit import fit
from wherewhen.video.reader import Spent, Want, reading
from wherewhen.video.writer import Writer

motion = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("motion.py"))))
RATE, BITS = 25, 4_000_000
VIDEOS = {
    "1080p-h264": ("libx264", (1920, 1080), {"preset": "veryfast", "bf": "0"}),
    "1080p-h264-b": ("libx264", (1920, 1080), {"preset": "veryfast", "bf": "3"}),
    "1080p-h264-default": ("libx264", (1920, 1080), {}),
    "1080p-h265": ("libx265", (1920, 1080), {"preset": "ultrafast", "x265-params": "log-level=error:pools=1"}),
    "720p-h264": ("libx264", (1280, 720), {"preset": "veryfast", "bf": "0"}),
    "720p-h265": ("libx265", (1280, 720), {"preset": "ultrafast", "x265-params": "log-level=error:pools=1"}),
}
BACKBONES: Mapping[str, Mapping[str, Any]] = {
    "motion": {"backbone": "motion"},
    "motion, 6 a second": {"backbone": "motion", "motion": {"rate": 6.0}},
    "shufflenet, 6 a second": {
        "backbone": "shufflenet",
        "shufflenet": {"rate": 6.0, "sampling": 1, "weights": "random"},
    },
}
PARTS = ("limit", "decode", "scale", "flow", "features", "model")
RATES = (12.5, 6.0, 2.0)  # pictures a second of readings that don't decode all
LATE = 1.0  # seconds that a picture may wait


def drawn(path: Path, kind: str, seconds: int) -> Path:
    """A made-up surveillance video: a textured wall, sensor noise, 12 patches that move."""
    codec, (width, height), options = VIDEOS[kind]
    rng = np.random.default_rng(0)
    wall = cv2.GaussianBlur(rng.integers(0, 255, (height, width, 3), np.uint8), (0, 0), height / 90)
    tall, wide = height // 8, height // 16
    patches = [cv2.resize(rng.integers(0, 255, (8, 4, 3), np.uint8), (wide, tall)) for _ in range(12)]
    starts, speeds = rng.random((12, 2)) * [width, height], rng.normal(0, height / 180, (12, 2))
    grain = [rng.integers(0, 4, wall.shape, np.uint8) for _ in range(4)]
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=RATE, options={**options, "threads": "1"})
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = width, height, "yuv420p", BITS
        stream.codec_context.gop_size = 2 * RATE
        for number in range(seconds * RATE):
            picture = cv2.add(wall, grain[number % 4])
            for patch, start, speed in zip(patches, starts, speeds, strict=True):
                x, y = ((start + number * speed) % [width - wide, height - tall]).astype(int)
                picture[y : y + tall, x : x + wide] = patch
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode())
    return path


def trained(settings: Mapping[str, Any], video: Path) -> Model:
    """A model that learned from two parts of a video for a few steps."""
    config = ModelConfig.of({"method": "cuboid_mil", "training": {"steps": 20}, **settings})
    videos = [Video(f"{label}", video, label, span=(label, label + 3.0)) for label in (0, 1)]
    bags = list(loading.bags(videos, config.training_specs("cpu"), workers=1, quiet=True))
    return fit(bags, config, device="cpu", quiet=True).best


def decoded(video: Path) -> None:
    """Decode all pictures with one thread."""
    with av.open(str(video)) as file:
        stream = file.streams.video[0]
        stream.codec_context.thread_count = 1
        motion.drained(file.decode(stream))


def shrunk(video: Path, model: Model, path: Path) -> Path:
    """The pictures that a backbone takes of a video, as a video of their own."""
    with Writer(path, model.backbone.clip.rate or RATE) as writer:
        for frame in sampling.frames(video, model.backbone.clip):
            writer.write(frame.image, frame.start)
    return path


def works_of(video: Path, small: Path, model: Model, spent: Spent) -> dict[str, Callable[[], None]]:
    """What is timed: all pictures decoded; read as a camera is; and on few small ones, longer and longer works."""
    backbone, spec = model.backbone, model.backbone.clip
    builder = registry.load("instances", "cells")
    cells = {"cells": builder(builder.Config())}

    def read() -> None:
        with reading(video, whole=False) as source:
            motion.drained(source.several([Want(spec.rate, *sampling.sizes(spec, 1), spec.new)], None, spent))

    works: dict[str, Callable[[], None]] = {
        "limit": lambda: decoded(video),
        "read": read,
        "small": lambda: motion.drained(sampling.frames(small, spec)),
        "flow": lambda: motion.flowed(small, spec, motion.PRESETS["ultrafast"]),
        "features": lambda: motion.drained(assembly.instances(assembly.Streams.of(small, spec), backbone, cells)),
        "model": lambda: motion.drained(model.stream(small)),
    }
    return works if model.config.backbone == "motion" else {part: works[part] for part in works if part != "flow"}


def costs(video: Path, small: Path, model: Model, seconds: float, rounds: int) -> dict[str, float]:
    """Milliseconds of one core for a second of video: of bare decoding (``limit``), and of each part."""
    least, scale = dict[str, float](), float("inf")
    for _ in range(rounds):
        spent = Spent()
        for part, work in works_of(video, small, model, spent).items():
            begin = process_time()
            work()
            least[part] = min(least.get(part, float("inf")), process_time() - begin)
        scale = min(scale, spent.resize)
    parts = {"limit": least.pop("limit"), "decode": least.pop("read") - scale, "scale": scale}
    parts |= {later: least[later] - least[part] for part, later in pairwise(least)}
    return {part: 1e3 * taken / seconds for part, taken in parts.items()}


class Watched(NamedTuple):
    """What a process that watches a camera measured: seconds, and MiB."""

    waited: float
    spent: float
    seconds: float
    memory: float


def watched(video: Path, run: Path) -> Watched:
    """Watch a file in real time."""
    cv2.setNumThreads(1)
    model, latest = Model.load(run, device="cpu"), 0.0
    begin, spent = time.time(), process_time()
    with Feed(video, Now(), lambda *_: None, Masks(()), float("inf"), Event()) as feed:
        for stretch in feed.stretches():
            for _ in model.stream(stretch):
                latest = max(latest, feed.queued)
    return Watched(latest, process_time() - spent, time.time() - begin, shared_memory())


def skipped(kind: str, video: Path, rounds: int) -> str:
    """A line of the table of pictures that are not decoded: of each rate, their share, and that of the time saved."""
    cells = []
    for rate in RATES:
        pictures, least = {}, {False: float("inf"), True: float("inf")}
        for _ in range(rounds):
            for whole in least:
                spent, begin = Spent(), process_time()
                with reading(video, whole=whole) as source:
                    motion.drained(source.several([Want(rate, 320)], None, spent))
                least[whole] = min(least[whole], process_time() - begin)
                pictures[whole] = spent.pictures
        cells += [f"{1 - pictures[False] / pictures[True]:.0%}", f"{1 - least[False] / least[True]:.0%}"]
    return f"| {kind} | {' | '.join(cells)} |"


def shared_memory() -> float:
    """Memory of this process in MiB, with its share of what it has in common with others; 0 where that is unknown."""
    try:
        lines = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(VIDEOS), help="kinds of videos")
    parser.add_argument("--skipping", action="store_true", help="only the table of pictures that are not decoded")
    parser.add_argument("--cameras", type=int, default=8, help="that watch in real time; 0: none")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        videos = {kind: drawn(Path(folder) / f"{kind}.mp4", kind, options.seconds) for kind in options.only.split(",")}
        if options.skipping:
            print(f"| video |{''.join(f' {rate}/s: not decoded | time saved |' for rate in RATES)}")
            print("|---|---:|---:|---:|---:|---:|---:|")
            for kind, video in videos.items():
                print(skipped(kind, video, options.rounds), flush=True)
            return
        first = next(iter(videos.values()))
        models = {name: trained(settings, first) for name, settings in BACKBONES.items()}
        print(described())
        print(
            "| row | limit | decode | scale | flow | features | model | all | x limit | cameras a core | at the limit |"
        )
        print("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
        for kind, video in videos.items():
            for name, model in models.items():
                small = shrunk(video, model, Path(folder) / f"{kind}, {name}.mp4")
                print(row(f"{kind}: {name}", costs(video, small, model, options.seconds, options.rounds)), flush=True)
        if options.cameras:
            run = Path(folder) / "run"
            models["motion"].save(run)
            print(real_time(first, run, options.cameras))


def row(name: str, parts: Mapping[str, float]) -> str:
    """A line of the table."""
    limit, total = parts["limit"], sum(parts.values()) - parts["limit"]
    cells = [f"{parts[part]:.0f}" if part in parts else "" for part in PARTS]
    ends = f"{total:.0f}", f"{total / limit:.2f}", f"{1e3 / total:.1f}", f"{1e3 / limit:.1f}"
    return f"| {name} | {' | '.join([*cells, *ends])} |"


def real_time(video: Path, run: Path, cameras: int) -> str:
    """Watch one file with several processes at once, and say whether they keep up."""
    with ProcessPoolExecutor(cameras, get_context("spawn")) as pool:
        measured = list(pool.map(watched, [video] * cameras, [run] * cameras))
    waited = max(camera.waited for camera in measured)
    cores = sum(camera.spent / camera.seconds for camera in measured)
    memory = np.mean([camera.memory for camera in measured])
    verdict = "carried" if waited < LATE else "too many"
    return (
        f"{cameras} cameras, {video.stem}, motion, on {os.cpu_count()} cores: {verdict}; a picture waited "
        f"{waited:.2f} s at most, {cores:.2f} cores in use, {memory:.0f} MiB a camera"
    )


if __name__ == "__main__":
    main()

"""Delay from an event in front of a camera to the message about it, through RTSP, by stage.

    python benchmarks/delay.py VIDEO [VIDEO ...] MODEL [--plays 20] [--duration 1] [--threshold 0.6]

A server of the system's GStreamer plays each VIDEO in real time, again and again; ``wherewhen watch``'s camera reads
it and puts alerts into the outbox, which a sink takes. Each alert is timed at its deciding picture, the one with which
its score has lasted ``--duration`` seconds. All stages but the first two are on the clock of this machine.
"""

from __future__ import annotations

import argparse
import runpy
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from wherewhen.core.contracts.sinks import Message, SinkAbilities
from wherewhen.inference.model import Model
from wherewhen.live import camera as live_camera
from wherewhen.live.feed import Feed
from wherewhen.live.outbox import Outbox
from wherewhen.live.settings import WatchConfig
from wherewhen.video import reader

control = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "tests" / "live" / "rtsp_control.py")))
STAGES = (
    "score lasts (duration)", "network and decoding", "queue", "clip is complete", "backbone", "method (reach)",
    "localizer (smoothing)", "alert and store", "outbox to sink",
)  # fmt: skip
Moments = list[tuple[float, float]]  # time in the stream and on the machine's clock


class Watch:
    """Moments at which each time of the stream passed a stage."""

    def __init__(self) -> None:
        self.arrived, self.taken, self.complete, self.features, self.scored, self.located = (
            Moments() for _ in range(6)
        )
        self.sent: list[tuple[Message, float]] = []

    def passed(self, moments: Moments, at: float) -> float:
        """When a time of the stream had passed a stage."""
        return next(moment for end, moment in moments if end >= at - 1e-6)


def timed(model: Model, watch: Watch) -> None:
    """Let a model note when its stages are done."""
    instances, answered, predictions = model.instances, model.answered, model.predictions

    def of_source(source: Any) -> Any:
        parts, tracks = instances(source)

        def noted() -> Iterator[Any]:
            for name, part in parts:
                end = float(part.extents[:, 1].max())
                watch.complete.append((end, watch.taken[-1][1]))
                watch.features.append((end, time.time()))
                yield name, part

        return noted(), tracks

    def of_parts(parts: Iterable[Any]) -> Iterator[Any]:
        for part, values in answered(parts):
            watch.scored.append((float(part.extents[:, 1].max()), time.time()))
            yield part, values

    def of_answers(parts: Iterable[Any], tracks: Any = None) -> Iterator[Any]:
        for step in predictions(parts, tracks):
            if step.frames is not None:
                watch.located.append((float(step.frames.edges[-1]), time.time()))
            yield step

    model.instances, model.answered, model.predictions = of_source, of_parts, of_answers  # type: ignore[method-assign]


def feed_of(watch: Watch) -> type[Feed]:
    """A feed that notes when pictures arrive and when they are taken."""

    class Timed(Feed):
        def _put(self, number: int, frame: Any, arrival: float) -> None:
            watch.arrived.append((frame.end, time.time()))
            super()._put(number, frame, arrival)

        def several(self, wants: Sequence[Any], span: Any = None, spent: Any = None) -> Iterator[Any]:
            for number, frame in super().several(wants, span, spent):
                watch.taken.append((frame.end, time.time()))
                yield number, frame

    return Timed


def sink_of(watch: Watch) -> Any:
    """A sink that notes when messages arrive."""

    class Sink:
        Config: ClassVar[type] = dict
        abilities: ClassVar[SinkAbilities] = SinkAbilities()

        def send(self, message: Message) -> None:
            watch.sent.append((message, time.time()))

        def close(self) -> None:
            pass

    return Sink()


def stages(watch: Watch, message: Message, arrived: float, played: float, origin: float) -> list[float]:
    """Seconds of each stage on the way of an alert."""
    start, at = message.after["start_time"] - origin, message.after["frame_time"] - origin
    kinds = (watch.arrived, watch.taken, watch.complete, watch.features, watch.scored, watch.located)
    moments = [played + start, played + at, *(watch.passed(moments, at) for moments in kinds), message.at, arrived]
    return [b - a for a, b in pairwise(moments)]


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path, nargs="+", metavar="VIDEO")
    parser.add_argument("model", type=Path)
    parser.add_argument("--plays", type=int, default=20)
    parser.add_argument("--duration", type=float, default=1.0)
    parser.add_argument(
        "--threshold", type=float, help="default: between the usual and the highest scores of the video"
    )
    parser.add_argument("--width", type=int, default=320)
    options = parser.parse_args()
    if (cause := control.missing()) is not None:
        raise SystemExit(cause)
    model = Model.load(str(options.model), device="cpu")
    rows = list[list[float]]()
    for video in options.videos:
        with tempfile.TemporaryDirectory() as folder:
            rows += rows_of(video, options, model, Path(folder))
    smoothing = 3 * getattr(model.localizer.config, "smooth_seconds", 0.0)
    report(rows, model.method.reach or 0.0, smoothing, options.duration)


def rows_of(video: Path, options: argparse.Namespace, model: Model, folder: Path) -> list[list[float]]:
    """The stages of the alerts of all plays of a video."""
    rate = Fraction(reader.probe(str(video)).rate).limit_denominator(100)
    pictures = (frame.image for frame in reader.frames(str(video), width=options.width))
    clip = control.Clip(
        folder / "clip.mp4", (image[: len(image) // 2 * 2, : image.shape[1] // 2 * 2] for image in pictures), rate
    )
    scores = [step.frames.values[0, 0, 0] for step in model.stream(clip.path) if step.frames is not None]
    threshold = options.threshold or float((np.median(scores) + max(scores)) / 2)
    alerts = {"threshold": threshold, "duration": options.duration, "cooldown_seconds": 0.0}
    server, rows, live_camera.LONGEST = control.Server(), list[list[float]](), 0.1
    try:
        url = server.offer("camera", clip.reel)
        config = WatchConfig({"camera": {"url": url, "model": str(options.model), "alerts": alerts}}).of_cameras[
            "camera"
        ]
        for number in range(options.plays):
            rows += played(model, Watch(), folder / str(number), config, server)
    finally:
        server.kill()
    return rows


def played(model: Model, watch: Watch, store: Path, config: Any, server: Any) -> list[list[float]]:
    """The stages of the alerts of one play."""
    fresh, stop = model.with_threshold(0.5), Event()  # a copy; the threshold of alerts is in their settings
    timed(fresh, watch)
    live_camera.Feed = feed_of(watch)  # type: ignore[misc]
    camera = live_camera.CameraWatch("camera", config, fresh, store, ["timed"], [])
    before = len(server.plays["camera"])
    thread = Thread(target=camera.run, args=(stop,))
    thread.start()
    while not (store / "live.db").exists():
        time.sleep(0.05)
    outbox = Outbox(store, {"timed": lambda: sink_of(watch)}, ["camera"])
    while not camera.status.reconnects:
        time.sleep(0.05)
    stop.set()
    thread.join()
    outbox.close()
    origin = camera._origin
    begin = server.plays["camera"][before]
    return [stages(watch, message, at, begin, origin) for message, at in watch.sent if message.kind == "new"]


def report(rows: list[list[float]], reach: float, smoothing: float, duration: float) -> None:
    """Print median and 95th percentile of each stage and of the whole."""
    table = np.array(rows)
    print(f"{len(table)} alerts\n| stage | p50 s | p95 s |\n|---|---|---|")
    for name, seconds in zip((*STAGES, "all"), [*table.T, table.sum(1)], strict=True):
        print(f"| {name} | {np.quantile(seconds, 0.5):.3f} | {np.quantile(seconds, 0.95):.3f} |")
    late = table.sum(1) - table[:, 0]
    bound = reach + smoothing + 0.5
    print(f"after the deciding picture: p50 {np.quantile(late, 0.5):.3f} s, p95 {np.quantile(late, 0.95):.3f} s")
    print(f"bound: {bound:.2f} s = reach {reach:.2f} + smoothing {smoothing:.2f} + 0.5; duration {duration:g} s")


if __name__ == "__main__":
    main()

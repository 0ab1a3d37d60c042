"""How long judging takes: a made-up test set of UCF-Crime's size, each number beside a stated alternative.

    python benchmarks/metrics.py

Processor seconds, so that other load on the machine matters little. Ratios are alternative / ours, from the same run
on the same data; where an alternative would take hours it runs on a share of the data, which is said, and its time
is scaled up.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time

import numpy as np
from sklearn import metrics as sk

from wherewhen.core import registry
from wherewhen.core.values import Event, HeatMap, Prediction, Scores, Truth, Video
from wherewhen.evaluation import pages
from wherewhen.metrics import rbdc, roc_auc
from wherewhen.runtime.hardware import described
from wherewhen.video.writer import Writer

VIDEOS, FRAMES, RATE, GRID = 300, 1_100_000, 30, 7
REGIONS, BOXED, SHARE = 1_000_000, 40_000, 0.1  # regions of a test set, its frames, share of these for alternatives


def made_up(seed: int = 0) -> tuple[dict[str, Prediction], dict[str, Truth]]:
    """300 videos, about 1.1 million frames, scores per 16 frames on 7x7 cells, a box per frame in 140 of them."""
    rng = np.random.default_rng(seed)
    lengths = rng.multinomial(FRAMES - 600 * VIDEOS, rng.dirichlet(np.ones(VIDEOS))) + 600
    predictions, truths = {}, {}
    for number, frames in enumerate(lengths):
        edges = np.arange(frames + 1) / RATE
        steps = -(-frames // 16)
        times = np.minimum(np.arange(steps + 1) * 16, frames) / RATE
        heat = rng.random((steps, GRID, GRID), np.float32)
        corner = rng.random((steps, 2)) * 0.6
        rows = np.c_[times[:-1], times[1:], corner, corner + 0.3]
        spans, boxes = np.empty((0, 2)), np.empty((0, 6))
        if number < 140:
            first = int(rng.integers(0, frames - 500))
            walk = 0.3 + 0.2 * np.sin(np.arange(500) / 50)
            spans = np.array([[edges[first], edges[first + 500]]])
            times_of = np.c_[edges[first : first + 500], edges[first + 1 : first + 501]]
            boxes = np.c_[times_of, walk, walk, walk + 0.4, walk + 0.4]
        key = f"v{number:03}"
        truths[key] = Truth(edges, spans, boxes, np.zeros(len(boxes), np.int64))
        events = tuple(
            Event(row[None], score) for row, score in zip(rows[::20], rng.random(len(rows[::20])), strict=True)
        )
        top = HeatMap(heat.max((1, 2)), times)
        predictions[key] = Prediction(top, HeatMap(heat, times), Scores(rows, rng.random(steps)), events)
    return predictions, truths


def seconds(work: Callable[[], object]) -> float:
    start = process_time()
    work()
    return process_time() - start


def painted(predictions: dict[str, Prediction], truths: dict[str, Truth], keys: list[str]) -> int:
    """The alternative for pixels: every frame's map and truth at full size, one after the other."""
    height, width, flagged = 240, 320, 0
    rows = (np.arange(height) + 0.5) * GRID // height
    columns = (np.arange(width) + 0.5) * GRID // width
    place = np.ix_(rows.astype(int), columns.astype(int))
    for key in keys:
        truth = truths[key]
        maps = predictions[key].heat.on(truth.edges)  # type: ignore[union-attr]
        box_of = np.searchsorted(truth.boxes[:, 0], truth.edges[:-1], "right") - 1
        for frame, busy in enumerate(truth.frames):
            picture, mask = maps[frame][place], np.zeros((height, width), bool)
            if busy:
                x0, y0, x1, y1 = truth.boxes[box_of[frame], 2:]
                mask[int(y0 * height) : int(y1 * height), int(x0 * width) : int(x1 * width)] = True
                flagged += int(np.sum(picture[mask] >= 0.5) >= 0.4 * mask.sum())
            else:
                flagged += int(picture.max() >= 0.5)
    return flagged


def one_by_one(truth: rbdc.Regions, found: rbdc.Regions) -> int:
    """The alternative for regions: detection after detection against the boxes of its frame."""
    boxes: dict[int, list[np.ndarray]] = {}
    for frame, box in zip(truth.frames.tolist(), truth.boxes, strict=True):
        boxes.setdefault(frame, []).append(box)
    false = 0
    for i in np.argsort(-found.marks):
        near = boxes.get(int(found.frames[i]), [])
        hits = 0
        for box in near:
            a = found.boxes[i]
            both = max(min(a[2], box[2]) - max(a[0], box[0]), 0) * max(min(a[3], box[3]) - max(a[1], box[1]), 0)
            union = (a[2] - a[0]) * (a[3] - a[1]) + (box[2] - box[0]) * (box[3] - box[1]) - both
            hits += both >= 0.1 * union
        false += not hits
    return false


def main() -> None:
    rng = np.random.default_rng(1)
    predictions, truths = made_up()
    total = sum(len(truth.edges) - 1 for truth in truths.values())
    print(described())
    print(f"{len(truths)} videos, {total:,} frames, {sum(len(t.boxes) for t in truths.values()):,} truth boxes\n")
    print(f"{'family':<18}{'seconds':>9}")
    for name in registry.names("metrics"):
        compute = registry.load("metrics", name).compute
        print(f"{name:<18}{seconds(lambda compute=compute: compute(predictions, truths)):>9.2f}")

    print(f"\n{'work':<40}{'ours':>9}{'other':>9}{'ratio':>8}  alternative")
    keys = sorted(truths)
    labels = np.concatenate([truths[key].frames for key in keys])
    held = np.concatenate([predictions[key].frames.on(truths[key].edges)[:, 0, 0] for key in keys])
    for title, scores in (
        ("AUC of frames, scores per 16", held),
        ("AUC of frames, all scores differ", rng.random(total)),
    ):
        mine, theirs = partial(roc_auc, scores, labels), partial(sk.roc_auc_score, labels, scores)
        assert abs(mine() - theirs()) < 1e-9
        ours, other = (min(seconds(work) for _ in range(3)) for work in (mine, theirs))
        report(title, ours, other, "scikit-learn roc_auc_score")

    pixel = registry.load("metrics", "pixel").compute
    few = keys[:3]
    share = sum(len(truths[key].edges) - 1 for key in few) / total
    ours, other = seconds(lambda: pixel(predictions, truths)), seconds(lambda: painted(predictions, truths, few))
    report(
        "pixel criterion, all thresholds", ours, other / share, f"one threshold at 240x320, on {share:.1%} of frames"
    )

    for count in (100_000, REGIONS):
        truth, found = (scattered(rng, count) for _ in range(2))
        part = first_frames(truth, SHARE), first_frames(found, SHARE)
        ours, other = seconds(partial(rbdc.curves, truth, found, BOXED)), seconds(partial(one_by_one, *part))
        report(
            f"RBDC, TBDC of {count:,} regions",
            ours,
            other / SHARE,
            f"one detection after another, {SHARE:.0%} of frames",
        )

    with TemporaryDirectory() as folder:
        page, film = Path(folder) / "report.html", Path(folder) / "film.mp4"
        drawn(film, max(len(truth.edges) for truth in truths.values()))
        videos = [Video(key, film, truths[key].label) for key in keys]
        ours = seconds(lambda: pages.page(page, "", videos=videos, predictions=predictions, truths=truths))
        size = page.stat().st_size / 2**20
    figures(predictions, truths, keys[:1])
    some = keys[:: round(1 / SHARE)]
    other = seconds(lambda: figures(predictions, truths, some)) * len(keys) / len(some)
    report(
        f"report of {len(keys)} videos, {size:.1f} MiB", ours, other, f"matplotlib, curves alone, {SHARE:.0%} of them"
    )


def scattered(rng: np.random.Generator, count: int) -> rbdc.Regions:
    """Boxes of a fifth of the sides at random places of `BOXED` frames."""
    corners = rng.random((count, 2)) * 0.7
    return rbdc.Regions(rng.integers(0, BOXED, count), np.c_[corners, corners + 0.2], rng.integers(0, 900, count))


def first_frames(regions: rbdc.Regions, share: float) -> rbdc.Regions:
    early = regions.frames < share * BOXED
    return rbdc.Regions(regions.frames[early], regions.boxes[early], regions.marks[early])


def drawn(path: Path, frames: int) -> None:
    """A film of so many gray pictures, from which a report takes those of its examples."""
    with Writer(path, RATE) as writer:
        for frame in range(frames):
            writer.write(np.full((48, 64, 3), frame % 200, np.uint8))


def figures(predictions: dict[str, Prediction], truths: dict[str, Truth], keys: list[str]) -> None:
    """The alternative for a report: a matplotlib figure of the scores of each video."""
    from matplotlib import pyplot

    for key in keys:
        figure, axes = pyplot.subplots(figsize=(6, 1.5))
        axes.stairs(predictions[key].frames.on(truths[key].edges)[:, 0, 0], truths[key].edges)  # type: ignore[union-attr]
        figure.savefig(BytesIO(), format="svg")
        pyplot.close(figure)


def report(title: str, ours: float, other: float, alternative: str) -> None:
    print(f"{title:<40}{ours:>9.3f}{other:>9.3f}{other / ours:>8.1f}  {alternative}")


if __name__ == "__main__":
    main()

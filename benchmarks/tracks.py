"""How well tracks keep who is who on toy scenes, whose tracks are exact: IDF1 and HOTA by public tools.

    pip install --no-deps motmetrics xmltodict trackeval
    python benchmarks/tracks.py [--scenes 3] [--seconds 20]

Two rows: boxes out of ``motion``, and exact boxes (1 pixel of noise, one in ten left out) so that linking is judged
alone. A box belongs to a mover where they overlap by at least 0.3 for IDF1 (motmetrics); HOTA (trackeval) is the mean
over overlaps of 0.05 to 0.95. Movers that show fewer than 100 of 320x240 pixels as their box are left out.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from wherewhen.core import extents as ext
from wherewhen.core import linking
from wherewhen.core.values import Boxes
from wherewhen.datasets import toy
from wherewhen.datasets._toy_acts import fill
from wherewhen.datasets._toy_render import render
from wherewhen.extraction import box_tracks
from wherewhen.video.writer import Writer

LEAST = 100 / (320 * 240)


def drawn(settings: toy.Toy, index: int, path: Path) -> list[Boxes]:
    """Draw a clip into a file and give the exact boxes of everyone in it, whether anomalous or not."""
    planned = toy.plan(settings)[index]
    scene = toy._scene(planned.scene, settings.width, settings.height)
    rng = np.random.default_rng([settings.seed, 0xC11B, index])
    actors = fill(scene, rng, settings.rate, settings.frames, planned.kind)
    actors = [replace(actor, hot=np.ones(len(actor.hot), bool)) for actor in actors]
    truth = []
    with Writer(path, settings.rate) as writer:
        for k, picture in enumerate(render(scene, actors, rng, settings.rate, settings.frames)):
            writer.write(picture.image)
            times = (k / settings.rate, (k + 1) / settings.rate)
            boxes = list(picture.boxes.values())
            rows = ext.from_pixels(boxes, [times] * len(boxes), settings.width, settings.height)
            large = ext.area(rows) >= LEAST
            who = np.array(list(picture.boxes), np.int64)[large]
            truth.append(Boxes(*times, rows[large], np.ones(int(large.sum())), track=who))
    return truth


def worn(truth: Iterable[Boxes], seed: int) -> Iterator[Boxes]:
    """Exact boxes as a good detector would give them."""
    rng = np.random.default_rng(seed)
    for boxes in truth:
        kept = rng.random(len(boxes.values)) > 0.1
        rows = boxes.extents[kept].copy()
        rows[:, 2:] = (rows[:, 2:] + rng.normal(0, 1 / 320, (len(rows), 4))).clip(0, 1)
        rows[:, 4:] = np.maximum(rows[:, 4:], rows[:, 2:4])
        yield Boxes(boxes.start, boxes.end, rows, np.full(len(rows), 0.9))


def pairs(truth: list[Boxes], found: Iterable[Boxes]) -> list[tuple[Boxes, Boxes]]:
    """What was found beside the truth of the frame that it was found in."""
    starts = np.array([boxes.start for boxes in truth])
    return [(truth[int(np.searchsorted(starts, boxes.start + 1e-6, "right")) - 1], boxes) for boxes in found]


def idf1(scenes: list[list[tuple[Boxes, Boxes]]]) -> dict[str, float]:
    import motmetrics

    books = []
    for scene in scenes:
        book = motmetrics.MOTAccumulator(auto_id=True)
        for true, found in scene:
            apart = 1 - ext.iou(true.extents[:, None], found.extents[None])
            book.update(true.track.tolist(), found.track.tolist(), np.where(apart > 0.7, np.nan, apart))
        books.append(book)
    names = ["idf1", "recall", "precision", "num_switches"]
    table = motmetrics.metrics.create().compute_many(books, metrics=names, generate_overall=True)
    return {name: float(table[name]["OVERALL"]) for name in names}


def hota(scenes: list[list[tuple[Boxes, Boxes]]]) -> dict[str, float]:
    with contextlib.redirect_stdout(io.StringIO()):
        from trackeval.metrics import HOTA

        judged: list[dict[str, Any]] = []
        for scene in scenes:
            data: dict[str, Any] = {
                "similarity_scores": [ext.iou(t.extents[:, None], f.extents[None]) for t, f in scene]
            }
            for side, key in ((0, "gt"), (1, "tracker")):
                every = np.unique(np.concatenate([pair[side].track for pair in scene]))
                data[f"{key}_ids"] = [np.searchsorted(every, pair[side].track) for pair in scene]
                data[f"num_{key}_ids"] = len(every)
                data[f"num_{key}_dets"] = sum(len(pair[side].track) for pair in scene)
            judged.append(HOTA().eval_sequence(data))
    return {name: float(np.mean([np.mean(one[name]) for one in judged])) for name in ("HOTA", "DetA", "AssA")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=20)
    told = parser.parse_args()
    cv2.setNumThreads(1)
    rows: dict[str, list[list[tuple[Boxes, Boxes]]]] = {"motion": [], "exact boxes, worn": []}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(told.scenes):
            settings = toy.Toy(
                seed=seed,
                scene=seed,
                seconds=told.seconds,
                clips_normal=1,
                clips_anomalous=2,
                kinds=("wheels", "running"),
            )
            for index in (0, 1):
                path = Path(folder) / f"{seed}{index}.mp4"
                truth = drawn(settings, index, path)
                rows["motion"].append(pairs(truth, box_tracks.tracked(path, box_tracks.proposer("motion"))))
                sampled = truth[::2]
                rows["exact boxes, worn"].append(pairs(truth, linking.link(worn(sampled, seed))))
    for name, scenes in rows.items():
        numbers = {**idf1(scenes), **hota(scenes)}
        print(name, ", ".join(f"{key} {value:.3f}" for key, value in numbers.items()))


if __name__ == "__main__":
    main()

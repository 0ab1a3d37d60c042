"""A data set with truth (``gt.json``, ``splits.json``, masks): labels, folds, spans and boxes, or an error."""

from __future__ import annotations

from pathlib import Path
from random import Random

import mutate_arrays
import mutate_text
import numpy as np
from case import Kind, Wrong, mirrored


def seeds(corpus: Path) -> None:
    from wherewhen.core.extents import from_pixels
    from wherewhen.core.values import Dataset, Fold, Truth, Video
    from wherewhen.datasets import native

    videos, truths = [], {}
    edges = np.arange(26) / 12.5
    (corpus.parent / "native-videos").mkdir(exist_ok=True)
    for number in range(4):
        label, name = number % 2, f"v{number}"
        path = corpus.parent / "native-videos" / f"{name}.mp4"
        path.touch()
        videos.append(Video(name, path, label, "run" if label else None))
        times = [(k / 12.5, (k + 1) / 12.5) for k in range(8, 20)] if label else []
        rows = from_pixels([(k, 16, k + 12, 28) for k in range(len(times))], times, 64, 48)
        masks = np.zeros((25, 48, 64), bool)
        masks[8:20, 16:28, 4:16] = bool(label)
        spans = np.array([[8, 20]]) / 12.5 if label else np.empty((0, 2))
        categories = ("run",) if label else ()
        truths[name] = Truth(edges, spans, rows, np.zeros(len(rows), np.int64), categories, lambda made=masks: made)
    folds = (Fold("first", tuple(videos[:2]), tuple(videos[2:])),)
    corpus.rmdir()
    native.write(corpus, Dataset("yard", tuple(videos), folds), truths, dict.fromkeys(truths, (64, 48)))


def mutated(rng: Random, name: str, data: bytes) -> bytes:
    return (mutate_arrays if name.endswith(".npz") else mutate_text).mutated(rng, name, data)


def judge(file: Path, corpus: Path) -> None:
    from wherewhen.datasets import native

    root = mirrored(file, corpus)
    dataset, truths = native.load(root), native.truth(root)
    for video in dataset.videos:
        if video.label not in (0, 1) or video.id not in truths:
            raise Wrong("a video without label or truth", f"{video.id!r}: {video.label}")
    for name, one in truths.items():
        borders = one.edges
        if not (np.isfinite(borders).all() and (np.diff(borders) > 0).all()):
            raise Wrong("frame borders that don't rise", name)
        if len(one.spans) and not (one.spans[:, 0] < one.spans[:, 1]).all():
            raise Wrong("impossible spans", f"{name!r}: {one.spans.tolist()}")
        if not np.isfinite(one.boxes).all() or (len(one.boxes) and one.boxes[:, 2:].max() > 1 + 1e-9):
            raise Wrong("boxes outside of the picture", name)
        if one.masks is not None and one.masks().shape[0] != len(borders) - 1:
            raise Wrong("masks of another length", f"{name!r}: {len(borders) - 1} frames")


KIND = Kind(seeds, mutated, judge, ("gt.json", "splits.json", "masks/*.npz"))

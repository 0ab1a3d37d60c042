"""Features that others made (npy, text): a store with finite numbers, or what is wrong with which file."""

from __future__ import annotations

from pathlib import Path
from random import Random

import mutate_arrays
import mutate_text
import numpy as np
from case import Kind, Wrong, check_command, command, mirrored


def seeds(corpus: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("Abuse001_x264", "Normal_Videos_003_x264"):
        np.save(corpus / f"{name}.npy", rng.normal(size=(12, 10, 8)).astype(np.float32))
    (corpus / "labels.csv").write_text(
        "path,label,class,seconds\nAbuse001_x264.mp4,1,Abuse,8.0\nNormal_Videos_003_x264.mp4,0,,8.0\n"
    )


def mutated(rng: Random, name: str, data: bytes) -> bytes:
    return (mutate_arrays if name.endswith(".npy") else mutate_text).mutated(rng, name, data)


def judge(file: Path, corpus: Path) -> None:
    from wherewhen import datasets
    from wherewhen.core.feature_file import open_features

    root = mirrored(file, corpus)
    store = root.parent / f"{root.name}-store"
    words = ["--output", store, "--labels", root / "labels.csv", "--frames_per_clip", 16, "--rate", 25]
    code, _, err = command("features", "import", root, *words)
    if code in (0, 3):
        for video in datasets.reader_of(store).load(store).videos:
            if not np.isfinite(open_features(video.path).instances().features).all():
                raise Wrong("features that are not finite are taken in", video.id)
    check_command(code, err, file.name, root.name, store.name)


KIND = Kind(seeds, mutated, judge)

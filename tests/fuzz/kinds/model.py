"""Files of trained models: scores in [0, 1] that are not mute, or an error that names file and fault."""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random
from typing import Any

import mutate_arrays
import numpy as np
import seeds as made
from case import Kind, Wrong, common


def seeds(corpus: Path) -> None:
    run = common(corpus, "run", made.trained)
    shutil.copy(run / "weights" / "best.safetensors", corpus / "best.safetensors")


def mutated(rng: Random, name: str, data: bytes) -> bytes:
    return mutate_arrays.mutated(rng, name, data)


def check_scores(prediction: Any) -> None:
    """Wrong, where scores are no scores, or events none that can be."""
    frames = prediction.frames.values
    if not np.isfinite(frames).all() or frames.min() < 0 or frames.max() > 1:
        raise Wrong("scores outside of [0, 1]", f"from {frames.min()} to {frames.max()}")
    for event in prediction.events:
        if not (0 <= event.score <= 1 and event.start < event.end):
            raise Wrong("an impossible event", f"{event.start} to {event.end} s, score {event.score}")


def judge(file: Path, corpus: Path) -> None:
    from wherewhen.inference.model import Model

    model = Model.load(file, device="cpu")
    found = model.detect(common(corpus, "clips", made.clips) / "anomalous" / "a0.mp4")
    check_scores(found.prediction)
    if not found.prediction.frames.values.any():
        raise Wrong("every score is exactly 0, in silence")


KIND = Kind(seeds, mutated, judge)

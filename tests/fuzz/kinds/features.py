"""Files of features, and the index of their store: scores in [0, 1] from them, or an error."""

from __future__ import annotations

import shutil
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

import mutate_arrays
import mutate_text
import seeds as made
from case import Kind, common, mirrored
from kinds.model import check_scores


def seeds(corpus: Path) -> None:
    common(corpus, "run", made.trained)
    store = common(corpus, "store", made.extracted)
    corpus.rmdir()
    shutil.copytree(store, corpus)


def mutated(rng: Random, name: str, data: bytes) -> bytes:
    return (mutate_arrays if name.endswith(".safetensors") else mutate_text).mutated(rng, name, data)


@lru_cache(maxsize=1)
def _model(run: Path) -> Any:
    from wherewhen.inference.model import Model

    return Model.load(run, device="cpu")


def judge(file: Path, corpus: Path) -> None:
    from wherewhen import datasets
    from wherewhen.evaluation.evaluator import detect_bags, normalized
    from wherewhen.extraction import loading

    root = mirrored(file, corpus)
    model = _model(common(corpus, "run", made.trained))
    dataset = datasets.reader_of(root).load(root)
    datasets.reader_of(root).truth(root)
    for bag in loading.gathered(dataset.videos, model.config.feature_specs("cpu"), quiet=True):
        for prediction in detect_bags(model, normalized(model, [bag])).values():
            check_scores(prediction)


KIND = Kind(seeds, mutated, judge, ("features.json", "*/**/*.safetensors"))

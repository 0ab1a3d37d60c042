"""What looking by words costs, as ratios within one run: python benchmarks/words.py [--quick] [--rounds 5].

Zero-shot: pictures a second through windows (83 crops of each, encoded in batches) and through patches (one pass for
all), from pictures to class maps, decoding left out; on ``clip`` b32 with random weights and on ``toywords``. Prompts
are seeded unit vectors, as many as the default file has: no vocabulary is needed. SA2: the share of `stprompt`'s
training step that choosing patches by motion and adding their mean takes, by timing just that in the same shapes. One
thread, all in turn, the best of ROUNDS; compare ratios, never seconds.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # one core: before numpy and torch come

import argparse
from collections.abc import Callable
from functools import partial
from time import process_time
from typing import Any

import cv2
import numpy as np
import torch

from wherewhen.core import extents as ext
from wherewhen.core import prompts, registry
from wherewhen.core.contracts import Classes, View
from wherewhen.core.values import Clip, Pixels
from wherewhen.inference.class_maps import ClassMap
from wherewhen.methods import stprompt
from wherewhen.methods._grid import lanes
from wherewhen.text import spatial
from wherewhen.text.encoders import settings_of
from wherewhen.text.zero_shot import cut

SIZE = (240, 320)
RANDOM = {"clip": {"weights": "random", "variant": "b32"}, "toywords": {}}


def best(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Seconds of the processor for each, taken in turn; the first round doesn't count."""
    spent: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds + 1):
        for name, work in works.items():
            begun = process_time()
            work()
            spent[name].append(process_time() - begun)
    return {name: min(times[1:]) for name, times in spent.items()}


class Looker:
    """A backbone with both views of zero-shot detection; texts are drawn."""

    def __init__(self, name: str) -> None:
        plugin, given = registry.load("backbones", name), RANDOM[name]
        one = {"frames": 1, "sampling": 1} if name == "clip" else {"frames": 1}
        self.whole = plugin(settings_of(name, given, layer="embedding", **one))
        self.patches = plugin(settings_of(name, given, layer="patches", **one))
        told = prompts.read("default")
        self.owners, self.classes = told.owners, len(told.names)
        length = self.whole(np.zeros((1, 1, *SIZE, 3), np.uint8)).shape[-1]
        texts = np.random.default_rng(0).normal(size=(len(told.texts), length)).astype(np.float32)
        self.texts = texts / np.linalg.norm(texts, axis=1, keepdims=True)
        self.places = ext.windows()

    def by_windows(self, picture: Pixels) -> ClassMap:
        seen = cut(Clip(picture[None], np.array([0.0, 1.0])), self.whole, self.places)
        return self.mapped(ext.mean_map(seen.extents, self.likely(seen.features), (24, 24)))

    def by_patches(self, picture: Pixels) -> ClassMap:
        size = self.patches.clip.size
        fit = picture if size is None else cv2.resize(picture, size)
        grid = self.patches(fit[None, None])[0, 0]
        return self.mapped(self.likely(grid.reshape(-1, grid.shape[-1])).reshape(*grid.shape[:2], -1))

    def likely(self, features: Any) -> Any:
        return spatial.by_class(spatial.likelihoods(features, self.texts, spatial.SCALE), self.owners, self.classes)

    def mapped(self, picture: Any) -> ClassMap:
        return ClassMap(picture[None], np.array([0.0, 1.0]))


def compared(name: str, rounds: int) -> None:
    """Print how many pictures patches take in the time of one by windows."""
    looker = Looker(name)
    picture = np.random.default_rng(1).integers(0, 256, (*SIZE, 3), np.uint8)
    works = {"windows": partial(looker.by_windows, picture), "patches": partial(looker.by_patches, picture)}
    with torch.inference_mode():
        spent = best(works, rounds)
    ratio = spent["windows"] / spent["patches"]
    each = ratio / len(looker.places)
    print(f"{name:9s} patches / windows: {ratio:7.1f} x the pictures a second; a crop costs {each:.2f} of a picture")


def step_of(batch: tuple[dict[str, View], torch.Tensor], length: int) -> Callable[[], object]:
    """One training step of stprompt, ready to be taken again and again."""
    torch.manual_seed(0)
    dims = {"cells": length, "moving": 1}
    method = stprompt.STPrompt(stprompt.STPromptConfig(), dims, Classes(("a", "b"))).train()
    optimizer = torch.optim.Adam(method.parameters())

    def step() -> None:
        optimizer.zero_grad()
        torch.stack([*method.loss(method(batch[0]), *batch).values()]).sum().backward()
        optimizer.step()

    return step


def drawn(bags: int, steps: int, side: int, length: int) -> tuple[dict[str, View], torch.Tensor]:
    """A batch of bags on a grid, every second one anomalous."""
    torch.manual_seed(1)
    count, shape = steps * side * side, (steps, side, side)

    def view(size: int) -> View:
        features, mask = torch.rand(bags, count, size), torch.ones(bags, count, dtype=torch.bool)
        return View(features, torch.zeros(bags, count, 6), -torch.ones(bags, count), mask, (shape,) * bags)

    return {"cells": view(length), "moving": view(1)}, torch.arange(bags) % 3


def shared(rounds: int, quick: bool) -> None:
    """Print the share of SA2 in a step of stprompt on 7 x 7 patches of 512 numbers."""
    batch = drawn(4 if quick else 32, 32, 7, 512)
    whole = lanes(batch[0]["cells"])
    config, motion = stprompt.STPromptConfig(), lanes(batch[0]["moving"]).features.norm(dim=-1)

    def added() -> None:
        """All that SA2 does; features aren't learnt, so nothing comes back."""
        weights = stprompt.chosen(motion, whole.held, config)
        torch.einsum("btp,btpd->btd", weights, whole.features)

    spent = best({"step": step_of(batch, 512), "added": added}, rounds)
    print(f"SA2       {spent['added'] / spent['step']:.3f} of a training step of stprompt")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round and a small batch: a minute of processor time")
    parser.add_argument("--rounds", type=int, default=5)
    told = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    rounds = 1 if told.quick else told.rounds
    for name in RANDOM:
        compared(name, rounds)
    shared(rounds, told.quick)


if __name__ == "__main__":
    main()

"""A video looked at again: each planted way to make features is found, with an own loop over the pictures as oracle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from wherewhen.core import registry
from wherewhen.core.config import build
from wherewhen.core.errors import ConfigError, DataError
from wherewhen.core.values import Features, Pixels
from wherewhen.data_tools.features.diff import Sheet, Sheets, verify
from wherewhen.data_tools.features.trials import AS_TOLD, concluded, tried
from wherewhen.video import reader
from wherewhen.video.writer import Writer

FRAMES, SIDE = 4, 96
SHAPE = {"stride": FRAMES, "frames": FRAMES, "sampling": 1, "size": [SIDE, SIDE], "rate": None}
SETTINGS = {"weights": "random", "layer": "stage2", **SHAPE}
MADE = {"backbone": "shufflenet", "shufflenet": {**SETTINGS, "weights": "random, seed 0"}, "instances": "cells"}
PASSPORT = {"made": {**MADE, "cells": {"rows": 2, "columns": 2, "steps": 1}}}


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A colored scene that is nowhere symmetric, wider than high."""
    path = tmp_path_factory.mktemp("video") / "v.mp4"
    ground = cv2.resize(np.random.default_rng(0).integers(0, 255, (6, 8, 3), np.uint8), (128, 96))
    with Writer(path, 25) as writer:
        for k in range(40):
            picture = np.roll(ground, k, 1).copy()
            picture[20:50, 3 * k % 100 : 3 * k % 100 + 20] = (250, 60, 10)
            writer.write(np.asarray(picture, np.uint8))
    return path


def made(
    video: Path,
    change: Callable[[Pixels], Pixels] = lambda p: p,
    step: int = FRAMES,
    scale: float = 1.0,
    native: bool = False,
) -> Features:
    """Features ``(T, 4, D)`` by a loop of our own: means of the quarters of each clip's map."""
    plugin = registry.load("backbones", "shufflenet")
    network = plugin(build(plugin.Config, SETTINGS, "shufflenet"))
    pictures = [change(f.image) for f in reader.frames(video, size=None if native else (SIDE, SIDE))]
    rows = []
    for start in range(0, len(pictures) - FRAMES + 1, step):
        clip = np.ascontiguousarray(np.stack(pictures[start : start + FRAMES]))[None]
        with torch.no_grad():
            found = network.module(torch.from_numpy(clip).float() * scale)[0].mean(0).numpy()
        h, w = found.shape[0] // 2, found.shape[1] // 2
        rows.append(np.stack([found[y : y + h, x : x + w].mean((0, 1)) for y in (0, h) for x in (0, w)]))
    return np.stack(rows).astype(np.float32)


def cropped(picture: Pixels) -> Pixels:
    return np.asarray(cv2.resize(picture[:, 16:112], (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


PLANTED: dict[str, dict[str, Any]] = {
    AS_TOLD: {},
    "blue before red (BGR)": {"change": lambda p: p[..., ::-1]},
    "mirrored": {"change": lambda p: p[:, ::-1]},
    "center crop of the picture, square": {"change": cropped, "native": True},
    "values 0 to 1 instead of 0 to 255": {"scale": 1 / 255},
    "stride 8": {"step": 8},
}


def sides(video: Path, theirs: Features) -> tuple[Sheets, Sheets]:
    own = made(video)
    return {"v": lambda: Sheet(own, PASSPORT)}, {"v": lambda: Sheet(theirs)}


@pytest.mark.parametrize("way", PLANTED)
def test_the_planted_way_comes_first(way: str, video: Path) -> None:
    a, b = sides(video, made(video, **PLANTED[way]))
    trials = tried(a, b, str(video), clips=2 if "stride" in way else 1)
    assert trials[0].way == way and trials[0].cosine > 0.999999, trials[:3]
    if way != AS_TOLD:
        verdict = concluded(verify(a, b), trials)
        assert verdict.causes[0].name == way and "gives b's features" in verdict.causes[0].told
        assert next(t for t in trials if t.way == AS_TOLD).error > 10 * trials[0].error


def test_what_cannot_be_tried_is_told(video: Path) -> None:
    a, b = sides(video, np.zeros((3, 4, 7), np.float32))
    with pytest.raises(DataError, match="none of its clips gives features of 7 numbers"):
        tried(a, b, str(video), clips=1)
    with pytest.raises(ConfigError, match="no passport that names their backbone"):
        tried(b, b, str(video))
    with pytest.raises(ConfigError, match="clips are at least 1"):
        tried(a, b, str(video), clips=0)

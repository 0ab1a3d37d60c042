"""What every backbone keeps to, whatever it sees."""

from __future__ import annotations

import re
import warnings
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wherewhen.core import registry
from wherewhen.core.config import build
from wherewhen.core.contracts import ClipSpec, Provenance
from wherewhen.core.errors import ConfigError
from wherewhen.core.store import cache_folder, plain
from wherewhen.core.values import Pixels, Video
from wherewhen.extraction import extractor
from wherewhen.extraction.extractor import FeatureSpec
from wherewhen.runtime import select
from wherewhen.runtime.network import Network
from wherewhen.video.writer import Writer

NAMES = [*registry.names("backbones"), "motion+frame_difference"]
pytestmark = [pytest.mark.parametrize("name", NAMES), pytest.mark.usefixtures("quick_noise")]

SHORT: dict[str, dict[str, Any]] = {  # big networks see fewer and smaller pictures or end earlier, to be fast
    "c3d": {"layer": "pool2"},
    "clip": {"variant": "b32", "frames": 2, "sampling": 1},
    "i3d": {"frames": 4},
    "imported": {"backbone": "frame_difference"},  # nothing can be looked at without one
    "uniformer": {"frames": 8, "sampling": 1, "size": [64, 64]},
    "videomae": {"sampling": 1, "block": 1, "steps": 1},
    "shufflenet": {"layer": "stage2"},
    "x3d": {"layer": "res2", "sampling": 1},
}


def own_network() -> dict[str, Any]:
    """Settings of ``file``, which is nothing without somebody's network: means of 16 x 16 pixels."""
    path = cache_folder() / "own.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(torch.nn.AvgPool2d(16)).save(str(path))
    return {"path": str(path), "trust": True, "input": "BCHW", "output": "BCHW"}


@cache
def made(name: str) -> Any:
    cls = registry.load("backbones", name)
    seeded = {"weights": "random"} if "weights" in {f.name for f in fields(cls.Config)} else {}
    seeded |= own_network() if name == "file" else {}
    return cls(build(cls.Config, seeded | SHORT.get(name, {}), name))


def clips(count: int, height: int, width: int, frames: int, seed: int = 0) -> Pixels:
    """Noise with a bright square that crosses it: ``(count, frames, height, width, 3)``."""
    rng = np.random.default_rng(seed)
    pictures = np.repeat(rng.integers(0, 120, (count, 1, height, width, 3), np.uint8), frames, 1)
    for number in range(count):
        for frame in range(frames):
            x = 3 * number + 2 * frame
            pictures[number, frame, 8:24, x : x + 16] = 220
    return pictures


@cache
def size_of(name: str, height: int, width: int) -> tuple[int, ...]:
    """Shape of the features of one clip."""
    backbone = made(name)
    shape: tuple[int, ...] = backbone(clips(1, height, width, backbone.clip.frames)).shape
    return shape


def test_it_describes_itself(name: str) -> None:
    backbone = made(name)
    assert isinstance(backbone.source, Provenance) and backbone.source.title
    assert isinstance(backbone.clip, ClipSpec)
    assert backbone.clip.frames >= 1 and backbone.clip.stride >= 1
    assert type(backbone).__doc__


@pytest.mark.parametrize("size", [(48, 64), (61, 83), (240, 320)])
def test_any_size_makes_finite_features(name: str, size: tuple[int, int]) -> None:
    backbone = made(name)
    found = backbone(clips(1, *size, backbone.clip.frames))
    assert found.dtype == np.float32 and found.ndim == 5 and len(found) == 1
    assert np.isfinite(found).all() and min(found.shape) >= 1
    assert found.std() > 0
    other = size_of(name, 96, 128)
    assert (found.shape[1], found.shape[4]) == (other[1], other[4])


def test_a_clip_in_a_batch_is_the_clip_alone(name: str) -> None:
    backbone = made(name)
    batch = clips(2, 48, 64, backbone.clip.frames)
    together = backbone(batch)
    for row, clip in zip(together, batch, strict=True):
        alone = backbone(clip[None])[0]
        np.testing.assert_allclose(row, alone, rtol=1e-5, atol=1e-5 * max(1, np.abs(alone).max()))


def test_the_same_pictures_make_the_same_features(name: str) -> None:
    backbone = made(name)
    batch = clips(1, 48, 64, backbone.clip.frames)
    before = batch.copy()
    first = backbone(batch)
    np.testing.assert_array_equal(batch, before)
    batch.flags.writeable = False
    np.testing.assert_array_equal(backbone(batch), first)
    view = np.asfortranarray(before)
    np.testing.assert_array_equal(backbone(view), first)


def test_times_of_pictures_count_where_it_says_so(name: str) -> None:
    backbone = made(name)
    if not backbone.abilities.takes_seconds:
        with pytest.raises(TypeError):
            backbone(clips(1, 48, 64, backbone.clip.frames), np.ones((1, backbone.clip.frames - 1)))
        return
    batch = clips(2, 48, 64, backbone.clip.frames)
    usual = np.full((2, backbone.clip.frames - 1), 1 / backbone.clip.rate)
    np.testing.assert_array_equal(backbone(batch, usual), backbone(batch))
    slow = backbone(batch, usual * [[1], [3]])
    np.testing.assert_array_equal(slow[0], backbone(batch)[0])
    assert (slow[1] != backbone(batch)[1]).any()
    with pytest.raises(ValueError, match=r"expected seconds \(2, "):
        backbone(batch, usual[:1])


def test_it_keeps_nothing_of_the_last_clip(name: str) -> None:
    backbone = made(name)
    one, other = (clips(1, 48, 64, backbone.clip.frames, seed) for seed in (0, 1))
    first = backbone(one)
    backbone(other)
    np.testing.assert_array_equal(backbone(one), first)


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_clip_without_change_is_fine(name: str, value: int) -> None:
    backbone = made(name)
    found = backbone(np.full((1, backbone.clip.frames, 48, 64, 3), value, np.uint8))
    assert np.isfinite(found).all()


def test_one_frame_is_a_clip(name: str) -> None:
    """A video of one frame gives one short clip; so does the shortest end of any stream."""
    backbone = made(name)
    for frames in (1, 2):
        found = backbone(clips(1, 48, 64, frames))
        assert found.shape[1] >= 1 and found.shape[2:] == size_of(name, 48, 64)[2:]
        assert np.isfinite(found).all()


def test_the_first_video_may_be_shorter_than_a_clip(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On it engines of networks are tried: it is made whole as for looking, by repeating its last picture."""
    with Writer(tmp_path / "short.mp4", 25) as writer:
        for picture in clips(1, 48, 64, 3)[0]:
            writer.write(picture)
    video, backbone = Video("short", tmp_path / "short.mp4"), made(name)
    tried = extractor._samples(video, backbone.clip)()
    assert tried.shape[0] * tried.shape[1] >= 3 and tried.shape[1] == backbone.clip.frames
    if isinstance(backbone, Network):
        np.testing.assert_array_equal(backbone.prepared(tried), tried)
    if name in ("i3d", "c3d", "uniformer", "clip", "videomae"):
        return  # as the others, but slow
    monkeypatch.setattr(extractor, "_OPEN", {})
    monkeypatch.setattr(select, "recall", lambda key: None)
    look = FeatureSpec(name, "cells", backbone.config, FeatureSpec.named("pixels").instances_settings, "torch", "fp32")
    seen = look.extract(video)
    assert np.isfinite(seen.features).all() and seen.extents[:, 1].max() == pytest.approx(3 / 25)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((9, 48, 64, 3), np.uint8),
        np.zeros((1, 9, 48, 64, 3), np.float32),
        np.zeros((1, 9, 48, 64, 4), np.uint8),
    ],
)
def test_other_arrays_are_refused(name: str, wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"expected uint8 \(B, T, H, W, 3\), got"):
        made(name)(wrong)


def test_settings_make_the_round_trip(name: str) -> None:
    config = registry.load("backbones", name).Config
    assert build(config, plain(config()), name) == config()
    with pytest.raises(ConfigError, match=f"unknown setting of {re.escape(name)} 'framez'"):
        build(config, {"framez": 1}, name)

"""Time in bags, for every backbone with every builder: each moment once, in order, whatever lengths and rates are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wherewhen.core import registry
from wherewhen.core.config import build
from wherewhen.core.contracts import BackboneAbilities, ClipSpec
from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Boxes, Features, Floats, Frame, Grid, Instances, Pixels
from wherewhen.extraction import assembly, sampling
from wherewhen.inference import score_maps
from wherewhen.localize._steps import merge
from wherewhen.runtime.network import Network
from wherewhen.training.batches import pooled

BACKBONES = registry.names("backbones")
BUILDERS = registry.names("instances")


@cache
def spec_of(name: str) -> ClipSpec:
    """How a backbone with default settings cuts clips; pictures stay as small as they are."""
    plugin = registry.load("backbones", name)
    given = {"backbone": "frame_difference"} if name == "imported" else {}
    given |= {"path": "none.onnx"} if name == "file" else {}
    try:
        config = build(plugin.Config, given, name)
        spec = plugin.spec(config) if issubclass(plugin, Network) else plugin(config).clip
    except ConfigError:  # a network from a file, and there is none
        spec = ClipSpec(16, 16)
    return replace(spec, size=None, width=None)


class StandIn:
    """A backbone of a given clip spec: the number that pictures bear, averaged over each of so many time steps."""

    def __init__(self, spec: ClipSpec, steps: int) -> None:
        self.clip, self.steps, self.abilities = spec, steps, BackboneAbilities()

    def __call__(self, clips: Pixels) -> Features:
        shown = clips[:, :, 0, 0, 0].astype(np.float32) + 1
        parts = np.array_split(np.arange(clips.shape[1]), min(self.steps, clips.shape[1]))
        means = np.stack([shown[:, part].mean(1) for part in parts], 1)
        return np.broadcast_to(means[..., None, None, None], (*means.shape, 2, 3, 1)).astype(np.float32)


@st.composite
def clocks(draw: st.DrawFn, most: int) -> Floats:
    """Borders of a video's pictures, at an even pace or an uneven one, and from a time other than 0."""
    count = draw(st.integers(1, most))
    rate = draw(st.sampled_from([0.2, 5, 12.5, 24, 25, 30000 / 1001, 30, 60]))
    ends = np.arange(1, count + 1) / rate
    if draw(st.booleans()):
        ends = np.cumsum(np.random.default_rng(count).uniform(0.1, 3, count)) / rate
    found: Floats = draw(st.sampled_from([0, 7.3, 90000.1])) + np.concatenate([[0.0], ends])
    return found


def shot(edges: Floats) -> list[Frame]:
    """Pictures that bear their number."""
    pairs = enumerate(pairwise(edges.tolist()))
    return [Frame(np.full((6, 6, 3), k % 256, np.uint8), k, a, b) for k, (a, b) in pairs]


def boxes(pictures: list[Frame]) -> Iterator[Boxes]:
    """One mover in most pictures, none in some."""
    for frame in pictures:
        there = frame.index % 7 < 5
        rows = np.array([[frame.start, frame.end, 0.2, 0.2, 0.6, 0.7]] if there else np.empty((0, 6)))
        yield Boxes(frame.start, frame.end, rows, np.full(len(rows), 0.9), track=np.zeros(len(rows), np.int64))


def made(name: str) -> Any:
    plugin = registry.load("instances", name)
    return plugin(build(plugin.Config, None, name))


def looked(pictures: list[Frame], backbone: StandIn, builder: str, crops: int = 1) -> list[Instances]:
    """The parts that a builder makes of pictures."""
    grids = sampling.grids(sampling.clips(iter(pictures), backbone.clip), backbone, crops=crops)
    one = made(builder)
    seen = {builder: boxes(pictures)} if one.track_source else None
    return [part for _, part in assembly.several(grids, {builder: one}, crops, seen)]


def times(seen: Instances) -> Floats:
    """The time steps ``(T, 2)`` of a bag: of its grid, or of the frames that its movers were looked for in."""
    if seen.paths is not None:
        return np.stack([seen.paths.edges[:-1], seen.paths.edges[1:]], 1)
    if seen.shape is None:
        return np.unique(seen.extents[:, :2], axis=0)
    return seen.extents.reshape(seen.shape[0], -1, 6)[:, 0, :2]


@pytest.mark.parametrize("builder", BUILDERS)
@settings(max_examples=30)
@given(data=st.data())
def test_a_bag_covers_its_video_once_and_in_order(builder: str, data: st.DataObject) -> None:
    """Whatever the lengths of video, clip and stride, the rate, the tail, the steps per clip, the crops."""
    spec = spec_of(data.draw(st.sampled_from(BACKBONES)))
    if data.draw(st.booleans()):
        frames, stride = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 15))
        spec = replace(spec, frames=frames, stride=stride, tail=data.draw(st.sampled_from(["back", "drop"])))
    pictures = shot(data.draw(clocks(min(3 * spec.frames + 5, 150))))
    backbone = StandIn(spec, data.draw(st.integers(1, spec.frames)))
    crops = 1 if made(builder).track_source or builder == "windows" else data.draw(st.sampled_from([1, 5]))
    parts = looked(pictures, backbone, builder, crops)
    seen = assembly.join_instances(parts)
    if (leader := made(builder).abilities.shares_settings_with) is not None:
        np.testing.assert_array_equal(
            seen.extents[:, :2], assembly.join_instances(looked(pictures, backbone, leader)).extents[:, :2]
        )
        return
    steps = times(seen)
    left_out = max(len(pictures) - spec.frames, 0) % spec.stride if spec.tail == "drop" else 0
    last = pictures[-1 - left_out]
    assert (steps[:, 1] > steps[:, 0]).all()
    np.testing.assert_allclose(steps[1:, 0], steps[:-1, 1], rtol=0, atol=1e-6, err_msg="neither overlap nor hole")
    assert steps[0, 0] == pictures[0].start
    assert steps[-1, 1] == pytest.approx(last.end)
    assert (steps[:, 1] - steps[:, 0]).sum() == pytest.approx(last.end - pictures[0].start)
    if seen.shape is not None:
        few = pooled(seen, data.draw(st.integers(1, 40)))
        spans = times(few)
        assert (spans[0, 0], spans[-1, 1]) == (steps[0, 0], steps[-1, 1])
        np.testing.assert_allclose(spans[1:, 0], spans[:-1, 1], rtol=0, atol=1e-6)
    maps = list(score_maps.heat([(part, np.full(len(part.features), 0.5, np.float32)) for part in parts]))
    told = list(merge(maps))
    assert (told[0].start, told[-1].end) == pytest.approx((steps[0, 0], steps[-1, 1]))
    assert all(one.end == other.start for one, other in pairwise(told))
    if crops == 1 and builder != "videolets":
        assert len(told) == len(steps), "no step is told in two pieces"


@pytest.mark.parametrize("builder", BUILDERS)
@settings(max_examples=12)
@given(data=st.data())
def test_a_stream_that_goes_on_changes_nothing_before(builder: str, data: st.DataObject) -> None:
    spec = replace(spec_of(data.draw(st.sampled_from(BACKBONES))), rate=None)
    if data.draw(st.booleans()):
        spec = replace(spec, frames=data.draw(st.integers(1, 9)), stride=data.draw(st.integers(1, 12)))
    pictures = shot(data.draw(clocks(min(3 * spec.frames + 5, 150))))
    backbone = StandIn(spec, data.draw(st.integers(1, spec.frames)))
    begun = pictures[: data.draw(st.integers(1, len(pictures)))]
    settled = list(sampling.clips(begun, spec))[-1].span[0]  # what the last clip answers for may change
    whole = looked(pictures, backbone, builder)
    for one, other in zip(looked(begun, backbone, builder), whole, strict=False):
        if one.extents[:, 1].max() > settled:
            break
        np.testing.assert_array_equal(one.features, other.features)
        np.testing.assert_array_equal(one.extents, other.extents)


@settings(max_examples=40)
@given(st.integers(1, 80), st.integers(1, 12), st.integers(1, 12))
@example(13, 4, 4)
def test_a_step_shows_the_pictures_of_its_time(count: int, frames: int, stride: int) -> None:
    """Of a backbone with a step per picture nothing is lost and nothing told twice, whatever clips overlap."""
    edges = np.arange(count + 1) / 25
    seen = assembly.join_instances(looked(shot(edges), StandIn(ClipSpec(frames, min(stride, frames)), frames), "cells"))
    np.testing.assert_array_equal(seen.features.reshape(count, -1)[:, 0], np.arange(count) + 1)
    np.testing.assert_allclose(times(seen)[:, 0], edges[:-1], atol=1e-9)


def test_time_steps_that_run_back_are_refused() -> None:
    """So no builder, no store and no importer can bring them in."""
    rows = np.array([[0, 1, 0, 0, 1, 1], [0.5, 1.5, 0, 0, 1, 1.0]])
    with pytest.raises(ValueError, match=r"time step 1 of a grid begins at 0.5 s, before step 0 ends at 1 s"):
        Instances(np.zeros((2, 1)), rows, shape=(2, 1, 1))
    assert len(Instances(np.zeros((2, 1)), rows).extents) == 2, "movers may last at once"
    extent = np.array([1, 2, 0, 0, 1, 1.0])
    with pytest.raises(ValueError, match=r"shows \[1.0, 2.0\) s and can't answer for \[1.5, 2.5\)"):
        Grid(np.zeros((1, 1, 1, 1), np.float32), extent, span=(1.5, 2.5))

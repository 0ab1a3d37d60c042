"""Packing: a batch is what padding bag by bag gives, segments are the lanes' own, and big sets change nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wherewhen.core.contracts import Classes
from wherewhen.core.errors import ConfigError
from wherewhen.core.store import cache_folder
from wherewhen.core.values import Bag, Instances, Paths, Scores, Video
from wherewhen.extraction.loading import BagSubset, MappedBags
from wherewhen.inference.model_config import ModelConfig
from wherewhen.inference.packing import view
from wherewhen.methods import _grid
from wherewhen.training import batches, fit, loop
from wherewhen.training.batches import Batches, Pack, groups, pooled, thinned

MakeBag = Callable[..., Bag]
MakeBags = Callable[..., list[Bag]]


def same(mine: Any, its: Any, **tolerance: float) -> None:
    for part in ("features", "extents", "track", "mask"):
        torch.testing.assert_close(getattr(mine, part), getattr(its, part), rtol=0, atol=0, **tolerance)
    assert mine.shapes == its.shapes


@pytest.fixture
def uneven(toy_bag: MakeBag) -> list[Bag]:
    """Bags of several lengths; one is on no grid, one has track numbers, one holds cells of zeros."""
    bags = [toy_bag(n, n % 2, 3 + 4 * (n % 4)) for n in range(9)]
    cells = bags[2].views["cells"]
    bags[2] = Bag(bags[2].video, {"cells": replace(cells, shape=None, track=np.arange(len(cells.track)))})
    cells = bags[3].views["cells"]
    bags[3] = Bag(bags[3].video, {"cells": replace(cells, features=cells.features * (cells.features[:, :1] > 0))})
    return bags


# --- one batch


@pytest.mark.parametrize("chosen", [[0], [3, 1, 8], [2, 2, 0], list(range(9))])
def test_a_batch_is_what_padding_bag_by_bag_gives(chosen: list[int], uneven: list[Bag]) -> None:
    pack = Pack.of(uneven, "cells")
    pack.batch([3, 0, 5])  # a buffer that holds something already
    views, labels = pack.batch(chosen)
    same(views["cells"], view([uneven[k].views["cells"] for k in chosen]))
    assert labels.tolist() == [float(uneven[k].video.label or 0) for k in chosen]


def test_each_bag_comes_as_a_batch_of_its_own(uneven: list[Bag]) -> None:
    pack = Batches(uneven, ["cells"], 2, 0, "cpu")
    shown = 0
    for (views, label), bag in zip(pack, uneven, strict=True):
        same(views["cells"], view([bag.views["cells"]]))
        assert label.tolist() == [bag.video.label]
        shown += 1
    assert shown == len(list(pack)) == len(uneven), "they can be looked at again"


def test_many_features_are_rounded_and_lie_in_a_file(
    uneven: list[Bag], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WHEREWHEN_CACHE", str(tmp_path))
    wanted = view([bag.views["cells"] for bag in uneven])
    for whole, memory in ((0, 10**6), (0, 0)):
        monkeypatch.setattr(batches, "WHOLE", whole)
        monkeypatch.setattr(batches, "MEMORY", memory)
        pack = Pack.of(uneven, "cells")
        assert pack.features.dtype == torch.float16
        for _ in range(2):
            found = pack.batch(list(range(9)))[0]["cells"]
            assert found.features.dtype == torch.float32
            torch.testing.assert_close(found.features, wanted.features, rtol=1e-3, atol=1e-6)
            same(replace(found, features=wanted.features), wanted)
    assert not list(cache_folder().iterdir()), "the file has no name any more"


# --- segments


@pytest.mark.parametrize("count", [1, 2, 5, 8, 15, None])
def test_segments_are_those_of_the_lanes(count: int | None, uneven: list[Bag]) -> None:
    for bag in uneven:
        rows = bag.views["cells"]
        found = view([pooled(rows, count)])
        lanes, _ = _grid.segments(_grid.lanes(view([rows])), count)
        if rows.shape is None:
            same(found, view([rows]))
            continue
        torch.testing.assert_close(found.features, lanes.features.flatten(1, 2), rtol=1e-5, atol=1e-6)
        assert torch.equal((found.features != 0).any(-1), lanes.held.flatten(1, 2))
        assert found.shapes[0] == (lanes.features.shape[1], *lanes.size)


@given(st.integers(1, 40), st.integers(1, 12))
def test_segments_cover_all_the_time_once(steps: int, count: int) -> None:
    edges = np.arange(steps, dtype=float)
    extents = np.stack([edges, edges + 1, *[np.zeros(steps)] * 2, *[np.ones(steps)] * 2], 1)
    rows = Instances(np.arange(1, steps + 1, dtype=np.float32)[:, None], extents, shape=(steps, 1, 1))
    found = pooled(rows, count)
    assert len(found.features) == min(steps, count)
    assert (found.extents[0, 0], found.extents[-1, 1]) == (0, steps)
    np.testing.assert_array_equal(found.extents[1:, 0], found.extents[:-1, 1])
    for (start, end, *_), value in zip(found.extents, found.features[:, 0], strict=True):
        assert value == pytest.approx(np.mean(np.arange(start, end) + 1), rel=1e-6)


def test_packed_segments_are_the_bags_pooled(uneven: list[Bag]) -> None:
    found = Pack.of(uneven, "cells", 4).batch([1, 2, 3])[0]["cells"]
    same(found, view([pooled(uneven[k].views["cells"], 4) for k in (1, 2, 3)]))


def test_a_summary_packs_one_row_of_each_step(uneven: list[Bag]) -> None:
    def summary(instances: Instances) -> Instances:
        steps, height, wide = instances.shape or (1, len(instances.features), 1)
        sums = instances.features.reshape(steps, height * wide, -1).sum(1)[:, :2]
        return Instances(sums, instances.extents[:: height * wide], shape=(steps, 1, 1))

    pack = Pack.of(uneven, "cells", summary=summary)
    for chosen in ([0], [2, 4, 1]):  # the third is on no grid
        same(pack.batch(chosen)[0]["cells"], view([summary(uneven[k].views["cells"]) for k in chosen]))


def test_a_setting_called_segments_reaches_training(toy_bag: MakeBag, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = set()
    method = ModelConfig.of().part("method")
    forward = method.forward

    def watched(self: Any, bags: Any) -> Any:
        if not torch.is_inference_mode_enabled() or len(bags["cells"].shapes) > 1:
            seen.update(shape[0] for shape in bags["cells"].shapes)
        return forward(self, bags)

    monkeypatch.setattr(method, "forward", watched)
    config = ModelConfig.of({"cuboid_mil": {"segments": 5}, "training": {"steps": 4, "validate_every": 2}})
    fit.fit([toy_bag(n, n % 2, 3 + n) for n in range(10)], config, device="cpu")
    assert max(seen) == 5 and min(seen) == 3


def test_each_time_step_can_be_a_bag(uneven: list[Bag]) -> None:
    pack = Batches(uneven, ["cells"], 2, 0, "cpu", divided=True)
    wanted = []
    for bag in uneven:
        rows = bag.views["cells"]
        cells = len(rows.features) if rows.shape is None else rows.shape[1] * rows.shape[2]
        grid = rows.shape and (1, *rows.shape[1:])
        for start in range(0, len(rows.features), cells):
            part = slice(start, start + cells)
            step = Instances(rows.features[part], rows.extents[part], rows.track[part], grid)
            wanted.append((step, float(bag.video.label or 0)))
    for (views, label), (step, expected) in zip(pack, wanted, strict=True):
        same(views["cells"], view([step]))
        assert label.tolist() == [expected]
    assert [sum(label > 0 for label in pack.draw(step)[1]) for step in range(3)] == [2, 2, 2]


def test_a_bag_that_is_a_clip_is_never_averaged(toy_bag: MakeBag, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clips that training gets are those of the videos, also with segments."""
    seen: list[torch.Tensor] = []
    method = ModelConfig.of().part("method")
    loss = method.loss

    def watched(self: Any, output: Any, bags: Any, labels: Any) -> Any:
        assert {shape[0] for shape in bags["cells"].shapes} == {1} and bags["cells"].mask.all()
        seen.extend(bags["cells"].features.clone())
        return loss(self, output, bags, labels)

    monkeypatch.setattr(method, "loss", watched)
    settings = {"bag": "clip", "segments": 2}
    config = ModelConfig.of({"normalizer": "none", "cuboid_mil": settings, "training": {"steps": 4, "bags": 6}})
    bags = [toy_bag(n, n % 2, 3 + n) for n in range(10)]
    fit.fit(bags, config, device="cpu")
    steps = [rows.features.reshape(rows.shape[0], -1) for rows in (bag.views["cells"] for bag in bags) if rows.shape]
    clips = {row.tobytes() for video in steps for row in video}
    assert len(seen) == 4 * 12 and all(clip.numpy().tobytes() in clips for clip in seen)


# --- many bags


def test_bags_looked_at_one_by_one_teach_the_same(toy_bags: MakeBags, monkeypatch: pytest.MonkeyPatch) -> None:
    config = ModelConfig.of({"training": {"steps": 6, "validate_every": 3, "bags": 3}})
    bags = toy_bags(16)
    straight = fit.fit(bags, config, device="cpu")
    monkeypatch.setattr(fit, "WHOLE", 0)
    lazy = fit.fit(MappedBags(bags, lambda bag: bag), config, device="cpu")
    assert lazy.history == straight.history and lazy.best.threshold == straight.best.threshold
    np.testing.assert_array_equal(lazy.best.bank.features, straight.best.bank.features)
    for key, value in straight.last.method.state_dict().items():
        assert torch.equal(value, lazy.last.method.state_dict()[key])


def test_the_bank_is_a_sample_of_all_normal_cells_joined(toy_bags: MakeBags, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "BANK", 37)
    bags, config = toy_bags(12), ModelConfig.of({"seed": 5})
    for bag in bags[::3]:
        bag.views["cells"].features[::2] = 0
    cells = [bag.views["cells"] for bag in bags if not bag.video.label]
    features, extents = (np.concatenate([getattr(c, part) for c in cells]) for part in ("features", "extents"))
    held = np.flatnonzero(features.any(1))
    rows = np.sort(np.random.default_rng(5).permutation(held)[:37])
    found = fit.bank_of(bags, config)
    np.testing.assert_array_equal(found.features, features[rows])
    np.testing.assert_array_equal(found.extents, extents[rows])


@given(st.lists(st.tuples(st.sampled_from([0, 1]), st.integers(1, 30)), min_size=1, max_size=30), st.integers(1, 200))
def test_groups_hold_every_bag_once_and_both_labels(bags: list[tuple[int, int]], limit: int) -> None:
    labels, sizes = [label for label, _ in bags], [size for _, size in bags]
    found = groups(labels, sizes, limit)
    assert sorted(k for part in found for k in part) == list(range(len(bags)))
    for part in found:
        assert {labels[k] for k in part} == set(labels)
        assert part == sorted(part)
    if len(bags) * max(sizes) <= limit:
        assert found == [list(range(len(bags)))]


def test_validation_in_groups_is_their_weighted_mean(toy_bags: MakeBags, monkeypatch: pytest.MonkeyPatch) -> None:
    config = ModelConfig.of()
    torch.manual_seed(0)
    method = config.make("method", {"cells": 6})
    state, bags = loop.State(method, None), toy_bags(10)
    held = Batches(bags, ["cells"], 30, 0, "cpu")
    monkeypatch.setattr(loop, "JUDGED", 6 * 100 * 3)
    parts = groups([b.video.label or 0 for b in bags], held.sizes, 300)
    assert len(parts) > 1

    def loss(part: list[int]) -> float:
        packed = {"cells": view([bags[k].views["cells"] for k in part])}
        with torch.no_grad():
            terms = method.eval().loss(
                method(packed), packed, torch.tensor([float(bags[k].video.label or 0) for k in part])
            )
        return float(sum(terms.values()))

    wanted = sum(len(part) * loss(part) for part in parts) / len(bags)
    assert loop._validate(state, held, config) == pytest.approx(wanted, rel=1e-6)


def test_thinning_keeps_every_kth_step(uneven: list[Bag]) -> None:
    rows = [bag.views["cells"] for bag in uneven]
    total = sum(one.features.size for one in rows)
    assert thinned(rows, total, total) == rows
    found = thinned(rows, total, total // 3 + 1)
    for few, all_ in zip(found, rows, strict=True):
        if all_.shape is None:
            np.testing.assert_array_equal(few.features, all_.features[::3])
            continue
        grid = all_.features.reshape(*all_.shape, -1)[::3]
        np.testing.assert_array_equal(few.features, grid.reshape(len(few.features), -1))
        assert few.shape == grid.shape[:3]
        np.testing.assert_array_equal(few.extents.reshape(*few.shape, 6)[:, 0, 0, 0], np.arange(all_.shape[0])[::3])


def test_sequences_of_bags_are_sequences(uneven: list[Bag]) -> None:
    some = BagSubset(MappedBags(uneven, lambda bag: bag), [4, 1, 7])
    assert [b.video.id for b in some] == ["v4", "v1", "v7"] and len(some) == 3
    assert [b.video.id for b in some[1:]] == ["v1", "v7"]
    assert [b.video.id for b in MappedBags(uneven, lambda bag: bag)[:2]] == ["v0", "v1"]


# --- precision


def test_bf16_is_near_fp32_and_its_own(toy_bags: MakeBags) -> None:
    given = {"steps": 20, "validate_every": 10, "bags": 4}
    exact, rough = (
        fit.fit(toy_bags(16), ModelConfig.of({"training": {**given, "precision": word}}), device="cpu")
        for word in ("fp32", "bf16")
    )
    assert rough.history != exact.history
    for one, two in zip(rough.history, exact.history, strict=True):
        assert one["loss"] == pytest.approx(two["loss"], abs=0.02)
    assert all(v.dtype == torch.float32 for v in rough.last.method.state_dict().values())


def test_a_method_that_can_not_do_bf16_is_told(toy_bags: MakeBags, monkeypatch: pytest.MonkeyPatch) -> None:
    def mixed(self: Any, bags: Any) -> Any:
        scores = self.head(bags["cells"].features).squeeze(-1)
        return torch.zeros(scores.shape).index_put((bags["cells"].mask,), scores[bags["cells"].mask])

    config = ModelConfig.of({"training": {"steps": 2, "precision": "bf16"}})
    monkeypatch.setattr(config.part("method"), "forward", mixed)
    with pytest.raises(ConfigError, match=r"CuboidMIL can't be trained in bf16 \(.*\); use fp32"):
        fit.fit(toy_bags(8), config, device="cpu")


# --- movers


def crowd(toy_bag: MakeBag, number: int, steps: int) -> Bag:
    """A toy bag whose tubes have paths: each in one frame."""
    bag = toy_bag(number, number % 2, steps, views=("tubes",))
    tubes = bag.views["tubes"]
    rows = Scores(tubes.extents, np.ones(len(tubes.track)), np.arange(len(tubes.track)))
    return Bag(bag.video, {"cells": replace(tubes, paths=Paths(rows, np.arange(steps + 1.0)))})


def test_of_many_movers_some_are_learnt_from(toy_bag: MakeBag) -> None:
    """Rows of the bag itself, each once and in order, others for another seed; few stay all, and so do cells."""
    bags = [crowd(toy_bag, 0, 10), crowd(toy_bag, 1, 3), toy_bag(2, 0, 10)]
    packs = [Pack.of(bags, "cells", movers=40, seed=seed) for seed in (0, 0, 1)]
    assert packs[0].counts.tolist() == [40, 36, 120]
    one, again, other = (pack.batch([0])[0]["cells"].track[0].tolist() for pack in packs)
    assert one == again != other and one == sorted(set(one))
    features = packs[0].batch([0])[0]["cells"].features[0]
    np.testing.assert_array_equal(features, bags[0].views["cells"].features[one])
    for number in (1, 2):
        views, _ = packs[0].batch([number])
        same(views["cells"], view([bags[number].views["cells"]]))
    assert Pack.of(bags, "cells").counts.tolist() == [120, 36, 120]


@pytest.mark.parametrize(("method", "limit"), [("dmrm", 200), ("gclnc", 200), ("stil", None), ("mgpr", None)])
def test_methods_that_choose_get_all_movers(
    method: str, limit: int | None, toy_bag: MakeBag, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int | None] = []
    real = fit.Batches

    def noted(*args: Any, movers: int | None = None, **more: Any) -> Batches:
        asked.append(movers)
        return real(*args, movers=movers, **more)

    monkeypatch.setattr(fit, "Batches", noted)
    config = ModelConfig.of({"method": method, "instances": "tubes", "training": {"steps": 1}})
    bags = [
        Bag(bag.video, dict(zip(config.views, bag.views.values(), strict=False)))
        for bag in (toy_bag(n, n % 2, 5, views=("tubes", "tube_frames", "videolets")) for n in range(4))
    ]
    fit.fit(bags, config, device="cpu")
    assert asked == [limit]


def test_labels_number_classes_where_they_have_names() -> None:
    """And without names they stay 0 and 1; both labels are drawn and grouped whatever the classes."""
    kinds = ["fight", None, "fall", "fight"]
    rows = Instances(np.ones((2, 3), np.float32), np.tile([0, 1.0], (2, 3)))
    bags = [
        Bag(Video(f"v{n}", Path("x"), int(n > 3), kinds[n - 4] if n > 3 else None), {"cells": rows}) for n in range(8)
    ]
    names = batches.class_names(bag.video for bag in bags)
    assert names == ("fall", "fight", "anomaly")
    told = Batches(bags, ["cells"], 2, 0, "cpu", names=names)
    assert told.labels.tolist() == [0, 0, 0, 0, 2, 3, 1, 2]
    assert Batches(bags, ["cells"], 2, 0, "cpu").labels.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    for step in range(5):
        assert (told.draw(step)[1] > 0).tolist() == [True, True, False, False]
    assert all({n > 3 for n in group} == {True, False} for group in told.groups(12))


def test_several_classes_in_a_video_are_a_label_of_their_own_and_no_class() -> None:
    """In whatever order and spacing they are told; what is joined to nothing is one class."""
    kinds = ["riot+fight", "fight + riot", "fight", "fall+", "+", None, "fall+fall", "riot+fall+fight"]
    videos = [Video(f"v{n}", Path("x"), 1, kind) for n, kind in enumerate(kinds)] + [Video("n", Path("x"), 0, "a+b")]
    names, mixed = batches.class_names(videos), batches.mixed_names(videos)
    assert names == ("fall", "fight", "riot", "anomaly") and mixed == ("fall+fight+riot", "fight+riot")
    told = Classes(names, mixed=mixed)
    labels = [batches.label_of(video, told.labels) for video in videos]
    assert labels == [6, 6, 2, 1, 4, 4, 1, 5, 0]
    assert [told.members[int(label) - 1] for label in labels[:3]] == [(2, 3), (2, 3), (2,)]
    assert told.members[4] == (1, 2, 3)

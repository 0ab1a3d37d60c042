"""Movers seen from near: each number is that of crops cut, resized and looked at one by one."""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import sleep
from typing import Any

import cv2
import numpy as np
import pytest

from wherewhen.core import extents as ext
from wherewhen.core import registry
from wherewhen.core.config import build
from wherewhen.core.contracts import BackboneAbilities, ClipSpec, RoiSpec
from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Boxes, Features, Frame, Grid, Instances, Paths, Pixels, Prediction, Scores, Video
from wherewhen.evaluation import evaluator
from wherewhen.extraction import extractor, feature_cache, loading, roi_crops, track_cache
from wherewhen.extraction.roi_crops import FrameBuffer, RoiFeatures, cut
from wherewhen.inference import scoring
from wherewhen.inference.model import Model
from wherewhen.inference.model_config import ModelConfig
from wherewhen.instances.tubes import Tubes
from wherewhen.runtime.batching import EngineChoice, SharedBatcher
from wherewhen.video import reader
from wherewhen.video.writer import Writer

RATE = 12.5
TUBES: dict[str, Any] = {
    "features": "crop", "boxes": {"smallest": 0.002}, "tracks": {"gap": 0.4}, "part": 1.0, "margin": 0.1, "width": 96,
    "manner": False, "shape": {"window": 2.0, "shortest": 0.2},
}  # fmt: skip


class Means:
    """A backbone that sees the mean color of the halves of small pictures, and how often it was asked."""

    def __init__(self, size: tuple[int, int] | None = (8, 10), frames: int = 4, stride: int = 3) -> None:
        self.clip, self.abilities = ClipSpec(frames, stride, size=size), BackboneAbilities()
        self.asked: list[int] = []

    def __call__(self, clips: Pixels) -> Features:
        self.asked.append(len(clips))
        left, right = np.array_split(clips.astype(np.float32), 2, axis=3)
        return np.stack([left.mean((1, 2, 3)), right.mean((1, 2, 3))], 1)[:, None, None]


class Given:
    """A builder that gives what it was made with, each stretch once all grids of its time are there."""

    def __init__(self, parts: Sequence[Instances]) -> None:
        self.parts: list[Any] = list(parts)

    def __call__(self, grids: Any) -> Iterator[Instances]:
        for grid in grids:
            while self.parts and self.parts[0].paths.edges[-1] <= grid.extent[1] + 1e-9:
                yield self.parts.pop(0)


def pictures(count: int, size: tuple[int, int] = (24, 36), step: float = 0.1) -> list[Frame]:
    rng = np.random.default_rng(0)
    shots = rng.integers(0, 255, (count, *size, 3), np.uint8)
    return [Frame(shot, k, k * step, (k + 1) * step) for k, shot in enumerate(shots)]


def stretch(start: int, end: int, ways: Sequence[Sequence[Sequence[float]]], own: int = 0) -> Instances:
    """Instances with these ways: rows of frame number and box; frames last 0.1 s."""
    rows = np.array([[k / 10, (k + 1) / 10, *box] for way in ways for k, *box in way])
    owner = np.repeat(np.arange(len(ways)), [len(way) for way in ways])
    hulls = np.stack([ext.hull(rows[owner == number]) for number in range(len(ways))])
    known = np.full((len(ways), own), 7, np.float32)
    return Instances(known, hulls, paths=Paths(Scores(rows, np.ones(len(rows)), owner), np.arange(start, end + 1) / 10))


def walk(frames: range, seed: int) -> list[list[float]]:
    rng = np.random.default_rng(seed)
    x, y, w, h = rng.uniform(0, 0.4), rng.uniform(0, 0.4), rng.uniform(0.05, 0.4), rng.uniform(0.05, 0.5)
    return [[k, x + 0.01 * (k % 10), y, min(1, x + w + 0.01 * (k % 10)), y + h] for k in frames]


def grids(seconds: float) -> list[Grid]:
    return [Grid(np.ones((1, 1, 1, 2), np.float32), np.array([k, k + 1.0, 0, 0, 1, 1])) for k in range(int(seconds))]


def twin(way: np.ndarray, shots: list[Frame], backbone: Any, margin: float) -> np.ndarray:
    """One instance, one crop and one clip after the other."""
    height, width = backbone.clip.size or (112, 112)
    images = []
    for shot in shots:
        if not way[0, 0] - 1e-9 <= shot.start < way[-1, 1] - 1e-9:
            continue
        _, _, x0, y0, x1, y1 = [row for row in way if row[0] <= shot.start + 1e-9][-1]
        dx, dy = margin * (x1 - x0), margin * (y1 - y0)
        tall, wide = shot.image.shape[:2]
        left, top = int(max(0, x0 - dx) * wide + 1e-6), int(max(0, y0 - dy) * tall + 1e-6)
        right, bottom = math.ceil(min(1, x1 + dx) * wide - 1e-6), math.ceil(min(1, y1 + dy) * tall - 1e-6)
        inside = np.ascontiguousarray(shot.image[top:bottom, left:right])
        shrinks = inside.shape[0] > height or inside.shape[1] > width
        images.append(
            cv2.resize(inside, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        )
    frames, stride = backbone.clip.frames, backbone.clip.stride
    cells = []
    starts = list(range(0, max(1, len(images) - frames + 1), stride))
    if len(images) > frames and starts[-1] + frames < len(images):
        starts.append(len(images) - frames)
    for start in starts:
        clip = images[start : start + frames]
        clip += clip[-1:] * (frames - len(clip))
        seen = backbone(np.stack(clip)[None])[0]
        cells += [cell for cell in seen.reshape(-1, seen.shape[-1]) if cell.any()]
    return np.mean(cells, 0)


def crowd() -> list[Instances]:
    """Three windows of 1, 40 and 2 movers, some shorter than a clip."""
    first = stretch(0, 20, [walk(range(3, 17), 0)])
    second = stretch(20, 40, [walk(range(20 + k % 5, 23 + k % 5 + k % 13), k) for k in range(40)], own=3)
    third = stretch(40, 60, [walk(range(40, 60), 1), walk(range(50, 52), 2)])
    return [first, Instances(second.features[:, :0], second.extents, paths=second.paths), third]


@pytest.mark.parametrize("batch", [1, 7, 500])
@pytest.mark.parametrize("patient", [False, True])
def test_features_are_those_of_crops_one_by_one(batch: int, patient: bool) -> None:
    shots, parts, backbone = pictures(60), crowd(), Means()
    how = RoiFeatures(Given(parts), RoiSpec(0.2), backbone, shots, batch, patient=patient)  # type: ignore[arg-type]
    found = list(how(grids(6)))
    assert max(backbone.asked) <= batch and sum(backbone.asked) > 40
    if batch == 7:
        assert backbone.asked.count(7) == sum(backbone.asked) // 7 if patient else len(set(backbone.asked)) > 2
    for part, seen in zip(parts, found, strict=True):
        assert part.paths is not None and seen.paths is part.paths
        for number, features in enumerate(seen.features):
            way = part.paths.rows.extents[part.paths.rows.track == number]
            np.testing.assert_allclose(features, twin(way, shots, Means(), 0.2), rtol=1e-5)


def test_unit_length_is_of_what_pictures_say() -> None:
    part = stretch(0, 10, [walk(range(10), 0), walk(range(10), 1)], own=3)
    (plain,), (scaled,) = (
        RoiFeatures(Given([part]), RoiSpec(l2=l2), Means(), pictures(10))(grids(1))  # type: ignore[arg-type]
        for l2 in (False, True)
    )
    wanted = plain.features[:, :3] / np.linalg.norm(plain.features[:, :3], axis=1, keepdims=True)
    np.testing.assert_allclose(scaled.features[:, :3], wanted, rtol=1e-6)
    assert (scaled.features[:, 3:] == 7).all()


def test_what_the_builder_knows_itself_comes_after() -> None:
    part = stretch(0, 10, [walk(range(10), 0), walk(range(10), 1)], own=3)
    (seen,) = RoiFeatures(Given([part]), RoiSpec(), Means(), pictures(10))(grids(1))  # type: ignore[arg-type]
    assert seen.features.shape == (2, 6) and (seen.features[:, 3:] == 7).all() and seen.features[:, :3].min() > 50


def test_instances_of_a_camera_come_when_their_window_is_over() -> None:
    """No picture beyond the grids of a window is asked for, but one; a patient one waits for its batch."""
    for patient, expected in ((False, [21, 41, 60]), (True, [60, 60, 60])):
        pulled = 0

        def counted() -> Iterator[Frame]:
            nonlocal pulled
            for shot in pictures(60):
                pulled += 1
                yield shot

        near = RoiFeatures(Given(crowd()), RoiSpec(), Means(), counted(), 500, patient=patient)  # type: ignore[arg-type]
        assert [pulled for _ in near(grids(6))] == expected


def test_pictures_wait_no_longer_than_their_window(monkeypatch: pytest.MonkeyPatch) -> None:
    most = []

    class Watched(FrameBuffer):
        def add(self, frame: Frame) -> None:
            super().add(frame)
            most.append(len(self))

    monkeypatch.setattr(roi_crops, "FrameBuffer", Watched)
    parts = [stretch(20 * k, 20 * k + 20, [walk(range(20 * k, 20 * k + 20), k)]) for k in range(9)]
    assert len(list(RoiFeatures(Given(parts), RoiSpec(), Means(), pictures(180), 500, patient=True)(grids(18)))) == 9  # type: ignore[arg-type]
    assert len(most) == 180 and max(most) == 20


def test_still_crops_are_not_looked_at() -> None:
    gray = Frame(np.full((24, 36, 3), 90, np.uint8), 0, 0.0, 0.1)
    still = [Frame(gray.image, k, k / 10, (k + 1) / 10) for k in range(10)]
    backbone = Means()
    part = stretch(0, 10, [walk(range(10), 0)])
    (seen,) = RoiFeatures(Given([part]), RoiSpec(), backbone, still, gate=3.0)(grids(1))  # type: ignore[arg-type]
    assert not seen.features.any() and seen.features.shape == (1, 3) and backbone.asked == [1]


@pytest.mark.parametrize(
    ("box", "shape"),
    [
        ((0.5, 0.5, 0.5, 0.5), (1, 1)), ((1, 1, 1, 1), (1, 1)), ((0, 0, 0, 1), (24, 1)), ((0, 0, 1, 1), (24, 36)),
        ((0.25, 0.25, 0.5, 0.75), (12, 9)), ((0.999, 0, 1, 1e-9), (1, 1)), ((0.26, 0, 0.27, 1), (24, 1)),
    ],
)  # fmt: skip
def test_every_box_holds_a_pixel(box: tuple[float, ...], shape: tuple[int, int]) -> None:
    assert cut(pictures(1)[0].image, np.array([0, 1, *box])).shape[:2] == shape


def test_hostile_boxes_and_times() -> None:
    """A box without area, a mover between two pictures and one after the last: something is seen of each."""
    ways = [[[k, 1.0, 1.0, 1.0, 1.0] for k in range(5)], [[2, 0, 0, 0, 0]], [[9, 0.2, 0.2, 0.4, 0.4]]]
    part = stretch(0, 10, ways)
    few = [Frame(shot.image, k, shot.start, shot.start + 0.4) for k, shot in enumerate(pictures(8)[::4])]
    (seen,) = RoiFeatures(Given([part]), RoiSpec(2.0), Means(), few)(grids(1))  # type: ignore[arg-type]
    assert np.isfinite(seen.features).all() and (seen.features > 0).all()
    with pytest.raises(ValueError, match="movers without pictures"):
        list(RoiFeatures(Given([part]), RoiSpec(), Means(), [])(grids(1)))  # type: ignore[arg-type]


def test_a_roll_gives_back_what_it_got(own_cache: Path) -> None:
    """In memory or in a file, while old pictures go and new ones take their place."""
    shots = pictures(50)
    one = shots[0].image.nbytes
    for in_memory in (0, 3 * one, 10**9):
        roll = FrameBuffer(in_memory, most=12 * one)
        for shot in shots:
            roll.add(shot)
            for mine in roll.between(shot.start - 0.6, shot.end):
                np.testing.assert_array_equal(mine.image, shots[mine.index].image)
            roll.forget(shot.start - 0.75)
            assert len(roll) <= 9
        assert [f.index for f in roll.between(4.5, 4.8)] == [45, 46, 47]
        assert [f.index for f in roll.between(4.52, 4.58)] == [45] and [f.index for f in roll.between(9, 9)] == [49]
        roll.forget(99)
        assert not len(roll) and not list(roll.between(0, 1))
    with pytest.raises(ConfigError, match=r"shorter shape\.window"):
        for shot in shots:
            roll.add(shot)
    assert not list(own_cache.glob("tmp*")), "the file has no name"


def test_pictures_stay_in_memory_where_the_disk_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("wherewhen.core.spill.put", full)
    shots, buffer = pictures(9), FrameBuffer(in_memory=0)
    for shot in shots:
        buffer.add(shot)
    for frame, shot in zip(buffer.between(0, 9), shots, strict=True):
        np.testing.assert_array_equal(frame.image, shot.image)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five seconds of a wall: a square crosses from second 1 on, another comes back after 2; then nobody."""
    path = tmp_path_factory.mktemp("near") / "film.mp4"
    wall = np.random.default_rng(0).integers(90, 110, (96, 128, 3)).astype(np.uint8)
    with Writer(path, RATE) as writer:
        for index in range(62):
            picture = wall.copy()
            if 12 <= index < 45:
                picture[20:44, 3 * (index - 12) : 3 * (index - 12) + 14] = 230
            if 27 <= index < 45:
                x = 110 - 4 * (index - 27)
                picture[60:84, x : x + 12] = (200, 15, 15)
            writer.write(picture)
    return path


SMALL = {"weights": "random", "size": [32, 48], "frames": 4, "stride": 4, "sampling": 2, "layer": "stage2"}


def recipe_of(method: str, backbone: str = "shufflenet", **tubes: Any) -> ModelConfig:
    own = {"shufflenet": SMALL} if backbone == "shufflenet" else {}
    plain = {"method": method, "instances": "tubes", "backbone": backbone, "engine": "torch", "precision": "fp32"}
    return ModelConfig.of({**plain, "tubes": {**TUBES, **tubes}, **own})


@pytest.mark.parametrize("margin", [0.0, 0.3])
def test_kept_features_are_those_of_crops_one_by_one(film: Path, margin: float) -> None:
    """The whole way through a file, against the pictures of the file, cut and looked at one by one."""
    config, video = recipe_of("mgpr", margin=margin), Video("film", film, 1)
    seen = feature_cache.bag_of(video, config.feature_specs()).views
    backbone = config.make("backbone")
    shots = list(reader.frames(film, rate=backbone.clip.rate, width=96))
    tubes = seen["tubes"]
    assert tubes.paths is not None and len(set(tubes.track.tolist())) > 2
    for number in range(len(tubes.features)):
        way = tubes.paths.rows.extents[tubes.paths.rows.track == number]
        np.testing.assert_allclose(tubes.features[number], twin(way, shots, backbone, margin), rtol=1e-4, atol=1e-5)
    pooled = feature_cache.bag_of(video, recipe_of("mgpr", features="pool", margin=margin).feature_specs()).views
    for name in ("tube_frames", "videolets"):
        np.testing.assert_array_equal(seen[name].features, pooled[name].features)
    np.testing.assert_array_equal(pooled["tubes"].extents, tubes.extents)
    assert np.abs(pooled["tubes"].features - tubes.features).max() > 0.01


def same(one: Prediction, other: Prediction) -> None:
    assert one.frames and other.frames and one.boxes and other.boxes
    np.testing.assert_array_equal(one.frames.edges, other.frames.edges)
    np.testing.assert_array_equal(one.boxes.extents, other.boxes.extents)
    np.testing.assert_allclose(one.frames.values, other.frames.values, rtol=0, atol=1e-5)
    np.testing.assert_allclose(one.boxes.values, other.boxes.values, rtol=0, atol=1e-5)
    assert [e.track for e in one.events] == [e.track for e in other.events]


@pytest.mark.parametrize(("method", "manner"), [("dmrm", False), ("mgpr", True)])
def test_live_is_offline_and_kept(
    method: str,
    manner: bool,
    film: Path,
    untrained: Callable[..., Model],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Batches over tubes and windows out of a file, a window at a time as pictures come: the same numbers."""
    config, video = recipe_of(method, manner=manner), Video("film", film, 1)
    ways = config.feature_specs()
    (opened,) = {id(look.opened(video)): look.opened(video) for look in ways.values()}.values()
    monkeypatch.setattr(opened, "running", EngineChoice("torch", "fp32", batch=5))
    seen = feature_cache.bag_of(video, ways).views
    assert seen[config.scored].features.shape[1] == 48 + 12 * manner
    model = untrained(config, seen)
    live = scoring.join_predictions(model.stream(video))

    def never(*_: Any) -> Any:
        raise AssertionError("looked at again")

    monkeypatch.setattr("wherewhen.extraction.feature_cache.extract_features", never)
    bag = feature_cache.bag_of(video, ways)
    same(live, evaluator.detect_bags(model, evaluator.normalized(model, [bag]))["film"])
    assert live.events


def test_other_settings_are_other_features(film: Path) -> None:
    """What determines the numbers stands in the passport."""
    video = Video("film", film, 1)
    base = recipe_of("dmrm").feature_specs()["cells"].resolved_settings(video)
    for other in ({"margin": 0.2}, {"width": 64}, {"features": "pool"}, {"boxes": {"smallest": 0.004}}):
        assert recipe_of("dmrm", **other).feature_specs()["cells"].resolved_settings(video) != base


def test_several_looks_with_crops_share_one_reading(film: Path) -> None:
    """Two backbones, and two ways to cut with one of them: each as if it were alone."""
    video = Video("film", film, 1)
    wanted = [
        recipe_of("dmrm", **how).feature_spec()
        for how in ({}, {"width": 48}, {"margin": 0.5}, {"backbone": "toywords"})
    ]
    together = extractor.extract_features(video, wanted)
    for look, seen in zip(wanted, together, strict=True):
        (alone,) = extractor.extract_features(video, [look])
        np.testing.assert_allclose(seen.instances.features, alone.instances.features, atol=1e-5)
    assert len({seen.instances.features.tobytes() for seen in together}) == 4


def test_crops_of_several_videos_share_batches(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four videos at once: while the first batch is run the others wait, and then go together."""
    look = recipe_of("dmrm", margin=0.27).feature_spec()  # nobody else's, so that nothing of it is kept
    videos = [Video(str(k), film, 1, span=(0.0, 4.8 - 0.4 * k)) for k in range(4)]
    alone = [look.extract(video).features for video in videos]
    opened = look.opened(videos[0])
    together = opened.backbone.run  # type: ignore[attr-defined]
    assert isinstance(together, SharedBatcher)
    engine, sizes = together.run, list[int]()

    def run(clips: Pixels) -> Features:
        for _ in range(10_000 if not sizes else 0):
            if len(together._waiting) == 3:
                break
            sleep(0.001)
        sizes.append(len(clips))
        return engine(clips)

    monkeypatch.setattr(opened, "running", EngineChoice("torch", "fp32", batch=2))
    monkeypatch.setattr(together, "size", 8)
    monkeypatch.setattr(together, "run", run)
    found = list(loading.bags(videos, {"cells": look}, workers=4, quiet=True))
    assert max(sizes) > 2, "clips of several videos"
    for bag, features in zip(found, alone, strict=True):
        np.testing.assert_allclose(bag.views["cells"].features, features, rtol=1e-4, atol=1e-5)


NETWORKS: dict[str, dict[str, Any]] = {
    "c3d": {"layer": "pool2"},
    "i3d": {},
    "x3d": {},
    "uniformer": {},
    "videomae": {},
    "clip": {"variant": "b32"},
    "shufflenet": {},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_takes_crops(name: str) -> None:
    """Crops become clips of the size and length that it eats; what it makes of them is not asked here."""
    cls = registry.load("backbones", name)
    config = build(cls.Config, {"weights": "random", **NETWORKS[name]}, name)
    asked = []

    class Fake:
        clip, abilities = cls.spec(config), BackboneAbilities()

        def __call__(self, clips: Pixels) -> Features:
            asked.append(clips.shape)
            return np.ones((len(clips), 1, 1, 1, 4), np.float32)

    part = stretch(0, 10, [walk(range(10), 0), walk(range(2), 1)])
    (seen,) = RoiFeatures(Given([part]), RoiSpec(), Fake(), pictures(10), batch=2)(grids(1))  # type: ignore[arg-type]
    assert (seen.features == 1).all() and {shape[1:4] for shape in asked} == {(Fake.clip.frames, *Fake.clip.size)}


def test_builders_with_a_roi_spec_need_crops() -> None:
    near = roi_crops.roi_specs(recipe_of("mgpr").builders())
    assert near == {"tubes": RoiSpec(0.1, 96)}, "whole pictures of the same times are what they were"
    assert not roi_crops.roi_specs(recipe_of("mgpr", features="pool").builders())
    assert roi_crops.specs(recipe_of("dmrm").builders(), ClipSpec(8, 4, 10.0)) == {"cells": ClipSpec(1, 1, 10.0, 96)}
    boxes = (Boxes(0, 1, [[0, 1, 0.1, 0.1, 0.4, 0.5]], [1.0], track=np.array([3])),)
    (part,) = Tubes(build(Tubes.Config, TUBES, "tubes"))(
        [Grid(np.ones((1, 2, 2, 5), np.float32), np.array([0, 1, 0, 0, 1, 1]), boxes=boxes)]
    )
    assert part.features.shape == (1, 0), "the grid says nothing then"
    assert track_cache.track_sources(recipe_of("dmrm").builders())


@pytest.mark.parametrize("backbone", ["motion", "frame_difference"])
def test_what_stands_still_can_not_go_along(backbone: str) -> None:
    with pytest.raises(ConfigError, match=r"a crop follows its mover.*--tubes\.features pool"):
        recipe_of("mgpr", backbone)
    assert recipe_of("mgpr", backbone, features="pool").backbone == backbone


def test_pictures_of_any_size_get_one() -> None:
    part = stretch(0, 10, [walk(range(10), 0)])
    (seen,) = RoiFeatures(Given([part]), RoiSpec(), Means(None), pictures(10))(grids(1))  # type: ignore[arg-type]
    way = part.paths.rows.extents if part.paths else np.empty(0)
    np.testing.assert_allclose(seen.features[0], twin(way, pictures(10), Means(None), 0.0), rtol=1e-5)

"""Movers of a small drawn world: which tubes come when, who keeps which number, and what their boxes hold."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from wherewhen.core import extents as ext
from wherewhen.core.config import build
from wherewhen.core.errors import ConfigError
from wherewhen.core.tubes import TubeConfig
from wherewhen.core.values import Boxes, Grid, Instances, Scores
from wherewhen.inference.model_config import ModelConfig
from wherewhen.instances._movers import Movers, cells, in_time, windows
from wherewhen.instances._tubes_config import TubesConfig
from wherewhen.instances.tube_frames import TubeFrames
from wherewhen.instances.tubes import Tubes

STEP = 0.25  # seconds between two frames with boxes
LONG = 12.0


def frame(k: int, tracks: dict[int, tuple[float, float, float, float]]) -> Boxes:
    rows = [[k * STEP, (k + 1) * STEP, *box] for box in tracks.values()]
    return Boxes(k * STEP, (k + 1) * STEP, rows, np.full(len(rows), 0.8), track=np.array(list(tracks), np.int64))


def world(seconds: float = LONG) -> Iterator[Grid]:
    """Track 4 walks to the right all the time, track 9 stands from second 3 to 9; a grid a second."""
    rng = np.random.default_rng(0)
    for second in range(int(seconds)):
        boxes = []
        for k in range(4 * second, 4 * second + 4):
            x = k * STEP / LONG * 0.7
            tracks = {4: (x, 0.1, x + 0.2, 0.4)}
            if 3 <= k * STEP < 9:
                tracks[9] = (0.7, 0.6, 0.9, 0.95)
            boxes.append(frame(k, tracks))
        features = rng.normal(size=(2, 5, 6, 3)).astype(np.float32)
        yield Grid(features, np.array([second, second + 1, 0, 0, 1, 1]), boxes=tuple(boxes))


def config(window: float | None = 4.0, **more: object) -> TubesConfig:
    shape = TubeConfig(window=window, shortest=0.5)
    return TubesConfig(shape=shape, **{"part": 2.0, "manner": False, **more})  # type: ignore[arg-type]


def naive(grids: list[Grid], rows: np.ndarray) -> np.ndarray:
    """Mean of all cells by the volume that each box shares with them, cell by cell."""
    total, weight = np.zeros(3), 0.0
    for grid in grids:
        places = ext.grid(grid.extent, grid.features.shape[:3])
        for place, cell in zip(places, grid.features.reshape(-1, 3), strict=True):
            for row in rows:
                sides = [min(row[b], place[b]) - max(row[a], place[a]) for a, b in ((0, 1), (2, 4), (3, 5))]
                share = np.prod(np.maximum(sides, 0))
                total, weight = total + share * cell, weight + share
    found: np.ndarray = total / weight
    return found


def test_windows_hold_each_frame_once_with_the_grids_of_its_time() -> None:
    grids = list(world())
    found = list(windows(grids, 4.0))
    assert [(frames[0].start, frames[-1].end) for _, frames in found] == [(0, 4), (4, 8), (8, 12)]
    told = [boxes for _, frames in found for boxes in frames]
    assert told == [boxes for grid in grids for boxes in grid.boxes]
    for own, frames in found:
        assert own[0].extent[0] <= frames[0].start and own[-1].extent[1] >= frames[-1].end
        assert len(own) <= 5
    ((own, frames),) = windows(grids, None)
    assert len(own) == 12 and len(frames) == 48


def test_a_window_comes_when_the_next_one_begins() -> None:
    """No grid is asked for beyond the first one of the next window."""
    pulled = 0

    def counted() -> Iterator[Grid]:
        nonlocal pulled
        for grid in world():
            pulled += 1
            yield grid

    assert [pulled for _ in Tubes(config())(counted())] == [5, 9, 12]
    assert Tubes(config()).wait == 5.0  # a window and the pause that a track may make


def test_instances_are_the_parts_of_tubes_in_order_of_time() -> None:
    parts = list(Tubes(config())(world()))
    spans = [[(row[0], row[1]) for row in part.extents.tolist()] for part in parts]
    assert spans == [[(0, 2), (2, 4), (3, 4)], [(4, 6), (4, 6), (6, 8), (6, 8)], [(8, 10), (8, 9), (10, 12)]]
    walker = [part.track[part.extents[:, 2] < 0.6][0] for part in parts[:2]]
    assert len(set(walker)) == 1, "who walks on keeps the number"
    assert [len(set(part.track.tolist())) for part in parts] == [2, 2, 2]
    for part in parts:
        assert part.paths is not None
        for number, hull in enumerate(part.extents):
            rows = part.paths.rows.extents[part.paths.rows.track == number]
            np.testing.assert_array_equal(ext.hull(rows), hull)
    whole = [part.paths.edges for part in parts if part.paths]
    np.testing.assert_array_equal(np.concatenate([whole[0], whole[1][1:], whole[2][1:]]), np.arange(49) * STEP)


@pytest.mark.parametrize("margin", [0.0, 0.3])
def test_features_are_those_of_the_cells_inside_the_boxes(margin: float) -> None:
    grids = list(world())
    for part in Tubes(config(margin=margin))(grids):
        assert part.paths is not None
        for number, features in enumerate(part.features):
            rows = part.paths.rows.extents[part.paths.rows.track == number]
            np.testing.assert_allclose(features, naive(grids, ext.widened(rows, margin)), rtol=1e-4, atol=1e-5)


def test_whole_pictures_are_of_the_same_rows() -> None:
    grids = list(world())
    for part, other in zip(Tubes(config())(grids), TubeFrames(config())(grids), strict=True):
        np.testing.assert_array_equal(part.track, other.track)
        np.testing.assert_array_equal(part.extents[:, :2], other.extents[:, :2])
        assert (other.extents[:, 2:] == [0, 0, 1, 1]).all()
        for extent, features in zip(other.extents, other.features, strict=True):
            np.testing.assert_allclose(features, naive(grids, extent[None]), rtol=1e-4, atol=1e-5)


def test_where_nobody_is_the_picture_stands_in() -> None:
    empty = [Grid(grid.features, grid.extent, boxes=tuple(frame(4 * k + i, {}) for i in range(4)))
             for k, grid in enumerate(world(3))]  # fmt: skip
    for grids in (empty, [Grid(grid.features, grid.extent) for grid in empty]):
        (part,) = Tubes(config(part=None))(grids)
        np.testing.assert_array_equal(part.extents, [[0, 3, 0, 0, 1, 1]])
        np.testing.assert_allclose(part.features[0], naive(empty, part.extents), rtol=1e-4, atol=1e-5)
        (told,) = Tubes(config(part=None, manner=True))(grids)
        np.testing.assert_array_equal(told.features, [[*part.features[0], *[0.0] * 12]])


def test_a_union_is_a_mover_of_its_own() -> None:
    touching = {1: (0.1, 0.1, 0.4, 0.5), 2: (0.3, 0.1, 0.6, 0.5)}
    boxes = tuple(frame(k, touching) for k in range(8))
    grid = Grid(np.ones((1, 2, 2, 1), np.float32), np.array([0, 2, 0, 0, 1, 1]), boxes=boxes)
    part = Movers(config())([grid], list(boxes))
    assert sorted(part.track.tolist()) == [0, 1, 2]
    np.testing.assert_allclose(part.extents[part.track == 2][0], [0, 2, 0.1, 0.1, 0.6, 0.5])


def test_rows_are_numbered_by_their_begin() -> None:
    rows = Scores([[t, t + 1, 0, 0, 1, 1] for t in (4, 5, 1, 2, 3)], np.arange(5), [0, 0, 1, 1, 2])
    found, order = in_time(rows, 3)
    assert order.tolist() == [1, 2, 0]
    assert found.track.tolist() == [0, 0, 1, 2, 2] and found.extents[:, 0].tolist() == [1, 2, 3, 4, 5]


def test_margins_end_at_the_picture() -> None:
    np.testing.assert_allclose(
        ext.widened(np.array([[0, 1, 0.5, 0.5, 0.7, 0.6], [0, 1, 0.0, 0.9, 0.4, 1.0]]), 0.5),
        [[0, 1, 0.4, 0.45, 0.8, 0.65], [0, 1, 0.0, 0.85, 0.6, 1.0]],
    )


def test_each_part_has_its_own_track_number_where_parts_are_the_tubes() -> None:
    by_object, by_part = ([*Tubes(config(track=track))(world())] for track in ("object", "part"))
    numbers = np.concatenate([found.track for found in by_part])
    assert numbers.tolist() == list(range(10))
    for one, other in zip(by_object, by_part, strict=True):
        np.testing.assert_array_equal(one.extents, other.extents)
        np.testing.assert_array_equal(one.features, other.features)


def test_tubes_of_training_videos_are_whole_and_those_of_detection_are_parts() -> None:
    settings = {"method": "mgpr", "tubes": {"whole_in_training": True, "part": 2.0}}
    learned, detected = (ModelConfig.of(settings).feature_specs(training=training) for training in (True, False))
    for view in ("tubes", "tube_frames"):
        assert learned[view].instances_settings.part is None and detected[view].instances_settings.part == 2.0
    assert learned["videolets"] == detected["videolets"]
    usual = ModelConfig.of({"method": "mgpr", "tubes": {"part": 2.0}})
    assert usual.feature_specs(training=True) == usual.feature_specs()
    assert usual.feature_spec().required_settings() == detected["tubes"].required_settings(), (
        "the features are the same"
    )


def test_settings_that_older_stores_lack_are_no_part_of_a_passport_without_effect() -> None:
    def made(**more: object) -> dict[str, object]:
        tubes = ModelConfig.of({"method": "mgpr", "tubes": more}).feature_spec().required_settings()["tubes"]
        assert isinstance(tubes, dict)
        return tubes

    assert not {"track", "whole_in_training"} & {*made()}
    assert not {"unions", "contact"} & {*made(shape={"multivariate": True})["shape"]}  # type: ignore[misc]
    assert made(track="part")["track"] == "part"
    shape = made(shape={"multivariate": True, "unions": "groups", "contact": 0.05})["shape"]
    assert shape["unions"] == "groups" and shape["contact"] == 0.05  # type: ignore[index]
    assert made(shape={"multivariate": False, "unions": "groups"}) == made()


def test_grids_of_several_sizes_are_told() -> None:
    made = [Grid(np.ones((1, 2, size, 1), np.float32), np.array([0, 1, 0, 0, 1, 1])) for size in (2, 3)]
    with pytest.raises(ValueError, match="grids of one size"):
        cells(made)


@pytest.mark.parametrize("wrong", [{"part": 0}, {"margin": -1}, {"shape": {"frame": "never"}}, {"tracks": {"gap": -1}}])
def test_senseless_settings_are_told(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        build(TubesConfig, wrong, "tubes")


def test_no_grid_makes_no_instance() -> None:
    assert not list(Tubes(config())([]))
    assert isinstance(next(iter(Tubes(config())(world()))), Instances)


def test_unit_length_is_of_what_pictures_say() -> None:
    """Pooled features and those of whole pictures; manner keeps its own scale."""
    plain, scaled, told = (
        next(Tubes(config(None, l2=l2, manner=manner))(world())).features
        for l2, manner in ((False, False), (True, False), (True, True))
    )
    np.testing.assert_allclose(scaled, plain / np.linalg.norm(plain, axis=1, keepdims=True), rtol=1e-6)
    np.testing.assert_array_equal(told[:, :3], scaled)
    frames = next(TubeFrames(config(None, l2=True))(world())).features
    np.testing.assert_allclose(np.linalg.norm(frames, axis=1), 1, rtol=1e-6)

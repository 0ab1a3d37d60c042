"""Files of features: what was saved comes back, a part is read alone, and what is no such file is refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from wherewhen.core import extents as ext
from wherewhen.core.array_files import load, save
from wherewhen.core.errors import StoreError, VideoError
from wherewhen.core.feature_file import content, differences, inside, open_features, save_features, store_of
from wherewhen.core.values import Instances, Paths, Scores
from wherewhen.video import reader

PASSPORT: dict[str, Any] = {"made": {"backbone": "motion"}, "source": {}, "about": {"width": 64, "height": 48}}
CLOCK = np.arange(21) / 10


def grid(clips: int = 3) -> Instances:
    """Clips of two steps of 2 x 3 cells, a second each; the last one is half as long."""
    ends = [*range(1, clips), clips - 0.5]
    rows = np.concatenate([ext.grid([k, end, 0, 0, 1, 1], (2, 2, 3)) for k, end in enumerate(ends)])
    rng = np.random.default_rng(0)
    features, detail = rng.normal(size=(len(rows), 5)), rng.random((2 * clips, 4, 6)).astype(np.float16)
    return Instances(features, rows, shape=(2 * clips, 2, 3), detail=detail.astype(np.float32))


def loose(count: int = 30) -> Instances:
    """Boxes anywhere, some with track numbers."""
    rng = np.random.default_rng(1)
    start, corners = np.sort(rng.uniform(0, 2, count)), np.sort(rng.random((count, 2, 2)), 1)
    rows = np.concatenate([start[:, None], start[:, None] + 0.2, corners[:, 0], corners[:, 1]], 1)
    return Instances(rng.normal(size=(count, 4)), rows, rng.integers(-1, 4, count))


def walking(count: int = 6) -> Instances:
    """Movers that each have a box in a few of twenty frames."""
    rng, rows = np.random.default_rng(2), loose(count)
    edges = np.arange(21) / 10
    owner = np.repeat(np.arange(count), 3)
    frames = (rows.extents[owner, 0] * 10).astype(int) + np.tile(np.arange(3), count)
    places = np.concatenate([edges[frames % 20, None], edges[frames % 20 + 1, None], rows.extents[owner, 2:]], 1)
    return Instances(
        rows.features, rows.extents, rows.track, paths=Paths(Scores(places, rng.random(3 * count), owner), edges)
    )


def same(one: Instances, other: Instances) -> None:
    assert (one.paths is None) == (other.paths is None)
    if one.paths and other.paths:
        np.testing.assert_array_equal(one.paths.edges, other.paths.edges)
        for name in ("extents", "values", "track"):
            np.testing.assert_array_equal(getattr(one.paths.rows, name), getattr(other.paths.rows, name))
    assert one.shape == other.shape and (one.detail is None) == (other.detail is None)
    for name in ("features", "extents", "track", *(["detail"] if one.detail is not None else [])):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("seen", [grid(), loose(), walking()], ids=["grid", "loose", "walking"])
def test_what_was_saved_comes_back_to_the_last_bit(seen: Instances, tmp_path: Path) -> None:
    save_features(tmp_path / "a.safetensors", seen, CLOCK, PASSPORT)
    file = open_features(tmp_path / "a.safetensors")
    same(file.instances(), seen)
    assert file.shape == seen.features.shape and file.grid == seen.shape and file.passport == PASSPORT
    np.testing.assert_array_equal(file.clock, CLOCK)


@pytest.mark.parametrize("seen", [grid(), loose()], ids=["grid", "loose"])
@pytest.mark.parametrize("span", [(0, 0.1), (0.4, 1.2), (1.6, 1.9), (0, 99)])
def test_a_stretch_is_what_touches_it(seen: Instances, span: tuple[float, float], tmp_path: Path) -> None:
    save_features(tmp_path / "a.safetensors", seen, CLOCK, PASSPORT)
    found = open_features(tmp_path / "a.safetensors").between(*span)
    kept = [row[1] > span[0] and row[0] < span[1] for row in seen.extents]
    np.testing.assert_array_equal(found.features, seen.features[kept])
    np.testing.assert_array_equal(found.extents, seen.extents[kept])
    np.testing.assert_array_equal(found.track, seen.track[kept])
    if seen.shape:
        assert found.shape and np.prod(found.shape) == sum(kept)


def test_a_stretch_has_the_ways_of_its_own_movers(tmp_path: Path) -> None:
    seen = walking()
    save_features(tmp_path / "a.safetensors", seen, CLOCK, PASSPORT)
    found = open_features(tmp_path / "a.safetensors").between(0.9, 1.4)
    kept = [k for k, row in enumerate(seen.extents) if row[1] > 0.9 and row[0] < 1.4]
    assert 0 < len(kept) < len(seen.features) and found.paths and seen.paths
    for own, k in enumerate(kept):
        ways = [one.rows.extents[one.rows.track == n] for one, n in ((found.paths, own), (seen.paths, k))]
        np.testing.assert_array_equal(*ways)


def test_an_odd_grid_keeps_its_places(tmp_path: Path) -> None:
    """Cells whose times differ within a step are not told by steps and places."""
    seen = grid()
    seen.extents[1, 1] += 1e-12
    save_features(tmp_path / "a.safetensors", seen, CLOCK, PASSPORT)
    found = open_features(tmp_path / "a.safetensors").instances()
    np.testing.assert_array_equal(found.extents, seen.extents)
    assert found.shape is None


def test_float16_halves_and_rounds(tmp_path: Path) -> None:
    seen = Instances(np.tile(loose().features, (50, 40)), np.tile(loose().extents, (50, 1)))
    for stored in ("float32", "float16"):
        save_features(tmp_path / f"{stored}.safetensors", seen, CLOCK, PASSPORT, stored)
    found = open_features(tmp_path / "float16.safetensors").instances()
    np.testing.assert_array_equal(found.features, seen.features.astype(np.float16).astype(np.float32))
    small, large = ((tmp_path / f"{n}.safetensors").stat().st_size for n in ("float16", "float32"))
    assert abs(large - small - seen.features.size * 2) < 64  # but for the head


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    with pytest.raises(StoreError, match="no such file of features"):
        open_features(path)
    path.write_bytes(b"holiday")
    with pytest.raises(StoreError, match="delete it and run again"):
        open_features(path)
    path.unlink()
    save(path, {"features": np.zeros((2, 2))}, {"recipe": {}})
    with pytest.raises(StoreError, match="no passport of one"):
        open_features(path)
    save_features(path, grid(), CLOCK, PASSPORT)
    with pytest.raises(StoreError, match=r"holds nothing from 7 s to 8 s"):
        open_features(path).between(7, 8)


def test_a_file_of_features_has_times_but_no_pictures(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_features(path, grid(), CLOCK, PASSPORT)
    np.testing.assert_allclose(reader.edges(path), CLOCK)
    info = reader.probe(path)
    assert (info.width, info.height, info.frames, info.duration) == (64, 48, 20, 2.0)
    with pytest.raises(VideoError, match="holds features, no pictures"):
        next(reader.frames(path))


@pytest.mark.parametrize("name", ["features", "clock", "grid", "times", "places"])
@pytest.mark.parametrize("change", ["gone", "flat", "short"])
def test_an_array_that_is_missing_or_of_another_shape_is_told(name: str, change: str, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_features(path, grid(), CLOCK, PASSPORT)
    arrays, passport = load(path)
    if change == "gone":
        del arrays[name]
    else:
        arrays[name] = np.ascontiguousarray(arrays[name].reshape(-1) if change == "flat" else arrays[name][:1])
    save(path, arrays, passport)
    try:
        one = open_features(path)
        assert one.times.shape[1] == 2 and one.clock.ndim == 1
        one.instances()
    except StoreError as error:
        assert str(path) in str(error)
    else:
        assert name == "clock" or (name, change) == ("grid", "flat")


def test_what_is_not_finite_or_nested_without_end_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_features(path, grid(), CLOCK, PASSPORT)
    arrays, passport = load(path)
    save(path, {**arrays, "detail": np.full_like(arrays["detail"], np.inf)}, passport)
    with pytest.raises(StoreError, match=r"a\.safetensors: detail: every value must be finite"):
        open_features(path).instances()
    save_file({"features": arrays["features"]}, path, {"passport": "[" * 100_000})
    with pytest.raises(StoreError, match=r"a\.safetensors: .*levels deep"):
        open_features(path)


def test_times_that_run_back_are_refused(tmp_path: Path) -> None:
    """As those of versions that told the end of a video twice."""
    save_features(tmp_path / "a.safetensors", grid(), CLOCK, PASSPORT)
    arrays, passport = load(tmp_path / "a.safetensors")
    arrays["times"][-1] -= 0.4
    save(tmp_path / "b.safetensors", arrays, passport)
    with pytest.raises(StoreError, match=r"b\.safetensors: instances: time step 5 of a grid begins.*extract the feat"):
        open_features(tmp_path / "b.safetensors").instances()


def test_what_has_no_end_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.mp4")
    with pytest.raises(VideoError, match="this is a pipe"):
        content(tmp_path / "a.mp4")


def test_names_stay_inside_a_store(tmp_path: Path) -> None:
    assert inside(tmp_path, "look", "normal/n0") == tmp_path / "look" / "normal" / "n0.safetensors"
    for bad in ("../n0", "a/../../b", "/etc/x"):
        with pytest.raises(StoreError, match="leads out"):
            inside(tmp_path, "look", bad)
    with pytest.raises(StoreError, match="not in a store"):
        store_of(tmp_path / "look" / "a.safetensors")


def test_differences_name_fields_on_either_side() -> None:
    one, other = {"a": {"b": 1, "c": (2,)}, "d": 3}, {"a": {"b": 1, "c": [2]}, "e": {"f": None}}
    assert differences(one, other) == ["d: expected 3, got None"]
    assert differences(other, {**other, "e": {"f": 0}}) == ["e.f: expected None, got 0"]
    assert differences(one, one) == []

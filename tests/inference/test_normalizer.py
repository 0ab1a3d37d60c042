from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from wherewhen.core import extents as ext
from wherewhen.core.values import Features, Instances
from wherewhen.inference.normalizer import COARSE, FLOOR, RIDGE, SHARED, SPREAD, Normalizer

RNG = np.random.default_rng(0)


def cells(features: Features, shape: tuple[int, int, int] | None = None) -> Instances:
    rows = features.reshape(-1, features.shape[-1]).astype(np.float32)
    extents = np.tile([0, 1, 0, 0, 1, 1.0], (len(rows), 1))
    if shape:
        extents = ext.grid([0, shape[0], 0, 0, 1, 1], shape)
    return Instances(rows, extents, shape=shape)


def correlated(count: int = 4000) -> Features:
    mixed = RNG.normal(size=(count, 4)) @ np.array([[1, 0.8, 0, 0], [0, 0.5, 0, 0], [0, 0, 3, 0], [0, 0, 0, 0.2]])
    found: Features = (mixed + np.array([5, 1, -2, 0.4])).astype(np.float32)
    return found


def test_plain_scaling_is_a_z_score() -> None:
    rows = correlated()
    found = Normalizer.fit([cells(rows[:1000]), cells(rows[1000:])], decorrelate=False)(cells(rows)).features
    expected = (rows - rows.mean(0, dtype=np.float64)) / rows.std(0, dtype=np.float64)
    np.testing.assert_allclose(found, expected.clip(-10, 10), atol=1e-3)


def test_whitening_is_the_ridged_inverse_root() -> None:
    rows = correlated()
    fitted = Normalizer.fit([cells(rows)])
    z = (rows - rows.mean(0)) / rows.std(0)
    found = fitted(cells(rows)).features
    lengths = (found.astype(float) ** 2).sum(1)
    mahalanobis = np.einsum("ni,ij,nj->n", z, np.linalg.inv(np.corrcoef(rows.T) + RIDGE * np.eye(4)), z)
    np.testing.assert_allclose(lengths, mahalanobis, rtol=0.02, atol=0.02)
    np.testing.assert_allclose(fitted.mix, fitted.mix.T, atol=1e-9)


def test_components_are_the_directions_of_most_variance_with_unit_variance() -> None:
    rows = correlated()
    fitted = Normalizer.fit([cells(rows)], components=2)
    features = fitted(cells(rows)).features.astype(np.float64)
    assert features.shape[1] == fitted.width(4) == 2
    covariance = np.cov(features.T)
    np.testing.assert_allclose(covariance - np.diag(np.diag(covariance)), 0, atol=0.01)
    z = (rows - rows.mean(0)) / rows.std(0)
    values, vectors = np.linalg.eigh(np.corrcoef(rows.T))
    first = z @ vectors[:, -1]
    assert abs(np.corrcoef(first, features[:, 0])[0, 1]) > 0.999
    np.testing.assert_allclose(np.diag(covariance), values[::-1][:2] / (values[::-1][:2] + RIDGE), rtol=0.02)
    back = Normalizer.from_arrays(fitted.to_arrays(), 2)
    np.testing.assert_array_equal(back(cells(rows)).features, fitted(cells(rows)).features)
    with pytest.raises(ValueError, match="mix: expected 4 columns, found 2"):
        Normalizer.from_arrays(fitted.to_arrays(), 4)


def test_empty_instances_stay_empty_and_do_not_count() -> None:
    rows = correlated(500)
    padded = np.concatenate([rows, np.zeros((700, 4), np.float32)])
    alone, among = Normalizer.fit([cells(rows)]), Normalizer.fit([cells(padded)])
    for name, value in alone.to_arrays().items():
        np.testing.assert_allclose(among.to_arrays()[name], value)
    found = among(cells(padded)).features
    assert not found[500:].any() and found[:500].any(1).all()


def blurred(sums: np.ndarray) -> np.ndarray:
    """Gaussian over height and width, written out: every place is a weighted sum of all, edges repeated."""
    for axis in (0, 1):
        size = sums.shape[axis]
        sigma = SPREAD * size
        reach = int(4 * sigma + 0.5)
        offsets = np.arange(-reach, reach + 1)
        weights = np.exp(-0.5 * (offsets / sigma) ** 2)
        places = (np.arange(size)[:, None] + offsets).clip(0, size - 1)
        sums = np.moveaxis(np.einsum("so,so...->s...", np.tile(weights / weights.sum(), (size, 1)),
                                     np.moveaxis(sums, axis, 0)[places]), 0, axis)  # fmt: skip
    return sums


def test_places_take_the_perspective_out() -> None:
    shape = (60, 8, 6)
    near = np.linspace(1, 4, 8)[:, None, None]
    grid = near * (2 + 0.3 * RNG.normal(size=(*shape, 2)))
    grid[RNG.random(shape) < 0.5] = 0
    video = cells(grid, shape)
    fitted = Normalizer.fit([video], decorrelate=False)
    held = grid.any(-1)
    mean, deviation = grid[held].mean(0), grid[held].std(0)
    z = np.where(held[..., None], (grid - mean) / deviation, 0)
    count = blurred(held.sum(0, dtype=float)[..., None])
    shared = SHARED * held.sum() / 48
    shift = blurred(z.sum(0)) / (count + shared)
    spread = np.sqrt(np.maximum((blurred((z**2).sum(0)) + shared) / (count + shared) - shift**2, FLOOR**2))
    expected = np.where(held[..., None], (z - shift) / spread, 0)
    found = fitted(video).features.reshape(*shape, 2)
    np.testing.assert_allclose(found, expected, atol=2e-2)
    rows = [found[:, y][held[:, y]].mean() for y in range(8)]
    flat = Normalizer.fit([video], decorrelate=False, by_place=False)(video).features.reshape(*shape, 2)
    assert np.std(rows) < 0.5 * np.std([flat[:, y][held[:, y]].mean() for y in range(8)])


def test_places_of_what_is_on_no_grid_are_those_of_the_centers() -> None:
    """Movers in the middle of the cells of a grid are measured like the cells."""
    shape = (30, *COARSE)
    near = np.linspace(1, 4, COARSE[0])[:, None, None]
    grid = (near * (2 + 0.3 * RNG.normal(size=(*shape, 2)))).astype(np.float32)
    video = cells(grid, shape)
    movers = replace(video, shape=None)
    on, off = (Normalizer.fit([one], decorrelate=False) for one in (video, movers))
    np.testing.assert_allclose(on.places, off.places)
    np.testing.assert_allclose(on(video).features, off(movers).features)
    smaller = replace(movers, extents=ext.widened(movers.extents, -0.3))
    np.testing.assert_allclose(off(smaller).features, off(movers).features)
    flat = Normalizer.fit([movers], decorrelate=False, by_place=False)(movers).features
    rows = [off(movers).features.reshape(*shape, 2)[:, y].mean() for y in range(COARSE[0])]
    assert np.std(rows) < 0.5 * np.std([flat.reshape(*shape, 2)[:, y].mean() for y in range(COARSE[0])])


def test_another_grid_falls_back_to_the_whole_picture() -> None:
    video = cells(RNG.normal(size=(9, 4, 5, 3)), (9, 4, 5))
    other = cells(RNG.normal(size=(2, 3, 3, 3)), (2, 3, 3))
    by_place = Normalizer.fit([video], decorrelate=False)
    plain = Normalizer.fit([video], decorrelate=False, by_place=False)
    np.testing.assert_allclose(by_place(other).features, plain(other).features)
    assert not Normalizer.fit([video, other]).places.size
    assert not Normalizer.fit([video, cells(correlated(5)[:, :3])]).places.size


def test_a_whole_video_is_its_parts() -> None:
    grid = RNG.normal(size=(9, 4, 5, 3)).astype(np.float32)
    fitted = Normalizer.fit([cells(grid, (9, 4, 5))])
    parts = [fitted(cells(grid[k : k + 3], (3, 4, 5))).features for k in (0, 3, 6)]
    np.testing.assert_allclose(np.concatenate(parts), fitted(cells(grid, (9, 4, 5))).features, rtol=1e-6)


def test_saved_and_read_back_it_does_the_same() -> None:
    video = cells(RNG.normal(size=(9, 4, 5, 3)), (9, 4, 5))
    fitted = Normalizer.fit([video])
    back = Normalizer.from_arrays(fitted.to_arrays())
    np.testing.assert_array_equal(back(video).features, fitted(video).features)


def test_wild_numbers_are_bounded() -> None:
    fitted = Normalizer.fit([cells(correlated())])
    wild = fitted(cells(np.full((1, 4), 1e9))).features
    assert np.isfinite(wild).all() and np.abs(wild).max() <= 10


@pytest.mark.parametrize("rows", [np.zeros((5, 3)), np.full((5, 3), 2.0), np.array([[1.0, 2.0, 3.0]])])
def test_videos_where_nothing_varies(rows: Features) -> None:
    for shape in (None, (len(rows), 1, 1)):
        found = Normalizer.fit([cells(rows, shape)])(cells(rows + 1, shape)).features
        assert np.isfinite(found).all() and np.abs(found).max() <= 10


def test_nothing_to_learn_from_is_an_error() -> None:
    with pytest.raises(ValueError, match="no instances to learn from"):
        Normalizer.fit([])


@pytest.mark.parametrize("shape", [None, (5, 8, 10)])
def test_a_mean_of_two_normalizers_lies_between_them(shape: tuple[int, int, int] | None) -> None:
    first, second = (Normalizer.fit([cells(correlated(400) * scale + scale, shape)]) for scale in (1.0, 3.0))
    for weight, expected in ((0.0, first), (1.0, second)):
        for name, array in first.toward(second, weight).to_arrays().items():
            np.testing.assert_allclose(array, expected.to_arrays()[name], atol=1e-9, err_msg=name)
    middle = first.toward(second, 0.5)
    np.testing.assert_allclose(middle.mean, (first.mean + second.mean) / 2)
    np.testing.assert_allclose(middle.scale, np.sqrt(first.scale * second.scale))
    assert np.isfinite(middle(cells(correlated(400), shape)).features).all()


def test_places_of_another_grid_are_drawn_toward_the_whole_picture() -> None:
    first, second = (Normalizer.fit([cells(correlated(400), shape)]) for shape in ((5, 8, 10), (4, 10, 10)))
    mixed = first.toward(second, 1.0)
    assert mixed.places.shape == first.places.shape
    np.testing.assert_allclose(mixed.places[0], np.broadcast_to(second.mean, mixed.places[0].shape))
    plain = Normalizer.fit([cells(correlated(400))], by_place=False)
    np.testing.assert_allclose(plain.toward(first, 1.0).mean, first.mean)
    assert not plain.toward(first, 0.5).places.size

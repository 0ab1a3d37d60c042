from __future__ import annotations

import numpy as np
import pytest

from wherewhen.core.contracts import ClipSpec
from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Pixels
from wherewhen.proposals._detections import DetectorConfig
from wherewhen.proposals._layouts import Raw
from wherewhen.proposals._tiles import SHARED, close_up, tiled, tiles


@pytest.mark.parametrize(("size", "count"), [((240, 360), (2, 3)), ((97, 61), (3, 1)), ((5, 4), (8, 8))])
def test_tiles_cover_the_picture_and_share_a_part_with_their_neighbors(
    size: tuple[int, int], count: tuple[int, int]
) -> None:
    whole, *parts = tiles(size, count)
    assert whole == (0, 0, size[1], size[0]) and len(parts) == count[0] * count[1]
    covered = np.zeros(size, int)
    for x0, y0, x1, y1 in parts:
        assert 0 <= x0 < x1 <= size[1] and 0 <= y0 < y1 <= size[0]
        covered[y0:y1, x0:x1] += 1
    assert covered.min() >= 1
    assert len({(x1 - x0, y1 - y0) for x0, y0, x1, y1 in parts}) == 1
    if count == (2, 3):
        (first, _, end, _), (second, _, _, _) = parts[0], parts[1]
        assert (end - second) / (end - first) == pytest.approx(SHARED, abs=0.03)


def bright(picture: Pixels) -> Raw:
    """A detector that sees bright rectangles, but only those at least a tenth as high as its picture."""
    rows, columns = np.nonzero(picture[..., 0] > 200)
    if not len(rows) or rows.max() + 1 - rows.min() < 0.1 * len(picture):
        return np.empty((0, 4)), np.empty(0), np.empty(0, np.int64)
    sides = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], float)
    height, width = picture.shape[:2]
    return sides / [width, height, width, height], np.array([0.9]), np.array([3])


def test_what_is_too_small_in_the_whole_is_seen_in_a_tile_in_its_place() -> None:
    picture = np.zeros((100, 200, 3), np.uint8)
    picture[30:38, 150:155] = 255
    assert len(bright(picture)[0]) == 0
    corners, values, classes = tiled(picture, (2, 3), bright)
    assert len(corners) >= 1 and set(classes.tolist()) == {3} and (values == 0.9).all()
    np.testing.assert_allclose(corners, [[150 / 200, 0.30, 155 / 200, 0.38]] * len(corners), atol=1e-9)


def test_what_a_tile_cuts_off_is_left_to_its_neighbor() -> None:
    picture = np.zeros((100, 200, 3), np.uint8)
    (_, _, end, _) = tiles((100, 200), (1, 2))[1]
    picture[30:60, end - 10 : end + 10] = 255  # the first tile sees its left half only
    corners, _, _ = tiled(picture, (1, 2), bright)
    np.testing.assert_allclose(corners, [[(end - 10) / 200, 0.3, (end + 10) / 200, 0.6]] * 2)  # the whole, a neighbor
    edge = np.zeros((100, 200, 3), np.uint8)
    edge[30:60, :10] = 255  # at a border of the picture nothing is cut off
    assert len(tiled(edge, (1, 2), bright)[0]) == 2


def test_tiles_are_looked_at_as_large_as_they_are() -> None:
    clip = ClipSpec(1, 2, 12.5, size=(352, 352))
    assert close_up(clip, (1, 1)) == clip
    assert close_up(clip, (2, 2)) == ClipSpec(1, 2, 12.5)


def test_settings_that_make_no_sense_are_told() -> None:
    assert DetectorConfig(tiles=[2, 3]).tiles == (2, 3)  # type: ignore[arg-type]
    for tiles_ in ((0, 1), (9, 9)):
        with pytest.raises(ConfigError, match="64 in all at most"):
            DetectorConfig(tiles=tiles_)

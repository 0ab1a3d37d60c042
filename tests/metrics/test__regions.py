import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherewhen.core.values import HeatMap, Truth
from wherewhen.metrics import _regions as regions

seeds = st.integers(0, 2**32 - 1)


def painted(boxes, size):
    picture = np.zeros((size, size), bool)
    for x0, y0, x1, y1 in np.round(boxes * size).astype(int):
        picture[y0:y1, x0:x1] = True
    return picture


def random_boxes(rng, count):
    corners = rng.integers(0, 18, (count, 2))
    return np.c_[corners, corners + rng.integers(1, 7, (count, 2))] / 24


@settings(deadline=None, max_examples=40)
@given(seeds, st.sampled_from([(1, 1), (3, 4), (6, 2), (8, 12)]))
def test_cover_of_boxes_and_masks_equals_painting(seed, cells):
    rng, (h, w) = np.random.default_rng(seed), cells
    boxes = [random_boxes(rng, count) for count in (1, 1, 2, 4)]
    pictures = [painted(b, 24) for b in boxes]
    expected = [p.reshape(h, 24 // h, w, 24 // w).sum((1, 3)) / 576 for p in pictures]
    by_box = [regions.Region(b) for b in boxes]
    by_mask = [regions.Region(np.empty((0, 4)), p) for p in pictures]
    assert regions.covers(by_box, h, w) == pytest.approx(np.array(expected), abs=1e-12)
    assert np.array_equal(regions.covers(by_mask, h, w), expected)
    hulls = [np.r_[b[:, :2].min(0), b[:, 2:].max(0)] for b in boxes]
    assert regions.hulls(by_box) == pytest.approx(np.array(hulls))
    assert regions.hulls(by_mask) == pytest.approx(np.array(hulls))
    assert regions.marks(by_mask, h, 0.25).shape == (4, h, h)


@settings(deadline=None, max_examples=40)
@given(seeds, st.integers(1, 15), st.integers(1, 15))
def test_a_pixel_belongs_to_the_cell_of_its_center(seed, h, w):
    mask = np.random.default_rng(seed).random((9, 7)) < 0.4
    table, area = np.zeros((h, w)), np.zeros((h, w))
    for (y, x), inside in np.ndenumerate(mask):
        cell = (2 * y + 1) * h // 18, (2 * x + 1) * w // 14
        table[cell] += inside / 63
        area[cell] += 1 / 63
    assert regions.Region(np.empty((0, 4)), mask).cover(h, w) == pytest.approx(table)
    assert regions.cell_shares(h, w, (9, 7)) == pytest.approx(area)


@settings(deadline=None, max_examples=40)
@given(seeds)
def test_each_frame_has_the_boxes_that_cover_its_middle(seed):
    rng = np.random.default_rng(seed)
    edges = np.cumsum(np.r_[0, rng.integers(1, 4, 9)]) / 3
    boxes = np.c_[np.sort(rng.random((5, 2)) * edges[-1], 1), random_boxes(rng, 5)]
    place = regions.places(Truth(edges, boxes=boxes))
    for frame, middle in enumerate((edges[1:] + edges[:-1]) / 2):
        real = sorted(map(tuple, boxes[(boxes[:, 0] <= middle) & (middle < boxes[:, 1]), 2:]))
        number = place.region_of[frame]
        assert (sorted(map(tuple, place.regions[number].boxes)) if number >= 0 else []) == real


def test_boxes_without_area_are_none():
    truth = Truth([0, 1, 2], [[0, 1]], [[0, 1, 0.5, 0.5, 0.5, 0.9]])
    place = regions.places(truth)
    assert (place.regions, place.region_of.tolist(), place.normal.tolist()) == ([], [-1, -1], [False, True])


def test_what_is_known_of_frames_without_a_box():
    box = [[0, 1, 0, 0, 1, 1]]
    edges, span = np.arange(5.0), [[0, 3]]
    boxed = np.array([False, True, False, False])
    some = Truth(edges, span, box, boxed=boxed)
    assert regions.annotated_frames(some, regions.places(some)).tolist() == [True, True, False, True]
    every = Truth(edges, span, box)
    assert regions.annotated_frames(every, regions.places(every)).all()


def test_frames_alike_are_counted_together():
    truth = Truth(np.arange(9.0), [[2, 7]], [[2, 7, 0, 0, 0.5, 1]])
    heat = HeatMap(np.arange(8.0).reshape(2, 2, 2), [0, 4, 8])
    (batch,) = regions.placed(heat, regions.places(truth), truth.edges)
    assert (batch.first.tolist(), batch.frames.tolist()) == ([2, 4], [2, 3])
    assert batch.values[:, 0, 0].tolist() == [0.0, 4.0]
    assert batch.cover()[0].tolist() == [[0.25, 0.0], [0.25, 0.0]]
    assert batch.inside()[0].tolist() == [[True, False], [True, False]]
    batches = list(regions.placed(heat, regions.places(truth), truth.edges, numbers=4))
    assert [b.frames.tolist() for b in batches] == [[2], [3]]

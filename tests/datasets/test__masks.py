import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherewhen.core.diagnostics import listening
from wherewhen.core.errors import DataError
from wherewhen.datasets import _masks


def flood(mask):
    """Boxes of the parts of a mask by walking from pixel to touching pixel."""
    left, out = {tuple(p) for p in np.argwhere(mask)}, []
    while left:
        part, todo = set(), [left.pop()]
        while todo:
            y, x = todo.pop()
            part.add((y, x))
            near = {(y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
            left -= near
            todo += near
        ys, xs = zip(*part, strict=True)
        out.append([min(xs), min(ys), max(xs) + 1, max(ys) + 1])
    return sorted(out)


@settings(deadline=None)
@given(st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=1, max_size=6))
def test_boxes_are_around_the_parts(rows):
    mask = np.array(rows)
    found = _masks.boxes(mask, 3)
    assert sorted(found[:, 2:].astype(int).tolist()) == flood(mask)
    assert (found[:, 0] == -1).all() and (found[:, 1] == 3).all()


def test_pictures_become_masks(tmp_path):
    picture = np.zeros((4, 6), np.uint8)
    picture[1, 2] = 255
    cv2.imwrite(str(tmp_path / "a.bmp"), picture)
    read = _masks.from_pictures({2: tmp_path / "a.bmp"}, 4)
    assert np.argwhere(read()).tolist() == [[2, 1, 2]]
    (tmp_path / "b.bmp").write_text("no picture")
    with pytest.raises(DataError, match="expected a picture"):
        _masks.picture(tmp_path / "b.bmp")


def test_arrays_are_read_late(tmp_path):
    read = _masks.from_array(tmp_path / "late.npy")
    np.save(tmp_path / "late.npy", np.array([[[0, 2]]], np.uint8))
    assert read().tolist() == [[[False, True]]]


def test_shapes_are_compared_where_the_picture_is_known():
    with listening() as found:
        assert _masks.agree([(4, 6)], (4, 6), "v", "f")
        assert _masks.agree([(4, 6)], (0, 0), "v", "f")
        assert not _masks.agree([(4, 6), (6, 4)], (4, 6), "v", "f")
    assert [f.kind for f in found] == ["mask-shape"]

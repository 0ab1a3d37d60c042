from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from wherewhen.core.diagnostics import listening
from wherewhen.datasets import _tubes


def test_rows_in_order_of_frame_with_commas_or_blanks(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("1,5,10,20,30,40\n0 5 1 2 3 4\n0,4,0,0,855,479\n")
    assert _tubes.read(path, "a", inclusive=False).tolist() == [
        [0, 4, 0, 0, 855, 479],
        [0, 5, 1, 2, 3, 4],
        [1, 5, 10, 20, 30, 40],
    ]
    assert _tubes.read(path, "a", inclusive=True)[0].tolist() == [0, 4, 0, 0, 856, 480]


def test_odd_rows_are_left_out_and_an_empty_file_is_no_box(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("0,5,1,2,3\n0,nan,1,2,3,4\n0,5,1,2,3,x\n0,5,1,2,3,4\n0,5,9,9,9,9\n")
    with listening() as found:
        assert _tubes.read(path, "a", inclusive=False).tolist() == [[0, 5, 1, 2, 3, 4]]
    assert [f.kind for f in found] == ["row-malformed"] * 3 + ["row-repeated"]
    assert found[0].where == f"{path}:1"
    path.write_text("")
    assert _tubes.read(path, "a", inclusive=True).shape == (0, 6)


@settings(deadline=None)
@given(st.sets(st.integers(0, 30)))
def test_spans_are_the_frames_with_boxes(frames):
    rows = np.array([[0, f, 0, 0, 1, 1] for f in frames], float).reshape(-1, 6)
    found = _tubes.spans(rows)
    assert {f for a, b in found for f in range(a, b)} == frames
    assert all(b[0] > a[1] for a, b in pairwise(found))

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from wherewhen.formats._tracks import fill, runs, upright


@given(st.sets(st.integers(0, 30), min_size=1))
def test_runs_join_neighbors_and_nothing_else(frames: set[int]) -> None:
    rising = np.array(sorted(frames))
    pieces = [rising[piece].tolist() for piece in runs(rising)]
    assert [frame for piece in pieces for frame in piece] == sorted(frames)
    for piece in pieces:
        assert piece == list(range(piece[0], piece[-1] + 1))
        assert piece[0] - 1 not in frames
        assert piece[-1] + 1 not in frames


@given(st.data())
def test_filling_equals_interpolating_frame_by_frame(data: st.DataObject) -> None:
    total = data.draw(st.integers(1, 20))
    keys = sorted(data.draw(st.sets(st.integers(0, total - 1), min_size=1)))
    on = [data.draw(st.booleans()) for _ in keys]
    values = [float(data.draw(st.integers(-9, 9))) for _ in keys]
    last_shows = data.draw(st.booleans())
    expected = {}
    for frame in range(keys[0], total):
        k = max(i for i, key in enumerate(keys) if key <= frame)
        if on[k] or (last_shows and frame == keys[k]):
            expected[frame] = float(np.interp(frame, keys, values))
    frames, rows = fill(np.array(keys), np.array(values)[:, None], np.array(on), total, last_shows)
    assert frames.tolist() == list(expected)
    np.testing.assert_allclose(rows.ravel(), list(expected.values()), atol=1e-12)


def test_an_object_that_never_shows_has_no_frames() -> None:
    frames, rows = fill(np.array([3]), np.zeros((1, 4)), np.array([False]), 9, last_shows=False)
    assert (frames.shape, rows.shape) == ((0,), (0, 4))


@given(st.floats(-720, 720))
def test_the_upright_box_holds_every_turned_corner(degrees: float) -> None:
    box, pivot = np.array([[2.0, 3, 10, 7]]), np.array([4.0, 5])
    found = upright(box, np.array([degrees]), pivot[None])[0]
    turn = np.exp(1j * np.deg2rad(degrees))
    corners = [(complex(x, y) - complex(*pivot)) * turn + complex(*pivot) for x in (2, 10) for y in (3, 7)]
    real, imag = [c.real for c in corners], [c.imag for c in corners]
    np.testing.assert_allclose(found, [min(real), min(imag), max(real), max(imag)], atol=1e-9)

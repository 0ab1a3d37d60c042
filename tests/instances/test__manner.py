"""How movers move: walks that can be worked out by hand, and what may not matter."""

from __future__ import annotations

import numpy as np
import pytest

from wherewhen.core.values import Boxes
from wherewhen.instances._manner import FAR, NAMES, beside, manner

NOBODY = np.empty((0, 6))


def told(rows: np.ndarray, others: list[np.ndarray] | None = None) -> dict[str, float]:
    found = manner(rows, others or [NOBODY] * len(rows))
    assert found.shape == (len(NAMES),) and found.dtype == np.float32 and np.isfinite(found).all()
    return dict(zip(NAMES, found.tolist(), strict=True))


def walk(step: tuple[float, float], scale: float = 1.0, count: int = 11) -> np.ndarray:
    """A box of 0.1 x 0.2, ten frames a second, that moves by so much a second; all of it scaled."""
    t = np.arange(count) / 10
    x, y = 0.1 + step[0] * t, 0.3 + step[1] * t
    places = np.stack([x, y, x + 0.1, y + 0.2], 1) * scale
    return np.concatenate([t[:, None], t[:, None] + 0.1, places], 1)


def test_a_straight_walk() -> None:
    found = told(walk((0.3, -0.1)))
    assert found["right"] == pytest.approx(3.0) and found["down"] == pytest.approx(-0.5)
    assert found["speed"] == pytest.approx(np.hypot(3, 0.5), rel=1e-5) == pytest.approx(found["fastest"], rel=1e-5)
    assert found["straight"] == pytest.approx(1.0, rel=1e-5)
    assert found["aspect"] == pytest.approx(np.log(0.5)) and found["aspect_change"] == pytest.approx(0, abs=1e-6)
    assert found["size"] == pytest.approx(np.log([0.1, 0.2]).mean()) and found["growth"] == pytest.approx(0, abs=1e-6)
    assert (found["touched"], found["nearest"]) == (0, FAR)


def test_who_is_far_away_and_small_is_as_fast() -> None:
    near, far = told(walk((0.3, -0.1))), told(walk((0.3, -0.1), scale=0.25))
    assert far.pop("size") == pytest.approx(near.pop("size") + np.log(0.25), rel=1e-5)
    assert far == pytest.approx(near, rel=1e-4, abs=1e-5)


def test_to_and_fro_is_not_straight() -> None:
    there, back = walk((0.4, 0)), walk((0.4, 0))[::-1].copy()
    back[:, :2] = there[:, :2] + 1.1
    found = told(np.concatenate([there, back]))
    assert abs(found["right"]) < 0.2 and found["speed"] > 2.5 and found["straight"] < 0.1


def test_a_fall_changes_the_shape() -> None:
    rows = walk((0, 0))
    rows[6:, 2:] = [0.1, 0.4, 0.3, 0.5]
    found = told(rows)
    assert found["aspect_change"] > 0.5 and found["growth"] == pytest.approx(0, abs=1e-6)
    rows[:, 2:] = 0.2
    assert told(rows)["speed"] == 0, "a box without a size"


def test_one_box_stands() -> None:
    found = told(walk((1, 1), count=1))
    assert (found["speed"], found["straight"], found["growth"]) == (0, 0, 0)


def test_others_are_as_far_as_the_nearest_rim() -> None:
    rows = walk((0, 0), count=4)
    other = np.array([[0, 1, 0.25, 0.3, 0.4, 0.5]])  # half a width to the right
    corner = np.array([[0, 1, 0.23, 0.54, 0.3, 0.6]])  # 0.3 widths and 0.2 heights away
    on = np.array([[0, 1, 0.15, 0.35, 0.4, 0.5]])
    assert told(rows, [other] * 4)["nearest"] == pytest.approx(0.5)
    assert told(rows, [other, corner, NOBODY, other])["nearest"] == pytest.approx(np.hypot(0.3, 0.2), rel=1e-5)
    found = told(rows, [on, other, NOBODY, np.concatenate([other, on])])
    assert (found["touched"], found["nearest"]) == (0.5, 0)


def test_others_are_all_but_the_members() -> None:
    frames = [
        Boxes(k, k + 1, [[k, k + 1, 0.1 * t, 0, 0.1 * t + 0.1, 1] for t in range(4)], np.ones(4), track=np.arange(4))
        for k in range(3)
    ]
    rows = np.array([[1, 2, 0, 0, 0.2, 1], [2, 3, 0, 0, 0.2, 1.0]])
    found = beside(frames, rows, (0, 1))
    assert [part[:, 2].round(1).tolist() for part in found] == [[0.2, 0.3], [0.2, 0.3]]
    assert [part[0, 0] for part in found] == [1, 2]

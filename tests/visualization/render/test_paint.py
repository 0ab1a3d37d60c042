from __future__ import annotations

import numpy as np
import pytest

from wherewhen.visualization.render import paint


def gray(height: int = 60, width: int = 80) -> np.ndarray:
    return np.full((height, width, 3), 90, np.uint8)


@pytest.mark.parametrize("x", [-500, -3, 40, 74, 600])
@pytest.mark.parametrize("y", [-300, -2, 30, 59, 400])
def test_text_over_the_border_is_cut_off(x: int, y: int) -> None:
    canvas = gray()
    paint.write(canvas, "0:12.3", x, y, paint.Pen(16, paint.WHITE))
    assert (canvas != 90).any() == (-60 < x < 80 and -15 < y < 75)


@pytest.mark.parametrize("align", ["left", "center", "right"])
def test_text_stands_where_it_should(align: str) -> None:
    canvas = gray(60, 200)
    pen = paint.Pen(20, paint.WHITE, align=align)
    paint.write(canvas, "HHH", 100, 30, pen)
    rows, cols, _ = np.nonzero(canvas != 90)
    assert abs((rows.min() + rows.max()) / 2 - 30) <= 1
    middle = {
        "left": 100 + paint.text_width("HHH", pen) / 2,
        "center": 100,
        "right": 100 - paint.text_width("HHH", pen) / 2,
    }
    assert abs((cols.min() + cols.max()) / 2 - middle[align]) <= 3


def test_mix_is_a_plain_weighted_mean() -> None:
    canvas = gray()
    paint.mix(canvas[:10], (190, 90, 0), 0.25)
    assert canvas[0, 0].tolist() == [115, 90, 68]
    assert (canvas[10:] == 90).all()


def test_dashes_alternate_white_and_dark() -> None:
    canvas = gray()
    paint.dashes(canvas, (10, 10, 70, 50), 6, 1)
    line = canvas[10, 10:70, 0]
    assert (line[:6] == 255).all() and (line[6:12] < 90).all() and (line[12:18] == 255).all()
    assert (canvas[20:40, 20:60] == 90).all()


@pytest.mark.parametrize("corners", [(0, 0, 1, 1), (-5, -5, 500, 500), (79, 59, 79, 59), (30, 20, 30, 20)])
def test_odd_boxes_are_drawn_without_complaint(corners: tuple[int, int, int, int]) -> None:
    canvas = gray()
    paint.box(canvas, corners, paint.BOX, 2)
    paint.label(canvas, "event 0.98", corners, paint.Pen(12, paint.BOX))
    paint.dashes(canvas, (max(0, corners[0]), max(0, corners[1]), corners[2], corners[3]), 4, 1)
    assert (canvas != 90).any()


@pytest.mark.parametrize("corners", [(0, 0, 20, 20), (60, 40, 79, 59), (60, 5, 79, 30)])
def test_a_label_is_whole_wherever_its_box_is(corners: tuple[int, int, int, int]) -> None:
    canvas = gray(60, 80)
    pen = paint.Pen(12, paint.BOX, bold=True)
    paint.label(canvas, "0.98", corners, pen)
    rows, cols, _ = np.nonzero(canvas != 90)
    assert np.ptp(rows) + 1 == 18
    assert np.ptp(cols) + 1 == paint.text_width("0.98", pen) + 8


def heated(picture: np.ndarray, scores: np.ndarray, threshold: float) -> np.ndarray:
    painted = picture.copy()
    paint.heat(painted, scores, threshold)
    return painted


def test_quiet_heat_leaves_the_picture_as_it_is() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    assert (heated(picture, np.full((3, 4), 0.05, np.float32), 0.5) == picture).all()


@pytest.mark.parametrize("cell", [(0, 0), (2, 3), (1, 2)])
def test_heat_lies_on_its_cell(cell: tuple[int, int]) -> None:
    scores = np.zeros((3, 4), np.float32)
    scores[cell] = 1
    change = np.abs(heated(gray(), scores, 2.0).astype(int) - 90).sum(-1)
    row, col = np.unravel_index(change.argmax(), change.shape)
    assert (row // 20, col // 20) == cell
    whole = change[cell[0] * 20 : cell[0] * 20 + 20, cell[1] * 20 : cell[1] * 20 + 20].sum()
    assert whole > 0.7 * change.sum()


@pytest.mark.parametrize("threshold", [0.0, 0.5, float("inf")])
def test_a_line_is_around_what_is_above_the_threshold(threshold: float) -> None:
    scores = np.zeros((3, 4), np.float32)
    scores[1, 1] = 1
    plain, lined = heated(gray(), scores, 2.0), heated(gray(), scores, threshold)
    rows, cols = np.nonzero((plain != lined).any(-1))
    assert len(rows) == 0 if threshold != 0.5 else (20 < len(rows) < 400)
    assert ((rows >= 18) & (rows < 42) & (cols >= 18) & (cols < 42)).all()


def test_hotter_is_more_opaque() -> None:
    strength = [
        np.abs(heated(gray(), np.full((2, 2), score, np.float32), 2.0).astype(int) - 90).sum()
        for score in (0.0, 0.3, 0.5, 0.7, 0.9)
    ]
    assert strength == sorted(strength) and strength[0] == 0 and len(set(strength)) == 5


@pytest.mark.parametrize("score", [0.29, 0.58, 0.83, 1.0])
def test_scores_equal_to_the_threshold_are_inside_the_line(score: float) -> None:
    scores = np.full((3, 4), score, np.float32)
    assert (heated(gray(), scores, score) != heated(gray(), scores, 2.0)).any()

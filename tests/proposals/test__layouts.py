from __future__ import annotations

from math import exp, tanh

import numpy as np
import pytest

from wherewhen.core.errors import ConfigError
from wherewhen.proposals._classes import COCO, selected, sparse_coco
from wherewhen.proposals._layouts import GRAY, LAYOUTS, MEAN, STD


def test_fastestdet_is_read_cell_by_cell() -> None:
    cells = np.random.default_rng(0).normal(size=(1, 8, 2, 3)).astype(np.float32)
    cells[:, [0, 5, 6, 7]] = np.random.default_rng(1).random((1, 4, 2, 3))
    boxes, values, classes = LAYOUTS["fastestdet"].decode({"map": cells}, (64, 96), (48, 64))
    for number, (row, column) in enumerate((r, c) for r in range(2) for c in range(3)):
        objectness, x, y, wide, tall, *shares = cells[0, :, row, column].tolist()
        middle = (column + tanh(x)) / 3, (row + tanh(y)) / 2
        size = 1 / (1 + exp(-wide)), 1 / (1 + exp(-tall))
        box = [middle[0] - size[0] / 2, middle[1] - size[1] / 2, middle[0] + size[0] / 2, middle[1] + size[1] / 2]
        np.testing.assert_allclose(boxes[number], box, atol=1e-5)
        assert values[number] == pytest.approx(objectness**0.6 * max(shares) ** 0.4, abs=1e-5)
        assert classes[number] == shares.index(max(shares))


def test_fastestdet_sees_blue_first() -> None:
    image = np.zeros((4, 6, 3), np.uint8)
    image[..., 0] = 255  # red
    made = LAYOUTS["fastestdet"].prepare(image, (4, 6))
    assert made.shape == (1, 3, 4, 6) and made[0, 2].min() == 1 and made[0, :2].max() == 0


def test_yolox_is_read_row_by_row() -> None:
    size, picture = (64, 64), (48, 96)
    cells = [(x, y, stride) for stride in (8, 16, 32) for y in range(64 // stride) for x in range(64 // stride)]
    rows = np.random.default_rng(0).random((1, len(cells), 7)).astype(np.float32)
    boxes, values, classes = LAYOUTS["yolox"].decode({"output": rows}, size, picture)
    scale = min(64 / 48, 64 / 96)
    for number, (x, y, stride) in enumerate(cells):
        dx, dy, wide, tall, objectness, *shares = rows[0, number].tolist()
        middle, side = ((x + dx) * stride, (y + dy) * stride), (exp(wide) * stride, exp(tall) * stride)
        pixels = [middle[0] - side[0] / 2, middle[1] - side[1] / 2, middle[0] + side[0] / 2, middle[1] + side[1] / 2]
        box = [pixel / scale / picture[1 - k % 2] for k, pixel in enumerate(pixels)]
        np.testing.assert_allclose(boxes[number], box, atol=1e-4)
        assert values[number] == pytest.approx(objectness * max(shares), abs=1e-5)
        assert classes[number] == shares.index(max(shares))


def test_yolox_fills_the_rest_of_its_square() -> None:
    made = LAYOUTS["yolox"].prepare(np.full((48, 96, 3), 7, np.uint8), (64, 64))
    assert made.shape == (1, 3, 64, 64)
    assert (made[0, :, :32] == 7).all() and (made[0, :, 32:] == GRAY).all()


def test_rfdetr_is_read_query_by_query() -> None:
    rng = np.random.default_rng(0)
    outputs = {"labels": rng.normal(size=(1, 5, 4)).astype(np.float32), "dets": rng.random((1, 5, 4), np.float32)}
    boxes, values, classes = LAYOUTS["rfdetr"].decode(outputs, (64, 64), (48, 64))
    for query in range(5):
        x, y, wide, tall = outputs["dets"][0, query].tolist()
        logits = outputs["labels"][0, query].tolist()
        np.testing.assert_allclose(boxes[query], [x - wide / 2, y - tall / 2, x + wide / 2, y + tall / 2], atol=1e-6)
        assert values[query] == pytest.approx(1 / (1 + exp(-max(logits))), abs=1e-6)
        assert classes[query] == logits.index(max(logits))


def test_rfdetr_wants_normal_colors() -> None:
    made = LAYOUTS["rfdetr"].prepare(np.full((8, 8, 3), 51, np.uint8), (8, 8))
    np.testing.assert_allclose(made[0, :, 0, 0], [(0.2 - m) / s for m, s in zip(MEAN, STD, strict=True)], atol=1e-5)


@pytest.mark.parametrize(
    ("layout", "outputs"),
    [
        ("fastestdet", {"a": np.zeros((1, 5, 7), np.float32)}),
        ("fastestdet", {"a": np.zeros((1, 4, 2, 2), np.float32)}),
        ("yolox", {"a": np.zeros((1, 80, 7), np.float32)}),
        ("rfdetr", {"boxes": np.zeros((1, 5, 4), np.float32)}),
    ],
)
def test_numbers_of_another_layout_are_refused(layout: str, outputs: dict[str, np.ndarray]) -> None:
    with pytest.raises(ConfigError, match="try another layout"):
        LAYOUTS[layout].decode(outputs, (64, 64), (48, 64))


def test_names_of_coco() -> None:
    assert len(COCO) == len(set(COCO)) == 80 and (COCO[0], COCO[7], COCO[79]) == ("person", "truck", "toothbrush")
    sparse = sparse_coco()
    assert [sparse[k] for k in (1, 13, 44, 67, 70, 90)] == [
        "person", "stop sign", "bottle", "dining table", "toilet", "toothbrush",
    ]  # fmt: skip
    assert [name for name in sparse if name] == list(COCO)
    assert selected(("car",), ("person", "car", "")) == [False, True, False]
    assert selected((), ("person", "car", "")) == [True, True, False]
    with pytest.raises(ConfigError, match="did you mean 'person'"):
        selected(("persn",), COCO)

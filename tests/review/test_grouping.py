"""Items that look alike come into one group; those of other cameras, places or motions don't."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reviewed import add_item, add_video, write_video

from wherewhen.core.database import Tables
from wherewhen.core.values import Pixels
from wherewhen.review.grouping import feature_of, group_more, pooled
from wherewhen.review.opened import Review
from wherewhen.review.order import ALIKE

RNG = np.random.default_rng(0)
YARD = RNG.integers(60, 160, (12, 16, 3)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
LAMP, GATE = [0.05, 0.05, 0.3, 0.35], [0.6, 0.5, 0.95, 0.95]


def scene(seed: int, box: list[float], light: int) -> Pixels:
    """The yard, with some noise, and with a place that is lighter or darker."""
    picture = YARD.astype(int) + np.random.default_rng(seed).integers(-4, 5, YARD.shape)
    x0, y0, x1, y1 = (round(side * (128, 96)[number % 2]) for number, side in enumerate(box))
    picture[y0:y1, x0:x1] += light
    return picture.clip(0, 255).astype(np.uint8)


def test_one_lamp_flickers_alike_and_a_person_at_the_gate_does_not() -> None:
    flickers = [pooled(scene(n, LAMP, 0), scene(n + 50, LAMP, 60 + n), LAMP) for n in range(5)]
    person = pooled(scene(7, GATE, 0), scene(8, GATE, -60), GATE)
    within = [float(a @ b) for a in flickers for b in flickers]
    across = [float(a @ person) for a in flickers]
    assert min(within) > ALIKE > max(across)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 300), (480, 640)])
def test_pictures_of_any_size_have_features(size: tuple[int, int]) -> None:
    picture = np.zeros((*size, 3), np.uint8)
    feature = pooled(picture, picture, [0.99, 0.99, 1.0, 1.0])
    assert feature.shape == (132,) and np.isfinite(feature).all()


def test_groups_grow_as_items_come(tmp_path: Path) -> None:
    write_video(tmp_path / "walk.mp4")
    with Tables(tmp_path / "review.db") as tables:
        add_video(tables, "walk", "walk.mp4")
        add_video(tables, "gone", "gone.mp4")
        for id, more in {"a": {}, "b": {}, "far": {"camera": "gate"}, "lost": {"video": "gone"}}.items():
            add_item(tables, id, **{"video": "walk", **more})
    review = Review(tmp_path / "review.db")
    assert group_more(review) == 4 and group_more(review) == 0
    with Tables(review.file) as tables:
        rows = {id: rest for id, *rest in tables.rows("SELECT id, cluster, cluster_size FROM item")}
        assert rows["a"] == rows["b"] and rows["a"][1] == 2
        assert rows["far"][1] == 1 and rows["far"][0] != rows["a"][0] and rows["lost"][0] is None
        add_item(tables, "c", video="walk")
    assert group_more(review) == 1
    with Tables(review.file) as tables:
        assert tables.rows("SELECT cluster, cluster_size FROM item WHERE id IN ('a', 'c')") == [(rows["a"][0], 3)] * 2
    row = review.row("a")
    assert row is not None and feature_of(row, review.folder) is not None


def test_alerts_without_a_clip_here_are_grouped_by_their_pictures(tmp_path: Path) -> None:
    alerts = {"lamp1": scene(1, LAMP, 60), "lamp2": scene(2, LAMP, 62), "gate": scene(3, GATE, -60)}
    with Tables(tmp_path / "live.db") as tables:
        for id, picture in alerts.items():
            Image.fromarray(picture).save(tmp_path / f"{id}.webp", quality=90)
            box = json.dumps(GATE if id == "gate" else LAMP)
            clip = f"clips/yard/{id}.mp4" if id == "lamp1" else None  # that another machine has
            add_item(tables, id, clock="wall", thumb=f"{id}.webp", box_json=box, clip=clip)
        add_item(tables, "open", clock="wall", thumb="lamp1.webp", t1=None)
        add_item(tables, "none", clock="wall")
    review = Review(tmp_path / "live.db", is_live=True)
    assert group_more(review) == 3
    with Tables(review.file) as tables:
        groups = dict(tables.rows("SELECT id, cluster FROM item"))
    assert groups["lamp1"] == groups["lamp2"] != groups["gate"]
    assert groups["open"] is None and groups["none"] is None

"""Moments of a search become items of a review, the most alike first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from reviewed import write_video

from wherewhen.api import review_sources
from wherewhen.api.search_review import review_moments
from wherewhen.core.errors import ConfigError
from wherewhen.review import items
from wherewhen.text.search import Moment

WHOLE = (0.0, 0.0, 1.0, 1.0)


def moment(video: str, start: float, score: float, box: tuple[float, float, float, float] = WHOLE) -> Moment:
    return Moment(video, start, start + 1, start + 0.5, score, box, np.zeros((2, 2), np.float32))


def test_moments_are_items_and_those_of_earlier_searches_stay(tmp_path: Path) -> None:
    for name in ("gate/walk", "yard/walk"):
        write_video(tmp_path / "videos" / f"{name}.mp4", 3.0)
    moments = [moment("yard/walk", 1.0, 0.3), moment("gate/walk", 0.0, 0.31, (0, 0, 0.5, 0.5)), moment("gone", 0, 0.2)]
    out = tmp_path / "out"
    assert review_moments(moments, tmp_path / "videos", out) == ["gone"]
    assert review_moments([moment("yard/walk", 2.0, -0.1)], tmp_path / "videos", out) == []
    review = review_sources.opened(out)
    with review.reading() as connection:
        listed = items.page(connection, review.folder, items.Query())["items"]
    assert [(one["video"], one["start"], one["end"], one["score"]) for one in listed] == [
        ("gate/walk", 0, 1, 0.31), ("yard/walk", 1, 2, 0.3), ("yard/walk", 2, 3, 0)
    ]  # fmt: skip
    assert [one["box"] for one in listed] == [(0, 0, 0.5, 0.5), None, None]
    assert all(one["source"] == "search" and one["has_clip"] and one["label"] is None for one in listed)
    row = review.row(listed[0]["id"])
    assert row is not None and (out / row["path"]).resolve() == tmp_path / "videos" / "gate" / "walk.mp4"
    assert review.curve(row)["scores"] == []


def test_a_search_without_its_videos_is_refused(tmp_path: Path) -> None:
    write_video(tmp_path / "videos" / "walk.mp4", 1.0)
    with pytest.raises(ConfigError, match="holds none of the videos of these moments, such as gone"):
        review_moments([moment("gone", 0, 0.2)], tmp_path / "videos", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (tmp_path / "live.db").touch()
    with pytest.raises(ConfigError, match="holds another review"):
        review_moments([moment("walk", 0, 0.2)], tmp_path / "videos", tmp_path)

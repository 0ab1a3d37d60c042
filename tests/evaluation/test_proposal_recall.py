from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wherewhen.core import tubes
from wherewhen.core.errors import VideoError
from wherewhen.core.values import Scores, Truth, Video
from wherewhen.evaluation import proposal_recall

EDGES = np.arange(11.0)


def rows(x: float, first: int, last: int, track: int = 0) -> Scores:
    extents = [[k, k + 1, x, 0.0, x + 0.25, 1.0] for k in range(first, last)]
    return Scores(extents, np.ones(last - first), np.full(last - first, track))


def tubes_of(*parts: Scores, kinds: tuple[str, ...] | None = None) -> tubes.Tubes:
    count = len(parts)
    return tubes.Tubes(tubes.numbered(list(parts)), kinds or ("unary",) * count, ("",) * count, ((0,),) * count)  # type: ignore[arg-type]


def truth(*parts: Scores) -> Truth:
    boxes = np.concatenate([part.extents for part in parts])
    return Truth(EDGES, [[0, 10]], boxes, np.concatenate([part.track for part in parts]))


def test_the_best_tube_counts() -> None:
    """Of a truth in frames 0 to 7, a tube in 4 to 9 shares 4 of 10 frames; half as far aside it has a third of each."""
    real = truth(rows(0.0, 0, 8))
    row = proposal_recall.row("a", [tubes_of(rows(0.5, 0, 8), rows(0.0, 4, 10), rows(0.125, 0, 8))], real)
    assert (
        row.best == pytest.approx(0.4) and row.tracks == pytest.approx((0.4,)) and (row.kind, row.tubes) == ("unary", 3)
    )
    union = proposal_recall.row(
        "a", [tubes_of(rows(0.125, 0, 8), rows(0.0, 0, 8), kinds=("unary", "multivariate"))], real
    )
    assert union.best == pytest.approx(1.0) and (union.kind, union.unions) == ("multivariate", 1)


def test_several_are_covered_together_and_one_by_one() -> None:
    real = truth(rows(0.0, 0, 10, track=1), rows(0.5, 0, 10, track=2))
    row = proposal_recall.row("a", [tubes_of(rows(0.0, 0, 10))], real)
    assert row.best == pytest.approx(1 / 3)  # of the hull from 0 to 0.75
    assert row.tracks == pytest.approx((1.0, 0.0))


def test_nothing_found_is_zero() -> None:
    row = proposal_recall.row("a", [], truth(rows(0.0, 0, 8)))
    assert (row.best, row.tracks, row.kind) == (0.0, (0.0,), "-")


def test_the_report_is_about_anomalous_videos_that_can_be_read() -> None:
    real = truth(rows(0.0, 0, 8))
    truths = {"a": real, "b": real, "normal": Truth(EDGES), "broken": real}
    videos = [Video(name, Path(name), 1) for name in ("a", "normal", "b", "broken", "without")]

    def propose(video: Video) -> list[tubes.Tubes]:
        if video.id == "broken":
            raise VideoError("broken", "it is damaged")
        return [tubes_of(rows(0.0, 0, 8) if video.id == "a" else rows(0.0, 6, 10))]

    found = proposal_recall.report(videos, truths, propose)
    assert [row.video for row in found.rows] == ["a", "b"] and found.aside == {"broken": "broken: it is damaged"}
    assert found.oracle == pytest.approx((1 + 0.2) / 2)
    assert [found.recall(level) for level in (0.1, 0.2, 0.5)] == [1.0, 0.5, 0.5]
    told = found.plain()
    assert told["oracle_miou"] == found.oracle and told["recall_tracks"]["0.1"] == 1.0

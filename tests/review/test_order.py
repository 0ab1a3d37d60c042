"""The order of the queue: uncertain items first, look-alikes and the same hour later, judged ones never."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reviewed import add_item

from wherewhen.core.database import Tables
from wherewhen.review.order import LEAST, Groups, priorities, uncertainty
from wherewhen.review.ranking import rank

ROWS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3), st.integers(0, 3), st.booleans()), max_size=40)


@given(ROWS, st.sampled_from([0.0, 0.25, 0.5, 1.0]))
def test_priorities_fall_with_certainty_and_with_each_look_alike(
    rows: list[tuple[float, int, int, bool]], threshold: float
) -> None:
    scores, judged = np.array([row[0] for row in rows]), np.array([row[3] for row in rows], bool)
    worth = uncertainty(scores, np.full(len(rows), threshold))
    values = priorities(worth, [r[1] for r in rows], [r[2] for r in rows], judged)
    assert ((values > 0) == ~judged).all(), "no item that waits has no weight"
    for k, (_, group, place, _) in enumerate(rows):
        alike, nearby = (
            sum(judged[j] for j in range(len(rows)) if rows[j][at] == name) for at, name in ((1, group), (2, place))
        )
        if not judged[k]:
            assert values[k] <= worth[k] / (1 + alike) / (1 + nearby) ** 0.5 + 1e-9


def test_uncertainty_is_that_of_the_nearer_side() -> None:
    scores = np.array([0.0, 0.2, 0.8, 0.9, 1.0])
    assert uncertainty(scores, np.full(5, 0.8)) == pytest.approx([LEAST, 0.2875, 1.0, 0.525, LEAST])
    assert uncertainty(scores, np.full(5, 1.0))[[0, 4]] == pytest.approx([LEAST, 1.0])
    assert uncertainty(scores, np.full(5, 0.0))[[0, 4]] == pytest.approx([1.0, LEAST])


def test_scores_at_both_ends_are_ordered_by_what_else_is_known(tmp_path: Path) -> None:
    rows = {"one": 1.0, "alike": 1.0, "judged": 1.0, "zero": 0.0, "near": 0.6}
    with Tables(tmp_path / "review.db") as tables:
        for number, (id, score) in enumerate(rows.items()):
            cluster = 1 if id in ("alike", "judged") else None
            add_item(tables, id, score=score, cluster=cluster, camera=f"c{number}", video=id)
        tables.write("INSERT INTO verdict(item, camera, verdict, t0, t1, at) VALUES ('judged', '', 'false', 0, 1, 0)")
        rank(tables)
        values = dict(tables.rows("SELECT id, priority FROM item WHERE review = 'open'"))
    assert values["near"] > values["one"] == values["zero"] == pytest.approx(LEAST)
    assert values["alike"] == pytest.approx(LEAST / 2)


def test_labels_and_hits_of_a_search_come_with_the_clearest_first(tmp_path: Path) -> None:
    with Tables(tmp_path / "review.db") as tables:
        for id, source, score in (("sure", "label", 1.0), ("silent", "label", 0.02), ("doubt", "label", 0.55),
                                  ("best", "search", 0.3), ("last", "search", 0.2)):  # fmt: skip
            add_item(
                tables, id, source=source, score=score, camera=id, video=id, threshold=0.5 if source == "label" else 0
            )
        rank(tables)
        order = [id for (id,) in tables.rows("SELECT id FROM item ORDER BY priority DESC")]
    assert order == ["sure", "silent", "best", "last", "doubt"]


def test_items_without_look_alikes_do_not_share_a_group() -> None:
    assert priorities(np.ones(3), [None] * 3, [0, 1, 2], np.zeros(3, bool)).tolist() == [1.0, 1.0, 1.0]


@given(st.integers(0, 2**32 - 1), st.integers(1, 30))
def test_groups_stay_as_items_come_and_hold_look_alikes_only(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    rows, cameras = rng.normal(size=(count, 3)), [f"{n}" for n in rng.integers(0, 2, count)]
    whole, part = Groups(), Groups()
    groups = [whole.add(camera, row) for camera, row in zip(cameras, rows, strict=True)]
    half = [part.add(camera, row) for camera, row in zip(cameras[: count // 2], rows, strict=False)]
    later = Groups(max(half, default=0))
    for group in sorted(set(half)):
        later.lead(cameras[half.index(group)], group, rows[half.index(group)])
    rest = [later.add(camera, row) for camera, row in zip(cameras[count // 2 :], rows[count // 2 :], strict=True)]
    assert half + rest == groups, "the same when they are read from a database in between"
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    for group in set(groups):
        members = np.flatnonzero(np.array(groups) == group)
        assert (unit[members] @ unit[members[0]] >= 0.95 - 1e-9).all()
        assert len({cameras[k] for k in members}) == 1

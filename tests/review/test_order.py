"""The order of the queue: uncertain items first, look-alikes and the same hour later, judged ones never."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from wherewhen.review.order import clusters, priorities


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3), st.integers(0, 3), st.booleans()), max_size=40))
def test_priorities_fall_with_certainty_and_with_each_look_alike(rows: list[tuple[float, int, int, bool]]) -> None:
    scores, judged = np.array([row[0] for row in rows]), np.array([row[3] for row in rows], bool)
    values = priorities(scores, np.full(len(rows), 0.5), [r[1] for r in rows], [r[2] for r in rows], judged)
    certain = np.abs(scores - 0.5) * 2
    assert ((values >= 0) & (values <= 1 - certain + 1e-9)).all()
    assert not values[judged].any()
    for k, (_, group, _, _) in enumerate(rows):
        before = sum(judged[j] for j in range(len(rows)) if rows[j][1] == group)
        if not judged[k]:
            assert values[k] <= (1 - certain[k]) / (1 + before) + 1e-9


def test_items_without_look_alikes_do_not_share_a_group() -> None:
    scores, none = np.full(3, 0.5), np.zeros(3, bool)
    assert priorities(scores, scores, [None] * 3, [0, 1, 2], none).tolist() == [1.0, 1.0, 1.0]


@given(st.integers(0, 2**32 - 1), st.integers(1, 30))
def test_groups_stay_as_items_come_and_hold_look_alikes_only(seed: int, count: int) -> None:
    rows = np.random.default_rng(seed).normal(size=(count, 3))
    groups = clusters(rows)
    assert clusters(rows[: count // 2 + 1]).tolist() == groups[: count // 2 + 1].tolist()
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    for group in set(groups.tolist()):
        members = np.flatnonzero(groups == group)
        assert (unit[members] @ unit[members[0]] >= 0.95 - 1e-9).all()

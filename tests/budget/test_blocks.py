"""Blocks of a minute against a direct computation, for any steps, gaps and durations."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from wherewhen.budget.blocks import BLOCK, DAY, BlockMaker, Blocks, Lasting, blocks_of

SCORES = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=60)


@given(SCORES, st.sampled_from([0.04, 0.5, 1.0, 7.0]), st.sampled_from([0.5, 1.0, 4.0, 8.0]))
def test_what_lasts_is_the_lowest_score_of_the_last_seconds(scores: list[float], step: float, duration: float) -> None:
    lasting = Lasting(duration)
    for i, score in enumerate(scores):
        end = (i + 1) * step
        value = lasting(i * step, end, score)
        if end < duration - 1e-9:
            assert value == -np.inf
        else:
            window = [s for j, s in enumerate(scores[: i + 1]) if (j + 1) * step > end - duration + 1e-9]
            assert value == min(window)


@given(SCORES, st.floats(0, 1), st.floats(0, 1))
def test_hot_blocks_never_rise_with_the_threshold_and_cover_every_alarm(
    scores: list[float], low: float, high: float
) -> None:
    low, high = sorted((low, high))
    edges = np.arange(len(scores) + 1) * 7.0
    blocks = blocks_of(edges, np.array(scores), (0.5,))
    hot = [int((blocks.peaks >= level).sum()) for level in (low, high)]
    assert hot[1] <= hot[0]
    starts = [i for i, s in enumerate(scores) if s >= high and (i == 0 or scores[i - 1] < high)]
    minutes = {int(edges[i] // BLOCK) for i, s in enumerate(scores) if s >= high}
    assert hot[1] == len(minutes)
    assert {int(edges[i] // BLOCK) for i in starts} <= minutes


@given(SCORES, st.integers(1, 59))
def test_a_gap_resets_what_lasts_and_is_no_exposure(scores: list[float], at: int) -> None:
    maker, parts = BlockMaker((2.0,)), []
    for i, score in enumerate(scores):
        shift = 100.0 if i >= at else 0.0
        parts += list(maker(i + shift, i + 1 + shift, score))
    blocks = Blocks.joined([*parts, *maker.close()])
    assert np.isclose(blocks.seconds.sum(), len(scores))
    pairs = [min(a, b) for j, (a, b) in enumerate(pairwise(scores)) if j + 1 != at]
    assert blocks.peaks.max() == max(pairs, default=-np.inf)


def test_days_that_were_mostly_not_observed_have_no_count() -> None:
    blocks = Blocks(np.array([0.0, 0.4 * DAY, DAY]), np.array([0.3, 0.3, 0.2]) * DAY, np.ones((3, 1)), (1.0,))
    assert blocks.of_day(0.5, 0).tolist() == [2.0]

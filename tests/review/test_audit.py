"""The estimate of misses: an interval that covers the true share as often as it promises."""

from __future__ import annotations

from math import comb

import pytest

from wherewhen.review.audit import misses


def test_the_limits_are_those_of_the_binomial_distribution() -> None:
    found = misses(["true"] * 2 + ["missed"] + ["false"] * 37 + ["unsure"] * 9)
    assert (found.audited, found.missed) == (40, 3)

    def at_most(k: int, share: float) -> float:
        return sum(comb(40, i) * share**i * (1 - share) ** (40 - i) for i in range(k + 1))

    assert at_most(3, found.high) == pytest.approx(0.025, abs=1e-3)
    assert 1 - at_most(2, found.low) == pytest.approx(0.025, abs=1e-3)


def test_without_verdicts_everything_is_possible() -> None:
    found = misses(["unsure"])
    assert (found.audited, found.low, found.high) == (0, 0.0, 1.0)
    assert misses(["true"]).high == 1.0

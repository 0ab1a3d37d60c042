"""How rare scores and distances are in normal footage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherewhen.core.values import Instances
from wherewhen.inference.adaptation import Adaptation, Exceedance, raw, surprise_of

RNG = np.random.default_rng(0)
numbers = st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=60)


@given(numbers, numbers)
def test_surprise_rises_with_the_value_and_is_finite(normal: list[float], values: list[float]) -> None:
    surprise = Exceedance.of(normal)(np.sort(values))
    assert np.isfinite(surprise).all() and (surprise >= 0).all() and (np.diff(surprise) >= 0).all()


def test_surprise_is_minus_the_log_of_the_share_above() -> None:
    """Also beyond the highest stored quantile, for an exponential tail."""
    normal = RNG.exponential(2.0, 200_000)
    for value in (0.1, 2.0, 8.0, 16.0):
        assert Exceedance.of(normal)(np.array([value]))[0] == pytest.approx(value / 2, rel=0.05)


def test_a_higher_score_or_distance_gives_a_higher_raw_score_and_empty_cells_give_0() -> None:
    usual = Exceedance.of(RNG.random(1000))
    bank = Instances(RNG.normal(size=(64, 3)).astype(np.float32), np.tile([0, 1, 0, 0, 1, 1.0], (64, 1)))
    rows = np.array([[0, 0, 0], [0.1, 0, 0], [0.1, 0, 0], [9, 9, 9]], np.float32)
    cells = Instances(rows, np.tile([0, 1, 0, 0, 1, 1.0], (4, 1)), shape=(1, 2, 2))
    scores = Adaptation(usual, usual).scores(np.array([1.0, 0.2, 0.9, 0.9], np.float32), cells, bank)
    assert scores[0] == 0 < scores[1] < scores[2] < scores[3] < 1
    surprise = np.array([0.0, 1.0, 40.0])
    np.testing.assert_allclose(surprise_of(raw(surprise)), surprise)


def test_saved_arrays_come_back_and_wrong_ones_are_named() -> None:
    adaptation = Adaptation(Exceedance.of(RNG.random(50)), Exceedance.of(RNG.random(50)), np.full((2, 3), 0.5))
    arrays = adaptation.to_arrays()
    back = Adaptation.from_arrays(arrays)
    for name, array in back.to_arrays().items():
        np.testing.assert_array_equal(array, arrays[name])
    for name, value, message in (
        ("method.values", arrays["method.values"][::-1], "method: values and surprises"),
        ("distance.excess", np.zeros(1), "distance: excess"),
        ("activity", np.full((2, 3), 2.0), "activity: expected shares"),
        ("method.surprises", np.array(["a"]), "method: expected numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            Adaptation.from_arrays({**arrays, name: value})
    with pytest.raises(KeyError, match="activity"):
        Adaptation.from_arrays({name: array for name, array in arrays.items() if name != "activity"})

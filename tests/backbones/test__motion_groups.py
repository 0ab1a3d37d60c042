"""Further measures of motion: each group on flow whose value is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherewhen.backbones._motion_groups import GROUPS, group_maps, quartered
from wherewhen.backbones.motion import NAMES, Motion, MotionConfig

Y, X = np.mgrid[:12, :16].astype(np.float32)


def fields(right: np.ndarray, down: np.ndarray, change: float = 20) -> np.ndarray:
    """One pair that moves fully everywhere."""
    return np.stack([right, down, np.full_like(Y, change), np.ones_like(Y)])[None].astype(np.float32)


def inner(pair: np.ndarray, group: str) -> dict[str, float]:
    """The numbers of a group at the middle of the picture."""
    maps = group_maps(pair, [False], [group])  # type: ignore[list-item]
    return dict(zip(GROUPS[group], maps[-1, :, 6, 8].tolist(), strict=True))  # type: ignore[index]


@pytest.mark.parametrize("angle", [45, 135, 225, 315])
def test_diagonal_motion_has_its_direction(angle: int) -> None:
    turn = np.radians(angle)
    values = inner(fields(3 * np.cos(turn) + 0 * Y, 3 * np.sin(turn) + 0 * Y), "directions")
    assert values.pop(f"flow_{angle}") == pytest.approx(3, rel=1e-5)
    assert max(values.values()) < 1e-5


def test_boundaries_are_where_flow_changes() -> None:
    assert max(inner(fields(5 + 0 * Y, 2 + 0 * Y), "boundaries").values()) == 0
    values = inner(fields(0.5 * X, -0.25 * Y), "boundaries")
    assert values["boundary_right_0"] == pytest.approx(0.5) and values["boundary_right_180"] == 0
    assert values["boundary_down_270"] == pytest.approx(0.25) and values["boundary_down_90"] == 0


def test_deformation_tells_growth_from_turning_and_shear() -> None:
    grows = inner(fields(0.5 * X, 0.5 * Y), "deformation")
    assert grows == pytest.approx({"divergence": 1.0, "curl": 0.0, "stretch": 0.0})
    turns = inner(fields(-0.5 * Y, 0.5 * X), "deformation")
    assert turns == pytest.approx({"divergence": 0.0, "curl": 1.0, "stretch": 0.0})
    assert inner(fields(0.5 * X, -0.5 * Y), "deformation")["stretch"] == pytest.approx(1.0)


def test_acceleration_is_the_change_from_an_adjacent_pair() -> None:
    pairs = np.concatenate([fields(speed + 0 * Y, 0 * Y) for speed in (1, 3, 3)])
    rows = group_maps(pairs, [False, True, True], ["acceleration"])[:, :, 6, 8]
    assert rows[:, -1].tolist() == pytest.approx([2, 2, 0]), "the first pair takes the change to the next one"
    assert rows[1].tolist() == pytest.approx([2, 0, 0, 0, 2], abs=1e-6), "to the right"
    apart = group_maps(pairs, [False, False, True], ["acceleration"])[:, -1, 6, 8]
    assert apart.tolist() == [0, 0, 0], "across a gap nothing is compared; the last two pairs are equal"


def test_change_counts_its_strong_part() -> None:
    for amount, strong in ((5, (0, 0)), (20, (1, 0)), (40, (1, 1))):
        values = inner(fields(0 * Y, 0 * Y, amount), "change")
        assert (values["change_10"], values["change_30"]) == strong
        assert values["change_rms"] == pytest.approx((amount / 255) ** 2)


@given(st.integers(1, 9), st.integers(1, 9))
def test_quarters_keep_the_mean_of_even_pictures_and_the_range_of_all(height: int, width: int) -> None:
    maps = np.random.default_rng(height * 10 + width).random((2, 3, height, width)).astype(np.float32)
    small = quartered(maps)
    assert small.shape == (2, 3, -(-height // 2), -(-width // 2))
    assert small.min() >= maps.min() - 1e-6 and small.max() <= maps.max() + 1e-6
    if height % 2 == width % 2 == 0:
        np.testing.assert_allclose(small.mean((2, 3)), maps.mean((2, 3)), rtol=1e-5)


@given(st.sets(st.sampled_from(sorted(GROUPS))), st.integers(1, 70), st.integers(1, 70), st.integers(1, 5))
def test_groups_add_columns_and_leave_the_others(groups: set[str], height: int, width: int, frames: int) -> None:
    clips = np.random.default_rng(height).integers(0, 256, (1, frames, height, width, 3), np.uint8)
    plain, more = Motion(MotionConfig()), Motion(MotionConfig(groups=tuple(sorted(groups))))  # type: ignore[arg-type]
    features = more(clips)
    assert features.shape[-1] == len(more.names) == len(set(more.names)) and plain.names == NAMES
    np.testing.assert_array_equal(features[..., : len(NAMES)], plain(clips))
    assert np.isfinite(features).all() and (features >= 0).all()
    assert not features[~features[..., : len(NAMES)].any(-1)].any(), "a cell with almost no motion is all zeros"

from __future__ import annotations

import numpy as np
import pytest

from wherewhen.backbones.frame_difference import FrameDifference, FrameDifferenceConfig
from wherewhen.core.errors import ConfigError


def test_equals_means_of_absolute_differences() -> None:
    gray = np.random.default_rng(0).integers(0, 256, (2, 4, 12, 16, 1), dtype=np.uint8)
    found = FrameDifference(FrameDifferenceConfig(rows=3, columns=4))(np.repeat(gray, 3, -1))
    change = np.abs(np.diff(gray[..., 0].astype(float), axis=1))
    expected = change.reshape(2, 3, 3, 4, 4, 4).mean((3, 5)) / 255
    assert found.shape == (2, 3, 3, 4, 1) and found.dtype == np.float32
    np.testing.assert_allclose(found[..., 0], expected, atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (5, 90), (31, 41)])
def test_any_size_makes_the_same_grid(size: tuple[int, int]) -> None:
    clips = np.random.default_rng(0).integers(0, 256, (1, 2, *size, 3), dtype=np.uint8)
    assert FrameDifference(FrameDifferenceConfig())(clips).shape == (1, 1, 30, 40, 1)


def test_one_frame_has_no_change() -> None:
    assert not FrameDifference(FrameDifferenceConfig())(np.full((1, 1, 8, 8, 3), 9, np.uint8)).any()


@pytest.mark.parametrize("wrong", [{"frames": 1}, {"stride": 0}, {"rows": 0}, {"columns": 0}])
def test_senseless_settings(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="frame_difference: "):
        FrameDifferenceConfig(**wrong)

from __future__ import annotations

import numpy as np
import pytest

from wherewhen.backbones.pixels import PixelPatches, PixelsConfig, corners
from wherewhen.core.errors import ConfigError


def test_patches_show_the_middle_frame_where_they_say() -> None:
    rng = np.random.default_rng(0)
    clip = np.repeat(rng.integers(0, 255, (1, 3, 60, 80, 1), np.uint8), 3, -1)
    found = PixelPatches(PixelsConfig(stride=2, height=60, width=80, side=20, step=20, still=0.0))(clip)[0, 0]
    assert found.shape == (3, 4, 400)
    wanted = clip[0, 1, 20:40, 40:60, 0] / 255 * 2 - 1
    np.testing.assert_allclose(found[1, 2].reshape(20, 20), wanted, atol=1e-6)


def test_patches_lie_at_the_centers_of_their_cells_as_far_as_the_border_lets_them() -> None:
    assert len(corners(240, 45, 25)) == 8 and len(corners(360, 45, 25)) == 13
    for length, count in ((240, 8), (360, 13)):
        found = corners(length, 45, 25)
        centers = (np.arange(count) + 0.5) * length / count
        inside = (centers > 22.5) & (centers < length - 22.5)
        assert np.abs(found + 22.5 - centers)[inside].max() <= 0.5
        assert found[0] == 0 and found[-1] == length - 45


def test_what_does_not_move_holds_nothing() -> None:
    clip = np.full((1, 9, 240, 360, 3), 90, np.uint8)
    clip[0, 4:, 100:140, 160:200] = 250
    found = PixelPatches(PixelsConfig())(clip)[0, 0].any(-1)
    assert found[3:5, 5:7].any() and not found[0].any() and not found[:, 0].any()
    assert PixelPatches(PixelsConfig(still=0.0))(clip).any(-1).all()


@pytest.mark.parametrize("wrong", [{"side": 0}, {"height": 40}, {"rate": 0.0}, {"still": 1.0}])
def test_senseless_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=r"pixels: expected"):
        PixelsConfig(**wrong)  # type: ignore[arg-type]

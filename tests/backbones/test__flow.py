from __future__ import annotations

import cv2
import numpy as np
import pytest

from wherewhen.backbones._camera import places
from wherewhen.backbones._flow import Flow


@pytest.mark.parametrize("preset", ["ultrafast", "fast", "medium"])
def test_flow_of_shrunk_pictures_is_the_flow_of_whole_ones(preset: str) -> None:
    rng = np.random.default_rng(0)
    for height, width in [
        (32, 32),
        (33, 200),
        (123, 157),
        (61, 83),
        (91, 182),
        (180, 320),
        (213, 320),
        (239, 319),
        (362, 181),
    ]:
        pictures = [cv2.GaussianBlur(rng.integers(0, 255, (height, width), np.uint8), (0, 0), 2) for _ in range(2)]
        pictures.append(np.roll(pictures[1], (1, 3), (0, 1)))
        whole = cv2.DISOpticalFlow.create(getattr(cv2, f"DISOPTICAL_FLOW_PRESET_{preset.upper()}"))
        flow = Flow(preset, (height, width))
        small = [flow.shrunk(picture) for picture in pictures]
        for k in (0, 1):
            wanted = whole.calc(pictures[k], pictures[k + 1], None).transpose(2, 0, 1)  # type: ignore[call-overload]
            halves = np.empty((2, -(-height // 2), -(-width // 2)), np.float32)
            spots = flow(small[k], small[k + 1], halves)
            # to the last bit, but for processors that multiply and add at once
            for found, there in ((halves, wanted[:, ::2, ::2]), (spots, wanted[:, *np.ix_(*places(height, width))])):
                np.testing.assert_allclose(found, there, rtol=0, atol=1e-6 * np.abs(wanted).max())
                assert (found == there).mean() > 0.9


def test_the_usual_sizes_are_shrunk() -> None:
    for size in [(240, 320), (180, 320), (213, 320), (480, 640), (1080, 1920)]:
        gray = np.zeros(size, np.uint8)
        assert Flow("ultrafast", size).shrunk(gray).shape == (size[0] // 4, size[1] // 4)

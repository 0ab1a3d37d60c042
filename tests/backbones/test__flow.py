from __future__ import annotations

import cv2
import numpy as np
import pytest

from wherewhen.backbones._flow import Flow


@pytest.mark.parametrize("preset", ["ultrafast", "fast", "medium"])
def test_flow_of_shrunk_pictures_is_the_flow_to_the_last_bit(preset: str) -> None:
    rng = np.random.default_rng(0)
    for height, width in [(32, 32), (33, 200), (61, 83), (91, 182), (180, 320), (213, 320), (239, 319), (362, 181)]:
        pictures = [cv2.GaussianBlur(rng.integers(0, 255, (height, width), np.uint8), (0, 0), 2) for _ in range(2)]
        pictures.append(np.roll(pictures[1], (1, 3), (0, 1)))
        whole = cv2.DISOpticalFlow.create(getattr(cv2, f"DISOPTICAL_FLOW_PRESET_{preset.upper()}"))
        flow = Flow(preset, (height, width))
        small = [flow.shrunk(picture) for picture in pictures]
        for k in (0, 1):
            wanted = whole.calc(pictures[k], pictures[k + 1], None)  # type: ignore[call-overload]
            np.testing.assert_array_equal(flow(small[k], small[k + 1]) * flow.unit, wanted)


def test_the_usual_sizes_are_shrunk() -> None:
    for size in [(240, 320), (180, 320), (213, 320), (480, 640), (1080, 1920)]:
        gray = np.zeros(size, np.uint8)
        assert Flow("ultrafast", size).shrunk(gray).shape == (size[0] // 4, size[1] // 4)

"""Pictures at key frames of a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wherewhen.core.errors import VideoError
from wherewhen.video.key_pictures import key_pictures
from wherewhen.video.writer import Writer


def ramp(path: Path, count: int) -> Path:
    """A video that becomes brighter from 0 to 200."""
    with Writer(path, 10) as file:
        for number in range(count):
            file.write(np.full((48, 64, 3), 200 * number // count, np.uint8))
    return path


def test_key_frames_are_spread_over_a_long_file(tmp_path: Path) -> None:
    pictures = key_pictures(ramp(tmp_path / "a.mp4", 1500), 6, (12, 16))
    assert [picture.shape for picture in pictures] == [(12, 16, 3)] * len(pictures)
    levels = [float(picture.mean()) for picture in pictures]
    assert len(levels) >= 5 and levels == sorted(levels) and levels[-1] - levels[0] > 100


def test_a_short_file_has_few(tmp_path: Path) -> None:
    assert len(key_pictures(ramp(tmp_path / "a.mp4", 5), 6, (12, 16))) == 1


def test_a_damaged_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(VideoError, match=r"a\.mp4"):
        key_pictures(tmp_path / "a.mp4", 3, (12, 16))

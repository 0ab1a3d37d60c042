from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from wherewhen.core.errors import ConfigError, VideoError
from wherewhen.core.tubes import TubeConfig
from wherewhen.core.values import Frame
from wherewhen.extraction import box_tracks


def blank(count: int) -> Iterator[Frame]:
    return (Frame(np.zeros((2, 2, 3), np.uint8), k, k / 10, (k + 1) / 10) for k in range(count))


@pytest.mark.parametrize("stride", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [0, 1, 6, 7, 8])
def test_looking_at_some_frames_leaves_no_hole_in_time(stride: int, count: int) -> None:
    seen = list(box_tracks.strided(blank(count), stride))
    assert [frame.index for frame in seen] == list(range(0, count, stride))
    assert [frame.start for frame in seen[1:]] == [frame.end for frame in seen[:-1]]
    assert not count or seen[-1].end == count / 10


def test_a_frame_is_looked_at_before_later_ones_come() -> None:
    pulled = 0

    def camera() -> Iterator[Frame]:
        nonlocal pulled
        for frame in blank(10):
            pulled += 1
            yield frame

    assert [pulled for _ in box_tracks.strided(camera(), 3)] == [3, 6, 9, 10]


def test_tubes_of_a_video(clips: Path) -> None:
    """The bright square that rushes by is one of them."""
    source = box_tracks.proposer("motion", {"rate": None})
    (found,) = box_tracks.proposed(clips / "anomalous" / "a0.mp4", source, making=TubeConfig(shortest=0.2))
    whole = [found.rows.extents[found.rows.track == k] for k in range(len(found))]
    fast = max(whole, key=lambda rows: rows[-1, 2] - rows[0, 2])
    assert fast[-1, 2] - fast[0, 2] > 0.3 and 0.4 < fast[0, 0] < 1.0


def test_numbers_of_ones_own_stay(tmp_path: Path, clips: Path) -> None:
    (tmp_path / "m").mkdir()
    lines = [f"{k},8,5,5,20,20,0.9,-1,-1,-1" for k in range(1, 20)]
    (tmp_path / "m" / "a0.txt").write_text("\n".join(lines))
    video = clips / "anomalous" / "a0.mp4"
    own = list(box_tracks.tracked(video, box_tracks.proposer("file", {"path": str(tmp_path / "m")})))
    assert {t for boxes in own for t in boxes.track.tolist()} == {7}
    again = {"path": str(tmp_path / "m"), "relink": True}
    assert {t for b in box_tracks.tracked(video, box_tracks.proposer("file", again)) for t in b.track.tolist()} == {0}


def test_what_is_unknown_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'motion'"):
        box_tracks.proposer("motoin")
    with pytest.raises(ConfigError, match="unknown setting of motion"):
        box_tracks.proposer("motion", {"widht": 3})
    with pytest.raises(VideoError):
        list(box_tracks.proposed(tmp_path / "none.mp4", box_tracks.proposer("motion")))

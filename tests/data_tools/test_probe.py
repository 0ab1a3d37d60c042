import json

import cv2
import numpy as np
import pytest

from wherewhen.core import registry
from wherewhen.data_tools.probe import measure, probe_set
from wherewhen.video.writer import Writer


def film(path, frames, rate=30):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    with Writer(path, rate) as file:
        for _ in range(frames):
            file.write(rng.integers(0, 255, (48, 64, 3), np.uint8))


@pytest.fixture
def root(tmp_path):
    (tmp_path / "Anomaly_Train.txt").write_text("Abuse/Abuse001_x264.mp4\n")
    (tmp_path / "Anomaly_Test.txt").write_text("Abuse/Abuse028_x264.mp4\n")
    (tmp_path / "Temporal_Anomaly_Annotation.txt").write_text("Abuse028_x264.mp4 Abuse 3 6 -1 -1\n")
    film(tmp_path / "part-1/Abuse/Abuse028_x264.mp4", 7)
    film(tmp_path / "other.mp4", 5, 25)
    (tmp_path / "part-1/Abuse/Abuse001_x264.mp4").write_text("no video")
    return tmp_path


def test_what_is_probed_is_what_the_reader_needs(root):
    reader = registry.load("datasets", "ucf_crime")
    seen = []
    rows, found = probe_set(root, reader, progress=lambda *at: seen.append(at))
    assert rows["Abuse028_x264"] == {"frames": 7, "fps": 30, "width": 64, "height": 48}
    assert rows["other"]["fps"] == 25
    assert [(f.kind, f.video) for f in found] == [("video-unreadable", "Abuse001_x264")]
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert json.loads((root / "videos.json").read_text()) == rows
    truth = reader.truth(root)["Abuse028_x264"]
    assert truth.frames.tolist() == [False, False, True, True, True, True, False]


def test_pictures_have_no_rate_of_their_own(tmp_path):
    for number in (1, 2, 10):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.zeros((6, 8, 3), np.uint8))
    assert measure(tmp_path) == {"frames": 3, "width": 8, "height": 6}
    assert measure(tmp_path, picture_rate=10)["fps"] == 10


def test_videos_are_named_even_where_the_reader_needs_them_measured_first(tmp_path):
    subway = registry.load("datasets", "subway")
    film(tmp_path / "Entrance.avi.mp4", 3)
    (tmp_path / "Entrance.avi.mp4").rename(tmp_path / "Entrance.mp4")
    rows, _ = probe_set(tmp_path, subway)
    assert set(rows) == {"Entrance"}

    empty = tmp_path / "empty"
    empty.mkdir()
    assert probe_set(empty, subway) == ({}, [])
    assert not (empty / "videos.json").exists()

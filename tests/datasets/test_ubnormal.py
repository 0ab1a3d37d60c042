import cv2
import numpy as np
import pytest

from wherewhen.core import registry
from wherewhen.core.diagnostics import listening
from wherewhen.core.errors import DataError

READER = registry.load("datasets", "ubnormal")
LISTS = {
    "abnormal_training_video_names.txt": "abnormal_scene_1_scenario_3\n",
    "normal_training_video_names.txt": "normal_scene_1_scenario_3",
    "abnormal_validation_video_names.txt": "",
    "normal_validation_video_names.txt": "normal_scene_2_scenario_1_fog",
    "abnormal_test_video_names.txt": "abnormal_scene_1_scenario_1\n",
    "normal_test_video_names.txt": "normal_scene_1_scenario1_10",
}
KEY = "abnormal_scene_1_scenario_1"
LENGTHS = {KEY: 6, "normal_scene_1_scenario1_10": 4, "normal_scene_2_scenario_1_fog": 4}


@pytest.fixture
def small(write, probe, tmp_path):
    folder = f"Scene1/{KEY}_annotations"
    write(LISTS | {f"{folder}/{KEY}_tracks.txt": "7,1,2\n9.0,2.0,4.0\n"})
    for frame in range(6):
        maps = np.zeros((20, 40), np.uint8)
        maps[2:6, 4:10] = 7
        maps[10:12, 10:20] = 9
        maps[15, 35] = 9
        cv2.imwrite(str(tmp_path / folder / f"{KEY}_{frame:04d}_gt.png"), maps)
    return probe(LENGTHS)


def test_tracks_are_zero_based_with_their_end_included(small):
    truths = READER.truth(small)
    truth = truths[KEY]
    assert truth.spans.tolist() == [[1 / 30, 5 / 30]]
    rows = sorted(zip(truth.track.tolist(), np.rint(truth.boxes[:, 0] * 30).tolist(), strict=True))
    assert rows == [(0, 1), (0, 2), (1, 2), (1, 3), (1, 4)]
    assert truth.boxes[truth.track == 0][0, 2:].tolist() == [0.1, 0.1, 0.25, 0.3]
    assert truth.boxes[truth.track == 1][0, 2:].tolist() == [0.25, 0.5, 0.5, 0.6], "the largest part alone"
    assert truth.masks().shape == (6, 20, 40)
    assert set(truths) == set(LENGTHS)


def test_folds_and_places(small):
    official, validation = READER.load(small).folds
    assert [v.id for v in official.test] == ["normal_scene_1_scenario1_10", KEY]
    assert [v.id for v in validation.test] == ["normal_scene_2_scenario_1_fog"]
    assert official.test[1].path == small / f"Scene1/{KEY}.mp4"


def test_what_is_missing_is_said(small, write):
    (small / f"Scene1/{KEY}_annotations/{KEY}_tracks.txt").rename(small / "gone.txt")
    with pytest.raises(DataError, match=r"no tracks; expected .*_tracks.txt"):
        READER.truth(small)
    write({"normal_test_video_names.txt": "abnormal_scene_9_scenario_1"})
    with pytest.raises(DataError, match="label-conflict"):
        READER.load(small)


def test_without_maps_boxes_are_unknown(small):
    for path in (small / f"Scene1/{KEY}_annotations").glob("*.png"):
        path.unlink()
    truth = READER.truth(small)[KEY]
    assert truth.boxed.tolist() == [True, False, False, False, False, True]
    assert truth.masks is None


def test_the_real_lists_give_the_published_counts(link):
    names = [f"{a}_{b}_video_names.txt" for a in ("normal", "abnormal") for b in ("training", "validation", "test")]
    root = link({f"scripts/{name}": f"ubnormal/{name}" for name in names})
    assert READER.matches(root)
    with listening() as found:
        dataset = READER.load(root)
    assert found == []
    assert len(dataset.videos) == READER.counts["videos"]
    official, validation = dataset.folds
    for side, videos in (("train", official.train), ("test", official.test)):
        for word, label in (("anomalous", 1), ("normal", 0)):
            assert sum(v.label == label for v in videos) == READER.counts[f"{side} {word}"]
    assert [sum(v.label == label for v in validation.test) for label in (1, 0)] == [38, 26]

import json

import numpy as np
import pytest

from wherewhen.core import registry
from wherewhen.core.diagnostics import listening
from wherewhen.core.errors import DataError

READER = registry.load("datasets", "subway")
LENGTHS = {"Entrance": 144_249, "Exit": 64_900}


def test_two_parts_of_one_file_in_its_own_seconds(write, probe):
    write({"Entrance/01.txt": "0,79478,128,96,512,384\n", "Exit/01.txt": "0,24034,0,0,256,192\n1,24034,0,0,9,9\n"})
    (probe(LENGTHS) / "Exit.avi").touch()
    root = probe(LENGTHS)
    dataset = READER.load(root)
    entrance = dataset.folds[0]
    assert entrance.train[0].span == (0.0, 76453 / 25)
    assert entrance.test[0].span == (76453 / 25, 144_249 / 25)
    assert dataset.videos[2].path == dataset.videos[3].path == root / "Exit.avi"
    truths = READER.truth(root)
    test = truths["Entrance_test"]
    assert test.edges[0] == 76453 / 25 and len(test.edges) == 144_249 - 76453 + 1
    assert test.boxes.tolist() == [[79478 / 25, 79479 / 25, 0.25, 0.25, 1, 1]]
    assert test.spans.tolist() == [[79478 / 25, 79479 / 25]]
    assert truths["Exit_test"].track.tolist() == [0, 1]
    assert truths["Entrance_train"].label == 0 and len(truths["Entrance_train"].edges) == 76454


def test_boxes_in_training_frames_and_short_videos_are_told(write, probe):
    write({"Entrance/01.txt": "0,12,1,1,9,9\n", "Exit/01.txt": "0,24034,1,1,9,9\n0,24034,1,1,9,9\n"})
    with pytest.raises(DataError, match=r"videos\.json"):
        READER.load(probe({}))
    with listening() as found:
        READER.load(probe({"Entrance": 100, "Exit": 64_900}))
        READER.truth(probe(LENGTHS))
    assert {"length-conflict", "normal-positive", "row-repeated"} == {f.kind for f in found}


def test_the_real_files_give_their_counts(link, probe):
    root = link({f"{name}/01.txt": f"subway/{name}/01.txt" for name in LENGTHS})
    probe(LENGTHS)
    assert READER.matches(root)
    with listening() as found:
        truths = READER.truth(root)
    assert found == []
    assert sum(len(t.boxes) for t in truths.values()) == READER.counts["boxes"] == 14_657 + 6_363
    assert [len(set(truths[f"{name}_test"].track.tolist())) for name in LENGTHS] == [51, 14]
    assert truths["Entrance_train"].label == truths["Exit_train"].label == 0
    first = truths["Entrance_test"].boxes[0]
    assert (first[2:] * [512, 384, 512, 384]).tolist() == [172, 173, 248, 356]
    rows = np.loadtxt(root / "Exit/01.txt", delimiter=",")
    assert int(truths["Exit_test"].frames.sum()) == len(np.unique(rows[:, 1]))
    assert json.loads((root / "videos.json").read_text())["Exit"]["frames"] == 64_900

import json

import numpy as np
import pytest
from scipy.io import savemat

from wherewhen.core import registry
from wherewhen.core.diagnostics import listening
from wherewhen.core.errors import DataError
from wherewhen.datasets import avenue

READER = registry.load("datasets", "avenue")


def store(path, volume):
    cells = np.empty((1, len(volume)), object)
    for frame, mask in enumerate(volume):
        cells[0, frame] = mask.astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {"volLabel": cells})


@pytest.fixture
def small(tmp_path):
    volume = np.zeros((5, 360, 640), bool)
    volume[1:3, 36:72, 64:128] = True
    volume[2, 180:, 320:] = True
    for number in range(1, 22):
        store(tmp_path / f"ground_truth_demo/testing_label_mask/{number}_label.mat", volume)
    return tmp_path


def test_masks_give_length_spans_and_boxes(small, probe):
    truths = READER.truth(probe({"train_01": 1364}))
    assert set(truths) == {f"test_{n:02d}" for n in range(1, 22)} | {"train_01"}
    truth = truths["test_03"]
    assert len(truth.edges) == 6
    assert truth.spans.tolist() == [[1 / 25, 3 / 25]]
    assert truth.boxes.tolist() == [
        [1 / 25, 2 / 25, 0.1, 0.1, 0.2, 0.2],
        [2 / 25, 3 / 25, 0.1, 0.1, 0.2, 0.2],
        [2 / 25, 3 / 25, 0.5, 0.5, 1, 1],
    ]
    assert truth.masks().shape == (5, 360, 640)
    assert truths["train_01"].label == 0


def test_ids_tell_training_from_test(small):
    dataset = READER.load(small)
    assert READER.matches(small)
    assert (len(dataset.folds[0].train), len(dataset.folds[0].test)) == (16, 21)
    assert dataset.folds[0].test[4].path.parts[-2:] == ("testing_videos", "05.avi")


def test_missing_and_odd_files_are_told(small):
    folder = small / "ground_truth_demo/testing_label_mask"
    (folder / "4_label.mat").unlink()
    with pytest.raises(DataError, match=r"no masks; expected .*4_label.mat"):
        READER.truth(small)
    store(folder / "4_label.mat", np.ones((2, 36, 64), bool))
    with listening() as found:
        READER.truth(small)
    assert [f.kind for f in found] == ["mask-shape"]
    savemat(folder / "4_label.mat", {"other": 1})
    with pytest.raises(DataError, match="expected volLabel"):
        READER.truth(small)


def test_a_real_file_gives_the_masks_that_were_cut_from_it(official):
    volume = avenue.masks(official / "avenue/21_label.mat")
    assert volume.shape == (76, 360, 640)
    assert int(volume.any((1, 2)).sum()) == 53
    draft, frames, _ = avenue._draft(official / "avenue/21_label.mat")
    known = json.loads((official.parent / "data/avenue6/gt.json").read_text())["Test21"]
    assert frames == known["frames"]
    assert [list(span) for span in draft.spans] == known["segments_0based_halfopen"]
    assert len(draft.boxes) == sum(len(boxes) for boxes in known["boxes"].values())

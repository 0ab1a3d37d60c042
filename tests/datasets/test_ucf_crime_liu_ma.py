import pickle

import numpy as np
import pytest

from wherewhen.core import registry
from wherewhen.core.diagnostics import listening
from wherewhen.core.errors import DataError

READER = registry.load("datasets", "ucf_crime_liu_ma")
TEXT = {
    "Anomaly_Train.txt": "Abuse/Abuse001_x264.mp4\n",
    "Anomaly_Test.txt": "Abuse/Abuse028_x264.mp4\n",
    "Temporal_Anomaly_Annotation.txt": "Abuse028_x264.mp4  Abuse  165  240  -1  -1  \n",
}


def store(root, boxes):
    (root / "Test_annotation.pkl").write_bytes(pickle.dumps(boxes, protocol=0))
    return root


def test_a_row_is_one_frame_with_borders_as_corners(write, probe):
    write(TEXT)
    rows = [["/home3/x/Abuse028_x264/image_0165.jpg", 80, 60, 160, 240], ["image_0240.jpg", 0, 0, 320, 240]]
    truth = READER.truth(store(probe({"Abuse028_x264": 1411}), {"Abuse028_x264": rows}))["Abuse028_x264"]
    assert truth.boxes.tolist() == [[164 / 30, 165 / 30, 0.25, 0.25, 0.5, 1], [239 / 30, 240 / 30, 0, 0, 1, 1]]
    assert truth.boxed[[163, 164, 165, 239, 240]].tolist() == [True, True, False, True, True]


def test_odd_rows_are_told(write, probe):
    write(TEXT)
    rows = [
        ["image_0170.jpg", 1, 1, 330, 9],
        ["image_0171.jpg", 5, 5, 5, 9],
        ["image_0172.jpg", 1, 1],
        ["image_0300.jpg", 1, 1, 9, 9],
        ["image_0300.jpg", 2, 2, 9, 9],
        ["image_9999.jpg", 1, 1, 9, 9],
    ]
    root = store(probe({"Abuse028_x264": 1411}), {"Abuse028_x264": rows, "Abuse999_x264": []})
    with listening() as found:
        truth = READER.truth(root)["Abuse028_x264"]
    kinds = {"box-outside", "box-empty", "row-malformed", "box-outside-span", "row-repeated", "box-past-end"}
    assert kinds | {"truth-extra", "row-blank"} == {f.kind for f in found}
    assert len(truth.boxes) == 2
    assert truth.boxes[0, 4] == 1


def test_a_pickle_that_runs_something_is_refused(write, probe, tmp_path):
    class Hostile:
        def __reduce__(self):
            return (open, (str(tmp_path / "written"), "w"))

    root = store(probe({"Abuse028_x264": 1411}), {"a": Hostile()})
    write(TEXT)
    with pytest.raises(DataError, match="refused, the pickle names"):
        READER.truth(root)
    assert not (tmp_path / "written").exists()


@pytest.fixture
def real(link, probe):
    root = link(
        {
            "Anomaly_Train.txt": "ucf_crime/Anomaly_Train.txt",
            "Anomaly_Test.txt": "ucf_crime/Anomaly_Test.txt",
            "Temporal_Anomaly_Annotation.txt": "ucf_crime/Temporal_Anomaly_Annotation.txt",
            "Test_annotation.pkl": "ucf_crime_boxes_liu_ma/Test_annotation.pkl",
        }
    )
    rows = (root / "Temporal_Anomaly_Annotation.txt").read_text().splitlines()
    probe({row.split()[0][:-4]: max(2, *map(int, row.split()[2:])) for row in rows})
    return root


def test_the_real_file_gives_the_published_counts(real):
    assert READER.matches(real)
    with listening() as found:
        truths = READER.truth(real)
    assert {f.kind for f in found} == {"row-blank"}, "every box lies in its picture and in an official span"
    boxed = {key: truth for key, truth in truths.items() if len(truth.boxes)}
    assert len(boxed) == READER.counts["truth with boxes"] == 140
    assert sum(len(truth.boxes) for truth in boxed.values()) == READER.counts["boxes"] == 3102
    assert all(truth.label for truth in boxed.values())
    counts = [len(truth.boxes) for truth in boxed.values()]
    assert (min(counts), max(counts), float(np.median(counts))) == (1, 155, 11.5)
    first = boxed["Shoplifting010_x264"]
    row = np.flatnonzero(first.boxes[:, 0] == 860 / 30)[0]
    assert first.boxes[row, 2:].tolist() == [77 / 320, 104 / 240, 141 / 320, 200 / 240]


def test_constant_boxes_score_what_was_published_for_them(real):
    """TIoU of the full frame and of the central box of 60 % x 60 % with a perfect gate, pooled over boxes."""
    boxes = np.concatenate([truth.boxes[:, 2:] for truth in READER.truth(real).values()])
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])

    def score(x0, y0, x1, y1):
        width = np.minimum(boxes[:, 2], x1) - np.maximum(boxes[:, 0], x0)
        height = np.minimum(boxes[:, 3], y1) - np.maximum(boxes[:, 1], y0)
        both = width.clip(0) * height.clip(0)
        return float((both / (areas + (x1 - x0) * (y1 - y0) - both)).mean())

    assert round(100 * score(0, 0, 1, 1), 2) == 23.07
    assert round(100 * score(0.2, 0.2, 0.8, 0.8), 1) == 35.3
    assert round(float(np.median(areas)), 3) == 0.201

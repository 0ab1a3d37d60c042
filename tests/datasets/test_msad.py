import json

import pytest

from wherewhen.core import registry
from wherewhen.core.diagnostics import listening
from wherewhen.core.errors import DataError

READER = registry.load("datasets", "msad")
HEAD = "name,scenario,total frames,starting frame of anomaly,ending frame of anomaly\n"
LISTS = {
    "MSAD_Train.list": "/p/x/MSAD_normal_shop1.npy\n/p/x/Fire_1.npy\n",
    "MSAD_Test.list": "/p/x/MSAD_normal_testing_1.npy\n/p/x/Assault_1.npy\n",
}
BOX = {"54": [[456, 3], [661, 3], [661, 297], [456, 297]]}
EVENT = {
    "file_name": "Assault_1.mp4",
    "start_frame": 54,
    "end_frame": 425,
    "bounding_boxes": [{"start_frame": 54, "end_frame": 425, "keyframes": BOX}],
}
SIZE = {"width": 1280, "height": 720}


def test_the_table_counts_from_one_and_the_boxes_from_zero(write, probe):
    write(LISTS | {"anomaly_annotation.csv": HEAD + "Assault_1,shop,426,55,426\nFire_1,shop,90,1,90\n"})
    write({"merged_MSAD.json": json.dumps([EVENT])})
    root = probe({"Assault_1": 426, "MSAD_normal_testing_1": 740, "Fire_1": 90}, **SIZE)
    truths = READER.truth(root)
    assert truths["Assault_1"].spans.tolist() == [[54 / 30, 426 / 30]]
    assert len(truths["Assault_1"].boxes) == 426 - 54
    assert truths["Assault_1"].boxes[0, 2:].tolist() == [456 / 1280, 3 / 720, 661 / 1280, 297 / 720]
    assert truths["Assault_1"].boxed is None
    assert truths["Fire_1"].boxed.sum() == 0, "spans alone leave the boxes unknown"
    (root / "anomaly_annotation.csv").unlink()
    assert READER.truth(root)["Assault_1"].spans.tolist() == [[54 / 30, 426 / 30]]
    (root / "merged_MSAD.json").unlink()
    with pytest.raises(DataError, match="annotation not found"):
        READER.truth(root)


def test_lists_of_features_on_somebodys_machine_are_read_by_name(write):
    root = write(LISTS)
    with listening() as found:
        fold = READER.load(root).folds[0]
    assert [(v.id, v.label, v.category) for v in fold.test] == [
        ("MSAD_normal_testing_1", 0, None),
        ("Assault_1", 1, "Assault"),
    ]
    assert fold.test[1].path == root / "Assault/Assault_1.mp4"
    assert {"path-absolute", "path-extension"} == {f.kind for f in found}


def test_boxes_need_the_size_and_rows_their_fields(write, probe):
    write(LISTS | {"merged_MSAD.json": json.dumps([EVENT])})
    with pytest.raises(DataError, match="size is needed"):
        READER.truth(probe({"Assault_1": 426, "MSAD_normal_testing_1": 740}))
    write({"anomaly_annotation.csv": HEAD + "Assault_1,shop,many,55,426\n"})
    with pytest.raises(DataError, match="row-malformed"):
        READER.truth(probe({"Assault_1": 426, "MSAD_normal_testing_1": 740}, **SIZE))


def test_the_real_files_give_the_published_counts(link, probe):
    names = ("MSAD_Train.list", "MSAD_Test.list", "merged_MSAD.json")
    root = link({name: f"msad/{name}" for name in names})
    assert READER.matches(root)
    fold = READER.load(root).folds[0]
    for side, videos in (("train", fold.train), ("test", fold.test)):
        for word, label in (("anomalous", 1), ("normal", 0)):
            assert sum(v.label == label for v in videos) == READER.counts[f"{side} {word}"]
    probe({v.id: 20_000 for v in fold.train + fold.test}, width=1920, height=1080)
    with listening() as found:
        truths = READER.truth(root)
    assert {f.kind for f in found} <= {"path-absolute", "path-extension", "box-outside", "box-outside-span"}
    positive = [t for t in truths.values() if t.label]
    assert len(positive) == 240
    assert sum(len(t.spans) for t in positive) == 246
    assert sum(int(t.frames.sum()) for t in positive) == 82_514, "246 events with their ends included"

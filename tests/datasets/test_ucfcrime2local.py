import pytest

from wherewhen.core import registry
from wherewhen.core.errors import DataError
from wherewhen.datasets import ucfcrime2local

READER = registry.load("datasets", "ucfcrime2local")


def vatic(frame, lost=0, track=0):
    return f'{track} 80 60 160 240 {frame} {lost} 0 1 "Arrest"\n'


@pytest.fixture
def small(write, probe):
    """A made-up copy in VATIC's published form: no real file could be had."""
    probe({"Arrest002": 50, "Normal_Videos_003_x264": 20, "Robbery050_x264": 50})
    return write(
        {
            "Train_split_AD.txt": "Arrest002 0 1\nNormal_Videos001_x264\n",
            "Test_split_AD.txt": "Robbery050_x264\nNormal_Videos_003_x264\n",
            "Txt annotations/Arrest002.txt": "".join(vatic(f, lost=int(f in (0, 3))) for f in range(6)),
            "Txt annotations/Robbery050.txt": "".join(vatic(f) for f in range(1, 4)),
            "videos/Arrest002_x264.mp4": "",
        }
    )


def test_each_file_says_by_its_first_frame_from_what_it_counts(small):
    truths = READER.truth(small)
    assert truths["Arrest002"].spans.tolist() == [[1 / 30, 3 / 30], [4 / 30, 6 / 30]], "lost rows are no boxes"
    assert truths["Robbery050_x264"].spans.tolist() == [[0, 3 / 30]]
    assert truths["Robbery050_x264"].boxes[0].tolist() == [0, 1 / 30, 0.25, 0.25, 0.5, 1]
    assert truths["Normal_Videos_003_x264"].label == 0
    assert set(truths) == {"Arrest002", "Robbery050_x264", "Normal_Videos_003_x264"}


def test_labels_categories_and_files(small):
    fold = READER.load(small).folds[0]
    assert [(v.id, v.label, v.category) for v in fold.train] == [
        ("Arrest002", 1, "Arrest"),
        ("Normal_Videos001_x264", 0, None),
    ]
    assert fold.train[0].path == small / "videos/Arrest002_x264.mp4"
    assert fold.test[0].category == "Robbery"


def test_broken_rows_and_missing_files_are_named(small, write):
    write({"Txt annotations/Robbery050.txt": "0 1 2\n"})
    with pytest.raises(DataError, match="expected track xmin ymin"):
        READER.truth(small)
    (small / "Txt annotations/Robbery050.txt").unlink()
    with pytest.raises(DataError, match=r"no boxes; expected .*Robbery050_x264.txt"):
        READER.truth(small)
    assert ucfcrime2local._path(small, "a") is None

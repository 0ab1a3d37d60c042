import pytest

from wherewhen.core import registry
from wherewhen.core.errors import DataError

READER = registry.load("datasets", "street_scene")


@pytest.fixture
def small(write):
    """A made-up copy: no real file could be had."""
    rows = "002.jpg 0 640 360 640 360\n003.jpg 0 640 360 640 360\n003.jpg 1 100 100 20 10\n"
    names = {f"Test/Test001/{n:03d}.jpg": "" for n in range(1, 6)} | {"Train/Train001/001.jpg": ""}
    return write(names | {"Test/Test001/Test001_gt.txt": rows})


def test_pictures_count_from_one_and_boxes_are_given_by_their_middle(small):
    truths = READER.truth(small)
    truth = truths["Test001"]
    assert truth.spans.tolist() == [[1 / 15, 3 / 15]]
    assert truth.boxes[0].tolist() == [1 / 15, 2 / 15, 0.25, 0.25, 0.75, 0.75]
    assert (truth.boxes[2, 2:] * [1280, 720, 1280, 720]).round(6).tolist() == [90, 95, 110, 105]
    assert truth.track.tolist() == [0, 0, 1]
    assert len(truth.edges) == 6
    assert truths["Train001"].label == 0
    fold = READER.load(small).folds[0]
    assert (fold.train[0].label, fold.test[0].label) == (0, 1)
    assert fold.test[0].path == small / "Test/Test001"


def test_broken_rows_and_missing_files_are_named(small):
    path = small / "Test/Test001/Test001_gt.txt"
    path.write_text("2 0 1\n")
    with pytest.raises(DataError, match=r"expected 001.jpg track x y width height"):
        READER.truth(small)
    path.unlink()
    with pytest.raises(DataError, match=r"no boxes; expected .*Test001_gt.txt"):
        READER.truth(small)

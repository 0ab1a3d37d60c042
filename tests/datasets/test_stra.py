import pytest

from wherewhen.core import registry
from wherewhen.core.errors import DataError

READER = registry.load("datasets", "stra")


@pytest.fixture
def small(write, probe):
    """A made-up copy: the set could not be found in public."""
    probe({"crash 2": 50, "calm2": 20}, fps=25, width=640, height=360)
    return write(
        {
            "train.txt": "a/crash1.mp4 1\na/calm1.mp4 0\n",
            "test.txt": "b/crash 2.mp4 1\nb/calm2.mp4 0\n",
            "tubes/crash 2.txt": "0,3,64,36,128,72\n0,4,64,36,128,72\n",
        }
    )


def test_lists_and_tubes(small):
    assert READER.matches(small)
    fold = READER.load(small).folds[0]
    assert [(v.id, v.label) for v in fold.test] == [("crash 2", 1), ("calm2", 0)]
    assert fold.test[0].path == small / "b/crash 2.mp4"
    truths = READER.truth(small)
    assert truths["crash 2"].spans.tolist() == [[3 / 25, 5 / 25]]
    assert truths["crash 2"].boxes[0].tolist() == [3 / 25, 4 / 25, 0.1, 0.1, 0.2, 0.2]
    assert truths["calm2"].label == 0


def test_a_video_on_both_sides_or_without_label_is_told(small, write):
    write({"train.txt": "b/crash 2.mp4 1\n"})
    with pytest.raises(DataError, match="leak-name"):
        READER.load(small)
    write({"train.txt": "a/crash1.mp4\n"})
    with pytest.raises(DataError, match="path label"):
        READER.load(small)
    write({"train.txt": "a/c.mp4 0\n"})
    (small / "tubes/crash 2.txt").unlink()
    with pytest.raises(DataError, match="no tubes; expected"):
        READER.truth(small)

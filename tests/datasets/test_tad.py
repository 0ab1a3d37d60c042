import pytest

from wherewhen.core import registry
from wherewhen.core.errors import DataError

READER = registry.load("datasets", "tad")
PICTURES = {
    f"frames/{folder}/{name}.mp4/{n}.jpg": ""
    for folder, name in [
        ("abnormal", "01_Accident_001"),
        ("abnormal", "05_else_002"),
        ("normal", "Normal_001"),
        ("normal", "Normal_002"),
    ]
    for n in range(12)
}


@pytest.fixture
def small(write, probe):
    """A made-up copy: no real annotation could be had."""
    probe({"05_else_002": None, "Normal_002": None}, fps=6)
    return write(PICTURES | {"test.txt": "05_else_002.mp4 3 5 8 20\nNormal_002.mp4 -1 -1\n"})


def test_folders_are_labels_and_pictures_are_counted(small):
    assert READER.matches(small)
    fold = READER.load(small).folds[0]
    assert [(v.id, v.label, v.category) for v in fold.train] == [
        ("01_Accident_001", 1, "Accident"),
        ("Normal_001", 0, None),
    ]
    assert fold.test[0].path.name == "05_else_002.mp4"
    truths = READER.truth(small)
    assert truths["05_else_002"].spans.tolist() == [[3 / 6, 6 / 6], [8 / 6, 12 / 6]]
    assert len(truths["05_else_002"].edges) == 13
    assert truths["Normal_002"].label == 0


def test_the_rate_is_needed_and_labels_must_agree(small, write):
    write({"test.txt": "05_else_002.mp4 -1 -1\n"})
    with pytest.raises(DataError, match="label-conflict"):
        READER.truth(small)
    (small / "videos.json").unlink()
    with pytest.raises(DataError, match="no known length or rate"):
        READER.truth(small)
    write({"test.txt": "05_else_009.mp4 1 2\n"})
    with pytest.raises(DataError, match="neither in abnormal/ nor in normal/"):
        READER.load(small)

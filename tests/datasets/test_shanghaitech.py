import numpy as np
import pytest

from wherewhen.core import registry
from wherewhen.core.diagnostics import listening
from wherewhen.core.errors import DataError

READER = registry.load("datasets", "shanghaitech")
SMALL = {
    "SH_Train.txt": "01_0014\n01_002\n",
    "SH_Test.txt": "01_0015\n01_001 \n",
    "tracks/01_0014.txt": "0,2,4,142,119,249\n0,3,0,0,855,479\n",
}


@pytest.fixture
def small(write, probe, tmp_path):
    write(SMALL)
    probe({"01_001": 240})
    folder = tmp_path / "test_frame_mask"
    folder.mkdir()
    np.save(folder / "01_0014.npy", np.array([0, 0, 1, 1, 0, 1], np.uint8))
    np.save(folder / "01_0015.npy", np.array([1, 0, 0], np.uint8))
    return tmp_path


def test_arrays_tracks_and_labels(small):
    dataset = READER.load(small)
    weak, official = dataset.folds
    assert [(v.id, v.label) for v in weak.train] == [("01_0014", 1), ("01_002", 0)]
    assert [v.id for v in official.train] == ["01_001", "01_002"]
    assert [v.id for v in official.test] == ["01_0014", "01_0015"]
    assert weak.test[1].path == small / "training/videos/01_001.avi"
    truths = READER.truth(small)
    assert set(truths) == {"01_0014", "01_0015", "01_001"}
    truth = truths["01_0014"]
    assert truth.edges.tolist() == [n / 24 for n in range(7)]
    assert truth.spans.tolist() == [[2 / 24, 4 / 24], [5 / 24, 6 / 24]]
    assert truth.boxes[0].tolist() == [2 / 24, 3 / 24, 4 / 856, 142 / 480, 120 / 856, 250 / 480]
    assert truth.boxes[1, 2:].tolist() == [0, 0, 1, 1], "the last pixel belongs to the box"
    assert truth.boxed is None
    assert truths["01_0015"].boxed.tolist() == [False, True, True], "without tracks, boxes are unknown in spans"
    assert truths["01_001"].label == 0


def test_pixel_masks_are_read_when_asked_for(small):
    (small / "test_pixel_mask").mkdir()
    mask = np.zeros((3, 48, 86), np.uint8)
    mask[0, 3:5, 7:9] = 1
    np.save(small / "test_pixel_mask/01_0015.npy", mask)
    read = READER.truth(small)["01_0015"].masks()
    assert read.dtype == bool and read.sum() == 4 and read[0, 3, 7]
    np.save(small / "test_pixel_mask/01_0015.npy", mask[:2])
    with pytest.raises(DataError, match="mask-shape"):
        READER.truth(small)


def test_names_and_lengths_are_checked(small, write):
    (small / "videos.json").unlink()
    with pytest.raises(DataError, match="01_001"):
        READER.truth(small)
    write({"SH_Train.txt": "1_14\n01_0014\n01_0099\n", "videos.json": '{"01_001": {"frames": 5}}'})
    with listening() as found:
        READER.truth(small)
    assert {"row-malformed", "truth-missing"} <= {f.kind for f in found if f.severity == "error"}


def test_the_real_files_give_the_published_counts(link, probe):
    root = link(
        {
            "SH_Train.txt": "shanghaitech/SH_Train.txt",
            "SH_Test.txt": "shanghaitech/SH_Test.txt",
            "test_frame_mask": "shanghaitech/test_frame_mask",
            "tracks": "shanghaitech/tracks",
        }
    )
    assert READER.matches(root)
    weak, official = READER.load(root).folds
    for side, videos in (("train", weak.train), ("test", weak.test)):
        for word, label in (("anomalous", 1), ("normal", 0)):
            assert sum(v.label == label for v in videos) == READER.counts[f"{side} {word}"]
    assert (len(official.train), len(official.test)) == (330, 107)
    probe({v.id: 100 for v in weak.test if not v.label})
    with listening() as found:
        truths = READER.truth(root)
    assert found == []
    positive = [truth for truth in truths.values() if truth.label]
    assert len(positive) == 107 and len(truths) == 107 + 155
    assert sum(len(t.edges) - 1 for t in positive) == 40_791
    assert sum(int(t.frames.sum()) for t in positive) == 17_326
    assert sum(len(t.boxes) for t in positive) == 18_937
    assert sum(len(set(t.track.tolist())) for t in positive) == 158
    first = truths["01_0014"]
    assert first.boxes[0].tolist() == [154 / 24, 155 / 24, 4 / 856, 142 / 480, 120 / 856, 250 / 480]

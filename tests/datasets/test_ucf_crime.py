import numpy as np
import pytest

from wherewhen.core import registry
from wherewhen.core.diagnostics import listening
from wherewhen.core.errors import DataError

READER = registry.load("datasets", "ucf_crime")
FILES = {
    "Anomaly_Detection_splits/Anomaly_Train.txt": "ucf_crime/Anomaly_Train.txt",
    "Anomaly_Detection_splits/Anomaly_Test.txt": "ucf_crime/Anomaly_Test.txt",
    "Temporal_Anomaly_Annotation.txt": "ucf_crime/Temporal_Anomaly_Annotation.txt",
}
SMALL = {
    "Anomaly_Train.txt": "Abuse/Abuse001_x264.mp4\nTraining_Normal_Videos_Anomaly/Normal_Videos001_x264.mp4\n",
    "Anomaly_Test.txt": "Abuse/Abuse028_x264.mp4\nTesting_Normal_Videos_Anomaly/Normal_Videos_003_x264.mp4  \n",
    "Temporal_Anomaly_Annotation.txt": "Abuse028_x264.mp4  Abuse  165  240  -1  -1  \n"
    "Normal_Videos_003_x264.mp4  Normal  -1  -1  -1  -1  \n",
}
LENGTHS = {"Abuse028_x264": 1411, "Normal_Videos_003_x264": 2820}


def ends(path):
    """The last number of each row, as a stand-in for lengths that only the videos know."""
    return {row.split()[0][:-4]: max(2, *map(int, row.split()[2:])) for row in path.read_text().splitlines()}


def test_a_row_is_one_based_with_its_end_included(write, probe):
    write(SMALL)
    truth = READER.truth(probe(LENGTHS))["Abuse028_x264"]
    assert truth.spans.tolist() == [[164 / 30, 240 / 30]]
    assert truth.frames.sum() == 240 - 165 + 1
    assert np.flatnonzero(truth.frames)[[0, -1]].tolist() == [164, 239]
    assert truth.categories == ("Abuse",)
    assert len(truth.edges) == 1412


def test_labels_come_from_names_and_paths_stay_inside_the_root(write):
    root = write(SMALL)
    fold = READER.load(root).folds[0]
    assert [(v.id, v.label, v.category) for v in fold.train] == [
        ("Abuse001_x264", 1, "Abuse"),
        ("Normal_Videos001_x264", 0, None),
    ]
    assert fold.test[0].path == root / "Abuse/Abuse028_x264.mp4"


def test_videos_are_found_where_they_lie(write):
    root = write({**SMALL, "Anomaly-Videos-Part-1/Abuse/abuse028_x264.MP4": "x"})
    assert READER.load(root).folds[0].test[0].path == root / "Anomaly-Videos-Part-1/Abuse/abuse028_x264.MP4"


def test_an_unknown_length_is_said_and_never_guessed(write, probe):
    root = write(SMALL)
    with pytest.raises(DataError, match=r"2 videos have no known length .*Abuse028_x264.*wherewhen data probe"):
        READER.truth(root)
    with listening() as found:
        assert set(READER.truth(probe({"Abuse028_x264": 1411}))) == {"Abuse028_x264"}
    assert "length-unknown" in {f.kind for f in found}


def test_a_span_past_the_end_is_cut_as_the_publishers_do(write, probe):
    write(SMALL)
    with listening() as found:
        truth = READER.truth(probe({"Abuse028_x264": 200, "Normal_Videos_003_x264": 9}))["Abuse028_x264"]
    assert truth.frames.sum() == 200 - 164
    assert "span-past-end" in {f.kind for f in found}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("Abuse028_x264.mp4  Abuse  240  165  -1  -1", "span-reversed"),
        ("Abuse028_x264.mp4  Abuse  240  x  -1  -1", "expected: name category start end"),
        ("Abuse028_x264.mp4  Normal  5  9  -1  -1", "label-conflict"),
        ("Abuse028_x264.mp4  Abuse  5  9  -1", "span-malformed"),
    ],
)
def test_a_broken_row_is_named(write, probe, row, message):
    write({**SMALL, "Temporal_Anomaly_Annotation.txt": row + "\n"})
    with pytest.raises(DataError, match=message):
        READER.truth(probe(LENGTHS))


def test_a_missing_list_is_named(tmp_path):
    assert not READER.matches(tmp_path)
    with pytest.raises(DataError, match=r"list of training videos not found; expected a file called Anomaly_Train.txt"):
        READER.load(tmp_path)


def test_the_real_files_give_the_published_counts(link, probe):
    root = link(FILES)
    assert READER.matches(root)
    fold = READER.load(root).folds[0]
    sides = {"train": fold.train, "test": fold.test}
    for side, videos in sides.items():
        for word, label in (("anomalous", 1), ("normal", 0)):
            assert sum(v.label == label for v in videos) == READER.counts[f"{side} {word}"]
    truths = READER.truth(probe(ends(root / "Temporal_Anomaly_Annotation.txt")))
    assert len(truths) == READER.counts["truth"] == 290
    assert {v.id for v in fold.test} == set(truths)
    assert all(truths[v.id].label == v.label for v in fold.test)
    assert sum(len(t.spans) for t in truths.values()) == 156
    assert sum(int(t.frames.sum()) for t in truths.values()) == 84_345
    assert truths["Vandalism028_x264"].spans.tolist() == [[1829 / 30, 1980 / 30], [2399 / 30, 2670 / 30]]

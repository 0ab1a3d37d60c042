import json

import pytest

from wherewhen.core import registry
from wherewhen.core.diagnostics import listening
from wherewhen.core.errors import DataError

READER = registry.load("datasets", "xd_violence")
RIOT = "v=S-7rRLrxnVQ__#1_label_B4-0-0"
QUIET = "Your.Name.2016__#01-01-20_01-04-00_label_A"


def test_a_row_is_zero_based_with_its_end_left_out(write, probe):
    write({"XD_Annotation.txt": f"{RIOT} 0 1517 1970 3038\n", f"videos/{QUIET}.mp4": "x"})
    root = probe({RIOT: 3273, QUIET: 3841})
    truths = READER.truth(root)
    assert truths[RIOT].spans.tolist() == [[0, 1517 / 24], [1970 / 24, 3038 / 24]]
    assert truths[RIOT].frames.sum() == 1517 + 3038 - 1970
    assert truths[RIOT].categories == ("riot", "riot")
    assert truths[QUIET].label == 0
    assert READER.load(root).folds[0].test[0].path == root / "videos" / f"{QUIET}.mp4"


def test_training_videos_are_those_of_the_training_folders(write):
    names = {f"1-1004/{QUIET}.mp4": "x", "train/Fast__#0_label_B2-G-0.mp4": "x", "XD_Annotation.txt": f"{RIOT} 1 2\n"}
    fold = READER.load(write(names)).folds[0]
    assert [(v.id, v.label, v.category) for v in fold.train] == [
        ("Fast__#0_label_B2-G-0", 1, "shooting+explosion"),
        (QUIET, 0, None),
    ]


def test_the_json_brings_lengths_and_its_doubles_keep_their_spans(write):
    rows = [
        {"video": f"{RIOT}.mp4", "temporal_label": [-1, -1], "length": 50, "label": "0"},
        {"video": RIOT, "temporal_label": [3, 9], "length": 50, "label": "1"},
    ]
    root = write({"vera_xd_annotations.json": json.dumps(rows)})
    with listening() as found:
        truth = READER.truth(root)[RIOT]
    assert truth.spans.tolist() == [[3 / 24, 9 / 24]]
    assert [f.kind for f in found].count("name-variant") > 0


BOTH = "v=73uRcX0Dvfc__#00-00-00_00-01-51_label_B6-G-0"
BOYS = "Bad.Boys.1995__#01-11-55_01-12-40_label_G-B2-B6"
OFFICIAL = f"""{BOTH} 177 217 450 540 958 1260 1507 1670 2053 2180 2460 2589
{BOYS} 157 180 185 244 250 360 582 810
{RIOT} 0 1517 1970 3038
"""
BY_CLASS = f"""{BOTH} B6 177 217 B6 450 540 B6 958 1260 B6 1507 1670 G 1507 1670 B6 2053 2180 B6 2460 2589
{BOYS}.mp4 B2 157 180 G 185 244 B2 250 282 G 282 355 G 582 810 B6 338 360
{RIOT} B4 0 1517
"""


def test_the_file_of_classes_says_what_happens_when(write, probe):
    """Rows as published, but for the last, which marks less; a span may be told twice, once for each of two classes."""
    write({"XD_Annotation.txt": OFFICIAL, "annotations_multiclasses.txt": BY_CLASS})
    root = probe({BOTH: 2700, BOYS: 1080, RIOT: 3273})
    with listening() as found:
        truths = READER.truth(root)
    assert [(f.kind, f.video) for f in found] == [("span-differs", RIOT), ("span-overlap", BOYS)]
    told = {key: (truths[key].spans * 24).round().astype(int).tolist() for key in (BOTH, BOYS)}
    assert told[BOTH] == [[177, 217], [450, 540], [958, 1260], [1507, 1670], [2053, 2180], [2460, 2589]]
    assert truths[BOTH].categories == (*["car accident"] * 3, "car accident+explosion", *["car accident"] * 2)
    assert list(zip(told[BOYS], truths[BOYS].categories, strict=True)) == [
        ([157, 180], "shooting"),
        ([185, 244], "explosion"),
        ([250, 282], "shooting"),
        ([282, 355], "explosion"),
        ([338, 360], "car accident"),
        ([582, 810], "explosion"),
    ]
    assert truths[RIOT].categories == ("riot", "riot")
    (root / "annotations_multiclasses.txt").unlink()
    plain = READER.truth(root)
    assert plain[BOTH].categories == ("car accident+explosion",) * 6
    for key in (BOTH, BOYS, RIOT):
        assert (plain[key].frames == truths[key].frames).all()


@pytest.mark.parametrize("row", [f"{RIOT} B4 0", f"{RIOT} B9 0 9", f"{RIOT} B4 zero 9"])
def test_a_broken_row_of_classes_is_named(write, probe, row):
    write({"XD_Annotation.txt": f"{RIOT} 0 1517\n", "annotations_multiclasses.txt": row})
    with pytest.raises(DataError, match="row-malformed"):
        READER.truth(probe({RIOT: 3273}))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (f"{RIOT} 0 1517 1970", "span-malformed"),
        (f"{RIOT} zero 1517", "row-malformed"),
        (f"{QUIET} 0 1517", "label-conflict"),
        ("nothing 0 1517", "expected a name that ends in _label_A"),
    ],
)
def test_a_broken_row_is_named(write, probe, row, message):
    write({"XD_Annotation.txt": row})
    with pytest.raises(DataError, match=message):
        READER.truth(probe({RIOT: 3273, QUIET: 3841, "nothing": 2000}))


def test_the_real_files_give_the_published_counts(link, official):
    root = link(
        {
            "XD_Annotation.txt": "xd_violence/XD_Annotation.txt",
            "vera_xd_annotations.json": "xd_violence/vera_xd_annotations.json",
        }
    )
    assert READER.matches(root)
    test = READER.load(root).folds[0].test
    assert sum(v.label == 1 for v in test) == READER.counts["test anomalous"] == 500
    assert sum(v.label == 0 for v in test) == READER.counts["test normal"] == 300
    with listening() as found:
        truths = READER.truth(root)
    kinds = {f.kind for f in found}
    assert kinds == {"name-variant"}, "the file's 14 doubles, and no span past its video"
    assert len({f.video for f in found}) == 14
    assert len(truths) == READER.counts["truth"] == 800
    assert sum(t.label for t in truths.values()) == 500
    frames = {}
    for row in (official / "xd_violence/XD_Annotation.txt").read_text().splitlines():
        numbers = [int(n) for n in row.split()[1:]]
        frames[row.split()[0]] = sum(b - a for a, b in zip(numbers[::2], numbers[1::2], strict=True))
    assert {key: int(truths[key].frames.sum()) for key in frames} == frames
    (root / "XD_Annotation.txt").unlink()
    with listening():
        alone = READER.truth(root)
    assert all(alone[key].spans.tolist() == truth.spans.tolist() for key, truth in truths.items())

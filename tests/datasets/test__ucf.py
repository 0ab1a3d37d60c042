import pytest

from wherewhen.core.diagnostics import listening
from wherewhen.datasets import _ucf


@pytest.mark.parametrize(
    ("row", "frames"),
    [
        ("Arson011_x264.mp4  Arson  150  420  680  1267  ", [(149, 420), (679, 1267)]),
        ("Burglary035_x264  Burglary  1  1740  -1  -1", [(0, 1740)]),
        ("Normal_Videos_003_x264.mp4  Normal  -1  -1  -1  -1", []),
    ],
)
def test_real_rows_and_the_frames_that_they_mean(write, row, frames):
    root = write({"Temporal_Anomaly_Annotation_for_Testing_Videos.txt": row + "\n"})
    [draft] = _ucf.drafts(root).values()
    assert draft.spans == frames
    assert len(draft.categories) == len(frames)


def test_folder_and_name_must_agree(write):
    lists = {"Anomaly_Train.txt": "Arson/Abuse001_x264.mp4\nAbuse002_x264.mp4\n", "Anomaly_Test.txt": ""}
    with listening() as found:
        videos = _ucf.load(write(lists), "u").videos
    assert [(f.kind, f.video) for f in found if f.kind == "label-conflict"] == [("label-conflict", "Abuse001_x264")]
    assert videos[1].category == "Abuse" and videos[1].label == 1

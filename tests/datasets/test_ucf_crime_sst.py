import json

import numpy as np

from wherewhen.core import registry
from wherewhen.core.diagnostics import listening

READER = registry.load("datasets", "ucf_crime_sst")
TEXT = {
    "Anomaly_Train.txt": "Abuse/Abuse001_x264.mp4\n",
    "Anomaly_Test.txt": "Abuse/Abuse028_x264.mp4\nTesting_Normal_Videos_Anomaly/Normal_Videos_003_x264.mp4\n",
    "Temporal_Anomaly_Annotation.txt": "Abuse028_x264.mp4  Abuse  165  240  -1  -1\n",
}


def corners(x0, y0, x1, y1):
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]


def event(name, first, last, *segments):
    boxes = [{"id": "b", "start_frame": a, "end_frame": b, "keyframes": keys} for a, b, keys in segments]
    head = {"id": "e", "file_name": name, "start_frame": first, "end_frame": last}
    return head | {"bounding_boxes": boxes}


def test_ends_are_included_and_boxes_stay_between_key_frames(write, probe):
    one, two = corners(0, 0, 160, 120), corners(160, 120, 320, 240)
    keys = {"10": one, "13": two}
    events = [event("Abuse028_x264.mp4", 10, 15, (10, 13, keys), (14, 15, {"14": two}), (12, 12, {"12": one}))]
    write(TEXT | {"merged_ucf_crime.json": json.dumps(events)})
    truths = READER.truth(probe({"Abuse028_x264": 99, "Normal_Videos_003_x264": 9}))
    truth = truths["Abuse028_x264"]
    assert truth.spans.tolist() == [[10 / 30, 16 / 30]]
    frames = np.rint(truth.boxes[:, 0] * 30).astype(int).tolist()
    rows = sorted(zip(truth.track.tolist(), frames, truth.boxes[:, 2].tolist(), strict=True))
    assert rows == [
        *((0, f, 0.0) for f in (10, 11, 12)),
        *((0, f, 0.5) for f in (13, 14, 15)),
        (1, 12, 0.0),
    ], "the second segment goes on with the track that ended one frame before"
    assert truth.categories == ("Abuse",)
    assert truths["Normal_Videos_003_x264"].label == 0


def test_events_of_strangers_and_broken_ones_are_told(write, probe):
    events = [event("Robbery001_x264.mp4", 1, 2), {"file_name": "Abuse028_x264.mp4"}]
    write(TEXT | {"merged_ucf_crime.json": json.dumps(events)})
    with listening() as found:
        READER.truth(probe({"Abuse028_x264": 99, "Normal_Videos_003_x264": 9, "Robbery001_x264": 9}))
    assert {"truth-extra", "row-malformed"} <= {f.kind for f in found}


def test_the_real_file_gives_the_published_counts(link, probe):
    root = link(
        {
            "Anomaly_Train.txt": "ucf_crime/Anomaly_Train.txt",
            "Anomaly_Test.txt": "ucf_crime/Anomaly_Test.txt",
            "Temporal_Anomaly_Annotation.txt": "ucf_crime/Temporal_Anomaly_Annotation.txt",
            "merged_ucf_crime.json": "ucf_crime_boxes_sst/merged_ucf_crime.json",
        }
    )
    assert READER.matches(root)
    events = json.loads((root / "merged_ucf_crime.json").read_text())
    ends = {}
    for e in events:
        ends[e["file_name"][:-4]] = max(ends.get(e["file_name"][:-4], 0), e["end_frame"] + 1)
    normal = {v.id: 100 for v in READER.load(root).folds[0].test if v.label == 0}
    probe(ends | normal)
    with listening() as found:
        truths = READER.truth(root)
    assert not [f for f in found if f.severity == "error"]
    positive = {key: truth for key, truth in truths.items() if truth.label}
    assert len(positive) == READER.counts["truth with boxes"] == 909
    assert sum(len(truth.spans) for truth in positive.values()) == READER.counts["spans"] == 1061
    assert sum(len(e["bounding_boxes"]) for e in events) == 3110
    rows = sum(b["end_frame"] - b["start_frame"] + 1 for e in events for b in e["bounding_boxes"])
    assert sum(len(truth.boxes) for truth in positive.values()) == rows
    assert sum(1 for v in READER.load(root).folds[0].test if v.label and v.id in positive) == 140

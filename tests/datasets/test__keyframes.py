import json

import numpy as np
import pytest

from wherewhen.core.errors import DataError
from wherewhen.datasets import _keyframes


def test_the_real_boxes_equal_a_plain_reading(official):
    """Frame by frame: the last key frame at or before it, as borders of its corners."""
    path = official / "msad/merged_MSAD.json"
    drafts = _keyframes.drafts(path)
    events = json.loads(path.read_text())
    for name in ("Assault_1", "Fire_4", "Robbery_13"):
        expected = set()
        for event in events:
            if event["file_name"] != f"{name}.mp4":
                continue
            for segment in event["bounding_boxes"]:
                for frame in range(segment["start_frame"], segment["end_frame"] + 1):
                    key = max((int(k) for k in segment["keyframes"] if int(k) <= frame), default=None)
                    xs, ys = zip(*segment["keyframes"][str(key)], strict=True)
                    expected.add((frame, min(xs), min(ys), max(xs), max(ys)))
        assert {tuple(row) for row in drafts[name].boxes[:, 1:].astype(int).tolist()} == expected


def test_a_track_has_one_box_a_frame(official):
    for path in ("msad/merged_MSAD.json", "ucf_crime_boxes_sst/merged_ucf_crime.json"):
        for draft in list(_keyframes.drafts(official / path).values())[:60]:
            pairs = draft.boxes[:, :2]
            assert len(np.unique(pairs, axis=0)) == len(pairs)


def test_other_content_is_refused(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("{}")
    with pytest.raises(DataError, match="expected a list of events"):
        _keyframes.drafts(path)
    path.write_text("[")
    with pytest.raises(DataError, match="not a JSON file"):
        _keyframes.drafts(path)

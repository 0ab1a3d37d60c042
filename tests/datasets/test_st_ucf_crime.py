import numpy as np
import pytest

from wherewhen.core import registry
from wherewhen.core.diagnostics import listening

READER = registry.load("datasets", "st_ucf_crime")


@pytest.fixture
def small(write, probe):
    """A made-up copy: the set could not be found in public."""
    probe({"Abuse028_x264": 300, "Normal_Videos_003_x264": 9})
    return write(
        {
            "Anomaly_Train.txt": "Abuse/Abuse001_x264.mp4\n",
            "Anomaly_Test.txt": "Abuse/Abuse028_x264.mp4\nAbuse/Abuse030_x264.mp4\n"
            "Testing_Normal_Videos_Anomaly/Normal_Videos_003_x264.mp4\n",
            "Temporal_Anomaly_Annotation.txt": "Abuse028_x264.mp4 Abuse 165 240 -1 -1\n"
            "Abuse030_x264.mp4 Abuse 5 9 -1 -1\nNormal_Videos_003_x264.mp4 Normal -1 -1 -1 -1\n",
            "tubes/Abuse028_x264.txt": "0,170,0,0,160,120\n0,171,0,0,160,120\n1 171 160 120 320 240\n",
        }
    )


def test_tubes_say_where_and_official_spans_when(small):
    assert READER.matches(small)
    assert [v.id for v in READER.load(small).folds[0].test] == ["Abuse028_x264", "Normal_Videos_003_x264"]
    truth = READER.truth(small)["Abuse028_x264"]
    assert truth.spans.tolist() == [[164 / 30, 240 / 30]]
    assert truth.track.tolist() == [0, 0, 1]
    assert np.allclose(truth.boxes[2], [171 / 30, 172 / 30, 0.5, 0.5, 1, 1])


def test_odd_tubes_are_told(small, write):
    write({"tubes/Abuse028_x264.txt": "0,170,0,0\n0,170,1,1,9,9\n0,170,1,1,9,9\n", "tubes/Abuse001_x264.txt": ""})
    with listening() as found:
        READER.truth(small)
    assert {"row-malformed", "row-repeated", "truth-extra"} == {f.kind for f in found}

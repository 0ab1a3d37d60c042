import json

import pytest

from wherewhen.core.diagnostics import listening
from wherewhen.core.errors import DataError
from wherewhen.core.outputs import MANIFEST
from wherewhen.core.video_info import Measure, Measures, Usual, read_sidecar, write_sidecar


def test_the_sidecar_is_written_and_read_and_keeps_other_rows(tmp_path):
    write_sidecar(tmp_path, {"a": {"frames": 10, "fps": 29.97, "width": 320, "height": 240}})
    write_sidecar(tmp_path, {"b": {"frames": 5, "fps": 25}})
    assert set(read_sidecar(tmp_path)) == {"a", "b"}
    table = Measures(tmp_path)
    assert table.find("a") == Measure(10, 29.97, 320, 240)
    assert table.find("b").edges.tolist() == [0, 0.04, 0.08, 0.12, 0.16, 0.2]
    assert {p.name for p in tmp_path.iterdir()} == {"videos.json", MANIFEST}


def test_own_rows_go_before_what_is_usual(tmp_path):
    (tmp_path / "videos.json").write_text(json.dumps({"a": {"frames": 9, "fps": 24, "width": 64}, "b": {"frames": 7}}))
    table = Measures(tmp_path, Usual(30, 320, 240))
    assert table.find("a") == Measure(9, 24, 64, 240)
    assert table.find("b") == Measure(7, 30, 320, 240)
    assert table.find("c") is None
    assert table.find("c", frames=4) == Measure(4, 30, 320, 240)
    assert table.find("a", frames=8).frames == 8, "an annotation with a value per frame knows its length itself"
    assert Measures(tmp_path).find("b") is None, "without a rate nothing is known"


def test_all_unknown_videos_are_said_in_one_go(tmp_path):
    table = Measures(tmp_path, Usual(30))
    with pytest.raises(DataError, match=r"4 videos have no known length or rate \(a, b, c, \.\.\.\).*data probe"):
        table.need("abcd")
    with listening() as found:
        assert table.need(["a", "b"], {"b": 3}) == {"b": Measure(3, 30)}
    assert [(f.kind, f.video) for f in found] == [("length-unknown", "a")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a JSON file"),
        ("[1]", "expected"),
        ('{"a": 3}', "expected"),
        ('{"a": {"frames": -1, "fps": 3}}', "a: "),
    ],
)
def test_a_broken_sidecar_is_named(tmp_path, text, message):
    (tmp_path / "videos.json").write_text(text)
    with pytest.raises(DataError, match=message):
        Measures(tmp_path).find("a")

"""Results of one video: what was written comes back, however little of it a killed process leaves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherewhen.api import results
from wherewhen.api.results import DONE, PART, About, Recorder, path_of, read
from wherewhen.core import outputs
from wherewhen.core.errors import OutputError, StoreError
from wherewhen.core.values import Event, HeatMap, Prediction

ABOUT = About("a/cam", "a/cam.mp4", "../d", "1234", "model", 64, 48)
EVENT = Event(np.array([[0.1, 0.3, 0, 0, 0.5, 1 / 3]]), 0.7, "fall", 4)


def steps(count: int = 5) -> list[Prediction]:
    rng = np.random.default_rng(0)
    made = []
    for k in range(count):
        edges = np.array([k, k + 1]) * 0.08
        score, share = rng.random(2, dtype=np.float32)
        classes = {"fall": HeatMap([score * share], edges), "fight": HeatMap([score - score * share], edges)}
        made.append(Prediction(HeatMap([score], edges), events=(EVENT,) if k == 3 else (), classes=classes))
    return made


def recorded(output: Path, end: bool = True, about: About = ABOUT) -> Recorder:
    recorder = Recorder(output, about)
    for k, step in enumerate(steps()):
        recorder.step(step, [2 * k * 0.04, (2 * k + 1) * 0.04])
    if end:
        recorder.close(0.4, None, True)
    else:
        recorder.leave()
    return recorder


def test_what_is_written_is_read(tmp_path: Path) -> None:
    recorded(tmp_path)
    path = path_of(tmp_path, "a/cam")
    assert list(results.all_of(tmp_path)) == [path] and outputs.is_output(path) and results.head(path) == ABOUT
    found = read(path)
    assert found and found.complete and found.damage is None and found.about == ABOUT
    np.testing.assert_array_equal(found.clock, [*(np.arange(10) * 0.04), 0.4])
    frames = found.prediction.frames
    assert frames is not None and list(found.prediction.classes) == ["fall", "fight"]
    for k, step in enumerate(steps()):
        assert step.frames is not None and frames.values[k] == step.frames.values[0]
        for name, part in step.classes.items():
            assert found.prediction.classes[name].values[k] == part.values[0]
    (event,) = found.prediction.events
    np.testing.assert_array_equal(event.extents, EVENT.extents)
    assert (event.score, event.category, event.track) == (0.7, "fall", 4)


def test_maps_of_high_scores_are_read(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, ABOUT)
    scores = [0.1, 0.5, 0.6, 0.7, 0.9, 0.2]
    for k, score in enumerate(scores):
        values, edges = np.full((1, 2, 3), score, np.float32), np.array([k, k + 1]) / 10
        values[0, 1, 2] = 0
        recorder.step(Prediction(HeatMap([score], edges), HeatMap(values, edges)), [k / 10])
    recorder.close(0.6, None, True)
    found = read(path_of(tmp_path, "a/cam"))
    assert found is not None and [round(one.start, 1) for one in found.maps] == [0.1, 0.3], "five a second at most"
    for one, score in zip(found.maps, (0.5, 0.7), strict=True):
        assert one.score == pytest.approx(score)
        np.testing.assert_allclose(one.values, [[score, score, score], [score, score, 0]], atol=0.5 / 255 + 1e-6)


@given(st.data())
def test_what_a_kill_leaves_is_read_as_far_as_it_goes(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    output = tmp_path_factory.mktemp("kill")
    part = recorded(output, end=False).part
    whole = part.read_bytes()
    size = data.draw(st.integers(0, len(whole)))
    part.write_bytes(whole[:size])
    lines = whole[:size].decode().split("\n")[:-1]
    scores = [line for line in lines if line.startswith('{"step"')]
    found = read(part)
    assert (found is None) == (not scores)
    if found is not None:
        assert found.prediction.frames is not None and len(found.prediction.frames.values) == len(scores)
        assert not found.complete and found.damage == "the process was killed"
        assert len(found.prediction.events) == sum('{"event"' in line for line in lines)
        assert found.clock[-1] == pytest.approx(0.08 * len(scores)) and (np.diff(found.clock) > 0).all()


def test_a_whole_file_that_is_damaged_is_told(tmp_path: Path) -> None:
    recorded(tmp_path)
    path = path_of(tmp_path, "a/cam")
    whole = path.read_bytes()
    for damaged in (whole[:-30], whole[:200], b"", b"[1]\n", b"\xff\n", whole.replace(b'"step"', b'"stop"')):
        path.write_bytes(damaged)
        with pytest.raises(StoreError, match=r"cam\.jsonl: .*(remove it|move it to another folder)"):
            read(path)


def test_the_earlier_results_stay_until_the_new_ones_are_whole(tmp_path: Path) -> None:
    recorded(tmp_path)
    path = path_of(tmp_path, "a/cam")
    before = path.read_bytes()
    again = Recorder(tmp_path, ABOUT)
    again.step(steps()[0], [0.0])
    assert path.read_bytes() == before
    again.close(0.08, "stopped", False, keep=True)
    assert path.read_bytes() == before and not path_of(tmp_path, "a/cam", PART).exists()
    again = Recorder(tmp_path, ABOUT)
    again.step(steps()[0], [0.0])
    again.close(0.08, "cut short", True)
    found = read(path)
    assert found and found.damage == "cut short" and path.read_bytes() != before


WRITER = """
import sys
from pathlib import Path
from wherewhen.api.results import About, Recorder
recorder = Recorder(Path(sys.argv[1]), About("a/cam", "a/cam.mp4", "../d", "1234", "model", 64, 48))
print("ready", flush=True)
sys.stdin.read()
"""


def test_two_processes_do_not_write_one_file(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout and other.stdout.readline() == b"ready\n"
        with pytest.raises(OutputError, match="another process writes these results now"):
            Recorder(tmp_path, ABOUT)
        other.communicate()
    Recorder(tmp_path, ABOUT).drop()
    assert not list(results.all_of(tmp_path))


def test_ids_do_not_lead_files_into_each_other(tmp_path: Path) -> None:
    for id in ("a", f"a{DONE}", f"a{PART}", "b/a"):
        recorded(tmp_path, about=About(id, id, "..", None, "model", 8, 6))
    assert {results.head(path).id for path in results.all_of(tmp_path)} == {"a", "a.jsonl", "a.jsonl.part", "b/a"}

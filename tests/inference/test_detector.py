"""What a user may hand to `detect`, and how results look to a person at a prompt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wherewhen.api import detection
from wherewhen.core.errors import ConfigError, VideoError
from wherewhen.core.values import Event, HeatMap, Pictures, Prediction, Video
from wherewhen.extraction import sampling
from wherewhen.inference.detector import Detector
from wherewhen.inference.result import Result
from wherewhen.video.reader import Reading
from wherewhen.video.writer import Writer


class Bright(Detector):
    """Scores each frame by its brightness."""

    alarm = 0.5

    def stream(self, source: sampling.AnySource) -> Iterator[Prediction]:
        assert isinstance(source, Reading)
        for frame in source.frames():
            heat = HeatMap([frame.image.mean() / 255], [frame.start, frame.end])
            events = (Event([[frame.start, frame.end, 0, 0, 1, 1]], 0.75, "<b>"),) if frame.index == 1 else ()
            yield Prediction(heat, heat, events=events)


def pictures(count: int = 4) -> np.ndarray:
    return np.full((count, 48, 64, 3), 128, np.uint8)


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    (tmp_path / "clips").mkdir()
    for name in ("a", "b"):
        with Writer(tmp_path / "clips" / f"{name}.mp4", 10) as writer:
            for number, picture in enumerate(pictures()):
                writer.write(picture, number / 10)
    return tmp_path / "clips"


def test_one_video_gives_one_result(clips: Path) -> None:
    for source in (clips / "a.mp4", str(clips / "a.mp4"), Video("x", clips / "a.mp4")):
        found = Bright().detect(source)
        assert isinstance(found, Result) and found.id == "a"
        assert len(found.scores) == 4 and found.clock[-1] == pytest.approx(0.4)


def test_lists_folders_and_globs_give_lists(clips: Path) -> None:
    both: tuple[Any, ...] = ([clips / "a.mp4", str(clips / "b.mp4")], [clips], clips, str(clips / "*.mp4"))
    for source in both:
        found: Any = Bright().detect(source)
        assert [one.id for one in found] == ["a", "b"]
    assert [one.id for one in Bright().detect([clips / "a.mp4"])] == ["a"]


def test_pictures_in_memory_are_one_video() -> None:
    for source in (pictures(), list(pictures()), Pictures(pictures(), 10)):
        found = Bright().detect(source, rate=10)
        assert isinstance(found, Result) and found.id == "pictures"
        assert found.clock[-1] == pytest.approx(0.4)
        assert found.scores == pytest.approx(128 / 255)
    two = Bright().detect([pictures(), pictures(2)])
    assert [len(one.scores) for one in two] == [4, 2]


def test_pictures_in_memory_can_be_rendered(tmp_path: Path) -> None:
    found = Bright().detect(pictures(), rate=10)
    assert found.render(tmp_path / "out.mp4").stat().st_size > 0


@pytest.mark.parametrize("source", [5, None, 1.5, [], {}, [5], [None, "a.mp4"]])
def test_what_is_no_source_is_told(source: Any) -> None:
    with pytest.raises(ConfigError, match="source: expected a path, an address, pictures"):
        Bright().detect(source)


def test_a_file_that_is_not_there_is_told() -> None:
    with pytest.raises(VideoError, match="there is no such file"):
        Bright().detect("no.mp4")


@pytest.mark.parametrize("time", [-0.1, 0.41, 99, float("nan"), "0.1", None])
def test_a_moment_outside_the_video_is_told(time: Any) -> None:
    found = Bright().detect(pictures(), rate=10)
    assert found.heatmap(0) == found.heatmap(0.4) == pytest.approx(128 / 255)
    with pytest.raises(ConfigError, match=r"time: expected a moment of the video, 0\.00 to 0\.40 s, got"):
        found.heatmap(time)


def test_a_result_prints_as_one_line_and_as_a_table_that_escapes_names() -> None:
    found = Bright().detect(pictures(), rate=10)
    assert repr(found) == "Result('pictures', 0.40 s, 1 events, peak 0.50)"
    assert "<td>&lt;b&gt;</td>" in found._repr_html_() and "<td>0.75</td>" in found._repr_html_()


def test_a_result_becomes_pandas_tables() -> None:
    pytest.importorskip("pandas")
    found = Bright().detect(pictures(), rate=10)
    assert list(found.to_pandas().columns) == ["video", "frame", "start", "end", "score"]
    assert len(found.to_pandas()) == 4
    assert found.to_pandas("events").to_dict("records") == [
        {
            "video": "pictures",
            "start": pytest.approx(0.1),
            "end": pytest.approx(0.2),
            "score": 0.75,
            "category": "<b>",
            "track": -1,
        }
    ]
    with pytest.raises(ConfigError, match="unknown table 'evnts'; did you mean 'events'"):
        found.to_pandas("evnts")


def test_one_text_is_one_source_for_the_batch_as_well(clips: Path, tmp_path: Path) -> None:
    one, _ = detection.detect(Bright(), str(clips / "a.mp4"), tmp_path / "out", render=False, quiet=True)
    assert [found.id for found in one] == ["a"]
    both, _ = detection.detect(Bright(), clips, tmp_path / "both", render=False, quiet=True)
    assert [found.id for found in both] == ["a", "b"]

"""Who has videos with few pictures a second is told so once, with their number, wherever they are looked at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wherewhen.api import detection, extraction, runs
from wherewhen.extraction import frame_rates
from wherewhen.extraction.extractor import FeatureSpec
from wherewhen.video.writer import Writer


def write(path: Path, rate: float, seconds: float = 2.0) -> Path:
    """A square that crosses the picture at one speed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with Writer(path, rate) as writer:
        for k in range(max(1, round(rate * seconds))):
            picture = np.full((48, 64, 3), 60, np.uint8)
            left = round(20 * k / rate)
            picture[16:28, left : left + 12] = 200
            writer.write(picture)
    return path


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The warnings of this kind since the last look."""
    found = [record.getMessage() for record in caplog.records if "pictures a second" in record.getMessage()]
    caplog.clear()
    return found


def test_what_is_told_of_rates() -> None:
    assert frame_rates.note([25, 6.25, 0.0], 12.5) is None, "half is enough, and 0 is unknown"
    assert frame_rates.note([1.0], None) is None, "without a wanted rate speeds are per picture"
    note = frame_rates.note([25, 5, 4, 2.5], 12.5)
    assert note == (
        "3 of 4 videos have less than 6.25 pictures a second (2.5 to 5): motion in them is measured per second, "
        "but events shorter than 0.8 s can be missed"
    )
    assert str(frame_rates.note([5.0], 12.5)).startswith("1 of 1 video has less than 6.25 pictures a second (5): ")
    assert frame_rates.rate_of(np.array([0.0, 0.2])) == 0 == frame_rates.rate_of(np.array([0.0]))


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """Four clips, two of them slow."""
    for name, rate in (("normal/a", 25), ("normal/b", 5), ("anomalous/c", 4), ("anomalous/d", 12.5)):
        write(tmp_path / "clips" / f"{name}.mp4", rate)
    return tmp_path / "clips"


def test_training_and_detection_tell_it_once(few: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = {"training": {"steps": 2}, "validation": 0.0}
    for _ in range(2):  # the second time features come from the cache
        runs.train(few, tmp_path / f"run{_}", settings=settings, check=False, quiet=True)
        (note,) = told(caplog)
        assert note.startswith("2 of 4 videos have less than 6.25 pictures a second (4 to 5): ")
    model = runs.load(tmp_path / "run1")
    detection.detect(model, few, tmp_path / "found", render=False, quiet=True)
    assert [note[:16] for note in told(caplog)] == ["2 of 4 videos ha"]
    for folder in ("run1", "found"):
        assert (tmp_path / folder / "log.txt").read_text().count("2 of 4 videos have less than") == 1
    detection.detect(model, few / "normal" / "a.mp4", tmp_path / "other", render=False, quiet=True)
    assert told(caplog) == []


@pytest.mark.parametrize("kept", [True, False])
def test_extraction_tells_it_once(few: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, kept: bool) -> None:
    store = tmp_path / "store" if kept else None
    extraction.extract_all(extraction.sources(few), [FeatureSpec.named("motion")], store, quiet=True)
    assert [note[:16] for note in told(caplog)] == ["2 of 4 videos ha"]
    extraction.extract_all(extraction.sources(few), [FeatureSpec.named("pixels")], store, quiet=True)
    assert told(caplog) == [], "it measures no motion"

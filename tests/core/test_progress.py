"""Bars move within an item, in this process and from worker processes."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from wherewhen.core import progress
from wherewhen.core.progress import Bar
from wherewhen.core.values import Frame, Video
from wherewhen.extraction.extractor import FeatureSpec, extract_features
from wherewhen.runtime.parallel import Workers, spread
from wherewhen.video.writer import Writer


class Drawn(list[float]):
    """What a bar drew, in order."""


@pytest.fixture
def bar(monkeypatch: pytest.MonkeyPatch) -> Drawn:
    drawn = Drawn()
    monkeypatch.setattr(progress, "EVERY", 0.0)
    monkeypatch.setattr(progress, "_bar", Bar(drawn.append))
    return drawn


def frames(count: int) -> list[Frame]:
    picture = np.zeros((2, 2, 3), np.uint8)
    return [Frame(picture, k, k / 10, (k + 1) / 10) for k in range(count)]


def test_a_bar_moves_within_an_item_and_never_back(bar: Drawn) -> None:
    with progress.item() as report:
        passed = list(progress.reported(frames(10), 1.0, report))
        report(0.2)
    assert [frame.index for frame in passed] == list(range(10))
    assert bar == sorted(bar)
    assert bar[0] == pytest.approx(0.1) and bar[-1] == pytest.approx(1.0)


def test_items_at_work_at_once_add_up(bar: Drawn) -> None:
    with progress.item() as one, progress.item() as other:
        one(0.5)
        other(0.25)
    assert bar == [0.5, 0.75]


def test_a_video_of_unknown_length_reports_nothing(bar: Drawn) -> None:
    with progress.item() as report:
        assert len(list(progress.reported(frames(3), None, report))) == 3
    assert bar == []


def test_a_stream_that_outlasts_its_head_is_never_more_than_whole(bar: Drawn) -> None:
    with progress.item() as report:
        list(progress.reported(frames(10), 0.5, report))
    assert max(bar) == 1.0


def test_without_a_bar_reporting_does_nothing() -> None:
    with progress.item() as report:
        report(0.5)


def test_a_bar_on_a_terminal_shows_items_and_percent(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress.track(iter("ab"), "counting", 2)) == ["a", "b"]
    assert "counting" in (told := capsys.readouterr().err) and "2/2 100 %" in told


def half(thing: int) -> int:
    with progress.item() as report:
        report(0.5)
        time.sleep(1)
    return thing


def test_worker_processes_move_the_bar_of_their_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = Drawn()
    monkeypatch.setattr(progress, "_bar", Bar(drawn.append))
    assert sorted(spread(half, [7, 8], Workers(2))) == [(0, 7), (1, 8)]
    assert 0.5 in drawn


def test_looking_at_a_video_moves_the_bar_within_it(bar: Drawn, tmp_path: Path) -> None:
    with Writer(tmp_path / "a.mp4", 10) as writer:
        for number in range(20):
            writer.write(np.full((48, 64, 3), 10 * number, np.uint8), number / 10)
    extract_features(Video("a", tmp_path / "a.mp4"), [FeatureSpec.named("motion")])
    assert len(bar) > 5 and bar == sorted(bar) and bar[-1] > 0.9

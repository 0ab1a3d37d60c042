from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherewhen.api import detection, gallery, results, runs
from wherewhen.api.results import About, StoredResult
from wherewhen.core.values import Event, HeatMap, Prediction
from wherewhen.inference.model import Model
from wherewhen.inference.result import Result
from wherewhen.visualization.report.page import MOST_EVENTS


@pytest.fixture(scope="module")
def model(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Model:
    settings = {"training": {"steps": 20}, "seed": 3}
    folder = tmp_path_factory.mktemp("runs") / "run"
    return runs.train(clips, folder, settings=settings, device="cpu", quiet=True)


def found_in(scores: list[float], spans: list[tuple[float, float]], values: list[float] | None = None) -> Result:
    edges = np.arange(len(scores) + 1) / 2
    boxes = [np.array([[start, end, 0, 0, 1, 1]]) for start, end in spans]
    events = tuple(Event(box, value) for box, value in zip(boxes, values or [0.9] * len(boxes), strict=True))
    return Result("a", Path("a"), Prediction(HeatMap(scores, edges), events=events), edges, (8, 6))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_an_event_is_shown_where_its_score_is_highest(data: st.DataObject) -> None:
    scores = data.draw(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=20))
    end = len(scores) / 2
    start = data.draw(st.floats(0, end - 0.1))
    stop = data.draw(st.floats(start + 0.05, end))
    (frame,) = gallery.best_frames(found_in(scores, [(start, stop)]))
    inside = [k for k in range(len(scores)) if start <= k / 2 < stop] or [min(int(np.ceil(start * 2)), len(scores) - 1)]
    assert frame in inside and scores[frame] == max(scores[k] for k in inside)


def test_of_many_events_those_of_the_highest_scores_get_a_picture() -> None:
    count = MOST_EVENTS + 30
    found = found_in([0.5] * count, [(k / 2, k / 2 + 0.5) for k in range(count)], [k / count for k in range(count)])
    shown = sorted(number for numbers in gallery.best_frames(found).values() for number in numbers)
    assert shown == list(range(30, count))


def test_a_long_video_is_shown_by_its_peaks() -> None:
    scores = np.zeros(10_000, np.float32)
    scores[[17, 9_000]] = 0.7, 0.9
    about = About("a", "a.mp4", ".", None, "m", 8, 6)
    edges = np.arange(10_001) / 25
    short = gallery.short(StoredResult(about, Prediction(HeatMap(scores, edges)), edges, None, True)).prediction.frames
    assert short is not None and len(short.values) == gallery.POINTS and short.edges[-1] == pytest.approx(400)
    assert sorted(short.values.ravel())[-2:] == pytest.approx([0.7, 0.9])


def test_the_page_shows_events_with_pictures_and_links(model: Model, clips: Path, tmp_path: Path) -> None:
    videos, out = sorted((clips / "anomalous").glob("*.mp4")), tmp_path / "out"
    found, _ = detection.detect(model, [*videos, tmp_path / "gone.mp4"], out, quiet=True)
    count = sum(len(one.events) for one in found)
    page = (out / gallery.NAME).read_text()
    assert count and page.count('<article class="event">') == page.count("data:image/jpeg") == count
    for one in found:
        for number, event in enumerate(one.events):
            assert f'href="{one.id}.mp4#t={event.start:.1f}"' in page
            assert results.thumbnail_of(out, one.id, number).is_file()
    assert "gone.mp4" in page and 'id="quarantine"' in page
    detection.detect(model, videos, tmp_path / "bare", render=False, quiet=True)
    bare = (tmp_path / "bare" / gallery.NAME).read_text()
    assert bare.count("no picture") == count and "#t=" not in bare
    assert not (tmp_path / "bare" / results.THUMBNAILS).exists()

"""Items of results: events, near misses, random quiet spans; renewed without losing verdicts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherewhen.core.database import Tables
from wherewhen.core.values import Event
from wherewhen.review.building import AUDIT, ReviewedVideo, Span, build, quiet_spans, spans_of
from wherewhen.review.ranking import rank
from wherewhen.review.verdicts import Judgement, store


def video(
    id: str, scores: list[float], spans: tuple[Span, ...] | None = None, path: Path | None = None
) -> ReviewedVideo:
    """A video with a score each second and a threshold of 0.5."""
    values = np.array(scores, float)
    edges = np.arange(len(scores) + 1, dtype=float)
    if spans is None:
        events = [Event(np.array([[3.0, 6.0, 0.0, 0.0, 0.5, 0.5]]), 0.9)] if values.max() >= 0.5 else []
        spans = tuple(spans_of(events, edges, values, 0.5))
    return ReviewedVideo(id, path, float(len(scores)), (64, 48), 10.0, 0.5, edges, values, spans)


def test_what_comes_near_the_threshold_is_shown_beside_alarms() -> None:
    scores = np.array([0.1, 0.4, 0.1, 0.9, 0.8, 0.7, 0.1, 0.1, 0.1, 0.1, 0.35, 0.45, 0.1, 0.31, 0.1])
    event = Event(np.array([[3.0, 6.0, 0.0, 0.0, 0.5, 0.5]]), 0.9)
    spans = spans_of([event], np.arange(16.0), scores, 0.5)
    # 1 to 2 s is too near to the alarm; of the others one, for there is one alarm: that with the highest score
    assert [(one.start, one.end, one.score, one.source) for one in spans] == [
        (3.0, 6.0, 0.9, "alert"), (10.0, 12.0, 0.45, "detection")
    ]  # fmt: skip
    assert spans[0].box == (0.0, 0.0, 0.5, 0.5)


VIDEOS = st.lists(st.lists(st.sampled_from([0.1, 0.2, 0.9]), min_size=1, max_size=60), min_size=1, max_size=4)


@settings(max_examples=40)
@given(VIDEOS, st.integers(1, 9), st.integers(0, 99))
def test_quiet_spans_are_below_the_threshold_and_apart(rows: list[list[float]], count: int, seed: int) -> None:
    videos = [video(f"v{number}", scores, ()) for number, scores in enumerate(rows)]
    drawn = quiet_spans(videos, count, seed)
    assert len(drawn) <= count
    room = sum(sum(len(run) >= AUDIT for run in "".join("01"[s < 0.5] for s in scores).split("0")) for scores in rows)
    assert bool(drawn) == bool(room)
    for number, (owner, span) in enumerate(drawn):
        assert span.end - span.start == pytest.approx(AUDIT) and span.source == "audit"
        inside = owner.scores[int(span.start) : int(np.ceil(span.end))]
        assert (inside < 0.5).all() and span.score == inside.max()
        for other, second in drawn[number + 1 :]:
            assert other is not owner or span.end <= second.start + 1e-9 or second.end <= span.start + 1e-9


def test_each_quiet_moment_is_as_likely() -> None:
    videos = [video("long", [0.1] * 95, ()), video("short", [0.1] * 25, ())]
    owners = [quiet_spans(videos, 1, seed)[0] for seed in range(300)]
    share = sum(owner.id == "long" for owner, _ in owners) / 300
    assert share == pytest.approx(90 / 110, abs=0.07)
    starts = [span.start for owner, span in owners if owner.id == "long"]
    assert np.histogram(starts, 3, (0, 90))[0] / len(starts) == pytest.approx([1 / 3] * 3, abs=0.09)


def test_a_second_look_keeps_verdicts_and_drops_what_is_no_longer_shown(tmp_path: Path) -> None:
    file = tmp_path / "review.db"
    quiet = [0.1] * 30
    first = [video(f"v{n}", [0.1, 0.1, 0.1, 0.9, 0.9, 0.9, *quiet], path=tmp_path / f"v{n}.mp4") for n in range(3)]
    assert build(file, first) == 4
    with Tables(file) as tables:
        items = dict(tables.rows("SELECT video, id FROM item WHERE source = 'alert'"))
        assert tables.rows("SELECT COUNT(*) FROM item WHERE source = 'audit'") == [(1,)]
        assert tables.rows("SELECT path FROM video WHERE id = 'v1'") == [("v1.mp4",)]
        before = tables.rows("SELECT id, t0 FROM item ORDER BY id")
        store(tables, [Judgement("k", items["v1"], "true")], None, 1.0)
    build(file, first)
    with Tables(file) as tables:
        assert tables.rows("SELECT id, t0 FROM item ORDER BY id") == before, "the same results give the same items"
    build(file, first[:1])
    with Tables(file) as tables:
        left = dict(tables.rows("SELECT id, review FROM item WHERE source = 'alert'"))
        assert left == {items["v0"]: "open", items["v1"]: "judged"}


@pytest.mark.parametrize("rate", [1.0, 5.0, 30.0])
def test_stored_curves_have_the_peaks_of_the_scores(rate: float, tmp_path: Path) -> None:
    scores = np.random.default_rng(0).random(round(20 * rate))
    edges = np.arange(len(scores) + 1) / rate
    spans = (Span(1.0, 2.0, 0.9, "alert"),)
    build(tmp_path / "review.db", [ReviewedVideo("v", None, 20.0, (64, 48), rate, 0.5, edges, scores, spans)])
    with Tables(tmp_path / "review.db") as tables:
        ((step, blob),) = tables.rows("SELECT step, scores FROM video")
    curve = np.frombuffer(blob, "<f4")
    assert step >= 0.2 - 1e-9 and len(curve) == pytest.approx(20 / step, abs=1)
    for number, value in enumerate(scores):
        assert curve[min(int(number / rate / step + 1e-6), len(curve) - 1)] >= np.float32(value)
    assert set(curve.tolist()) <= {float(np.float32(value)) for value in scores}


def test_random_spans_are_spread_through_the_queue(tmp_path: Path) -> None:
    spans = tuple(Span(20.0 * n, 20.0 * n + 5, 0.5 + n / 200, "alert") for n in range(80))
    scores = [0.9 if n % 20 < 5 else 0.05 for n in range(1600)]
    file = tmp_path / "review.db"
    build(file, [video("v", scores, spans)])
    with Tables(file) as tables:
        order = [source for (source,) in tables.rows("SELECT source FROM item ORDER BY priority DESC, id")]
        places = [place for place, source in enumerate(order) if source == "audit"]
        assert len(places) == 4 and all(20 * n <= place - n < 20 * (n + 1) for n, place in enumerate(places))
        assert rank(tables) == 0, "nothing changed"

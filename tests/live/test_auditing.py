"""Random quiet clips of a camera: one item in twenty, each quiet moment as likely, stored and never sent."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from watched import WatchedStore

from wherewhen.budget.blocks import BLOCK, DAY
from wherewhen.core.values import HeatMap, Prediction
from wherewhen.live.alert_files import AlertFiles, ClipConfig
from wherewhen.live.auditing import AUDIT, FIRST, LEAST, Auditor, Quiet
from wherewhen.live.camera import CameraWatch
from wherewhen.live.control import judge
from wherewhen.live.database import Database
from wherewhen.live.settings import WatchConfig
from wherewhen.live.wall_clock import Now
from wherewhen.review.judged import judged_items
from wherewhen.review.opened import Review
from wherewhen.video import reader
from wherewhen.video.reader import Reading
from wherewhen.video.taking import Want
from wherewhen.video.writer import Writer

BEGIN = 20_000 * DAY
STEP = 2.5  # seconds


@pytest.fixture
def store(tmp_path: Path) -> Iterator[WatchedStore]:
    one = WatchedStore(tmp_path)
    one.database.write("PRAGMA synchronous = OFF")
    yield one
    one.database.close()


def minute(database: Database, camera: str, number: int) -> None:
    row = (camera, BEGIN + number * BLOCK, BLOCK)
    database.write("INSERT INTO block(camera, t, seconds, peaks_json, state) VALUES (?, ?, ?, '[]', 'ok')", *row)


def test_one_item_in_twenty_is_a_quiet_span_and_each_quiet_moment_is_as_likely(store: WatchedStore) -> None:
    """Two days with twelve events an hour by day and none by night: spans follow quiet time, not events."""
    auditor, chance = Auditor(store.database, "gate", random.Random(1)), np.random.default_rng(2)
    spans, events, until = list[Quiet](), 0, -1.0
    for number in range(int(2 * DAY / STEP)):
        at = number * STEP
        is_day = at % DAY < DAY / 2
        if at > until and is_day and chance.random() < STEP / 300:
            until, events = at + 20, events + 1
            store.alert(f"{at}", BEGIN + at, "alert" if events % 3 else "detection", end=20.0)
        span = auditor(BEGIN + at, BEGIN + at + STEP, 0.9 if at <= until else 0.1, at > until)
        spans += [span] if span is not None else []
        if at % BLOCK == 0:
            minute(store.database, "gate", int(at // BLOCK))
    assert len(spans) == pytest.approx(events / 19, abs=4 * (events / 19) ** 0.5)
    late = [span for span in spans if span.start >= BEGIN + DAY / 2]  # from when on the rate hardly changes
    by_day = sum((span.start - BEGIN) % DAY < DAY / 2 for span in late)
    assert len(late) >= 15
    assert by_day == pytest.approx(len(late) / 3, abs=3 * (len(late) * 2 / 9) ** 0.5)  # one of three half days


def test_a_camera_without_events_has_one_a_day(store: WatchedStore) -> None:
    auditor = Auditor(store.database, "gate", random.Random(3))
    assert auditor(BEGIN, BEGIN + STEP, 0.1, True) is None and auditor.rate == LEAST
    for number in range(38):
        store.alert(f"{number}", BEGIN + number, camera="gate" if number < 19 else "yard")
    assert auditor(BEGIN + BLOCK, BEGIN + BLOCK + STEP, 0.1, True) is None
    assert auditor.rate == pytest.approx(1 / FIRST)  # for 19 events of this camera, one in an hour


STEPS = st.lists(st.tuples(st.floats(0.1, 4.0), st.floats(0, 1), st.booleans()), max_size=60)


@settings(max_examples=60)
@given(STEPS, st.integers(0, 99))
def test_spans_are_whole_quiet_and_apart(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[float, float, bool]], seed: int
) -> None:
    base: Any = Always()
    auditor, at, spans, seen = Auditor(base, "gate", random.Random(seed)), BEGIN, list[Quiet](), []
    for length, score, gap in steps:
        at += 7.0 if gap and score > 0.5 else 0.0
        seen.append((at, at + length, score))
        span = auditor(at, at + length, score, score < 0.8)
        spans += [span] if span is not None else []
        at += length
    end = -np.inf
    for span in spans:
        assert span.end - span.start == pytest.approx(AUDIT)
        assert span.start >= end - 1e-6
        end = span.end
        within = [one for one in seen if one[1] > span.start + 1e-3 and one[0] < span.end - 1e-3]
        assert sum(min(b, span.end) - max(a, span.start) for a, b, _ in within) == pytest.approx(AUDIT), "no gap"
        assert span.score == max(score for *_, score in within) < 0.8


class Always:
    """A database of so many events that nearly each moment is chosen."""

    def rows(self, query: str, *_: object) -> list[tuple[float]]:
        return [(1e9 if "item" in query else 60.0,)]


class Calm:
    """A model that scores each picture by its brightness."""

    alarm = 0.5

    def stream(self, reading: Reading) -> Iterator[Prediction]:
        for _, frame in reading.several([Want()]):
            score = np.full((1, 1, 1), frame.image.mean() / 255)
            yield Prediction(frames=HeatMap(score, np.array([frame.start, frame.end])))


def test_a_quiet_clip_takes_no_room_of_an_alert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = AlertFiles(tmp_path, ClipConfig())
    disk = shutil.disk_usage(tmp_path)
    for free, has_room in ((0.04, False), (0.06, True)):
        part = disk._replace(free=int(free * disk.total))
        monkeypatch.setattr("wherewhen.live.alert_files.shutil.disk_usage", lambda _, part=part: part)
        assert files.has_room is has_room


def test_quiet_clips_of_a_camera_are_stored_for_review_and_never_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "gate.mp4"
    with Writer(path, 10) as writer:
        for index in range(300):
            writer.write(np.full((48, 64, 3), 220 if 120 <= index < 150 else index % 100, np.uint8))
    monkeypatch.setattr(Auditor, "_counted", lambda *_: 0.5)
    config = {"url": str(path), "model": "any", "speed": 20.0, "alerts": {"duration": 0.5}}
    camera = WatchConfig({"gate": config}).of_cameras["gate"]
    watch = CameraWatch("gate", camera, Calm(), tmp_path, ["kept"], [], Now(20.0, BEGIN))  # type: ignore[arg-type]
    watch.run(Event())
    with Database(tmp_path) as database:
        columns = "id, t0, t1, clip, clip_t0, snapshot, thumb, severity, alerted"
        audits = database.rows(f"SELECT {columns} FROM item WHERE source = 'audit' ORDER BY t0")
        assert watch.status.audits == len(audits) >= 2
        ((start, end),) = database.rows("SELECT t0, t1 FROM item WHERE source = 'alert'")
        posted = {key.rsplit(":", 1)[0] for (key,) in database.rows("SELECT key FROM outbox")}
        began = watch._origin
        for id, t0, t1, clip, clip_t0, snapshot, thumb, *about in audits:
            assert about == ["detection", None] and id not in posted
            assert t1 <= start + 1e-3 or t0 >= end - 1e-3
            shown = reader.picture(tmp_path / clip, t0 + 1 - clip_t0).image
            np.testing.assert_array_equal(shown, reader.picture(path, t0 + 1 - began).image)
            assert (tmp_path / snapshot).is_file() and (tmp_path / thumb).is_file()
        for number, (id, *_) in enumerate(audits):
            judge(database, id, "false" if number else "true", BEGIN)
    assert {item.source for item in judged_items(tmp_path)} == {"audit"}
    misses = Review(tmp_path / "live.db", is_live=True).statistics()["misses"]
    assert (misses["audited"], misses["missed"]) == (len(audits), 1)
    assert 0 < misses["low"] < 1 / len(audits) < misses["high"] <= 1

"""Verdicts in a database become judged items with their footage, each once, whatever was undone."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherewhen.core.database import Tables
from wherewhen.core.errors import StoreError
from wherewhen.live import control
from wherewhen.live.database import Database
from wherewhen.review.judged import VERDICTS, judged_items

START = 1_796_000_400.0  # 2026-11-30T01:00 UTC


def add(tables: Tables, id: str, **values: object) -> None:
    row = {
        "id": id, "camera": "yard", "t0": START + 10, "t1": START + 14, "severity": "alert", "score": 0.9,
        "threshold": 0.8, "box_json": "[0.25, 0.5, 0.75, 1.0]", "zones_json": "[]", "state": "ok", **values,
    }  # fmt: skip
    tables.write(f"INSERT INTO item({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", *row.values())


def clip(folder: Path, name: str) -> str:
    (folder / "clips").mkdir(exist_ok=True)
    (folder / "clips" / name).write_bytes(b"video")
    return f"clips/{name}"


def test_an_alert_of_a_store_is_timed_by_its_clip(tmp_path: Path) -> None:
    with Database(tmp_path) as database:
        add(database, "a", clip=clip(tmp_path, "a.mp4"), clip_t0=START + 3, cluster=7)
        control.judge(database, "a", "true", START + 60)
    (item,) = judged_items(tmp_path)
    assert (item.start, item.end) == (7, 11)
    assert item.footage == tmp_path / "clips" / "a.mp4"
    assert item.hour == "2026-11-30T01"
    assert item.shown_box == (0.25, 0.5, 0.5, 0.5)
    assert (item.camera, item.verdict, item.source, item.cluster) == ("yard", "true", "alert", 7)


def test_a_reviewed_video_keeps_its_own_times(tmp_path: Path) -> None:
    with Tables(tmp_path / "review.db") as tables:
        (tmp_path / "b.mp4").write_bytes(b"video")
        tables.write("INSERT INTO video VALUES ('walks/b', 'b.mp4', 0, 20, 64, 48, 10, NULL, NULL)")
        add(tables, "b", t0=2.0, t1=3.5, clock="video", video="walks/b", severity="detection", source="audit")
        columns = "item, camera, verdict, t0, t1, box_json, at"
        values = ("b", "yard", "wrong_place", 2.25, 3.0, "[0, 0, 0.5, 0.25]", 5.0)
        tables.write(f"INSERT INTO verdict({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", *values)
    (item,) = judged_items(tmp_path / "review.db")
    assert (item.start, item.end, item.hour, item.source) == (2.25, 3.0, "walks/b", "audit")
    assert item.box == (0, 0, 0.5, 0.25)


def test_a_wrong_place_that_nobody_marked_has_no_right_place(tmp_path: Path) -> None:
    with Database(tmp_path) as database:
        add(database, "a", clip=clip(tmp_path, "a.mp4"))
        control.judge(database, "a", "wrong_place", START + 60)
    (item,) = judged_items(tmp_path)
    assert item.box is None and item.shown_box is not None


def test_items_without_footage_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Database(tmp_path) as database:
        add(database, "a", clip=clip(tmp_path, "a.mp4"))
        add(database, "b", clip="clips/gone.mp4")
        add(database, "c")
        for id in "abc":
            control.judge(database, id, "false", START)
    with caplog.at_level(logging.WARNING, "wherewhen"):
        assert [item.id for item in judged_items(tmp_path)] == ["a"]
    assert "2 of 3 judged items" in caplog.text


def test_a_folder_without_verdicts_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="wherewhen review"):
        judged_items(tmp_path)


STEPS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from((*VERDICTS, "undo"))), max_size=25)


@settings(max_examples=30)
@given(STEPS)
def test_the_last_verdict_that_is_not_undone_holds(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("store")
    stacks: dict[str, list[tuple[int, str]]] = {id: [] for id in "abc"}
    with Database(folder) as database:
        for id in "abc":
            add(database, id, clip=clip(folder, f"{id}.mp4"))
        for number, (id, verdict) in enumerate(steps):
            if verdict != "undo":
                stacks[id].append((control.judge(database, id, verdict, number), verdict))
            elif stacks[id]:
                control.undo(database, stacks[id].pop()[0], number)
        states = dict(database.rows("SELECT id, review || ':' || COALESCE(verdict, '') FROM item"))
    expected = {id: stack[-1][1] for id, stack in stacks.items() if stack}
    assert {item.id: item.verdict for item in judged_items(folder)} == expected
    assert states == {id: f"judged:{expected[id]}" if id in expected else "open:" for id in "abc"}


def test_an_older_store_gets_its_sources_and_states(tmp_path: Path) -> None:
    import sqlite3

    from wherewhen.core.database import MIGRATIONS

    old = sqlite3.connect(tmp_path / "live.db")
    for text in MIGRATIONS[:4]:
        old.executescript(text)
    fields = "id, camera, t0, t1, severity, score, threshold, zones_json, state"
    old.execute(f"INSERT INTO item({fields}) VALUES ('a', 'yard', 5, 9, 'detection', 0.9, 0.8, '[]', 'ok')")
    for verdict, undone in (("true", None), ("false", 3.0)):
        old.execute(
            "INSERT INTO verdict(item, camera, verdict, t0, t1, at, undone_at) VALUES ('a', 'yard', ?, 5, 9, 1, ?)",
            (verdict, undone),
        )
    old.execute("PRAGMA user_version = 4")
    old.commit()
    old.close()
    with Database(tmp_path) as database:
        assert database.rows("SELECT source, review, verdict FROM item") == [("detection", "judged", "true")]
        assert json.dumps(database.rows("SELECT COUNT(*) FROM verdict")) == "[[2]]"

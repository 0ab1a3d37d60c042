from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import wherewhen
from wherewhen.core.outputs import MANIFEST
from wherewhen.core.values import Video
from wherewhen.video.batch import Quarantine


def test_each_video_is_on_disk_as_soon_as_it_is_added(tmp_path: Path) -> None:
    results, data = tmp_path / "results", tmp_path / "data"
    quarantine = Quarantine(results)
    quarantine.write()
    assert json.loads((results / "quarantine.json").read_text()) == [], "a clean run leaves an empty list"
    rows = []
    for name in ("bad1", "bad2"):
        quarantine.add(data / f"{name}.mp4", f"{name} is broken")
        rows.append({"path": f"../data/{name}.mp4", "reason": f"{name} is broken"})
        assert json.loads((results / "quarantine.json").read_text()) == rows
    assert {file.name for file in results.iterdir()} == {"quarantine.json", MANIFEST}


def test_no_entry_of_an_earlier_run_remains(tmp_path: Path) -> None:
    Quarantine(tmp_path).add("old.mp4", "broken")
    Quarantine(tmp_path).write()
    assert json.loads((tmp_path / "quarantine.json").read_text()) == []


def test_an_address_is_kept_without_its_password(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path)
    quarantine.add("rtsp://me:pw@door/1", "gone")
    assert "pw" not in quarantine.file.read_text() and quarantine.reasons == {"rtsp://door/1": "gone"}


def test_runs_at_the_same_time_keep_what_the_others_set_aside(tmp_path: Path) -> None:
    one, other = Quarantine(tmp_path), Quarantine(tmp_path)
    one.keep([tmp_path / "a.mp4", tmp_path / "b.mp4"])
    other.keep([tmp_path / "c.mp4"])
    one.write()
    other.write()
    one.add(tmp_path / "a.mp4", "broken")
    other.add(tmp_path / "c.mp4", "no video")
    one.add(tmp_path / "b.mp4", "gone")
    assert dict(one.rows) == dict(other.rows) == {"a.mp4": "broken", "b.mp4": "gone", "c.mp4": "no video"}
    again = Quarantine(tmp_path)
    again.keep([tmp_path / "a.mp4"])
    again.write()
    assert dict(again.rows) == {"b.mp4": "gone", "c.mp4": "no video"}


def test_all_that_is_added_is_masked_and_logged_by_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    quarantine = Quarantine(tmp_path, "set-aside")
    quarantine.add(tmp_path / "a.mp4", "can't read http://me:pw@door/a")
    quarantine.add(tmp_path / "b.mp4", "broken", "yard/b")
    assert not quarantine.passes(Video("c", tmp_path / "c.mp4"), "cut short")
    assert [record.message.split(":")[0] for record in caplog.records] == [
        f"skipped {name}" for name in ("a.mp4", "yard/b", "c")
    ]
    assert "pw" not in caplog.text
    assert quarantine.reasons == {"a.mp4": "can't read http://***@door/a", "b.mp4": "broken", "c.mp4": "cut short"}


def test_only_the_quarantine_itself_changes_its_reasons() -> None:
    """One way into the list: elsewhere, entries would be neither masked nor logged nor written."""
    source = Path(wherewhen.__file__).parent
    changed = [
        p.name
        for p in source.rglob("*.py")
        if re.search(r"\.reasons(\[.*\] = |\.update|\.setdefault)", p.read_text("utf-8"))
    ]
    assert changed == ["batch.py"]

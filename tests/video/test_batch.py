from __future__ import annotations

import json
from pathlib import Path

import pytest

from wherewhen.core.errors import VideoError
from wherewhen.core.outputs import MANIFEST
from wherewhen.video.batch import Quarantine, survivors
from wherewhen.video.sources import Source


def work(source: Source) -> str:
    name = Path(source).name
    if name.startswith("bad"):
        raise VideoError(source, f"{name} is broken")
    if name == "bug.mp4":
        raise ZeroDivisionError
    return name.upper()


def test_broken_videos_are_set_aside_and_the_rest_goes_on(tmp_path: Path) -> None:
    results, data = tmp_path / "results", tmp_path / "data"
    paths = [data / name for name in ("a.mp4", "bad1.mp4", "b.mp4", "bad2.mp4")]
    out = list(survivors(paths, work, Quarantine(results)))
    assert out == [(paths[0], "A.MP4"), (paths[2], "B.MP4")]
    assert json.loads((results / "quarantine.json").read_text()) == [
        {"path": "../data/bad1.mp4", "reason": "bad1.mp4 is broken"},
        {"path": "../data/bad2.mp4", "reason": "bad2.mp4 is broken"},
    ]
    assert {file.name for file in results.iterdir()} == {"quarantine.json", MANIFEST}


def test_a_clean_run_leaves_an_empty_list(tmp_path: Path) -> None:
    Quarantine(tmp_path).add("old.mp4", "broken")
    assert list(survivors([tmp_path / "a.mp4"], work, Quarantine(tmp_path)))
    assert json.loads((tmp_path / "quarantine.json").read_text()) == []


def test_other_errors_are_not_hidden(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        list(survivors([tmp_path / "bug.mp4"], work, Quarantine(tmp_path)))


def test_the_list_is_on_disk_as_soon_as_a_video_breaks(tmp_path: Path) -> None:
    run = survivors([tmp_path / "bad.mp4", tmp_path / "a.mp4", tmp_path / "b.mp4"], work, Quarantine(tmp_path))
    next(run)
    assert json.loads((tmp_path / "quarantine.json").read_text())[0]["path"] == "bad.mp4"


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

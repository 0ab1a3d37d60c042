"""Detection over many videos: what it leaves in its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherewhen import detection, runs
from wherewhen.errors import ConfigError, VideoError
from wherewhen.model import Model
from wherewhen.outputs import MANIFEST
from wherewhen.spread import Where
from wherewhen.video import reader
from wherewhen.video.sources import Source

SETTINGS: dict[str, Any] = {"training": {"steps": 20}, "seed": 3}


@pytest.fixture(scope="module")
def model(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Model:
    return runs.train(clips, tmp_path_factory.mktemp("runs") / "run", settings=SETTINGS, device="cpu", quiet=True)


def kept(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.name != MANIFEST}


def test_detection_leaves_events_scores_and_pictures(model: Model, clips: Path, tmp_path: Path) -> None:
    paths: list[Source] = sorted(clips.rglob("*.mp4"))
    found, quarantine = detection.detect(model, paths, tmp_path / "found", quiet=True)
    names = {"a0", "a1", "n0", "n1"}
    assert not quarantine.reasons and {one.id for one in found} == names
    pictures = {f"{name}.{kind}" for name in names for kind in ("mp4", "png")}
    tables = {"events.json", "scores.parquet", "scores.csv", "log.txt", "quarantine.json"}
    assert kept(tmp_path / "found") == pictures | tables
    assert json.loads((tmp_path / "found" / "quarantine.json").read_text()) == []
    table = pq.read_table(tmp_path / "found" / "scores.parquet").to_pydict()
    assert list(table) == ["video", "frame", "start", "end", "score"] and len(table["frame"]) == 100
    lines = (tmp_path / "found" / "scores.csv").read_text().splitlines()
    assert lines[0] == "video,frame,start,end,score" and len(lines) == 101
    for one in found:
        picture = next(iter(reader.frames(tmp_path / "found" / f"{one.id}.mp4"))).image
        assert picture.shape[1] >= 640
        assert reader.probe(tmp_path / "found" / f"{one.id}.mp4").width == picture.shape[1]
        assert len(reader.edges(tmp_path / "found" / f"{one.id}.mp4")) == 26


def test_a_broken_video_does_not_stop_the_rest(model: Model, clips: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"\x00" * 100)
    good = clips / "anomalous" / "a0.mp4"
    found, quarantine = detection.detect(model, [bad, good], tmp_path / "found", render=False, quiet=True)
    assert [one.id for one in found] == ["a0"]
    assert list(quarantine.reasons) == ["../bad.mp4"]
    assert "bad.mp4" in (tmp_path / "found" / "log.txt").read_text()
    none, _ = detection.detect(model, [bad], tmp_path / "nothing", quiet=True)
    assert none == [] and json.loads((tmp_path / "nothing" / "events.json").read_text())["videos"] == {}
    with pytest.raises(VideoError):
        model.detect(bad)


@pytest.mark.parametrize("workers", [None, 1])
def test_a_damaged_video_is_kept_and_told_or_set_aside(
    model: Model, clips: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, workers: int | None
) -> None:
    data = (clips / "anomalous" / "a0.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) * 9 // 10])
    paths: list[Source] = [tmp_path / "cut.mp4", clips / "normal" / "n0.mp4"]
    how: dict[str, Any] = {
        "render": False,
        "quiet": True,
        "where": Where.of(workers, None, None, 2) if workers else None,
    }
    found, quarantine = detection.detect(model, paths, tmp_path / "kept", **how)
    assert [one.id for one in found] == ["cut", "n0"] and not quarantine.reasons
    told = json.loads((tmp_path / "kept" / "events.json").read_text())["videos"]
    assert "cut short" in told["cut"]["damage"] and "damage" not in told["n0"]
    assert told["cut"]["frames"] < told["n0"]["frames"] and "cut: not all of it was read" in caplog.text
    found, quarantine = detection.detect(model, paths, tmp_path / "aside", damaged="set-aside", **how)
    assert [one.id for one in found] == ["n0"] and "cut short" in quarantine.reasons["../cut.mp4"]
    with pytest.raises(ConfigError, match="keep or set-aside"):
        detection.detect(model, paths, tmp_path / "no", damaged="drop", **how)


@given(st.lists(st.sampled_from(["a.mp4", "a-2.mp4", "b/a.mp4", "c/a.avi", "c/a-2.mp4", "d/a-3.mp4"]), unique=True))
def test_names_of_results_never_collide(names: list[str]) -> None:
    paths: list[Source] = [Path(name) for name in names]
    made = detection._names(paths)
    assert list(made) == paths
    assert len(set(made.values())) == len(names)
    assert not names or made[paths[0]] == Path(names[0]).stem

"""Detection over many videos: what it leaves in its folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from wherewhen.api import detection, results, runs, tables
from wherewhen.core.errors import ConfigError, OutputError, VideoError
from wherewhen.core.values import Prediction
from wherewhen.inference.model import Model
from wherewhen.runtime.parallel import Workers
from wherewhen.video import reader
from wherewhen.video.sources import Source

SETTINGS: dict[str, Any] = {"training": {"steps": 20}, "seed": 3}


@pytest.fixture(scope="module")
def model(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Model:
    return runs.train(clips, tmp_path_factory.mktemp("runs") / "run", settings=SETTINGS, device="cpu", quiet=True)


def kept(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def test_detection_leaves_events_scores_and_pictures(model: Model, clips: Path, tmp_path: Path) -> None:
    paths: list[Source] = sorted(clips.rglob("*.mp4"))
    found, quarantine = detection.detect(model, paths, tmp_path / "found", quiet=True)
    names = {"a0", "a1", "n0", "n1"}
    assert not quarantine.reasons and {one.id for one in found} == names
    tables = {"events.json", "scores.parquet", "scores.csv", "report.html", "log.txt", "quarantine.json", "results"}
    tables |= {"thumbnails"} if any(one.events for one in found) else set()
    assert kept(tmp_path / "found") == tables | {f"{name}.{kind}" for name in names for kind in ("mp4", "png")}
    assert {path.name for path in results.all_of(tmp_path / "found")} == {f"{name}.jsonl" for name in names}
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
        "where": Workers.of(workers, None, None, 2) if workers else None,
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


# --- one folder, several runs


def contents(folder: Path) -> dict[str, bytes]:
    """All that a folder of results says: tables, results and pictures, without logs, locks and manifests."""
    files = [p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".") and p.name != "log.txt"]
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(files)}


@pytest.fixture(scope="module")
def cameras(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three videos, two of one name, and one that can't be read."""
    root = tmp_path_factory.mktemp("cameras") / "videos"
    for name, source in {"a/cam": "normal/n0", "b/cam": "anomalous/a0", "c/far": "anomalous/a1"}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(clips / f"{source}.mp4", root / f"{name}.mp4")
    (root / "b" / "bad.mp4").write_bytes(b"no video")
    return root


@pytest.fixture(scope="module")
def whole(model: Model, cameras: Path) -> dict[str, bytes]:
    """What one run that is let alone leaves."""
    detection.detect(model, str(cameras), cameras.parent / "whole", quiet=True)
    return contents(cameras.parent / "whole")


def stop_at(name: str, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let detection end in the middle of a video."""
    stream = Model.stream

    def stopped(self: Model, source: Any) -> Iterator[Prediction]:
        for number, step in enumerate(stream(self, source)):
            if number == 5 and source.source.as_posix().endswith(name):
                raise error
            yield step

    monkeypatch.setattr(Model, "stream", stopped)


def test_files_of_one_name_in_two_folders_are_told_apart(whole: dict[str, bytes]) -> None:
    videos = json.loads(whole["events.json"])["videos"]
    told = {name: (video["file"], video["folder"]) for name, video in videos.items()}
    assert told == {name: (f"{name}.mp4", "../videos") for name in ("a/cam", "b/cam", "c/far")}
    assert {"a/cam.mp4", "b/cam.png", "c/far.mp4", "results/a/cam.jsonl"} <= set(whole)
    assert [row["path"] for row in json.loads(whole["quarantine.json"])] == ["../videos/b/bad.mp4"]
    assert not any(b"/tmp" in data for name, data in whole.items() if "json" in name), "no absolute path"


ERRORS = [KeyboardInterrupt(), OSError(28, "No space left on device"), RuntimeError("a fault")]


@pytest.mark.parametrize("error", ERRORS)
def test_what_is_done_is_kept_and_gone_on_with(
    model: Model, cameras: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch,
    error: BaseException, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    out = cameras.parent / f"interrupted-{type(error).__name__}"
    raised = OutputError if isinstance(error, OSError) else type(error)
    with monkeypatch.context() as patch, pytest.raises(raised):
        stop_at("b/cam.mp4", error, patch)
        detection.detect(model, str(cameras), out, quiet=True)
    left = contents(out)
    videos = json.loads(left["events.json"])["videos"]
    assert list(videos) == ["a/cam", "b/cam"]
    assert videos["b/cam"]["complete"] is False and videos["b/cam"]["damage"] == "the process was killed"
    assert left["results/a/cam.jsonl"] == whole["results/a/cam.jsonl"] and "results/b/cam.jsonl.part" in left
    rows = [line.split(",")[0] for line in left["scores.csv"].decode().splitlines()[1:]]
    assert 25 == rows.count("a/cam") > rows.count("b/cam") > 0
    seen: list[str] = []
    stream = Model.stream
    monkeypatch.setattr(Model, "stream", lambda self, one: seen.append(one.source.stem) or stream(self, one))
    with caplog.at_level("INFO", "wherewhen"):
        detection.detect(model, str(cameras), out, resume=True, quiet=True)
    assert seen == ["cam", "far"] and contents(out) == whole
    assert "a/cam: done already" in caplog.text and "b/cam: done again, it was not finished" in caplog.text


def test_processes_leave_the_same_and_go_on_with_it(
    model: Model, cameras: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = cameras.parent / "spread"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_at("b/cam.mp4", KeyboardInterrupt(), patch)
        detection.detect(model, str(cameras), out, where=Workers(1), quiet=True)
    found, _ = detection.detect(model, str(cameras), out, where=Workers(2), resume=True, quiet=True)
    assert [one.id for one in found] == ["a/cam", "b/cam", "c/far"] and contents(out) == whole


def test_a_loop_over_cameras_keeps_all(model: Model, cameras: Path, whole: dict[str, bytes]) -> None:
    out = cameras.parent / "loop"
    for name in ("c/far", "b/bad", "b/cam", "a/cam"):
        found, _ = detection.detect(model, [cameras / f"{name}.mp4"], out, base=cameras, quiet=True)
    assert [one.id for one in found] == ["a/cam"] and contents(out) == whole
    detection.detect(model, str(cameras), out, quiet=True)  # all of them once more, from the folder above
    assert contents(out) == whole


def test_the_same_video_by_another_model_is_refused(model: Model, cameras: Path, tmp_path: Path) -> None:
    out, far = tmp_path / "out", cameras / "c" / "far.mp4"
    detection.detect(model, [far], out, render=False, quiet=True)
    before = contents(out)
    other = replace(model, threshold=model.threshold / 2)
    for resume in (False, True):
        with pytest.raises(OutputError, match=r"holds results of far by another model .*or remove them: .*far\.jsonl"):
            detection.detect(other, [far], out, render=False, resume=resume, quiet=True)
    assert contents(out) == before
    detection.detect(other, [cameras / "a" / "cam.mp4"], out, render=False, quiet=True)
    assert set(json.loads((out / "events.json").read_text())["videos"]) == {"far", "cam"}


def test_what_changed_or_lacks_pictures_is_done_again(
    model: Model, cameras: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source, out = tmp_path / "x.mp4", tmp_path / "out"
    shutil.copyfile(cameras / "c" / "far.mp4", source)

    def told(render: bool = True) -> str:
        caplog.clear()
        with caplog.at_level("INFO", "wherewhen"):
            detection.detect(model, [source], out, render=render, resume=True, quiet=True)
        return caplog.text

    assert "x: done" not in told(render=False) and "x: done already" in told(render=False)
    assert "x: done again, its overlay or timeline is missing" in told() and "x: done already" in told()
    before = contents(out)
    shutil.copyfile(cameras / "a" / "cam.mp4", source)
    assert "x: done again, its content changed" in told()
    assert [name for name in contents(out) if "thumb" not in name] == [name for name in before if "thumb" not in name]
    assert contents(out)["results/x.jsonl"] != before["results/x.jsonl"]


def test_a_video_is_set_aside_until_it_can_be_read(model: Model, cameras: Path, tmp_path: Path) -> None:
    bad, out = tmp_path / "bad.mp4", tmp_path / "out"
    bad.write_bytes(b"no video")
    (tmp_path / "worse.mp4").write_bytes(b"none either")
    detection.detect(model, [bad, tmp_path / "worse.mp4", tmp_path / "gone.mp4"], out, render=False, quiet=True)
    shutil.copyfile(cameras / "c" / "far.mp4", bad)
    _, quarantine = detection.detect(model, [bad], out, render=False, resume=True, quiet=True)
    left = [row["path"] for row in json.loads((out / "quarantine.json").read_text())]
    assert left == ["../worse.mp4", "../gone.mp4"] and not quarantine.reasons


def test_results_that_cannot_be_read_are_left_out_and_told(
    model: Model, cameras: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    videos = [cameras / "c" / "far.mp4", cameras / "a" / "cam.mp4"]
    detection.detect(model, videos, out, render=False, quiet=True)
    path = results.path_of(out, "far")
    path.write_bytes(path.read_bytes()[:500])
    assert tables.join(out) == ["cam"]
    assert "left out of the tables" in caplog.text and "far.jsonl" in caplog.text


def test_overlays_are_no_sources(model: Model, cameras: Path, tmp_path: Path) -> None:
    shutil.copytree(cameras, tmp_path / "d")
    for _ in range(2):  # results below the folder that is searched
        found, _ = detection.detect(model, str(tmp_path / "d"), tmp_path / "d" / "found", quiet=True)
        assert [one.id for one in found] == ["a/cam", "b/cam", "c/far"]
        assert list((tmp_path / "d" / "found" / "thumbnails").rglob("*.jpg"))
    named = tmp_path / "d" / "found" / "c" / "far.mp4"
    assert len(detection.detect(model, str(named), tmp_path / "x", render=False, quiet=True)[0]) == 1


def test_found_on_disk_is_what_was_found(model: Model, cameras: Path, tmp_path: Path) -> None:
    far = cameras / "c" / "far.mp4"
    (found,), _ = detection.detect(model, [far], tmp_path, render=False, quiet=True)
    seen = model.detect(far)
    np.testing.assert_array_equal(found.scores, seen.scores)
    np.testing.assert_array_equal(found.clock, seen.clock)
    assert [event.score for event in found.events] == [event.score for event in seen.events]
    assert all((a.extents == b.extents).all() for a, b in zip(found.events, seen.events, strict=True))
    with pytest.raises(ConfigError, match="results on disk hold no heat maps"):
        found.heatmap(1.0)

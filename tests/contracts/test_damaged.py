"""Damaged recordings are read as far as they go by every verb that learns or judges, and told each time."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from wherewhen import datasets
from wherewhen.api import evaluation, extraction, runs
from wherewhen.core.errors import ConfigError
from wherewhen.extraction.extractor import FeatureSpec
from wherewhen.inference.model import Model
from wherewhen.video.batch import Quarantine

FAST: dict[str, Any] = {"training": {"steps": 5}}
HOW: dict[str, Any] = {"device": "cpu", "quiet": True}
TOLD = "a0: not all of it was read: the file is cut short"


def cut(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 9 // 10])


@pytest.fixture
def folder(clips: Path, tmp_path: Path) -> Path:
    """A user's folder in which a0 is cut short."""
    shutil.copytree(clips, tmp_path / "clips")
    cut(tmp_path / "clips" / "anomalous" / "a0.mp4")
    return tmp_path / "clips"


def reasons(run: Path) -> dict[str, str]:
    file = run / "quarantine.json"
    rows = json.loads(file.read_text()) if file.exists() else []
    return {Path(row["path"]).stem: row["reason"] for row in rows}


def test_train_uses_them_and_says_so_also_when_features_are_kept(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(2):  # looked at, then from the cache
        caplog.clear()
        runs.train(folder, tmp_path / f"run{number}", settings=FAST, check=False, **HOW)
        assert caplog.text.count(TOLD) == 1 and not reasons(tmp_path / f"run{number}")
    runs.train(folder, tmp_path / "aside", settings=FAST, check=False, damaged="set-aside", **HOW)
    assert list(reasons(tmp_path / "aside")) == ["a0"] and "cut short" in reasons(tmp_path / "aside")["a0"]


def test_a_store_of_features_says_so_too(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    what, looks = extraction.sources(folder), [FeatureSpec.named("motion")]
    for _ in range(2):  # made, then there already
        caplog.clear()
        done = extraction.extract_all(what, looks, tmp_path / "store", quiet=True)
        assert TOLD in caplog.text and not done.quarantine.reasons
    caplog.clear()
    runs.train(tmp_path / "store", tmp_path / "run", settings=FAST, check=False, **HOW)
    assert TOLD in caplog.text
    for _ in range(2):
        done = extraction.extract_all(what, looks, tmp_path / "strict", damaged="set-aside", quiet=True)
        assert len(done.quarantine.reasons) == 1 and "cut short" in next(iter(done.quarantine.reasons.values()))
        listed = datasets.reader_of(tmp_path / "strict").load(tmp_path / "strict").videos
        assert sorted(Path(video.id).name for video in listed) == ["a1", "n0", "n1"]


def test_evaluate_judges_what_can_be_read(
    natives: Path, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run, yard = tmp_path / "run", tmp_path / "yard"
    model: Model = runs.train(folder, run, settings=FAST, check=False, **HOW)
    shutil.copytree(natives, yard)
    (damaged,) = (video for video in datasets.reader_of(yard).load(yard).videos if video.id == "a0")
    target = damaged.path
    copy = target.read_bytes()
    target.unlink()
    target.write_bytes(copy)
    cut(target)
    caplog.clear()
    table, quarantine, _, _ = evaluation.evaluate(model, yard, tmp_path / "kept", quiet=True)
    assert table and not quarantine.reasons and TOLD in caplog.text
    told = json.loads((tmp_path / "kept" / "events.json").read_text())["videos"]
    assert told["a0"]["frames"] < told["a1"]["frames"]
    _, quarantine, _, _ = evaluation.evaluate(model, yard, tmp_path / "aside", damaged="set-aside", quiet=True)
    assert list(reasons(tmp_path / "aside")) == ["a0"]


def test_another_policy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected keep or set-aside, got 'drop'"):
        Quarantine(tmp_path, "drop")  # type: ignore[arg-type]

"""``wherewhen extract`` from the words that a user types to what is printed and written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wherewhen import cli


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHEREWHEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def run(*words: object) -> int:
    return cli.main([str(word) for word in words])


def test_a_dry_run_writes_nothing(clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--backbones", "motion,frame_difference", "--dry-run", "--workers", 2, "--output", "store"]
    assert run("extract", clips, *words) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("motion: 4 videos, 0.00 h, 100 frames, ") and "frames/s measured" in first
    assert second.startswith("frame_difference: 4 videos")
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_store_is_extracted_and_learnt_from(clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = ["--motion.width", 48, "--cells.rows", 2, "--cells.columns", 2]
    assert run("extract", clips, "--output", "store", "--workers", 1, "--quiet", *settings) == 0
    assert "4 videos: 4 files made, 0 already present" in capsys.readouterr().out
    more = ["--training.steps", 2, "--device", "cpu", "--quiet"]
    assert run("train", "store", "--output", "run", *more, *settings) == 0
    assert run("train", "store", "--output", "other", *more) == 1
    assert "cells.rows: expected None, got 2" in capsys.readouterr().err
    names = json.loads((tmp_path / "store" / "features.json").read_text())
    assert [row["label"] for row in names["videos"]] == [1, 1, 0, 0] and len(names["looks"]) == 1


def test_what_can_not_be_meant_is_refused(clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, told in [
        (["--stored", "float16"], "cache are float32"),
        (["--crops", 3], "crops: expected 1, 5 or 10, got 3"),
        (["--ray-address", "x:1"], "no effect without --distributed"),
        (["--workers", "many"], "--workers: expected a whole number, got 'many'"),
        (["--motion.width", "wide"], "--motion.width: expected a whole number, got 'wide'"),
        (
            ["--backbones", "shufflenet", "--shufflenet.tail", "x"],
            "--shufflenet.tail: expected one of back, drop, got 'x'",
        ),
        (["--device", "tpu"], "device 'tpu' can't be used here (there is no such kind); use auto, cpu or cuda"),
        (["--device", "cuda:77"], "device 'cuda:77' can't be used here"),
        (["--backbones", "motino"], "did you mean 'motion'"),
    ]:
        assert run("extract", clips, "--quiet", *words) == 2
        assert told in capsys.readouterr().err

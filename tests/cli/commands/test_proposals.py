"""The verb that judges proposals, from the command line to what is printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wherewhen import cli


def test_it_prints_tables_and_json(natives: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "s.yaml").write_text("motion: {rate: null}\ntubes: {shortest: 0.2}\ntracks: {gap: 0.5}\n")
    words = ["proposals", str(natives), "-c", str(tmp_path / "s.yaml"), "--quiet"]
    assert cli.main(words) == 0
    out = capsys.readouterr().out
    assert "oracle MIoU" in out and "a0" in out and "a1" in out and "n0" not in out
    assert cli.main([*words, "--fold", "first", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["video"] for row in told["videos"]] == ["a1"]
    assert told["oracle_miou"] > 0.4 and set(told["recall"]) == {"0.1", "0.2", "0.3", "0.4", "0.5"}


def test_boxes_of_ones_own_for_each_video(natives: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exact boxes cover what happens; the video that has none is set aside, with the places where they should be."""
    (tmp_path / "s.yaml").write_text(f"file: {{path: {tmp_path / 'boxes'}}}\ntubes: {{shortest: 0.2}}\n")
    (tmp_path / "boxes" / "a1" / "gt").mkdir(parents=True)
    words = ["proposals", str(natives), "--proposals", "file", "-c", str(tmp_path / "s.yaml"), "--json"]
    rows = [f"{k + 1},1,{4 * (k - 8) + 1},17,12,12,1,1,1\n" for k in range(8, 20)]
    (tmp_path / "boxes" / "a1" / "gt" / "gt.txt").write_text("".join(rows))
    assert cli.main(words) == 3
    told = json.loads(capsys.readouterr().out)
    assert [row["video"] for row in told["videos"]] == ["a1"] and told["oracle_miou"] == pytest.approx(1)
    assert "expected one of a0.txt, a0/gt/gt.txt" in told["aside"]["a0"]


def test_what_is_wrong_is_told(natives: Path, clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "s.yaml").write_text("tube: {shortest: 0.2}\n")
    assert cli.main(["proposals", str(natives), "-c", str(tmp_path / "s.yaml")]) == 2
    assert "did you mean 'tubes'" in capsys.readouterr().err
    assert cli.main(["proposals", str(natives), "--fold", "frist"]) == 2
    assert "did you mean 'first'" in capsys.readouterr().err
    assert cli.main(["proposals", str(natives), "--proposals", "motoin"]) == 2
    assert cli.main(["proposals", str(clips)]) == 1
    assert "no anomalous video with boxes" in capsys.readouterr().err

"""Files of any name pass through the whole toolkit, and every file about them is valid text."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from wherewhen import cli
from wherewhen.core.printable import fitted, original, printable

NAMES = (
    b"caf\xe9.mp4", b"new\nline.mp4", b'quo"te\'s.mp4', b"10:00:00.mp4", b"-dash.mp4", b"[bold]x[] :cat:.mp4",
    "camera 🎥.mp4".encode(), b"a\\xe9 b.mp4", b"100%d{0}.mp4", b"<b>&amp;$x$.mp4", b"comma,semi;tab\t.mp4",
    b"x" * 251 + b".mp4", b"\xe9" * 200 + b".mp4", "é".encode() * 125 + b".mp4", b"\x1b[31mred.mp4", b"~.mp4",
)  # fmt: skip


@pytest.fixture(scope="module")
def odd(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of labelled videos with odd names."""
    root = tmp_path_factory.mktemp("odd")
    for label, sources in (("normal", "n0 n1"), ("anomalous", "a0 a1")):
        (root / label / "caf\udce9\n").mkdir(parents=True)
        for number, name in enumerate(NAMES[:4] if label == "normal" else NAMES):
            source = clips / label / f"{sources.split()[number % 2]}.mp4"
            target = root / label / "caf\udce9\n" / os.fsdecode(name)
            shutil.copy(source, target)
            with target.open("ab") as file:  # no two files alike
                file.write(b"\0\0\0\x0cfree" + number.to_bytes(3, "big") + label.encode()[:1])
    return root


@pytest.fixture(scope="module")
def run(odd: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    words = ["train", str(odd), "--output", str(folder), "--training.steps", "5", "--device", "cpu", "--quiet"]
    assert cli.main(words) == 0
    return folder


def valid(folder: Path) -> str:
    """All text in a folder, after every file was read by what reads its kind."""
    told = []
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.suffix in (".mp4", ".png", ".jpg", ".safetensors") or "tfevents" in path.name:
            continue
        if path.suffix == ".parquet":
            told.append("\n".join(pq.read_table(path).to_pydict()["video"]))
            continue
        text = path.read_bytes().decode("utf-8")  # strictly
        assert "\udce9" not in text and "\\udce9" not in text, path
        if path.suffix == ".json":
            json.loads(text)
        elif path.suffix == ".jsonl":
            assert all(json.loads(line) for line in text.splitlines())
        elif path.suffix == ".csv":
            assert len({len(row) for row in csv.reader(text.splitlines())}) == 1, path
        elif path.suffix in (".yaml", ".yml"):
            yaml.safe_load(text)
        told.append(text)
    return "\n".join(told)


def test_training_and_its_report(run: Path) -> None:
    text = valid(run)
    assert printable("caf\udce9\n") in text.replace("\\\\", "\\")
    assert not (run / "quarantine.json").exists()


@pytest.mark.parametrize("render", [True, False])
def test_detection_in_every_name(
    odd: Path, run: Path, render: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = NAMES if not render else (*NAMES[:2], *NAMES[11:13], NAMES[9])
    folder = tmp_path / "in"
    folder.mkdir()
    for name in names:
        shutil.copy(odd / "anomalous" / "caf\udce9\n" / os.fsdecode(name), folder / os.fsdecode(name))
    out = tmp_path / "out"
    flags = ["--render" if render else "--no-render", "--device", "cpu", "--quiet"]
    assert cli.main(["detect", str(folder), "--model", str(run), "--output", str(out), *flags]) == 0
    told = capsys.readouterr().out
    assert not any("\ud800" <= one <= "\udfff" or one == "\x1b" for one in told)
    valid(out)
    videos = json.loads((out / "events.json").read_text())["videos"]
    assert len(videos) == len(names)
    files = {original(Path(video["file"]).name) for video in videos.values()}
    assert files == {os.fsdecode(name) for name in names}
    assert len(list(out.rglob("*.mp4"))) == (len(names) if render else 0)


def test_other_verbs(odd: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["extract", str(odd), "--output", str(tmp_path / "store"), "--workers", "1", "--quiet"]) == 0
    assert len(list((tmp_path / "store").rglob("*.safetensors"))) == len(NAMES) + 4
    words = ["train", str(tmp_path / "store"), "--output", str(tmp_path / "again"), "--training.steps", "2", "--quiet"]
    assert cli.main([*words, "--device", "cpu"]) == 0, "what a store wrote under short names is found there"
    assert cli.main(["data", "check", str(odd)]) in (0, 1)
    valid(tmp_path)
    for form in ("coco", "cvat", "mot", "rbdc", "label_studio", "activitynet", "fiftyone"):
        target = tmp_path / (form if form in ("cvat", "mot", "rbdc", "fiftyone") else f"{form}.json")
        words = ["convert", str(run / "events.json"), "--output", str(target), "--to", form]
        assert cli.main(words) == 0, (form, capsys.readouterr().err[-500:])
    capsys.readouterr()


@pytest.mark.parametrize("name", ["-dash.mp4", "--two.mp4", "-.mp4"])
def test_a_name_with_a_dash_is_no_option(
    name: str, odd: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(odd / "anomalous" / "caf\udce9\n" / "-dash.mp4", name)
    words = ["--model", str(run), "--output", "out", "--no-render", "--device", "cpu", "--quiet"]
    assert cli.main(["detect", name, *words]) == 0
    assert cli.main(["detect", "-no.mp4", *words]) == 2
    assert "a name that begins with a dash is written ./-no.mp4" in capsys.readouterr().err


def test_names_for_files_fit_and_stay_apart() -> None:
    for name in ("x" * 300, "é" * 200, "🎥" * 100, "a/" + "b" * 255 + "/c"):
        short = fitted(name)
        assert all(len(part.encode()) <= 180 for part in short.split("/")) and fitted(name) == short == fitted(short)
        assert short.count("/") == name.count("/") and fitted(name + "x") != short
    assert fitted("a" * 180) == "a" * 180 and fitted("") == ""

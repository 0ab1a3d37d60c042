"""No verb writes over a file that somebody else made: each is refused before it works, and says what to do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from wherewhen import cli
from wherewhen.api import detection, runs
from wherewhen.formats import events
from wherewhen.inference.model import Model
from wherewhen.video.writer import Writer

MINE = b"what a user recorded"


@pytest.fixture(scope="module")
def run(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "run"
    runs.train(clips, folder, settings={"training": {"steps": 2}}, device="cpu", quiet=True)
    return folder


@pytest.fixture
def own(clips: Path, natives: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder: two videos of his, a data set, a trained run, results, and no trace of the toolkit."""
    for name, source in (("d", clips / "anomalous"), ("clips", clips), ("yard", natives), ("run", run)):
        shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns(".*", "latest"))
    events.write(tmp_path / "events.json", [])
    (tmp_path / ".wherewhen.jsonl").unlink()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def everything(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


TRAIN = "train clips --training.steps=2 --device cpu --quiet --output"
DETECT = "detect d --model run --device cpu --quiet --output"
JUDGE = "evaluate yard --model run --device cpu --metrics frame --quiet"
BENCH = "bench yard --metrics frame --training.steps=2 --quiet"
CASES = {
    f"{TRAIN} out": [
        "config.yaml", "metrics.json", "scores.parquet", "events.json", "report.html", "log.txt", "training.csv",
        "quarantine.json", "weights/best.safetensors", "weights/last.safetensors", "weights/checkpoint.safetensors",
        "tensorboard", "data.json",
    ],
    f"{DETECT} out": ["a0.mp4", "a1.png", "events.json", "scores.parquet", "scores.csv", "log.txt", "quarantine.json"],
    f"{JUDGE} --output out": ["metrics.json", "scores.parquet", "events.json", "report.html", "log.txt"],
    f"{BENCH} --output out": ["bench.json", "bench.md", "report.html"],
    "convert events.json out/x.json": ["x.json"],
    "convert yard --output out --from truth --to mot": ["a0.txt"],
    "convert yard --output out --from truth --to rbdc": ["n0.txt"],
    "convert yard --output out --from truth --to cvat": ["a1.xml"],
    "convert yard --output out --from truth --to fiftyone": ["manifest.json", "labels.json"],
    "extract d --output out --workers 1 --quiet": ["features.json", "list.csv"],
    "demo --output out --quiet": ["clips/a.mp4", "run/notes.txt", "found/x", "evaluation/x"],
    "toy --output out --quiet": ["gt.json", "anything"],
    "prompts write out/x.yaml --endpoint http://127.0.0.1:9 --classes a": ["x.yaml"],
}  # fmt: skip


@pytest.mark.parametrize(("words", "name"), [(words, name) for words, names in CASES.items() for name in names])
def test_a_file_of_somebody_else_is_kept(
    own: Path, words: str, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (own / "out" / name).parent.mkdir(parents=True, exist_ok=True)
    (own / "out" / name).write_bytes(MINE)
    before = everything(own)
    monkeypatch.setattr(Model, "detect", None)  # nothing is begun
    assert cli.main(words.split()) in (1, 2)
    said = " ".join(capsys.readouterr().err.split())
    assert said.startswith("error: ") and "out" in said and "Traceback" not in said
    after = everything(own)
    assert {path: after[path] for path in before} == before
    new = {path for path in after if path not in before}
    assert not new or "convert" in words, new  # formats of many files write those that are free


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (f"{DETECT} d", "a0.mp4, d/a1.mp4: a source, which is never overwritten; choose an --output that"),
        ("detect a0.mp4 --model ../run --output . --device cpu --quiet", "a source"),
        ("detect d/*.mp4 --model run --output linked --device cpu --quiet", "a source"),
        ("detect a0.mp4 --model ../run --output ../hard --device cpu --quiet", "a0.mp4: a source"),
        ("convert events.json --output events.json", "events.json: "),
    ],
)
def test_a_source_is_never_overwritten(
    own: Path, words: str, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (own / "linked").symlink_to("d")
    (own / "hard").mkdir()
    (own / "hard" / "a0.mp4").hardlink_to(own / "d" / "a0.mp4")
    before = everything(own)
    monkeypatch.chdir(own / "d" if ".." in words else own)
    assert cli.main(words.split()) == 1
    assert says in " ".join(capsys.readouterr().err.split())
    assert everything(own) == before


def test_an_overlay_as_a_source_is_kept_too(own: Path) -> None:
    model = Model.load("run", device="cpu")
    detection.detect(model, [own / "d" / "a0.mp4"], "found", quiet=True)
    before = everything(own)
    assert cli.main(["detect", "found/a0.mp4", "--model", "run", "--output", "found", "--device", "cpu"]) == 1
    (found,) = detection.detect(model, [own / "d" / "a0.mp4"], "other", quiet=True)[0]
    for path in (own / "d" / "a0.mp4", own / "d" / "a1.mp4"):
        with pytest.raises(runs.outputs.OutputError):
            found.render(path)
    assert {path: data for path, data in everything(own).items() if path in before} == before


def test_what_a_verb_wrote_it_writes_again(own: Path) -> None:
    for words in (JUDGE, f"{DETECT} found --no-render", "convert events.json --output c.json"):
        for _ in range(2):
            assert cli.main(words.split()) == 0, words


def test_a_run_of_an_earlier_version_stays_usable(own: Path) -> None:
    """Without manifest: it is gone on with, and judged into the folder that it was judged into before."""
    assert cli.main(JUDGE.split()) == 0
    for manifest in own.rglob(".wherewhen.jsonl"):
        manifest.unlink()
    (own / "run" / "report.html").unlink()
    assert cli.main(f"{TRAIN} run --resume".split()) == 0
    assert (own / "run" / "report.html").exists()
    assert cli.main(JUDGE.split()) == 0


def test_measures_that_somebody_wrote_are_kept(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = own / "d" / "videos.json"
    path.write_text('{"a0": {"fps": 7}, "z": {"frames": 1}}')
    cli.main(["data", "probe", "d", "--json"])
    assert "fps is 7, measured 12.5" in capsys.readouterr().out
    rows = json.loads(path.read_text())
    assert rows["a0"] == {"fps": 7, "frames": 25, "width": 64, "height": 48} and rows["z"] == {"frames": 1}
    assert rows["a1"]["fps"] == 12.5
    path.unlink()
    assert cli.main(["data", "probe", "d"]) == 0
    (own / "d" / "a0.mp4").unlink()
    with Writer(own / "d" / "a0.mp4", 5) as writer:
        writer.write(np.zeros((48, 64, 3), np.uint8))
    assert cli.main(["data", "probe", "d"]) == 0  # of a file that the toolkit wrote the measured number counts
    assert json.loads(path.read_text())["a0"]["fps"] == 5

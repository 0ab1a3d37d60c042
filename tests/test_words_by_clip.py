"""The way of a user who has CLIP's weights, on seeded ones and with the network cut: extract, search, detect."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path

import pytest

from wherewhen import cli
from wherewhen.core import prompts
from wherewhen.core.prompts import Prompts
from wherewhen.text.zero_shot import ZeroShot

pytest.importorskip("transformers", reason='CLIP needs pip install "wherewhen[clip]"')


pytestmark = pytest.mark.usefixtures("shallow_clip")


def vocabulary(folder: Path) -> None:
    """CLIP's start and end, and letters for words."""
    letters = [*"abcdefghijklmnopqrstuvwxyz"]
    ids = {token: number for number, token in enumerate(letters + [f"{letter}</w>" for letter in letters])}
    (folder / "vocab.json").write_text(json.dumps(ids | {"<|startoftext|>": 49406, "<|endoftext|>": 49407}))
    (folder / "merges.txt").write_text("#version: 0.2\n")


@pytest.mark.slow
def test_detect_and_search(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def cut(*args: object, **kwargs: object) -> None:
        raise AssertionError("the network is asked")

    monkeypatch.setattr(socket.socket, "connect", cut)
    monkeypatch.chdir(tmp_path)
    vocabulary(tmp_path)
    prompts.write(tmp_path / "own.yaml", Prompts(("a road",), {"rush": ("a bright square", "a rush")}))
    network = ["--backbone", "clip", "--clip.weights", "random", "--clip.vocabulary", str(tmp_path)]
    network += ["--clip.variant", "b32"]
    fast = ["--engine", "torch", "--precision", "fp32", "--device", "cpu", "--quiet"]
    video = next((clips / "anomalous").glob("*.mp4"))
    assert (
        cli.main(["detect", str(video), "--prompts", "own.yaml", "--no-render", "--output", "x", *network, *fast]) == 0
    )
    told = json.loads(Path("x", "events.json").read_text())["videos"][video.stem]
    assert {event["category"] for event in told["events"]} <= {"rush"}
    assert len(Path("x", "scores.csv").read_text().splitlines()) == 1 + told["frames"]
    own = {"weights": "random", "vocabulary": str(tmp_path), "variant": "b32"}
    few = {"view": "windows", "shares": [0.5], "stride": 1.0}
    model = ZeroShot(prompts.read("own.yaml"), settings={"clip": own, "spatial": few}, engine="torch", precision="fp32")
    _, seen = next(model.instances(video)[0])
    assert seen.features.shape == (4, 512) and model.clip.frames == 16 and model.encoder.clip.frames == 1
    folder = str(clips / "anomalous")
    assert cli.main(["extract", folder, "--output", "store", "--workers", "1", "--backbones", *network[1:], *fast]) == 0
    capsys.readouterr()
    assert cli.main(["search", "store", "a bright square", "--count", "1", "--json", "--quiet", *network]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert -1 <= row["score"] <= 1 and len(row["heat"]) == 7
    assert cli.main(["search", "store", "a", "--backbone", "clip", "--quiet"]) == 1
    assert "name the weights of these features: --clip.weights" in capsys.readouterr().err


@pytest.mark.slow
def test_train_with_learnt_prompts(clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prompts are learnt through the frozen tower; the model that was kept detects without one."""
    from wherewhen.inference.model import Model

    monkeypatch.chdir(tmp_path)
    vocabulary(tmp_path)
    shutil.copytree(clips, "clips")
    rows = [f"clips/normal/n{n}.mp4,0," for n in (0, 1)] + [f"clips/anomalous/a{n}.mp4,1,rush" for n in (0, 1)]
    Path("labels.csv").write_text("\n".join(["path,label,class", *rows]))
    prompts.write(tmp_path / "own.yaml", Prompts(("a road",), {"rush": ("a bright square", "a rush")}))
    network = ["--backbone", "clip", "--clip.weights", "random", "--clip.vocabulary", str(tmp_path)]
    network += ["--clip.variant", "b32", "--engine", "torch", "--precision", "fp32", "--stprompt.prompts", "own.yaml"]
    few = ["--training.steps", "2", "--device", "cpu", "--quiet", "--output", "run"]
    assert cli.main(["train", ".", "--method", "stprompt", *network, *few]) == 0
    Path("own.yaml").unlink()
    model = Model.load("run", device="cpu")
    assert model.classes == ("rush",) and model.method.prompts.context.shape == (77, 512)
    assert model.method.prompts.texts.shape == (2, 512) and model.method.words.texts.shape == (3, 512)
    found = model.detect(next((clips / "anomalous").glob("*.mp4")))
    assert {event.category for event in found.events} <= {"rush"}

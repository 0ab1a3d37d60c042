"""Adaptation of a run to another camera: what it leaves, refuses, and how it goes on."""

from __future__ import annotations

import json
import shutil
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

import wherewhen
from wherewhen import cli
from wherewhen.api import adapting, runs
from wherewhen.core.errors import ConfigError, DataError
from wherewhen.inference.model import Model
from wherewhen.video.writer import Writer

RATE, SECONDS, SIZE = 12.5, 11, (64, 48)


def draw(path: Path, seed: int, seconds: float = SECONDS) -> None:
    """A gray wall where spots creep from side to side."""
    with Writer(path, RATE) as writer:
        for index in range(round(seconds * RATE)):
            picture = np.full((SIZE[1], SIZE[0], 3), 90, np.uint8)
            for row, speed in ((8, 2), (26, 1)):
                x = (speed * index + 17 * seed) % (SIZE[0] - 8)
                picture[row : row + 10, x : x + 8] = 180
            writer.write(picture)


@pytest.fixture(scope="module")
def hours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hours")
    for seed in range(3):
        draw(root / f"h{seed}.mp4", seed)
    return root


@pytest.fixture(scope="module")
def city(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of another camera."""
    folder = tmp_path_factory.mktemp("runs") / "city"
    settings = {"method": "wherewhen", "wherewhen": {"memory": 8}, "training": {"steps": 5}}
    runs.train(clips, folder, settings=settings, device="cpu", check=False, quiet=True)
    return folder


@pytest.fixture(scope="module")
def gate(city: Path, hours: Path) -> Path:
    """The run, adapted."""
    folder = city.with_name("gate")
    wherewhen.adapt(city, hours, folder, alarms_per_day=9000, device="cpu", quiet=True)
    return folder


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_source_is_not_touched_and_gives_equal_scores(city: Path, hours: Path, clips: Path, tmp_path: Path) -> None:
    before, video = digests(city), clips / "anomalous/a0.mp4"
    scores = Model.load(city, device="cpu").detect(video).scores
    model = wherewhen.adapt(city, hours, tmp_path / "gate", device="cpu", quiet=True)
    assert digests(city) == before
    np.testing.assert_array_equal(Model.load(city, device="cpu").detect(video).scores, scores)
    adapted = Model.load(tmp_path / "gate", device="cpu").detect(video).scores
    np.testing.assert_array_equal(model.detect(video).scores, adapted)
    assert not np.array_equal(adapted, scores)


def test_an_adapted_run_is_a_run_folder(gate: Path, natives: Path, clips: Path, tmp_path: Path) -> None:
    names = {path.name for path in gate.iterdir() if path.name[0] != "."}
    assert names == {"config.yaml", "adaptation.json", "report.html", "log.txt", "weights"}
    assert (gate.parent / "latest").resolve() == gate.resolve()
    record = json.loads((gate / "adaptation.json").read_text())
    threshold = record["threshold"]
    assert threshold["alarms"] <= 9000 * threshold["hours"] / 24 <= threshold["bound_per_day"]
    assert record["hours"] == pytest.approx(3 * SECONDS / 3600, rel=0.1) and record["excluded"] == []
    assert np.array(record["activity"]).max() > 0.05 and len(record["request"]["footage"]) == 3
    page = (gate / "report.html").read_text()
    assert "bound (95 %)" in page and "where things move" in page and "<img" in page
    assert cli.main(["detect", str(clips), "--model", str(gate), "--output", str(tmp_path / "d"), "--no-render"]) == 0
    assert cli.main(["evaluate", str(natives), "--model", str(gate), "--output", str(tmp_path / "e")]) == 0
    assert wherewhen.load(gate, "last", "cpu").with_alarms_per_day(1e5).normal_time is not None


def test_the_verb_prints_what_it_measured(
    city: Path, hours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(hours, tmp_path / "hours")
    (tmp_path / "hours/broken.mp4").write_bytes(b"no video")
    words = ["adapt", "--model", str(city), "--footage", str(tmp_path / "hours"), "--output", str(tmp_path / "out")]
    assert cli.main([*words, "--json", "--quiet", "--device", "cpu"]) == 3, "a video is in quarantine"
    printed = json.loads(capsys.readouterr().out)
    assert printed["threshold"]["alarms_per_day"] == 1 and "can't be measured" in printed["notes"][0]
    assert "broken.mp4" in (tmp_path / "out/quarantine.json").read_text()
    assert "broken.mp4" in (tmp_path / "out/report.html").read_text()
    assert cli.main([*words, "--resume", "--quiet"]) == 3, "finished already"
    assert "alarms: 0 in 0.01 h at the threshold" in capsys.readouterr().out
    assert cli.main(["adapt", "--model", str(city)]) == 2
    assert "adapt needs --footage" in capsys.readouterr().err


def test_an_interrupted_run_goes_on(
    city: Path, hours: Path, gate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(adapting, "adapted", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            wherewhen.adapt(city, hours, tmp_path / "gate", alarms_per_day=9000, device="cpu", quiet=True)
    assert not (tmp_path / "gate/weights").exists()
    with pytest.raises(ConfigError, match="holds a run already; add --resume to continue it"):
        wherewhen.adapt(city, hours, tmp_path / "gate", alarms_per_day=9000, device="cpu", quiet=True)
    model = wherewhen.adapt(city, hours, tmp_path / "gate", alarms_per_day=9000, device="cpu", resume=True, quiet=True)
    whole = Model.load(gate, device="cpu")
    assert model.threshold == whole.threshold
    np.testing.assert_array_equal(model.bank.features, whole.bank.features)
    for key, tensor in model.method.state_dict().items():
        assert tensor.equal(whole.method.state_dict()[key])


def test_what_can_not_be_adapted_says_why(city: Path, hours: Path, gate: Path, clips: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"started with 9000.0 alarms a day and another model; choose another"):
        wherewhen.adapt(gate, hours, gate, device="cpu", resume=True, quiet=True)
    with pytest.raises(ConfigError, match="holds a run already; choose another --output"):
        wherewhen.adapt(city, hours, city, device="cpu", resume=True, quiet=True)
    with pytest.raises(DataError, match="2 of 4 videos have an anomalous label"):
        wherewhen.adapt(city, clips, tmp_path / "a", device="cpu", quiet=True)
    with pytest.raises(DataError, match="too little footage: 11 s"):
        wherewhen.adapt(city, hours / "h0.mp4", tmp_path / "b", device="cpu", quiet=True)
    with pytest.raises(ConfigError, match="alarms per day: expected a number above 0, got -1"):
        wherewhen.adapt(city, hours, tmp_path / "c", alarms_per_day=-1, device="cpu", quiet=True)
    (tmp_path / "d").mkdir()
    (tmp_path / "d/x.mp4").write_bytes(b"no video")
    with pytest.raises(DataError, match="none of the 1 videos can be read"):
        wherewhen.adapt(city, tmp_path / "d", tmp_path / "e", device="cpu", quiet=True)
    with pytest.raises(ConfigError, match="model: expected the path of a run folder, or a model"):
        wherewhen.adapt(3, hours, tmp_path / "f")  # type: ignore[arg-type]

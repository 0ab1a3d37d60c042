"""Several processes: the losses and the weights of one that sees the whole batch; one writes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from wherewhen import cli
from wherewhen.core.array_files import load
from wherewhen.core.contracts import Output
from wherewhen.core.errors import ConfigError
from wherewhen.inference.model_config import ModelConfig
from wherewhen.inference.packing import view
from wherewhen.training import distributed, fit, loop
from wherewhen.training.distributed import ALONE, Team

CHILD = """
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
import json, torch
torch.set_num_threads(1)
from wherewhen.training import distributed
from wherewhen.training import fit as training
from wherewhen.inference.model_config import ModelConfig

spec = spec_from_file_location("worlds", sys.argv[2])
worlds = module_from_spec(spec)
spec.loader.exec_module(worlds)
bags = [worlds._toy_bag(n, n % 2, 4 + 3 * (n % 4)) for n in range(18)]
with distributed.started("cpu") as (team, device):
    for name, settings in json.loads(sys.argv[3]).items():
        folder = Path(sys.argv[1]) / name
        fitted = training.fit(bags, ModelConfig.of(settings), folder=folder, device=device)
        if team.leads:
            fitted.last.save(folder / "last.safetensors")
            (folder / "team.json").write_text(json.dumps([team.size, fitted.history]))
"""
WORLD = Path(__file__).parents[1] / "conftest.py"
TEAM = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
HOW = {"steps": 12, "validate_every": 3, "learning_rate": 0.01}
CASES: dict[str, dict[str, Any]] = {
    "uneven": {"training": {"bags": 3, **HOW}},
    "compared": {
        "cuboid_mil": {"segments": 5, "bag": "clip", "sparsity": 0.1},
        "training": {"bags": 100, **HOW},
    },
}


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes learn, a folder for each case: to start them costs more than to train."""
    pytest.importorskip("accelerate")
    folder = tmp_path_factory.mktemp("together")
    script = folder / "child.py"
    script.write_text(CHILD)
    words = [sys.executable, str(script), str(folder), str(WORLD), json.dumps(CASES)]
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "WHEREWHEN_CACHE": str(folder / "cache"), "WORLD_SIZE": "2",
           "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}  # fmt: skip
    team = [
        subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env={**env, "RANK": rank, "LOCAL_RANK": rank})
        for rank in "01"
    ]
    try:
        errors = [process.communicate(timeout=280)[1] for process in team]
    finally:
        for process in team:
            process.kill()
    assert [process.returncode for process in team] == [0, 0], errors
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_two_processes_learn_as_one(case: str, together: Path, toy_bag: Any, tmp_path: Path) -> None:
    """Bags of several lengths, a number that does not divide evenly, terms that compare bags of both processes."""
    bags = [toy_bag(n, n % 2, 4 + 3 * (n % 4)) for n in range(18)]
    one = fit.fit(bags, ModelConfig.of(CASES[case]), device="cpu")
    one.last.save(tmp_path / "last.safetensors")
    size, history = json.loads((together / case / "team.json").read_text())
    assert size == 2
    for mine, its in zip(one.history, history, strict=True):
        assert mine == pytest.approx(its, rel=1e-5, abs=1e-6)
    alone, both = (load(folder / "last.safetensors")[0] for folder in (tmp_path, together / case))
    assert alone.keys() == both.keys()
    for name, array in alone.items():
        torch.testing.assert_close(torch.from_numpy(both[name]), torch.from_numpy(array), rtol=1e-5, atol=1e-5)


def test_a_process_alone_is_its_own_team(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with distributed.started("cpu") as (team, device):
        assert (team, device) == (ALONE, "cpu")
    assert distributed.team() == ALONE and ALONE.leads and not Team(1, 2).leads
    assert distributed.tell("word") == "word"


def test_a_missing_accelerate_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(ConfigError, match=r'pip install "wherewhen\[distributed\]"'), distributed.started("cpu"):
        pass


@pytest.mark.parametrize(("count", "size"), [(6, 2), (7, 2), (5, 3), (2, 3), (1, 2)])
def test_shares_cover_the_batch_and_keep_its_size(count: int, size: int, toy_bag: Any) -> None:
    sets = [toy_bag(n, n % 2, 2 + 5 * ((n + 1) % 3), (2 + n % 2, 3)).views["cells"] for n in range(count)]
    whole = {"cells": view(sets)}
    seen = []
    for rank in range(size):
        share, each = Team(rank, size).share(whole, count)
        part = share["cells"]
        assert each == -(-count // size) <= len(part.shapes)
        for axis in range(3):
            assert max(s[axis] for s in part.shapes) == max(s[axis] for s in whole["cells"].shapes)
        assert part.features.shape[1:] == whole["cells"].features.shape[1:]
        seen += [row.tobytes() for row in part.features[:each].numpy()]
    assert seen[:count] == [row.tobytes() for row in whole["cells"].features.numpy()]


def test_an_answer_without_an_axis_of_bags_is_refused() -> None:
    for lost in (torch.zeros(()), torch.zeros(7)):
        with pytest.raises(ConfigError, match="one process only: 'lost' of its answer has no axis of bags"):
            Team(0, 2).whole(Output(torch.zeros(3, 4), {"lost": lost}), 3, 6)


@pytest.mark.slow
def test_the_command_line_trains_in_two_processes(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One run folder as of one process, which finds it finished."""
    pytest.importorskip("accelerate")
    verb = ["train", str(clips), "--output", str(tmp_path / "run"), "--resume", "--quiet"]
    verb += ["--training.steps", "6", "--training.validate_every", "3"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*TEAM, "-m", "wherewhen", *verb], capture_output=True, text=True, timeout=280, env=env)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("model: ") == 1
    assert {"config.yaml", "metrics.json", "report.html", "weights"} <= {p.name for p in (tmp_path / "run").iterdir()}
    assert len(json.loads((tmp_path / "run" / "metrics.json").read_text())["history"]) == 2
    monkeypatch.setattr(loop, "_loss", None)  # nothing is learnt again
    assert cli.main(verb) == 0
    assert capsys.readouterr().out.count("model: ") == 1

"""A new method, metric, data set reader or verb is one new file: nothing else changes, and all of it is usable."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import wherewhen

SOURCE = Path(wherewhen.__file__).parent

METHOD = '''
"""Scores an instance by its first feature."""
from dataclasses import dataclass
import torch
from torch import nn
from wherewhen.core.contracts import MethodAbilities, Output, Provenance, Training

@dataclass(frozen=True)
class FirstConfig:
    """Settings of `First`.

    Args:
        scale: of the feature.
    """

    scale: float = 1.0

class First(nn.Module):
    """Scores an instance by its first feature."""

    Config, views, presets, abilities, reach = FirstConfig, ("cells",), {}, MethodAbilities(), 0.0
    schedule, source = Training(steps=2, bags=2), Provenance("First")

    def __init__(self, config, dims):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(()))
        self.scale = config.scale

    def forward(self, bags):
        view = bags["cells"]
        return Output(torch.sigmoid(self.scale * view.features[..., 0] + self.bias) * view.mask)

    def loss(self, output, bags, labels):
        return {"rank": ((output.scores.amax(1) - labels) ** 2).mean()}

PLUGIN = First
'''

METRIC = '''
"""Number of videos with ground truth."""
from wherewhen.core.contracts import Metric

def compute(predictions, truths):
    """``videos_with_truth``: how many."""
    return {"videos_with_truth": float(len(truths))}

PLUGIN = Metric(compute, ("videos_with_truth",), ("frames",), "this test", needs=("times",))
'''

READER = '''
"""Names of videos in a file that ends in ``.list``, with a label before each."""
from wherewhen.core.contracts import DatasetReader, Provenance
from wherewhen.core.values import Dataset, Video

def load(root):
    rows = [line.split() for line in (root / "videos.list").read_text().splitlines()]
    return Dataset("listed", tuple(Video(name, root / f"{name}.mp4", int(label)) for label, name in rows))

PLUGIN = DatasetReader(Provenance("Listed"), lambda root: (root / "videos.list").exists(), load, lambda root: {})
'''

VERB = '''
"""Print a number twice."""
from dataclasses import dataclass
from wherewhen.cli.needs import Need
from wherewhen.cli.verb import Verb

@dataclass(frozen=True)
class Options:
    """Options of ``double``.

    Args:
        number: a whole number.
        sign: print the sign too.
        json: print the result as JSON instead of text.
    """

    number: int
    sign: bool = False
    json: bool = False

def run(options):
    print(2 * options.number)
    return 0

VERB = Verb("help", Options, run, needs=(Need(("sign",), "json", False),))
'''

FILES = {
    "methods/first.py": METHOD,
    "metrics/videos_with_truth.py": METRIC,
    "datasets/listed.py": READER,
    "cli/commands/double.py": VERB,
}

USE = """
import json, sys
from pathlib import Path
import wherewhen
from wherewhen.cli import main
from wherewhen.core import registry

root, clips = map(Path, sys.argv[1:])
assert Path(wherewhen.__file__).is_relative_to(root), wherewhen.__file__
(root / "videos.list").write_text("1 a\\n0 b\\n")
codes = {}
for line in sys.stdin.read().splitlines():
    print("#", line, flush=True)
    codes[line] = main([*line.replace("CLIPS", str(clips)).replace("ROOT", str(root)).split()])
(root / "codes.json").write_text(json.dumps(codes))
metric = registry.load("metrics", "videos_with_truth")
assert metric.compute({}, {"a": None}) == {"videos_with_truth": 1.0}
"""

LINES = """
list methods
list metrics
list datasets
--help
double 21
double 21 --sign
double 21 --sign --json
double --help
data check ROOT
train CLIPS --method first --first.scale 2 --output ROOT/run --quiet
train CLIPS --method first --help
evaluate CLIPS --model ROOT/run --metrics videos_with_truth --output ROOT/evaluation --quiet
""".strip()


@pytest.fixture(scope="module")
def used(natives: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """What a package prints that consists of links to all files of this one, and of one new file for each kind."""
    root = tmp_path_factory.mktemp("extended")
    for path in SOURCE.rglob("*"):
        link = root / "wherewhen" / path.relative_to(SOURCE)
        if path.is_file() and "__pycache__" not in path.parts:
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)
    for name, text in FILES.items():
        assert not (SOURCE / name).exists()
        (root / "wherewhen" / name).write_text(text.lstrip())
    environment = {**os.environ, "PYTHONPATH": str(root), "COLUMNS": "110"}
    command = [sys.executable, "-c", USE, str(root), str(natives)]
    done = subprocess.run(command, env=environment, cwd=root, input=LINES, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    parts = [part.partition("\n") for part in done.stdout.split("# ")[1:]]
    codes = json.loads((root / "codes.json").read_text())
    yield SimpleNamespace(printed={line: text for line, _, text in parts}, codes=codes, errors=done.stderr, root=root)


def test_a_verb_is_one_file(used: Any) -> None:
    assert re.search(r"\n  double +Print a number twice\n", used.printed["--help"])
    assert used.printed["double 21"] == used.printed["double 21 --sign"] == "42\n"
    assert used.codes["double 21 --sign --json"] == 2 and "--sign has no effect with --json" in used.errors
    assert "print the sign too (not with --json)" in used.printed["double --help"]


def test_a_method_is_one_file(used: Any) -> None:
    assert "Scores an instance by its first feature" in used.printed["list methods"]
    line = "train CLIPS --method first --first.scale 2 --output ROOT/run --quiet"
    assert used.codes[line] == 0, used.errors
    assert (used.root / "run").is_dir() and "--first.scale" in used.printed["train CLIPS --method first --help"]


def test_a_metric_is_one_file(used: Any) -> None:
    assert "videos_with_truth" in used.printed["list metrics"]
    line = "evaluate CLIPS --model ROOT/run --metrics videos_with_truth --output ROOT/evaluation --quiet"
    assert used.codes[line] == 0, used.errors
    rows = json.loads((used.root / "evaluation" / "metrics.json").read_text())["rows"]
    assert {row["mean"] for row in rows if row["method"] == "first" and row["metric"] == "videos_with_truth"} == {4.0}


def test_a_data_set_is_one_file(used: Any) -> None:
    assert "Listed" in used.printed["list datasets"]
    assert "a.mp4" in used.printed["data check ROOT"] and used.codes["data check ROOT"] == 1

"""Heavy things enter late: a fresh interpreter tells what `import wherewhen` and the help texts load."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

import wherewhen
from wherewhen import cli

HEAVY = ("torch", "av", "cv2", "matplotlib", "scipy", "pyarrow", "sklearn", "tensorboard", "jinja2")

TELL = """
import json, sys
from importlib import import_module
try:
    {what}
except SystemExit as stop:
    assert not stop.code, stop.code
print(json.dumps([name for name in {heavy} if name in sys.modules]))
"""


def loaded(what: str, folder: Path, heavy: Sequence[str] = HEAVY) -> list[str]:
    """Heavy packages that a fresh interpreter has after some lines."""
    code = TELL.format(what=what, heavy=tuple(heavy))
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    answer: list[str] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_the_probe_can_see(tmp_path: Path) -> None:
    assert loaded("import scipy", tmp_path) == ["scipy"]


@pytest.mark.parametrize(
    "what",
    [
        "import wherewhen; wherewhen.__version__ if hasattr(wherewhen, '__version__') else dir(wherewhen)",
        "import wherewhen; wherewhen.Video, wherewhen.WherewhenError",
        "from wherewhen.cli import main; assert main(['--help']) == 0",
        "from wherewhen.cli import main; assert main(['trian']) != 0",
        "from wherewhen.cli import command_of, main, VERBS\n    for verb in VERBS: command_of(verb)",
        "from wherewhen.cli import main; main(['evaluate', '--help'])",
        "from wherewhen.cli import main; main(['data', '--help'])",
    ],
)
def test_nothing_heavy_is_loaded(what: str, tmp_path: Path) -> None:
    assert loaded(what, tmp_path) == []


def test_shapes_of_usual_methods_need_no_compiler(tmp_path: Path) -> None:
    what = """
    from wherewhen.inference.model_config import ModelConfig
    from wherewhen.runtime.shapes import shapes_only
    for name in ('cuboid_mil', 'pooled', 'gclnc', 'mgpr', 'rtfm'):
        config = ModelConfig.of({'method': name})
        with shapes_only():
            network = config.student(dict.fromkeys(config.part('method').views, 32))
        assert all(weights.is_meta for weights in network.parameters()), name
    """
    assert loaded(what.strip(), tmp_path, ("torch", "torch._dynamo")) == ["torch"]


def test_detection_loads_no_training(tmp_path: Path) -> None:
    heavy = ("wherewhen.training", "wherewhen.evaluation", "wherewhen.datasets")
    assert loaded("import wherewhen.api.detection", tmp_path, heavy) == []


def test_the_overview_needs_no_numbers(tmp_path: Path) -> None:
    what = "from wherewhen.cli import main; main(['--help'])"
    assert loaded(what, tmp_path, ("numpy", "yaml", "rich", "importlib.metadata")) == []


def test_python_dash_m_works(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "wherewhen", "--version"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("wherewhen ")


@pytest.mark.parametrize("name", wherewhen.__all__)
def test_public_names_are_there(name: str) -> None:
    assert getattr(wherewhen, name).__name__ == name
    assert name in dir(wherewhen)


def test_it_lists_public_names_alone_and_has_a_version() -> None:
    assert set(dir(wherewhen)) == {*wherewhen.__all__, "__doc__", "__version__"}
    assert wherewhen.__version__ == version("wherewhen")


@pytest.mark.parametrize("call", [wherewhen.load, wherewhen.train])
def test_a_wrong_type_is_told_in_our_words(call: Any) -> None:
    with pytest.raises(wherewhen.WherewhenError, match=r"expected the path of a .*, got float 1\.5"):
        call(1.5)


def test_no_module_takes_a_public_name() -> None:
    """A module that is called like a public function would take its place on the package once it is loaded."""
    files = {path.stem for path in Path(wherewhen.__file__).parent.iterdir()}
    assert not files & set(wherewhen.__all__)


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        wherewhen.trian  # noqa: B018


def test_all_is_what_is_lazy() -> None:
    assert sorted(wherewhen._HOMES) == wherewhen.__all__


def test_the_overview_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == cli.main(["-h"]) == 0
    text = capsys.readouterr().out
    assert all(f"  {verb} " in text for verb in cli.VERBS)

"""Mutated inputs of every kind, for half a minute; a slow machine tries fewer of the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import case
import pytest

MOST, SEED = 8, 0  # of each kind; these are known to pass, however quick a machine is
SECONDS = 30  # the case at the end of the time and the end of the process take some more


@pytest.mark.slow
def test_every_kind_of_input_gives_a_right_result_or_an_error_of_ours(tmp_path: Path) -> None:
    words = ["--seconds", str(SECONDS), "--seed", str(SEED), "--most", str(MOST), "--save", str(tmp_path)]
    done = subprocess.run([sys.executable, str(case.HERE / "run.py"), *words], capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert " 0 ways to fail" in done.stdout
    tried = {line.split()[0] for line in done.stdout.splitlines()}
    assert tried >= set(case.names())

"""The fuzzer itself: the same inputs each time, no fault missed, limits that hold."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import bounds
import case
import mutate_arrays
import mutate_bytes
import mutate_text
import mutate_video
import pytest
import run
import worker
from case import RIGHT, WRONG, Wrong
from kinds import _planted

Found = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What the fuzzer says of each fault that was planted, by its name."""
    work = tmp_path_factory.mktemp("planted")
    process = bounds.Worker(work, cpu=2.0, wall=10.0, growth=2**26, loads=False)
    ask = [process, work / "save", run.Tally(), "_planted", 0]
    try:
        made = {way: run.tried(*ask, number) for number, way in enumerate(_planted.WAYS)}  # type: ignore[arg-type]
        made["after"] = run.tried(*ask, 0)  # type: ignore[arg-type]
    finally:
        process.stop()
    return made | {"kept": {path.name: path for path in (work / "save").iterdir()}}


@pytest.mark.parametrize(
    ("way", "outcome", "why"),
    [
        ("right", "right", ""), ("refused", "refused", "no"), ("error", "refused", "DataError"),
        ("foreign", "wrong", "KeyError"), ("traceback", "wrong", "a traceback is printed"),
        ("no name", "wrong", "doesn't name the file"), ("no cause", "wrong", "says nothing"),
        ("wrong", "wrong", "wrong"), ("hang", "wrong", "hangs"), ("sleep", "wrong", "hangs"),
        ("large", "wrong", "MB of memory"), ("too large", "wrong", "MemoryError"), ("abort", "wrong", "died (-11)"),
        ("exit", "wrong", "died (0)"), ("after", "right", ""),
    ],
)  # fmt: skip
def test_no_planted_fault_is_missed(found: Found, way: str, outcome: str, why: str) -> None:
    assert found[way]["outcome"] == outcome
    assert why in found[way].get("why", "")


def test_the_place_of_a_hang_is_told(found: Found) -> None:
    assert "in judge" in found["hang"]["trace"] and "in judge" in found["sleep"]["trace"]


def test_what_fails_is_kept_and_can_be_tried_again(found: Found, tmp_path: Path) -> None:
    assert set(found["kept"]) == {f"_planted-0-{number}" for number in range(3, len(_planted.WAYS))}
    process = bounds.Worker(tmp_path, loads=False)
    try:
        again = run.replay(found["kept"]["_planted-0-3"], process)
        assert (again["outcome"], again["why"]) == (WRONG, "KeyError: 'x'")
        (found["kept"]["_planted-0-7"] / "input" / "07").write_text("right")
        assert run.replay(found["kept"]["_planted-0-7"], process)["outcome"] == RIGHT
    finally:
        process.stop()


def test_limits_hold_for_the_fuzzer_and_its_worker() -> None:
    told = (
        "import worker, resource as r; worker.bounded(); print(r.getrlimit(r.RLIMIT_AS), r.getrlimit(r.RLIMIT_FSIZE))"
    )
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True, cwd=case.HERE)
    assert worker.MEMORY <= 3 * 2**30
    assert done.stdout.strip() == f"{(worker.MEMORY,) * 2} {(worker.DISK,) * 2}"
    assert resource.getrlimit(resource.RLIMIT_AS)[0] != worker.MEMORY  # not this process, which has more to do


def test_findings_are_told_with_the_command_that_tries_them_again(tmp_path: Path) -> None:
    process = bounds.Worker(tmp_path / "work", loads=False)
    words = "import run, bounds, sys; from pathlib import Path; w = bounds.Worker(Path(sys.argv[1]), loads=False)\n"
    words += "sys.stdout.flush(); code = run.fuzz(w, Path(sys.argv[2]), ['_planted'], 0, 0.0); w.stop(); sys.exit(code)"
    done = subprocess.run(
        [sys.executable, "-c", words, str(process.work), str(tmp_path / "save")], cwd=case.HERE,
        capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")  # the first case of the kind is a right one
    assert "1 inputs, 0 ways to fail" in done.stdout


def test_the_seed_alone_says_which_inputs_come(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("training:\n  steps: 3\nseed: 1\n")
    drawn = [[case.drawn("prompts", seed, number, tmp_path)[1] for number in range(40)] for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(set(drawn[0])) > 20
    assert drawn[0][0] == (tmp_path / "a.yaml").read_bytes()


def test_kinds_take_turns() -> None:
    assert list(islice(run.cases(["a", "b"]), 5)) == [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2)]


SAMPLES: dict[str, bytes] = {
    "a.mp4": b"\0\0\0\x10ftypisom\0\0\0\0\0\0\0\x20moov\0\0\0\x18stts\0\0\0\0\0\0\0\1\0\0\0\x28\0\0\2\0",
    "a.ts": bytes(188) * 3,
    "a.avi": b"RIFF\0\0\0\0AVI LIST" + bytes(40),
    "a.mkv": b"\x1a\x45\xdf\xa3" + bytes(30) + b"\x44\x89\x84\0\0\0\0",
    "a.json": b'{"a": [1, 2.5, null], "b": {"c": "d"}}',
    "a.yaml": b"a: 1\nb:\n  - c\n  - 2.5\n",
    "a.csv": b"path,label\na.mp4,1\n",
    "a.xml": b"<a><b c='1'>2</b></a>",
    "a.safetensors": mutate_arrays.closed({"passport": '{"a": 1}'}, {"x": mutate_arrays.np.ones((2, 3), "<f4")}),
}
MUTATED: dict[str, Callable[[Random, str, bytes], bytes]] = {
    **dict.fromkeys(("json", "yaml", "csv", "xml"), mutate_text.mutated),
    **dict.fromkeys(("mp4", "ts", "avi", "mkv"), mutate_video.mutated),
    "safetensors": mutate_arrays.mutated,
}


@pytest.mark.parametrize("name", SAMPLES)
def test_faults_can_be_put_on_faults(name: str) -> None:
    made = set()
    for number in range(40):
        data = SAMPLES[name]
        for turn in range(3):
            data = MUTATED[name.rpartition(".")[2]](Random(f"{name}{number}{turn}"), name, data)
            assert isinstance(data, bytes) and len(data) <= case.LARGEST
        made.add(data)
    assert len(made) > 20
    assert all(isinstance(fault(Random(1), b""), bytes) for fault in mutate_bytes.FAULTS)


@pytest.mark.parametrize("text", ["", "\x1b[31m a.mp4", "a.mp4" * 5000, "x: no"])
def test_a_message_is_printable_and_names_the_file(text: str) -> None:
    with pytest.raises(Wrong):
        case.check_message(text, "a.mp4")
    case.check_message("a.mp4: no", "a.mp4")


@pytest.mark.parametrize(("code", "err"), [(4, ""), (1, "oh"), (2, "Traceback (most recent call last):\nerror: x\n")])
def test_an_exit_code_has_its_error(code: int, err: str) -> None:
    with pytest.raises(Wrong):
        case.check_command(code, err)


def test_a_kept_finding_tells_all_that_is_known(found: Found) -> None:
    told = json.loads((found["kept"]["_planted-0-3"] / "finding.json").read_text())
    assert (told["kind"], told["seed"], told["number"], told["file"]) == ("_planted", 0, 3, "03")
    assert "KeyError" in told["trace"]

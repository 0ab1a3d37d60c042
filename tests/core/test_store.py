from __future__ import annotations

import json
import os
import pickle
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wherewhen.core import array_files, store
from wherewhen.core.errors import StoreError
from wherewhen.core.outputs import MANIFEST

DEAD = 2**22 + 7  # no process has such a number


def test_arrays_and_passport_come_back(tmp_path: Path) -> None:
    arrays: dict[str, Any] = {
        "features": np.arange(6, dtype=np.float32).reshape(2, 3),
        "track": np.array([1, -1]),
        "step": np.float32(7),
    }
    array_files.save(tmp_path / "a.safetensors", arrays, {"backbone": "motion", "size": (7, 7)})
    found, passport = array_files.load(tmp_path / "a.safetensors", {"backbone": "motion", "size": [7, 7]})
    assert passport == {"backbone": "motion", "size": [7, 7]}
    for name, array in arrays.items():
        assert (found[name].shape, found[name].dtype) == (array.shape, array.dtype)
        np.testing.assert_array_equal(found[name], array)
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


def test_the_library_reads_what_we_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.numpy import load_file

    monkeypatch.setattr(store, "PIECE", 64)  # many pieces
    rng = np.random.default_rng(0)
    kinds = (np.float64, np.float32, np.float16, np.int64, np.int32, np.uint8, np.int8, bool)
    arrays: dict[str, Any] = {kind.__name__: rng.integers(0, 2, (7, 3, 5)).astype(kind) for kind in kinds}
    arrays |= {"turned": arrays["float32"].T, "every other": arrays["float64"][::2, 1:], "none": np.zeros((0, 4))}
    arrays |= {"number": np.array(2.5), 'ü "quoted"': np.ones(1), "wide": rng.normal(size=(2, 100))}
    array_files.save(tmp_path / "a.safetensors", arrays, {})
    found = load_file(tmp_path / "a.safetensors")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype, name
        np.testing.assert_array_equal(found[name], array)
    for bad in (np.array(["word"]), np.array([1j]), np.array([None])):
        with pytest.raises(StoreError, match="can't be written"):
            array_files.save(tmp_path / "a.safetensors", {"x": bad}, {})
    assert load_file(tmp_path / "a.safetensors").keys() == arrays.keys()


def test_mapped_arrays_are_those_that_were_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {np.dtype(k).name: rng.integers(0, 2, (7, 3)).astype(k) for k in "dfeqiBb?"}
    arrays |= {"none": np.zeros((0, 4)), "number": np.array(2.5)}
    array_files.save(tmp_path / "a.safetensors", arrays, {"how": "so"})
    found, passport = array_files.mapped(tmp_path / "a.safetensors")
    assert found.keys() == arrays.keys() and passport == {"how": "so"}
    for name, array in arrays.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape), name
        np.testing.assert_array_equal(found[name], array)
        assert not found[name].flags.owndata and not found[name].flags.writeable


def _file(head: bytes, data: bytes = bytes(8)) -> bytes:
    return len(head).to_bytes(8, "little") + head + data


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"rubbish",
        (2**60).to_bytes(8, "little") + b"{}",
        _file(b"[]"),
        _file(b'{"x": {}}'),
        _file(b'{"__metadata__": {"passport": "7"}}'),
        *(
            _file(b'{"__metadata__": {"passport": "{}"}, "x": {"dtype": %s, "shape": %s, "data_offsets": %s}}' % told)
            for told in (
                (b'"F32"', b"[2]", b"[0, 16]"),
                (b'"F32"', b"[-1]", b"[0, 8]"),
                (b'"F32"', b"[3]", b"[0, 8]"),
                (b'"F32"', b"[2]", b"[8, 0]"),
                (b'"O64"', b"[1]", b"[0, 8]"),
                (b"7", b"[1]", b"[0, 8]"),
            )
        ),
    ],
)
def test_a_damaged_file_is_not_mapped(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(StoreError, match=r"safetensors|passport"):
        array_files.mapped(tmp_path / "a.safetensors")
    with pytest.raises(StoreError, match="no such file"):
        array_files.mapped(tmp_path / "b.safetensors")


def test_a_different_passport_is_refused_and_named(tmp_path: Path) -> None:
    array_files.save(tmp_path / "a.safetensors", {"x": np.zeros(1)}, {"backbone": "motion"})
    with pytest.raises(StoreError, match="backbone: expected 'i3d', got 'motion'"):
        array_files.load(tmp_path / "a.safetensors", {"backbone": "i3d"})


def test_pickles_and_truncated_files_are_refused(tmp_path: Path) -> None:
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(pickle.dumps({"x": 1}))
    with pytest.raises(StoreError, match="not a readable safetensors file"):
        array_files.load(bad)
    bad.unlink()
    array_files.save(bad, {"x": np.zeros(1000)}, {})
    bad.write_bytes(bad.read_bytes()[:-10])
    with pytest.raises(StoreError, match="delete it and run again"):
        array_files.load(bad)
    with pytest.raises(StoreError, match="no such file"):
        array_files.load(tmp_path / "absent.safetensors")


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    store.write_atomic(tmp_path / "x.txt", "old")
    with pytest.raises(RuntimeError), store.atomic(tmp_path / "x.txt") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert (tmp_path / "x.txt").read_text() == "old"
    assert {p.name for p in tmp_path.iterdir()} == {"x.txt", MANIFEST}


def test_json_has_no_nan(tmp_path: Path) -> None:
    store.write_json(tmp_path / "x.json", {"a": float("nan"), "b": [np.float32(0.5)]})
    assert (tmp_path / "x.json").read_text().split() == ["{", '"a":', "null,", '"b":', "[", "0.5", "]", "}"]


def test_content_hash_tells_folders_apart(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").write_bytes(b"x")
    first = store.content_hash(tmp_path / "a")
    (tmp_path / "a" / "1.png").rename(tmp_path / "a" / "2.png")
    assert store.content_hash(tmp_path / "a") != first


def test_drafts_of_the_dead_are_swept_and_those_of_the_living_stay(tmp_path: Path) -> None:
    code = "import sys, time; from wherewhen.core import store\nwith store.atomic(sys.argv[1]): "
    code += "print(1, flush=True); time.sleep(60)"
    (tmp_path / "deep").mkdir()
    done = [
        subprocess.Popen([sys.executable, "-c", code, tmp_path / "deep" / f"{k}.bin"], stdout=subprocess.PIPE)
        for k in range(2)
    ]
    try:
        for one in done:
            assert one.stdout and one.stdout.readline()
        (tmp_path / ".keep~me").touch()
        assert len(list((tmp_path / "deep").iterdir())) == 2
        done[0].kill()
        done[0].wait()
        swept = store.sweep(tmp_path)
        assert [path.name.split("~")[2] for path in swept] == [str(done[0].pid)]
        assert len(list((tmp_path / "deep").iterdir())) == 1 and (tmp_path / ".keep~me").exists()
        done[1].kill()  # not waited for: a zombie writes no more
        time.sleep(0.2)
        assert len(store.sweep(tmp_path)) == 1
    finally:
        for one in done:
            one.kill()
            one.wait()
            assert one.stdout
            one.stdout.close()


def test_drafts_of_other_machines_and_of_earlier_owners_of_a_number(tmp_path: Path) -> None:
    names = (".a~elsewhere~1~abcdef12.bin", f".a~{socket.gethostname()}~{os.getpid()}~abcdef12.bin", ".a.1.tmp.mp4")
    drafts = [tmp_path / name for name in names]
    kept = [
        tmp_path / name for name in (".a~b~1~c", "a~b~1~abcdef12.bin", ".a~b~1~abcdef12~", "a.1.tmp.mp4", ".a.tmp.mp4")
    ]
    huge = tmp_path / f".a~{socket.gethostname()}~{10**30}~abcdef12.bin"
    for path in (*drafts, *kept, huge):
        path.touch()
    assert store.sweep(tmp_path) == []
    (tmp_path / ".dir~elsewhere~1~abcdef12").mkdir()
    for path in (*drafts, *kept, huge):
        os.utime(path, (0, 0))
    drafts[2].rename(tmp_path / f".a.{DEAD}.tmp.mp4")
    assert {path.name for path in store.sweep(tmp_path)} == {names[0], names[1], f".a.{DEAD}.tmp.mp4"}
    assert all(path.exists() for path in (*kept, huge))


@pytest.mark.parametrize("name", ["a.bin", "x" * 240 + ".mp4", "🎥" * 60 + ".mp4", "caf\udce9\n~.mp4"])
def test_the_next_draft_in_a_folder_removes_those_of_the_dead(name: str, tmp_path: Path) -> None:
    target = tmp_path / name
    with store.draft(tmp_path, target.stem, target.suffix) as made:
        left = tmp_path / made.name.replace(f"~{os.getpid()}~", f"~{DEAD}~")
    assert left != made
    left.touch()
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / left.name).touch()
    store._SWEPT.clear()
    store.write_atomic(target, b"whole")
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} - {".wherewhen.jsonl"} == {name}
    assert (tmp_path / "deep" / left.name).exists(), "a run looks only where it writes"


def _add(path: Path, number: int) -> None:
    with store.locked(path):
        found = json.loads(path.read_text()) if path.exists() else []
        time.sleep(0.01)
        store.write_json(path, [*found, number])


def test_who_reads_and_writes_under_a_lock_loses_nothing(tmp_path: Path) -> None:
    """Threads open the lock anew each, so they keep each other out as processes do."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: _add(tmp_path / "new" / "list.json", number), range(16)))
    assert sorted(json.loads((tmp_path / "new" / "list.json").read_text())) == list(range(16))

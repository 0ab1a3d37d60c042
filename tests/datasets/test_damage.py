"""Damaged files of labels and truth: either they are read, or an error of ours names the folder, in one line."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import numpy as np
import pytest

from wherewhen.core import registry
from wherewhen.core.diagnostics import listening
from wherewhen.core.errors import DataError
from wherewhen.datasets import _files
from wherewhen.datasets._feature_store import read_index
from wherewhen.datasets.avenue import masks

CLIP = {"frames": 20, "fps": 10, "width": 40, "height": 20}
NATIVE = {
    "gt.json": {
        "bad": {
            **CLIP,
            "file": "bad.mp4",
            "label": 1,
            "segments_0based_halfopen": [[4, 8]],
            "boxes": {"4": [[1, 2, 3, 4]]},
        },
        "good": {**CLIP, "file": "good.mp4", "label": 0},
    },
    "splits.json": {
        "bags": [
            {"id": "bad", "clip": "bad", "start": 0, "end": 20, "label": 1},
            {"id": "good_0", "clip": "good", "start": 0, "end": 10, "label": 0},
        ],
        "splits": [{"name": "a", "train": ["bad"], "test": ["good_0"]}],
    },
}
STORE = {
    "features.json": {
        "format": 1,
        "name": "x",
        "looks": {"m": {"backbone": "b"}},
        "videos": [{"id": "a", "label": 1, "category": "x", "span": [0, 1.5]}, {"id": "b", "label": 0}],
        "folds": [{"name": "f", "train": ["a"], "test": ["b"]}],
    }
}
PIECES = [
    b'"',
    b",",
    b"\n",
    b"\0",
    b"\xff",
    b"../",
    b"-1",
    b"9" * 30,
    b"1e400",
    b"NaN",
    b"null",
    b"[]",
    b"{}",
    b"\\ud800",
]


def damaged(rng: Random, content: bytes) -> bytes:
    found = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at, kind = rng.randrange(len(found)), rng.randrange(4)
        if kind == 0:
            found[at] = rng.randrange(256)
        elif kind == 1:
            found[at : at + rng.choice((1, 3, 20))] = rng.choice(PIECES)
        elif kind == 2:
            found[at:at] = rng.choice(PIECES) * rng.choice((1, 2))
        else:
            del found[at : at + rng.choice((1, 5, 50))]
        found = found or bytearray(b" ")
    return bytes(found)


@pytest.mark.parametrize(("reader", "files"), [("native", NATIVE), ("features", STORE)])
def test_damage_gives_what_can_be_read_or_an_error_of_ours(
    tmp_path: Path, reader: str, files: dict[str, object]
) -> None:
    whole = {name: json.dumps(value).encode() for name, value in files.items()}
    for name in ("bad", "good"):
        (tmp_path / "videos").mkdir(exist_ok=True)
        (tmp_path / "videos" / f"{name}.mp4").touch()
    plugin, rng, read = registry.load("datasets", reader), Random(0), 0
    for _ in range(400):
        target = rng.choice(sorted(whole))
        for name, content in whole.items():
            (tmp_path / name).write_bytes(damaged(rng, content) if name == target else content)
        try:
            with listening():
                read += bool(plugin.load(tmp_path).videos)
                plugin.truth(tmp_path)
        except DataError as error:
            told = str(error)
            assert str(tmp_path) in told and told.isprintable() and len(told) < 2000
    assert 10 < read < 390


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"looks": []}, "expected 'videos', 'folds' and 'looks'"),
        ({"videos": [{"id": "a", "label": 2}]}, "'a': label is 0, 1 or null"),
        ({"videos": [{"id": "a", "camera": 3}]}, "'a': label is 0, 1 or null, category and camera names"),
        ({"videos": [{"id": "a"}, {"id": "a"}]}, "a video needs a unique id, got 'a'"),
        ({"videos": [{"id": "a", "span": [2, 1]}]}, "'a': span is a rising pair"),
        ({"folds": [{"name": "f", "train": ["a"], "test": ["a"]}]}, "'f': a video is in train and test"),
        ({"folds": [{"name": "f", "train": "a", "test": []}]}, "'f': expected lists of ids"),
        ({"format": 9}, "expected an index of format 1"),
    ],
)
def test_an_index_that_contradicts_itself_is_refused(tmp_path: Path, change: dict[str, object], says: str) -> None:
    (tmp_path / "features.json").write_text(json.dumps({**STORE["features.json"], **change}))
    with pytest.raises(DataError, match=rf"features\.json: .*{says}"):
        read_index(tmp_path)


def test_arrays_that_are_none_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "good.npy", np.arange(5))
    whole = (tmp_path / "good.npy").read_bytes()
    np.save(tmp_path / "objects.npy", np.array([{}], object), allow_pickle=True)
    rng, refused = Random(1), 0
    for _ in range(100):
        (tmp_path / "a.npy").write_bytes(damaged(rng, whole))
        try:
            _files.array(tmp_path / "a.npy")
        except DataError as error:
            refused += str(error).startswith(f"{tmp_path}/a.npy: not a readable npy file")
    assert 10 < refused < 100
    with pytest.raises(DataError, match=r"objects\.npy: not a readable npy file of numbers"):
        _files.array(tmp_path / "objects.npy")


def test_a_damaged_mat_file_is_refused(tmp_path: Path) -> None:
    from scipy.io import savemat

    cells = np.empty(2, object)
    cells[:] = [np.zeros((4, 4), np.uint8), np.ones((4, 4), np.uint8)]
    savemat(tmp_path / "1.mat", {"volLabel": cells}, do_compression=True)
    assert masks(tmp_path / "1.mat").shape == (2, 4, 4)
    whole, rng = (tmp_path / "1.mat").read_bytes(), Random(2)
    for _ in range(60):
        (tmp_path / "2.mat").write_bytes(whole[:128] + damaged(rng, whole[128:]))
        try:
            masks(tmp_path / "2.mat")
        except DataError as error:
            assert str(error).startswith(f"{tmp_path}/2.mat: expected volLabel")

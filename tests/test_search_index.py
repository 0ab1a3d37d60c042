from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wherewhen import search_index
from wherewhen.errors import ConfigError, StoreError

RNG = np.random.default_rng(0)


def vectors(count: int, dims: int = 16) -> np.ndarray:
    """Unit vectors around fifty centers."""
    made = RNG.normal(size=(50, dims))[RNG.integers(0, 50, count)] + 0.4 * RNG.normal(size=(count, dims))
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float16)


def by_hand(rows: np.ndarray, query: np.ndarray, count: int) -> list[int]:
    return sorted(range(len(rows)), key=lambda k: (-float(rows[k].astype(np.float32) @ query), k))[:count]


def test_few_vectors_are_all_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_index, "BLOCK", 17)
    rows = vectors(100)
    path = search_index.build(tmp_path / "few", iter([rows[:30], rows[30:]]), 100)
    assert path.suffix == ".npy"
    query = rows[7].astype(np.float32)
    scores, numbers = search_index.load(path).nearest(query, 5)
    assert numbers.tolist() == by_hand(rows, query, 5) and numbers[0] == 7
    np.testing.assert_allclose(scores, rows[numbers].astype(np.float32) @ query, atol=1e-6)
    assert len(search_index.load(path).nearest(query, 1000)[1]) == 100


def test_many_vectors_are_found_in_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("faiss", reason='pip install "wherewhen[search]"')
    monkeypatch.setattr(search_index, "EXACT", 1000)
    monkeypatch.setattr(search_index, "LOOKED", 0.25)
    rows = vectors(4000)
    path = search_index.build(tmp_path / "many", iter(np.array_split(rows, 7)), 4000)
    assert path.suffix == ".faiss"
    index = search_index.load(path)
    shared = []
    for k in range(0, 4000, 400):
        query = rows[k].astype(np.float32)
        scores, numbers = index.nearest(query, 10)
        assert (np.diff(scores) <= 0).all() and len(set(numbers.tolist())) == len(numbers) == 10
        np.testing.assert_allclose(scores, rows[numbers].astype(np.float32) @ query, atol=0.02)
        shared.append(len({*numbers.tolist()} & {*by_hand(rows, query, 10)}) / 10)
    assert np.mean(shared) > 0.9


def test_a_missing_library_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    monkeypatch.setattr(search_index, "EXACT", 10)
    with pytest.raises(ConfigError, match=r'pip install "wherewhen\[search\]"'):
        search_index.build(tmp_path / "many", iter([vectors(20)]), 20)


@pytest.mark.parametrize("data", [b"", b"rubbish", b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False}"])
def test_a_damaged_index_is_told(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.npy").write_bytes(data)
    with pytest.raises(StoreError, match="not a readable index"):
        search_index.load(tmp_path / "x.npy")

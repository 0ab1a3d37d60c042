from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wherewhen.core.errors import StoreError
from wherewhen.text import search_vectors
from wherewhen.text.search_vectors import cosines, listed, nearest, opened, packed


def unit(count: int, dims: int = 16, seed: int = 0) -> np.ndarray:
    """Unit vectors around fifty centers."""
    rng = np.random.default_rng(seed)
    made = rng.normal(size=(50, dims))[rng.integers(0, 50, count)] + 0.4 * rng.normal(size=(count, dims))
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


def test_packed_vectors_are_the_vectors_within_half_a_step() -> None:
    rows = np.concatenate([unit(40), np.zeros((1, 16), np.float32)])
    codes, worth = packed(rows)
    assert codes.dtype == np.int8 and worth.dtype == np.float32
    assert (np.abs(codes * worth[:, None] - rows) <= worth[:, None] * 0.5001).all()
    assert (np.abs(codes).max(1)[:-1] == 127).all() and not codes[-1].any()


@pytest.mark.parametrize("count", [0, 1, 7, 8, 20])
def test_cosines_are_products_one_by_one(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_vectors, "BLOCK", 7)
    codes, worth = packed(unit(count))
    query = unit(1, seed=1)[0]
    wanted = [
        sum(int(c) * float(w) * float(q) for c, q in zip(row, query, strict=True))
        for row, w in zip(codes, worth, strict=True)
    ]
    np.testing.assert_allclose(cosines(codes, worth, query), wanted, atol=1e-6)


@pytest.fixture
def lists(tmp_path: Path) -> tuple[Any, np.ndarray]:
    """Ninety vectors in twelve lists, mapped, and the vectors."""
    rows = unit(90)
    search_vectors.learn(tmp_path / "empty.faiss", rows, 12)
    search_vectors.fill(tmp_path / "full.faiss", tmp_path / "empty.faiss", [rows[:50], rows[50:]])
    return opened(tmp_path / "full.faiss", mapped=True), rows


def test_vectors_come_out_of_lists_with_their_numbers(lists: tuple[Any, np.ndarray]) -> None:
    pieces = list(listed(lists[0]))
    numbers = np.concatenate([own for _, own in pieces])
    assert sorted(numbers.tolist()) == list(range(90)) and 1 < len(pieces) <= 12
    np.testing.assert_allclose(np.concatenate([vectors for vectors, _ in pieces]), lists[1][numbers], atol=0.01)


@pytest.mark.parametrize("some", [False, True])
def test_the_nearest_in_all_lists_are_those_of_comparing_each(
    lists: tuple[Any, np.ndarray], some: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_vectors, "PROBED", 1.0)
    alive = np.random.default_rng(4).random(90) < 0.5 if some else None
    stored = np.empty_like(lists[1])
    for vectors, numbers in listed(lists[0]):
        stored[numbers] = vectors
    query = unit(1, seed=1)[0]
    wanted = sorted(
        ((float(row @ query), k) for k, row in enumerate(stored) if alive is None or alive[k]), reverse=True
    )
    scores, numbers = nearest(lists[0], query, 7, alive)
    assert numbers.tolist() == [k for _, k in wanted[:7]]
    np.testing.assert_allclose(scores, [score for score, _ in wanted[:7]], atol=1e-5)
    assert len(nearest(lists[0], query, 1000, alive)[0]) == len(wanted)


def test_a_question_looks_into_some_lists_only(lists: tuple[Any, np.ndarray]) -> None:
    held, query = lists[0], unit(1, seed=1)[0]
    centers = np.stack([held.quantizer.reconstruct(k) for k in range(held.nlist)])
    near = np.argsort(-(centers @ query))[: search_vectors.LEAST_PROBED]
    of = {int(k): number for number, (_, own) in enumerate(listed(held)) for k in own}
    filled = [k for k in range(held.nlist) if held.invlists.list_size(k)]
    looked = {filled[of[int(k)]] for k in nearest(held, query, 90, None)[1]}
    assert looked == set(near.tolist()) & set(filled) and len(looked) < len(filled)


def test_lists_that_can_not_be_read_are_told(tmp_path: Path) -> None:
    (tmp_path / "x.faiss").write_bytes(b"rubbish")
    with pytest.raises(StoreError, match="not readable lists"):
        opened(tmp_path / "x.faiss")

from __future__ import annotations

import numpy as np
import pytest

from wherewhen import search_vectors
from wherewhen.search_vectors import cosines, learnt, list_of, packed


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
    room = search_vectors.space(codes, 3)
    np.testing.assert_allclose(cosines(codes, worth, query, room), wanted, atol=1e-6)


def test_a_list_is_the_nearest_center(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_vectors, "BLOCK", 7)
    codes, _ = packed(unit(30))
    centers = unit(5, seed=2)
    wanted = [max(range(5), key=lambda k, row=row: float(centers[k] @ row)) for row in codes.astype(np.float32)]
    assert list_of(codes, centers).tolist() == wanted


def test_learnt_centers_lie_in_the_middle_of_what_lies_together() -> None:
    rng = np.random.default_rng(3)
    true = np.linalg.qr(rng.normal(size=(8, 8)))[0][:4]
    rows = np.repeat(true, 50, 0) + 0.05 * rng.normal(size=(200, 8))
    codes, _ = packed(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    centers = learnt(codes, 12)
    np.testing.assert_allclose(np.linalg.norm(centers, axis=1), 1, atol=1e-5)
    assert ((centers @ true.T).max(0) > 0.98).all()
    near = (codes / np.linalg.norm(codes.astype(float), axis=1, keepdims=True)) @ centers.T
    assert near.max(1).min() > 0.9

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wherewhen.core.array_files import save
from wherewhen.core.errors import StoreError
from wherewhen.text import search_segments as parts
from wherewhen.text import search_vectors
from wherewhen.text.search_segments import Part

RNG = np.random.default_rng(0)


def some(owner: int, count: int = 40, dims: int = 8) -> dict[str, np.ndarray]:
    vectors = RNG.normal(size=(count, dims))
    rows = np.concatenate([np.arange(count)[:, None] + [0, 1], RNG.random((count, 4))], 1)
    return parts.fresh(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), rows, owner)


@pytest.fixture
def three(tmp_path: Path) -> list[Part]:
    """Parts of owners 0 and 1, of 2, and of 3."""
    tables = [parts.joined([some(0), some(1)]), some(2), some(3)]
    for number, table in enumerate(tables):
        parts.write(tmp_path / f"{number}.safetensors", table)
    return [Part.open(tmp_path / f"{number}.safetensors") for number in range(3)]


def test_a_part_is_what_was_written(three: list[Part]) -> None:
    assert [len(part) for part in three] == [80, 40, 40] and three[0].counts() == {0: 40, 1: 40}
    query = np.eye(8, dtype=np.float32)[0]
    exact = three[0].arrays["codes"][:, 0] * three[0].arrays["worth"]
    for alive in (None, np.arange(80) % 3 > 0):
        scores, rows = three[0].nearest(query, 5, alive)
        wanted = [k for k in np.argsort(-exact, kind="stable") if alive is None or alive[k]][:5]
        assert sorted(rows.tolist()) == sorted(wanted)
        np.testing.assert_allclose(scores, exact[rows], atol=1e-6)
    assert len(three[0].nearest(query, 500)[0]) == 80


@pytest.mark.parametrize("listed", [False, True])
def test_packing_keeps_each_living_row_with_its_time_and_place(three: list[Part], tmp_path: Path, listed: bool) -> None:
    alive = np.array([True, False, True, True, False])
    empty = tmp_path / "lists.faiss" if listed else None
    if empty is not None:
        search_vectors.learn(empty, parts.sample(three, alive, 10_000), 6)
    assert parts.repacked(tmp_path / "new.safetensors", three, alive, empty) == 120
    made = Part.open(tmp_path / "new.safetensors")
    assert made.lists == ("lists.faiss" if listed else "")

    def rows(many: list[Part]) -> dict[bytes, np.ndarray]:
        found = {}
        for part in many:
            for vectors, numbers in part.pieces(alive):
                for vector, k in zip(vectors, numbers, strict=True):
                    found[b"".join(np.asarray(part.arrays[name][k]).tobytes() for name in parts.ROWS)] = vector
        return found

    before, after = rows(three), rows([made])
    assert set(before) == set(after) and len(after) == 120 and set(made.counts()) == {0, 2, 3}
    for key, vector in before.items():
        np.testing.assert_allclose(after[key], vector, atol=0.03 if listed else 0)
    again = tmp_path / "again.safetensors"
    assert parts.repacked(again, [made], np.array([False, False, True, False]), empty) == 40
    assert Part.open(again).counts() == {2: 40}
    made.remove()
    assert not list(tmp_path.glob("new.*"))
    assert parts.repacked(again, three, np.array([False]), empty) == 0 or not listed


def test_unknown_owners_are_dead() -> None:
    alive = np.array([True, False, True, False])
    owners = np.array([0, 1, 2, 3, 7, -1], np.int32)
    assert parts.living(owners, alive).tolist() == [True, False, True, False, False, False]


def test_a_sample_comes_from_all_living_rows(three: list[Part]) -> None:
    alive = np.array([True, False, True, True, False])
    whole = parts.sample(three, alive, 10_000)
    assert len(whole) == 120
    assert 0 < len(parts.sample(three, alive, 60)) < 120


@pytest.mark.parametrize("change", ["codes", "owner", "spans", "lists"])
def test_a_part_that_can_not_be_is_told(tmp_path: Path, change: str) -> None:
    table: dict[str, np.ndarray] = some(0, 40)
    if change == "lists":
        vectors = table.pop("codes") * table.pop("worth")[:, None]
        search_vectors.learn(tmp_path / "lists.faiss", vectors, 2)
        search_vectors.fill(tmp_path / "x.faiss", tmp_path / "lists.faiss", [vectors[:-1]])
    elif change == "codes":
        table["codes"] = table["codes"].astype(np.float32)
    else:
        table[change] = table[change][:-1]
    save(tmp_path / "x.safetensors", table, {"lists": "lists.faiss" if change == "lists" else None})
    with pytest.raises(StoreError, match="not a part of a search index"):
        Part.open(tmp_path / "x.safetensors")

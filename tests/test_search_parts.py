from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wherewhen import search_parts as parts
from wherewhen.errors import StoreError
from wherewhen.search_parts import Lists, Part
from wherewhen.store import save

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
    scores, rows = three[0].looked(query, None)
    codes, worth = three[0].arrays["codes"], three[0].arrays["worth"]
    np.testing.assert_allclose(scores, codes[:, 0] * worth, atol=1e-6)
    assert rows.tolist() == list(range(80))


@pytest.mark.parametrize("listed", [False, True])
def test_packing_keeps_each_living_row_with_its_time_and_place(three: list[Part], tmp_path: Path, listed: bool) -> None:
    alive = np.array([True, False, True, True, False])
    centers = np.concatenate([np.eye(8), -np.eye(8)]).astype(np.float32)
    lists = Lists("lists", centers) if listed else None
    assert parts.repacked(tmp_path / "new.safetensors", three, alive, lists) == 120
    made = Part.open(tmp_path / "new.safetensors")

    def rows(many: list[Part], owners: set[int]) -> set[bytes]:
        named = zip(*(np.concatenate([p.arrays[name] for p in many]) for name in parts.DTYPES), strict=True)
        return {b"".join(np.asarray(v).tobytes() for v in row) for row in named if int(row[2]) in owners}

    assert rows([made], {0, 2, 3}) == rows(three, {0, 2, 3}) and set(made.counts()) == {0, 2, 3}
    if lists is not None:
        nearest = [int((centers @ code).argmax()) for code in made.arrays["codes"].astype(np.float32)]
        assert made.labels(lists).tolist() == nearest == sorted(nearest)
        query = np.float32([0.6, 0, 0, -0.8, 0, 0, 0, 0])
        near = set(np.argsort(-(centers @ query), kind="stable")[: parts.LEAST_LOOKED].tolist())
        scores, looked = made.looked(query, lists)
        assert set(looked.tolist()) == {row for row, k in enumerate(nearest) if k in near}
        np.testing.assert_allclose(
            scores, (made.arrays["codes"][looked] * made.arrays["worth"][looked, None]) @ query, atol=1e-6
        )


def test_unknown_owners_are_dead() -> None:
    alive = np.array([True, False, True, False])
    owners = np.array([0, 1, 2, 3, 7, -1], np.int32)
    assert parts.living(owners, alive).tolist() == [True, False, True, False, False, False]


def test_a_sample_comes_from_all_living_rows(three: list[Part]) -> None:
    alive = np.array([True, False, True, True, False])
    whole = parts.sample(three, alive, 10_000)
    assert len(whole) == 120
    assert 0 < len(parts.sample(three, alive, 60)) < 120


@pytest.mark.parametrize("change", ["codes", "owner", "spans", "starts", "lists"])
def test_a_part_that_can_not_be_is_told(tmp_path: Path, change: str) -> None:
    table: dict[str, np.ndarray] = some(0, 4)
    told = "some" if change in ("starts", "lists") else None
    if change == "starts":
        table["starts"] = np.array([0, 3, 2, 4])
    elif change == "codes":
        table["codes"] = table["codes"].astype(np.float32)
    elif change != "lists":
        table[change] = table[change][:-1]
    save(tmp_path / "x.safetensors", table, {"lists": told})
    with pytest.raises(StoreError, match="not a part of a search index"):
        Part.open(tmp_path / "x.safetensors")

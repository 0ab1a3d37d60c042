"""Arrays that outgrow memory: the same as one that never left it, and nothing left behind."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from wherewhen.core import spill as spool_module
from wherewhen.core.spill import Packed, SpillFile, Spool


@pytest.mark.parametrize("in_memory", [0, 100, 10**6])
@pytest.mark.parametrize("sizes", [[3], [0, 5, 0], [1, 40, 7, 2]])
def test_pieces_make_the_whole(
    in_memory: int, sizes: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHEREWHEN_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(size, 2, 3)).astype(np.float32).transpose(0, 2, 1) for size in sizes]
    spool = Spool(in_memory)
    for part in parts:
        spool.append(part)
    whole = spool.whole()
    np.testing.assert_array_equal(whole, np.concatenate(parts))
    assert whole.dtype == np.float32 and spool.rows == sum(sizes)
    assert (spool.file is not None) == (sum(sizes) * 24 > in_memory)
    del spool
    np.testing.assert_array_equal(whole, np.concatenate(parts))  # it outlives who made it
    assert not list(tmp_path.rglob("*.*")), "the file has no name"


def test_a_full_disk_keeps_all_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHEREWHEN_CACHE", str(tmp_path))
    real, written = spool_module.put, []

    def put(file: IO[bytes], array: np.ndarray) -> None:
        written.append(len(array))
        if len(written) == 3:
            file.write(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(file, array)

    monkeypatch.setattr(spool_module, "put", put)
    parts = [np.full((3, 2), k, np.float32) for k in range(6)]
    spool = Spool(0)
    for part in parts:
        spool.append(part)
    np.testing.assert_array_equal(spool.whole(), np.concatenate(parts))
    assert len(written) == 3 and spool.file is None


def test_a_place_that_is_none_is_left_for_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("WHEREWHEN_CACHE", str(tmp_path / "file" / "cache"))
    spool = Spool(0)
    spool.append(np.ones((2, 3)))
    assert spool.file is not None and spool.whole().tolist() == np.ones((2, 3)).tolist()


def test_rows_must_be_alike() -> None:
    spool = Spool()
    spool.append(np.zeros((2, 3), np.float32))
    for other in (np.zeros((2, 4), np.float32), np.zeros((2, 3))):
        with pytest.raises(ValueError, match=r"expected rows float32 \(3,\), got"):
            spool.append(other)
    with pytest.raises(ValueError, match="nothing"):
        Spool().whole()


def test_packed_maps_are_an_array_to_who_asks_for_one() -> None:
    maps = np.random.default_rng(0).random((70, 3, 4)).astype(np.float32)
    small, large = Packed(), Packed(in_memory=100)
    for one in maps:
        small.append(one[None])
        large.append(one[None])
    assert isinstance(small.whole(), np.ndarray) and large.whole() is large
    np.testing.assert_array_equal(small.whole(), maps)
    np.testing.assert_allclose(large, maps, atol=5e-4)
    assert large.shape == maps.shape and len(large) == 70 and large.size == maps.size
    assert ((large >= 0) & (large <= 1)).all() and (large * 2).shape == maps.shape
    np.testing.assert_allclose(np.mean(large), maps.mean(), atol=5e-4)
    np.testing.assert_allclose(large[65:3:-7], maps[65:3:-7], atol=5e-4)
    assert large.max() == pytest.approx(maps.max(), abs=5e-4)
    with pytest.raises(IndexError, match="map 70 of 70"):
        large[70]


def test_packed_maps_stay_in_memory_where_the_disk_is_full(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("WHEREWHEN_CACHE", str(tmp_path / "file" / "cache"))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("wherewhen.core.spill.put", full)
    maps = Packed(in_memory=100)
    maps.append(np.linspace(0, 1, 70 * 12, dtype=np.float32).reshape(70, 3, 4))
    np.testing.assert_allclose(maps[:], np.linspace(0, 1, 70 * 12).reshape(70, 3, 4), atol=5e-4)


def test_a_file_is_written_at_any_place_and_read_back() -> None:
    file = SpillFile()
    rows = np.arange(24, dtype=np.int16).reshape(4, 6)
    assert [file.write(row, 12 * k) for k, row in reversed(list(enumerate(rows)))] == [36, 24, 12, 0]
    assert file.size == 48 and file.write(rows[:, :0]) == 48
    assert np.frombuffer(file.read(12, 12), np.int16).tolist() == rows[1].tolist()
    whole = file.mapped(rows.dtype, rows.shape)
    del file
    np.testing.assert_array_equal(whole, rows)
    reserved = SpillFile()
    reserved.reserve(64)
    assert not reserved.mapped(np.dtype(np.uint8), (64,)).any()

"""Arrays that outgrow memory: the same as one that never left it, and nothing left behind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wherewhen.spool import Spool


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


def test_rows_must_be_alike() -> None:
    spool = Spool()
    spool.append(np.zeros((2, 3), np.float32))
    for other in (np.zeros((2, 4), np.float32), np.zeros((2, 3))):
        with pytest.raises(ValueError, match=r"expected rows float32 \(3,\), got"):
            spool.append(other)
    with pytest.raises(ValueError, match="nothing"):
        Spool().whole()

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or fills the user's own cache."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("WHEREWHEN_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Sums in one order on every machine; and tests that run side by side don't fight for cores."""
    import torch

    torch.set_num_threads(1)

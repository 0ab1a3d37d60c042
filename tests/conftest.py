from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from wherewhen import extents as ext
from wherewhen.values import Bag, Instances, Masks, Video

MakeBag = Callable[..., Bag]


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


def _planted(number: int, label: int, steps: int = 8, size: tuple[int, int] = (3, 4)) -> Masks:
    """Which cells ``(T*h*w,)`` of a toy bag are anomalous: one place for a third of the time."""
    rng = np.random.default_rng([number, 0])
    plant = np.zeros((steps, *size), bool)
    start, y, x = (int(rng.integers(0, n)) for n in (max(steps * 2 // 3, 1), *size))
    plant[start : start + max(steps // 3, 1), y, x] = bool(label)
    return plant.reshape(-1)


def _toy_bag(
    number: int, label: int, steps: int = 8, size: tuple[int, int] = (3, 4), views: Sequence[str] = ("cells",)
) -> Bag:
    """A bag of noise on a grid, a step a second; its planted cells stand out."""
    shape = (steps, *size)
    features = np.random.default_rng([number, 1]).normal(size=(np.prod(shape), 6)).astype(np.float32)
    features[_planted(number, label, steps, size), :2] += 4
    rows = Instances(features, ext.grid([0, steps, 0, 0, 1, 1], shape), shape=shape)
    return Bag(Video(f"v{number}", Path(f"v{number}.mp4"), label), dict.fromkeys(views, rows))


@pytest.fixture(scope="session")
def planted() -> Callable[..., Masks]:
    """Tells which cells of ``toy_bag(number, label, steps, size)`` are anomalous."""
    return _planted


@pytest.fixture(scope="session")
def toy_bag() -> MakeBag:
    """Makes a procedural bag: ``toy_bag(number, label, steps, size, views)``."""
    return _toy_bag


@pytest.fixture(scope="session")
def toy_bags() -> Callable[..., list[Bag]]:
    """Makes bags of several lengths, every second one anomalous."""
    return lambda count=16, views=("cells",): [_toy_bag(n, n % 2, 5 + n % 4, views=views) for n in range(count)]

from __future__ import annotations

import pytest


@pytest.fixture(scope="module", autouse=True)
def noise_for_all(quick_noise: None) -> None:
    """What a network computes is compared on weights that are given, or between two networks with the same noise."""

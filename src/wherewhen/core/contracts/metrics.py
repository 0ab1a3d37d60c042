"""Contract of metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Metric:
    """A family of named numbers: ``compute(predictions, truths) -> {name: value}`` over all videos of a test set.

    ``reads`` names the parts of a Prediction that it needs, ``needs`` what the truth must hold (names of
    ``metrics/_needs.py``, the most general first): where it does, ``compute`` gives numbers. ``lower_is_better``: the
    numbers where lower is better. A missing video id is an error, never a zero.
    """

    compute: Callable[..., dict[str, float]]
    names: tuple[str, ...]
    reads: tuple[str, ...]
    source: str
    lower_is_better: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()

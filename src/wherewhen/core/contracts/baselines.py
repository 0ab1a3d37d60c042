"""Contract of trivial baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from wherewhen.core.values import Bag, Features, HeatMap, Instances, Truth


@dataclass(frozen=True, slots=True)
class Baseline:
    """A trivial row of a table, the lower bound for methods.

    ``heat(bag, truth, bank, seed)`` gets the views ``cells`` (normalized) and ``difference`` of one video, and
    ``bank``: cells of normal training videos. Only the oracle reads the truth. Its alarm is always on.
    ``settings``: changed settings of the localizer, such as a map without smoothing.

    ``uses_bank``: it reads the bank; a model without one has no such row.

    ``needs``: requirements on the ground truth, as for a `Metric`.

    A row for instances that move has ``scores(bag, truth, seed)`` instead, which gives ``(N,)`` in [0, 1] for the view
    ``movers``; where nothing moves, there is no such row.
    """

    heat: Callable[[Bag, Truth, Instances, int], HeatMap] | None
    description: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    scores: Callable[[Bag, Truth, int], Features] | None = None
    needs: tuple[str, ...] = ()
    uses_bank: bool = False

    def __post_init__(self) -> None:
        if (self.heat is None) == (self.scores is None):
            raise ValueError("a trivial row has either heat or scores")

"""Every metric on every kind of truth: numbers where what it needs is there, else a reason; nothing in between."""

from __future__ import annotations

import math
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
import pytest

from wherewhen.core import registry
from wherewhen.core.errors import DataError
from wherewhen.core.values import Event, HeatMap, Prediction, Scores, Truth
from wherewhen.metrics import lacks
from wherewhen.metrics._needs import NEEDS

FAMILIES = registry.names("metrics")
EDGES = np.arange(9.0)
SPAN, WHOLE, NONE = [[2.0, 5.0]], [[0.0, 8.0]], np.empty((0, 2))
BOXES = [[t, t + 1, 0.1, 0.1, 0.6, 0.7] for t in range(2, 5)]
FLAT = [[2.0, 5.0, 0.3, 0.1, 0.3, 0.7]]


def painted() -> Any:
    masks = np.zeros((8, 6, 8), bool)
    masks[2:5, 1:4, 2:6] = True
    return masks


KINDS: dict[str, Truth] = {
    "normal": Truth(EDGES),
    "normal with masks": Truth(EDGES, masks=lambda: np.zeros((8, 6, 8), bool)),
    "spans": Truth(EDGES, SPAN, boxed=np.zeros(8, bool)),
    "spans, all frames vouched for": Truth(EDGES, SPAN),
    "classes": Truth(EDGES, SPAN, categories=("fire",)),
    "boxes": Truth(EDGES, SPAN, BOXES, np.zeros(3, int)),
    "masks": Truth(EDGES, SPAN, masks=painted),
    "boxes and masks": Truth(EDGES, SPAN, BOXES, masks=painted),
    "empty masks": Truth(EDGES, SPAN, masks=lambda: np.zeros((8, 6, 8), bool)),
    "boxes without area": Truth(EDGES, SPAN, FLAT),
    "a tiny box": Truth(EDGES, SPAN, [[2, 5, 0.51, 0.51, 0.512, 0.512]]),
    "a box of everything": Truth(EDGES, WHOLE, [[0, 8, 0, 0, 1, 1]]),
    "some frames boxed": Truth(EDGES, SPAN, BOXES[:1], boxed=np.arange(8) < 4),
    "anomalous throughout": Truth(EDGES, WHOLE),
    "anomalous throughout, boxed": Truth(EDGES, WHOLE, BOXES),
    "a span between two frames": Truth(EDGES, [[2.6, 3.2]]),
    "a label": Truth(EDGES, WHOLE, timed=False),
}


def predicted(seed: int) -> Prediction:
    rng = np.random.default_rng(seed)
    rows = np.array([[t, t + 1, 0.1, 0.2, 0.5, 0.8] for t in range(8)], float)
    heat = HeatMap(rng.random((4, 3, 4)), np.linspace(0, 8, 5))
    return Prediction(HeatMap(rng.random(4), heat.edges), heat, Scores(rows, rng.random(8)), (Event(rows[2:4], 0.7),))


@pytest.mark.parametrize("family", FAMILIES)
def test_numbers_or_a_reason(family: str) -> None:
    """One or two videos of each kind: no reason means numbers, a reason means that there really are none."""
    plugin = registry.load("metrics", family)
    told = set()
    for names in [*((kind,) for kind in KINDS), *combinations_with_replacement(KINDS, 2)]:
        truths = {f"{number} {kind}": KINDS[kind] for number, kind in enumerate(names)}
        found = {key: predicted(number) for number, key in enumerate(truths)}
        reason = lacks(plugin.needs, list(truths.values()))
        told.add(reason is None)
        if reason is None:
            numbers = plugin.compute(found, truths)
            assert numbers and all(math.isfinite(value) for value in numbers.values()), names
        elif "times" in plugin.needs and not all(truth.timed for truth in truths.values()):
            assert "no times" in reason, names
        else:
            with pytest.raises(DataError):
                plugin.compute(found, truths)
    assert told == {True, False}, "a metric that always or never works proves nothing here"


@pytest.mark.parametrize("kind", ["metrics", "baselines"])
def test_what_is_needed_has_a_name(kind: str) -> None:
    plugins = [registry.load(kind, name) for name in registry.names(kind)]
    assert all(set(plugin.needs) <= set(NEEDS) for plugin in plugins)
    assert all(plugin.needs for plugin in plugins) or kind == "baselines"


@pytest.mark.parametrize(
    ("family", "kinds", "reason"),
    [
        ("pixel", ("spans", "normal"), "the truth has times but no boxes or masks"),
        ("tiou", ("spans",), "the truth has times but no boxes or masks"),
        ("rbdc", ("masks",), "the truth has times but no boxes"),
        ("frame", ("normal", "normal"), "no video is anomalous"),
        ("pointing", ("normal",), "no video is anomalous"),
        ("video", ("normal",), "no video is anomalous"),
        ("video", ("boxes", "spans"), "no video is normal"),
        ("frame", ("anomalous throughout",), "no frame is normal: every video is anomalous from its first"),
        ("frame", ("a label", "normal"), "the truth has labels of whole videos but no times"),
        ("delay", ("a label", "normal"), "the truth has labels of whole videos but no times"),
        ("wsstad", ("boxes", "spans", "normal"), "1 of 2 anomalous videos have no box or mask"),
        ("path", ("spans",), "the truth has times but no boxes or masks"),
        ("pauc", ("a tiny box",), "no box or mask covers a quarter of a cell"),
        ("detection_map", ("normal",), "no video is anomalous"),
    ],
)
def test_a_reason_says_what_is_missing(family: str, kinds: tuple[str, ...], reason: str) -> None:
    told = lacks(registry.load("metrics", family).needs, [KINDS[kind] for kind in kinds])
    assert told is not None and told.startswith(reason)

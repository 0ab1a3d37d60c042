"""What every family keeps to, whatever it measures."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from wherewhen.core import registry
from wherewhen.core.contracts import Metric
from wherewhen.core.errors import DataError
from wherewhen.core.values import Event, HeatMap, Prediction, Scores, Truth

FAMILIES = registry.names("metrics")


def world(seed=0):
    """Four videos with everything: spans with names, boxes with tracks, and predictions of every part."""
    rng = np.random.default_rng(seed)
    predictions, truths = {}, {}
    for number in range(4):
        edges = np.arange(33.0)
        boxes = [[t, t + 1, 0.1, 0.1, 0.6, 0.7] for t in range(8, 16)] if number % 2 else []
        spans, names = ([[8, 18]], (("fire", "fight")[number // 2],)) if number % 2 else ([], ())
        truths[f"v{number}"] = Truth(edges, spans, boxes, np.zeros(len(boxes), int), names)
        rows = np.array([[t, t + 2, 0.1, 0.2, 0.5, 0.8] for t in range(0, 32, 2)])
        events = tuple(Event(rows[n : n + 3], rng.random(), "fire") for n in (0, 4, 9))
        steps = np.linspace(0, 32, 9)
        predictions[f"v{number}"] = Prediction(
            HeatMap(rng.random(8), steps),
            HeatMap(rng.random((8, 3, 4)), steps),
            Scores(rows, rng.random(16), np.arange(16) // 4),
            events,
        )
    return predictions, truths


@pytest.mark.parametrize("family", FAMILIES)
def test_numbers_are_plain_finite_and_announced(family):
    plugin = registry.load("metrics", family)
    found = plugin.compute(*world())
    assert isinstance(plugin, Metric) and plugin.source and found
    for name, value in found.items():
        assert type(value) is float and math.isfinite(value), name
        assert name.split("/")[0] in plugin.names or name in plugin.names, name
        assert 0 <= value <= 1 or name.startswith(("detection_delay", "false_alarms_per")), name


@pytest.mark.parametrize("family", FAMILIES)
def test_every_number_is_documented(family):
    text = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    assert f"## {family}\n" in text
    for name in registry.load("metrics", family).names:
        plain = name.split("@")[0].removesuffix("_validated").removesuffix("_median")
        assert f"`{plain}" in text or f"`{plain}@" in text, name


@pytest.mark.parametrize("family", FAMILIES)
def test_the_order_of_videos_changes_nothing(family):
    compute = registry.load("metrics", family).compute
    predictions, truths = world(1)
    turned = dict(reversed(predictions.items())), dict(reversed(truths.items()))
    assert compute(*turned) == compute(predictions, truths)


@pytest.mark.parametrize("family", FAMILIES)
def test_ids_and_parts_must_fit(family):
    plugin = registry.load("metrics", family)
    predictions, truths = world(2)
    with pytest.raises(DataError, match="no prediction for 'v3'"):
        plugin.compute({k: v for k, v in predictions.items() if k != "v3"}, truths)
    with pytest.raises(DataError, match="without truth: 'v3'"):
        plugin.compute(predictions, {k: v for k, v in truths.items() if k != "v3"})
    for part in set(plugin.reads) - {"events"}:
        parts = {p: getattr(predictions["v1"], p) for p in ("frames", "heat", "boxes", "events") if p != part}
        with pytest.raises(DataError, match=f"reads '{part}', but the prediction has none for 'v1'"):
            plugin.compute(predictions | {"v1": Prediction(**parts)}, truths)


@pytest.mark.parametrize("family", FAMILIES)
def test_only_the_announced_parts_are_read(family):
    plugin = registry.load("metrics", family)
    predictions, truths = world(3)
    bare = {k: Prediction(**{part: getattr(p, part) for part in plugin.reads}) for k, p in predictions.items()}
    assert plugin.compute(bare, truths) == plugin.compute(predictions, truths)


@pytest.mark.parametrize("family", FAMILIES)
def test_finer_steps_of_the_same_scores_change_nothing(family):
    compute = registry.load("metrics", family).compute
    predictions, truths = world(4)

    def finer(heat):
        return HeatMap(heat.values.repeat(4, 0), np.linspace(0, 32, 33))

    same = {k: Prediction(finer(p.frames), finer(p.heat), p.boxes, p.events) for k, p in predictions.items()}
    assert compute(same, truths) == pytest.approx(compute(predictions, truths), abs=1e-12)


def test_nothing_heavy_is_loaded():
    loaded = "import sys; from wherewhen.core import registry as r; "
    loaded += "[r.load('metrics', n) for n in r.names('metrics')]; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "av", "cv2", "matplotlib", "sklearn", "scipy"} & set(modules)

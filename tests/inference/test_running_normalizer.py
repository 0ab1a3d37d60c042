from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherewhen.core import extents as ext
from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Bag, Instances
from wherewhen.inference.model import Model
from wherewhen.inference.model_config import ModelConfig
from wherewhen.inference.normalizer import Normalizer
from wherewhen.inference.running_normalizer import LONGEST, PRIOR, RunningNormalizer, with_past
from wherewhen.inference.scoring import join_predictions
from wherewhen.training.fit import fit

SIZE = 3
MakeBags = Callable[[int], list[Bag]]


def video(steps: int, seed: int = 0, *, shift: float = 0.0, seconds: float = 0.25, empty: float = 0.3) -> Instances:
    rng = np.random.default_rng(seed)
    rows = rng.normal(shift, 1 + shift, (steps * 4, SIZE)).astype(np.float32)
    rows[rng.random(len(rows)) < empty] = 0
    return Instances(rows, ext.grid([0, steps * seconds, 0, 0, 1, 1], (steps, 2, 2)), shape=(steps, 2, 2))


def stretches(instances: Instances, borders: list[int]) -> list[Instances]:
    steps, h, w = instances.shape or (1, 1, 1)
    edges = sorted({0, *(border % steps for border in borders), steps})
    return [
        Instances(
            instances.features[a * h * w : b * h * w], instances.extents[a * h * w : b * h * w], shape=(b - a, h, w)
        )
        for a, b in pairwise(edges)
    ]


@pytest.mark.parametrize("kind", ["past", "both"])
@settings(max_examples=25, deadline=None)
@given(steps=st.integers(1, 40), borders=st.lists(st.integers(0, 100), max_size=6), seed=st.integers(0, 99))
def test_a_stream_gives_what_the_whole_video_gives(kind: str, steps: int, borders: list[int], seed: int) -> None:
    instances = video(steps, seed)
    normalizer = with_past(Normalizer.fit([video(50, 1)], by_place=kind == "both", decorrelate=kind == "both"), kind)
    stream = normalizer.stream()
    parts = [stream(part).features for part in stretches(instances, borders)]
    whole = normalizer(instances).features
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert whole.shape[1] == normalizer.width(SIZE) == (2 * SIZE if kind == "both" else SIZE)
    np.testing.assert_array_equal(whole.any(1), instances.features.any(1))


def test_values_become_usual_at_a_camera_where_they_are_frequent() -> None:
    normalizer = RunningNormalizer(Normalizer.fit([video(200)], by_place=False, decorrelate=False), beside=False)
    lengths = np.square(normalizer(video(2000, 2, shift=4.0, empty=0)).features).mean(1)
    assert lengths[:40].mean() > 10
    assert 0.8 < lengths[-400:].mean() < 1.2


def test_a_short_anomaly_does_not_become_usual() -> None:
    normalizer = RunningNormalizer(Normalizer.fit([video(200)], by_place=False, decorrelate=False), beside=False)
    steps = video(400, 3)
    rows = np.array(steps.features)
    rows[4 * 200 : 4 * 210] = 50
    features = normalizer(Instances(rows, steps.extents, shape=steps.shape)).features
    clean = normalizer(steps).features
    after = slice(4 * 210, None)
    assert features[4 * 200 : 4 * 210].min() > 5
    assert np.abs(features[after] - clean[after]).mean() < 0.15


def test_mean_and_deviation_are_those_of_all_earlier_steps() -> None:
    normalizer = RunningNormalizer(Normalizer(np.zeros(1), np.ones(1), np.empty(0), np.empty(0), 9.0), beside=False)
    rows = np.float32([[1], [2], [0.5], [1.5]])
    instances = Instances(rows, ext.grid([0, 8, 0, 0, 1, 1], (4, 1, 1)), shape=(4, 1, 1))
    expected, mean, variance, total = [], 0.0, 1.0, PRIOR
    for value in rows[:, 0].tolist():
        expected.append((value - mean) / variance**0.5)
        share = 2 / (total + 2)
        mean, variance = mean + share * (value - mean), variance + share * ((value - mean) ** 2 - variance)
        total = min(total + 2, LONGEST)
    np.testing.assert_allclose(normalizer(instances).features[:, 0], expected, rtol=1e-5)


def test_instances_without_a_grid_are_refused() -> None:
    normalizer = with_past(Normalizer.fit([video(20)]), "past")
    rows = video(3)
    with pytest.raises(ConfigError, match="past, both and camera need cells on a grid"):
        normalizer(Instances(rows.features, rows.extents))


@pytest.mark.parametrize(
    ("values", "columns"), [({"normalizer": "past"}, 0), ({"normalizer": "both", "components": 2}, 2)]
)
def test_a_trained_model_keeps_its_normalizer(
    values: dict[str, object], columns: int, toy_bags: MakeBags, tmp_path: Path
) -> None:
    bags = toy_bags(16)
    config = ModelConfig.of({"method": "rtfm", "training": {"steps": 5}, **values})
    model = fit(bags, config, device="cpu").last
    assert model.dims == {"cells": bags[0].views["cells"].features.shape[1] + columns}
    model.save(tmp_path / "model.safetensors")
    loaded = Model.load(tmp_path / "model.safetensors", device="cpu")
    cells = bags[0].views["cells"]
    np.testing.assert_array_equal(
        loaded.normalized({"cells": cells})["cells"].features, model.normalized({"cells": cells})["cells"].features
    )
    live = join_predictions(loaded.predictions(("cells", part) for part in stretches(cells, [2, 5])))
    whole = join_predictions(loaded.predictions([("cells", cells)]))
    assert live.heat is not None and whole.heat is not None
    np.testing.assert_allclose(live.heat.values, whole.heat.values, atol=1e-6)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"method": "stil", "normalizer": "past"}, "past needs cells on a grid; tubes have none"),
        ({"method": "pooled", "normalizer": "global"}, "pooled takes unnormalized features; leave out --normalizer"),
        (
            {"method": "rtfm", "normalizer": "none", "components": 4},
            "need the normalizer places, global, both or camera",
        ),
        ({"method": "rtfm", "normalizer": "street"}, "street"),
        ({"method": "rtfm", "components": -1}, "expected 0 or more"),
    ],
)
def test_a_normalizer_that_can_not_apply_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ModelConfig.of(values)

"""Frame scores alone: the same as those of detection."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from wherewhen.core.values import Bag, HeatMap, Prediction, Truth
from wherewhen.evaluation import evaluator
from wherewhen.inference.frame_scores import scored_steps
from wherewhen.inference.model import Model
from wherewhen.inference.model_config import ModelConfig
from wherewhen.localize.regions import Regions, RegionsConfig
from wherewhen.training.fit import fit

MakeBags = Callable[..., list[Bag]]


@pytest.fixture(scope="module")
def model(toy_bags: MakeBags) -> Model:
    fitted = fit(toy_bags(), ModelConfig.of({"method": "cuboid_mil", "training": {"steps": 3}}), device="cpu")
    return replace(fitted.last, threshold=0.3)


@pytest.fixture(scope="module")
def ready(model: Model, toy_bags: MakeBags) -> list[Bag]:
    return evaluator.normalized(model, toy_bags())


def same_frames(alone: dict[str, Prediction], whole: dict[str, Prediction]) -> None:
    assert alone.keys() == whole.keys()
    for name, prediction in alone.items():
        frames, expected = prediction.frames, whole[name].frames
        assert frames is not None and expected is not None
        np.testing.assert_array_equal(frames.values, expected.values)
        np.testing.assert_array_equal(frames.edges, expected.edges)
        assert prediction.threshold == whole[name].threshold
        assert prediction.heat is None and not prediction.events


def test_frame_scores_alone_are_those_of_detection(model: Model, ready: list[Bag]) -> None:
    same_frames(evaluator.detect_bags(model, ready, places=False), evaluator.detect_bags(model, ready))


@pytest.mark.parametrize("row", ["chance", "mean_prior", "normality_knn", "full_frame"])
def test_trivial_rows_too(row: str, model: Model, ready: list[Bag]) -> None:
    truths = {bag.video.id: Truth(np.array([0.0, 1.0])) for bag in ready}
    alone, whole = (evaluator.trivial_predictions(row, model, ready, truths, places) for places in (False, True))
    same_frames(alone, whole)


def test_places_are_computed_where_a_metric_reads_them() -> None:
    assert not evaluator.reads_places(["frame", "video"])
    assert evaluator.reads_places(["frame", "tiou"]) and evaluator.reads_places(["pointing"])


class Plain:
    """A localizer with the members of the contract alone."""

    def __init__(self, config: RegionsConfig) -> None:
        self.config, self.raw = config, Regions(config).raw

    def __call__(self, pieces: Iterable[HeatMap]) -> Iterator[Prediction]:
        yield from ()


def test_a_localizer_that_has_only_maps_gives_the_same() -> None:
    rng = np.random.default_rng(0)
    maps = [HeatMap(rng.random((1, 4, 5)), [k, k + 1], detail=rng.random((1, 8, 10))) for k in range(6)]
    config = RegionsConfig(motion=1.0)
    for part, expected in zip(scored_steps(Plain(config), maps), scored_steps(Regions(config), maps), strict=True):
        np.testing.assert_array_equal(part, expected)

"""Trained classes on their way from videos' names to the names of events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wherewhen.core import extents as ext
from wherewhen.core.contracts import TextTower
from wherewhen.core.values import Bag, HeatMap, Instances
from wherewhen.evaluation.evaluator import detect_bags
from wherewhen.inference import score_maps
from wherewhen.inference.class_maps import ClassMap, Shares, class_maps
from wherewhen.inference.model import Model
from wherewhen.inference.model_config import ModelConfig
from wherewhen.inference.packing import view
from wherewhen.training import fit

MakeBags = Callable[..., list[Bag]]
SETTINGS = {
    "method": "vadclip",
    "training": {"steps": 60, "learning_rate": 5e-3},
    "vadclip": {"top": 8},
    "regions": {"smooth_seconds": 0.0},
}


def of_two_kinds(bags: list[Bag]) -> list[Bag]:
    """The same bags, anomalous ones of kind a or b; what is odd points the other way in b."""
    made = []
    for number, bag in enumerate(bags):
        kind = "ab"[number // 2 % 2] if bag.video.label else None
        cells = bag.views["cells"]
        turned = np.where(cells.features[:, :1] > 2, -cells.features, cells.features)
        features = turned if kind == "b" else cells.features
        made.append(Bag(replace(bag.video, category=kind), {"cells": replace(cells, features=features)}))
    return made


def test_events_bear_the_class_that_was_learnt(toy_bag: Callable[..., Bag], tmp_path: Path) -> None:
    bags = of_two_kinds([toy_bag(n, n % 2, 9, (1, 2)) for n in range(56)])
    model = fit.fit(bags[:32], ModelConfig.of(SETTINGS), device="cpu").last
    assert model.classes == ("a", "b")
    model.save(tmp_path / "model.safetensors")
    back = Model.load(tmp_path / "model.safetensors", device="cpu")
    assert back.classes == ("a", "b")
    fresh = [Bag(bag.video, back.normalized(bag.views)) for bag in bags[32:]]
    found = detect_bags(back, fresh)
    events = [(event.category, bag.video.category) for bag in fresh for event in found[bag.video.id].events]
    right = [name == real for name, real in events if real]
    assert len(right) >= 8 and np.mean(right) > 0.8
    for bag in fresh:
        one = found[bag.video.id]
        assert one.frames is not None and list(one.classes) == ["a", "b"]
        whole = one.frames.values
        np.testing.assert_allclose(sum(part.values for part in one.classes.values()), whole, atol=1e-6)
    alarms = [(found[bag.video.id], bag.video.category) for bag in fresh if bag.video.category]
    high = [one.classes[kind].values.max() > 0.5 for one, kind in alarms for _ in one.events[:1]]
    assert len(high) >= 8 and np.mean(high) > 0.8
    one = fresh[1].views
    np.testing.assert_array_equal(back.answers(one), model.answers(one))
    output = back.method({"cells": view([one["cells"]])})
    np.testing.assert_allclose(back.answers(one)[:, 1:], output.extra["classes"][0].detach())


def test_without_names_nothing_is_named(toy_bags: MakeBags) -> None:
    config = ModelConfig.of({**SETTINGS, "training": {"steps": 2}})
    model = fit.fit(toy_bags(8), config, device="cpu").last
    assert model.classes == () and model.answers(toy_bags(1)[0].views).shape[1] == 1
    bag = toy_bags(1)[0]
    assert detect_bags(model, [Bag(bag.video, model.normalized(bag.views))])[bag.video.id].classes == {}


def test_another_name_is_another_training(toy_bags: MakeBags) -> None:
    """A checkpoint of other classes is not gone on with; methods that don't tell classes don't care."""
    known = [fit._BagSummary.of(bag, ["cells"]) for bag in of_two_kinds(toy_bags(8))]
    config = ModelConfig.of(SETTINGS)
    keys = {fit._key(config, known, [], names) for names in ((), ("a", "b"), ("a", "b", "c"))}
    assert len(keys) == 3


@pytest.mark.parametrize("method", ["vadclip", "stprompt"])
def test_what_is_learnt_of_several_classes_at_once_is_no_class(toy_bags: MakeBags, tmp_path: Path, method: str) -> None:
    config = ModelConfig.of({"method": method, "training": {"steps": 3}})
    views = tuple(config.views)
    bags = [
        replace(bag, video=replace(bag.video, category=kind if bag.video.label else None))
        for bag, kind in zip(toy_bags(8, views), ["a", "a", "b", "b", "a+b", "a+b", "b+a", "b + a"], strict=True)
    ]
    model = fit.fit(bags, config, device="cpu").last
    assert model.classes == ("a", "b")
    assert model.answers(model.normalized(bags[0].views)).shape[1] == 3
    model.save(tmp_path / "model.safetensors")
    back = Model.load(tmp_path / "model.safetensors", device="cpu")
    np.testing.assert_array_equal(back.answers(bags[0].views), model.answers(bags[0].views))


def test_words_come_from_the_backbone_where_it_reads(toy_bags: MakeBags, tmp_path: Path) -> None:
    """Its features stay as they are, prompts are learnt, and a model from disk needs no tower."""
    rng = np.random.default_rng(0)
    bags = []
    for bag in toy_bags(8):
        rows = bag.views["cells"]
        kind = "running" if bag.video.label else None
        cells = replace(rows, features=rng.random((len(rows.features), 9)).astype(np.float32))
        bags.append(Bag(replace(bag.video, category=kind), {"cells": cells}))
    config = ModelConfig.of({**SETTINGS, "backbone": "toywords", "training": {"steps": 3}})
    fitted = fit.fit(bags, config, device="cpu").last
    np.testing.assert_array_equal(fitted.normalized(bags[0].views)["cells"].features, bags[0].views["cells"].features)
    tower: TextTower = fitted.method.prompts._reads[0]
    assert fitted.method.prompts.context.shape == (tower.length, tower.width)
    fitted.save(tmp_path / "model.safetensors")
    back = Model.load(tmp_path / "model.safetensors", device="cpu")
    assert not back.method.prompts._reads
    np.testing.assert_array_equal(back.answers(bags[1].views), fitted.answers(bags[1].views))
    with_motion = replace(config, backbone="motion", settings={**config.settings, "motion": None})
    assert with_motion.reader() is None and with_motion.normalizer_of("cells") == "places"


def test_class_maps_are_answers_where_they_belong() -> None:
    rows = Instances(np.zeros((8, 1)), ext.grid([0, 2, 0, 0, 1, 1], (2, 2, 2)), shape=(2, 2, 2))
    values = np.arange(24, dtype=np.float32).reshape(8, 3) / 24
    steps = list(class_maps([(rows, values)]))
    assert len(steps) == 2
    np.testing.assert_array_equal(steps[1].heat.values[0], values[4:, 0].reshape(2, 2))
    np.testing.assert_array_equal(steps[1].values[0, 0, 1], values[5, 1:] * values[5, 0] ** 4)
    straight = list(score_maps.heat([(rows, values[:, 0])]))
    np.testing.assert_array_equal(steps[0].heat.values, straight[0].values)


def test_frame_scores_are_divided_by_what_is_seen_meanwhile() -> None:
    """Against plain loops over pieces and cells; pieces overlap and leave a gap, frames fall anywhere."""
    rng = np.random.default_rng(4)
    spans = [(0.0, 1.0), (0.5, 1.5), (1.5, 2.0), (3.0, 4.0)]
    pieces = [ClassMap(rng.random((1, 2, 3, 3)).astype(np.float32) / 3, np.array(span)) for span in spans]
    frames = HeatMap([0.9, 0.2, 0.6, 0.7, 0.4], [0.0, 0.7, 1.6, 2.4, 2.9, 4.0])
    shares = Shares(3)
    for piece in pieces:
        shares.add(piece)
    found = list(shares.of(frames))
    for step in range(5):
        start, end = frames.edges[step : step + 2]
        total = np.zeros(3)
        for (first, last), piece in zip(spans, pieces, strict=True):
            lasts = max(0.0, min(last, end) - max(first, start))
            if (start, first) == (2.4, 1.5):
                lasts = 1.0  # nothing is seen from 2.4 to 2.9: what was seen last holds on
            for cell in piece.values.reshape(6, 3).astype(float):
                odd = cell.sum()
                total += lasts * odd**4 * cell / odd
        for name in range(3):
            np.testing.assert_allclose(
                found[name].values[step, 0, 0], frames.values[step, 0, 0] * total[name] / total.sum(), rtol=1e-5
            )
    assert len(shares.steps) == 1


def test_of_nothing_seen_classes_have_the_same() -> None:
    shares = Shares(2)
    shares.add(ClassMap(np.zeros((1, 1, 1, 2), np.float32), np.array([0.0, 1.0])))
    assert [part.values.item() for part in shares.of(HeatMap([0.5], [0.0, 1.0]))] == [0.25, 0.25]


def test_trained_and_worded_maps_share_alike() -> None:
    """A trained map comes weighted already, one of words is weighted here: the same likelihoods, the same totals."""
    rng = np.random.default_rng(2)
    values = rng.random((8, 3)).astype(np.float32) / 3
    rows = Instances(np.zeros((8, 1)), ext.grid([0, 1, 0, 0, 1, 1], (1, 2, 4)), shape=(1, 2, 4))
    odd = values.sum(-1, keepdims=True)
    (trained,) = class_maps([(rows, np.concatenate([odd, values / odd], 1))])
    worded = ClassMap(values.reshape(1, 2, 4, 3), np.array([0.0, 1.0]))
    np.testing.assert_allclose(trained.totals, worded.totals, rtol=1e-5)

"""A file is a stream that ends: cutting, scoring and joining, each against a plain second way to do it."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wherewhen import evaluate, extract, pipeline
from wherewhen import extents as ext
from wherewhen.contracts import ClipSpec
from wherewhen.extract import Look
from wherewhen.model import Model, Recipe
from wherewhen.normalize import Normalizer
from wherewhen.values import Bag, Event, Features, Frame, HeatMap, Instances, Prediction, Scores, Video
from wherewhen.video import reader
from wherewhen.video.writer import Writer


def stream(count: int, step: float = 0.1) -> Iterator[Frame]:
    """Tiny frames that carry their number as their color."""
    for number in range(count):
        yield Frame(np.full((2, 2, 3), number, np.uint8), number, number * step, (number + 1) * step)


def windows(count: int, frames: int, stride: int) -> list[list[int]]:
    """The frame numbers of each clip, as the docstring of `clips` says it."""
    if count <= frames:
        return [list(range(count))] if count else []
    ends = list(range(frames, count + 1, stride))
    return [list(range(end - frames, end)) for end in ends + [count] * (ends[-1] < count)]


@given(st.integers(0, 60), st.integers(1, 12), st.integers(1, 15))
def test_clips_are_the_windows_that_they_should_be(count: int, frames: int, stride: int) -> None:
    found = list(pipeline.clips(stream(count), ClipSpec(frames, stride)))
    expected = windows(count, frames, stride)
    assert [clip.images[:, 0, 0, 0].tolist() for clip in found] == expected
    for clip, numbers in zip(found, expected, strict=True):
        np.testing.assert_allclose(clip.edges, np.arange(numbers[0], numbers[-1] + 2) * 0.1)
    if stride <= frames:
        assert {number for numbers in expected for number in numbers} == set(range(count))


def test_a_clip_comes_with_its_last_frame() -> None:
    eaten: list[int] = []

    def eating() -> Iterator[Frame]:
        for frame in stream(30):
            eaten.append(frame.index)
            yield frame

    for number, clip in enumerate(pipeline.clips(eating(), ClipSpec(5, 4))):
        if number < 7:
            assert eaten[-1] == clip.images[-1, 0, 0, 0] == 4 + 4 * number


def part(start: float, steps: int, seed: int, step: float = 0.5) -> Instances:
    """A stretch of a 1 x 2 grid with one random feature."""
    features = np.random.default_rng(seed).normal(size=(steps * 2, 1))
    shape = (steps, 1, 2)
    return Instances(features, ext.grid([start, start + steps * step, 0, 0, 1, 1], shape), shape=shape)


def stretches(lengths: list[int], overlap: bool) -> list[Instances]:
    """Stretches that follow each other; the last one may reach back."""
    found, start = [], 0.0
    for seed, steps in enumerate(lengths):
        found.append(part(start, steps, seed))
        start += steps * 0.5
    if overlap and len(found) > 1:
        last = found[-1]
        found[-1] = Instances(last.features, last.extents - [0.2, 0.2, 0, 0, 0, 0], last.track, last.shape)
    return found


def mean_within(reach: float) -> pipeline.Scorer:
    """Scores each row by the mean of all rows that touch its time widened by ``reach``: it depends on no more."""

    def score(rows: Instances) -> Features:
        starts, ends = rows.extents[:, 0], rows.extents[:, 1]
        near = (ends[None] > starts[:, None] - reach + 1e-9) & (starts[None] < ends[:, None] + reach - 1e-9)
        return np.asarray((near @ rows.features[:, 0]) / near.sum(1), np.float32)

    return score


@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=12), st.sampled_from([0.3, 0.5, 1.2, 4.0, 100.0]), st.booleans()
)
def test_scores_see_their_reach_and_are_those_of_the_whole(lengths: list[int], reach: float, overlap: bool) -> None:
    parts = stretches(lengths, overlap)
    found = list(pipeline.scored(iter(parts), mean_within(reach), reach))
    assert [cells for cells, _ in found] == parts
    whole = mean_within(reach)(pipeline.joined(parts))
    np.testing.assert_allclose(np.concatenate([values for _, values in found]), whole, rtol=1e-5, atol=1e-6)


def test_without_reach_a_stretch_is_scored_alone_and_with_all_of_it_once() -> None:
    parts = stretches([2, 3, 1], overlap=False)
    seen: list[int] = []

    def count(rows: Instances) -> Features:
        seen.append(len(rows.features))
        return np.zeros(len(rows.features), np.float32)

    assert [cells for cells, _ in pipeline.scored(iter(parts), count, 0)] == parts
    assert seen == [4, 6, 2]
    ((whole, values),) = pipeline.scored(iter(parts), count, None)
    assert seen[3:] == [12] and len(values) == len(whole.features) == 12 and whole.shape == (6, 1, 2)


@pytest.mark.parametrize("reach", [0, 1.0, 3.0])
def test_a_stretch_waits_for_its_future_only(reach: float) -> None:
    eaten = 0.0
    longest = 0

    def eating() -> Iterator[Instances]:
        nonlocal eaten
        for number in range(40):
            eaten = number + 1.0
            yield part(number, 2, number)

    def score(rows: Instances) -> Features:
        nonlocal longest
        longest = max(longest, len(rows.features))
        return np.zeros(len(rows.features), np.float32)

    waits = [eaten - cells.extents[-1, 1] for cells, _ in pipeline.scored(eating(), score, reach)]
    assert max(waits) <= reach + 1
    assert longest <= (2 * reach + 1) * 4


def test_joined_stretches_stay_a_grid_where_they_are_one() -> None:
    assert pipeline.joined(stretches([2, 3], False)).shape == (5, 1, 2)
    loose = part(0, 2, 0)
    mixed = pipeline.joined([loose, Instances(loose.features, loose.extents)])
    assert mixed.shape is None and len(mixed.features) == 8
    with pytest.raises(ValueError, match="no instances"):
        pipeline.joined([])


def test_heat_needs_a_grid_and_keeps_its_order() -> None:
    cells = part(1, 3, 0)
    maps = list(pipeline.heat([(cells, np.arange(6, dtype=np.float32))]))
    assert [m.values.tolist() for m in maps] == [[[[0, 1]]], [[[2, 3]]], [[[4, 5]]]]
    assert [m.edges.tolist() for m in maps] == [[1, 1.5], [1.5, 2], [2, 2.5]]
    with pytest.raises(ValueError, match="grid"):
        list(pipeline.heat([(Instances(cells.features, cells.extents), np.zeros(6, np.float32))]))


def test_steps_together_are_one_prediction() -> None:
    def step(start: float, score: float, *events: Event) -> Prediction:
        edges = np.array([start, start + 1])
        rows = np.array([[start, start + 1, 0, 0, 1, score]])
        return Prediction(
            HeatMap(np.array([score]), edges), HeatMap(np.full((1, 2, 2), score), edges), Scores(rows, [score]), events
        )

    late, early = Event(np.array([[1.0, 2, 0, 0, 1, 1]]), 0.6), Event(np.array([[0.0, 2, 0, 0, 1, 1]]), 0.9)
    whole = pipeline.together([step(0, 0.25), step(1, 0.75, late), Prediction(events=(early,))])
    assert whole.frames and whole.heat and whole.boxes
    assert whole.frames.values[:, 0, 0].tolist() == [0.25, 0.75] and whole.frames.edges.tolist() == [0, 1, 2]
    assert whole.heat.values.shape == (2, 2, 2)
    assert whole.boxes.values.tolist() == [0.25, 0.75]
    assert whole.events == (early, late)
    with pytest.raises(ValueError, match="nothing was predicted"):
        pipeline.together([])


def square(index: int) -> np.ndarray:
    picture = np.full((48, 64, 3), 60, np.uint8)
    picture[16:28, 2 * index % 50 : 2 * index % 50 + 10] = 200
    return picture


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3.2 seconds that end within a clip."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    with Writer(path, 12.5) as writer:
        for index in range(41):
            writer.write(square(index))
    return path


@pytest.fixture(scope="module")
def model(film: Path) -> Model:
    """A model that learnt nothing: live and offline must agree whatever it says."""
    recipe = Recipe.of()
    seen = pipeline.joined(pipeline.instances(film, recipe.make("backbone"), recipe.make("instances")))
    torch.manual_seed(0)
    method = recipe.make("method", {recipe.instances: seen.features.shape[1]})
    bank = Instances(seen.features[:9], seen.extents[:9])
    made = Model(recipe, Normalizer.fit([seen]), method, 0.5, bank)
    middle = np.median([score for _, score in made.localizer.raw(made.heat([seen]))])
    return replace(made, threshold=float(middle))


def same(one: Prediction, other: Prediction, within: float = 0) -> None:
    """Equal to the last bit, or as far as sums of the same numbers in another order are."""
    assert one.frames and other.frames and one.heat and other.heat and one.boxes and other.boxes
    pairs = [(one.frames.edges, other.frames.edges), (one.frames.values, other.frames.values)]
    pairs += [(one.heat.values, other.heat.values), (one.boxes.extents, other.boxes.extents)]
    pairs += [(one.boxes.values, other.boxes.values), (one.boxes.track, other.boxes.track)]
    assert len(one.events) == len(other.events)
    pairs += [(e.extents, f.extents) for e, f in zip(one.events, other.events, strict=True)]
    pairs += [(np.array(e.score), np.array(f.score)) for e, f in zip(one.events, other.events, strict=True)]
    for a, b in pairs:
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=0, atol=within)


def live(model: Model, pictures: Iterator[Frame]) -> Iterator[Prediction]:
    """What `Model.stream` does, fed by hand."""
    grids = pipeline.grids(pipeline.clips(pictures, model.backbone.clip), model.backbone)
    return model.localizer(model.heat(model.builder(grids)))


def test_live_is_offline(model: Model, film: Path) -> None:
    """One frame at a time and whole from the file: the same to the last bit."""
    spec = model.backbone.clip
    offline = pipeline.together(model.stream(film))
    assert offline.frames is not None and offline.frames.values.std() > 0 and offline.events
    same(pipeline.together(live(model, (f for f in reader.frames(film, rate=spec.rate, width=spec.width)))), offline)
    same(model.detect(film).prediction, offline)


def test_evaluation_judges_what_detection_says(model: Model, film: Path) -> None:
    """By way of the cache, and scored in one go, the numbers are those of the stream."""
    offline = pipeline.together(model.stream(film))
    video = Video("film", film, 1)
    for _ in range(2):  # made, then read from the cache
        bag = Bag(video, {"cells": extract.instances(video, Look.of(model.recipe))})
        judged = evaluate.predict(model, evaluate.normalized(model, [bag]))["film"]
        same(judged, offline, within=1e-6)


def test_a_stream_answers_while_it_runs_and_forgets(model: Model) -> None:
    """Endless sources need answers before the end, and memory that does not grow."""
    most, answered, given = 0, 0, 0

    class Picture(np.ndarray):
        pass

    def camera() -> Iterator[Frame]:
        nonlocal given
        for index in range(240):
            picture = square(index).view(Picture)
            refs.append(weakref.ref(picture))
            given = index
            yield Frame(picture, index, index * 0.08, (index + 1) * 0.08)

    refs: list[weakref.ref[np.ndarray]] = []
    for answer in live(model, camera()):
        answered += answer.frames is not None
        most = max(most, sum(ref() is not None for ref in refs))
        if given < 239 and answer.frames is not None:
            assert given * 0.08 - answer.frames.edges[-1] < 3
    assert answered > 100
    assert most <= 3 * model.backbone.clip.frames


@settings(deadline=None, max_examples=5)
@given(st.integers(1, 30))
def test_a_stream_of_any_length_is_covered(count: int) -> None:
    recipe = Recipe.of()
    backbone, builder = recipe.make("backbone"), recipe.make("instances")
    pictures = (Frame(square(k), k, k * 0.08, (k + 1) * 0.08) for k in range(count))
    whole = pipeline.joined(builder(pipeline.grids(pipeline.clips(pictures, backbone.clip), backbone)))
    assert whole.extents[:, 0].min() == 0
    np.testing.assert_allclose(whole.extents[:, 1].max(), count * 0.08)
    made = pipeline.together(recipe.make("localizer")(pipeline.heat([(whole, whole.features[:, 0].clip(0, 1))])))
    assert made.frames is not None
    assert made.frames.edges[0] == 0 and np.isclose(made.frames.edges[-1], count * 0.08)

"""A file is a stream that ends: scoring and joining, each against a plain second way to do it."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wherewhen.core import extents as ext
from wherewhen.core.contracts import Backbone, Builder
from wherewhen.core.errors import VideoError
from wherewhen.core.spill import Spool
from wherewhen.core.values import (
    Bag,
    Boxes,
    Event,
    Features,
    Frame,
    Grid,
    HeatMap,
    Instances,
    Paths,
    Prediction,
    Scores,
    Video,
)
from wherewhen.evaluation import evaluator
from wherewhen.extraction import assembly, feature_cache, sampling
from wherewhen.inference import score_maps, scoring
from wherewhen.inference.model import Model
from wherewhen.inference.model_config import ModelConfig
from wherewhen.inference.normalizer import Normalizer
from wherewhen.instances.cells import Cells, CellsConfig
from wherewhen.instances.videolets import Videolets, VideoletsConfig
from wherewhen.video import reader
from wherewhen.video.writer import Writer


def part(start: float, steps: int, seed: int, step: float = 0.5) -> Instances:
    """A stretch of a 1 x 2 grid with one random feature."""
    features = np.random.default_rng(seed).normal(size=(steps * 2, 1))
    shape = (steps, 1, 2)
    return Instances(features, ext.grid([start, start + steps * step, 0, 0, 1, 1], shape), shape=shape)


ONE = ("cells",)


def named(parts: Iterable[Instances], name: str = "cells") -> Iterator[assembly.Part]:
    """Stretches with the name of their view."""
    return ((name, one) for one in parts)


def stretches(lengths: list[int], hole: bool = False) -> list[Instances]:
    """Stretches that follow each other; the last one may begin later."""
    found, start = [], 0.0
    for seed, steps in enumerate(lengths):
        found.append(part(start, steps, seed))
        start += steps * 0.5
    if hole and len(found) > 1:
        last = found[-1]
        found[-1] = Instances(last.features, last.extents + np.array([0.2, 0.2, 0, 0, 0, 0]), last.track, last.shape)
    return found


def mean_within(reach: float) -> scoring.Scorer:
    """Scores each row by the mean of all rows that touch its time widened by ``reach``: it depends on no more."""

    def score(views: Mapping[str, Instances]) -> Features:
        rows = views["cells"]
        starts, ends = rows.extents[:, 0], rows.extents[:, 1]
        near = (ends[None] > starts[:, None] - reach + 1e-9) & (starts[None] < ends[:, None] + reach - 1e-9)
        return np.asarray((near @ rows.features[:, 0]) / near.sum(1), np.float32)

    return score


@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=12), st.sampled_from([0.3, 0.5, 1.2, 4.0, 100.0]), st.booleans()
)
def test_scores_see_their_reach_and_are_those_of_the_whole(lengths: list[int], reach: float, hole: bool) -> None:
    parts = stretches(lengths, hole)
    found = list(scoring.scored(named(parts), mean_within(reach), reach, ONE))
    assert [cells for cells, _ in found] == parts
    whole = mean_within(reach)({"cells": assembly.join_instances(parts)})
    np.testing.assert_allclose(np.concatenate([values for _, values in found]), whole, rtol=1e-5, atol=1e-6)


def test_without_reach_a_stretch_is_scored_alone_and_with_all_of_it_once() -> None:
    parts = stretches([2, 3, 1])
    seen: list[int] = []

    def count(views: Mapping[str, Instances]) -> Features:
        rows = views["cells"]
        seen.append(len(rows.features))
        return np.zeros(len(rows.features), np.float32)

    assert [cells for cells, _ in scoring.scored(named(parts), count, 0, ONE)] == parts
    assert seen == [4, 6, 2]
    ((whole, values),) = scoring.scored(named(parts), count, None, ONE)
    assert seen[3:] == [12] and len(values) == len(whole.features) == 12 and whole.shape == (6, 1, 2)


def pieces(seed: int, name: str) -> list[Instances]:
    """Instances of a view anywhere: stretches that begin in order, cover all of 12 s and may overlap."""
    rng = np.random.default_rng([seed, len(name)])
    found, start = [], 0.0
    while start < 12:
        ends = start + rng.uniform(0.5, 4, rng.integers(1, 4))
        rows = np.array([[start, end, 0, 0, 1, 1] for end in ends])
        found.append(Instances(rng.normal(size=(len(rows), 1)), rows, np.arange(len(rows))))
        start = min(float(ends.max()), start + rng.uniform(0.3, 3))
    return found


def merged(by_name: Mapping[str, list[Instances]], order: np.random.Generator) -> Iterator[assembly.Part]:
    """Stretches of several views in some order that keeps each view's own."""
    waiting = {name: iter(some) for name, some in by_name.items()}
    while waiting:
        name = str(order.choice(sorted(waiting)))
        part = next(waiting[name], None)
        if part is None:
            del waiting[name]
        else:
            yield name, part


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10_000), st.sampled_from([0, 0.5, 2.0, 30.0]))
def test_several_views_come_as_far_as_a_score_reaches(seed: int, reach: float) -> None:
    """What a stretch is scored with are all stretches of every view that touch it, widened by the reach."""
    names = ("tubes", "videolets")
    by_name = {name: pieces(seed, name) for name in names}
    given_to: list[Mapping[str, Instances]] = []

    def score(views: Mapping[str, Instances]) -> Features:
        given_to.append(views)
        return views["tubes"].features[:, 0] + views["videolets"].features.sum()

    found = list(scoring.scored(merged(by_name, np.random.default_rng(seed)), score, reach, names))
    assert [part for part, _ in found] == by_name["tubes"]
    for (part, values), views in zip(found, given_to, strict=True):
        start, end = part.extents[:, 0].min() - reach, part.extents[:, 1].max() + reach
        for name, some in by_name.items():
            near = [one for one in some if one.extents[:, 1].max() > start and one.extents[:, 0].min() < end]
            np.testing.assert_array_equal(views[name].features, np.concatenate([one.features for one in near]))
        np.testing.assert_array_equal(values, part.features[:, 0] + views["videolets"].features.sum())


def test_with_all_of_them_several_views_are_scored_once() -> None:
    names = ("tubes", "videolets")
    by_name = {name: pieces(3, name) for name in names}

    def score(views: Mapping[str, Instances]) -> Features:
        return np.full(len(views["tubes"].features), len(views["videolets"].features), np.float32)

    ((whole, values),) = scoring.scored(merged(by_name, np.random.default_rng(0)), score, None, names)
    assert len(whole.features) == sum(len(one.features) for one in by_name["tubes"]) == len(values)
    assert set(values) == {sum(len(one.features) for one in by_name["videolets"])}


def test_a_view_that_has_nothing_where_it_is_needed_is_told() -> None:
    parts = [("tubes", part(0, 2, 0)), ("tubes", part(1, 2, 1)), ("videolets", part(9, 2, 2))]
    with pytest.raises(ValueError, match=r"no videolets from 0\.00 s to 1\.00 s"):
        list(scoring.scored(iter(parts), lambda views: views["tubes"].features[:, 0], 0, ("tubes", "videolets")))


@pytest.mark.parametrize("crops", [1, 5])
def test_several_builders_see_the_same_grids_and_keep_in_step(crops: int) -> None:
    made = 0

    def grids() -> Iterator[Grid]:
        nonlocal made
        for number in range(12 * crops):
            made += 1
            features = np.full((2, 2, 3, 1), 1 + number // crops, np.float32)
            yield Grid(features, np.array([number // crops, number // crops + 1, 0, 0, 1, 1]))

    builders = {"videolets": Videolets(VideoletsConfig(clips=4 * crops)), "cells": Cells(CellsConfig())}
    seen: dict[str, list[Instances]] = {"videolets": [], "cells": []}
    for name, one in assembly.several(grids(), builders, crops):
        seen[name].append(one)
        behind = {key: sum(len(p.features) for p in some) for key, some in seen.items()}
        assert made - behind["cells"] / 12 <= 4 * crops + 1, "nobody runs ahead by more than a videolet"
    assert made == 12 * crops
    for name, builder in builders.items():
        alone = list(assembly.built(grids(), builder, crops))
        assert len(alone) == len(seen[name])
        for one, other in zip(seen[name], alone, strict=True):
            np.testing.assert_array_equal(one.features, other.features)
            np.testing.assert_array_equal(one.extents, other.extents)


@pytest.mark.parametrize("reach", [0, 1.0, 3.0])
def test_a_stretch_waits_for_its_future_only(reach: float) -> None:
    eaten = 0.0
    longest = 0

    def eating() -> Iterator[Instances]:
        nonlocal eaten
        for number in range(40):
            eaten = number + 1.0
            yield part(number, 2, number)

    def score(views: Mapping[str, Instances]) -> Features:
        nonlocal longest
        rows = views["cells"]
        longest = max(longest, len(rows.features))
        return np.zeros(len(rows.features), np.float32)

    waits = [eaten - cells.extents[-1, 1] for cells, _ in scoring.scored(named(eating()), score, reach, ONE)]
    assert max(waits) <= reach + 1
    assert longest <= (2 * reach + 1) * 4


def test_joined_stretches_stay_a_grid_where_they_are_one() -> None:
    assert assembly.join_instances(stretches([2, 3], False)).shape == (5, 1, 2)
    loose = part(0, 2, 0)
    mixed = assembly.join_instances([loose, Instances(loose.features, loose.extents)])
    assert mixed.shape is None and len(mixed.features) == 8
    with pytest.raises(ValueError, match="no instances"):
        assembly.join_instances([])


def test_steps_together_are_one_prediction() -> None:
    def step(start: float, score: float, *events: Event) -> Prediction:
        edges = np.array([start, start + 1])
        rows = np.array([[start, start + 1, 0, 0, 1, score]])
        return Prediction(
            HeatMap(np.array([score]), edges), HeatMap(np.full((1, 2, 2), score), edges), Scores(rows, [score]), events
        )

    late, early = Event(np.array([[1.0, 2, 0, 0, 1, 1]]), 0.6), Event(np.array([[0.0, 2, 0, 0, 1, 1]]), 0.9)
    whole = scoring.join_predictions([step(0, 0.25), step(1, 0.75, late), Prediction(events=(early,))])
    assert whole.frames and whole.heat and whole.boxes
    assert whole.frames.values[:, 0, 0].tolist() == [0.25, 0.75] and whole.frames.edges.tolist() == [0, 1, 2]
    assert whole.heat.values.shape == (2, 2, 2)
    assert whole.boxes.values.tolist() == [0.25, 0.75]
    assert whole.events == (early, late)
    with pytest.raises(ValueError, match="no predictions"):
        scoring.join_predictions([])


def square(index: int) -> np.ndarray:
    picture = np.full((48, 64, 3), 60, np.uint8)
    picture[16:28, 2 * index % 50 : 2 * index % 50 + 10] = 200
    return picture


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3.5 seconds that end within a clip."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    with Writer(path, 12.5) as writer:
        for index in range(44):
            writer.write(square(index))
    return path


def whole_of(path: Path, backbone: Backbone, builder: Builder) -> Instances:
    """All instances of a file."""
    parts = assembly.instances(assembly.Streams.of(path, backbone.clip), backbone, {"cells": builder})
    return assembly.join_instances(part for _, part in parts)


@pytest.fixture(scope="module")
def model(film: Path, halving: Callable[[Iterable[float]], float]) -> Model:
    """A model that learnt nothing: live and offline must agree whatever it says."""
    config = ModelConfig.of()
    seen = whole_of(film, config.make("backbone"), config.make("instances"))
    torch.manual_seed(0)
    method = config.make("method", {config.instances: seen.features.shape[1]})
    bank = Instances(seen.features[:9], seen.extents[:9])
    made = Model(config, {"cells": Normalizer.fit([seen])}, method, 0.5, bank)
    answered = made.answered(named([made.normalizers["cells"](seen)]))
    raw = made.localizer.raw(score_maps.heat((part, values[:, 0]) for part, values in answered))
    return replace(made, threshold=halving(score for _, score in raw))


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
    grids = sampling.grids(sampling.clips(pictures, model.backbone.clip), model.backbone)
    return model.predictions(named(model.builders["cells"](grids)))


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures that come slowly and unevenly: motion in them is scaled by the time between."""
    path = tmp_path_factory.mktemp("slow") / "slow.mp4"
    with Writer(path, 12.5) as writer:
        for index in range(40):
            writer.write(square(index), index * 0.15 + 0.1 * (index % 3 == 1))
    return path


@pytest.mark.parametrize(("crops", "gate"), [(1, 0.0), (1, 3.0), (5, 0.0)])
def test_live_is_offline_for_a_slow_source(model: Model, slow: Path, crops: int, gate: float) -> None:
    test_live_is_offline_with_crops_and_gate(model, slow, crops, gate)
    if (crops, gate) == (1, 0):
        test_live_is_offline(model, slow)


@pytest.mark.parametrize(("crops", "gate"), [(5, 0.0), (10, 0.0), (1, 3.0), (5, 3.0)])
def test_live_is_offline_with_crops_and_gate(model: Model, film: Path, crops: int, gate: float) -> None:
    looked = replace(model, config=replace(model.config, crops=crops, gate=gate))
    offline = scoring.join_predictions(looked.stream(film))
    assert offline.heat is not None and offline.heat.values.std() > 0
    video = Video("film", film, 1)
    for _ in range(2):
        seen = feature_cache.instances(video, looked.config.feature_spec())
        assert (seen.shape is None) == (crops > 1)
        bag = Bag(video, {"cells": seen})
        same(evaluator.detect_bags(looked, evaluator.normalized(looked, [bag]))["film"], offline, within=1e-6)


def test_live_is_offline(model: Model, film: Path) -> None:
    """One frame at a time and whole from the file: the same to the last bit."""
    spec = model.backbone.clip
    offline = scoring.join_predictions(model.stream(film))
    assert offline.frames is not None and offline.frames.values.std() > 0 and offline.events
    same(
        scoring.join_predictions(live(model, (f for f in reader.frames(film, rate=spec.rate, width=spec.width)))),
        offline,
    )
    same(model.detect(film).prediction, offline)


def test_detection_decodes_once_and_keeps_what_a_cut_file_has(
    model: Model, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wherewhen.video.decoding import Decoding

    decoded, decode = [], Decoding._decode
    monkeypatch.setattr(Decoding, "_decode", lambda self, packet: decoded.append(1) or decode(self, packet))
    found = model.detect(film)
    assert len(decoded) <= 44 + 2 and len(found.clock) == 45 and found.damage is None
    short = tmp_path / "short.mp4"
    short.write_bytes(film.read_bytes()[:-300])
    found = model.detect(short)
    assert found.damage is not None and found.damage.startswith("the file is cut short")
    assert 10 < len(found.clock) < 45 and len(found.scores) == len(found.clock) - 1
    assert found.prediction.frames is not None and found.prediction.frames.edges[-1] == found.clock[-1]
    assert found.render(tmp_path / "overlay.mp4").exists()
    with pytest.raises(VideoError, match="cut short"):
        model.detect(short, damaged="set-aside")


def test_evaluation_judges_what_detection_says(model: Model, film: Path) -> None:
    """By way of the cache, and scored in one go, the numbers are those of the stream."""
    offline = scoring.join_predictions(model.stream(film))
    video = Video("film", film, 1)
    for _ in range(2):  # made, then read from the cache
        bag = Bag(video, {"cells": feature_cache.instances(video, model.config.feature_spec())})
        judged = evaluator.detect_bags(model, evaluator.normalized(model, [bag]))["film"]
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
    config = ModelConfig.of()
    backbone, builder = config.make("backbone"), config.make("instances")
    pictures = (Frame(square(k), k, k * 0.08, (k + 1) * 0.08) for k in range(count))
    whole = assembly.join_instances(builder(sampling.grids(sampling.clips(pictures, backbone.clip), backbone)))
    assert whole.extents[:, 0].min() == 0
    np.testing.assert_allclose(whole.extents[:, 1].max(), count * 0.08)
    made = scoring.join_predictions(
        config.make("localizer")(score_maps.heat([(whole, whole.features[:, 0].clip(0, 1))]))
    )
    assert made.frames is not None
    assert made.frames.edges[0] == 0 and np.isclose(made.frames.edges[-1], count * 0.08)


def boxed(start: float, end: float) -> Boxes:
    return Boxes(start, end, [[start, end, 0, 0, 1, 1]], [1.0], track=[0])


def test_each_frame_with_boxes_comes_with_one_grid() -> None:
    """Clips that overlap or leave a hole, boxes at another rate: with the first grid that ends after its begin."""
    starts = [0, 1, 1.5, 4]
    grids = [Grid(np.zeros((1, 1, 1, 1), np.float32), np.array([s, s + 1, 0, 0, 1, 1])) for s in starts]
    boxes = [boxed(0.3 * k, 0.3 * (k + 1)) for k in range(20)]
    found = [[b.start for b in grid.boxes] for grid in assembly.accompanied(grids, boxes)]
    expected: list[list[float]] = [[], [], [], []]
    for box in boxes:
        home = next((k for k, s in enumerate(starts) if box.start < s + 1 - 1e-9), None)
        if home is not None:
            expected[home].append(box.start)
    assert found == expected
    assert [grid.boxes for grid in assembly.accompanied(grids, [])] == [()] * 4


def movers(start: float, tracks: tuple[int, ...]) -> Instances:
    """Two frames, in the second of which the last mover is gone."""
    edges = np.array([start, start + 1, start + 2])
    rows = [(k, n) for k in (0, 1) for n in range(len(tracks)) if not (k == 1 and n == len(tracks) - 1)]
    places = [[start + k, start + k + 1, 0.25 * n, 0, 0.25 * n + 0.25, 0.5] for k, n in rows]
    paths = Paths(Scores(np.array(places), np.ones(len(rows)), [n for _, n in rows]), edges)
    hulls = [[start, start + 2, 0.25 * n, 0, 0.25 * n + 0.25, 0.5] for n in range(len(tracks))]
    return Instances(np.ones((len(tracks), 3)), np.array(hulls), np.array(tracks), paths=paths)


def test_movers_are_scored_where_they_are() -> None:
    whole = assembly.join_instances([movers(0, (4, 9)), movers(2, (9,))])
    assert whole.paths is not None
    np.testing.assert_array_equal(whole.paths.edges, [0, 1, 2, 3, 4])
    scores = np.float32([0.25, 0.5, 0.75])
    maps = list(score_maps.heat([(whole, scores)]))
    assert [m.edges.tolist() for m in maps] == [[0, 1], [1, 2], [2, 3], [3, 4]]
    boxes = [m.boxes[0] for m in maps if m.boxes]
    assert [(b.track.tolist(), b.values.tolist()) for b in boxes] == [
        ([4, 9], [0.25, 0.5]), ([4], [0.25]), ([9], [0.75]), ([], [])
    ]  # fmt: skip
    apart = list(score_maps.heat([(movers(0, (4, 9)), scores[:2]), (movers(2, (9,)), scores[2:])]))
    for one, other, box in zip(maps, apart, boxes, strict=True):
        np.testing.assert_array_equal(one.values, other.values)
        np.testing.assert_allclose(one.values[0], ext.painted(box.extents, box.values, one.values.shape[1:]))
    assert not maps[3].values.any() and maps[0].values.max() == 0.5
    grid = Instances(np.ones((1, 3)), [[0, 1, 0, 0, 1, 1]], shape=(1, 1, 1))
    assert assembly.join_instances([whole, grid]).paths is None


@pytest.mark.parametrize("overlap", [0.0, 0.7])
def test_maps_come_with_the_boxes_of_their_time(overlap: float) -> None:
    """Against the question that is asked of every frame for every step."""
    rng = np.random.default_rng(3)
    borders = np.concatenate([[0], np.cumsum(rng.uniform(0.1, 0.6, 20))])
    frames = [
        Boxes(a, b, np.tile([a, b, 0, 0, 1, 1], (n, 1)), np.ones(n), track=np.arange(n) - (n == 3))
        for a, b, n in zip(borders[:-1], borders[1:], rng.integers(0, 4, 20), strict=True)
    ]
    edges = [np.array([k, k + 0.5 + overlap / 2, k + 1 + overlap]) for k in range(8)]
    maps = [HeatMap(np.zeros((2, 1, 1), np.float32), own) for own in edges]
    assert list(scoring.beside(maps, None)) == maps
    for own, found in zip(edges, scoring.beside(maps, iter(frames)), strict=True):
        assert found.movers is not None
        for step, (a, b) in enumerate(pairwise(own.tolist())):
            wanted = [(f.start, int(t)) for f in frames if f.start < b and f.end > a for t in f.track if t >= 0]
            rows = found.movers[step]
            assert list(zip(rows.extents[:, 0].tolist(), rows.track.tolist(), strict=True)) == wanted


def test_a_map_waits_for_no_box_beyond_its_end_and_boxes_keep_up_with_parts() -> None:
    drawn: list[float] = []

    def boxes() -> Iterator[Boxes]:
        for k in range(40):
            drawn.append(k / 4)
            yield Boxes(k / 4, (k + 1) / 4)

    parts = [("cells", Instances(np.ones((1, 1), np.float32), np.array([[k, k + 1, 0, 0, 1, 1.0]]))) for k in range(9)]
    passed, told = scoring.interleaved(iter(parts), boxes())
    assert told is not None
    for k, part in enumerate(passed):
        assert part is parts[k] and drawn[-1] == k + 1
    maps = (HeatMap(np.zeros((1, 1, 1), np.float32), np.array([k, k + 1])) for k in range(9))
    assert len(list(scoring.beside(maps, told))) == 9 and drawn[-1] == 9
    assert [box.start for box in told] == (np.arange(37, 40) / 4).tolist()
    assert scoring.interleaved(parts, None)[1] is None


def test_heat_maps_of_a_long_video_lie_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """And they are the same as those in memory."""
    steps = [
        Prediction(HeatMap([k / 10], [k, k + 1]), HeatMap(np.full((1, 8, 8), k / 10), [k, k + 1])) for k in range(9)
    ]
    in_memory = scoring.join_predictions(iter(steps))
    monkeypatch.setattr(scoring, "Spool", lambda: Spool(in_memory=600))
    in_a_file = scoring.join_predictions(iter(steps))
    assert in_memory.heat is not None and in_a_file.heat is not None
    assert isinstance(in_a_file.heat.values, np.memmap) and not isinstance(in_memory.heat.values, np.memmap)
    assert np.array_equal(in_a_file.heat.values, in_memory.heat.values)
    assert np.array_equal(in_a_file.heat.at(4.5), in_memory.heat.at(4.5))

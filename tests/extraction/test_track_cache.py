"""Boxes beside grids: kept ones are live ones, made once; and tubes come no later than they say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wherewhen.cli.commands import detect
from wherewhen.core import extents as ext
from wherewhen.core.array_files import load, save
from wherewhen.core.contracts import Classes, TrackSource
from wherewhen.core.errors import ConfigError, VideoError
from wherewhen.core.linking import LinkConfig
from wherewhen.core.store import plain as as_plain
from wherewhen.core.values import Boxes, Features, Frame, Instances, Prediction, Truth, Video
from wherewhen.evaluation import evaluator
from wherewhen.extraction import assembly, box_tracks, feature_cache, loading, track_cache
from wherewhen.inference import score_maps, scoring
from wherewhen.inference.model import Model
from wherewhen.inference.model_config import ModelConfig
from wherewhen.inference.normalizer import Normalizer
from wherewhen.instances.tubes import Tubes
from wherewhen.video import reader
from wherewhen.video.batch import Quarantine
from wherewhen.video.writer import Writer

RATE = 12.5
SIGHT = TrackSource("motion", {"smallest": 0.002}, LinkConfig(gap=0.4))
TUBES = {
    "boxes": dict(SIGHT.settings), "tracks": {"gap": 0.4}, "part": 1.0, "shape": {"window": 2.0, "shortest": 0.2}
}  # fmt: skip


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds of a wall: a square crosses from second 1 on, another one comes back after 3; then nobody."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    wall = np.random.default_rng(0).integers(90, 110, (96, 128, 3)).astype(np.uint8)
    with Writer(path, RATE) as writer:
        for index in range(75):
            picture = wall.copy()
            if 12 <= index < 50:
                picture[20:44, 3 * (index - 12) : 3 * (index - 12) + 14] = 230
            if 37 <= index < 60:
                x = 110 - 4 * (index - 37)
                picture[60:84, x : x + 12] = 15
            writer.write(picture)
    return path


@pytest.fixture
def video(film: Path) -> Video:
    return Video("film", film, 1)


def recipe_of(method: str) -> ModelConfig:
    return ModelConfig.of({"method": method, "instances": "tubes", "tubes": TUBES})


def plain(boxes: Boxes) -> tuple[object, ...]:
    arrays = (boxes.extents.tolist(), boxes.values.tolist(), boxes.track.tolist())
    return (boxes.start, boxes.end, *arrays, boxes.names, boxes.note)


def test_kept_boxes_are_the_live_ones(video: Video, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen beside other pictures or alone, made or read again: the same to the last bit."""
    config = recipe_of("mgpr")
    builders = config.builders()
    streams = track_cache.live(video, config.make("backbone").clip, builders)
    pictures, beside = streams.frames, streams.boxes
    assert set(beside) == {"tubes", "tube_frames"}
    live = {name: [plain(boxes) for boxes in stream] for name, stream in beside.items()}
    assert live["tubes"] == live["tube_frames"] and any(boxes[2] for boxes in live["tubes"])
    made = track_cache.cached_boxes(video, track_cache.track_sources(builders), tmp_path)
    assert {name: list(map(plain, stream)) for name, stream in made.items()} == live

    def never(*_: object) -> Iterator[Boxes]:
        raise AssertionError("made again")

    monkeypatch.setattr(box_tracks, "tracked", never)
    again = track_cache.cached_boxes(video, track_cache.track_sources(builders), tmp_path)
    assert {name: list(map(plain, stream)) for name, stream in again.items()} == live
    clip = config.make("backbone").clip
    own = list(reader.frames(video.path, rate=clip.rate, width=clip.width))
    for one, other in zip(pictures, own, strict=True):
        assert one.index == other.index
        np.testing.assert_array_equal(one.image, other.image)


def test_a_damaged_file_is_made_again(video: Video, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = [plain(boxes) for boxes in track_cache.cached_boxes(video, {"it": SIGHT}, tmp_path)["it"]]
    (path,) = tmp_path.rglob("*.safetensors")
    path.write_bytes(path.read_bytes()[:200])
    assert [plain(boxes) for boxes in track_cache.cached_boxes(video, {"it": SIGHT}, tmp_path)["it"]] == first
    assert f"recomputed: {path}: " in caplog.text


def test_frames_with_detections_are_kept_and_files_without_them_are_made_again(
    video: Video, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = [boxes.detected for boxes in track_cache.cached_boxes(video, {"it": SIGHT}, tmp_path)["it"]]
    assert {*first} == {True, False}
    assert [boxes.detected for boxes in track_cache.cached_boxes(video, {"it": SIGHT}, tmp_path)["it"]] == first
    (path,) = tmp_path.rglob("*.safetensors")
    arrays, passport = load(path)
    save(path, {name: rows for name, rows in arrays.items() if name != "detected"}, passport, ours=True)
    assert [boxes.detected for boxes in track_cache.cached_boxes(video, {"it": SIGHT}, tmp_path)["it"]] == first
    assert f"recomputed: {path}: it lacks the frames with detections" in caplog.text


def test_features_and_boxes_of_a_video_have_one_name(video: Video, tmp_path: Path) -> None:
    spec = ModelConfig.of({"method": "rtfm"}).feature_spec()
    for span in (None, (0.4, 1.2)):
        part = replace(video, span=span)
        track_cache.cached_boxes(part, {"it": SIGHT}, tmp_path)
        assert list(tmp_path.rglob(feature_cache.cached(part, spec, tmp_path).name)), "the same rule in both caches"


def test_another_file_of_boxes_is_another_sight(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("1,8,5,5,20,20,0.9,-1,-1,-1\n")
    sight = TrackSource("file", {"path": str(path)}, LinkConfig())
    before = track_cache.source_settings(sight)
    assert track_cache.source_settings(sight) == before != track_cache.source_settings(SIGHT)
    path.write_text("1,8,5,5,20,20,0.9,-1,-1,-1\n2,8,5,5,20,20,0.9,-1,-1,-1\n")
    assert track_cache.source_settings(sight) != before
    assert before != track_cache.source_settings(TrackSource("file", {"path": str(path)}, LinkConfig(gap=2)))
    with pytest.raises(ConfigError, match="unknown setting of file"):
        track_cache.source_settings(TrackSource("file", {"paht": "x"}, LinkConfig()))


def lines(x: int, count: int = 40) -> str:
    return "".join(f"{k + 10},3,{x + k},20,20,24,0.9,-1,-1,-1\n" for k in range(count))


@pytest.fixture
def pair(film: Path, tmp_path: Path) -> tuple[Video, Video, Path]:
    """Two films and a folder with the boxes of each."""
    boxes = tmp_path / "boxes"
    (boxes / "b" / "det").mkdir(parents=True)
    (boxes / "a.txt").write_text(lines(10))
    (boxes / "b" / "det" / "det.txt").write_text(lines(50).replace(",3,", ",-1,"))
    other = tmp_path / "b.mp4"
    with Writer(other, RATE) as writer:
        for index in range(70):
            writer.write(np.full((96, 128, 3), 60 + index, np.uint8))
    return Video("a", film, 1), Video("b", other, 0), boxes


def test_boxes_of_each_video_lie_in_a_file_of_their_own(
    pair: tuple[Video, Video, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache knows the very file: another content is another cached file, and that of other videos stays."""
    one, other, boxes = pair
    sight = TrackSource("file", {"path": str(boxes)}, LinkConfig(gap=0.4))

    def left(video: Video) -> float:
        frames = list(track_cache.cached_boxes(video, {"it": sight}, tmp_path / "cache")["it"])
        return float(frames[12].extents[0, 2])

    assert [left(one), left(other)] == pytest.approx([12 / 128, 52 / 128])
    folder = track_cache.source_settings(sight)
    (boxes / "a.txt").write_text(lines(30))
    assert track_cache.source_settings(sight) == folder, "what is in the folder is no matter of all videos"
    assert left(one) == pytest.approx(32 / 128) and len(list((tmp_path / "cache").rglob("*.safetensors"))) == 3

    def never(*_: object) -> Iterator[Boxes]:
        raise AssertionError("made again")

    monkeypatch.setattr(box_tracks, "tracked", never)
    assert [left(one), left(other)] == pytest.approx([32 / 128, 52 / 128])
    (boxes / "a.txt").write_text(lines(10))
    assert left(one) == pytest.approx(12 / 128), "and what it was before is still there"


def test_features_know_the_file_of_their_boxes(pair: tuple[Video, Video, Path]) -> None:
    one, other, boxes = pair
    config = ModelConfig.of({"method": "dmrm", "instances": "tubes",
                        "tubes": {**TUBES, "proposals": "file", "boxes": {"path": str(boxes)}}})  # fmt: skip
    look = config.feature_spec()
    assert look.name(one) == look.name(other), "one folder of a store for all"
    before, mine = feature_cache.cached(one, look), feature_cache.instances(one, look)
    assert look.source(one)["boxes"] != look.source(other)["boxes"]
    (boxes / "a.txt").write_text(lines(30))
    assert feature_cache.cached(one, look) != before
    assert feature_cache.instances(one, look).extents[0, 2] - mine.extents[0, 2] == pytest.approx(20 / 128)
    dims = {"cells": mine.features.shape[1]}
    model = Model(config, {"cells": Normalizer.fit([mine])}, config.make("method", dims), 0.5,
                  Instances(mine.features, mine.extents), dims=dims)  # fmt: skip
    offline = evaluator.detect_bags(model, evaluator.normalized(model, [feature_cache.bag_of(one, {"cells": look})]))[
        "a"
    ]
    same(scoring.join_predictions(model.stream(one)), offline)
    quarantine = Quarantine(boxes)
    lost = Video("c", other.path, 0)
    assert [bag.video.id for bag in loading.bags([one, lost], {"cells": look}, quarantine=quarantine)] == ["a"]
    assert "expected one of c.txt, c/gt/gt.txt" in next(iter(quarantine.reasons.values()))
    with pytest.raises(VideoError, match="there are no boxes of 'b2'"):
        model.detect(other.path.rename(other.path.with_name("b2.mp4")))


@pytest.mark.parametrize("method", ["dmrm", "mgpr"])
def test_live_is_offline(method: str, video: Video, untrained: Callable[..., Model]) -> None:
    """By way of the cache and scored in one go, or as pictures come: movers, their ways and scores are the same."""
    config = recipe_of(method)
    looks = config.feature_specs()
    model = untrained(config, feature_cache.bag_of(video, looks).views)
    live = scoring.join_predictions(model.stream(video))
    for _ in range(2):
        bag = feature_cache.bag_of(video, looks)
        offline = evaluator.detect_bags(model, evaluator.normalized(model, [bag]))["film"]
        same(live, offline)
        source = box_tracks.proposer(SIGHT.proposals, SIGHT.settings)
        with_boxes = [(b.start, b.end) for b in box_tracks.boxes(video, source) if len(b.values)]
        assert offline.detected is not None and [*map(tuple, offline.detected.tolist())] == with_boxes
        whole = evaluator.trivial_predictions("full_frame", model, [bag], {"film": Truth(np.array([0.0, 6.0]))})["film"]
        assert whole.detected is not None and len(whole.detected) == len(with_boxes)
    assert live.events and all(event.track >= 0 for event in live.events)
    assert live.frames is not None and live.frames.edges[-1] == pytest.approx(6.0)


@pytest.mark.parametrize("method", ["cuboid_mil", "vadclip", "rtfm"])
def test_movers_beside_maps_are_the_same_live(method: str, video: Video, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scored as pictures come or out of the cache; only boxes and events know of movers, and events are their boxes."""
    beside = {"proposals": "motion", "boxes": dict(SIGHT.settings), "tracks": {"gap": 0.4}}
    config = ModelConfig.of({"method": method, "movers": beside})
    looks = config.feature_specs()
    seen = feature_cache.bag_of(video, looks).views
    dims = {name: one.features.shape[1] for name, one in seen.items()}
    scored = seen[config.scored]
    normalizers = {name: Normalizer.fit([one]) for name, one in seen.items()}
    classes = ("falling",) if config.tells_classes else ()
    made = config.student(dims, Classes(classes or Classes().names))
    bank = Instances(scored.features, scored.extents)
    model = Model(config, normalizers, made, 0.5, bank, dims=dims, classes=classes)

    def answers(views: Mapping[str, Instances]) -> Features:
        """The square that crosses is odd: 0.9 in every cell that it touches."""
        rows = views[config.scored].extents
        x = 3 * ((rows[:, 0] + rows[:, 1]) / 2 * RATE - 12)
        hot = (rows[:, 0] > 1) & (rows[:, 1] < 4) & (rows[:, 3] < 44 / 96) & (rows[:, 5] > 20 / 96)
        hot &= (rows[:, 2] < (x + 14) / 128) & (rows[:, 4] > x / 128)
        return np.where(hot, 0.9, 0.05).astype(np.float32)[:, None].repeat(1 + len(classes), 1)

    monkeypatch.setattr(model, "answers", answers)
    live = scoring.join_predictions(model.stream(video))
    bag = feature_cache.bag_of(video, looks)
    offline = evaluator.detect_bags(model, evaluator.normalized(model, [bag]))["film"]
    same(live, offline)
    (event,) = live.events
    assert event.track >= 0 and event.category == (classes[0] if classes else None)
    for start, end, *box in event.extents:
        if start > 1.5 and end < 3.5:
            x = 3 * (np.floor(start * RATE + 0.5) - 12)
            truth = np.array([0, 1, x / 128, 20 / 96, (x + 14) / 128, 44 / 96])
            assert ext.iou(truth, np.array([0, 1, *box])) > 0.5
    bare = Model(replace(config, movers=None), normalizers, made, 0.5, bank, dims=dims, classes=classes)
    assert bare.with_movers(beside).config == config and bare.config.movers is None
    monkeypatch.setattr(bare, "answers", answers)
    without = scoring.join_predictions(bare.stream(video))
    assert without.frames and live.frames and without.heat and live.heat and without.events
    np.testing.assert_array_equal(without.frames.values, live.frames.values)
    np.testing.assert_array_equal(without.heat.values, live.heat.values)
    assert all(one.track == -1 for one in without.events)


def test_movers_are_asked_for_in_the_words_of_the_user() -> None:
    config = ModelConfig.of({"movers": "motion"})
    assert config.movers is not None and config.movers.track_source == TrackSource("motion", {}, LinkConfig())
    assert ModelConfig.of(as_plain(config.plain())) == config and ModelConfig.of({"movers": ""}).movers is None
    for given, words in (("moton", "did you mean 'motion'"), ({"boxs": {}}, "unknown setting of movers"), (3, "name")):
        with pytest.raises(ConfigError, match=words):
            ModelConfig.of({"movers": given})
    with pytest.raises(ConfigError, match="tubes are movers themselves"):
        ModelConfig.of({"movers": "motion", "method": "mgpr"})


def test_detect_switches_movers_on_for_a_trained_model(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    class Trained:
        def with_movers(self, movers: object) -> Trained:
            asked.append(movers)
            return self

    monkeypatch.setattr(Model, "load", lambda *args, **more: Trained())
    detect._trained(detect.Options("x.mp4"), {"movers": None})
    assert not asked
    detect._trained(detect.Options("x.mp4"), {"movers": {"proposals": "motion"}})
    assert asked == [{"proposals": "motion"}]


def same(one: Prediction, other: Prediction) -> None:
    assert one.frames and other.frames and one.heat and other.heat and one.boxes and other.boxes
    pairs = [(one.frames.edges, other.frames.edges), (one.boxes.extents, other.boxes.extents)]
    pairs += [(one.boxes.track, other.boxes.track)]
    pairs += [(e.extents, f.extents) for e, f in zip(one.events, other.events, strict=True)]
    for a, b in pairs:
        np.testing.assert_array_equal(a, b)
    close = [(one.frames.values, other.frames.values), (one.heat.values, other.heat.values)]
    close += [(one.boxes.values, other.boxes.values)]
    for a, b in close:
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)


def test_tubes_come_no_later_than_they_say(film: Path) -> None:
    """A camera's pictures one by one: a window's tubes are there once it, the pause and a clip have passed."""
    config = recipe_of("dmrm")
    backbone, builders = config.make("backbone"), config.builders()
    source = box_tracks.proposer("motion", SIGHT.settings)
    now = 0.0

    def camera(width: int | None) -> Iterator[Frame]:
        nonlocal now
        for frame in reader.frames(film, rate=RATE, width=width):
            now = max(now, frame.end)
            yield frame

    boxes = box_tracks.followed(camera(source.clip.width), source, SIGHT.tracks)
    found = []
    streams = assembly.Streams(camera(backbone.clip.width), {"cells": boxes})
    for _, part in assembly.instances(streams, backbone, builders):
        assert part.paths is not None
        found.append((part.paths.edges[0], part.paths.edges[-1], now))
    slack = backbone.clip.frames / RATE + 0.2
    wait = builders["cells"].wait
    assert wait == 2.4 and len(found) == 3
    assert all(came <= end + wait - 2.0 + slack for _, end, came in found[:-1])
    assert [round(start, 2) for start, _, _ in found] == [0, 2, 4]
    whole = feature_cache.bag_of(Video("film", film, 1), config.feature_specs()).views["cells"]
    assert whole.paths is not None and whole.paths.edges[-1] == found[-1][1]


def test_crops_and_tubes_dont_go_together() -> None:
    with pytest.raises(ConfigError, match="so crops is 1"):
        ModelConfig.of({"method": "mgpr", "crops": 5})


def test_the_same_tubes_from_afar() -> None:
    """What is said of tubes is said of tube_frames, unless they say otherwise."""
    config = recipe_of("mgpr")
    assert config.settings["tube_frames"] == config.settings["tubes"]
    other = ModelConfig.of({"method": "mgpr", "tubes": TUBES, "tube_frames": {"part": 0.5}})
    assert other.settings["tube_frames"].part == 0.5 and other.settings["tubes"].part == 1.0
    assert ModelConfig.of(config.plain()) == config


def _pictures(kind: str) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(0)
    wall = rng.integers(90, 110, (96, 128, 3)).astype(np.uint8)
    starts = rng.integers(0, 110, (40, 2)) % [80, 118]
    speeds = rng.integers(-3, 4, (40, 2))
    for index in range({"one frame": 1, "crowd": 60}.get(kind, 40)):
        picture = wall.copy()
        if kind == "crowd":
            for number, (y, x) in enumerate((starts + index * speeds) % [80, 118]):
                picture[y : y + 12, x : x + 8] = 20 + 5 * number
        elif kind == "flicker" and index % 2:
            picture = np.clip(picture.astype(int) + 60, 0, 255).astype(np.uint8)
        elif kind == "camera":
            picture = np.roll(wall, 4 * index, 1)
        yield picture


@pytest.mark.parametrize("kind", ["one frame", "empty", "flicker", "camera", "crowd"])
def test_hard_videos_have_tubes_all_the_same(kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Every moment of them is covered, and no bag is empty or grows without bounds."""
    path = tmp_path / "hard.mp4"
    with Writer(path, RATE) as writer:
        for picture in _pictures(kind):
            writer.write(picture)
    seen = feature_cache.bag_of(Video("hard", path, 0), recipe_of("mgpr").feature_specs(), tmp_path / "cache").views
    tubes = seen["tubes"]
    for _ in range(2):  # made for the views above, or read from the cache: told each time
        caplog.clear()
        list(
            track_cache.cached_boxes(
                Video("hard", path, 0), track_cache.track_sources({"it": Tubes(recipe_of("mgpr").settings["tubes"])})
            )["it"]
        )
        told = [line for line in caplog.messages if line.startswith("hard: for") and "the camera moves" in line]
        assert kind == "flicker" or len(told) == (kind == "camera")
    assert tubes.paths is not None and len(tubes.features) == len(seen["tube_frames"].features)
    assert 0 < len(tubes.features) < 40 * 10 and np.isfinite(tubes.features).all()
    assert tubes.paths.edges[0] == 0 and tubes.paths.edges[-1] == pytest.approx(reader.edges(path)[-1])
    if kind in ("one frame", "empty"):
        assert (tubes.extents[:, 2:] == [0, 0, 1, 1]).all()
    if kind == "crowd":
        assert len(set(tubes.track.tolist())) > 10
    maps = list(score_maps.heat([(tubes, np.full(len(tubes.features), 0.5, np.float32))]))
    assert len(maps) == len(tubes.paths.edges) - 1

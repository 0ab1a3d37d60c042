from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from wherewhen import cli
from wherewhen.api import detection
from wherewhen.core import prompts
from wherewhen.core.errors import ConfigError
from wherewhen.core.prompts import Prompts
from wherewhen.core.values import Event, HeatMap, Pixels, Prediction
from wherewhen.datasets import native
from wherewhen.datasets.toy import Toy, generate
from wherewhen.inference.class_maps import ClassMap, named, winner
from wherewhen.inference.scoring import join_predictions
from wherewhen.localize.regions import RegionsConfig
from wherewhen.runtime.parallel import Workers
from wherewhen.text.zero_shot import ZeroShot, cut
from wherewhen.video.writer import Writer

WORLD = Toy(5, clips_normal=1, clips_anomalous=2, kinds=("running", "fight"), seconds=8, rate=6.25, palette=True)


def film(path: Path, pictures: Iterator[Pixels], rate: float) -> None:
    with Writer(path, rate) as writer:
        for picture in pictures:
            writer.write(picture)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A normal clip, a runner in red and a fight in magenta."""
    root = tmp_path_factory.mktemp("words") / "world"
    generate(root, WORLD, film)
    return root


def spotter(view: str = "patches", **more: Any) -> ZeroShot:
    small = {"rows": 12, "columns": 16, "frames": 2, "stride": 2}
    settings = {"toywords": small, "spatial": {"view": view}}
    return ZeroShot(**{"prompts": prompts.read("toy"), "backbone": "toywords", "settings": settings, **more})


@pytest.mark.parametrize("view", ["patches", "windows"])
def test_words_find_when_where_and_what(world: Path, view: str) -> None:
    truths, dataset = native.truth(world), native.load(world)
    for video in dataset.videos:
        found = spotter(view).detect(video.path)
        truth = truths[video.id]
        assert {event.category for event in found.events} == ({video.category} if video.category else set())
        if video.category:
            (start, end), (first, last) = truth.spans[0], (found.events[0].start, found.events[-1].end)
            assert min(end, last) - max(start, first) > 0.5 * (max(end, last) - min(start, first))
            hits = []
            for box in truth.boxes:
                heat = found.heatmap(float(box[:2].mean()))
                y, x = np.unravel_index(int(heat.argmax()), heat.shape)
                at = ((x + 0.5) / heat.shape[1], (y + 0.5) / heat.shape[0])
                wide = 1.5 * max(box[4] - box[2], box[5] - box[3], 1 / 8)
                hits.append(abs(at[0] - (box[2] + box[4]) / 2) < wide and abs(at[1] - (box[3] + box[5]) / 2) < wide)
            assert np.mean(hits) > 0.7


def test_the_named_kind_is_found_and_others_are_not(world: Path) -> None:
    toy = prompts.read("toy")
    only = spotter(prompts=Prompts(toy.normal, {"fight": toy.classes["fight"]}))
    for video in native.load(world).videos:
        found = only.detect(video.path)
        assert bool(found.events) == (video.category == "fight"), video.category
        assert (found.scores.max() >= 0.5) == (video.category == "fight")


def test_live_is_offline(world: Path) -> None:
    """What a stream has told by a moment is what the whole video tells of it."""
    video = native.load(world).videos[0]
    model = spotter()
    steps = list(model.stream(video.path))
    told = iter(model.stream(video.path))
    for step in steps[:5]:
        one = next(told)
        assert one.frames and step.frames
        np.testing.assert_array_equal(one.frames.values, step.frames.values)
    whole = join_predictions(steps)
    by_parts = join_predictions(model.predictions(iter(list(model.instances(video.path)[0]))))
    assert whole.heat and by_parts.heat
    np.testing.assert_array_equal(whole.heat.values, by_parts.heat.values)
    assert [e.category for e in whole.events] == [e.category for e in by_parts.events]
    assert whole.classes
    for name, part in whole.classes.items():
        np.testing.assert_array_equal(part.values, by_parts.classes[name].values)


def test_a_window_is_what_it_shows() -> None:
    from wherewhen.backbones.toywords import ToyWords, ToyWordsConfig
    from wherewhen.core.extents import windows
    from wherewhen.core.values import Clip

    encoder = ToyWords(ToyWordsConfig(layer="embedding"))
    images = np.random.default_rng(0).integers(0, 256, (3, 50, 70, 3), np.uint8)
    seen = cut(Clip(images, np.arange(4.0)), encoder, windows())
    assert len(seen.features) == 83 and seen.shape is None
    assert (seen.extents[:, :2] == [0, 3]).all()
    for vector, place in zip(seen.features, seen.extents[:, 2:], strict=True):
        x0, y0, x1, y1 = (place * [70, 50, 70, 50]).round().astype(int)
        np.testing.assert_array_equal(vector, encoder(images[None, 1:2, y0:y1, x0:x1])[0, 0, 0, 0])


@pytest.mark.parametrize("share", [0.2, 0.35, 0.6])
def test_the_threshold_is_the_share_of_one_place_that_raises_an_alarm(share: float) -> None:
    """A single cell of a large map says that much for four seconds; nothing moves."""
    values = np.zeros((1, 12, 16, len(prompts.read("toy").names)), np.float32)
    values[0, 5, 7, 2] = share
    pieces = [ClassMap(values, np.array([k, k + 1]) / 4) for k in range(16)]
    for threshold, alarm in ((share - 0.01, True), (share + 0.01, False)):
        found = join_predictions(spotter(threshold=threshold).localized(iter(pieces)))
        assert found.frames is not None
        assert bool((found.frames.values >= 0.5).all()) == alarm == bool(found.events)


def test_a_threshold_is_compared_with_the_scores_that_are_told(world: Path) -> None:
    """Whatever it is, scores stay; a way back gives the same events."""
    video = next(v for v in native.load(world).videos if v.category == "fight")
    model = spotter()
    usual = model.detect(video.path)
    top = float(usual.scores.max())
    above, below = (model.detect(video.path, threshold=top + change) for change in (1e-3, -1e-3))
    assert not above.events and below.events and usual.events
    assert all(top - 1e-3 <= event.score <= top + 1e-6 for event in below.events)
    for one in (above, below):
        np.testing.assert_array_equal(one.scores, usual.scores)
    assert (usual.threshold, below.threshold, model.alarm) == (0.5, pytest.approx(top - 1e-3), 0.5)
    assert model.with_threshold(0.9).with_threshold(0.5).detect(video.path).events[0].score == usual.events[0].score
    assert model.with_localizer(merge=0.2).localizing().top == 1, "what words need stays"
    with pytest.raises(ConfigError, match=r"threshold: expected a score from 0 to 1 \(as trained: 0.5\), got 1.5"):
        model.detect(video.path, threshold=1.5)


class Told:
    """A localizer that tells of one event, whatever it hears."""

    def __init__(self, event: Event) -> None:
        self.event, self.config = event, RegionsConfig()

    def raw(self, pieces: Iterable[HeatMap]) -> Iterator[tuple[Any, float]]:
        yield from ()

    def __call__(self, pieces: Iterable[HeatMap]) -> Iterator[Prediction]:
        for piece in pieces:
            yield Prediction(piece, piece)
        yield Prediction(events=(self.event,))


def test_an_event_is_named_by_what_shows_where_it_is() -> None:
    rng = np.random.default_rng(1)
    values = rng.random((6, 4, 5, 3)).astype(np.float32) / 3
    pieces = [ClassMap(values[k : k + 1], np.array([k, k + 1.0])) for k in range(6)]
    rows = np.array([[1.5, 2.5, 0.1, 0.2, 0.5, 0.7], [2.5, 4, 0.3, 0.2, 0.9, 0.6]])
    total = np.zeros(3)
    for t0, t1, x0, y0, x1, y1 in rows:
        for t in range(6):
            for y in range(4):
                for x in range(5):
                    lasts = max(0, min(t1, t + 1) - max(t0, t))
                    high = max(0, min(y1, (y + 1) / 4) - max(y0, y / 4)) * 4
                    wide = max(0, min(x1, (x + 1) / 5) - max(x0, x / 5)) * 5
                    total += lasts * high * wide * values[t, y, x]
    event = Event(rows, 0.8)
    assert winner(event, pieces) == int(total.argmax())
    *steps, last = named(pieces, Told(event), ["a", "b", "c"])
    assert len(steps) == 6 and last.events[0].category == "abc"[int(total.argmax())]
    np.testing.assert_allclose(steps[0].heat.values[0], values[0].sum(-1), atol=1e-6)  # type: ignore[union-attr]


def compared(world: Path, folder: Path, where: Workers) -> None:
    """What is found elsewhere is what is found here, to the last byte; a broken video is set aside."""
    broken = folder / "broken.mp4"
    broken.write_text("no video")
    fight = next(video.path for video in native.load(world).videos if video.category == "fight")
    videos = [broken, fight]
    model = spotter(threshold=0.4, prompts=Prompts(("a road", "grass"), {"b": ("magenta",), "a": ("red", "a fight")}))
    found = {
        name: detection.detect(model, videos, folder / name, render=False, where=place, quiet=True)
        for name, place in (("here", None), ("there", where))
    }
    assert [one.id for one in found["there"][0]] == [one.id for one in found["here"][0]]
    assert found["there"][1].reasons == found["here"][1].reasons and len(found["here"][1].reasons) == 1
    assert any(one.events for one in found["there"][0])
    assert {path.name for path in (folder / "there").iterdir()} == {path.name for path in (folder / "here").iterdir()}
    for name in ("events.json", "scores.parquet", "quarantine.json"):
        assert (folder / "there" / name).read_bytes() == (folder / "here" / name).read_bytes(), name


def test_processes_find_what_this_one_finds(world: Path, tmp_path: Path) -> None:
    compared(world, tmp_path, Workers(2))


def test_a_model_of_words_can_be_told(tmp_path: Path) -> None:
    model = spotter("windows", threshold=0.3, device="cpu")
    model.save(tmp_path / "words.json")
    again = ZeroShot.load(tmp_path / "words.json")
    assert (again.prompts.names, again.prompts.texts) == (model.prompts.names, model.prompts.texts)
    assert again.spatial == model.spatial and again.encoder.config == model.encoder.config and again.clip == model.clip
    assert (again.threshold, again.backbone, again.localizer) == (0.3, "toywords", "regions")
    np.testing.assert_array_equal(again.texts, model.texts)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"backbone": "motion", "settings": {}}, "motion doesn't encode text; prompts need one of clip, toywords"),
        ({"threshold": 1.0}, "threshold: expected"),
        ({"settings": {"cuboid_mil": {}}}, "detection by prompts has those of toywords, regions, spatial"),
        ({"prompts": Prompts(("a road",), {"x": ("a zebra",)})}, "unknown word 'zebra'"),
    ],
)
def test_what_can_not_be_is_told(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        spotter(**wrong)


def test_the_verb_writes_events_with_their_class(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = next(v for v in native.load(world).videos if v.category == "running")
    words = ["detect", str(video.path), "--prompts", "toy", "--backbone", "toywords", "--toywords.rows", "12"]
    words += ["--output", str(tmp_path / "found"), "--no-render", "--quiet"]
    assert cli.main(words) == 0
    assert "running" in capsys.readouterr().out
    told = json.loads((tmp_path / "found/events.json").read_text())["videos"][video.path.stem]["events"]
    assert {event["category"] for event in told} == {"running"}
    table = pq.read_table(tmp_path / "found/scores.parquet").to_pydict()
    parts = {name: np.array(table[f"score_{name}"]) for name in prompts.read("toy").classes}
    assert len(table) == 5 + len(parts)
    np.testing.assert_allclose(sum(parts.values()), table["score"], atol=1e-6)
    assert [name for name, part in parts.items() if part.max() > 0.5] == ["running"]
    top = max(table["score"])
    strict = [str(tmp_path / "strict") if word == str(tmp_path / "found") else word for word in words]
    assert cli.main([*strict, "--threshold", f"{top + 0.001:.4f}", "--regions.merge", "0.2"]) == 0
    assert json.loads((tmp_path / "strict/events.json").read_text())["videos"][video.path.stem]["events"] == []
    assert pq.read_table(tmp_path / "strict/scores.parquet").to_pydict()["score"] == table["score"]
    again = [str(tmp_path / "again") if word == str(tmp_path / "found") else word for word in words]
    assert cli.main([*again, "--workers", "1"]) == 0
    assert (tmp_path / "again/events.json").read_bytes() == (tmp_path / "found/events.json").read_bytes()
    assert cli.main([*words, "--model", "x"]) == 2
    assert cli.main([*words[:2], "--backbone", "toywords"]) == 2
    assert "--backbone has no effect without --prompts" in capsys.readouterr().err

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wherewhen import cli
from wherewhen.core import extents as ext
from wherewhen.core.errors import ConfigError, StoreError
from wherewhen.core.feature_file import open_features, save_features
from wherewhen.core.values import Instances
from wherewhen.datasets import native
from wherewhen.datasets.toy import Toy, generate
from wherewhen.text import search
from wherewhen.text.search import Archive, SearchConfig, entries
from wherewhen.video.writer import Writer

KINDS = ("running", "fight", "intrusion")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of each of three kinds and a normal one."""

    def film(path: Path, pictures: Any, rate: float) -> None:
        with Writer(path, rate) as writer:
            for picture in pictures:
                writer.write(picture)

    root = tmp_path_factory.mktemp("search") / "world"
    generate(root, Toy(6, 0, 1, 1, 3, kinds=KINDS, seconds=8, rate=6.25, palette=True), film)
    return root


@pytest.fixture(scope="module")
def store(world: Path) -> Path:
    """Its features by toywords, two frames a clip."""
    folder = world.parent / "store"
    words = ["extract", str(world / "videos"), "--output", str(folder), "--backbones", "toywords"]
    words += ["--toywords.frames", "2", "--toywords.stride", "2", "--workers", "1", "--quiet"]
    assert cli.main(words) == 0
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_asked_for_comes_first_when_and_where_it_is(world: Path, store: Path, kind: str) -> None:
    best = Archive(store, quiet=True).find(f"a person {kind}", 3)[0]
    category = {Path(v.path).stem: v.category for v in native.load(world).videos}
    assert category[Path(best.video).stem] == kind and best.score > 0.5
    truth = native.truth(world)[Path(best.video).stem]
    assert best.start <= best.at <= best.end
    during = truth.boxes[(truth.boxes[:, 0] < best.at + 0.2) & (truth.boxes[:, 1] > best.at - 0.2)]
    assert ext.iou(np.array([0, 1, *best.box]), during).max(initial=0) > 0.1
    others = Archive(store, quiet=True).find(f"a person {kind}", 10)
    assert all(o.score < 0.3 for o in others if category[Path(o.video).stem] != kind)
    assert [o.score for o in others] == sorted((o.score for o in others), reverse=True)


def test_entries_are_the_whole_and_what_stands_out(tmp_path: Path) -> None:
    """Two seconds of four cells that never change, but for one cell at one time."""
    features = np.tile(np.eye(4, 5, dtype=np.float32), (10, 1)).reshape(10, 4, 5) * 3
    features[7, 2] = [0, 0, 0, 0, 2]
    rows = Instances(features.reshape(-1, 5), ext.grid([0, 2, 0, 0, 1, 1], (10, 2, 2)), shape=(10, 2, 2))
    save_features(tmp_path / "a.safetensors", rows, np.arange(3.0), {"made": {}, "source": {}, "about": {}})
    ((vectors, places),) = entries(tmp_path / "a.safetensors", SearchConfig(every=1.0, parts=2))
    assert len(vectors) == len(places) == 2 * (1 + 2)
    np.testing.assert_allclose(np.linalg.norm(vectors.astype(float), axis=1), 1, atol=1e-3)
    np.testing.assert_allclose(vectors[0], [0.5, 0.5, 0.5, 0.5, 0], atol=1e-3)
    np.testing.assert_allclose(places[0], [0, 1, 0, 0, 1, 1])
    np.testing.assert_allclose(vectors[4], [0, 0, 0, 0, 1], atol=1e-3)
    np.testing.assert_allclose(places[4], [1, 2, 0, 0.5, 0.5, 1])
    np.testing.assert_allclose(places[3], [1, 2, 0, 0, 1, 1])


def test_only_videos_that_changed_are_looked_at_again(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []

    def noted(path: Path, config: SearchConfig) -> Any:
        asked.append(path)
        return entries(path, config)

    monkeypatch.setattr(search, "entries", noted)
    first = Archive(store, quiet=True).find("running", 2)
    asked.clear()
    assert [m.plain() for m in Archive(store, quiet=True).find("running", 2)] == [m.plain() for m in first]
    assert not asked
    path = sorted(store.glob("toywords*/*.safetensors"))[1]
    file = open_features(path)
    save_features(path, file.instances(), file.clock, file.passport)
    assert [m.plain() for m in Archive(store, quiet=True).find("running", 2)] == [m.plain() for m in first]
    assert asked == [path]


def test_a_video_that_left_the_archive_is_not_found(store: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(store, copy)
    best = Archive(copy, quiet=True).find("running", 1)[0].video
    next(copy.glob(f"toywords*/{best}.safetensors")).unlink()
    assert best not in {m.video for m in Archive(copy, quiet=True).find("running", 20)}


def test_finds_lie_apart(store: Path) -> None:
    moments = Archive(store, quiet=True).find("a picture of the road", 20)
    for k, one in enumerate(moments):
        for other in moments[:k]:
            assert one.video != other.video or one.start >= other.end + 3 or one.end <= other.start - 3


def test_what_can_not_be_searched_is_told(clips: Path, store: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="motion doesn't encode text"):
        Archive(store, "motion")
    with pytest.raises(StoreError, match=r"wherewhen extract VIDEOS --output .* --backbones clip"):
        Archive(store, "clip")
    with pytest.raises(ConfigError, match="unknown word 'zebra'"):
        Archive(store, quiet=True).find("zebra")
    with pytest.raises(ConfigError, match="a count of 1 at least"):
        Archive(store, quiet=True).find("red", 0)
    with pytest.raises(ConfigError, match="every above 0"):
        SearchConfig(every=0)


def test_the_verb(world: Path, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["search", str(store), "an intruder", "--count", "2", "--quiet"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    words = ["search", str(store), "an intruder", "--count", "1", "--json", "--quiet"]
    assert cli.main([*words, "--videos", str(world / "videos"), "--output", str(tmp_path / "found")]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert set(row) == {"video", "start", "end", "at", "score", "box", "heat"} and np.array(row["heat"]).shape == (
        12,
        16,
    )
    assert {p.suffix for p in (tmp_path / "found").iterdir()} == {".png", ".jsonl"}
    assert cli.main([*words, "--output", str(tmp_path / "x")]) == 2
    assert cli.main([*words, "--videos", str(world / "videos"), "--review", str(tmp_path / "judged")]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) and "wherewhen review" in printed.err
    assert (tmp_path / "judged" / "review.db").is_file()
    assert cli.main(["search", str(tmp_path), "red"]) == 1
    assert "expected a store of features" in capsys.readouterr().err

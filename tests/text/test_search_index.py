from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from wherewhen.core.errors import ConfigError
from wherewhen.text import search_index, search_vectors
from wherewhen.text.search_index import Index, opened

DIMS = 16
CENTERS = np.random.default_rng(9).normal(size=(50, DIMS))


def vectors(video: str, count: int = 60) -> np.ndarray:
    """Unit vectors around fifty centers, the same for the same name."""
    rng = np.random.default_rng([*video.encode()])
    made = CENTERS[rng.integers(0, 50, count)] + 0.4 * rng.normal(size=(count, DIMS))
    return made / np.linalg.norm(made, axis=1, keepdims=True)


class Source:
    """Gives entries and remembers who was asked for; dies at the video ``killed``."""

    def __init__(self, killed: str = "") -> None:
        self.asked: list[str] = []
        self.killed = killed

    def __call__(self, video: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        self.asked.append(video)
        rows = vectors(video)
        for start in (0, 30):
            times = np.arange(start, start + 30)[:, None] + [0, 1]
            yield rows[start : start + 30], np.concatenate([times, np.full((30, 4), start / 60)], 1)
            if video == self.killed:
                raise KeyboardInterrupt


def by_hand(videos: list[str], query: np.ndarray, count: int) -> list[tuple[str, int]]:
    told = [(float(row @ query), video, k) for video in videos for k, row in enumerate(vectors(video))]
    return [(video, k) for _, video, k in sorted(told, reverse=True)[:count]]


def found(index: Index, query: np.ndarray, count: int) -> list[tuple[str, int]]:
    told = index.nearest(query, count)
    assert (np.diff(told.scores) <= 0).all()
    for score, video, span, place in zip(told.scores, told.videos, told.spans, told.places, strict=True):
        assert score == pytest.approx(vectors(video)[int(span[0])] @ query, abs=0.01)
        assert span[1] == span[0] + 1 and place.tolist() == [(span[0] >= 30) / 2] * 4
    return [(video, int(span[0])) for video, span in zip(told.videos, told.spans, strict=True)]


def agreement(index: Index, videos: list[str]) -> float:
    """Share of the exact ten nearest that are among the index's ten, over some questions."""
    shared = []
    for k in range(20):
        query = vectors("question")[k]
        mine = found(index, query, 10)
        assert len(set(mine)) == len(mine) == 10 and {video for video, _ in mine} <= set(videos)
        shared.append(len({*mine} & {*by_hand(videos, query, 10)}) / 10)
    return float(np.mean(shared))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists from 300 vectors on, a quarter of which are looked at; steps of two videos, full parts of five."""
    for name, value in {"EXACT": 300, "STEP": 120, "FULL": 300, "LOOSE": 3}.items():
        monkeypatch.setattr(search_index, name, value)
    monkeypatch.setattr(search_vectors, "PROBED", 0.4)


def names(first: int, last: int) -> list[str]:
    return [f"v{k}" for k in range(first, last)]


def test_few_vectors_are_all_compared(tmp_path: Path) -> None:
    index = Index(tmp_path / "few")
    index.update(dict.fromkeys(names(0, 5), 1), Source())
    assert len(index) == 300 and agreement(index, names(0, 5)) > 0.97
    assert len(index.nearest(vectors("q")[0], 1000).scores) == 300
    assert Index(tmp_path / "none").nearest(vectors("q")[0], 3).videos == []


def test_only_what_is_new_or_changed_is_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    opened(folder, "x", {"v0": 1, "v1": 1, "v2": 1}, Source(), True)
    again = Source()
    index = opened(folder, "x", {"v0": 1, "v1": 2, "v3": 1}, again, True)
    assert sorted(again.asked) == ["v1", "v3"] and len(index) == 180
    assert agreement(index, ["v0", "v1", "v3"]) > 0.97
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    nobody = Source()
    opened(folder, "x", {"v0": 1, "v1": 2, "v3": 1}, nobody, True)
    assert not nobody.asked and before == {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    other = Source()
    opened(folder, "made otherwise", {"v0": 1}, other, True)
    assert other.asked == ["v0"]


@pytest.mark.usefixtures("small")
def test_many_vectors_lie_in_lists_and_come_and_go(tmp_path: Path) -> None:
    """Twenty videos one by one, then some change and some go; what counts is what there is now."""
    folder = tmp_path / "index"
    for last in range(1, 21):
        index = opened(folder, None, dict.fromkeys(names(0, last), 1), Source(), True)
        assert len(index) == 60 * last
    told = json.loads((folder / "index.json").read_text())
    listed = {name for name in told["files"] if index._part(name).lists}
    assert listed and {path.name for path in folder.iterdir() if path.suffix in (".safetensors", ".faiss")} == {
        *told["files"], *(Path(name).stem + ".faiss" for name in listed), told["lists"]
    }  # fmt: skip
    assert agreement(index, names(0, 20)) > 0.9
    assert len(told["files"]) < 12
    left = names(3, 9) + names(14, 20)
    again = Source()
    index = opened(folder, None, dict.fromkeys(left, 1) | {"v5": 2}, again, True)
    assert again.asked == ["v5"] and len(index) == 60 * len(left) and agreement(index, left) > 0.9
    assert agreement(Index(folder), left) > 0.9


@pytest.mark.usefixtures("small")
def test_at_once_or_one_by_one_the_same_is_found(tmp_path: Path) -> None:
    whole = opened(tmp_path / "a", None, dict.fromkeys(names(0, 12), 1), Source(), True)
    for last in range(1, 13):
        steps = opened(tmp_path / "b", None, dict.fromkeys(names(0, last), 1), Source(), True)
    assert len(whole) == len(steps) == 720
    assert agreement(whole, names(0, 12)) > 0.9 and agreement(steps, names(0, 12)) > 0.9


@pytest.mark.usefixtures("small")
def test_a_kill_loses_one_step(tmp_path: Path) -> None:
    folder, wanted = tmp_path / "index", dict.fromkeys(names(0, 9), 1)
    with pytest.raises(KeyboardInterrupt):
        Index(folder).update(wanted, Source(killed="v7"))
    kept = Index(folder)
    assert len(kept) == 60 * 7
    rest = Source()
    index = opened(folder, None, wanted, rest, True)
    assert rest.asked == ["v7", "v8"] and len(index) == 540 and agreement(index, names(0, 9)) > 0.9


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("moment", range(1, 12))
def test_a_kill_at_any_write_is_made_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int) -> None:
    """The process dies before its n-th file takes its place; the next one brings all to its end."""
    folder = tmp_path / "index"
    opened(folder, None, dict.fromkeys(names(0, 4), 1), Source(), True)
    replace, count = Path.replace, 0

    def dying(self: Path, target: Path) -> Path:
        nonlocal count
        count += 1
        if count == moment:
            raise SystemExit
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", dying)
    wanted = dict.fromkeys(names(1, 9), 1)
    with pytest.raises(SystemExit):
        Index(folder).update(wanted, Source())
    monkeypatch.undo()
    between = Index(folder)
    between.map()
    assert {video for video, _ in found(between, vectors("q")[0], 20)} <= {*names(0, 9)}
    index = opened(folder, None, wanted, Source(), True)
    assert len(index) == 480 and not index.differs(wanted)
    assert len(found(index, vectors("q")[0], 480)) > 200


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("which", ["part", "lists", "index.json"])
def test_what_is_damaged_is_made_again(tmp_path: Path, which: str) -> None:
    folder, wanted = tmp_path / "index", dict.fromkeys(names(0, 8), 1)
    opened(folder, None, wanted, Source(), True)
    for path in folder.glob(f"{which}*"):
        path.write_bytes(b"rubbish")
    index = opened(folder, None, wanted, Source(), True)
    assert len(index) == 480 and agreement(index, names(0, 8)) > 0.9


@pytest.mark.usefixtures("small")
def test_lists_are_learnt_anew_as_the_index_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_index, "RELEARN", 2)
    folder = tmp_path / "index"
    opened(folder, None, dict.fromkeys(names(0, 6), 1), Source(), True)
    first = json.loads((folder / "index.json").read_text())
    index = opened(folder, None, dict.fromkeys(names(0, 18), 1), Source(), True)
    told = json.loads((folder / "index.json").read_text())
    assert (first["learnt"], told["learnt"]) == (360, 1080) and told["lists"] != first["lists"]
    assert not (folder / first["lists"]).exists() and agreement(index, names(0, 18)) > 0.9


@pytest.mark.usefixtures("small")
def test_without_the_library_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, wanted = tmp_path / "index", dict.fromkeys(names(0, 8), 1)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "faiss", None)
        with pytest.raises(ConfigError, match=r'pip install "wherewhen\[search\]"'):
            opened(folder, None, wanted, Source(), True)
    nobody = Source()
    index = opened(folder, None, wanted, nobody, True)
    assert not nobody.asked and len(index) == 480 and agreement(index, names(0, 8)) > 0.9

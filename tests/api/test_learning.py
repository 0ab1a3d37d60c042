"""Learning from verdicts: what a challenger learns from, when it takes over, and what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import wherewhen
from wherewhen import cli
from wherewhen.api import learning, runs
from wherewhen.api.learning import Comparison, HeldOut
from wherewhen.core.database import Tables
from wherewhen.core.errors import ConfigError, DataError
from wherewhen.inference.model import Model
from wherewhen.live import control
from wherewhen.live.database import Database
from wherewhen.review import runs as review_runs
from wherewhen.review.judged import Judged, judged_items
from wherewhen.training.verdicts import is_held_out

SETTINGS: dict[str, Any] = {"method": "cuboid_mil", "training": {"steps": 3}}
DAY = 1_796_000_400.0


@pytest.fixture(scope="module")
def yard(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that records where its clips are."""
    folder = tmp_path_factory.mktemp("runs") / "yard"
    runs.train(clips, folder, settings=SETTINGS, device="cpu", check=False, quiet=True)
    return folder


def hours(held_out: bool) -> list[int]:
    """Hours of a day that are held out, or not."""
    return [h for h in range(24) if is_held_out("yard", f"2026-11-30T{h:02}") == held_out]


@pytest.fixture
def store(clips: Path, tmp_path: Path) -> Path:
    """A store with a false alert to learn from, one held out, and a confirmed one."""
    folder = tmp_path / "live"
    videos = sorted(clips.rglob("*.mp4"))
    with Database(folder) as database:
        cases = ((hours(False)[0], "false"), (hours(False)[1], "true"), (hours(True)[0], "false"))
        for number, (hour, verdict) in enumerate(cases):
            (folder / "clips").mkdir(exist_ok=True)
            shutil.copy(videos[number], folder / "clips" / f"{number}.mp4")
            begin = DAY - 3600 + 3600 * hour
            row = {"id": f"a{number}", "camera": "yard", "t0": begin, "t1": begin + 1, "severity": "alert",
                   "score": 0.9, "threshold": 0.5, "zones_json": "[]", "state": "ok",
                   "clip": f"clips/{number}.mp4", "clip_t0": begin}  # fmt: skip
            database.write(f"INSERT INTO item({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", *row.values())
            control.judge(database, f"a{number}", verdict, DAY)
    return folder


def test_a_store_teaches_a_new_run(yard: Path, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (yard / "weights" / "best.safetensors").read_bytes()
    out = tmp_path / "yard-2"
    command = ["learn", "--from", str(store), "--model", str(yard), "--output", str(out), "--device", "cpu"]
    assert cli.main([*command, "--quiet"]) == 0
    printed = capsys.readouterr().out
    assert "learned from 2 verdicts, 1 held out" in printed and "champion" in printed
    record = json.loads((out / "learning.json").read_text())
    assert record["learned"] == ["a0", "a1"] and record["held_out"] == ["a2"]
    assert (yard / "weights" / "best.safetensors").read_bytes() == before
    assert Model.load(out, device="cpu").config.method == "cuboid_mil"
    with Tables(store / "live.db") as tables:
        (run,) = review_runs.listed(tables)
        assert run.parent_sha == review_runs.sha_of(yard) and run.sha == review_runs.sha_of(out)
        assert dict(tables.rows("SELECT id, review FROM item")) == {"a0": "used", "a1": "used", "a2": "judged"}
    with pytest.raises(ConfigError, match="holds a run already"):
        wherewhen.learn(store, yard, out, device="cpu", quiet=True)
    again = wherewhen.learn(store, out, tmp_path / "yard-3", device="cpu", quiet=True)  # a run that learned learns too
    assert again.items == ("a0", "a1")


def test_what_can_not_be_learned_from_is_refused(yard: Path, store: Path, tmp_path: Path) -> None:
    items = judged_items(store)
    none: list[tuple[list[Judged], str]] = [
        ([], "no verdicts yet"),
        ([replace(item, verdict="unsure") for item in items], "3 judged, all unsure"),
        ([item for item in items if is_held_out(item.camera, item.hour)], "all 1 verdicts are of hours"),
    ]
    for verdicts, message in none:
        with pytest.raises(DataError, match=message):
            wherewhen.learn(verdicts, yard, tmp_path / "out", device="cpu")
    assert cli.main(["learn", "--model", str(yard)]) == 2


def test_training_videos_that_are_gone_are_named_with_what_to_do(
    yard: Path, clips: Path, store: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(clips, moved)
    alone = tmp_path / "elsewhere" / "yard"  # the record's path leads nowhere from here
    shutil.copytree(yard, alone)
    verdicts = judged_items(store)
    with pytest.raises(DataError, match="not there any more; add --videos FOLDER, their new place"):
        wherewhen.learn(verdicts, alone, tmp_path / "a", device="cpu")
    learned = wherewhen.learn(verdicts, alone, tmp_path / "b", videos=moved, device="cpu", quiet=True)
    assert len(learned.items) == 2
    (alone / "data.json").unlink()
    with pytest.raises(DataError, match="does not record where they are; add --videos FOLDER"):
        wherewhen.learn(verdicts, alone, tmp_path / "c", device="cpu")
    for video in list(moved.rglob("*.mp4"))[:1]:
        video.unlink()
    with pytest.raises(DataError, match="1 of the 4 training videos of this model are not there or were changed"):
        wherewhen.learn(verdicts, alone, tmp_path / "d", videos=moved, device="cpu")


def test_a_model_that_can_not_be_trained_again_is_refused(yard: Path, store: Path) -> None:
    model = Model.load(yard, device="cpu")
    model.adaptation = object()  # type: ignore[assignment]
    with pytest.raises(ConfigError, match="adapted to a camera"):
        learning._check_trainable(model)


@pytest.mark.parametrize(
    ("before", "after", "lost", "reason"),
    [
        ((5, 5, 3, 3), (2, 5, 3, 3), (), None),
        ((5, 5, 3, 3), (2, 5, 2, 3), ("a7",), r"loses 1 confirmed event \(a7\)"),
        ((5, 5, 3, 3), (5, 5, 3, 3), (), r"don't fall \(5 before, 5 after\)"),
        ((0, 0, 3, 3), (0, 0, 3, 3), (), "none of the held-out verdicts is false"),
    ],
)
def test_a_challenger_takes_over_only_with_fewer_false_alarms_and_every_event(
    before: tuple[int, ...], after: tuple[int, ...], lost: tuple[str, ...], reason: str | None
) -> None:
    refusal = learning._refusal(HeldOut(*before), HeldOut(*after), lost, True)
    assert (refusal is None) == (reason is None)
    if reason is not None:
        with pytest.raises(ValueError, match=reason):
            raise ValueError(refusal)
    assert learning._refusal(HeldOut(5, 5, 3, 3), HeldOut(2, 5, 3, 3), (), False) == "its threshold was not chosen anew"


def test_an_event_that_only_the_challenger_finds_is_no_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = {"event": 1, "other": 1, "rain": 0}
    hits = {"champion": {"event": True, "other": False, "rain": True},
            "worse": {"event": False, "other": True, "rain": False},
            "better": {"event": True, "other": True, "rain": False}}  # fmt: skip
    monkeypatch.setattr(learning, "_alarms", lambda model, items: [hits[model][item.label.id] for item in items])
    items: Any = [type("Item", (), {"label": type("Label", (), {"id": k, "label": v})}) for k, v in labels.items()]
    of: Any = Comparison.of
    assert of("champion", "better", items, "scores out of fold").promoted
    worse = of("champion", "worse", items, "scores out of fold")
    assert worse.lost == ("event",) and not worse.promoted
    assert worse.lines()[-1] == "not promoted: it loses 1 confirmed event (event)"
    assert (worse.champion, worse.challenger) == (HeldOut(1, 1, 1, 2), HeldOut(0, 1, 1, 2))


@pytest.mark.parametrize("method", ["pooled", "gclnc", "wherewhen"])
def test_other_methods_learn_too(method: str, clips: Path, store: Path, tmp_path: Path) -> None:
    settings = {"method": method, "training": {"steps": 2}, "motion": {"groups": []}}
    runs.train(clips, tmp_path / "run", settings=settings, device="cpu", check=False, quiet=True)
    items = [replace(item, verdict="wrong_place", shown_box=(0, 0, 0.6, 1)) if item.verdict == "true" else item
             for item in judged_items(store)]  # fmt: skip
    learned = wherewhen.learn(items, tmp_path / "run", tmp_path / "out", device="cpu", quiet=True)
    assert learned.items == ("a0", "a1") and learned.held_out == ("a2",)
    assert Model.load(tmp_path / "out", device="cpu").threshold == learned.model.threshold

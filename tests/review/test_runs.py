"""The chain of models that learned from verdicts: promotion and roll back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from wherewhen.core.database import Tables
from wherewhen.core.errors import ConfigError
from wherewhen.review import runs

BETTER = {"promoted": True, "reason": "1 false alarm instead of 3"}


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[Tables]:
    with Tables(tmp_path / "review.db") as opened:
        yield opened


def run(folder: Path, weights: bytes) -> Path:
    (folder / "weights").mkdir(parents=True)
    (folder / "weights" / "best.safetensors").write_bytes(weights)
    return folder


def test_each_promotion_replaces_the_model_and_each_roll_back_brings_it_back(tables: Tables, tmp_path: Path) -> None:
    first, second, third, rival = (run(tmp_path / name, name.encode()) for name in ("one", "two", "three", "rival"))
    assert runs.current(tables, first) == first
    runs.record(tables, runs.sha_of(first), second, BETTER, [], 1.0)
    assert runs.current(tables, first) == first, "recorded, but not promoted"
    runs.promote(tables, str(second), 2.0)
    assert runs.current(tables, first) == second and runs.current(tables, second) == second
    runs.record(tables, runs.sha_of(second), third, BETTER, [], 3.0)
    runs.promote(tables, runs.sha_of(third), 4.0)
    assert runs.current(tables, first) == third
    runs.rollback(tables, str(third), 5.0)
    assert runs.current(tables, first) == second
    runs.record(tables, runs.sha_of(first), rival, BETTER, [], 6.0)
    runs.promote(tables, str(rival), 7.0)
    assert runs.current(tables, first) == rival, "one model at a time takes the place of another"
    runs.rollback(tables, str(rival), 8.0)
    assert runs.current(tables, first) == first
    with pytest.raises(ConfigError, match="not in use"):
        runs.rollback(tables, str(rival), 9.0)
    runs.promote(tables, str(second), 10.0)
    assert runs.current(tables, first) == second
    active = [one.folder.name for one in runs.listed(tables) if one.active]
    assert active == ["two"]


def test_only_a_better_model_whose_weights_are_there_takes_over(tables: Tables, tmp_path: Path) -> None:
    first, second = run(tmp_path / "one", b"1"), run(tmp_path / "two", b"2")
    runs.record(tables, runs.sha_of(first), second, {"promoted": False, "reason": "it loses 1 event"}, [], 1.0)
    with pytest.raises(ConfigError, match="not promoted: it loses 1 event"):
        runs.promote(tables, str(second), 2.0)
    runs.record(tables, runs.sha_of(first), second, BETTER, [], 3.0)
    runs.promote(tables, str(second), 4.0)
    (second / "weights" / "best.safetensors").write_bytes(b"other")
    assert runs.current(tables, first) == first, "the weights are another model's"
    with pytest.raises(ConfigError, match="another model's now"):
        runs.promote(tables, str(second), 5.0)
    with pytest.raises(ConfigError, match="two"):
        runs.promote(tables, "three", 5.0)


def test_items_are_used_once_they_were_learned_from(tables: Tables, tmp_path: Path) -> None:
    for id in "ab":
        tables.write(
            "INSERT INTO item(id, camera, t0, severity, score, threshold, zones_json, state) "
            "VALUES (?, 'yard', 0, 'alert', 0.9, 0.5, '[]', 'ok')", id,
        )  # fmt: skip
    tables.write("INSERT INTO verdict(item, camera, verdict, t0, t1, at) VALUES ('a', 'yard', 'false', 0, 1, 2)")
    made = runs.record(tables, "", run(tmp_path / "one", b"1"), BETTER, ["a", "b"], 1.0)
    assert tables.rows("SELECT id, review, run FROM item ORDER BY id") == [("a", "used", made.id), ("b", "open", None)]
    tables.write("INSERT INTO verdict(item, camera, verdict, t0, t1, at) VALUES ('a', 'yard', 'true', 0, 1, 3)")
    assert tables.rows("SELECT review, run FROM item WHERE id = 'a'") == [("judged", None)], "another verdict"

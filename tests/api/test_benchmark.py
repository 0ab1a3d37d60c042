"""The protocol: every fold and seed, trivial rows always, nothing twice, and a table that is plain numpy."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wherewhen import cli
from wherewhen.api import ablations, benchmark
from wherewhen.api.benchmark import Bench, truth_hash
from wherewhen.api.jobs import Job
from wherewhen.core import registry
from wherewhen.core.errors import ConfigError, DataError
from wherewhen.core.store import cache_folder
from wherewhen.core.values import Truth
from wherewhen.evaluation import evaluator
from wherewhen.evaluation.evaluator import Row
from wherewhen.inference.model_config import ModelConfig

SETTINGS: dict[str, Any] = {"training": {"steps": 6, "validate_every": 3}}
TRIVIAL = set(registry.names("baselines")) - {"random_tube", "tube_oracle"}  # which need movers


def run(root: Path, **more: Any) -> Bench:
    return benchmark.bench(root, settings=SETTINGS, families=("frame", "pointing"), workers=1, quiet=True, **more)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of this file's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHEREWHEN_CACHE", str(tmp_path_factory.mktemp("bench_cache")))
        yield cache_folder()


@pytest.fixture(scope="module")
def first(natives: Path, cache: Path) -> Bench:
    """The protocol on two folds, run for the first time."""
    return run(natives)


def results(cache: Path) -> list[dict[str, dict[str, float]]]:
    """What each job left."""
    return [json.loads(path.read_text())["rows"] for path in sorted((cache / "bench").glob("*.json"))]


def test_every_row_is_plain_numpy_over_folds(first: Bench, cache: Path) -> None:
    jobs = results(cache)
    assert len(jobs) == 2
    assert {(row.method, row.metric) for row in first.table} == {(m, k) for job in jobs for m in job for k in job[m]}
    for row in first.table:
        values = [job[row.method][row.metric] for job in jobs if row.metric in job[row.method]]
        assert row.n == len(values) and row.backbone == "motion"
        assert row.mean == pytest.approx(np.mean(values))
        assert row.std == pytest.approx(np.std(values, ddof=1) if len(values) > 1 else 0)


def test_trivial_rows_stand_beside_every_method(first: Bench) -> None:
    methods = {row.method for row in first.table}
    assert methods == TRIVIAL | {"cuboid_mil", "cuboid_mil (last)", "cuboid_mil (test oracle)"}
    told = {(row.method, row.metric): row.mean for row in first.table}
    assert told["full_frame", "frame_auc"] == 0.5
    assert told["grid_oracle", "frame_auc"] > 0.95
    assert told["cuboid_mil (test oracle)", "frame_auc"] >= told["cuboid_mil", "frame_auc"]


def test_finished_jobs_are_not_done_again_even_where_the_data_set_was_moved(
    first: Bench, natives: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(self: Job) -> dict[str, Any]:
        raise AssertionError("done before")

    monkeypatch.setattr(Job, "run", forbidden)
    assert run(natives).as_json() == first.as_json()
    moved = shutil.copytree(natives, tmp_path / natives.name, copy_function=shutil.copyfile)
    assert run(moved).as_json() == first.as_json()


def test_an_interrupted_protocol_goes_on(
    first: Bench, natives: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHEREWHEN_CACHE", str(tmp_path))
    shutil.copytree(cache / "features", tmp_path / "features")
    real, done = Job.run, []

    def counting(self: Job, folder: Path | None = None) -> dict[str, Any]:
        if self.fold == 1 and not (tmp_path / "go on").exists():
            raise KeyboardInterrupt
        done.append(self.fold)
        return real(self, folder)

    monkeypatch.setattr(Job, "run", counting)
    with pytest.raises(KeyboardInterrupt):
        run(natives)
    (tmp_path / "go on").touch()
    assert run(natives).as_json() == first.as_json()
    assert done == [0, 1]


def test_other_truth_is_judged_anew(first: Bench, natives: Path, cache: Path, tmp_path: Path) -> None:
    shutil.copytree(natives, tmp_path / "yard")
    truth = json.loads((tmp_path / "yard" / "gt.json").read_text())
    truth["a0"]["segments_0based_halfopen"] = [[8, 16]]
    (tmp_path / "yard" / "gt.json").write_text(json.dumps(truth))
    other = run(tmp_path / "yard")
    assert other.facts["truth"] != first.facts["truth"]
    assert len(results(cache)) == 4


def test_facts_say_what_the_table_rests_on(first: Bench) -> None:
    told = first.as_json()
    assert (told["train"], told["test"], told["folds"], told["seeds"]) == ("yard", "yard", 2, [0])
    assert told["configs"][0]["training"]["steps"] == 6
    assert json.loads(json.dumps(told)) == told
    for row in told["rows"]:
        assert row["low"] - 1e-9 <= row["mean"] <= row["high"] + 1e-9
    assert all(set(pair) == set(told["pairs"][0]) for pair in told["pairs"])


EDGES = np.arange(5.0)
TRUTHS = {
    "nothing": Truth(EDGES),
    "span": Truth(EDGES, [[1, 2]]),
    "later": Truth(EDGES, [[1, 2.5]]),
    "box": Truth(EDGES, [[1, 2]], [[1, 2, 0, 0, 1, 1]]),
    "wider": Truth(EDGES, [[1, 2]], [[1, 2, 0, 0, 1, 0.5]]),
    "tracked": Truth(EDGES, [[1, 2]], [[1, 2, 0, 0, 1, 1]], np.array([3])),
    "named": Truth(EDGES, [[1, 2]], categories=("fall",)),
    "faster": Truth(EDGES / 2, [[1, 2]]),
    "unboxed": Truth(EDGES, [[1, 2]], boxed=np.zeros(4, bool)),
    "partly": Truth(EDGES, [[1, 2]], boxed=np.array([True, False, True, False])),
}


def test_the_truth_has_a_fingerprint() -> None:
    found = {name: truth_hash({"a": truth}) for name, truth in TRUTHS.items()}
    assert len(set(found.values())) == len(TRUTHS)
    assert truth_hash({"a": Truth(EDGES, [[1, 2]])}) == found["span"]
    assert truth_hash({"b": TRUTHS["span"]}) != found["span"]
    pair = {"a": TRUTHS["span"], "b": TRUTHS["box"]}
    assert truth_hash(pair) == truth_hash(dict(reversed(pair.items())))


def test_what_can_not_be_repeated_is_told(clips: Path, natives: Path, cache: Path) -> None:
    with pytest.raises(DataError, match="no train/test folds"):
        run(clips)
    with pytest.raises(ConfigError, match="unknown method 'cuboid_mill'; did you mean 'cuboid_mil'"):
        benchmark.bench(natives, ["cuboid_mill"], workers=1, quiet=True)


def test_train_here_and_judge_there(first: Bench, clips: Path, natives: Path, cache: Path) -> None:
    """Where truth is only known of other videos: all labelled ones teach, and one judgment is made."""
    made = run(clips, test=natives)
    assert (made.facts["train"], made.facts["test"]) == (clips.name, "yard")
    assert all(row.n == 1 and row.std == 0 for row in made.table)
    assert {row.method for row in made.table} >= TRIVIAL | {"cuboid_mil"}


def test_a_matrix_of_one_data_set_is_the_protocol(first: Bench, natives: Path, cache: Path) -> None:
    families = ("frame", "pointing")
    (only,) = benchmark.matrix([natives], settings=SETTINGS, families=families, workers=1, quiet=True)
    assert only.as_json() == first.as_json()


def test_seeds_are_repeats_too(first: Bench, natives: Path, cache: Path) -> None:
    made = run(natives, seeds=(0, 1))
    assert {row.n for row in made.table if row.metric == "frame_auc"} == {4}
    told = [row for row in made.table if row.metric == "frame_auc"]
    assert any(row.std > 0 for row in told if row.method == "chance")


def test_crops_of_ones_own_boxes(natives: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Movers out of a folder of files, seen from near: every row is judged, and another file is another job."""
    for name in ("n0", "n1", "a0", "a1"):
        rows = [f"{k + 1},1,{4 * (k - 8) + 1},17,12,12,0.9,-1,-1,-1\n" for k in range(8, 20)] if name[0] == "a" else []
        (tmp_path / f"{name}.txt").write_text("".join(rows))
    tubes = {"proposals": "file", "boxes": {"path": str(tmp_path)}, "features": "crop", "part": 0.4}
    tubes["shape"] = {"shortest": 0.2}
    settings = {**SETTINGS, "instances": "tubes", "tubes": tubes}
    how: dict[str, Any] = {"settings": settings, "workers": 1, "quiet": True}

    def again() -> Bench:
        return benchmark.bench(natives, ["dmrm"], ["toywords"], families=("frame",), **how)

    made = again()
    assert {"dmrm", "random_tube", "tube_oracle", "chance"} <= {row.method for row in made.table}
    assert next(r.mean for r in made.table if r.method == "tube_oracle" and r.metric == "frame_auc") > 0.9
    monkeypatch.setattr(Job, "run", lambda job, folder=None: pytest.fail("done again"))
    assert again().table == made.table
    (tmp_path / "a1.txt").write_text("9,1,1,17,12,12,0.9,-1,-1,-1\n")
    with pytest.raises(pytest.fail.Exception, match="done again"):
        again()


def test_processes_change_nothing(
    first: Bench, natives: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHEREWHEN_CACHE", str(tmp_path))
    shutil.copytree(cache / "features", tmp_path / "features")
    made = benchmark.bench(natives, settings=SETTINGS, families=("frame", "pointing"), workers=2, quiet=True)
    assert made.as_json() == first.as_json()


# --- the table itself


def test_rows_count_only_what_is_there() -> None:
    repeats: list[dict[str, Any]] = [{"a": 0.5, "b": math.nan}, {"a": 1.0, "c": 2.0}, {"a": 0.0, "b": None}]
    assert evaluator.rows("m", "x", repeats) == [
        Row("m", "x", "a", 0.5, 0.5, 3),
        Row("m", "x", "c", 2.0, 0.0, 1),
    ]
    assert evaluator.rows("m", "x", []) == []


def test_a_table_reads_as_markdown() -> None:
    table = [Row("m", "x", "auc", 0.5, 0.25, 3), Row("m", "x", "ap", 1, 0, 1), Row("n", "x", "ap", 0.1239, 0, 1)]
    assert evaluator.markdown(table).splitlines() == [
        "| method | backbone | auc | ap |",
        "|---|---|---:|---:|",
        "| m | x | 0.500 ± 0.250 | 1.000 |",
        "| n | x | - | 0.124 |",
    ]
    assert evaluator.markdown(table, ["ap"]).splitlines()[2] == "| m | x | 1.000 |"


# --- what the truth allows


def without_boxes(natives: Path, root: Path, names: set[str]) -> Path:
    """The data set where nobody said where it happens in some clips."""
    shutil.copytree(natives, root)
    shutil.rmtree(root / "masks", ignore_errors=True)
    truth = json.loads((root / "gt.json").read_text())
    for name in names:
        truth[name] = {key: value for key, value in truth[name].items() if key not in ("boxes", "tracks")}
    (root / "gt.json").write_text(json.dumps(truth))
    return root


def test_families_without_their_truth_are_skipped_and_told(
    first: Bench, natives: Path, cache: Path, tmp_path: Path
) -> None:
    """In one fold of two, then in both; a row that tells the truth is there as often as the truth is."""
    some = without_boxes(natives, tmp_path / "some", {"a0"})
    made = benchmark.bench(some, settings=SETTINGS, workers=1, quiet=True)
    assert made.facts["notes"][:1] == ["pixel: skipped in 1 of 2 folds, the truth has times but no boxes or masks"]
    counts = {(row.method, row.metric): row.n for row in made.table}
    assert counts["cuboid_mil", "frame_auc"] == 2 and counts["cuboid_mil", "pointing_hit"] == 1
    assert counts["grid_oracle", "frame_auc"] == 1 and counts["chance", "frame_auc"] == 2
    assert ("cuboid_mil", "grid_oracle") in {(pair.a, pair.b) for pair in made.pairs}
    none = without_boxes(natives, tmp_path / "none", {"a0", "a1"})
    made = benchmark.bench(none, settings=SETTINGS, workers=1, quiet=True)
    assert made.facts["notes"] == ["pixel, tiou, pointing: skipped, the truth has times but no boxes or masks"]
    assert {row.metric for row in made.table} >= {"frame_auc", "vauc"}
    assert "grid_oracle" not in {row.method for row in made.table}
    with pytest.raises(DataError, match=r"can't be measured by pixel: the truth has times but no boxes or masks"):
        benchmark.bench(none, settings=SETTINGS, families=("frame", "pixel"), workers=1, quiet=True)


# --- ablations


@pytest.fixture(scope="module")
def ablated(first: Bench, natives: Path, cache: Path) -> Bench:
    """Two parts of a method changed, one at a time."""
    declared = {"no prior": {"prior": None}, "one cell": {"top": 0.0}, "as it is": {"hidden": 32}}
    with pytest.MonkeyPatch.context() as patch:
        method = registry.load("methods", "cuboid_mil")
        patch.setattr(method, "abilities", replace(method.abilities, ablations=declared))
        return run(natives, ablate="cuboid_mil")


def test_an_ablation_has_a_row_per_change(ablated: Bench, first: Bench) -> None:
    names = list(dict.fromkeys(row.method for row in ablated.table))
    assert set(names) == {row.method for row in first.table} | {"cuboid_mil: no prior", "cuboid_mil: one cell"}
    told = {(row.method, row.metric): row for row in ablated.table}
    for row in first.table:
        assert told[row.method, row.metric] == row, (
            "the method as it is, and the trivial rows, are those of the protocol"
        )
    assert {row.n for row in ablated.table if row.metric == "frame_auc"} == {2}


def test_every_change_is_compared_with_the_method_as_it_is(ablated: Bench) -> None:
    assert {pair.a for pair in ablated.pairs} == {"cuboid_mil"}
    told = {(row.method, row.metric): row.mean for row in ablated.table}
    pairs = [pair for pair in ablated.pairs if pair.metric == "frame_auc"]
    assert {"cuboid_mil: no prior", "cuboid_mil: one cell", "chance"} <= {pair.b for pair in pairs}
    for pair in pairs:
        assert pair.difference == pytest.approx(told["cuboid_mil", "frame_auc"] - told[pair.b, "frame_auc"])
    facts = ablated.as_json()
    given = facts["ablations"]
    assert set(given) == {"cuboid_mil: no prior", "cuboid_mil: one cell"}
    assert given["cuboid_mil: no prior"]["cuboid_mil"]["prior"] is None
    assert given["cuboid_mil: one cell"]["cuboid_mil"]["top"] == 0.0
    assert [config["cuboid_mil"]["prior"] for config in facts["configs"]] == [2.0, None, 2.0]


@pytest.mark.usefixtures("all_builders")
@pytest.mark.parametrize("name", registry.names("methods"))
def test_declared_ablations_are_settings_that_change_something(name: str) -> None:
    declared = registry.load("methods", name).abilities.ablations
    instances = registry.load("methods", name).views[0]
    if declared:
        usual = ablations.variants(name, {"instances": instances})
        with_unions = ablations.variants(name, {"instances": instances, "tubes": {"shape": {"multivariate": True}}})
        assert {*usual, *with_unions} == {name, *(f"{name}: {row}" for row in declared)}
        assert list(usual) == [row for row in [name, *(f"{name}: {row}" for row in declared)] if row in usual]


def test_an_ablation_may_change_another_part_and_leaves_the_rest_of_it() -> None:
    given = {"tubes": {"part": 5.0, "shape": {"window": 8.0}}, "mgpr": {"heads": 4}}
    _, changed = ablations.variants("mgpr", given)["mgpr: multivariate tubes"]
    assert changed["tubes"] == {"part": 5.0, "shape": {"window": 8.0, "multivariate": True}}
    assert changed["mgpr"] == {"heads": 4}
    config = ModelConfig.of({**changed, "method": "mgpr"})
    assert [config.settings[name].shape.multivariate for name in ("tubes", "tube_frames")] == [True, True]
    assert given == {"tubes": {"part": 5.0, "shape": {"window": 8.0}}, "mgpr": {"heads": 4}}


def test_a_row_that_changes_nothing_or_equals_another_one_is_left_out() -> None:
    without = ablations.variants("mgpr")
    assert "mgpr: multivariate tubes" in without and "mgpr: no multivariate tubes" not in without
    assert "mgpr: neither multivariate tubes nor relation" not in without, "it equals: no relation"
    with_unions = ablations.variants("mgpr", {"tubes": {"shape": {"multivariate": True}}})
    assert "mgpr: multivariate tubes" not in with_unions
    assert {"mgpr: no multivariate tubes", "mgpr: neither multivariate tubes nor relation"} < set(with_unions)


def test_the_device_of_a_benchmark_is_that_of_its_jobs(
    natives: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: dict[str, Any] = {}

    def matrix(*args: Any, **options: Any) -> list[benchmark.Bench]:
        asked.update(options)
        return []

    monkeypatch.setattr(benchmark, "matrix", matrix)
    for words, device, workers in (([], "cpu", None), (["--device", "meta"], "meta", 1)):
        assert cli.main(["bench", str(natives), *words]) == 0
        assert (asked["device"], asked["workers"]) == (device, workers)
    assert cli.main(["bench", str(natives), "--device", "cuda:9"]) == 2
    assert "device 'cuda:9' can't be used here" in capsys.readouterr().err


def test_a_method_without_ablations_is_told(natives: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    method = registry.load("methods", "cuboid_mil")
    monkeypatch.setattr(method, "abilities", replace(method.abilities, ablations={}))
    able = [n for n in registry.names("methods") if registry.load("methods", n).abilities.ablations]
    with pytest.raises(ConfigError, match=f"cuboid_mil declares no ablations; these do: {', '.join(able) or 'none'}"):
        run(natives, ablate="cuboid_mil")


def test_what_settings_change_already_has_no_row() -> None:
    rows = ablations.variants("cuboid_mil", {"cuboid_mil": {"prior": None}})
    assert "cuboid_mil: no prior" not in rows and "cuboid_mil: the maximum alone" in rows
    assert rows["cuboid_mil: the maximum alone"][1]["cuboid_mil"] == {"prior": None, "top": 0.0}


def test_several_methods_train_here_and_are_judged_there(
    first: Bench, natives: Path, cache: Path, tmp_path: Path
) -> None:
    """Leave one scene out: every method on every ordered pair of data sets, beside the protocol on each."""
    shutil.copytree(natives, tmp_path / "yard")
    roots, methods = [natives, tmp_path / "yard"], ["cuboid_mil", "dmrm"]  # the former is at hand
    made = benchmark.matrix(roots, methods, settings=SETTINGS, families=("frame", "pointing"), workers=1, quiet=True)
    assert [one.facts["folds"] for one in made] == [2, 0, 0, 2]
    for one in made:
        assert {row.method for row in one.table} >= set(methods) | TRIVIAL
        assert {(pair.a, pair.b) for pair in one.pairs} >= {("cuboid_mil", "dmrm")}


def test_where_code_lies_does_not_change_its_key_and_what_it_does_changes_it(tmp_path: Path) -> None:
    def key(folder: str, name: str, text: str) -> str:
        path = tmp_path / folder / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
        return benchmark.code_key(tmp_path / folder)

    plain = key("plain", "a.py", '"""Text."""\nimport os\n\n\ndef f(x):\n    """Text."""\n    return x + 1\n')
    assert key("moved", "below/b.py", "from os import path  # why\n\n\ndef f(x):\n    return x + 1\n") == plain
    assert key("changed", "a.py", "import os\n\n\ndef f(x):\n    return x + 2\n") != plain


def test_the_key_of_code_is_cached_for_the_same_files(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    first = benchmark.code_key(tmp_path)
    parsed: list[str] = []
    statements = benchmark._statements
    monkeypatch.setattr(benchmark, "_statements", lambda text: parsed.append(text) or statements(text))
    benchmark.code_key.cache_clear()
    assert benchmark.code_key(tmp_path) == first and not parsed
    (stored,) = [path for path in (cache / "bench" / "code").glob("*.json") if first in path.read_text()]
    stored.write_text("[]")
    benchmark.code_key.cache_clear()
    assert benchmark.code_key(tmp_path) == first and parsed == ["x = 1\n"]
    assert "recomputed" in caplog.text and first in stored.read_text()

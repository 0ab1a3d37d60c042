"""The honest protocol: every fold, every seed, several methods and backbones, trivial rows always, one table."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from wherewhen import data, extract, registry
from wherewhen.errors import DataError
from wherewhen.evaluate import FAMILIES, Numbers, Row, looks, measure, normalized, predict, predict_trivial, rows
from wherewhen.extract import Look
from wherewhen.model import Recipe
from wherewhen.progress import track
from wherewhen.store import cache_folder, fingerprint, plain, write_json
from wherewhen.train import fit
from wherewhen.values import Fold, Truth

log = logging.getLogger("wherewhen")


@dataclass(frozen=True)
class Job:
    """One training and its judgment: a fold, a recipe and what to measure."""

    root: str
    reader: str | None
    fold: int
    recipe: Mapping[str, Any]
    families: tuple[str, ...]
    trivial: bool

    def run(self) -> dict[str, Numbers]:
        """Train on the fold's training videos, judge on its test videos: numbers by row name."""
        import torch

        torch.set_num_threads(1)
        reader = data.reader_of(self.root, self.reader)
        fold = reader.load(Path(self.root)).folds[self.fold]
        truths = reader.truth(Path(self.root))
        recipe = Recipe.of(self.recipe)
        seen = looks(Look.of(recipe))
        learned = list(extract.bags(fold.train, {recipe.instances: seen[recipe.instances]}, workers=1, quiet=True))
        fitted = fit(learned, recipe, device="cpu")
        bags = normalized(fitted.best, extract.bags(fold.test, seen, workers=1, quiet=True))
        judged = {b.video.id: truths[b.video.id] for b in bags}
        found = {recipe.method: measure(predict(fitted.best, bags), judged, self.families)}
        found[f"{recipe.method} (last)"] = measure(predict(fitted.last, bags), judged, self.families)
        for name in registry.names("baselines") if self.trivial else ():
            found[name] = measure(predict_trivial(name, fitted.best, bags, judged), judged, self.families)
        return found


def _cached(job: Job, folder: Path, key: str) -> dict[str, Numbers]:
    """Run a job, or read its result where an earlier run left it."""
    path = folder / f"{key}.json"
    if path.exists():
        found: dict[str, Numbers] = json.loads(path.read_text())
        return found
    found = job.run()
    write_json(path, found)
    return found


def _in_parallel(jobs: Sequence[tuple[Job, Path, str]], workers: int) -> Iterator[dict[str, Numbers]]:
    if workers == 1:
        for job in jobs:
            yield _cached(*job)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_cached, *zip(*jobs, strict=True))


def truth_hash(truths: Mapping[str, Truth]) -> str:
    """A fingerprint of everything that evaluation holds true, masks left to their files."""
    return fingerprint({k: [t.edges, t.spans, t.boxes, t.track, t.categories] for k, t in sorted(truths.items())})


@dataclass(frozen=True)
class Bench:
    """The outcome: a table and what it rests on."""

    table: list[Row]
    facts: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """What ``--json`` writes."""
        return {**self.facts, "rows": [row._asdict() for row in self.table]}


def bench(
    root: str | Path,
    methods: Sequence[str] = ("cuboid_mil",),
    backbones: Sequence[str] = ("motion",),
    *,
    seeds: Sequence[int] = (0,),
    families: Sequence[str] = FAMILIES,
    settings: Mapping[str, Any] | None = None,
    workers: int | None = None,
    reader: str | None = None,
    quiet: bool = False,
) -> Bench:
    """Train and judge every method on every backbone over all folds of a data set and all seeds.

    ``settings``: plain values as in a recipe. Results of finished jobs are kept in the cache and not made again.
    """
    source = data.reader_of(root, reader)
    found = source.load(Path(root))
    if not found.folds:
        raise DataError(f"{root}: says no train/test folds, so there is nothing to repeat; use train and evaluate")
    truths = source.truth(Path(root))
    recipes = _recipes(methods, backbones, seeds, settings or {})
    for look in {fingerprint(plain(Look.of(r))): Look.of(r) for r in recipes}.values():
        wanted = {v.id: v for fold in found.folds for v in (*fold.train, *fold.test)}.values()
        for _ in extract.bags(list(wanted), looks(look), quiet=quiet):
            pass
    truth = truth_hash(truths)
    facts = {
        "dataset": found.name,
        "folds": len(found.folds),
        "seeds": list(seeds),
        "truth": truth,
        "recipes": [r.plain() for r in recipes if r.seed == seeds[0]],
    }
    jobs = list(_jobs(root, reader, found.folds, recipes, tuple(families), truth))
    cores = workers or os.cpu_count() or 1
    done = track(_in_parallel(jobs, min(cores, len(jobs))), "folds and seeds", len(jobs), quiet=quiet)
    by_row: dict[tuple[str, str], list[Numbers]] = {}
    for (job, _, _), numbers in zip(jobs, done, strict=True):
        for name, values in numbers.items():
            by_row.setdefault((name, job.recipe["backbone"]), []).append(values)
    return Bench([row for (name, on), each in by_row.items() for row in rows(name, on, each)], plain(facts))


def _recipes(
    methods: Sequence[str], backbones: Sequence[str], seeds: Sequence[int], settings: Mapping[str, Any]
) -> list[Recipe]:
    """Every method on every backbone with every seed; a section serves only the recipes that use it."""
    made = []
    for backbone in backbones:
        for method in methods:
            for seed in seeds:
                chosen = {**settings, "backbone": backbone, "method": method, "seed": seed}
                made.append(Recipe.of(chosen))
    return made


def _jobs(
    root: str | Path,
    reader: str | None,
    folds: Sequence[Fold],
    recipes: Sequence[Recipe],
    families: tuple[str, ...],
    truth: str,
) -> Iterator[tuple[Job, Path, str]]:
    folder = cache_folder() / "bench"
    seen: set[tuple[str, int]] = set()
    for recipe in recipes:
        trivial = (recipe.backbone, recipe.seed) not in seen
        seen.add((recipe.backbone, recipe.seed))
        for index, fold in enumerate(folds):
            job = Job(str(root), reader, index, plain(recipe.plain()), families, trivial)
            parts = [truth, plain(fold.train), plain(fold.test), job.recipe, families, trivial, extract.VERSION]
            yield job, folder, fingerprint(parts)

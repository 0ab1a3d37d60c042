"""Benchmarks: every fold, every seed, several methods and backbones, always with trivial baselines, in one table."""

from __future__ import annotations

import ast
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from wherewhen import datasets
from wherewhen.api.ablations import variants
from wherewhen.api.jobs import LAST, ORACLE, Job, Results
from wherewhen.core.contracts import TrackSource
from wherewhen.core.documents import read_json
from wherewhen.core.errors import ConfigError, DataError, VideoError, WherewhenError, unknown
from wherewhen.core.feature_file import content
from wherewhen.core.progress import track
from wherewhen.core.store import Spare, cache_folder, fingerprint, plain, write_json
from wherewhen.core.values import Truth, Video
from wherewhen.datasets import Folders
from wherewhen.evaluation.evaluator import (
    Numbers,
    Row,
    feature_specs,
    rows,
)
from wherewhen.evaluation.measurable import by_fold, evaluation_set
from wherewhen.evaluation.statistics import Pair, interval, paired
from wherewhen.extraction import frame_rates, loading, track_cache
from wherewhen.inference.model_config import ModelConfig
from wherewhen.runtime.parallel import GIVEN_UP, Workers, spread
from wherewhen.training.selection import AUTO, Request

log = logging.getLogger("wherewhen")


def _cached(job: Job, key: str) -> Results:
    """Run a job, or read its cached result."""
    path = cache_folder() / "bench" / f"{key}.json"
    if path.exists():
        try:
            return Results(**read_json(path))
        except DataError as error:
            log.warning("recomputed: %s", error)
    folder = path.with_suffix("") if job.resume else None
    results = job.run(folder)
    with Spare(path):
        write_json(path, results._asdict())
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
    return results


def _run(jobs: Sequence[tuple[Job, str]], workers: int, root: str, quiet: bool) -> list[Results]:
    """Results of all jobs, in their order; an error where the processes of one died."""
    done: dict[int, Results] = {}
    running = spread(_work, jobs, Workers(workers))
    for number, results in track(running, "training and evaluating", len(jobs), quiet=quiet):
        if results is None:
            raise WherewhenError(f"{root}: {jobs[number][0].method}: {GIVEN_UP}; use fewer --workers")
        done[number] = results
    return [done[number] for number in range(len(jobs))]


def _work(task: tuple[Job, str]) -> Results:
    return _cached(*task)


def truth_hash(truths: Mapping[str, Truth]) -> str:
    """A fingerprint of the ground truth, except for masks, which are in files."""
    parts = {k: [t.edges, t.spans, t.boxes, t.track, t.categories, t.boxed, t.timed] for k, t in sorted(truths.items())}
    return fingerprint(parts)


@dataclass(frozen=True, repr=False)
class Bench:
    """Result of `bench`: a table, its confidence intervals, and the settings and data behind it.

    ``intervals``: 95 % bootstrap interval of each row's mean over the repeats, in the order of the table.
    """

    table: list[Row]
    intervals: list[tuple[float, float]]
    pairs: list[Pair]
    facts: dict[str, Any]

    def __repr__(self) -> str:
        return f"Bench({len(self.table)} rows, {len(self.pairs)} paired comparisons)"

    def as_json(self) -> dict[str, Any]:
        """The result as plain values, as ``--json`` prints it."""
        pairs = zip(self.table, self.intervals, strict=True)
        rows = [{**row._asdict(), "low": low, "high": high} for row, (low, high) in pairs]
        return {**self.facts, "rows": rows, "pairs": [pair._asdict() for pair in self.pairs]}


def bench(
    root: str | Path,
    methods: Sequence[str] = ("cuboid_mil",),
    backbones: Sequence[str] = ("motion",),
    *,
    seeds: Sequence[int] = (0,),
    families: Sequence[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    test: str | Path | None = None,
    workers: int | None = None,
    reader: str | None = None,
    normal: str | None = None,
    anomalous: str | None = None,
    quiet: bool = False,
    ablate: str | None = None,
    fold: str | None = None,
    device: str = "cpu",
    oracle: str | None = None,
    resume: bool = False,
) -> Bench:
    """Train and evaluate every method on every backbone over all folds and seeds; finished jobs are cached.

    Args:
        root: folder of a data set with folds and ground truth.
        methods: names of methods, or auto: cross-validation over the training videos of each fold chooses one.
        backbones: names of backbones.
        seeds: numbers that all random choices depend on; each is a repeat.
        families: metric families; None: the usual ones that the ground truth allows.
        settings: plain values as in ``config.yaml``, for all methods.
        test: train on all labelled videos of ``root`` and evaluate on this data set, in place of folds.
        workers: number of processes; None: one per core.
        reader: name of the data set's reader; None: the one that recognizes the folder.
        normal: names of the folders of normal videos, separated by commas; needs ``anomalous`` too.
        anomalous: names of the folders of anomalous videos.
        quiet: no progress bars.
        ablate: compare this method with each of its parts changed, in place of ``methods``.
        fold: name of the only fold to repeat; None: all.
        device: cpu or cuda, which training and evaluation run on.
        oracle: metric by which the row of the test oracle selects its checkpoint, empty for no such row; None: the AUC
            over frames, else over videos.
        resume: write a checkpoint at every validation to the cache, from which an interrupted job continues.

    Returns:
        Tables of means, deviations, intervals and paired comparisons.

    Raises:
        ConfigError: ``fold`` with ``test``.
        DataError: no folds, no fold of that name, or a metric family that is defined in no fold.
    """
    folders = Folders.of(normal, anomalous)
    source = datasets.reader_of(root, reader, folders)
    dataset = source.load(Path(root))
    if not dataset.folds and test is None:
        raise DataError(f"{root}: has no train/test folds, so there is nothing to repeat; use train and evaluate")
    names = [part.name for part in dataset.folds]
    if fold is not None and test is not None:
        raise ConfigError("fold has no effect with test: all labelled videos are trained on; leave one of them out")
    if fold is not None and fold not in names:
        raise DataError(f"{root}: {unknown('fold', fold, names)}")
    judge = datasets.reader_of(test) if test else source
    truths = judge.truth(Path(test or root))
    parts = [judge.load(Path(test)).videos] if test else [fold.test for fold in dataset.folds]
    sets = [evaluation_set(part, truths, str(test or root)) for part in parts]
    allowed, notes = by_fold(families, sets, str(test or root))
    if fold is not None:
        allowed = [part if name == fold else () for name, part in zip(names, allowed, strict=True)]
    truth = truth_hash(truths)
    by_name = variants(ablate, settings) if ablate else {method: (method, settings or {}) for method in methods}
    named = _configs(by_name, backbones, seeds)
    configs = [config for _, config, _ in named]
    if test is None and all(fold.validation for fold in dataset.folds):
        configs[0].check_share(str(root))
    planned = _jobs(str(root), reader, allowed, named, test)
    named_jobs = [
        (name, replace(job, folders=folders, device=device, oracle=oracle, resume=resume)) for name, job in planned
    ]
    jobs = [(job, _key(job, truth)) for _, job in named_jobs]
    requests = [Request.of(auto, trust=config.trusted) for _, config, auto in named if auto is not None]
    candidates = [config for request in requests if request for config in request.candidates.values()]
    _extract_all([job for job, _ in jobs], [*configs, *candidates], quiet)
    results = _run(jobs, min(workers or os.cpu_count() or 1, max(1, len(jobs))), str(root), quiet)
    facts: dict[str, Any] = {
        "train": dataset.name,
        "test": judge.load(Path(test)).name if test else dataset.name,
        "folds": 0 if test else 1 if fold else len(dataset.folds),
        "seeds": list(seeds),
        "truth": truth,
        "config": fingerprint([auto or config.plain() for _, config, auto in named]),
        "configs": [auto or config.plain() for _, config, auto in named if config.seed == seeds[0]],
        "notes": notes,
    }
    if ablate:
        facts["ablations"] = {name: values for name, (_, values) in by_name.items() if name != ablate}
    facts["choices"] = list(_choices(named_jobs, results, names))
    return _bench_of(_by_row(named_jobs, results), plain(facts), ablate)


_Named = tuple[str, ModelConfig, Mapping[str, Any] | None]  # name of a row, configuration, request of a method


def _configs(
    by_name: Mapping[str, tuple[str, Mapping[str, Any]]], backbones: Sequence[str], seeds: Sequence[int]
) -> list[_Named]:
    """The configuration of each training with the name of its row; ``by_name``: method and settings of each row."""
    named: list[_Named] = []
    for backbone in backbones:
        for name, (method, values) in by_name.items():
            for seed in seeds:
                settings = {**values, "backbone": backbone, "method": method, "seed": seed}
                request = Request.of(settings) if method == AUTO else None
                rest = {key: value for key, value in settings.items() if key != AUTO}
                config = request.usual if request else ModelConfig.of(rest)
                named.append((name, config, plain(settings) if request else None))
    return named


def _by_row(named_jobs: Sequence[tuple[str, Job]], results: Sequence[Results]) -> dict[tuple[str, str], list[Numbers]]:
    """The numbers of all repeats by name of the row and backbone."""
    by_row: dict[tuple[str, str], list[Numbers]] = {}
    for (name, job), result in zip(named_jobs, results, strict=True):
        for row, values in result.rows.items():
            shown = _shown(row, job.method, name)
            if shown:
                by_row.setdefault((shown, job.config["backbone"]), []).append(values)
    return by_row


def _choices(
    named_jobs: Sequence[tuple[str, Job]], results: Sequence[Results], folds: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """How each job whose method was not named chose it; ``folds``: their names."""
    for (name, job), result in zip(named_jobs, results, strict=True):
        if result.choice is not None:
            fold = None if job.fold is None else folds[job.fold]
            yield {"row": name, "backbone": job.config["backbone"], "fold": fold, "seed": job.config["seed"],
                   **result.choice}  # fmt: skip


def _shown(row: str, method: str, name: str) -> str | None:
    """The name of a job's row in the table; None for other checkpoints of an ablation than the selected one."""
    if name == method or not row.startswith(method):
        return row
    return name if row == method else None


def matrix(roots: Sequence[str | Path], *args: Any, **kwargs: Any) -> list[Bench]:
    """The protocol on every data set, and trained on each and evaluated on every other one.

    Arguments as of `bench`; results are in the order of the training data sets.
    """
    pairs = [(train, None if train == test else test) for train in roots for test in roots]
    return [bench(train, *args, test=test, **kwargs) for train, test in pairs]


def _bench_of(by_row: dict[tuple[str, str], list[Numbers]], facts: dict[str, Any], against: str | None = None) -> Bench:
    table, intervals = [], []
    for (name, backbone), repeats in by_row.items():
        for row in rows(name, backbone, repeats):
            table.append(row)
            intervals.append(interval(np.array([r[row.metric] for r in repeats if _is_defined(r, row.metric)])))
    compared = [name for name in dict.fromkeys(row.method for row in table) if not name.endswith((LAST, ORACLE))]
    metrics = list(dict.fromkeys(row.metric for row in table))
    if against is None:
        return Bench(table, intervals, paired(by_row, compared, metrics), facts)
    pairs = [pair for name in compared if name != against for pair in paired(by_row, [against, name], metrics)]
    return Bench(table, intervals, pairs, facts)


def _is_defined(numbers: Numbers, metric: str) -> bool:
    value = numbers.get(metric)
    return value is not None and bool(np.isfinite(value))


def _extract_all(jobs: Sequence[Job], configs: Sequence[ModelConfig], quiet: bool) -> None:
    """Fill the cache with the features of every video, so that the jobs only read them."""
    learned, tested = dict[tuple[str, str], Video](), dict[tuple[str, str], Video]()
    for train, test in (job.videos() for job in {(j.root, j.fold, j.test): j for j in jobs}.values()):
        learned |= {(str(v.path), str(v.span)): v for v in train}
        tested |= {(str(v.path), str(v.span)): v for v in test.videos}
    stages = {}
    for config in configs:
        of_training, detection = config.training_specs(), config.feature_specs()
        parts = [(learned | tested, feature_specs(of_training))]
        if any(of_training[view] != spec for view, spec in detection.items()):
            parts = [(learned, of_training), (tested, feature_specs(detection))]
        stages[fingerprint([of_training, detection])] = parts
    for videos, specs in (part for parts in stages.values() for part in parts):
        read_videos = []
        for bag in loading.bags(videos.values(), specs, quiet=quiet):
            read_videos.append(bag.video)
            if bag.damage:
                log.warning("%s: not all of it was read: %s", bag.video.id, bag.damage)
        frame_rates.warn_of_videos(read_videos, specs.values())


def _jobs(
    root: str,
    reader: str | None,
    families: Sequence[tuple[str, ...]],
    named: Sequence[_Named],
    test: str | Path | None,
) -> Iterator[tuple[str, Job]]:
    """Every named configuration on every fold with its ``families``; the trivial rows come once per backbone and seed.

    A fold without measurable families is left out.
    """
    with_trivial: set[tuple[str, int]] = set()
    for name, config, auto in named:
        first = (config.backbone, config.seed) not in with_trivial
        with_trivial.add((config.backbone, config.seed))
        for fold, fold_families in enumerate(families):
            number, other = (None, str(test)) if test else (fold, None)
            if fold_families:
                values = plain(config.plain())
                job = Job(root, reader, number, other, values, fold_families, first, trust=config.trusted, auto=auto)
                yield name, job


def _key(job: Job, truth: str) -> str:
    """A fingerprint of a job's inputs: labels, files and their boxes, truth, configuration and version."""
    train, test = job.videos()
    config = ModelConfig.of(job.config)
    track_sources = list(track_cache.track_sources(config.builders()).values())
    track_sources += [config.movers.track_source] if config.movers else []
    boxes = [track_cache.source_settings(track_source) for track_source in track_sources]
    videos = [[v.id, v.label, v.span, content(v.path), _boxes_of(v, track_sources)] for v in (*train, *test.videos)]
    job_settings = [job.config, job.families, job.trivial, job.validation(), job.auto, job.device, job.oracle]
    return fingerprint([truth, len(train), videos, boxes, *job_settings, code_key()])


def _boxes_of(video: Video, track_sources: Sequence[TrackSource]) -> list[dict[str, Any]] | None:
    """Identities of the files of boxes of a video; None where one is missing, which is an error later."""
    try:
        return [track_cache.box_file_identity(source, video) for source in track_sources]
    except VideoError:
        return None


@lru_cache
def code_key(home: Path = Path(__file__).parents[1]) -> str:
    """A fingerprint of all statements of the toolkit, without the paths, imports and docstrings of source files.

    It is cached for the same source files: parsing them takes seconds.
    """
    texts = sorted(path.read_text("utf-8") for path in home.rglob("*.py"))
    path = cache_folder() / "bench" / "code" / f"{fingerprint(texts)}.json"
    if path.exists():
        try:
            return str(read_json(path)["statements"])
        except (DataError, KeyError, TypeError) as error:
            log.warning("recomputed: %s: %s", path, error)
    key = fingerprint(sorted(_statements(text) for text in texts))
    with Spare(path):
        write_json(path, {"statements": key})
    return key


def _statements(text: str) -> str:
    """The statements of the text of a source file without imports, docstrings and comments."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            documented = ast.get_docstring(node, clean=False) is not None
            node.body = [n for n in node.body[documented:] if not isinstance(n, ast.Import | ast.ImportFrom)]
    return ast.dump(tree)

"""Published rows, reproduced: features to a store, the published training, and expected beside measured numbers."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from wherewhen.api import benchmark, recipes
from wherewhen.api.ablations import SEPARATOR
from wherewhen.api.benchmark import Bench
from wherewhen.api.jobs import LAST, ORACLE
from wherewhen.api.recipes import FeatureFiles, Recipe
from wherewhen.core import outputs
from wherewhen.core.config import flat, merged
from wherewhen.core.errors import ConfigError, DataError
from wherewhen.core.feature_file import INDEX
from wherewhen.core.store import plain, write_json
from wherewhen.data_tools.features.importing import Known, adopted, bring
from wherewhen.data_tools.features.labels import Labels, labels_of, preview
from wherewhen.data_tools.features.layouts import gathered, plain_name
from wherewhen.datasets import reader_of
from wherewhen.evaluation import pages
from wherewhen.runtime.devices import pick_device

log = logging.getLogger("wherewhen")

Protocol = Literal["validation", "published"]
FILE = "reproduction.json"
STORE = "features"  # folder of the imported features in the output folder
SELECTIONS = {"": "checkpoint selected on validation videos", LAST: "last checkpoint"}
PUBLISHED_SELECTIONS = {
    LAST: "all training videos, last checkpoint",
    ORACLE: "all training videos, checkpoint selected on TEST videos",
}


@dataclass(frozen=True)
class Comparison:
    """A published number beside that of a row: mean, deviation and count over the seeds.

    ``expected``: None where the published number is unknown. ``selection``: how the checkpoint was selected; empty for
    trivial rows. ``number_of``: the row that has the published number, as `Expected.row`.
    """

    metric: str
    row: str
    selection: str
    expected: float | None
    measured: float
    std: float
    n: int
    number_of: str = ""

    @property
    def difference(self) -> float | None:
        """Measured minus expected; None where that is unknown."""
        return None if self.expected is None else self.measured - self.expected


@dataclass(frozen=True, repr=False)
class Reproduction:
    """Result of `reproduce`: comparisons with the published numbers, and the benchmark behind them.

    ``changes``: settings that differ from the recipe's. ``published``: the benchmark of the published protocol.
    """

    name: str
    recipe: Recipe
    comparisons: tuple[Comparison, ...]
    changes: Mapping[str, Any]
    notes: tuple[str, ...]
    bench: Bench
    published: Bench | None = None

    def __repr__(self) -> str:
        return f"Reproduction({self.name}, {len(self.comparisons)} comparisons)"

    def lines(self) -> list[str]:
        """The result as text: expected, measured and difference by row."""
        recipe = self.recipe
        result = [f"{recipe.title}", f"{recipe.paper.title}: {recipe.paper.table}"]
        for expected in recipe.expect:
            key = expected.metric, expected.row
            rows = [row for row in self.comparisons if (row.metric, row.number_of) == key]
            if expected.row and not rows:
                continue
            number = f"{expected.metric}, {expected.row}" if expected.row else expected.metric
            result += ["", f"{number}: expected {expected.text} ({expected.source})"]
            width = max((len(_title(row)) for row in rows), default=0)
            for row in rows:
                spread = f" ± {row.std:.4f}" if row.n > 1 else ""
                difference = "" if row.difference is None else f"  {row.difference:+.4f}"
                result.append(f"  {_title(row):<{width}}  {row.measured:.4f}{spread}{difference}")
        result += ["", *(f"changed: {name}: {value}" for name, value in flat(self.changes).items())]
        result += [*(f"unknown: {text}" for text in recipe.unknown), *(f"differs: {text}" for text in recipe.differs)]
        return [*result, *(f"note: {text}" for text in self.notes)]

    def as_json(self) -> dict[str, Any]:
        """The result as plain values, as ``--json`` prints it."""
        comparisons = [{**vars(row), "difference": row.difference} for row in self.comparisons]
        benches = {"validation": self.bench.as_json()}
        benches |= {"published": self.published.as_json()} if self.published else {}
        head = {"recipe": self.name, "settings": self.recipe, "changes": self.changes, "notes": self.notes}
        document: dict[str, Any] = plain({**head, "comparisons": comparisons, "benches": benches})
        return document


def reproduce(
    name: str,
    data: str | Path,
    features: str | Path | None = None,
    *,
    seeds: int = 3,
    protocol: Protocol = "validation",
    ablations: bool = False,
    output: str | Path | None = None,
    device: str = "auto",
    reader: str | None = None,
    workers: int | None = None,
    changes: Mapping[str, Any] | None = None,
    quiet: bool = False,
) -> Reproduction:
    """Train and evaluate a published row as its recipe states; finished seeds are cached.

    Args:
        name: the recipe (`wherewhen.api.recipes.names`).
        data: folder of the data set with its official lists and annotations, or a store of its imported features.
        features: folder of the published features, or a store of them; None where ``data`` is a store, or has videos
            from which the recipe computes features.
        seeds: number of seeds, from 0 on.
        protocol: validation, or published: also train on all training videos and select the checkpoint on test videos.
        ablations: also train the rows of the paper's ablations, each with a part of the method changed.
        output: folder for the results; None: ``runs/reproduce/NAME``.
        device: auto, cpu or cuda.
        reader: name of the data set's reader; None: the recipe's.
        workers: number of processes, each for a seed; None: one per core, and one on a GPU.
        changes: settings that replace the recipe's, as in ``config.yaml``; the result lists them.
        quiet: no progress bars.

    Returns:
        Published numbers beside measured ones, with trivial rows.

    Raises:
        ConfigError: unknown recipe, features that are missing or don't apply, or ablations of a paper without any.
        DataError: frame counts or the fold are missing, or the features are others than the recipe's.
    """
    recipe = recipes.read(name)
    if protocol not in ("validation", "published"):
        raise ConfigError(f"protocol: expected validation or published, got {protocol!r}")
    if ablations and not recipe.ablations:
        raise ConfigError(f"ablations has no effect: the recipe {name} has no published numbers of ablations")
    if seeds < 1:
        raise ConfigError(f"seeds: expected 1 or more, got {seeds}")
    folder = Path(output) if output is not None else Path("runs") / "reproduce" / name
    outputs.check_folder(folder, [*pages.BENCHED, FILE])
    if reader is not None:
        recipe = replace(recipe, data=replace(recipe.data, reader=reader))
    published_files = Path(features) if features is not None else None
    recipe = _way(recipe, Path(data), published_files)
    root, notes = _source(recipe, Path(data), published_files, folder)
    settings = adopted(root, merged(recipe.model(), changes or {}))
    _check(recipe, settings, root)
    chosen = pick_device(device)
    settings = detecting_on(chosen, settings)

    def run(oracle: str, values: Mapping[str, Any]) -> Bench:
        return benchmark.bench(
            root, [recipe.method], [str(settings["backbone"])], seeds=range(seeds), families=recipe.metrics,
            settings=values, reader=recipe.data.reader if recipe.videos else None, fold=recipe.data.fold,
            device=chosen, oracle=oracle, resume=True, workers=workers or (1 if chosen != "cpu" else None), quiet=quiet,
            ablate=recipe.method if ablations and not oracle else None,
        )  # fmt: skip

    bench = run("", settings)
    oracle = recipe.expect[0].metric
    published = run(oracle, {**settings, "validation": 0.0}) if protocol == "published" else None
    rows = _compared(recipe, bench, SELECTIONS)
    rows += _compared(recipe, published, PUBLISHED_SELECTIONS) if published else []
    rows += [*_trivial(recipe, bench), *_others(recipe, bench)]
    result = Reproduction(
        name, recipe, tuple(rows), dict(changes or {}), (*notes, *bench.facts["notes"]), bench, published
    )
    _write(folder, result)
    return result


def detecting_on(device: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings whose detector of tubes runs on a device too, unless they name another one.

    >>> tubes = {"proposals": "transformers", "boxes": {"stride": 2}}
    >>> detecting_on("cuda", {"tubes": tubes})["tubes"]["boxes"]
    {'stride': 2, 'device': 'cuda'}
    >>> detecting_on("cpu", {"tubes": tubes}) == {"tubes": tubes}
    True
    """
    tubes = settings.get("tubes", {})
    if device == "cpu" or tubes.get("proposals") != "transformers" or "device" in tubes.get("boxes", {}):
        return dict(settings)
    return merged(settings, {"tubes": {"boxes": {"device": device}}})


def _title(row: Comparison) -> str:
    return f"{row.row}, {row.selection}" if row.selection else row.row


def _way(recipe: Recipe, data: Path, features: Path | None) -> Recipe:
    """The recipe from published features where they are given, or else from the videos of the data set."""
    if recipe.files is None:
        return recipe
    of_files, *of_videos = recipe.ways
    if features is not None or _is_store(data):
        return of_files
    if of_videos and any(Path(video.path).exists() for video in reader_of(data, recipe.data.reader).load(data).videos):
        return of_videos[0]
    videos = f"; or videos in {data}, and {of_videos[0].needs['weights']}" if of_videos else ""
    raise ConfigError(f"the recipe needs features: --features FOLDER with {of_files.needs['features']}{videos}")


def _source(recipe: Recipe, data: Path, features: Path | None, folder: Path) -> tuple[Path, list[str]]:
    """The folder to train and evaluate on: the data set, or a store of imported features; and notes."""
    if recipe.files is None:
        if features is not None:
            raise ConfigError(
                "--features has no effect: this recipe computes its features from the videos; leave it out"
            )
        return data, [f"features: {recipe.backbone}, computed from the videos"]
    if _is_store(data):
        if features is not None:
            raise ConfigError(f"--features has no effect: {data} is a store of features; leave it out")
        return data, []
    assert features is not None
    if not features.exists():
        raise DataError(f"{features}: no such folder; expected {recipe.needs['features']}")
    return (features, []) if _is_store(features) else _imported(recipe, recipe.files, data, features, folder / STORE)


def _is_store(path: Path) -> bool:
    return (path / INDEX).is_file()


def _imported(recipe: Recipe, files: FeatureFiles, data: Path, features: Path, store: Path) -> tuple[Path, list[str]]:
    """Import published features with labels, fold and truth of the data set; frame counts are never assumed."""
    labels = labels_of(data, recipe.data.reader, rate=files.rate)
    names = [plain_name(name) for name in gathered(features)]
    notes = _coverage(recipe, labels, names)
    if files.frames is None:
        measured = {*labels.truths, *(name for name, row in labels.rows.items() if row.seconds)}
        if lacking := [name for name in names if name in labels.rows and name not in measured]:
            raise DataError(
                f"{data}: the lengths of {len(lacking)} videos are not known ({preview(lacking)}), which segments of a "
                f"video need; put the videos there and run: wherewhen data probe {data}"
            )
    metadata = Known(frames=files.frames, rate=files.rate, average=files.average)
    brought = bring(features, store, files.layout, metadata=metadata, labels=labels)
    if reasons := brought.quarantine.reasons:
        first, reason = next(iter(reasons.items()))
        notes.append(f"{len(reasons)} videos are not used, see {brought.quarantine.file} ({first}: {reason})")
    return store, [*notes, *brought.notes]


def _coverage(recipe: Recipe, labels: Labels, names: Sequence[str]) -> list[str]:
    """A note for each part of the fold that lacks features; DataError without the fold."""
    part = labels.folds.get(recipe.data.fold)
    if part is None:
        raise DataError(f"{labels.source}: no fold {recipe.data.fold}; it has {', '.join(labels.folds) or 'none'}")
    notes = []
    for side, listed in (("training", part.train), ("test", part.test)):
        if lacking := sorted(listed - set(names)):
            text = f"{len(lacking)} of {len(listed)} {side} videos have no features ({preview(lacking)})"
            notes.append(f"{text}: not the published {side} set")
    return notes


def _check(recipe: Recipe, settings: Mapping[str, Any], root: Path) -> None:
    """DataError where a store holds other features than the recipe's."""
    if recipe.files is None:
        return
    stored = settings.get("imported")
    if not isinstance(stored, Mapping):
        raise DataError(f"{root}: expected a store with imported features alone (wherewhen features import)")
    averaged = recipe.files.crops if recipe.files.average and recipe.files.crops > 1 else None
    for key, expected in {"layout": recipe.files.layout, "length": recipe.files.length, "averaged": averaged}.items():
        if stored.get(key) != expected:
            raise DataError(
                f"{root}: {key} of the features is {stored.get(key)}, the recipe has {expected}; "
                f"expected {recipe.needs['features']}"
            )


def _compared(recipe: Recipe, bench: Bench, selections: Mapping[str, str]) -> list[Comparison]:
    """The published numbers beside those of the method's checkpoints, by suffix of their rows."""
    by_row = {(line.method, line.metric): line for line in bench.table}
    return [
        Comparison(number.metric, recipe.method, text, number.value, line.mean, line.std, line.n)
        for number in recipe.expect
        if not number.row
        for suffix, text in selections.items()
        if (line := by_row.get((recipe.method + suffix, number.metric)))
    ]


def _trivial(recipe: Recipe, bench: Bench) -> list[Comparison]:
    """The published numbers beside those of the trivial rows."""
    return [
        Comparison(number.metric, line.method, "", number.value, line.mean, line.std, line.n)
        for number in recipe.expect
        if not number.row
        for line in bench.table
        if line.metric == number.metric and not line.method.startswith(recipe.method)
    ]


def _others(recipe: Recipe, bench: Bench) -> list[Comparison]:
    """Published numbers of trivial rows and of ablations beside those measured."""
    by_row = {(line.method.removeprefix(recipe.method + SEPARATOR), line.metric): line for line in bench.table}
    return [
        Comparison(number.metric, line.method, "", number.value, line.mean, line.std, line.n, number.row)
        for number in recipe.expect
        if number.row and (line := by_row.get((number.row, number.metric)))
    ]


def _write(folder: Path, result: Reproduction) -> None:
    """Write tables and pages of the benchmark, and the comparisons."""
    published = result.published.table if result.published else ()
    trained = [row for row in published if row.method.startswith(result.recipe.method)]
    marked = [row._replace(method=f"{row.method}, all training videos") for row in trained]
    notes = [line for line in result.lines() if line]
    pages.bench_pages(folder, [*result.bench.table, *marked], {**result.bench.as_json(), "notes": notes})
    write_json(folder / FILE, result.as_json())


def lines_of(name: str) -> list[str]:
    """A recipe in a few lines: title, command, needs and published numbers."""
    recipe = recipes.read(name)
    command = f"wherewhen reproduce {name} DATA"
    commands = [f"{command} --features FEATURES"] * bool(recipe.files) + [command] * bool(recipe.videos)
    result = [f"{name}: {recipe.title} ({recipe.paper.title})", f"  {', or '.join(commands)}"]
    result += [f"  {key}: {value}" for key, value in recipe.needs.items()]
    result.append(f"  time: {recipe.time(recipes.seconds_per_step(name))}")
    if recipe.ablations:
        result.append(f"  with --ablations: {len(recipe.ablations)} more rows of the paper's tables")
    return [*result, *(f"  expected: {row.metric} {row.text}" for row in recipe.expect if not row.row)]

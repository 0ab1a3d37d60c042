"""Look after data sets: check one for faults, compare two truths, measure videos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Options:
    """What ``data`` is told.

    Args:
        action: check for faults, tell or compare truth, or probe (measure videos into videos.json).
        root: folder of the data set.
        other: the data set to compare with (truth only); without it the truth is told video by video.
        reader: name of the data set's reader (wherewhen list datasets); default: the one that recognizes the folder.
        other_reader: the same for the other data set.
        rate: frames per second of folders of pictures (probe only).
        videos: look into the videos too, for rates, sizes and lengths (check only).
        deep: read every mask and compare the pictures of training and test videos as well (check only).
        json: print JSON instead of a table.
    """

    action: Literal["check", "truth", "probe"]
    root: str
    other: str | None = None
    reader: str | None = None
    other_reader: str | None = None
    rate: float | None = None
    videos: bool = True
    deep: bool = False
    json: bool = False


def run(options: Options) -> int:
    """Print the rows; exit code 1 where there is an error or a difference."""
    rows, bad = {"check": _check, "truth": _truth, "probe": _probe}[options.action](options)
    _show(rows, options.json)
    return int(bad)


def _check(options: Options) -> tuple[list[dict[str, Any]], bool]:
    from pathlib import Path

    from wherewhen import data, findings, lint

    reader = data.reader_of(options.root, options.reader)
    eyes = lint.Eyes.open() if options.videos else None
    found = lint.lint(Path(options.root), reader, eyes, options.deep)
    return list(findings.table(found)), any(one.severity == "error" for one in found)


def _truth(options: Options) -> tuple[list[dict[str, Any]], bool]:
    from pathlib import Path

    from wherewhen import data, truth_diff

    mine = data.reader_of(options.root, options.reader).truth(Path(options.root))
    if options.other is None:
        told = {name: (len(t.edges) - 1, int(t.frames.sum()), len(t.spans), len(t.boxes)) for name, t in mine.items()}
        columns = ("frames", "anomalous", "spans", "boxes")
        return [{"video": name, **dict(zip(columns, row, strict=True))} for name, row in told.items()], False
    other = data.reader_of(options.other, options.other_reader).truth(Path(options.other))
    rows = truth_diff.table(truth_diff.truth_diff(mine, other))
    return rows, bool(rows)


def _probe(options: Options) -> tuple[list[dict[str, Any]], bool]:
    from pathlib import Path

    from wherewhen import data, findings, probing

    root = Path(options.root)
    any_layout = root.is_dir() and not options.reader
    reader = data.recognized(root) if any_layout else data.reader_of(root, options.reader)
    rows, found = probing.probe_set(root, reader, options.rate)
    bad = any(one.severity == "error" for one in found)
    return [*({"video": name, **row} for name, row in rows.items()), *findings.table(found)], bad


def _show(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        import json

        print(json.dumps(rows, indent=1))
        return
    if not rows:
        print("nothing to report")
        return
    from rich.console import Console
    from rich.table import Table

    columns = list(dict.fromkeys(key for row in rows for key in row))
    table = Table(*columns)
    for row in rows:
        table.add_row(*(str(row.get(key, "")) for key in columns))
    Console().print(table)

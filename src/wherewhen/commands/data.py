"""Look after data sets: check one for faults, compare two truths, measure videos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from wherewhen.needs import Need

NEEDS = (
    Need(("other", "other_reader"), "action", ("truth",)),
    Need(("other_reader",), "other"),
    Need(("normal", "anomalous", "videos", "deep"), "action", ("check",)),
    Need(("examples",), "action", ("check", "probe")),
    Need(("examples",), "json", False, "JSON has every finding"),
    Need(("rate",), "action", ("probe",)),
)


@dataclass(frozen=True)
class Options:
    """What ``data`` is told.

    Args:
        action: check for faults, tell or compare truth, or probe (measure videos into videos.json).
        root: folder of the data set.
        other: the data set to compare with (truth only); without it the truth is told video by video.
        reader: name of the data set's reader (wherewhen list datasets); default: the one that recognizes the folder.
        normal: folders of normal videos, between commas, where they have names of your own (with --anomalous).
        anomalous: the same for anomalous videos; a folder's name is the class of its videos.
        other_reader: the same for the other data set.
        rate: frames per second of folders of pictures (probe only).
        videos: look into the videos too, for rates, sizes and lengths (check only).
        deep: read every mask and compare the pictures of training and test videos as well (check only).
        examples: how many findings of each kind are shown (check and probe).
        json: print JSON instead of text, with every finding.
    """

    action: Literal["check", "truth", "probe"]
    root: str
    other: str | None = None
    reader: str | None = None
    normal: str | None = None
    anomalous: str | None = None
    other_reader: str | None = None
    rate: float | None = None
    videos: bool = True
    deep: bool = False
    examples: int = 3
    json: bool = False


def run(options: Options) -> int:
    """Print what was found; exit code 1 where there is an error or a difference."""
    return {"check": _check, "truth": _truth, "probe": _probe}[options.action](options)


def _check(options: Options) -> int:
    from pathlib import Path

    from wherewhen import datasets, findings, lint
    from wherewhen.datasets import Folders

    reader = datasets.reader_of(options.root, options.reader, Folders.of(options.normal, options.anomalous))
    eyes = lint.Eyes.open() if options.videos else None
    found = lint.lint(Path(options.root), reader, eyes, options.deep)
    if options.json:
        _json(list(findings.table(found)))
    elif found:
        _lines([*findings.summary(found, options.examples), "", "--examples N shows more of each, --json all"])
    else:
        print("nothing to report")
    return int(any(one.severity == "error" for one in found))


def _truth(options: Options) -> int:
    from pathlib import Path

    from wherewhen import datasets, truth_diff

    mine = datasets.reader_of(options.root, options.reader).truth(Path(options.root))
    if options.other is None:
        told = {name: (len(t.edges) - 1, int(t.frames.sum()), len(t.spans), len(t.boxes)) for name, t in mine.items()}
        columns = ("frames", "anomalous", "spans", "boxes")
        _table([{"video": name, **dict(zip(columns, row, strict=True))} for name, row in told.items()], options.json)
        return 0
    other = datasets.reader_of(options.other, options.other_reader).truth(Path(options.other))
    rows = truth_diff.table(truth_diff.truth_diff(mine, other))
    _table(rows, options.json)
    return int(bool(rows))


def _probe(options: Options) -> int:
    from pathlib import Path

    from wherewhen import datasets, findings, probing

    root = Path(options.root)
    any_layout = root.is_dir() and not options.reader
    reader = datasets.recognized(root) if any_layout else datasets.reader_of(root, options.reader)
    measured, found = probing.probe_set(root, reader, options.rate)
    rows: list[dict[str, Any]] = [{"video": name, **row} for name, row in measured.items()]
    if options.json:
        _json([*rows, *findings.table(found)])
    else:
        _table(rows, as_json=False)
        _lines(["", *findings.summary(found, options.examples)] if found else [])
    return int(any(one.severity == "error" for one in found))


def _json(rows: list[dict[str, Any]]) -> None:
    import json

    print(json.dumps(rows, indent=1))


def _table(rows: list[dict[str, Any]], as_json: bool) -> None:
    """Rows below the names of their columns, each as wide as its longest cell: nothing is cut, also in a pipe."""
    if as_json:
        _json(rows)
        return
    if not rows:
        print("nothing to report")
        return
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [columns, *([_cell(row.get(key, "")) for key in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _cell(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _lines(lines: list[str]) -> None:
    """Lines, broken to the width of a terminal; as they are in a pipe."""
    import shutil
    import sys
    import textwrap

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in lines:
        inner = " " * (len(line) - len(line.lstrip()) + 4)
        print("\n".join(textwrap.wrap(line, width, subsequent_indent=inner)) if width and line else line)

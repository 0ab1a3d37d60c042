"""Check a data set for faults, print or compare ground truth, measure videos, list cameras."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from wherewhen.cli.needs import Need
from wherewhen.cli.verb import Verb
from wherewhen.core.console import print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wherewhen.core.diagnostics import Finding
    from wherewhen.core.values import Video


@dataclass(frozen=True)
class Options:
    """Options of ``data``.

    Args:
        action: check for faults, print or compare ground truth, probe (measure videos and write videos.json), or list
            cameras and their videos (by name, else by background).
        data: folder of the data set.
        other: folder of a data set to compare with; without it, data truth prints the truth of each video.
        reader: name of the data set's reader (wherewhen list datasets); default: the one that recognizes the folder.
        normal: names of the folders of normal videos, separated by commas; needs --anomalous too.
        anomalous: names of the folders of anomalous videos; a folder's name is the class of its videos.
        other_reader: name of the other data set's reader.
        rate: frames per second of folders of pictures.
        read_videos: open the videos and check frame rates, sizes and lengths.
        deep: read every mask, and compare the pictures and cameras of training and test videos.
        review: folder to write, for wherewhen review: the videos whose label a model contradicts; needs --model.
        model: run folder of the model.
        device: auto, cpu or cuda; where the model runs.
        examples: number of findings of each kind, or of videos of each camera, that are printed.
        output: table to write with the labels and a column of cameras, for use as labels.csv.
        json: print the result as JSON instead of text, with all findings.
    """

    action: Literal["check", "truth", "probe", "cameras"]
    data: str
    other: str | None = None
    reader: str | None = None
    normal: str | None = None
    anomalous: str | None = None
    other_reader: str | None = None
    rate: float | None = None
    read_videos: bool = True
    deep: bool = False
    review: str | None = None
    model: str | None = None
    device: str = "auto"
    examples: int = 3
    output: str | None = None
    json: bool = False


def run(options: Options) -> int:
    """Print the findings; exit code 1 where there is an error or a difference."""
    return {"check": _check, "truth": _truth, "probe": _probe, "cameras": _cameras}[options.action](options)


def _check(options: Options) -> int:
    from pathlib import Path

    from wherewhen import datasets
    from wherewhen.core import diagnostics
    from wherewhen.data_tools import check
    from wherewhen.datasets import Folders

    reader = datasets.reader_of(options.data, options.reader, Folders.of(options.normal, options.anomalous))
    eyes = check.Eyes.open() if options.read_videos else None
    findings = check.lint(Path(options.data), reader, eyes, options.deep)
    if options.review is not None:
        findings = check.ordered([*findings, *_doubtful(options, reader.load(Path(options.data)).videos)])
    if options.json:
        print_json(list(diagnostics.table(findings)))
    elif findings:
        _lines([*diagnostics.summary(findings, options.examples), "", "--examples N shows more of each, --json all"])
    else:
        print("nothing to report")
    return int(any(finding.severity == "error" for finding in findings))


def _doubtful(options: Options, videos: Sequence[Video]) -> list[Finding]:
    """Write a review of the labels that a model contradicts; these as findings."""
    import sys
    from pathlib import Path

    from wherewhen.api.label_review import review_labels
    from wherewhen.core import diagnostics

    folder, run = Path(options.review or ""), options.model or ""
    doubts, unreadable = review_labels(
        videos, Path(options.data), run, folder, device=options.device, quiet=options.json
    )
    with diagnostics.listening() as findings:
        for doubt in doubts:
            diagnostics.report("label-doubtful", str(doubt), doubt.video.id)
        for path, cause in unreadable.items():
            diagnostics.report("video-unreadable", cause, where=path)
    print(f"{len(doubts)} labels to check: wherewhen review {folder}", file=sys.stderr)
    return findings


def _truth(options: Options) -> int:
    from pathlib import Path

    from wherewhen import datasets
    from wherewhen.data_tools import truth_diff

    mine = datasets.reader_of(options.data, options.reader).truth(Path(options.data))
    if options.other is None:
        counts = {name: (len(t.edges) - 1, int(t.frames.sum()), len(t.spans), len(t.boxes)) for name, t in mine.items()}
        columns = ("frames", "anomalous", "spans", "boxes")
        _table([{"video": name, **dict(zip(columns, row, strict=True))} for name, row in counts.items()], options.json)
        return 0
    other = datasets.reader_of(options.other, options.other_reader).truth(Path(options.other))
    rows = truth_diff.table(truth_diff.truth_diff(mine, other))
    _table(rows, options.json)
    return int(bool(rows))


def _probe(options: Options) -> int:
    from pathlib import Path

    from wherewhen import datasets
    from wherewhen.core import diagnostics
    from wherewhen.data_tools import probe

    root = Path(options.data)
    any_layout = root.is_dir() and not options.reader
    reader = datasets.recognized(root) if any_layout else datasets.reader_of(root, options.reader)
    measured, findings = probe.probe_set(root, reader, options.rate)
    rows: list[dict[str, Any]] = [{"video": name, **row} for name, row in measured.items()]
    if options.json:
        print_json([*rows, *diagnostics.table(findings)])
    else:
        _table(rows, as_json=False)
        _lines(["", *diagnostics.summary(findings, options.examples)] if findings else [])
    return int(any(finding.severity == "error" for finding in findings))


def _cameras(options: Options) -> int:
    from pathlib import Path

    from wherewhen import datasets
    from wherewhen.core.store import write_atomic
    from wherewhen.data_tools import camera_list
    from wherewhen.datasets import Folders
    from wherewhen.extraction.cameras import camera_groups

    root = Path(options.data)
    dataset = datasets.reader_of(root, options.reader, Folders.of(options.normal, options.anomalous)).load(root)
    cameras = camera_groups(dataset.videos, quiet=options.json)
    rows = camera_list.by_camera(dataset, cameras)
    if options.output is not None:
        write_atomic(options.output, camera_list.labels_table(root, dataset, cameras))
    if options.json:
        print_json(rows)
        return 0
    print(f"{len(rows)} camera{'s' * (len(rows) != 1)}, {len(dataset.videos)} videos\n")
    _table([row | {"videos": _shortened(row["videos"], options.examples)} for row in rows], as_json=False)
    return 0


def _shortened(names: list[str], most: int) -> str:
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def _table(rows: list[dict[str, Any]], as_json: bool) -> None:
    """Print rows as a table whose columns are as wide as their longest cell."""
    if as_json:
        print_json(rows)
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


VERB = Verb(
    "data",
    Options,
    run,
    places=("other",),
    needs=(
        Need(("other", "other_reader"), "action", ("truth",)),
        Need(("other_reader",), "other"),
        Need(("normal", "anomalous"), "action", ("check", "cameras")),
        Need(("read_videos", "deep", "review", "model", "device"), "action", ("check",)),
        Need(("review",), "model", True, "a model scores the videos"),
        Need(("model", "device"), "review", True, "a model is used to find labels to check"),
        Need(("examples",), "action", ("check", "probe", "cameras")),
        Need(("output",), "action", ("cameras",)),
        Need(("examples",), "json", False, "JSON has every finding"),
        Need(("rate",), "action", ("probe",)),
    ),
)

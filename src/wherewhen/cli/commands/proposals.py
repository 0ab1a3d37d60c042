"""Evaluate boxes and tubes alone: how much of the ground truth they can cover."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wherewhen.cli.needs import Arguments, Sections
from wherewhen.cli.verb import Verb
from wherewhen.core import registry
from wherewhen.core.config import build
from wherewhen.core.console import print_json

if TYPE_CHECKING:
    from wherewhen.evaluation.proposal_recall import Report


def sections(values: Mapping[str, str]) -> dict[str, type]:
    """The records of settings: of the source of boxes that is named, of tracks and of tubes."""
    from wherewhen.core.linking import LinkConfig
    from wherewhen.core.tubes import TubeConfig

    name = values.get("proposals", Options.proposals)
    return {name: registry.load("proposals", name).Config, "tracks": LinkConfig, "tubes": TubeConfig}


def _used(arguments: Arguments) -> dict[str, Any]:
    records = sections({"proposals": str(arguments.get("proposals"))})
    return {name: build(record, arguments.settings.get(name), name) for name, record in records.items()}


@dataclass(frozen=True)
class Options:
    """Options of ``proposals``.

    Args:
        data: folder of a data set with ground truth (wherewhen list datasets).
        proposals: name of a source of boxes (wherewhen list proposals).
        reader: name of the data set's reader (wherewhen list datasets); default: the one that recognizes the folder.
        fold: evaluate on the test part of this fold only; default: on every video.
        json: print the result as JSON instead of text.
        quiet: no progress bars, and only warnings and errors in the log.
    """

    data: str
    proposals: str = "motion"
    reader: str | None = None
    fold: str | None = None
    json: bool = False
    quiet: bool = False


def run(options: Options, settings: dict[str, Any]) -> int:
    """Print the report; exit code 3 where videos are left out."""
    from pathlib import Path

    from wherewhen import datasets
    from wherewhen.core.errors import DataError
    from wherewhen.core.linking import LinkConfig
    from wherewhen.core.progress import track
    from wherewhen.core.tubes import TubeConfig
    from wherewhen.evaluation import proposal_recall
    from wherewhen.extraction import box_tracks

    source = box_tracks.proposer(options.proposals, settings.get(options.proposals))
    linking = build(LinkConfig, settings.get("tracks"), "tracks")
    making = build(TubeConfig, settings.get("tubes"), "tubes")
    root = Path(options.data)
    reader = datasets.reader_of(root, options.reader)
    dataset, truths = reader.load(root), reader.truth(root)
    videos = dataset.videos if options.fold is None else datasets.evaluation_videos(dataset, options.fold)
    judged = [v for v in videos if v.id in truths and truths[v.id].label and len(truths[v.id].boxes)]
    if not judged:
        raise DataError(f"{root}: no anomalous video with boxes in its ground truth to evaluate proposals on")
    watched = track(judged, "proposals", len(judged), quiet=options.quiet or options.json)
    report = proposal_recall.report(
        watched, truths, lambda video: box_tracks.proposed(video, box_tracks.of_video(source, video), linking, making)
    )
    _show(report, options.json)
    return 3 if report.aside else 0


def _show(report: Report, as_json: bool) -> None:
    if as_json:
        print_json(report.plain())
        return
    from rich.table import Table

    from wherewhen.core.console import tables
    from wherewhen.evaluation.proposal_recall import LEVELS

    console = tables()
    table = Table("video", "tubes", "unions", "best S_loc", "of", "path", "tracks")
    for row in report.rows:
        tracks = " ".join(f"{value:.2f}" for value in row.tracks)
        table.add_row(
            row.video, str(row.tubes), str(row.unions), f"{row.best:.3f}", row.kind, f"{row.path:.3f}", tracks
        )
    console.print(table)
    totals = Table("truth covered by more than", *(f"{level:g}" for level in LEVELS), "oracle MIoU", "path")
    totals.add_row(
        "videos",
        *(f"{report.recall(level):.3f}" for level in LEVELS),
        f"{report.oracle:.3f}",
        f"{report.path_oracle:.3f}",
    )
    totals.add_row("tracks", *(f"{report.recall(level, by_track=True):.3f}" for level in LEVELS), "", "")
    console.print(totals)
    for name, reason in report.aside.items():
        console.print(f"left out: {name}: {reason}")


VERB = Verb("research", Options, run, sections=sections, needs=(Sections(_used),))

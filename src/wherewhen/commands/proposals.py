"""Judge boxes and tubes before any method picks one: how much of the truth they could cover."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wherewhen.proposal_report import Report


@dataclass(frozen=True)
class Options:
    """What ``proposals`` is told.

    Args:
        data: data set with truth (wherewhen list datasets).
        proposals: where boxes come from (wherewhen list proposals).
        settings: YAML file with sections named after the proposals, and tracks and tubes.
        reader: name of the data set's reader; default: the one that recognizes the folder.
        fold: judge on the test part of this fold only.
        json: print JSON instead of tables.
        quiet: no progress bars.
    """

    data: str
    proposals: str = "motion"
    settings: str | None = None
    reader: str | None = None
    fold: str | None = None
    json: bool = False
    quiet: bool = False


def run(options: Options) -> int:
    """Print the report; exit code 3 where videos were set aside."""
    from pathlib import Path

    from wherewhen import datasets, proposal_report, proposing
    from wherewhen.config import build, read_yaml
    from wherewhen.errors import ConfigError, DataError, unknown
    from wherewhen.progress import track
    from wherewhen.tracks import LinkConfig
    from wherewhen.tubes import TubeConfig

    given = read_yaml(options.settings) if options.settings else {}
    for section in given:
        if section not in (options.proposals, "tracks", "tubes"):
            raise ConfigError(unknown("section of settings", section, [options.proposals, "tracks", "tubes"]))
    source = proposing.proposer(options.proposals, given.get(options.proposals))
    linking = build(LinkConfig, given.get("tracks"), "tracks")
    making = build(TubeConfig, given.get("tubes"), "tubes")
    root = Path(options.data)
    reader = datasets.reader_of(root, options.reader)
    dataset, truths = reader.load(root), reader.truth(root)
    videos = dataset.videos
    if options.fold is not None:
        folds = {fold.name: fold.test for fold in dataset.folds}
        if options.fold not in folds:
            raise ConfigError(unknown("fold", options.fold, folds))
        videos = folds[options.fold]
    judged = [v for v in videos if v.id in truths and truths[v.id].label and len(truths[v.id].boxes)]
    if not judged:
        raise DataError(f"{root}: no anomalous video with boxes in its truth to judge proposals by")
    watched = track(judged, "proposals", len(judged), quiet=options.quiet or options.json)
    found = proposal_report.report(
        watched, truths, lambda video: proposing.proposed(video, proposing.of_video(source, video), linking, making)
    )
    _show(found, options.json)
    return 3 if found.aside else 0


def _show(found: Report, as_json: bool) -> None:
    if as_json:
        import json

        print(json.dumps(found.plain(), indent=1))
        return
    from rich.table import Table

    from wherewhen.console import tables
    from wherewhen.proposal_report import LEVELS

    console = tables()
    table = Table("video", "tubes", "unions", "best S_loc", "of", "path", "tracks")
    for row in found.rows:
        tracks = " ".join(f"{value:.2f}" for value in row.tracks)
        table.add_row(
            row.video, str(row.tubes), str(row.unions), f"{row.best:.3f}", row.kind, f"{row.path:.3f}", tracks
        )
    console.print(table)
    totals = Table("truth covered by more than", *(f"{level:g}" for level in LEVELS), "oracle MIoU", "path")
    totals.add_row(
        "videos", *(f"{found.recall(level):.3f}" for level in LEVELS), f"{found.oracle:.3f}", f"{found.path_oracle:.3f}"
    )
    totals.add_row("tracks", *(f"{found.recall(level, by_track=True):.3f}" for level in LEVELS), "", "")
    console.print(totals)
    for name, reason in found.aside.items():
        console.print(f"set aside {name}: {reason}")

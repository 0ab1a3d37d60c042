"""Search extracted videos by text; the results are moments with time and place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wherewhen.cli.needs import Arguments, Fits, Need, Sections, of_backbone
from wherewhen.cli.verb import Verb


@dataclass(frozen=True)
class Options:
    """Options of ``search``.

    Args:
        archive: store that ``wherewhen extract VIDEOS --output ARCHIVE --backbones clip`` wrote.
        text: description of the event, such as "a person climbing a fence".
        count: number of moments to print at most.
        every: seconds of video per entry of the index.
        parts: number of regions per entry that are indexed beside the whole picture.
        videos: folder of the videos, for --output and --review.
        output: folder for pictures of the moments, with a frame around the place.
        review: folder to write, for wherewhen review: the moments are judged there. Those of earlier searches stay.
        json: print the result as JSON instead of text, with a map of each moment.
        quiet: no progress bars, and only warnings and errors in the log.
    """

    archive: str
    text: str
    count: int = 10
    every: float = 1.0
    parts: int = 3
    videos: str | None = None
    output: str | None = None
    review: str | None = None
    json: bool = False
    quiet: bool = False


def run(options: Options, settings: dict[str, Any]) -> int:
    """Search and print the moments, best first."""
    import sys
    from pathlib import Path

    from wherewhen.core.console import print_json
    from wherewhen.text.encoders import requested_encoder
    from wherewhen.text.search import Archive, SearchConfig

    name, backbone_settings = requested_encoder(settings)
    config = SearchConfig(options.every, options.parts)
    archive = Archive(Path(options.archive), name, backbone_settings, config, options.quiet)
    moments = archive.find(options.text, options.count)
    if options.json:
        print_json([moment.plain() for moment in moments])
    else:
        for number, moment in enumerate(moments, 1):
            x0, y0, x1, y1 = moment.box
            print(
                f"{number:3}  {moment.score:.3f}  {moment.video}  {moment.start:.2f} s to {moment.end:.2f} s  "
                f"x {x0:.2f} to {x1:.2f}, y {y0:.2f} to {y1:.2f}"
            )
    if options.videos is None:
        return 0
    from wherewhen.api.search_review import review_moments
    from wherewhen.text.search_thumbnails import write

    missing = write(moments, Path(options.videos), Path(options.output)) if options.output else []
    if options.review:
        missing = review_moments(moments, Path(options.videos), Path(options.review))
        print(f"to judge them: wherewhen review {options.review}", file=sys.stderr)
    for video in missing:
        print(f"no video {video} in {options.videos}", file=sys.stderr)
    return 3 if missing else 0


def no_pictures(arguments: Arguments) -> str | None:
    """Why the folder of videos has no use: neither pictures nor a review are written."""
    is_used = arguments.get("output") or arguments.get("review")
    return None if is_used else "no pictures of the moments are written; add --output or --review"


VERB = Verb(
    "models",
    Options,
    run,
    addresses=("text",),
    model_options=("backbone",),
    needs=(
        Fits(("videos",), no_pictures, note="with --output or --review"),
        Need(("output", "review"), "videos", True, "pictures of the moments are read from there"),
        Sections(of_backbone),
    ),
)

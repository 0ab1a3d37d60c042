"""Search an archive in words: which moments show it, when and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wherewhen.needs import Need, Sections, of_backbone

RECIPE = ("backbone",)
ADDRESSES = ("text",)
NEEDS = (
    Need(("videos",), "output", True, "pictures of the moments are written there"),
    Need(("output",), "videos", True, "pictures of the moments are taken from there"),
    Sections(of_backbone),
)


@dataclass(frozen=True)
class Options:
    """What ``search`` is told.

    Args:
        archive: store that ``wherewhen extract VIDEOS --output ARCHIVE --backbone clip`` wrote.
        text: what to look for, such as "a person climbing a fence".
        count: moments to show at most.
        every: seconds of video that are one entry of the index.
        parts: places of each entry that are kept beside the whole picture.
        videos: folder of the videos; with --output, pictures of the moments are taken from it.
        output: folder for pictures of the moments, their place framed.
        json: print JSON, with a map of each moment, instead of a table.
        quiet: no progress bars.
    """

    archive: str
    text: str
    count: int = 10
    every: float = 1.0
    parts: int = 3
    videos: str | None = None
    output: str | None = None
    json: bool = False
    quiet: bool = False


def run(options: Options, settings: dict[str, Any]) -> int:
    """Search and print the moments, best first."""
    import json
    from pathlib import Path

    from wherewhen.encoders import asked
    from wherewhen.search import Archive, SearchConfig

    name, own = asked(settings)
    config = SearchConfig(options.every, options.parts)
    archive = Archive(Path(options.archive), name, own, config, options.quiet)
    moments = archive.find(options.text, options.count)
    if options.json:
        print(json.dumps([moment.plain() for moment in moments], indent=1))
    else:
        for number, one in enumerate(moments, 1):
            x0, y0, x1, y1 = one.box
            print(
                f"{number:3}  {one.score:.3f}  {one.video}  {one.start:.2f} s to {one.end:.2f} s  "
                f"x {x0:.2f} to {x1:.2f}, y {y0:.2f} to {y1:.2f}"
            )
    if options.output and options.videos:
        from wherewhen.search_pictures import write

        missing = write(moments, Path(options.videos), Path(options.output))
        for video in missing:
            print(f"no video {video} in {options.videos}")
        return 3 if missing else 0
    return 0

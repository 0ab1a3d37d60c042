"""Turn results or truth into another tool's format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wherewhen.formats import Annotated


@dataclass(frozen=True)
class Options:
    """What ``convert`` is told.

    Args:
        source: file or folder to read: results in a format (wherewhen list formats), or a data set with truth.
        output: file or folder to write.
        to: format to write.
        source_format: format to read; default events; "truth" reads what a data set says really happens.
        boxes: turn each event into a track with a box per frame, where the source has no boxes of its own.
    """

    source: str
    output: str
    to: str = "coco"
    source_format: str = "events"
    boxes: bool = True


def run(options: Options) -> int:
    """Read, write and say how much."""
    from wherewhen import outputs, registry
    from wherewhen.formats import events_as_boxes

    if not Path(options.output).is_dir():
        outputs.check([options.output])
    target = registry.load("formats", options.to)
    if options.source_format == "truth":
        videos = _annotated_truth(Path(options.source))
    else:
        videos = registry.load("formats", options.source_format).read(Path(options.source))
    if options.boxes:
        videos = [events_as_boxes(v) if v.events and not len(v.boxes.values) else v for v in videos]
    with outputs.reading([options.source]):
        target.write(Path(options.output), videos)
    print(f"written: {options.output} ({len(videos)} videos)")
    return 0


def _annotated_truth(root: Path) -> list[Annotated]:
    """The truth of a data set as formats write it; the videos must be there, for their sizes."""
    from wherewhen.datasets import reader_of
    from wherewhen.formats import from_truth
    from wherewhen.printable import printable
    from wherewhen.video import reader

    source = reader_of(root)
    truths = source.truth(root)
    annotated = []
    for video in source.load(root).videos:
        if video.id in truths:
            info = reader.probe(video.path)
            name = printable(video.path.name)
            annotated.append(from_truth(video.id, truths[video.id], info.width, info.height, name))
    return annotated

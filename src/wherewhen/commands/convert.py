"""Turn results or truth into another tool's format."""

from __future__ import annotations

from dataclasses import dataclass


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
    from pathlib import Path

    from wherewhen import data, outputs, registry
    from wherewhen.formats import events_as_boxes

    if not Path(options.output).is_dir():
        outputs.check([options.output])
    target = registry.load("formats", options.to)
    if options.source_format == "truth":
        videos = data.annotated_truth(Path(options.source))
    else:
        videos = registry.load("formats", options.source_format).read(Path(options.source))
    if options.boxes:
        videos = [events_as_boxes(v) if v.events and not len(v.boxes.values) else v for v in videos]
    with outputs.reading([options.source]):
        target.write(Path(options.output), videos)
    print(f"written: {options.output} ({len(videos)} videos)")
    return 0

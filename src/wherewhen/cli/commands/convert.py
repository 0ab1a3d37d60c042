"""Convert results, ground truth or verdicts into the format of another tool."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wherewhen.cli.needs import Arguments, Fits, Need
from wherewhen.cli.verb import Verb

if TYPE_CHECKING:
    from wherewhen.formats import Annotated


@dataclass(frozen=True)
class Options:
    """Options of ``convert``.

    Args:
        source: file or folder of results (events.json); with --from truth the folder of a data set, with --from
            verdicts that of a store of watch or of results that were reviewed.
        output: file or folder to write.
        to: format to write (wherewhen list formats); with --from verdicts also labels, the labels.csv that train reads.
        from_: format to read (wherewhen list formats), truth: the ground truth of a data set, or verdicts: those of
            people in a review.
        reader: name of the data set's reader (wherewhen list datasets); default: the one that recognizes the folder.
        boxes: turn each event into a track with a box per frame, where the source has no boxes.
        json: print the result as JSON instead of text.
    """

    source: str
    output: str | None = None
    to: str = "coco"
    from_: str = "events"
    reader: str | None = None
    boxes: bool = True
    json: bool = False


def run(options: Options) -> int:
    """Read, write and print how many videos."""
    from wherewhen.core import outputs, registry
    from wherewhen.core.console import print_json
    from wherewhen.core.errors import ConfigError
    from wherewhen.formats import events_as_boxes

    if options.output is None:
        raise ConfigError("convert needs a place to write to: --output FILE")
    if not Path(options.output).is_dir():
        outputs.check([options.output])
    if options.from_ == "verdicts":
        return _verdicts(options)
    target = registry.load("formats", options.to)
    if options.from_ == "truth":
        videos = _annotated_truth(Path(options.source), options.reader)
    else:
        videos = registry.load("formats", options.from_).read(Path(options.source))
    if options.boxes:
        videos = [events_as_boxes(v) if v.events and not len(v.boxes.values) else v for v in videos]
    with outputs.reading([options.source]):
        target.write(Path(options.output), videos)
    if options.json:
        print_json({"output": options.output, "videos": len(videos)})
    else:
        print(f"written: {options.output} ({len(videos)} videos)")
    return 0


def _verdicts(options: Options) -> int:
    """Write verdicts and print how many; ``output`` is not None."""
    from dataclasses import asdict

    from wherewhen.api import verdict_files
    from wherewhen.core.console import print_json

    exported = verdict_files.export(Path(options.source), options.to, Path(options.output or ""), options.boxes)
    if options.json:
        print_json({"output": options.output, **asdict(exported)})
    else:
        left = f"; {exported.unsure} unsure left out" if exported.unsure else ""
        print(f"written: {options.output} ({exported.videos} videos, {exported.verdicts} verdicts{left})")
    return 0


def _annotated_truth(root: Path, name: str | None) -> list[Annotated]:
    """The truth of a data set as formats write it; the videos must be there, for their sizes."""
    from wherewhen.core.printable import printable
    from wherewhen.datasets import reader_of
    from wherewhen.formats import from_truth
    from wherewhen.video import reader

    source = reader_of(root, name)
    truths = source.truth(root)
    annotated = []
    for video in source.load(root).videos:
        if video.id in truths:
            info = reader.probe(video.path)
            shown = printable(video.path.name)
            annotated.append(from_truth(video.id, truths[video.id], info.width, info.height, shown))
    return annotated


def without_boxes(arguments: Arguments) -> str | None:
    """Why boxes can't be left out: the table of labels has none."""
    return "a table of labels has no boxes" if arguments.get("to") == "labels" else None


VERB = Verb(
    "data",
    Options,
    run,
    needs=(Need(("reader",), "from_", ("truth",)), Fits(("boxes",), without_boxes, note="formats with boxes")),
)

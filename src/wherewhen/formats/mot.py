"""MOTChallenge text files: ground truth, detections and tracking results.

"All frame numbers, target IDs and bounding boxes are 1-based", (https://motchallenge.net/instructions/): the
picture's first pixel is 1, so ``bb_left`` is our ``x0`` + 1, and the width is ``x1 - x0``. A line is
``frame,id,left,top,width,height,conf,...`` with ten values; ground truth has nine, ending in class and visibility
(https://arxiv.org/abs/1603.00831, table 4). In ground truth ``conf`` 0 means "not considered": such rows are left out.
``labels.txt`` beside ``gt.txt`` names the classes (https://docs.cvat.ai/docs/manual/advanced/formats/format-mot/).
"""

from __future__ import annotations

import configparser
from collections.abc import Mapping, Sequence
from pathlib import Path

from wherewhen.core.contracts import Format, Provenance
from wherewhen.core.errors import DataError
from wherewhen.core.store import write_atomic
from wherewhen.formats._annotated import NO_CATEGORY, Annotated, Clock, clock_of, from_frames, rows_of, to_frames
from wherewhen.formats._files import LONGEST, file_name, folder, number, one_of, shown, table, text_of, video_id, whole

PLACES = {"gt": "{}/gt/gt.txt", "det": "{}/det/det.txt", "results": "{}.txt"}


def _lines(video: Annotated, kind: str, classes: list[str]) -> list[str]:
    rows = to_frames(video)
    if kind == "gt" and (rows.track < 0).any():
        raise DataError(f"{video.id}: ground truth needs a track number for every box, and some boxes have none")
    lines = []
    for frame, track, box, score in zip(
        rows.frame.tolist(), rows.track.tolist(), rows.box.tolist(), rows.score.tolist(), strict=True
    ):
        x0, y0, x1, y1 = box
        place = [shown(round(value, 6)) for value in (x0 + 1, y0 + 1, x1 - x0, y1 - y0)]
        target = str(track + 1) if track >= 0 and kind != "det" else "-1"
        tail = ["1", str(classes.index(video.label(track)) + 1), "1"] if kind == "gt" else [repr(score), *["-1"] * 3]
        lines.append(",".join([str(frame + 1), target, *place, *tail]))
    return lines


def _info(video: Annotated) -> str:
    clock = video.clock
    return (
        f"[Sequence]\nname={video.id}\nimDir=img1\nframeRate={shown(round(clock.rate, 9))}\n"
        f"seqLength={clock.frames}\nimWidth={clock.width}\nimHeight={clock.height}\nimExt=.jpg\n"
    )


def write(path: Path, videos: Sequence[Annotated], *, kind: str = "results") -> None:
    """Write below the folder ``path``.

    ``kind``: ``results`` (``<video>.txt``, the output of a tracker), ``det`` (``<video>/det/det.txt``, no track
    numbers) or ``gt`` (``<video>/gt/gt.txt`` and ``labels.txt``); the last two with a ``seqinfo.ini``.
    """
    one_of("kind of file", kind, list(PLACES))
    Path(path).mkdir(parents=True, exist_ok=True)
    for video in videos:
        name = file_name(video.id)
        target = Path(path) / PLACES[kind].format(name)
        classes = sorted({video.label(track) for track in video.boxes.track.tolist()}) or [NO_CATEGORY]
        write_atomic(target, "".join(line + "\n" for line in _lines(video, kind, classes)))
        if kind != "results":
            write_atomic(Path(path) / name / "seqinfo.ini", _info(video))
        if kind == "gt":
            write_atomic(target.with_name("labels.txt"), "".join(label + "\n" for label in classes))


def _own_clock(file: Path) -> Clock | None:
    """The clock in ``seqinfo.ini``, None where there is none."""
    if not file.is_file():
        return None
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(text_of(file))
        section = parser["Sequence"]
        length, width, height = (
            whole(number(section[key], f"{file}: {key}"), f"{file}: {key}")
            for key in ("seqLength", "imWidth", "imHeight")
        )
        rate = number(section["frameRate"], f"{file}: frameRate")
        if rate <= 0 or not 0 < length <= LONGEST:
            raise DataError(f"{file}: {length} frames at {rate:g} frames per second can't be")
        return Clock.steady(length, rate, width, height)
    except KeyError as error:
        raise DataError(f"{file}: {error} is missing") from error
    except (configparser.Error, ValueError) as error:
        raise DataError(f"{file}: {error}") from error


def _read_one(file: Path, video: str, clock: Clock, kind: str) -> Annotated:
    labels = file.with_name("labels.txt")
    classes = text_of(labels).splitlines() if kind == "gt" and labels.is_file() else []
    frames, boxes, tracks, scores = [], [], [], []
    names: dict[int, str] = {}
    for where, cells in table(file, 7, 10):
        if kind == "gt" and cells[6] == 0:
            continue
        target = whole(cells[1], where)
        if target < 1 and target != -1:
            raise DataError(f"{where}: target ids count from 1, or -1 for none; got {target}")
        left, top, width, height = cells[2:6]
        frames.append(whole(cells[0], where) - 1)
        if frames[-1] < 0:
            raise DataError(f"{where}: frames count from 1, got {cells[0]:g}")
        boxes.append([left - 1, top - 1, left - 1 + width, top - 1 + height])
        tracks.append(target - 1 if target > 0 else -1)
        scores.append(1.0 if kind == "gt" else cells[6])
        if classes and len(cells) > 7 and tracks[-1] >= 0:
            index = whole(cells[7], where)
            if not 1 <= index <= len(classes):
                raise DataError(f"{where}: class {index}, but labels.txt names {len(classes)} classes, from 1")
            if classes[index - 1] != NO_CATEGORY:
                names[tracks[-1]] = classes[index - 1]
    rows = rows_of(frames, boxes, tracks, scores)
    return Annotated(video, clock, from_frames(rows, clock, str(file)), names=names)


def read(path: Path, clocks: Mapping[str, Clock] | None = None, *, kind: str = "results") -> list[Annotated]:
    """Read such a folder, or one file of it; a clock comes from ``clocks``, else from ``seqinfo.ini`` (a steady rate).

    Raises DataError for an invalid line, and for a video without a clock.
    """
    one_of("kind of file", kind, list(PLACES))
    videos = []
    place = Path(path)
    for file in [place] if place.is_file() else sorted(folder(place).glob(PLACES[kind].format("*"))):
        home = file if kind == "results" else file.parents[1]
        video = video_id(home.stem if kind == "results" else home.name)
        own_clock = None if kind == "results" else _own_clock(home / "seqinfo.ini")
        videos.append(_read_one(file, video, clock_of(video, clocks, file, own_clock), kind))
    return videos


PLUGIN = Format(
    source=Provenance(
        title="MOTChallenge",
        homepage="https://motchallenge.net/instructions/",
        citation="Milan et al., MOT16: A Benchmark for Multi-Object Tracking, arXiv 1603.00831",
    ),
    suffix="",
    write=write,
    read=read,
)

"""Tables of results: events as JSON, scores as parquet and CSV, of one run or joined from all results in a folder."""

from __future__ import annotations

import csv
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wherewhen.api import gallery
from wherewhen.api.results import DONE, FOLDER, StoredResult, all_of, path_of, read
from wherewhen.core import registry
from wherewhen.core.errors import StoreError
from wherewhen.core.printable import printable
from wherewhen.core.store import atomic, locked
from wherewhen.core.values import Floats, Prediction, Video
from wherewhen.inference.result import PREFIX, Result, score_rows
from wherewhen.video.reader import VideoInfo, reading
from wherewhen.video.sources import natural
from wherewhen.visualization.report import EventCard, VideoResult

log = logging.getLogger("wherewhen")

NAMES = ("events.json", "scores.parquet", "scores.csv", gallery.NAME)


def join(output: Path, quarantine: Sequence[tuple[str, str]] = ()) -> list[str]:
    """Write the tables and the page of all results in an output folder, complete or not; returns the videos' ids.

    Unreadable results are left out with a warning. ``quarantine``: paths and reasons for the page. One process at a
    time.
    """
    with locked(output / FOLDER / "tables"):
        videos = {result.about.id: _Video.of(output, path, result) for path, result in _readable(output)}
        ids = sorted(videos, key=lambda id: natural(Path(id)))
        ordered = [videos[id] for id in ids]
        classes = list(dict.fromkeys(name for video in ordered for name in video.classes))
        again = (result for video in ordered if (result := read(video.path)) is not None)  # not all scores at once
        _write_scores(output, map(result_of, again), classes)
        registry.load("formats", "events").write(output / NAMES[0], [video.annotated for video in ordered])
        gallery.write(
            output,
            [card for video in ordered for card in video.cards],
            [video.short for video in ordered],
            [video.alarm for video in ordered],
            {id: videos[id].damage for id in ids if videos[id].damage},
            quarantine,
        )
    return ids


@dataclass(frozen=True)
class _Video:
    """The content of tables and page for one video, except for its scores."""

    path: Path
    classes: tuple[str, ...]
    annotated: Any
    cards: tuple[EventCard, ...]
    short: VideoResult
    alarm: float
    damage: str

    @classmethod
    def of(cls, output: Path, path: Path, result: StoredResult) -> _Video:
        about, cards = result.about, tuple(gallery.cards(output, result))
        classes = tuple(result.prediction.classes)
        return cls(path, classes, _annotated(result), cards, gallery.short(result), about.alarm, result.damage or "")


def _readable(output: Path) -> Iterator[tuple[Path, StoredResult]]:
    """Each video's results: complete ones, else the unfinished ones."""
    ids: set[str] = set()
    for path in all_of(output):
        try:
            result = read(path)
        except StoreError as error:
            log.warning("left out of the tables: %s", error)
            continue
        if result is not None and result.about.id not in ids:
            ids.add(result.about.id)
            yield path, result


def result_of(result: StoredResult, source: Any = None) -> Result:
    """The public result of stored results; heat maps and boxes of single steps are not stored."""
    about = result.about
    size = about.width, about.height
    return Result(
        about.id, source or Path(about.file), result.prediction, result.clock, size, result.damage, about.alarm
    )


def _annotated(result: StoredResult) -> Any:
    from wherewhen.formats import Annotated, Clock

    about = result.about
    clock = Clock(result.clock, about.width, about.height, about.file)
    more: dict[str, Any] = {"folder": about.folder} if about.folder is not None else {}
    more |= {"damage": result.damage} if result.damage else {}
    more |= {} if result.complete else {"complete": False}
    return Annotated(about.id, clock, events=result.prediction.events, about=more)


def _write_scores(output: Path, videos: Iterable[Result], classes: Sequence[str]) -> None:
    """Write frame scores of all videos, one video at a time: both tables, or none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = list(score_rows([], classes))
    kinds = {"video": pa.string(), "frame": pa.int64()}
    schema = pa.schema([(name, kinds.get(name, pa.float64())) for name in names])
    with ExitStack() as files:
        drafts = [files.enter_context(atomic(output / name)) for name in NAMES[1:3]]
        table = files.enter_context(pq.ParquetWriter(drafts[0], schema))
        text = files.enter_context(drafts[1].open("w", encoding="utf-8", newline=""))
        lines = csv.writer(text, lineterminator="\n")
        lines.writerow(names)
        for result in videos:
            rows = score_rows([result], classes)
            table.write_table(pa.table(rows, schema))
            for video, frame, start, end, *scores in zip(*rows.values(), strict=True):
                numbers = ["" if score is None else f"{score:.6f}" for score in scores]
                lines.writerow([video, frame, _seconds(start), _seconds(end), *numbers])


def _seconds(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


def write_scores(path: Path, predictions: Mapping[str, Prediction]) -> None:
    """Frame scores as a parquet table, a row per time step: video, start, end, score and that of each class."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    classes = list(dict.fromkeys(name for prediction in predictions.values() for name in prediction.classes))
    columns = {name: list[Any]() for name in ("video", "start", "end", "score", *map(PREFIX.__add__, classes))}
    for video, prediction in predictions.items():
        if (scores := prediction.frames) is None:
            continue
        edges, count = scores.edges.tolist(), len(scores.values)
        columns["video"] += [video] * count
        columns["start"] += edges[:-1]
        columns["end"] += edges[1:]
        columns["score"] += scores.values[:, 0, 0].tolist()
        for name in classes:
            part = prediction.classes.get(name)
            columns[PREFIX + name] += [None] * count if part is None else part.values[:, 0, 0].tolist()
    with atomic(path) as temporary:
        pq.write_table(pa.table(columns), temporary)


def write_events(path: Path, videos: Sequence[Video], predictions: Mapping[str, Prediction]) -> None:
    """``events.json`` of predictions, in frames and pixels of the video files, with paths relative to a folder."""
    from wherewhen.formats import Annotated, Clock

    base = os.path.commonpath([video.path.parent.absolute() for video in videos]) if videos else ""
    annotated = []
    for video in videos:
        if video.id in predictions:
            prediction, (info, edges) = predictions[video.id], _shape(video.path)
            file, folder = (Path(os.path.relpath(a, b)) for a, b in ((video.path, base), (base, path.parent)))
            clock = Clock(edges, info.width, info.height, printable(file.as_posix()))
            more = {"folder": printable(folder.as_posix())}
            annotated.append(Annotated(video.id, clock, events=prediction.events, about=more))
    registry.load("formats", "events").write(path, annotated)


def _shape(path: Path) -> tuple[VideoInfo, Floats]:
    """Size, rate and borders of all pictures of a video, of a damaged one as far as it can be read."""
    with reading(path) as video:
        info, edges = video.info, video.whole()
        if video.damage is None:
            return info, edges
        for _ in video.frames(width=16):  # decodes it, to find the readable part
            pass
        return info, video.edges


def finished(output: Path, id: str) -> StoredResult | None:
    """The complete results of a video, None where there are none."""
    path = path_of(output, id, DONE)
    return read(path) if path.exists() else None

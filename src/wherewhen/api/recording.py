"""Detection in one video whose results are written as they are computed; Ctrl-C ends it and keeps its results."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from wherewhen.api.gallery import best_frames, write_thumbnail
from wherewhen.api.ids import Place
from wherewhen.api.results import PICTURES, About, Recorder, picture_of, thumbnail_of
from wherewhen.core import outputs, progress
from wherewhen.core.errors import OutputError, VideoError, os_reason
from wherewhen.core.feature_file import content
from wherewhen.core.values import Pictures, Prediction
from wherewhen.inference.detector import Detector
from wherewhen.inference.result import Result
from wherewhen.inference.scoring import PredictionJoiner
from wherewhen.video.reader import Damaged, Reading, reading
from wherewhen.video.sources import Source, is_live, shown
from wherewhen.video.writer import Writer

log = logging.getLogger("wherewhen")

STOPPED = "stopped by the user"
GO_ON = "results so far are kept; continue with --resume"
ONCE = "no overlay: a camera or stream is read once, so its pictures are gone"


@dataclass(frozen=True)
class Order:
    """One video to detect in.

    ``model``: its fingerprint. ``render``: write pictures too. ``keep``: an earlier whole result of the same is there,
    which stays where this one is not finished.
    """

    place: Place
    output: Path
    model: str
    render: bool = True
    damaged: Damaged = "keep"
    keep: bool = False


@dataclass(frozen=True)
class Outcome:
    """Outcome of a video: ``cause``: why it is unreadable, else None; ``notes``: remarks for the user."""

    cause: str | None = None
    stopped: bool = False
    notes: tuple[str, ...] = ()


def record(model: Detector, order: Order) -> Outcome:
    """Detect in one video and write its results, overlay and timeline; unreadable videos do not raise."""
    source = order.place.source
    try:
        with outputs.reading([source]), resumable(order.output):
            with reading(source, damaged=order.damaged) as one, _politely(one):
                again = _again(one)
                found = _watched(model, one, order, again)
            notes = (f"not all of it was read: {found.damage}",) if found and found.damage else ()
            pictures = _pictures(found, order, again, one.stopped) if found else ()
            return Outcome(None, one.stopped, (*notes, *pictures))
    except VideoError as error:
        return Outcome(error.cause)


@contextmanager
def resumable(output: Path) -> Iterator[None]:
    """Errors of writing, such as on a full disk, get the hint to continue with --resume."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{output}: can't be written: {os_reason(error)}; {GO_ON}") from error
    except OutputError as error:
        if not isinstance(error.__cause__, OSError):
            raise
        raise OutputError(f"{error}; {GO_ON}") from error.__cause__


def can_be_painted(source: Source) -> bool:
    """Whether a source is a local file, so that its pictures can be read again."""
    return isinstance(source, Path | Pictures)


def _again(one: Reading) -> bool:
    """Whether pictures can be had a second time: of what lies here, and of a whole file on a server."""
    return can_be_painted(one.source) or (not is_live(one.source) and one.info.frames is not None)


def _watched(model: Detector, one: Reading, order: Order, again: bool) -> Result | None:
    """What is found; None where it was stopped before anything was."""
    place, size, known = order.place, (one.info.width, one.info.height), 0
    sha256 = content(place.source) if isinstance(place.source, Path) else None
    gathered = PredictionJoiner(exact=False, places=order.render and again)
    recorder = Recorder(
        order.output, About(place.id, place.file, place.folder, sha256, order.model, *size, model.alarm)
    )
    try:
        with progress.item() as report:
            for step in model.stream(one):
                fresh = one.since(known)
                known += len(fresh)
                recorder.step(step, fresh)
                gathered.add(step)
                if one.info.duration and step.frames is not None:
                    report(float(step.frames.edges[-1]) / one.info.duration)
        recorder.step(Prediction(), one.since(known))
        prediction, edges = gathered.whole(), one.edges
    except (VideoError, ValueError) as error:  # ValueError: there is nothing to predict from
        recorder.drop()
        if one.stopped:
            return None
        raise error if isinstance(error, VideoError) else VideoError(shown(place.source), str(error)) from None
    except BaseException:
        recorder.leave()
        raise
    complete = one.damage != STOPPED or not again
    keep = order.keep and not complete
    recorder.close(float(edges[-1]), one.damage, complete, keep=keep)
    if not keep:
        _clear(order)
    return Result(place.id, place.source, prediction, edges, size, one.damage, model.alarm)


def _pictures(found: Result, order: Order, again: bool, stopped: bool) -> tuple[str, ...]:
    """Write overlay and timeline as far as that is possible; what is not is told."""
    if not order.render or (stopped and again):
        return ()
    film, timeline = (picture_of(order.output, found.id, ending) for ending in PICTURES)
    film.parent.mkdir(parents=True, exist_ok=True)
    found.timeline(timeline)
    if not again:
        return (ONCE,)
    try:
        _paint(found, film, order.output)
    except VideoError as error:
        if error.path == str(film):  # it can't be written, so nothing else can
            raise OutputError(f"{film}: can't be written: {error.cause}; {GO_ON}") from None
        return (f"no overlay: {error.cause}",)
    return ()


def _paint(found: Result, film: Path, output: Path) -> None:
    """Write the overlay, and a picture of each event."""
    events = best_frames(found)
    with Writer(film, found.rate, painted=True) as writer:
        for number, (picture, start) in enumerate(found.painted()):
            writer.write(picture, start)
            for event in events.get(number, ()):
                write_thumbnail(output, found.id, event, picture)


def _clear(order: Order) -> None:
    """Remove what was painted from earlier results of the video."""
    thumbnails = thumbnail_of(order.output, order.place.id, 0).parent
    earlier = (picture_of(order.output, order.place.id, ending) for ending in PICTURES)
    for path in (*earlier, *thumbnails.glob("*.jpg")):
        if outputs.rendered(path):
            outputs.remove(path)


@contextmanager
def _politely(one: Reading) -> Iterator[None]:
    """While this lasts, Ctrl-C (and the signal to terminate) ends the source at its next picture; again: at once."""
    handlers: dict[signal.Signals, Any] = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    ours = threading.current_thread() is threading.main_thread()
    taken = [number for number, usual in handlers.items() if ours and signal.getsignal(number) == usual]

    def stop(number: int, frame: FrameType | None) -> None:
        log.warning("stopping: results so far are written; press Ctrl-C again to stop at once")
        one.stop(STOPPED)
        restore()

    def restore() -> None:
        for number in taken:
            signal.signal(number, handlers[signal.Signals(number)])

    for number in taken:
        signal.signal(number, stop)
    try:
        yield
    finally:
        restore()

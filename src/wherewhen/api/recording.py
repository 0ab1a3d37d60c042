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

    ``model``: its fingerprint. ``render``: write pictures too. ``hwaccel``: what decodes, see `reading`. ``keep``: an
    earlier complete result exists, which is kept where this one is not finished.
    """

    place: Place
    output: Path
    model: str
    render: bool = True
    damaged: Damaged = "keep"
    hwaccel: str = "none"
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
            with reading(source, damaged=order.damaged, hwaccel=order.hwaccel) as video, _interruptible(video):
                again = _is_repeatable(video)
                result = _recorded(model, video, order, again)
            notes = (f"not all of it was read: {result.damage}",) if result and result.damage else ()
            pictures = _pictures(result, order, again, video.stopped) if result else ()
            return Outcome(None, video.stopped, (*notes, *pictures))
    except VideoError as error:
        return Outcome(error.cause)


@contextmanager
def resumable(output: Path) -> Iterator[None]:
    """Adds the hint to continue with --resume to errors of writing, such as on a full disk."""
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


def _is_repeatable(video: Reading) -> bool:
    """Whether pictures can be read again: of local files, and of complete files on a server."""
    return can_be_painted(video.source) or (not is_live(video.source) and video.info.frames is not None)


def _recorded(model: Detector, video: Reading, order: Order, again: bool) -> Result | None:
    """The result of a video; None where it was stopped before the first prediction."""
    place, size, count = order.place, (video.info.width, video.info.height), 0
    sha256 = content(place.source) if isinstance(place.source, Path) else None
    gathered = PredictionJoiner(exact=False, places=order.render and again)
    recorder = Recorder(
        order.output, About(place.id, place.file, place.folder, sha256, order.model, *size, model.alarm)
    )
    try:
        with progress.item() as report:
            for step in model.stream(video):
                fresh = video.since(count)
                count += len(fresh)
                recorder.step(step, fresh)
                gathered.add(step)
                if video.info.duration and step.frames is not None:
                    report(float(step.frames.edges[-1]) / video.info.duration)
        recorder.step(Prediction(), video.since(count))
        prediction, edges = gathered.whole(), video.edges
    except (VideoError, ValueError) as error:  # ValueError: there is nothing to predict from
        recorder.drop()
        if video.stopped:
            return None
        raise error if isinstance(error, VideoError) else VideoError(shown(place.source), str(error)) from None
    except BaseException:
        recorder.leave()
        raise
    complete = video.damage != STOPPED or not again
    keep = order.keep and not complete
    recorder.close(float(edges[-1]), video.damage, complete, keep=keep)
    if not keep:
        _clear(order)
    return Result(place.id, place.source, prediction, edges, size, video.damage, model.alarm)


def _pictures(result: Result, order: Order, again: bool, stopped: bool) -> tuple[str, ...]:
    """Write overlay and timeline where possible; returns notes on those that are missing."""
    if not order.render or (stopped and again):
        return ()
    film, timeline = (picture_of(order.output, result.id, ending) for ending in PICTURES)
    film.parent.mkdir(parents=True, exist_ok=True)
    result.timeline(timeline)
    if not again:
        return (ONCE,)
    try:
        _paint(result, film, order.output)
    except VideoError as error:
        if error.path == str(film):  # it can't be written, so nothing else can
            raise OutputError(f"{film}: can't be written: {error.cause}; {GO_ON}") from None
        return (f"no overlay: {error.cause}",)
    return ()


def _paint(result: Result, film: Path, output: Path) -> None:
    """Write the overlay, and a picture of each event."""
    events = best_frames(result)
    with Writer(film, result.rate, painted=True) as writer:
        for number, (picture, start) in enumerate(result.painted()):
            writer.write(picture, start)
            for event in events.get(number, ()):
                write_thumbnail(output, result.id, event, picture)


def _clear(order: Order) -> None:
    """Remove pictures of earlier results of the video."""
    thumbnails = thumbnail_of(order.output, order.place.id, 0).parent
    earlier = (picture_of(order.output, order.place.id, ending) for ending in PICTURES)
    for path in (*earlier, *thumbnails.glob("*.jpg")):
        if outputs.rendered(path):
            outputs.remove(path)


@contextmanager
def _interruptible(video: Reading) -> Iterator[None]:
    """In this context Ctrl-C (and SIGTERM) ends the source at its next picture; a second one stops at once."""
    handlers: dict[signal.Signals, Any] = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    ours = threading.current_thread() is threading.main_thread()
    signals = [number for number, usual in handlers.items() if ours and signal.getsignal(number) == usual]

    def stop(number: int, frame: FrameType | None) -> None:
        log.warning("stopping: results so far are written; press Ctrl-C again to stop at once")
        video.stop(STOPPED)
        restore()

    def restore() -> None:
        for number in signals:
            signal.signal(number, handlers[signal.Signals(number)])

    for number in signals:
        signal.signal(number, stop)
    try:
        yield
    finally:
        restore()

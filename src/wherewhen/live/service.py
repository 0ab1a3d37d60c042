"""The service: a process for each camera, delivery of its messages, and room on the disk."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Event, Thread

from wherewhen.core.contracts.sinks import Sink
from wherewhen.core.errors import WherewhenError
from wherewhen.core.store import locked
from wherewhen.inference.model import Model
from wherewhen.live import member, sinks
from wherewhen.live.camera import CameraWatch
from wherewhen.live.champions import CHANGED, champion, stop_when_replaced
from wherewhen.live.database import Database
from wherewhen.live.logs import LogFormat, fields, handler
from wherewhen.live.outbox import Outbox
from wherewhen.live.presence import Presence, facts_of
from wherewhen.live.retention import clean_until, make_room_for_messages
from wherewhen.live.running import claimed
from wherewhen.live.settings import CameraConfig, WatchConfig
from wherewhen.video import devices
from wherewhen.video.sources import shown

log = logging.getLogger("wherewhen")

GRACE = 10.0  # seconds that a camera's process may take to end
STEADY = 600.0  # seconds of a process after which the next one is started again at once


@dataclass
class _Running:
    """A camera's process, and when it may be started again; it ends once ``line`` is closed."""

    process: BaseProcess
    line: Connection
    since: float = field(default_factory=time.monotonic)
    starts: int = 0
    next_at: float = 0.0
    finished: bool = False


@dataclass(frozen=True)
class _Shared:
    """What all processes get: folder of the store, names of the sinks for alerts and for states, device, log."""

    folder: Path
    sinks: list[str]
    states: list[str]
    device: str
    level: int
    log_format: LogFormat = "text"


def check(config: WatchConfig, device: str = "auto") -> list[str]:
    """Load every model once, and create every sink; a line about each camera. The errors are those of a start.

    No camera is opened and nothing is sent.
    """
    lines, facts = [], dict[str, str]()
    for name, camera in config.of_cameras.items():
        run = str(camera.model)
        devices.device(camera.hwaccel)
        if run not in facts:
            model = Model.load(run, device=device)
            facts[run] = f"{model.config.summary}, threshold {model.alarm:g}"
        limit = f", budget {camera.budget.per_day:g} false alarms a day" if camera.budget else ""
        lines.append(f"{name}: {shown(camera.source)}, {facts[run]}{limit}")
    return lines + sinks.check(sinks.makers(config))


def watch(
    config: WatchConfig, stop: Event, *, device: str = "auto", quiet: bool = False, log_format: LogFormat = "text"
) -> None:
    """Watch all cameras until ``stop`` is set, or until all files that are replayed have ended.

    Args:
        config: settings.
        stop: ends the service.
        device: auto, cpu or cuda.
        quiet: only warnings and errors in the log.
        log_format: text, or json for a JSON object a line.

    Raises:
        WherewhenError: a model or a sink can't be used; no camera is opened then.
    """
    check(config, device)
    folder = Path(config.store.path)
    level = logging.WARNING if quiet else log.getEffectiveLevel()
    makers = sinks.makers(config)
    shared = _Shared(folder, list(makers), sinks.with_states(makers), device, level, log_format)
    with claimed(folder):
        _watch(config, shared, makers, stop)


def _watch(config: WatchConfig, shared: _Shared, makers: Mapping[str, Callable[[], Sink]], stop: Event) -> None:
    folder, cameras = shared.folder, config.of_cameras
    database = Database(folder, partial(make_room_for_messages, folder))
    with_hub, waiting_until = "hub" in makers, time.monotonic() + member.PATIENCE
    member.mirror(database, with_hub)
    member.wait_for_hub(database, cameras if with_hub else ())
    facts = {name: facts_of(camera) for name, camera in cameras.items()}
    presence = Presence(database, facts, shared.states)
    outbox = Outbox(folder, makers, list(cameras))
    cleaner = Thread(target=clean_until, args=(folder, config.store, stop), name="disk", daemon=True)
    cleaner.start()
    processes: dict[str, _Running] = {}
    try:
        for name, camera in cameras.items():
            processes[name] = _started(name, camera, shared)
        while not stop.is_set() and not (cameras and all(child.finished for child in processes.values())):
            stop.wait(0.2)
            presence()
            if with_hub and time.monotonic() > waiting_until:
                with_hub = False
                if member.go_on(database):
                    log.warning("the hub does not answer: cameras are watched without it, and messages wait")
            for name, child in processes.items():
                start = partial(_started, name, cameras[name], shared)
                processes[name] = _supervised(name, child, start, presence)
    finally:
        stop.set()
        _end(processes)
        outbox.close()
        presence.close()


def _started(name: str, camera: CameraConfig, shared: _Shared) -> _Running:
    context = multiprocessing.get_context("spawn")
    end, line = context.Pipe(duplex=False)
    process = context.Process(target=run_camera, args=(name, camera, shared, end), name=f"camera {name}", daemon=True)
    process.start()
    end.close()
    return _Running(process, line)


def run_camera(name: str, camera: CameraConfig, shared: _Shared, line: Connection) -> None:
    """The work of a camera's process; it ends once the service closes the other end of ``line``, or died."""
    stop, terminated = Event(), Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: terminated.set())
    Thread(target=_end_with_service, args=(line, stop, terminated), name="service", daemon=True).start()
    log.addHandler(handler(shared.log_format))
    log.setLevel(shared.level)
    try:
        configured, replaced = str(camera.model), Event()
        run = champion(shared.folder, configured)
        camera, model = replace(camera, model=run), Model.load(run, device=shared.device)
        watcher = (name, shared.folder, configured, run, stop, replaced)
        Thread(target=stop_when_replaced, args=watcher, name="model", daemon=True).start()
        with locked(shared.folder / f"camera-{name}"):  # held by a process that ends because its service died
            CameraWatch(name, camera, model, shared.folder, shared.sinks, shared.states).run(stop)
        if replaced.is_set():
            raise SystemExit(CHANGED)
        if terminated.is_set():
            raise SystemExit(128 + signal.SIGTERM)  # by someone else than the service, which starts it again
    except WherewhenError as error:
        log.error("%s: %s", name, error, extra=fields(name, "failed", str(error)))
        raise SystemExit(2) from None


def _end_with_service(line: Connection, stop: Event, terminated: Event) -> None:
    """Stop the camera where the service ends it or died, or its process is asked to end; kill it if it takes long.

    No lock or event is shared: one that a process held as it died would hold up the other for ever.
    """
    while not (terminated.is_set() or line.poll(0.2)):
        pass
    stop.set()
    time.sleep(GRACE)
    os._exit(1)


def _supervised(name: str, child: _Running, start: Callable[[], _Running], presence: Presence) -> _Running:
    """The process of a camera; a new one in place of one that died."""
    if child.finished or child.process.is_alive():
        return child
    if child.process.exitcode == CHANGED:
        return start()
    if child.process.exitcode == 0:
        child.finished = True
    elif not child.next_at:
        child.starts = 0 if time.monotonic() - child.since > STEADY else child.starts
        wait = min(60.0, 2.0 ** min(child.starts, 6))
        cause = f"its process ended with code {child.process.exitcode}"
        presence.died(name, cause)
        log.error("%s: %s; started again in %.0f s", name, cause, wait, extra=fields(name, "died", cause))
        child.next_at = time.monotonic() + wait
    elif time.monotonic() >= child.next_at:
        return replace(start(), starts=child.starts + 1)
    return child


def _end(processes: Mapping[str, _Running]) -> None:
    """End all processes: asked first, killed after `GRACE` seconds."""
    for child in processes.values():
        child.line.close()
    end = time.monotonic() + GRACE
    for child in processes.values():
        child.process.join(max(0.0, end - time.monotonic()))
        if child.process.is_alive():
            child.process.kill()
            child.process.join()

"""One camera: opened, watched, opened again; its alerts, minutes and state go into the database."""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

from wherewhen.budget.blocks import BlockMaker
from wherewhen.core.contracts.sinks import Kind, Message
from wherewhen.core.errors import VideoError
from wherewhen.core.values import Frame, Prediction
from wherewhen.inference.detector import Detector
from wherewhen.live.alert_files import AlertFiles, Clip
from wherewhen.live.alerts import Alert, Alerts, Change, new_id
from wherewhen.live.auditing import Auditor, Quiet
from wherewhen.live.budgeting import CameraBudget, ModelRecord, sent_before
from wherewhen.live.control import Orders, orders
from wherewhen.live.database import Database
from wherewhen.live.feed import Feed, is_replayed, opened
from wherewhen.live.histogram import Histogram
from wherewhen.live.logs import fields
from wherewhen.live.overview import FINISHED
from wherewhen.live.picture_state import PictureState, State
from wherewhen.live.recovery import close_open
from wherewhen.live.retention import make_room_for_messages
from wherewhen.live.schedule import permits
from wherewhen.live.settings import CameraConfig
from wherewhen.live.wall_clock import JUMP, Now, WallClock
from wherewhen.live.zones import Masks
from wherewhen.review.heat import packed
from wherewhen.video.sources import Source, expand, shown

log = logging.getLogger("wherewhen")

LONGEST = 60.0  # seconds between two tries to open a camera
STEADY = 30.0  # seconds of pictures after which the next try comes at once
_WORDS = {"new": "begins", "end": "ended"}
STATUS = 1.0  # seconds between two notes of the status
DRIFT = 0.25  # seconds by which times may differ from the clock of the camera
LATENCIES = (0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0)  # seconds
STAGES = ("read", "queue", "score", "alert")
STAGE_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


@dataclass
class Status:
    """What is known of a camera now: counters since the start, and the last values.

    ``stages``: seconds that each step of time took to be read, to wait in the queue, to be scored, and until its alerts
    were stored. ``at``: the camera's time of day.
    """

    frames: int = 0
    dropped: int = 0
    reconnects: int = 0
    alerts: int = 0
    detections: int = 0
    audits: int = 0
    suppressed: dict[str, int] = field(default_factory=dict)
    rate: float = 0.0
    latency: float = 0.0
    drift: float = 0.0
    score: float = 0.0
    threshold: float = 0.0
    budget: dict[str, Any] = field(default_factory=dict)
    at: float = 0.0
    latencies: Histogram = field(default_factory=lambda: Histogram(LATENCIES))
    stages: dict[str, Histogram] = field(default_factory=lambda: {name: Histogram(STAGE_SECONDS) for name in STAGES})


class CameraWatch:
    """Watches a camera until it is stopped, or until the files that it replays end.

    Args:
        name: of the camera.
        config: its settings.
        model: of the camera.
        folder: of the store.
        sinks: names of the sinks that get its alerts.
        states: names of those that get its states too.
        now: the time of day.
    """

    def __init__(
        self, name: str, config: CameraConfig, model: Detector, folder: Path, sinks: list[str], states: list[str],
        now: Now | None = None,
    ) -> None:  # fmt: skip
        self.name, self.config, self.model, self.folder = name, config, model, folder
        self.sinks, self.states = sinks, states
        self.now = now or Now(config.speed)
        self.source = config.source
        threshold = model.alarm if config.alerts.threshold is None else config.alerts.threshold
        self._alerting = config.alerts if config.budget is None else config.budget.alerts(config.alerts)
        self.alerts = Alerts(name, threshold, self._alerting, config.polygons, config.alert_zones)
        self.status = Status(threshold=threshold)
        self.state: State = "offline"
        self.orders = Orders()
        self._periods, self._masks = config.periods, Masks(config.covered)
        self._files, self._pictures = AlertFiles(folder, config.clips), PictureState(config.states)
        self._seen: State = "ok"
        self._size = (0, 0)
        self._origin = 0.0  # time of day at time 0 of the stream
        self._updates = 0
        self._noted = -float("inf")
        self._frames_noted = 0

    def run(self, stop: Event) -> None:
        """Watch until ``stop`` is set, or the end of the files."""
        wait, ended = 0.0, "failed"
        self._database = Database(self.folder, partial(make_room_for_messages, self.folder))
        try:
            close_open(self._database, self.name, self.sinks, self.now())
            self._begin()
            for source in self._sources():
                if stop.wait(wait) or not self._on(stop):
                    break
                started = self.now()
                try:
                    cause = self._watch(source, stop)
                except VideoError as error:
                    cause = error.cause
                if stop.is_set() or self.orders.idle or is_replayed(source):
                    if cause is not None:
                        log.warning("%s: %s", self.name, cause, extra=fields(self.name, "damage", cause))
                    continue
                cause = cause or "the stream ended"
                self.status.reconnects += 1
                self._change_state("offline", cause)
                steady = self.now() - started > STEADY
                wait = 1.0 if steady else min(LONGEST, max(1.0, 2 * wait))
                wait *= random.uniform(0.8, 1.2)
                about = fields(self.name, "reconnect", cause)
                log.warning("%s: %s; opened again in %.0f s", self.name, cause, wait, extra=about)
            ended = "stopped" if stop.is_set() else FINISHED
        finally:
            self._change_state("offline", ended)
            self._database.close()

    def _begin(self) -> None:
        """Go on where an earlier run of this camera ended."""
        self._change_state("offline", "not opened yet")
        database, now = self._database, self.now()
        model = ModelRecord.of(self.config.model, self.model.alarm)
        settings = (self.config.budget, self._alerting, model, now, self.config.layout)
        self.budget = CameraBudget(database, self.name, *settings)
        self.alerts.sent_before(*sent_before(database, self.name, now))
        self._auditor = Auditor(database, self.name)
        self._obey()
        if self.orders.moved:
            self._pictures.held, self._seen = True, "moved"

    def _obey(self) -> None:
        """Do what users asked since the last second."""
        self.orders = orders(self._database, self.name, time.time())
        self.alerts.silent = self.orders.silent
        if self.orders.accept:
            self._database.write("UPDATE control SET accepting = 0, moved = 0 WHERE camera = ?", self.name)
            self._pictures.accept()
            self.budget.reset(self.now(), "its view was accepted")
        self.budget.count_alarms(self.now())

    def _on(self, stop: Event) -> bool:
        """Wait until the camera is to be watched; False where the service ends before."""
        other = False
        while self.orders.idle:
            other |= self.orders.holder is not None
            self._change_state("offline", self.orders.idle)
            if stop.wait(STATUS):
                return False
            self._obey()
        if other and not stop.is_set():  # the hub may have said what another machine knows of this camera
            self._begin()
        return not stop.is_set()

    def _sources(self) -> Iterator[Source]:
        """The files of a replay, or the camera again and again."""
        if is_replayed(self.source):
            yield from expand(self.source)
            return
        while True:
            yield self.source

    def _watch(self, source: Source, stop: Event) -> str | None:
        """Watch until the source ends; why it ended."""
        clock, end = WallClock(), 0.0
        frames, dropped = self.status.frames, self.status.dropped

        def tap(frame: Frame, arrival: float) -> None:
            moment = clock(frame.end, arrival)
            self._size = frame.image.shape[1], frame.image.shape[0]
            self._files.snapshots.add(moment - (frame.end - frame.start), frame.image)
            self._seen = self._pictures(moment, frame.image)

        limit, ring = self.config.latency_seconds, self._files.ring()
        make = partial(Feed, source, self.now, tap, self._masks, limit, stop, ring, self.config.access)
        if (feed := opened(make, stop)) is None:
            return None
        with feed:
            by = f", decoded by {feed.device}" if feed.device else ""
            log.info("%s: %s is open%s", self.name, shown(source), by, extra=fields(self.name, "open"))
            for stretch in feed.stretches():
                maker, begin = BlockMaker(), None
                for step in self._timed(self.model.stream(stretch), feed):
                    if stop.is_set() or self.orders.idle:
                        feed.stop("stopped")
                        break
                    if step.frames is None or clock.anchor is None:
                        continue
                    begin = self._follow(clock.anchor if begin is None else begin, clock.anchor, end)
                    self._origin = begin
                    end = begin + float(step.frames.edges[-1])
                    self._step(step, begin, maker)
                    self.status.frames, self.status.dropped = frames + feed.received, dropped + feed.dropped
                    self.status.latency, self.status.drift = self.now() - end, clock.drift
                    self.status.latencies.add(self.status.latency)
                    self._note()
                self.status.frames, self.status.dropped = frames + feed.received, dropped + feed.dropped
                self.budget.store(maker.close(), self.now())
                self._tell(self.alerts.gap(end))
                if stop.is_set() or self.orders.idle:
                    break
            return feed.damage if not stop.is_set() and not self.orders.idle else None

    def _timed(self, steps: Iterator[Prediction], feed: Feed) -> Iterator[Prediction]:
        """The steps; the seconds of each stage are counted."""
        stages = self.status.stages
        while True:
            begin, waited, read = time.perf_counter(), feed.waited, feed.spent.decode + feed.spent.resize
            step = next(steps, None)
            if step is None:
                return
            end = time.perf_counter()
            yield step
            stages["read"].add(feed.spent.decode + feed.spent.resize - read)
            stages["queue"].add(max(0.0, feed.queued))
            stages["score"].add(max(0.0, end - begin - (feed.waited - waited)))
            stages["alert"].add(time.perf_counter() - end)

    def _follow(self, begin: float, anchor: float, end: float) -> float:
        """When a stretch began: by the clock as it is now, which moves only between alerts, or by a jump."""
        off = abs(anchor - begin)
        if off > JUMP or (off > DRIFT and self.alerts.idle):
            self._tell(self.alerts.gap(end))
            return anchor
        return begin

    def _step(self, step: Prediction, begin: float, maker: BlockMaker) -> None:
        """A step of time of a stretch that began at a moment."""
        assert step.frames is not None
        if self.state != self._seen:
            self._change_state(self._seen, None)
        self.budget.tune(self.alerts, self._pictures.light)
        edges, scores = begin + step.frames.edges, step.frames.values[:, 0, 0]
        maps = [None] * len(scores) if step.heat is None else step.heat.values
        for start, end, score, heat in zip(edges[:-1], edges[1:], scores, maps, strict=True):
            self.status.score = float(score)
            if self.state == "ok":
                self.budget.store(maker(float(start), float(end), float(score)), self.now())
            held = self.budget.held or (None if permits(self._periods, float(end)) else "schedule")
            self._tell(self.alerts(float(start), float(end), float(score), step.boxes, self.state, held, heat))
            quiet = self.state == "ok" and score < self.alerts.threshold and not self.alerts.is_sending
            if (span := self._auditor(float(start), float(end), float(score), quiet)) is not None:
                self._audit(span)
        is_open = self.alerts.alert is not None
        self._files.release(float(step.frames.edges[-1]), self.alerts.duration, event=is_open)

    def _audit(self, span: Quiet) -> None:
        """Store a random quiet span for review, where it has a clip that takes no other's room; it is never sent."""
        if not self._files.has_room:
            return
        id, facts = new_id(span.start), (span.score, span.score, None)
        alert = Alert(id, self.name, span.start, span.end, *facts, "detection", self.alerts.threshold, end=span.end)
        if (clip := self._files.clip(alert, self._origin)).name is None:
            return
        self._files.picture(alert)
        self.status.audits += 1
        self._database.together(partial(self._keep, alert, clip, "audit"))

    def _tell(self, changes: Iterator[Change]) -> None:
        for change in changes:
            alert, clip = change.alert, Clip(None, None)
            if change.kind == "new":
                self.status.alerts += 1
                self._updates = 0
            elif change.kind == "end":
                self.status.detections += alert.severity == "detection"
                if alert.suppressed is not None:
                    self.status.suppressed[alert.suppressed] = self.status.suppressed.get(alert.suppressed, 0) + 1
                clip = self._files.clip(alert, self._origin)
            if change.kind != "update":
                self._files.picture(alert)
            self._database.together(partial(self._tell_one, change, clip))
            if change.kind == "new":
                self.budget.count_alarms(self.now())

    def _tell_one(self, change: Change, clip: Clip) -> None:
        """Store what happened to an alert, and send it."""
        if change.kind != "update":
            self._keep(change.alert, clip)
        if change.alert.severity == "alert":
            self._send(change.kind, change.before, change.alert, clip)

    def _keep(self, alert: Alert, clip: Clip, source: str | None = None) -> None:
        """Store an alert with the names of its files; ``source``: what it is instead of an event (`Judged.source`)."""
        snapshot, thumb = (self._files.name(kind, alert) for kind in ("snapshot", "thumb"))
        row = {
            "id": alert.id, "camera": alert.camera, "t0": alert.start, "t1": alert.end, "severity": alert.severity,
            "score": alert.top_score, "threshold": alert.threshold, "suppressed": alert.suppressed,
            "box_json": json.dumps(alert.box), "zones_json": json.dumps(alert.entered), "snapshot": snapshot,
            "state": alert.state, "thumb": thumb, "clip": clip.name, "clip_note": clip.note, "clip_t0": clip.start,
            "light": self.budget.light, "model_sha": self.budget.model.sha, "alerted": alert.sent_at,
            "heat": None if alert.heat is None else packed(alert.heat),
        }  # fmt: skip
        row |= {"source": source} if source is not None else {}
        changed = ", ".join(f"{name} = excluded.{name}" for name in row if name != "light")
        self._database.write(
            f"INSERT INTO item({', '.join(row)}) VALUES ({', '.join('?' * len(row))}) "
            f"ON CONFLICT(id) DO UPDATE SET {changed}", *row.values(),
        )  # fmt: skip

    def _send(self, kind: Kind, before: Alert | None, alert: Alert, clip: Clip) -> None:
        snapshot = self._files.name("snapshot", alert)
        files = {"snapshot": snapshot, "thumb": self._files.name("thumb", alert), "clip": clip.name}
        more: dict[str, Any] = {"snapshot": snapshot is not None, "latency": round(self.now() - alert.last, 3)}
        more |= {"files": files, "clip_note": clip.note, **self.budget.payload(alert, self.alerts.sent)}
        after = alert.plain(self._size, clip=clip.name is not None, **more)
        earlier = before.plain(self._size, **more) if before is not None else {}
        key = f"{alert.id}:{kind}"
        if kind == "update":
            self._updates += 1
            key += f":{self._updates}"
        message = Message(alert.id, kind, self.name, after, earlier, at=self.now())
        self._database.post(self.sinks, key, message, snapshot)
        if kind != "update":
            about = fields(self.name, f"alert_{kind}")
            log.info("%s: alert %s %s, score %.2f", self.name, alert.id, _WORDS[kind], alert.top_score, extra=about)

    def _change_state(self, state: State, cause: str | None) -> None:
        at = self.now()
        if state != self.state:
            text = f"{state} ({cause})" if cause else state
            log.info("%s: %s", self.name, text, extra=fields(self.name, state, cause))
            self.state = state
            self._database.post_state(self.states, self.name, state, cause, at)
        self._database.write(
            "INSERT INTO camera VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT(name) DO UPDATE SET "
            "since = CASE WHEN state = excluded.state THEN since ELSE excluded.since END, state = excluded.state, "
            "cause = excluded.cause, at = excluded.at, status_json = excluded.status_json",
            self.name, state, cause, time.time(), time.time(), json.dumps(asdict(self.status)),
        )  # fmt: skip
        if state in ("ok", "moved"):
            self._database.write("UPDATE control SET moved = ? WHERE camera = ?", state == "moved", self.name)

    def _note(self) -> None:
        """Write the status, once a second."""
        at = self.now()
        seconds = (at - self._noted) / self.now.speed
        if seconds < STATUS:
            return
        self.status.rate = (self.status.frames - self._frames_noted) / (at - self._noted)
        self._obey()
        self.status.threshold = self.budget.level.threshold
        self.status.budget = self.budget.standing(self.alerts.sent, at)
        self._noted, self._frames_noted, self.status.at = at, self.status.frames, at
        status = json.dumps(asdict(self.status))
        self._database.write("UPDATE camera SET at = ?, status_json = ? WHERE name = ?", time.time(), status, self.name)

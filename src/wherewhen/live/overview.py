"""The state of the service and of its cameras, as a reader of the store sees it; the service need not run."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from wherewhen.budget.blocks import DAY
from wherewhen.core.database import IS_EVENT, OF_STORE, reading
from wherewhen.core.documents import json_of
from wherewhen.core.errors import StoreError
from wherewhen.live.control import OFF, WATCHED_BY
from wherewhen.live.retention import LOST, Lost

FINISHED = "finished"  # why a replay that came to its end is offline
LEASE = 30.0  # seconds for which a machine has a camera after it last said so
RECENT = 86400.0  # seconds for which a machine that says no more is still shown
LIVES = 15.0  # seconds without a sign of life after which the service does not run
SCORES = 60.0  # seconds without a score after which a camera that calls itself ok is not


class LastAlert(NamedTuple):
    """The newest alert of a camera that was sent; times in seconds since 1970."""

    id: str
    start: float
    end: float | None
    score: float


class Refused(NamedTuple):
    """Messages that a sink refused and that are kept: how many, and the newest reason."""

    sink: str
    messages: int
    cause: str
    at: float


class MachineView(NamedTuple):
    """A machine of several, as a hub knows it; ``at``: its last sign of life, ``skew``: hub's clock minus its own."""

    name: str
    at: float
    skew: float
    up: bool


@dataclass(frozen=True)
class CameraView:
    """A camera at the moment of reading.

    ``since``: seconds since 1970. ``status``: the fields of `wherewhen.live.camera.Status`; empty where nothing was
    scored yet. ``facts``: those of `wherewhen.live.presence.facts_of`. ``fault``: why it is not ok; None where it is,
    where a replay came to its end, and where a user switched it off.
    """

    name: str
    state: str
    cause: str | None
    since: float
    status: dict[str, Any]
    facts: dict[str, Any]
    used_today: int
    last_alert: LastAlert | None
    fault: str | None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is expected of it: a replay that ended, or a camera that is off or another machine's."""
        idle = self.cause in (FINISHED, OFF) or (self.cause or "").startswith(WATCHED_BY)
        return self.state == "offline" and idle

    @property
    def budget(self) -> dict[str, Any]:
        """The budget as the camera has it, else the calibration of its model: ``per_day``, ``upper`` and more.

        ``upper`` is None where it is no bound but extrapolated.
        """
        if standing := self.status.get("budget"):
            return {**standing, "upper": standing["upper"] if standing["method"] == "bound" else None}
        return {name: self.facts.get(name) for name in ("per_day", "upper")}

    @property
    def limit(self) -> float | None:
        """The number of alerts a day that is allowed for, by the budget or the cap; None without one."""
        limits = [limit for limit in (self.budget.get("per_day"), self.facts.get("a_day")) if limit is not None]
        return min(map(float, limits), default=None)

    @property
    def words(self) -> str:
        """The state in a word or two."""
        return str(self.cause) if self.is_idle else self.state

    def plain(self) -> dict[str, Any]:
        """The values that ``wherewhen status --json`` and ``/healthz`` show."""
        measured = {name: self.status.get(name) for name in ("rate", "latency", "dropped", "score", "threshold")}
        return {
            "name": self.name, "ok": self.fault is None, "fault": self.fault, "state": self.state, "cause": self.cause,
            "since": self.since, **measured, "alerts_today": self.used_today,
            "budget": self.budget, "model": self.facts.get("model"), "machine": self.facts.get("machine"),
            "last_alert": self.last_alert._asdict() if self.last_alert else None,
        }  # fmt: skip


@dataclass(frozen=True)
class Overview:
    """The service at a moment ``now``; ``stopped``: when it ended as intended; ``outbox``: messages by sink.

    ``machines``: those of a hub. ``lost``: judged alerts whose files went before a model learned from them.
    ``refused``: messages that sinks refused.
    """

    now: float
    running: bool
    started: float
    at: float
    stopped: float | None
    cameras: tuple[CameraView, ...]
    outbox: dict[str, int]
    free_bytes: int
    machines: tuple[MachineView, ...] = ()
    lost: Lost | None = None
    refused: tuple[Refused, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every camera is ok, ended as intended, or was switched off."""
        return all(camera.fault is None for camera in self.cameras)

    def plain(self) -> dict[str, Any]:
        """The values that ``wherewhen status --json`` and ``/healthz`` show."""
        return {
            "ok": self.ok, "running": self.running, "started": self.started, "stopped": self.stopped,
            "cameras": [camera.plain() for camera in self.cameras], "outbox": self.outbox,
            "storage_free_bytes": self.free_bytes, "machines": [machine._asdict() for machine in self.machines],
            "lost_verdicts": self.lost._asdict() if self.lost else None,
            "refused": [refused._asdict() for refused in self.refused],
        }  # fmt: skip


@contextmanager
def opened(folder: Path) -> Iterator[sqlite3.Connection]:
    """The database of a store, for reading alone; StoreError where there is none, or one of another version."""
    path = folder / OF_STORE
    if not path.is_file():
        raise StoreError(f"{folder}: no store of wherewhen watch there (expected {path}); name its folder")
    with reading(path) as connection:
        yield connection


def overview(folder: Path, now: float) -> Overview:
    """The service and its cameras at a moment in seconds since 1970; StoreError where no service has run there."""
    with opened(folder) as connection:
        service = connection.execute("SELECT started, at, stopped, cameras_json FROM service").fetchone()
        if service is None:
            raise StoreError(f"{folder}: no service has run with this store; start one: wherewhen watch cameras.yaml")
        started, at, stopped, facts = service
        running = stopped is None and now - at < LIVES
        absence = None if running else _absence(now, at, stopped)
        records = json_of(facts).items()
        cameras = [_camera(connection, name, fixed, now, started, absence) for name, fixed in records]
        outbox = dict(connection.execute("SELECT sink, COUNT(*) FROM outbox GROUP BY sink ORDER BY sink"))
        grouped = (
            "SELECT sink, COUNT(*), cause, MAX(at) FROM refused GROUP BY sink ORDER BY sink"  # cause of the newest
        )
        refused = tuple(Refused(*row) for row in connection.execute(grouped))
        query = "SELECT name, at, skew FROM machine WHERE at > ? ORDER BY name"
        rows = connection.execute(query, (now - RECENT,)).fetchall()
        facts = connection.execute("SELECT value_json FROM fact WHERE name = ?", (LOST,))
        lost = Lost.of(text for (text,) in facts)
    machines = tuple(MachineView(name, at, skew, now - at < LEASE) for name, at, skew in rows)
    free = shutil.disk_usage(folder).free
    return Overview(now, running, started, at, stopped, tuple(cameras), outbox, free, machines,
                    lost if lost is not None and lost.is_shown(now) else None, refused)  # fmt: skip


def _absence(now: float, at: float, stopped: float | None) -> str:
    """Why the service does not run, in words."""
    if stopped is not None:
        return "the service was stopped"
    return f"the service does not run: no sign of life for {now - at:.0f} s"


def _camera(
    connection: sqlite3.Connection, name: str, facts: dict[str, Any], now: float, started: float, absence: str | None
) -> CameraView:
    row = connection.execute("SELECT state, cause, since, at, status_json FROM camera WHERE name = ?", (name,))
    state, cause, since, at, text = row.fetchone() or ("offline", "not opened yet", started, now, None)
    status = json_of(text) if text else {}
    day = DAY * (status.get("at", now) // DAY)
    sent = f"FROM item WHERE camera = ? AND severity = 'alert' AND {IS_EVENT}"
    (used,) = connection.execute(f"SELECT COUNT(*) {sent} AND alerted >= ?", (name, day)).fetchone()
    newest = connection.execute(f"SELECT id, t0, t1, score {sent} ORDER BY t0 DESC LIMIT 1", (name,)).fetchone()
    view = CameraView(name, state, cause, since, status, facts, used, LastAlert(*newest) if newest else None, None)
    return view if view.is_idle else replace(view, fault=absence or _fault(view, now - at))


def _fault(view: CameraView, silent: float) -> str | None:
    """Why a camera of a running service is not ok; ``silent``: seconds since its last score."""
    if view.state != "ok":
        return f"{view.state}: {view.cause}" if view.cause else view.state
    return f"nothing was scored for {silent:.0f} s" if silent > SCORES else None

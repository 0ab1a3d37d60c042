"""The hub of several machines: who watches which camera, what they send, and what users ask of them."""

from __future__ import annotations

import json
import logging
import math
import re
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, get_args

from wherewhen.core.contracts.sinks import Message
from wherewhen.core.database import records
from wherewhen.core.errors import ConfigError
from wherewhen.core.printable import printable
from wherewhen.core.store import write_atomic
from wherewhen.live.alert_files import THUMB
from wherewhen.live.control import WAITS, WATCHED_BY
from wherewhen.live.database import Database
from wherewhen.live.member import COLUMNS, store
from wherewhen.live.overview import LEASE
from wherewhen.live.picture_state import State
from wherewhen.live.recovery import close_open
from wherewhen.live.remote import facts_of_service
from wherewhen.live.retention import make_room, make_room_for_messages
from wherewhen.live.settings import NAME

log = logging.getLogger("wherewhen")

SKEW = 2.0  # seconds by which the clock of a machine may differ without a word
KEPT = 60 * 86400.0  # seconds that messages are remembered by their ids
_ALERT = re.compile(r"\d+\.\d{6}-[a-z0-9]{1,32}")
_ADDRESS = re.compile(r"https?://(?:[\w.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?/?")


class Machine(NamedTuple):
    """A machine as it names itself: id of its store, name, address of its web server or its port alone (``:5000``)."""

    id: str
    name: str
    address: str

    @classmethod
    def of(cls, plain: Any, peer: str) -> Machine:
        """The machine in a message from an address ``peer``; ConfigError for something else."""
        fields = plain if isinstance(plain, dict) else {}
        id, name, address = (str(fields.get(key, "")) for key in ("id", "name", "address"))
        if not id or max(map(len, (id, name, address))) > 255:
            raise ConfigError("machine: expected id, name and address")
        if address.startswith(":"):
            address = f"http://{f'[{peer}]' if ':' in peer else peer}{address}"
        if address and not _ADDRESS.fullmatch(address):
            raise ConfigError("machine.address: expected http://HOST:PORT")
        return cls(id, printable(name) or id, address.rstrip("/"))


class Hub:
    """Answers machines, whose messages go on to sinks; called in any thread.

    Args:
        folder: of the store.
        sinks: names of the sinks that get alerts.
        states: names of those that get states of cameras.
        now: seconds since 1970, at its start.
    """

    def __init__(self, folder: Path, sinks: Sequence[str], states: Sequence[str], now: float) -> None:
        self.folder, self.sinks, self.states = folder, list(sinks), list(states)
        self._skewed: set[str] = set()
        with closing(self._opened()) as database:  # while the hub was away, nobody could renew a lease
            database.write("UPDATE lease SET until = ? WHERE until > (SELECT MAX(at) FROM machine)", now + LEASE)

    def beat(self, report: Mapping[str, Any], peer: str, now: float) -> dict[str, Any]:
        """Note what a machine says of its cameras once a second, and give it their orders.

        Args:
            report: ``machine``, ``now``, ``cameras`` by name; ``stopped`` where it ends.
            peer: address from which it calls.
            now: seconds since 1970.

        Returns:
            ``cameras``: the orders of `wherewhen.live.member.follow` by name.

        Raises:
            ConfigError: something else than a report.
        """
        machine = Machine.of(report.get("machine"), peer)
        cameras = report.get("cameras")
        if not isinstance(cameras, dict) or not all(map(NAME.fullmatch, cameras)):
            raise ConfigError("cameras: expected names with what holds of them")
        skew = now - float(report.get("now", now))
        if abs(skew) > SKEW and machine.id not in self._skewed:
            self._skewed.add(machine.id)
            log.warning("%s: its clock differs by %.1f s from that of the hub", machine.name, -skew)
        with closing(self._opened()) as database, database.transaction():
            insertion = "INSERT OR REPLACE INTO machine VALUES (?, ?, ?, ?, ?)"
            database.write(insertion, *machine, now, skew)
            holders = {camera: self._grant(database, camera, machine, now) for camera in cameras}
            self._release(database, machine, [name for name, holder in holders.items() if holder is None], now)
            for camera, holds in cameras.items():
                if holders[camera] is None:
                    self._note(database, camera, machine, holds, now)
            self._note_facts(database, machine, {name: cameras[name] for name in cameras if holders[name] is None})
            return {
                "cameras": {
                    name: {"holder": holders[name], **_wishes(database, name, float(holds.get("judged", 0.0)), now)}
                    for name, holds in cameras.items()
                }
            }

    def receive(self, machine: Any, message: Mapping[str, Any], picture: bytes | None, now: float) -> bool:
        """Store a message of a machine, and send it on, once; whether it is new.

        Args:
            machine: as in `beat`.
            message: the fields of `Message`.
            picture: a JPEG, of an alert that is new.
            now: seconds since 1970.

        Raises:
            ConfigError: it can't be stored.
        """
        sender = Machine.of({**machine, "address": ""} if isinstance(machine, dict) else machine, "")
        try:
            received = Message(**{**message, "snapshot": None})
            if not NAME.fullmatch(received.camera):
                raise ConfigError(f"message: {received.camera[:80]!r} is no name of a camera")
            with closing(self._opened()) as database, database.transaction():
                if received.kind == "row":
                    self._keep(database, sender, received.after["table"], received.after, received.camera, picture, now)
                    return True
                return self._send(database, sender, received, now)
        except ConfigError as error:
            log.error("a message of machine %s is refused: %s", sender.name, error)
            raise
        except (TypeError, KeyError, AttributeError, ValueError, sqlite3.IntegrityError) as error:
            log.error("a message of machine %s is refused: %s: %s", sender.name, type(error).__name__, error)
            raise ConfigError(f"message: can't be stored ({type(error).__name__}: {error})") from None

    def past(self, camera: str, after: float) -> dict[str, list[dict[str, Any]]]:
        """What a machine must know that begins to watch a camera: minutes that start later, budget and alerts."""
        conditions = {
            "block": "t > ?", "tracker": "? IS NOT NULL", "control": "? IS NOT NULL",
            "item": "alerted >= MAX(?, COALESCE((SELECT baseline_at FROM control WHERE camera = item.camera), 0))",
        }  # fmt: skip
        past = {}
        with closing(self._opened()) as database:
            for table, condition in conditions.items():
                names = COLUMNS[table].split()
                query = f"SELECT {', '.join(names)} FROM {table} WHERE camera = ? AND {condition}"
                past[table] = [dict(zip(names, row, strict=True)) for row in database.rows(query, camera, after)]
        return past

    def look(self, now: float) -> None:
        """Tell sinks of cameras whose machine is silent, and forget what is old."""
        with closing(self._opened()) as database, database.transaction():
            query = """
                SELECT lease.id, camera, name FROM lease LEFT JOIN machine ON machine.id = machine
                WHERE until <= ? AND NOT silent
            """
            for number, camera, name in database.rows(query, now):
                database.write("UPDATE lease SET silent = 1 WHERE id = ?", number)
                if _newest(database, camera)[0] == number:
                    self._change(database, camera, "offline", f"no sign of life from machine {name}", now)
            database.write("DELETE FROM received WHERE at < ?", now - KEPT)
            database.write(
                "DELETE FROM lease WHERE until < ? AND id NOT IN (SELECT MAX(id) FROM lease GROUP BY camera)",
                now - KEPT,
            )

    def _opened(self) -> Database:
        return Database(self.folder, partial(make_room_for_messages, self.folder))

    def _grant(self, database: Database, camera: str, machine: Machine, now: float) -> str | None:
        """Let a machine watch a camera from now on, or the name of the one that does."""
        number, holder, until = _newest(database, camera)
        if holder == machine.id:
            database.write("UPDATE lease SET until = ?, silent = 0 WHERE id = ?", now + LEASE, number)
            return None
        if holder is not None and until > now:
            names = database.rows("SELECT name FROM machine WHERE id = ?", holder)
            return str(names[0][0]) if names else "another machine"
        if holder is not None:
            log.warning("%s: machine %s watches it from now on", camera, machine.name)
            ends = "INSERT OR IGNORE INTO received SELECT id || ':end', 1, ? FROM item WHERE camera = ? AND t1 IS NULL"
            database.write(ends, now, camera)  # those of its own that may come later
            close_open(database, camera, self.sinks, now)
        insertion = "INSERT INTO lease(camera, machine, since, until) VALUES (?, ?, ?, ?)"
        database.write(insertion, camera, machine.id, now, now + LEASE)
        return None

    def _release(self, database: Database, machine: Machine, cameras: Sequence[str], now: float) -> None:
        """End the leases of a machine on other cameras than these."""
        for number, camera in database.rows(
            "SELECT id, camera FROM lease WHERE machine = ? AND until > ?", machine.id, now
        ):
            if camera not in cameras and _newest(database, camera)[0] == number:
                database.write("UPDATE lease SET until = ?, silent = 1 WHERE id = ?", now, number)
                self._change(database, camera, "offline", f"machine {machine.name} gave it up", now)

    def _note(self, database: Database, camera: str, machine: Machine, holds: Mapping[str, Any], now: float) -> None:
        """Store the state of a camera; sinks are told of another one."""
        state, cause = str(holds["state"]), printable(str(holds["cause"] or "")) or None
        if (cause or "").startswith((WATCHED_BY, WAITS)):  # it learns with the answer that it has the camera
            return
        if not holds.get("waits"):  # else its changes come as messages, in order
            self._change(database, camera, state, cause, now, machine)
        since, at = now - float(holds["for"]), now - float(holds["silent"])
        values = (since, at, json.dumps(holds["status"]), camera)
        database.write("UPDATE camera SET since = ?, at = ?, status_json = ? WHERE name = ?", *values)

    def _change(
        self, database: Database, camera: str, state: str, cause: str | None, now: float, machine: Machine | None = None
    ) -> None:
        before = database.rows("SELECT state, cause FROM camera WHERE name = ?", camera)
        if [(state, cause)] == before:
            return
        where = f"{machine.name}: " if machine else ""
        log.info("%s: %s%s%s", camera, where, state, f" ({cause})" if cause else "")
        insertion = "INSERT INTO camera(name, state, cause, since, at) VALUES (?, ?, ?, ?, ?)"
        changes = "state = excluded.state, cause = excluded.cause, since = excluded.since"
        database.write(f"{insertion} ON CONFLICT(name) DO UPDATE SET {changes}", camera, state, cause, now, now)
        if not before or before[0][0] != state:
            database.post_state(self.states, camera, state, cause, now)

    def _note_facts(self, database: Database, machine: Machine, cameras: Mapping[str, Any]) -> None:
        before = facts_of_service(database)
        facts = before | {name: {**holds["facts"], "machine": machine.name} for name, holds in cameras.items()}
        if facts != before:
            database.write("UPDATE service SET cameras_json = ?", json.dumps(facts))

    def _keep(
        self, database: Database, machine: Machine, table: str, after: Mapping[str, Any], camera: str,
        picture: bytes | None, now: float,
    ) -> None:  # fmt: skip
        """Store a row of a machine."""
        row = {name: after["row"][name] for name in COLUMNS[table].split()}
        row |= {"camera": camera} if table != "camera" else {}
        is_holder = _holder_at(database, camera, math.inf) in (None, machine.id)
        if table == "item":
            self._keep_item(database, machine, row, picture)
        elif table == "control" and is_holder:
            store(database, table, row, "(camera) DO UPDATE SET moved = excluded.moved, layout = excluded.layout, "
                  "baseline_at = excluded.baseline_at")  # fmt: skip
            if after["accepted"]:
                database.write("UPDATE control SET accepting = 0 WHERE camera = ?", camera)
        elif table == "camera":
            self._keep_state(database, machine, camera, row, now)
        elif table == "block" or (table == "tracker" and is_holder):
            keys = "camera, t" if table == "block" else "camera, light"
            changed = ", ".join(f"{name} = excluded.{name}" for name in row)
            store(database, table, row, f"({keys}) DO UPDATE SET {changed}")

    def _keep_state(
        self, database: Database, machine: Machine, camera: str, row: Mapping[str, Any], now: float
    ) -> None:
        """Store a state of a camera, and send it on, if its machine has the camera."""
        state, cause = row["state"], printable(str(row["cause"] or "")) or None
        if state not in get_args(State):
            raise ConfigError(f"message: {str(state)[:80]!r} is no state of a camera")
        if _holder_at(database, camera, math.inf) in (None, machine.id) and not (cause or "").startswith(
            (WATCHED_BY, WAITS)
        ):
            since = float(row["since"]) + _skew(database, machine)
            self._change(database, camera, state, cause, min(since, now), machine)

    def _keep_item(self, database: Database, machine: Machine, row: dict[str, Any], picture: bytes | None) -> None:
        """Store an alert of a machine with its picture."""
        if not _ALERT.fullmatch(row["id"]):
            raise ConfigError(f"message: {row['id'][:80]!r} is no id of an alert")
        name = f"snapshots/{row['camera']}/{row['id']}.jpg"
        if picture is not None and make_room(self.folder):
            write_atomic(self.folder / name, picture, ours=True)
        thumb = self._thumb(name)
        row |= {"machine": machine.id, "snapshot": name if (self.folder / name).exists() else None, "thumb": thumb}
        if database.rows("SELECT 1 FROM received WHERE key = ? AND NOT sent", f"{row['id']}:new"):
            row |= REFUSED
        changed = ", ".join(f"{name} = excluded.{name}" for name in row if name not in ("id", "source", "counted"))
        gone = row["clip"] is None and database.rows("SELECT 1 FROM item WHERE id = ? AND clip IS NOT NULL", row["id"])
        store(database, "item", row, f"(id) DO UPDATE SET {changed}")
        if gone:
            database.write("UPDATE item SET review = 'expired' WHERE id = ? AND review = 'open'", row["id"])

    def _thumb(self, snapshot: str) -> str | None:
        """The name of the thumbnail of a snapshot, which is written where it is not there."""
        name = snapshot.replace("snapshots/", "thumbs/", 1).replace(".jpg", ".webp")
        if (self.folder / name).exists():
            return name
        from io import BytesIO

        from PIL import Image

        try:
            with Image.open(self.folder / snapshot, formats=["JPEG"]) as image:
                image.thumbnail((THUMB, image.height))
                data = BytesIO()
                image.save(data, "WEBP")
        except (OSError, ValueError, Image.DecompressionBombError):
            return None
        write_atomic(self.folder / name, data.getvalue(), ours=True)
        return name

    def _send(self, database: Database, machine: Machine, message: Message, now: float) -> bool:
        """Put a message of an alert into the outbox once, if its machine had the camera when the alert began."""
        key = f"{message.id}:{message.kind}" + (f":{message.at:.3f}" if message.kind == "update" else "")
        if database.rows("SELECT 1 FROM received WHERE key = ?", key):
            return False
        if message.kind == "new":
            begin = float(message.after["start_time"]) + _skew(database, machine)
            holder = _holder_at(database, message.camera, begin)
            sent = holder in (None, machine.id)
        else:
            sent = bool(database.rows("SELECT 1 FROM received WHERE key = ? AND sent", f"{message.id}:new"))
        database.write("INSERT INTO received VALUES (?, ?, ?)", key, int(sent), now)
        rows = database.rows("SELECT snapshot FROM item WHERE id = ?", message.id)
        if sent:
            database.post(self.sinks, key, message, rows[0][0] if rows else None)
        elif message.kind == "new":
            about = "alert %s of machine %s is not sent: another one had the camera"
            log.warning(f"%s: {about}", message.camera, message.id, machine.name)
            changed = ", ".join(f"{name} = ?" for name in REFUSED)
            database.write(f"UPDATE item SET {changed} WHERE id = ?", *REFUSED.values(), message.id)
        return True


class Group(NamedTuple):
    """Several machines: the token of all, and the hub, where it is this one."""

    token: str
    hub: Hub | None = None


REFUSED = {"severity": "detection", "suppressed": "lease", "alerted": None}
"""What an alert becomes that another machine than the camera's sent."""


def _newest(database: Database, camera: str) -> tuple[int | None, str | None, float]:
    """Number, machine and end of the newest lease of a camera."""
    query = "SELECT id, machine, until FROM lease WHERE camera = ? ORDER BY id DESC LIMIT 1"
    rows = database.rows(query, camera)
    return rows[0] if rows else (None, None, 0.0)


def _skew(database: Database, machine: Machine) -> float:
    """Seconds that the clock of the hub is ahead of that of a machine."""
    ((skew,),) = database.rows("SELECT COALESCE(MAX(skew), 0) FROM machine WHERE id = ?", machine.id)
    return float(skew)


def _holder_at(database: Database, camera: str, moment: float) -> str | None:
    """The machine that had a camera last at a moment, even if its lease had ended; the first one before any lease."""
    query = "SELECT machine FROM lease WHERE camera = ? ORDER BY since <= ? DESC, ABS(since - ?) LIMIT 1"
    rows = database.rows(query, camera, moment, min(moment, 1e12))
    return str(rows[0][0]) if rows else None


def _wishes(database: Database, camera: str, judged: float, now: float) -> dict[str, Any]:
    """What users ask of a camera, and their verdicts after a moment."""
    controls = database.rows("SELECT enabled, accepting FROM control WHERE camera = ?", camera)
    enabled, accepting = controls[0] if controls else (1, 0)
    silent = database.rows("SELECT zone, until FROM snooze WHERE camera = ? AND until > ?", camera, now)
    verdicts = database.query(
        "SELECT *, MAX(at, COALESCE(undone_at, 0)) AS changed FROM verdict WHERE camera = ? AND changed > ? "
        "ORDER BY changed LIMIT 1000", camera, judged,
    )  # fmt: skip
    return {"enabled": bool(enabled), "accept": bool(accepting), "silent": silent, "verdicts": records(verdicts)}

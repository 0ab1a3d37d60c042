"""What users say to a running camera: on or off, silent for a time, this view is right, that alert was false."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from wherewhen.core.documents import json_of
from wherewhen.core.errors import ConfigError, unknown
from wherewhen.live.database import Database
from wherewhen.review import runs
from wherewhen.review.judged import VERDICTS

OFF = "switched off"  # why a camera is offline that a user switched off
WATCHED_BY = "watched by "  # why a camera is offline here that another machine watches; its name follows
WAITS = "waiting for the hub"  # why a camera is offline before the hub says who watches it
"""Verdicts that say that something was there; all others, and none, count as false in the budget."""


@dataclass(frozen=True)
class Orders:
    """What is asked of a camera: whether it is watched and its view accepted, and its silent zones (None: all).

    ``moved``: its view was another one when it was last seen, and was not accepted. ``holder``: the machine that
    watches it instead of this one, empty before the hub said so.
    """

    enabled: bool = True
    accept: bool = False
    moved: bool = False
    silent: frozenset[str | None] = frozenset()
    holder: str | None = None

    @property
    def idle(self) -> str | None:
        """Why the camera is not to be opened; None where it is."""
        if self.holder is not None:
            return WATCHED_BY + self.holder if self.holder else WAITS
        return None if self.enabled else OFF


def orders(database: Database, camera: str, now: float) -> Orders:
    """What is asked of a camera at a moment in seconds since 1970."""
    rows = database.rows("SELECT enabled, accepting, moved FROM control WHERE camera = ?", camera)
    zones = database.rows("SELECT zone FROM snooze WHERE camera = ? AND until > ?", camera, now)
    enabled, accepting, moved = map(bool, rows[0] if rows else (True, False, False))
    holders = [holder for (holder,) in database.rows("SELECT holder FROM standby WHERE camera = ?", camera)]
    silent = frozenset(zone for (zone,) in zones)
    return Orders(enabled, accepting, moved, silent, holders[0] if holders else None)


def enable(database: Database, camera: str, on: bool) -> None:
    """Watch a camera, or close its stream until it is switched on again; ConfigError for an unknown camera."""
    _check_camera(database, camera)
    database.write("UPDATE control SET enabled = ? WHERE camera = ?", int(on), camera)


def accept(database: Database, camera: str) -> None:
    """Make the present view the usual one, after a camera was moved; ConfigError for an unknown camera."""
    _check_camera(database, camera)
    database.write("UPDATE control SET accepting = 1 WHERE camera = ?", camera)


def snooze(database: Database, camera: str, minutes: float, now: float, zone: str | None = None) -> float:
    """Send no alerts of a camera, or of one of its zones, for so many minutes; 0 ends it.

    Args:
        database: of the service.
        camera: name of the camera.
        minutes: from now on.
        now: seconds since 1970.
        zone: name of a zone; None: the whole picture.

    Returns:
        The end in seconds since 1970; 0 where it is not silent any more.

    Raises:
        ConfigError: an unknown camera or zone, or a time below 0.
    """
    _check_camera(database, camera)
    (layout,) = database.rows("SELECT layout FROM control WHERE camera = ?", camera)[0]
    zones = json_of(layout or "{}").get("zones", {})
    if zone is not None and zone not in zones:
        raise ConfigError(unknown(f"zone of {camera}", zone[:80], zones))
    if not 0 <= minutes < float("inf"):
        raise ConfigError(f"snooze: expected minutes from 0, got {minutes}")
    until = now + 60 * minutes
    with database.transaction() as changes:
        changes.execute("DELETE FROM snooze WHERE camera = ? AND (zone IS ? OR until <= ?)", (camera, zone, now))
        if minutes:
            row = (camera, zone, until, now)
            changes.execute("INSERT INTO snooze(camera, zone, until, at) VALUES (?, ?, ?, ?)", row)
    return until if minutes else 0.0


def silent_until(database: Database, camera: str, now: float) -> float:
    """The end of a camera's silence in seconds since 1970; 0 where alerts are sent."""
    query = "SELECT MAX(until) FROM snooze WHERE camera = ? AND zone IS NULL AND until > ?"
    return float(database.rows(query, camera, now)[0][0] or 0.0)


def judge(database: Database, item: str, verdict: str, now: float, user: str | None = None) -> int:
    """Say what an alert was; the last verdict of an alert holds, and none is ever removed.

    Args:
        database: of the service.
        item: id of the alert.
        verdict: true, false, wrong_place, missed or unsure.
        now: seconds since 1970.
        user: who says so.

    Returns:
        The number of the verdict, for `undo`.

    Raises:
        ConfigError: another verdict, or an unknown alert.
    """
    if verdict not in VERDICTS:
        raise ConfigError(unknown("verdict", verdict[:40], VERDICTS))
    rows = database.rows("SELECT camera, t0, COALESCE(t1, t0), box_json FROM item WHERE id = ?", item)
    if not rows:
        raise ConfigError(f"verdict: the store has no alert {item[:60]!r} (any more)")
    camera, t0, t1, box = rows[0]
    return database.insert(
        "INSERT INTO verdict(item, camera, user, verdict, t0, t1, box_json, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        item, camera, user, verdict, t0, t1, box, now,
    )  # fmt: skip


def undo(database: Database, number: int, now: float) -> None:
    """Withdraw a verdict: the one before it holds again."""
    database.write("UPDATE verdict SET undone_at = ? WHERE id = ? AND undone_at IS NULL", now, number)


def change_model(database: Database, action: Literal["promote", "rollback"], run: str, now: float) -> str:
    """Use a run that learned from verdicts in place of the one before it, or that one again, and say so.

    Args:
        database: of the service.
        action: promote or rollback.
        run: run folder or checksum of the run that learned.
        now: seconds since 1970.

    Raises:
        ConfigError: an unknown run, one that may not take over, or one that is not used.
    """
    if action == "promote":
        promoted = runs.promote(database, run, now)
        return f"used now: {promoted.held_out.get('reason', '')}"
    runs.rollback(database, run, now)
    return "not used any more; the model before it is"


def obey(database: Database, camera: str, name: str, value: Any, now: float) -> str:
    """Do what a message asks, and say what was done.

    Args:
        database: of the service.
        camera: name of the camera.
        name: enabled (ON or OFF), suspend (minutes, or ``{minutes, zone}``), rebaseline (anything) or verdict
            (``{id, verdict}``).
        value: what the message says.
        now: seconds since 1970.

    Returns:
        A line for the log.

    Raises:
        ConfigError: another name, or a value that it can't have.
    """
    if name == "rebaseline":
        accept(database, camera)
        return "its view is accepted"
    if name == "enabled":
        if value not in ("ON", "OFF"):
            raise ConfigError(f"enabled: expected ON or OFF, got {str(value)[:40]!r}")
        enable(database, camera, value == "ON")
        return f"switched {value.lower()}"
    fields = value if isinstance(value, dict) else {}
    if name == "suspend":
        minutes, zone = fields.get("minutes", value), fields.get("zone")
        if isinstance(minutes, bool) or not isinstance(minutes, int | float) or not isinstance(zone, str | None):
            raise ConfigError(f"suspend: expected minutes or {{minutes, zone}}, got {str(value)[:40]!r}")
        snooze(database, camera, minutes, now, zone)
        return f"no alerts{f' of zone {zone}' if zone else ''} for {minutes:g} min"
    if name == "verdict":
        item, verdict = fields.get("id"), str(fields.get("verdict")).lower()
        if not isinstance(item, str):
            raise ConfigError(f"verdict: expected {{id, verdict}}, got {str(value)[:40]!r}")
        judge(database, item, verdict, now)
        return f"alert {item}: {verdict}"
    raise ConfigError(unknown("command", name[:40], ("enabled", "suspend", "rebaseline", "verdict")))


def _check_camera(database: Database, camera: str) -> None:
    names = [name for (name,) in database.rows("SELECT camera FROM control ORDER BY camera")]
    if camera not in names:
        raise ConfigError(unknown("camera", camera[:80], names))

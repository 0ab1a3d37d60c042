"""One of several machines: its changed rows go to the hub, and it does what the hub says of its cameras."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from wherewhen.core.database import OF_HUB
from wherewhen.live.database import Database

WAITING = ""
"""The holder of a camera before the hub answers."""
PATIENCE = 15.0  # seconds that a camera waits for the hub at the start

COLUMNS = {
    "item": "id camera t0 t1 severity score threshold suppressed box_json zones_json snapshot state thumb clip "
            "clip_note alerted counted light model_sha source clock clip_t0",
    "block": "camera t seconds peaks_json state light model_sha",
    "tracker": "camera light model_sha level at",
    "control": "camera moved layout baseline_at",
    "camera": "name state cause since",
}  # fmt: skip
"""What the hub gets of each table."""
KEYS = {
    "item": "new.id || ':' || hex(randomblob(4))", "block": "new.camera || ':' || new.t",
    "tracker": "new.camera || ':' || new.light", "control": "new.camera",
    "camera": "new.name || ':' || hex(randomblob(4))",
}  # fmt: skip
"""A row that waits is replaced by a later one of the same key; of alerts all are sent, the first with a picture, and of
states too."""
CHANGES = {"item": "t1, severity, score, suppressed, clip, clip_note, alerted, counted",
           "control": "moved, layout, baseline_at, accepting", "camera": "state, cause"}  # fmt: skip
"""Columns whose change is sent; all, where a table is not among them."""


OURS = "new.machine IS NULL AND new.repeat_of IS NULL AND COALESCE(new.source, '') != 'missed'"
"""Items that the hub gets: neither its own ones, nor those that a person here is shown again or marked."""


CHANGED = "(old.state IS NOT new.state OR old.cause IS NOT new.cause)"
"""Whether another state of a camera is written, and not the same one again."""


def mirror(database: Database, on: bool) -> None:
    """From now on, put changed rows into the outbox of the hub; or do so no more."""
    with database.transaction() as changes:
        for table, columns in COLUMNS.items():
            pairs = ", ".join(f"'{name}', new.{name}" for name in columns.split())
            accepted = "old.accepting > new.accepting" if table == "control" else "0"
            for event in ("INSERT", "UPDATE"):
                is_update = event == "UPDATE"
                name = f"mirror_{table}_{event.lower()}"
                changes.execute(f"DROP TRIGGER IF EXISTS {name}")
                if not on:
                    continue
                of = f" OF {CHANGES[table]}" if is_update and table in CHANGES else ""
                when = f"WHEN {OURS}" if table == "item" else ""
                when = f"WHEN {CHANGED}" if table == "camera" and is_update else when
                camera = "new.name" if table == "camera" else "new.camera"
                picture = "new.snapshot" if table == "item" and not is_update else "NULL"
                key = f"'row:{table}:' || {KEYS[table]}"
                more = f"'table', '{table}', 'accepted', {accepted if is_update else '0'}"
                changes.execute(f"""
                    CREATE TRIGGER {name} AFTER {event}{of} ON {table} {when} BEGIN
                        DELETE FROM outbox WHERE sink = 'hub' AND key = {key};
                        INSERT INTO outbox(sink, key, message_json, snapshot) VALUES ('hub', {key}, json_object(
                            'id', {key}, 'kind', 'row', 'camera', {camera},
                            'after', json_object({more}, 'row', json_object({pairs}))
                        ), {picture});
                    END
                """)


def wait_for_hub(database: Database, cameras: Iterable[str]) -> None:
    """Let no camera begin before the hub says who watches it, or `go_on`."""
    statements: list[tuple[str, tuple[Any, ...]]] = [("DELETE FROM standby", ())]
    statements += [("INSERT INTO standby VALUES (?, ?)", (camera, WAITING)) for camera in cameras]
    database.write_all(statements)


def go_on(database: Database) -> bool:
    """Let cameras begin of which the hub has said nothing; whether there are some."""
    waiting = bool(database.rows("SELECT 1 FROM standby WHERE holder = ?", WAITING))
    if waiting:
        database.write("DELETE FROM standby WHERE holder = ?", WAITING)
    return waiting


def follow(database: Database, camera: str, orders: Mapping[str, Any]) -> str:
    """Do what the hub says of a camera.

    Args:
        database: of the service.
        camera: name of the camera.
        orders: ``holder`` (the machine that watches it; None: this one), ``enabled``, ``accept`` (its view is
            accepted), ``silent`` (zones with the end of their silence) and ``verdicts`` (rows).

    Returns:
        A line for the log; empty for usual orders.
    """
    holder, before = orders["holder"], database.rows("SELECT holder FROM standby WHERE camera = ?", camera)

    def change() -> None:
        database.write("DELETE FROM standby WHERE camera = ?", camera)
        if holder is not None:
            database.write("INSERT INTO standby VALUES (?, ?)", camera, holder)
        database.write("INSERT OR IGNORE INTO control(camera) VALUES (?)", camera)
        query = "UPDATE control SET enabled = ?, accepting = MAX(accepting, ?) WHERE camera = ?"
        database.write(query, int(orders["enabled"]), int(orders["accept"]), camera)
        database.write("DELETE FROM snooze WHERE camera = ?", camera)
        for zone, until in orders["silent"]:
            database.write("INSERT INTO snooze(camera, zone, until, at) VALUES (?, ?, ?, 0)", camera, zone, until)
        for row in orders["verdicts"]:
            store(database, "verdict", row, "(id) DO UPDATE SET undone_at = excluded.undone_at")
            database.write("UPDATE verdict SET undone_at = undone_at WHERE id = ?", row["id"])  # see its triggers

    database.together(change)
    if holder is not None and [(holder,)] != before:
        return f"watched by {holder}; this machine waits"
    return "the hub gives it to this machine" if before and before[0][0] and holder is None else ""


def restore(database: Database, camera: str, past: Mapping[str, Any]) -> str:
    """Store what the hub has of the past of a camera: ``block``, ``tracker``, ``control`` and ``item``, lists of rows.

    Where the camera is watched already, only minutes that are missing.

    Returns:
        A line for the log; empty where there was nothing new.
    """
    waits = bool(database.rows("SELECT 1 FROM standby WHERE camera = ?", camera))
    conflicts = {"block": "DO NOTHING"}
    if waits:
        conflicts["tracker"] = (
            "(camera, light) DO UPDATE SET level = excluded.level, model_sha = excluded.model_sha, at = excluded.at "
            "WHERE excluded.at > at"
        )
        conflicts["control"] = (
            "(camera) DO UPDATE SET layout = excluded.layout, baseline_at = MAX(baseline_at, excluded.baseline_at), "
            "moved = excluded.moved"
        )
        conflicts["item"] = "DO NOTHING"

    def change() -> None:
        mirror(database, False)
        for table, conflict in conflicts.items():
            for row in past.get(table, ()):
                store(database, table, {**row, "machine": OF_HUB} if table == "item" else row, conflict)
        mirror(database, True)

    database.together(change)
    minutes = len(past.get("block", ()))
    return f"{minutes} minutes of its past are from the hub" if minutes else ""


def store(database: Database, table: str, row: Mapping[str, Any], conflict: str) -> None:
    """Insert a row that came from another machine, as far as the table has its columns; ``conflict``: if it has it."""
    columns = [name for _, name, *_ in database.rows(f"PRAGMA table_info({table})") if name in row]
    statement = f"INSERT INTO {table}({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
    database.write(f"{statement} ON CONFLICT {conflict}", *(row[name] for name in columns))


ORDERS: Mapping[str, Callable[[Database, str, Mapping[str, Any]], str]] = {"follow": follow, "restore": restore}
"""What the hub asks, by name."""

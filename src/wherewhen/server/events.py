"""Alerts of the store in the shape of Frigate's events and reviews, which of them were viewed, and verdicts."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from wherewhen.core.database import IS_EVENT
from wherewhen.core.documents import json_of
from wherewhen.live.database import Database
from wherewhen.live.overview import opened

MOST = 1000  # events of an answer
COLUMNS = (
    "id, camera, t0, t1, severity, score, threshold, suppressed, box_json, zones_json, state, snapshot, thumb, clip, "
    "machine"
)
FileKind = Literal["snapshot", "thumb", "clip"]


@dataclass(frozen=True)
class Query:
    """Which events a request asks for; empty texts and None: any. Texts are names between commas, or ``all``."""

    cameras: str = ""
    labels: str = ""
    zones: str = ""
    severity: str = ""
    after: float | None = None
    before: float | None = None
    has_snapshot: int | None = None
    has_clip: int | None = None
    in_progress: int | None = None
    min_score: float | None = None
    reviewed: int | None = None
    limit: int = 100


def events(folder: Path, query: Query) -> list[dict[str, Any]]:
    """Events in Frigate's fields, the newest first."""
    with opened(folder) as connection:
        return [event(folder, row) for row in _rows(connection, folder, query)]


def event_of(folder: Path, id: str) -> dict[str, Any] | None:
    """The event of an id; None without one."""
    row = _row(folder, id, f"id = ? AND {IS_EVENT}")
    return event(folder, row) if row is not None else None


def reviews(folder: Path, query: Query) -> list[dict[str, Any]]:
    """Events as items of Frigate's review, the newest first."""
    with opened(folder) as connection:
        viewed = {id for (id,) in connection.execute("SELECT item FROM viewed")}
        return [
            {
                "id": row["id"], "camera": row["camera"], "start_time": row["t0"], "end_time": row["t1"],
                "severity": row["severity"], "has_been_reviewed": row["id"] in viewed,
                "thumb_path": f"/api/events/{row['id']}/thumbnail.jpg",
                "data": {
                    "detections": [row["id"]], "objects": ["anomaly"], "sub_labels": [], "audio": [],
                    "zones": json_of(row["zones_json"]),
                },
            }
            for row in _rows(connection, folder, query)
        ]  # fmt: skip


def file_of(folder: Path, id: str, kind: FileKind) -> Path | None:
    """A file of an event, by what the database has of it; None where there is none. A snapshot is its own thumbnail.

    The id of a request chooses a row and is no part of the path.
    """
    row = _row(folder, id)
    if row is None:
        return None
    path = _file(folder, row, kind)
    return _file(folder, row, "snapshot") if path is None and kind == "thumb" else path


def event(folder: Path, row: sqlite3.Row) -> dict[str, Any]:
    """A row of the database in Frigate's fields, and the toolkit's own below ``wherewhen``."""
    box = json_of(row["box_json"] or "null")
    sides = [box[0], box[1], box[2] - box[0], box[3] - box[1]] if box else None
    return {
        "id": row["id"], "camera": row["camera"], "label": "anomaly", "sub_label": None, "start_time": row["t0"],
        "end_time": row["t1"], "false_positive": None, "zones": json_of(row["zones_json"]), "thumbnail": "",
        "has_clip": _has(folder, row, "clip"), "has_snapshot": _has(folder, row, "snapshot"),
        "retain_indefinitely": False, "plus_id": None, "top_score": row["score"],
        "data": {"type": "object", "box": sides, "score": row["score"], "top_score": row["score"], "attributes": []},
        "wherewhen": {
            "severity": row["severity"], "threshold": row["threshold"], "suppressed": row["suppressed"],
            "camera_state": row["state"],
        },
    }  # fmt: skip


def mark(folder: Path, ids: list[str], reviewed: bool) -> int:
    """Note that events were reviewed, or that they were not; how many of them there are."""
    with opened(folder) as connection:  # a store must be there
        query = f"SELECT 1 FROM item WHERE id = ? AND {IS_EVENT}"
        count = sum(len(connection.execute(query, (id,)).fetchall()) for id in ids)
    database = Database(folder)
    insertion = f"INSERT OR IGNORE INTO viewed SELECT id, ? FROM item WHERE id = ? AND {IS_EVENT}"
    try:
        with database.transaction() as changes:
            for id in ids:
                if reviewed:
                    changes.execute(insertion, (time.time(), id))
                else:
                    changes.execute("DELETE FROM viewed WHERE item = ?", (id,))
    finally:
        database.close()
    return count


def verdicts(folder: Path) -> dict[tuple[str, str], int]:
    """The number of verdicts by camera and verdict."""
    with opened(folder) as connection:
        rows = connection.execute("SELECT camera, verdict, COUNT(*) FROM verdict GROUP BY camera, verdict")
        return {(camera, verdict): count for camera, verdict, count in rows}


def _row(folder: Path, id: str, where: str = "id = ?") -> sqlite3.Row | None:
    with opened(folder) as connection:
        connection.row_factory = sqlite3.Row
        row: sqlite3.Row | None = connection.execute(f"SELECT {COLUMNS} FROM item WHERE {where}", (id,)).fetchone()
        return row


def _rows(connection: sqlite3.Connection, folder: Path, query: Query) -> Iterator[sqlite3.Row]:
    """The rows that a request asks for, the newest first."""
    if "anomaly" not in (_names(query.labels) or ("anomaly",)):
        return
    connection.row_factory = sqlite3.Row
    conditions, values = _conditions(query)
    statement = f"SELECT {COLUMNS} FROM item WHERE {' AND '.join(conditions)} ORDER BY t0 DESC"
    zones, count = set(_names(query.zones)), 0
    files: tuple[tuple[FileKind, int | None], ...] = (("snapshot", query.has_snapshot), ("clip", query.has_clip))
    for row in connection.execute(statement, values):
        if count >= min(max(query.limit, 0), MOST):
            return
        if zones and not zones & set(json_of(row["zones_json"])):
            continue
        if all(flag is None or bool(flag) == _has(folder, row, kind) for kind, flag in files):
            count += 1
            yield row


def _conditions(query: Query) -> tuple[list[str], list[Any]]:
    """Conditions of SQL with their values."""
    conditions, values = [IS_EVENT], list[Any]()
    for column, names in (("camera", _names(query.cameras)), ("severity", _names(query.severity))):
        if names:
            conditions.append(f"{column} IN ({', '.join('?' * len(names))})")
            values += names
    for condition, value in (("t0 > ?", query.after), ("t0 < ?", query.before), ("score >= ?", query.min_score)):
        if value is not None:
            conditions.append(condition)
            values.append(value)
    if query.in_progress is not None:
        conditions.append("t1 IS NULL" if query.in_progress else "t1 IS NOT NULL")
    if query.reviewed is not None:
        conditions.append(f"id {'IN' if query.reviewed else 'NOT IN'} (SELECT item FROM viewed)")
    return conditions, values


def _names(text: str) -> tuple[str, ...]:
    """Names between commas; none for ``all``."""
    names = tuple(name for name in text.split(",") if name)[:100]
    return () if "all" in names else names


def _has(folder: Path, row: sqlite3.Row, kind: FileKind) -> bool:
    """Whether an event has a file, here or as far as is known on its machine."""
    elsewhere = kind == "clip" and None not in (row["machine"], row["clip"])
    return elsewhere or _file(folder, row, kind) is not None


def _file(folder: Path, row: sqlite3.Row, kind: FileKind) -> Path | None:
    path = (folder / row[kind]).resolve() if row[kind] else None
    return path if path is not None and path.is_relative_to(folder.resolve()) and path.is_file() else None

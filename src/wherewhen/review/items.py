"""The queue of review: which items are shown, in which order, and what is said about each."""

from __future__ import annotations

import base64
import binascii
import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

from wherewhen.core.database import OF_HUB, records
from wherewhen.core.documents import json_of
from wherewhen.core.errors import ConfigError, unknown
from wherewhen.core.printable import original
from wherewhen.review.judged import LABEL, clip_start, fractions

State = Literal["open", "judged", "used", "expired", "all"]
STATES: tuple[str, ...] = get_args(State)
MOST = 1000  # items of an answer
AROUND = 2.0  # seconds before and after an event in a clip that is cut from a video
SHORTEST, LONGEST = 5.0, 60.0  # seconds of such a clip

VERDICT_COLUMNS = "id, key, item, verdict, t0, t1, box_json, class, note, seconds, at, user"
_SELECT = (
    "SELECT item.*, video.path, video.duration, video.width, video.height, "
    + ", ".join(f"given.{name} AS given_{name}" for name in VERDICT_COLUMNS.split(", "))
    + " FROM item LEFT JOIN video ON video.id = item.video "
    "LEFT JOIN verdict AS given ON item.verdict IS NOT NULL AND given.id = "
    "(SELECT MAX(id) FROM verdict WHERE item = item.id AND undone_at IS NULL)"
)


@dataclass(frozen=True)
class Query:
    """Which items a request asks for; empty texts: any.

    ``sort``: uncertain (what teaches most first), score (highest first) or time (newest first; videos in their order).
    ``cluster``: a group of look-alikes. ``cursor``: that of the page before.
    """

    state: str = "open"
    camera: str = ""
    source: str = ""
    severity: str = ""
    sort: str = "uncertain"
    cluster: int | None = None
    cursor: str = ""
    limit: int = 100

    def __post_init__(self) -> None:
        for name, value, values in (("state", self.state, STATES), ("sort", self.sort, _KEYS)):
            if value not in values:
                raise ConfigError(unknown(name, value[:40], values))


@dataclass(frozen=True)
class _Key:
    """How items are sorted: by a column, falling or rising; items that are equal in it by id."""

    column: str
    falls: bool

    @property
    def order(self) -> str:
        return f"{self.column} {'DESC' if self.falls else 'ASC'}, id"

    @property
    def after(self) -> str:
        """The condition of SQL for what comes after a value and an id; the first half of it can use an index."""
        equal, beyond = ("<=", "<") if self.falls else (">=", ">")
        return f"{self.column} {equal} ? AND ({self.column} {beyond} ? OR id > ?)"


_KEYS = {"uncertain": _Key("priority", True), "score": _Key("score", True), "time": _Key("place", True)}


def page(connection: sqlite3.Connection, folder: Path, query: Query) -> dict[str, Any]:
    """A page of items: ``items``, the ``cursor`` of the next page, how many there are in ``total``, and ``counts``.

    Args:
        connection: to the database.
        folder: that its files are relative to.
        query: which items; at most 1000.

    Raises:
        ConfigError: a cursor that no page gave.
    """
    key = _KEYS[query.sort]
    conditions, values = _conditions(query)
    where = " AND ".join(conditions)
    states = conditions[1:], values[1:] if query.state != "all" else values
    counts = dict.fromkeys(STATES[:-1], 0) | _counts(connection, " AND ".join(states[0]), states[1])
    total = sum(counts.values()) if query.state == "all" else counts[query.state]
    if query.cursor:
        value, last = _read_cursor(query.cursor)
        where, values = f"{where} AND {key.after}", [*values, value, value, last]
    limit = min(max(query.limit, 1), MOST)
    chosen = f"SELECT id, {key.column} FROM item WHERE {where} ORDER BY {key.order} LIMIT ?"
    ids = connection.execute(chosen, (*values, limit + 1)).fetchall()
    items = of_ids(connection, folder, [id for id, *_ in ids[:limit]])
    cursor = _cursor(ids[limit - 1][1], ids[limit - 1][0]) if len(ids) > limit else None
    return {"items": items, "cursor": cursor, "total": total, "counts": counts}


def of_ids(connection: sqlite3.Connection, folder: Path, ids: Iterable[str]) -> list[dict[str, Any]]:
    """The items of these ids, in this order, as the API shows them; unknown ones are left out."""
    exists = _Existing(folder)
    rows = (row_of(connection, id) for id in ids)
    return [plain(row, folder, exists) for row in rows if row is not None]


def row_of(connection: sqlite3.Connection, id: str) -> dict[str, Any] | None:
    """The row of an item, with its video and the verdict that holds; None without it."""
    cursor = connection.execute(f"{_SELECT} WHERE item.id = ?", (id,))
    return next(iter(records(cursor)), None)


class _Existing:
    """Whether files are there, each looked up once."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._answers = folder, dict[str, bool]()

    def __call__(self, name: str | None) -> bool:
        if not name:
            return False
        if name not in self._answers:
            self._answers[name] = (self._folder / original(name)).exists()
        return self._answers[name]


def plain(row: Mapping[str, Any], folder: Path, exists: _Existing | None = None) -> dict[str, Any]:
    """An item as the API shows it; ``row``: see `row_of`."""
    exists = exists or _Existing(folder)
    begin, _ = window(row)
    end = row["t0"] if row["t1"] is None else row["t1"]
    is_elsewhere = row["clip"] is not None and row["machine"] not in (None, OF_HUB)
    has_video = is_elsewhere or exists(row["path"] if row["video"] is not None else row["clip"])
    return {
        "id": row["id"], "camera": row["camera"], "start": row["t0"], "end": end, "clock": row["clock"],
        "video": row["video"], "score": row["score"], "threshold": row["threshold"], "severity": row["severity"],
        "source": row["source"], "category": row["class"], "box": fractions(row["box_json"]),
        "zones": json_of(row["zones_json"]), "cluster": row["cluster"], "cluster_size": row["cluster_size"],
        "state": row["review"], "verdict": verdict(row, "given_") if row["given_id"] is not None else None,
        "has_clip": has_video, "has_thumb": has_video if row["video"] is not None else exists(row["thumb"]),
        "label": _label(row),
        "has_heat": row["heat"] is not None, "clip": {"start": row["t0"] - begin, "end": end - begin, "offset": begin},
    }  # fmt: skip


def _label(row: Mapping[str, Any]) -> str | None:
    """What the data set calls the video of a label to check: the other one than the score; None for other items."""
    if row["source"] != LABEL:
        return None
    return "normal" if row["score"] >= row["threshold"] else "anomalous"


def verdict(row: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A verdict as the API shows it; ``row``: has `VERDICT_COLUMNS`, each with a prefix."""
    field = partial(_field, row, prefix)
    return {
        "id": field("id"), "key": field("key"), "item": field("item"), "verdict": field("verdict"),
        "start": field("t0"), "end": field("t1"), "box": fractions(field("box_json")), "category": field("class"),
        "note": field("note"), "seconds": field("seconds"), "at": field("at"), "user": field("user"),
    }  # fmt: skip


def _field(row: Mapping[str, Any], prefix: str, name: str) -> Any:
    return row[f"{prefix}{name}"]


def window(row: Mapping[str, Any]) -> tuple[float, float]:
    """The span of an item's clip in seconds of the item's clock.

    The clip of an alert is a file; that of a video is cut from it: the event, 2 s before and after it, 5 to 60 s.
    """
    begin, end = row["t0"], row["t0"] if row["t1"] is None else row["t1"]
    if row["clock"] != "video":
        return clip_start(row), max(begin, end)
    since = max(0.0, begin - AROUND)
    until = min(max(end + AROUND, since + SHORTEST), since + LONGEST)
    return since, until if row["duration"] is None else max(min(until, row["duration"]), since + 0.1)


def _conditions(query: Query) -> tuple[list[str], list[Any]]:
    """Conditions of SQL with their values; the first is that of the state."""
    conditions, values = ["1"] if query.state == "all" else ["review = ?"], list[Any]()
    values += [] if query.state == "all" else [query.state]
    for column in ("camera", "source", "severity"):
        if name := getattr(query, column):
            conditions.append(f"{column} = ?")
            values.append(name)
    if query.cluster is not None:
        conditions.append("cluster = ?")
        values.append(query.cluster)
    return conditions, values


def _counts(connection: sqlite3.Connection, where: str, values: list[Any]) -> dict[str, int]:
    """How many items there are in each state."""
    query = f"SELECT review, COUNT(*) FROM item {f'WHERE {where} ' if where else ''}GROUP BY review"
    return dict(connection.execute(query, values).fetchall())


def _cursor(value: float, id: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([value, id]).encode()).decode().rstrip("=")


def _read_cursor(text: str) -> tuple[float, str]:
    try:
        value, id = json_of(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, TypeError, binascii.Error, RecursionError):
        value, id = None, None
    if isinstance(value, bool) or not isinstance(value, int | float) or not isinstance(id, str):
        raise ConfigError("cursor: expected that of the page before")
    return float(value), id

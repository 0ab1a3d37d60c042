"""Verdicts of people: each stored once, undone without end, events that the model missed, and items shown twice."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from wherewhen.core.database import Tables, records
from wherewhen.core.errors import ConfigError, unknown
from wherewhen.review.items import VERDICT_COLUMNS
from wherewhen.review.judged import VERDICTS, Box

SHOWN_TWICE = 20  # one in so many verdicts makes an item be shown again
PAUSE = 10  # verdicts that lie between, at least
LONGEST_TEXT = {"key": 64, "item": 200, "category": 100, "note": 2000}


class Conflict(ConfigError):
    """What was asked for can't be done with the item as it is now."""


@dataclass(frozen=True)
class Judgement:
    """A verdict as a person gives it.

    ``key``: chosen by the window that sends it, so that it is stored once however often it arrives. ``start``, ``end``:
    seconds of the item's clock, None where they are right; ``box``: x, y, width, height in fractions of the picture;
    ``seconds``: what it took.
    """

    key: str
    item: str
    verdict: str
    start: float | None = None
    end: float | None = None
    box: Box | None = None
    category: str | None = None
    note: str | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise ConfigError(unknown("verdict", self.verdict[:40], VERDICTS))
        for name, most in LONGEST_TEXT.items():
            text = getattr(self, name) or ""
            if len(text) > most or not is_text(text):
                raise ConfigError(f"{name}: expected at most {most} characters of Unicode")
        if not self.key:
            raise ConfigError("key: expected a text that no other verdict has")
        for name in ("start", "end", "seconds"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"{name}: expected seconds from 0, got {value}")
        if self.start is not None and self.end is not None and self.end < self.start:
            raise ConfigError(f"end: expected a time from start ({self.start:g} s) on, got {self.end:g} s")
        if self.box is not None and not _is_place(self.box):
            raise ConfigError("box: expected x, y, width, height in fractions of the picture")


def is_text(text: str) -> bool:
    """Whether a text can be stored: JSON may hold halves of characters."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _is_place(box: Box) -> bool:
    x, y, width, height = box
    return all(0 <= side <= 1 for side in box) and x + width <= 1 + 1e-6 and y + height <= 1 + 1e-6


def store(tables: Tables, verdicts: Sequence[Judgement], user: str | None, now: float) -> list[int]:
    """Store verdicts, all or none; their numbers. One whose key is stored is not stored again.

    Args:
        tables: of the database.
        verdicts: in the order in which they were given.
        user: who gave them.
        now: seconds since 1970.

    Raises:
        Conflict: an item is gone, or has expired.
    """
    with tables.transaction():
        return [_stored(tables, judgement, user, now) for judgement in verdicts]


def _stored(tables: Tables, judgement: Judgement, user: str | None, now: float) -> int:
    for (number,) in tables.rows("SELECT id FROM verdict WHERE key = ?", judgement.key):
        return int(number)
    rows = tables.rows(
        "SELECT camera, t0, COALESCE(t1, t0), box_json, review FROM item WHERE id = ?", judgement.item
    )  # fmt: skip
    if not rows:
        raise Conflict(f"item {judgement.item}: it is not there any more")
    camera, t0, t1, box, state = rows[0]
    if state == "expired":
        raise Conflict(f"item {judgement.item}: its video is gone, so that it can't be judged")
    t0, t1 = (t0 if judgement.start is None else judgement.start), (t1 if judgement.end is None else judgement.end)
    if judgement.box is not None:
        x, y, width, height = judgement.box
        box = json.dumps([x, y, min(x + width, 1.0), min(y + height, 1.0)])
    elif judgement.verdict in ("wrong_place", "missed"):
        box = None
    number = tables.insert(
        "INSERT INTO verdict(key, item, camera, user, verdict, t0, t1, box_json, class, note, seconds, at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        judgement.key, judgement.item, camera, user, judgement.verdict, t0, max(t0, t1), box, judgement.category,
        judgement.note, judgement.seconds, now,
    )  # fmt: skip
    _show_again(tables, number)
    return number


def undo(tables: Tables, number: int, now: float) -> str | None:
    """Withdraw a verdict, so that the one before it holds again; the id of its item, None without such a verdict.

    An event that was added as missed goes with its verdict.
    """
    with tables.transaction():
        rows = tables.rows("SELECT item FROM verdict WHERE id = ?", number)
        if not rows:
            return None
        tables.write("UPDATE verdict SET undone_at = ? WHERE id = ? AND undone_at IS NULL", now, number)
        tables.write("DELETE FROM item WHERE id = ? AND source = 'missed' AND verdict IS NULL", rows[0][0])
        return str(rows[0][0])


def undo_all(tables: Tables, keys: Sequence[str], now: float) -> list[str]:
    """Withdraw verdicts by their keys, all at once; the ids of their items, each once. Unknown keys are left out."""
    with tables.transaction():
        numbers = [number for key in keys for (number,) in tables.rows("SELECT id FROM verdict WHERE key = ?", key)]
        return list(dict.fromkeys(id for number in numbers if (id := undo(tables, number, now)) is not None))


def add_missed(tables: Tables, judgement: Judgement, user: str | None, now: float) -> tuple[str, int]:
    """Store an event that the model missed, in the footage of another item; the new item's id and the verdict's number.

    Args:
        tables: of the database.
        judgement: its item is the one that was shown; start and end are needed.
        user: who gave it.
        now: seconds since 1970.

    Raises:
        ConfigError: without start and end.
        Conflict: the item is gone.
    """
    if judgement.start is None or judgement.end is None or judgement.end <= judgement.start:
        raise ConfigError("missed: expected start and end, in seconds of the item's clock")
    id = f"m-{hashlib.sha256(judgement.key.encode()).hexdigest()[:20]}"
    columns = "camera, clock, video, clip, clip_t0, machine, threshold, state, model_sha, light"
    with tables.transaction():
        earlier = tables.rows("SELECT id, item FROM verdict WHERE key = ?", judgement.key)
        if earlier:
            return str(earlier[0][1]), int(earlier[0][0])
        tables.write(
            f"INSERT INTO item(id, t0, t1, severity, source, score, zones_json, place, {columns}) "
            f"SELECT ?, ?, ?, 'detection', 'missed', 0, '[]', place, {columns} FROM item WHERE id = ?",
            id, judgement.start, judgement.end, judgement.item,
        )  # fmt: skip
        return id, _stored(tables, replace(judgement, item=id, verdict="missed"), user, now)


def recent(tables: Tables, user: str | None, limit: int, before: int | None = None) -> list[dict[str, Any]]:
    """The newest verdicts of a user that are not undone, the newest first, as rows of `VERDICT_COLUMNS`."""
    cursor = tables.query(
        f"SELECT {VERDICT_COLUMNS} FROM verdict WHERE undone_at IS NULL AND user IS ? AND (? IS NULL OR id < ?) "
        "ORDER BY id DESC LIMIT ?", user, before, before, limit,
    )  # fmt: skip
    return records(cursor)


def numbered(tables: Tables, numbers: Sequence[int]) -> list[dict[str, Any]]:
    """Stored verdicts by their numbers, in this order, as rows of `VERDICT_COLUMNS`."""
    query = f"SELECT {VERDICT_COLUMNS} FROM verdict WHERE id = ?"
    return [row for number in numbers for row in records(tables.query(query, number))]


def _show_again(tables: Tables, number: int) -> None:
    """After each twentieth verdict, put an item that was judged some time ago into the queue again, as if it were new.

    The copy has its own id, and says nothing of the verdict; it is nearly at the head of the queue.
    """
    if number % SHOWN_TWICE:
        return
    candidates = tables.rows(
        "SELECT id FROM item WHERE review IN ('judged', 'used') AND repeat_of IS NULL AND source != 'missed' "
        "AND t1 IS NOT NULL AND id NOT IN (SELECT repeat_of FROM item WHERE repeat_of IS NOT NULL) AND id NOT IN "
        "(SELECT item FROM verdict WHERE id > ?) ORDER BY id", number - PAUSE,
    )  # fmt: skip
    if not candidates:
        return
    digest = hashlib.sha256(f"{number} {len(candidates)}".encode()).hexdigest()
    original = candidates[int(digest, 16) % len(candidates)][0]
    columns = (
        "camera, t0, t1, severity, score, threshold, box_json, zones_json, state, snapshot, thumb, clip, light, "
        "model_sha, source, clock, video, clip_t0, machine, class, feature, cluster, cluster_size, place, heat"
    )
    tables.write(
        f"INSERT INTO item(id, repeat_of, priority, {columns}) SELECT ?, id, COALESCE((SELECT priority FROM item "
        f"WHERE review = 'open' ORDER BY priority DESC LIMIT 1 OFFSET {PAUSE}), priority), {columns} "
        "FROM item WHERE id = ?", f"{digest[:24]}", original,
    )  # fmt: skip


def shown_twice(tables: Tables) -> tuple[int, int]:
    """How many items were judged twice, and in how many of them both verdicts say the same."""
    rows = tables.rows(
        "SELECT again.verdict = item.verdict FROM item AS again JOIN item ON item.id = again.repeat_of "
        "WHERE again.verdict IS NOT NULL AND item.verdict IS NOT NULL"
    )
    return len(rows), sum(same for (same,) in rows)


def statistics(tables: Tables) -> dict[str, Any]:
    """What was judged so far: numbers, the median of seconds per verdict, and agreement of items shown twice."""
    by_verdict = dict(
        tables.rows(
            "SELECT verdict, COUNT(*) FROM item WHERE verdict IS NOT NULL AND repeat_of IS NULL GROUP BY verdict"
        )
    )
    seconds = sorted(
        value for (value,) in tables.rows("SELECT seconds FROM verdict WHERE undone_at IS NULL AND seconds IS NOT NULL")
    )
    middle = (seconds[len(seconds) // 2] + seconds[(len(seconds) - 1) // 2]) / 2 if seconds else None
    count, agree = shown_twice(tables)
    return {
        "judged": sum(by_verdict.values()), "median_seconds": middle, "by_verdict": by_verdict,
        "consistency": {"shown_twice": count, "agree": agree},
    }  # fmt: skip


def audits(tables: Tables) -> list[str]:
    """The verdicts of random spans below the threshold."""
    query = "SELECT verdict FROM item WHERE source = 'audit' AND verdict IS NOT NULL AND repeat_of IS NULL"
    return [verdict for (verdict,) in tables.rows(query)]

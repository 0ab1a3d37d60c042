"""A stream of changes: server-sent events with the ids of items that changed, by any window or process."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable

from wherewhen.core.errors import StoreError
from wherewhen.review.opened import Review

INTERVAL = 0.5  # seconds between two looks
ALIVE = 15.0  # seconds after which a line without meaning keeps the connection
MOST_IDS = 100  # of an event


async def changes(review: Review, is_over: Callable[[], bool] = lambda: False) -> AsyncIterator[str]:
    """Server-sent events ``items`` with the ids of changed items, at most 100 each, until the client or server ends."""
    yield ": changes of items\n\n"
    number, silent = _newest(review), 0.0
    while not is_over():
        await asyncio.sleep(INTERVAL)
        silent += INTERVAL
        number, ids = _since(review, number)
        for first in range(0, len(ids), MOST_IDS):
            yield f"event: items\ndata: {json.dumps({'ids': ids[first : first + MOST_IDS]})}\n\n"
            silent = 0.0
        if silent >= ALIVE:
            yield ": still there\n\n"
            silent = 0.0


def _newest(review: Review) -> int:
    """The number of the newest change; 0 without any."""
    try:
        with review.reading() as connection:
            return int(connection.execute("SELECT COALESCE(MAX(number), 0) FROM touched").fetchone()[0])
    except (StoreError, sqlite3.Error):
        return 0


def _since(review: Review, number: int) -> tuple[int, list[str]]:
    """The number of the newest change, and the items that changed after another one, each once."""
    try:
        with review.reading() as connection:
            query = "SELECT number, item FROM touched WHERE number > ? ORDER BY number"
            rows = connection.execute(query, (number,)).fetchall()
    except (StoreError, sqlite3.Error):
        return number, []
    return (rows[-1][0] if rows else number), list(dict.fromkeys(item for _, item in rows))

"""The database of the service: alerts, minutes of every camera, states, and messages that wait to be sent."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from wherewhen.core.contracts.sinks import Message
from wherewhen.core.database import OF_STORE, Tables

log = logging.getLogger("wherewhen")

REFUSED = 10_000  # messages that sinks refused which are kept


class Waiting(NamedTuple):
    """A message in the outbox."""

    number: int
    message: Message
    tries: int


class Database(Tables):
    """One connection to the file; each process and thread has its own. StoreError for a file of a newer version.

    ``on_full`` makes room where the disk is full, if it can. Changes that still can't be stored are left out then, with
    a line in the log once until it works again; without it they are errors.
    """

    def __init__(self, folder: Path, on_full: Callable[[], bool] | None = None) -> None:
        self._on_full, self._failed = on_full, False
        super().__init__(folder / OF_STORE)

    def _open_anyhow(self) -> None:
        try:
            self._open()
        except sqlite3.OperationalError:  # on a full disk with various codes
            if self._on_full is None or not self._on_full():
                raise
            self._open()

    @property
    def store(self) -> str:
        """The id of the store, which never changes."""
        return str(self.rows("SELECT store FROM identity")[0][0])

    def post(self, sinks: Sequence[str], key: str, message: Message, snapshot: str | None) -> None:
        """Put a message into the outbox of each sink, once per ``key``; ``snapshot``: file beside the database."""
        plain = {"id": message.id, "kind": message.kind, "camera": message.camera, "after": message.after,
                 "before": message.before, "at": message.at}  # fmt: skip
        rows = [(sink, key, json.dumps(plain), snapshot) for sink in sinks]

        def post() -> None:
            with self.transaction() as changes:
                changes.executemany(
                    "INSERT OR IGNORE INTO outbox(sink, key, message_json, snapshot) VALUES (?, ?, ?, ?)", rows
                )

        self._changed(post)

    def post_state(self, sinks: Sequence[str], camera: str, state: str, cause: str | None, at: float) -> None:
        """Put the state of a camera since a moment into the outbox of each sink."""
        message = Message(f"{camera}-{at:.3f}", "state", camera, {"state": state, "cause": cause, "since": at}, at=at)
        self.post(sinks, f"{message.id}:state", message, None)

    def waiting(self, sink: str, now: float, most: int = 20) -> list[Waiting]:
        """The oldest messages for a sink; none while the first of them waits for another try."""
        query = "SELECT id, message_json, snapshot, tries, next_at FROM outbox WHERE sink = ? ORDER BY id LIMIT ?"
        rows = self.rows(query, sink, most)
        if not rows or rows[0][4] > now:
            return []
        return [Waiting(number, self._message(text, snapshot), tries) for number, text, snapshot, tries, _ in rows]

    def sent(self, number: int) -> bool:
        """Remove a message that arrived; whether it is removed."""
        return self.write("DELETE FROM outbox WHERE id = ?", number)

    def refuse(self, number: int, cause: str, now: float) -> None:
        """Keep a message unsent that its sink refuses, with the reason; at most `REFUSED` of them stay, the newest."""
        columns = "sink, key, message_json, snapshot"
        self.write_all([
            (f"INSERT OR REPLACE INTO refused({columns}, cause, at) SELECT {columns}, ?, ? FROM outbox WHERE id = ?",
             (cause, now, number)),
            ("DELETE FROM outbox WHERE id = ?", (number,)),
            ("DELETE FROM refused WHERE id <= (SELECT MAX(id) FROM refused) - ?", (REFUSED,)),
        ])  # fmt: skip

    def resend(self, sink: str) -> int:
        """Put the messages that a sink refused back into its outbox, after those that wait; how many."""
        columns = "sink, key, message_json, snapshot"
        moved = self.rows("SELECT COUNT(*) FROM refused WHERE sink = ?", sink)
        self.write_all([
            (f"INSERT OR IGNORE INTO outbox({columns}) SELECT {columns} FROM refused WHERE sink = ? ORDER BY id",
             (sink,)),
            ("DELETE FROM refused WHERE sink = ?", (sink,)),
        ])  # fmt: skip
        return int(moved[0][0])

    def failed(self, number: int, next_at: float) -> None:
        """Try a message again at a moment in seconds since 1970."""
        self.write("UPDATE outbox SET tries = tries + 1, next_at = ? WHERE id = ?", next_at, number)

    def _changed(self, change: Callable[[], object]) -> bool:
        """Make a change, once more where the disk is full and room can be made; whether it is stored."""
        if self._is_within():  # a part of other changes, which are tried again as a whole
            change()
            return True
        try:
            change()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_FULL or self._on_full is None:
                raise
            if not self._on_full():
                if not self._failed:
                    log.error("%s: the disk is full: alerts are neither stored nor sent", self.path)
                self._failed = True
                return False
            change()
        self._failed = False
        return True

    def _message(self, text: str, snapshot: str | None) -> Message:
        picture = None
        if snapshot is not None:
            path = self.path.parent / snapshot
            picture = path.read_bytes() if path.exists() else None
        return Message(**json.loads(text), snapshot=picture)

"""The database of the service: alerts, minutes of every camera, states, and messages that wait to be sent."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from wherewhen.core.contracts.sinks import Message
from wherewhen.core.errors import StoreError

log = logging.getLogger("wherewhen")

NAME = "live.db"
MIGRATIONS = (
    """
    CREATE TABLE item(
        id TEXT PRIMARY KEY, camera TEXT NOT NULL, t0 REAL NOT NULL, t1 REAL, severity TEXT NOT NULL,
        score REAL NOT NULL, threshold REAL NOT NULL, suppressed TEXT, box_json TEXT, zones_json TEXT NOT NULL,
        snapshot TEXT, state TEXT NOT NULL
    ) STRICT;
    CREATE INDEX item_by_time ON item(t0);
    CREATE TABLE block(
        camera TEXT NOT NULL, t REAL NOT NULL, seconds REAL NOT NULL, peaks_json TEXT NOT NULL, state TEXT NOT NULL,
        PRIMARY KEY(camera, t)
    ) STRICT;
    CREATE TABLE camera(
        name TEXT PRIMARY KEY, state TEXT NOT NULL, cause TEXT, since REAL NOT NULL, at REAL NOT NULL, status_json TEXT
    ) STRICT;
    CREATE TABLE outbox(
        id INTEGER PRIMARY KEY, sink TEXT NOT NULL, key TEXT NOT NULL, message_json TEXT NOT NULL, snapshot TEXT,
        tries INTEGER NOT NULL DEFAULT 0, next_at REAL NOT NULL DEFAULT 0, UNIQUE(sink, key)
    ) STRICT;
    """,
    """
    CREATE TABLE service(
        id INTEGER PRIMARY KEY CHECK(id = 1), pid INTEGER NOT NULL, started REAL NOT NULL, at REAL NOT NULL,
        stopped REAL, cameras_json TEXT NOT NULL
    ) STRICT;
    CREATE TABLE viewed(item TEXT PRIMARY KEY, at REAL NOT NULL) STRICT;
    """,
    """
    ALTER TABLE item ADD COLUMN thumb TEXT;
    ALTER TABLE item ADD COLUMN clip TEXT;
    ALTER TABLE item ADD COLUMN clip_note TEXT;
    """,
    """
    ALTER TABLE item ADD COLUMN alerted REAL;
    ALTER TABLE item ADD COLUMN counted INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE item ADD COLUMN light TEXT NOT NULL DEFAULT 'day';
    ALTER TABLE item ADD COLUMN model_sha TEXT NOT NULL DEFAULT '';
    CREATE INDEX item_alerted ON item(camera, alerted) WHERE alerted IS NOT NULL;
    UPDATE item SET alerted = t0 WHERE severity = 'alert';
    ALTER TABLE block ADD COLUMN light TEXT NOT NULL DEFAULT 'day';
    ALTER TABLE block ADD COLUMN model_sha TEXT NOT NULL DEFAULT '';
    CREATE TABLE control(
        camera TEXT PRIMARY KEY, enabled INTEGER NOT NULL DEFAULT 1, accepting INTEGER NOT NULL DEFAULT 0,
        moved INTEGER NOT NULL DEFAULT 0, layout TEXT NOT NULL DEFAULT '', baseline_at REAL NOT NULL DEFAULT 0
    ) STRICT;
    CREATE TABLE verdict(
        id INTEGER PRIMARY KEY, item TEXT NOT NULL, camera TEXT NOT NULL, user TEXT, verdict TEXT NOT NULL,
        t0 REAL NOT NULL, t1 REAL NOT NULL, box_json TEXT, class TEXT, note TEXT, seconds REAL, at REAL NOT NULL,
        undone_at REAL
    ) STRICT;
    CREATE INDEX verdict_of_item ON verdict(item);
    CREATE INDEX verdict_of_camera ON verdict(camera, t0);
    CREATE TABLE calibration(
        id INTEGER PRIMARY KEY, camera TEXT NOT NULL, light TEXT NOT NULL, model_sha TEXT NOT NULL, at REAL NOT NULL,
        hours REAL NOT NULL, budget REAL NOT NULL, threshold REAL NOT NULL, min_duration REAL NOT NULL,
        count INTEGER NOT NULL, upper REAL NOT NULL, method TEXT NOT NULL, record_json TEXT NOT NULL
    ) STRICT;
    CREATE TABLE snooze(
        id INTEGER PRIMARY KEY, camera TEXT NOT NULL, zone TEXT, until REAL NOT NULL, at REAL NOT NULL
    ) STRICT;
    CREATE TABLE tracker(
        camera TEXT NOT NULL, light TEXT NOT NULL, model_sha TEXT NOT NULL, level REAL NOT NULL, at REAL NOT NULL,
        PRIMARY KEY(camera, light)
    ) STRICT;
    """,
)
"""The changes of the tables, in order; ``user_version`` is how many of them a file has."""


class Waiting(NamedTuple):
    """A message in the outbox."""

    number: int
    message: Message
    tries: int


class Database:
    """One connection to the file; each process and thread has its own. StoreError for a file of a newer version.

    ``on_full`` makes room where the disk is full, if it can. Changes that still can't be stored are left out then, with
    a line in the log once until it works again; without it they are errors.
    """

    def __init__(self, folder: Path, on_full: Callable[[], bool] | None = None) -> None:
        self._on_full, self._failed = on_full, False
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / NAME
        try:
            try:
                self._open()
            except sqlite3.OperationalError:  # on a full disk with various codes
                if on_full is None or not on_full():
                    raise
                self._open()
        except sqlite3.DatabaseError as error:
            advice = "move it, or choose another store"
            raise StoreError(f"{self.path}: can't be used as a database ({error}); {advice}") from None

    def _open(self) -> None:
        self._connection = sqlite3.connect(self.path, timeout=30, isolation_level=None)
        try:
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._migrate()
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Changes that are stored together, or not at all; one within another is a part of it."""
        if self._is_within():
            yield self._connection
            return
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:  # an error of the disk may have ended it
                self._connection.execute("ROLLBACK")
            raise

    def _is_within(self) -> bool:
        return self._connection.in_transaction

    def rows(self, query: str, *values: Any) -> list[Any]:
        """The rows of a query."""
        return self._connection.execute(query, values).fetchall()

    def write(self, query: str, *values: Any) -> bool:
        """Make one change; whether it is stored."""
        return self._changed(lambda: self._connection.execute(query, values))

    def insert(self, query: str, *values: Any) -> int:
        """Add a row; its number."""
        return int(self._connection.execute(query, values).lastrowid or 0)

    def write_all(self, statements: Sequence[tuple[str, Sequence[Any]]]) -> bool:
        """Make changes that are stored together or not at all; whether they are stored."""
        return self.together(lambda: [self._connection.execute(query, values) for query, values in statements])

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
        """Remove a message that arrived, or that its sink refuses; whether it is removed."""
        return self.write("DELETE FROM outbox WHERE id = ?", number)

    def failed(self, number: int, next_at: float) -> None:
        """Try a message again at a moment in seconds since 1970."""
        self.write("UPDATE outbox SET tries = tries + 1, next_at = ? WHERE id = ?", next_at, number)

    def together(self, change: Callable[[], object]) -> bool:
        """Make changes, which may be tried twice, that are stored together or not at all; whether they are stored."""

        def changed() -> None:
            with self.transaction():
                change()

        return self._changed(changed)

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

    def _migrate(self) -> None:
        with self.transaction() as changes:
            (version,) = changes.execute("PRAGMA user_version").fetchone()
            if version > len(MIGRATIONS):
                raise StoreError(
                    f"{self.path}: a newer version of wherewhen wrote it; upgrade, or choose another store"
                )
            for number in range(version, len(MIGRATIONS)):
                for statement in filter(str.strip, MIGRATIONS[number].split(";")):
                    changes.execute(statement)
                changes.execute(f"PRAGMA user_version = {number + 1}")

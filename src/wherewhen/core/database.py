"""The database of alerts, of items to be reviewed and of verdicts: its tables, their changes, and its connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from wherewhen.core.errors import StoreError

OF_STORE, OF_REVIEW = "live.db", "review.db"  # files: of a store of watch, and beside the results of detect

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
    """
    ALTER TABLE item ADD COLUMN source TEXT;
    ALTER TABLE item ADD COLUMN clock TEXT NOT NULL DEFAULT 'wall';
    ALTER TABLE item ADD COLUMN video TEXT;
    ALTER TABLE item ADD COLUMN clip_t0 REAL;
    ALTER TABLE item ADD COLUMN class TEXT;
    ALTER TABLE item ADD COLUMN feature BLOB;
    ALTER TABLE item ADD COLUMN cluster INTEGER;
    ALTER TABLE item ADD COLUMN cluster_size INTEGER NOT NULL DEFAULT 1;
    ALTER TABLE item ADD COLUMN priority REAL NOT NULL DEFAULT 0;
    ALTER TABLE item ADD COLUMN place REAL NOT NULL DEFAULT 0;
    ALTER TABLE item ADD COLUMN repeat_of TEXT;
    ALTER TABLE item ADD COLUMN review TEXT NOT NULL DEFAULT 'open';
    ALTER TABLE item ADD COLUMN verdict TEXT;
    ALTER TABLE item ADD COLUMN run INTEGER;
    UPDATE item SET source = severity, place = t0;
    CREATE TABLE video(
        id TEXT PRIMARY KEY, path TEXT NOT NULL, start REAL NOT NULL, duration REAL NOT NULL, width INTEGER NOT NULL,
        height INTEGER NOT NULL, rate REAL NOT NULL, step REAL, scores BLOB
    ) STRICT;
    CREATE TABLE run(
        id INTEGER PRIMARY KEY, at REAL NOT NULL, parent_sha TEXT NOT NULL, sha TEXT NOT NULL, folder TEXT NOT NULL,
        held_out_json TEXT NOT NULL, promoted_at REAL, retired_at REAL
    ) STRICT;
    CREATE TABLE fact(name TEXT PRIMARY KEY, value_json TEXT NOT NULL) STRICT;
    CREATE TABLE touched(number INTEGER PRIMARY KEY AUTOINCREMENT, item TEXT NOT NULL) STRICT;
    ALTER TABLE verdict ADD COLUMN key TEXT;
    CREATE UNIQUE INDEX verdict_key ON verdict(key) WHERE key IS NOT NULL;
    CREATE INDEX item_by_priority ON item(review, priority DESC, id);
    CREATE INDEX item_by_score ON item(review, score DESC, id);
    CREATE INDEX item_by_place ON item(review, place DESC, id);
    CREATE INDEX item_by_cluster ON item(cluster) WHERE cluster IS NOT NULL;
    CREATE INDEX item_repeated ON item(repeat_of) WHERE repeat_of IS NOT NULL;
    CREATE TRIGGER verdict_added AFTER INSERT ON verdict BEGIN
        UPDATE item SET verdict = NEW.verdict WHERE id = NEW.item;
    END;
    CREATE TRIGGER verdict_undone AFTER UPDATE OF undone_at ON verdict BEGIN
        UPDATE item SET verdict = (
            SELECT verdict FROM verdict WHERE item = NEW.item AND undone_at IS NULL ORDER BY id DESC LIMIT 1
        ) WHERE id = NEW.item;
    END;
    CREATE TRIGGER item_judged AFTER UPDATE OF verdict ON item BEGIN
        UPDATE item SET run = NULL, review = CASE WHEN NEW.verdict IS NOT NULL THEN 'judged' WHEN review = 'expired'
            THEN 'expired' ELSE 'open' END WHERE id = NEW.id;
    END;
    CREATE TRIGGER item_added AFTER INSERT ON item BEGIN
        UPDATE item SET source = COALESCE(source, severity), place = CASE clock WHEN 'wall' THEN t0 ELSE place END
            WHERE id = NEW.id;
        INSERT INTO touched(item) VALUES (NEW.id);
    END;
    CREATE TRIGGER item_changed AFTER UPDATE OF t1, severity, clip, verdict, review, cluster ON item BEGIN
        INSERT INTO touched(item) VALUES (NEW.id);
        DELETE FROM touched WHERE number < (SELECT MAX(number) FROM touched) - 20000;
    END;
    CREATE TRIGGER item_alerted_later AFTER UPDATE OF severity ON item WHEN OLD.source IN ('alert', 'detection') BEGIN
        UPDATE item SET source = NEW.severity WHERE id = NEW.id;
    END;
    UPDATE verdict SET undone_at = undone_at;
    """,
    """
    CREATE TABLE identity(store TEXT NOT NULL) STRICT;
    INSERT INTO identity VALUES (LOWER(HEX(RANDOMBLOB(8))));
    ALTER TABLE item ADD COLUMN machine TEXT;
    CREATE TABLE machine(
        id TEXT PRIMARY KEY, name TEXT NOT NULL, address TEXT NOT NULL, at REAL NOT NULL, skew REAL NOT NULL
    ) STRICT;
    CREATE TABLE lease(
        id INTEGER PRIMARY KEY, camera TEXT NOT NULL, machine TEXT NOT NULL, since REAL NOT NULL, until REAL NOT NULL,
        silent INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE INDEX lease_of_camera ON lease(camera, since);
    CREATE TABLE received(key TEXT PRIMARY KEY, sent INTEGER NOT NULL, at REAL NOT NULL) STRICT;
    CREATE TABLE standby(camera TEXT PRIMARY KEY, holder TEXT NOT NULL) STRICT;
    """,
    """
    ALTER TABLE item ADD COLUMN heat BLOB;
    """,
    """
    CREATE TABLE refused(
        id INTEGER PRIMARY KEY, sink TEXT NOT NULL, key TEXT NOT NULL, message_json TEXT NOT NULL, snapshot TEXT,
        cause TEXT NOT NULL, at REAL NOT NULL, UNIQUE(sink, key)
    ) STRICT;
    """,
)
"""The changes of the tables, in order; ``user_version`` is how many of them a file has.

``item.review``: open, judged, used (a model learned from it) or expired; triggers keep it in step with its verdicts.
``item.place``: items in order of time have falling places. ``touched``: items that changed, in the order of changes.
``item.heat``: the map of scores at its peak, see `wherewhen.review.heat`.
``item.machine``: the machine whose store has the clip, at a hub; null: this one; `OF_HUB` where the hub sent the item.
``refused``: messages that a sink refuses, with its reason.
"""


OF_HUB = "hub"
"""The machine of an item that a hub sent here."""
IS_EVENT = "source IN ('alert', 'detection') AND repeat_of IS NULL"
"""The condition of SQL for items that a camera's model found, without those that only a person is shown or marked."""


class Tables:
    """One connection to a file with these tables; each process and thread has its own.

    StoreError for a file that is no database, or one of a newer version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._open_anyhow()
        except sqlite3.DatabaseError as error:
            advice = "move it, or choose another store"
            raise StoreError(f"{self.path}: can't be used as a database ({error}); {advice}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open_anyhow(self) -> None:
        self._open()

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

    def query(self, query: str, *values: Any) -> sqlite3.Cursor:
        """The rows of a query, with the names of their columns."""
        return self._connection.execute(query, values)

    def write(self, query: str, *values: Any) -> bool:
        """Make one change; whether it is stored."""
        return self._changed(lambda: self._connection.execute(query, values))

    def insert(self, query: str, *values: Any) -> int:
        """Add a row; its number."""
        return int(self._connection.execute(query, values).lastrowid or 0)

    def write_all(self, statements: Sequence[tuple[str, Sequence[Any]]]) -> bool:
        """Make changes that are stored together or not at all; whether they are stored."""
        return self.together(lambda: [self._connection.execute(query, values) for query, values in statements])

    def together(self, change: Callable[[], object]) -> bool:
        """Make changes, which may be tried twice, that are stored together or not at all; whether they are stored."""

        def changed() -> None:
            with self.transaction():
                change()

        return self._changed(changed)

    def _changed(self, change: Callable[[], object]) -> bool:
        """Make a change; whether it is stored."""
        change()
        return True

    def _migrate(self) -> None:
        with self.transaction() as changes:
            (version,) = changes.execute("PRAGMA user_version").fetchone()
            if version > len(MIGRATIONS):
                raise StoreError(
                    f"{self.path}: a newer version of wherewhen wrote it; upgrade, or choose another store"
                )
            for number in range(version, len(MIGRATIONS)):
                for statement in statements(MIGRATIONS[number]):
                    changes.execute(statement)
                changes.execute(f"PRAGMA user_version = {number + 1}")


def records(cursor: sqlite3.Cursor) -> list[dict[str, Any]]:
    """The rows of a query by the names of its columns.

    >>> records(sqlite3.connect(":memory:").execute("SELECT 1 AS a, 'x' AS b"))
    [{'a': 1, 'b': 'x'}]
    """
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def statements(text: str) -> Iterator[str]:
    """The statements of a text of SQL; a trigger, with the statements within it, is one.

    >>> list(statements("SELECT 1; SELECT 2;"))
    ['SELECT 1;', 'SELECT 2;']
    """
    statement = ""
    for part in text.split(";")[:-1]:
        statement += f"{part};"
        if sqlite3.complete_statement(statement):
            yield statement.strip()
            statement = ""


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A file with these tables, for reading alone; StoreError where it can't be read, or is of another version."""
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=10)
        try:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version != len(MIGRATIONS):
                raise StoreError(f"{path}: another version of wherewhen wrote it; use that one, or run watch again")
            yield connection
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path}: can't be read as a database ({error})") from None

"""Room on the disk: alerts that are old or too many are removed, and a full disk stops nothing but their files."""

from __future__ import annotations

import errno
import json
import logging
import re
import shutil
import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import NamedTuple

from wherewhen.core.database import OF_STORE, reading
from wherewhen.core.documents import json_of
from wherewhen.core.errors import ConfigError, StoreError
from wherewhen.live.database import Database

log = logging.getLogger("wherewhen")

KINDS = ("snapshots", "thumbs", "clips")  # folders of the files of alerts
CLEAN = 60.0  # seconds between two looks at the disk
FREE = 0.05  # share of the disk that is left free
ROOM = 2**20  # bytes that must be free to write a picture or a message
RESERVE = "reserve"  # a file that makes room for messages where nothing else can be removed
RESERVED = 4 * 2**20  # its bytes
ROWS = 60.0  # days that rows of alerts and minutes are kept at least, beyond pictures and clips
LOST = "lost_verdicts"  # the fact of the database about `Lost`
SHOWN = 7.0  # days for which status says so
_UNLEARNED = (
    "SELECT id, clip FROM item WHERE t0 >= ? AND review = 'judged' AND verdict != 'unsure' AND repeat_of IS NULL"
)
"""Items that were judged, and from which a model may learn yet."""
_NAME = re.compile(r"(\d+\.\d{6})-[a-z0-9]+")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)b?", re.IGNORECASE)


@dataclass(frozen=True)
class StoreConfig:
    """Where alerts are kept.

    Args:
        path: folder of the database, of pictures and of clips.
        days: how long pictures and clips are kept.
        bytes: most disk space that they take, such as 20GB.
        judged_days: how long those of judged alerts are kept that no model has learned from yet, if bytes allow it.
    """

    path: str = "live"
    days: float = 7.0
    bytes: str = "20GB"
    judged_days: float = 60.0

    def __post_init__(self) -> None:
        for name in ("days", "judged_days"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"store.{name}: expected days above 0, got {getattr(self, name)}")

    @property
    def size(self) -> int:
        """Most disk space, in bytes."""
        return size_of("store.bytes", self.bytes)


class Lost(NamedTuple):
    """How many judged alerts lost their files lately before a model learned from them, and when the last one did."""

    verdicts: int
    at: float

    @classmethod
    def of(cls, texts: Iterable[str]) -> Lost | None:
        """What the database has of it; None where there were none."""
        return next((cls(**json_of(text)) for text in texts), None)

    def is_shown(self, now: float) -> bool:
        """Whether it is news at a moment in seconds since 1970."""
        return now - self.at < SHOWN * 86400


def size_of(name: str, text: str) -> int:
    """A size such as 20GB in bytes; ConfigError names the setting.

    >>> size_of("store.bytes", "1.5 kB")
    1500
    """
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise ConfigError(f"{name}: expected a size such as 20GB, got {text!r}")
    return int(float(match[1]) * 1000 ** " kmgt".index(match[2].lower() or " "))


def clean_until(folder: Path, store: StoreConfig, stop: Event) -> None:
    """Clean every minute, until ``stop`` is set."""
    database = Database(folder)
    try:
        while True:
            try:
                clean(folder, database, store, time.time())
            except (OSError, sqlite3.Error) as error:
                log.warning("%s: can't be cleaned up (%s)", folder, error)
            if stop.wait(CLEAN):
                return
    finally:
        database.close()


def clean(folder: Path, database: Database, store: StoreConfig, now: float) -> int:
    """Remove files that are older than the store keeps, then the oldest until they fit its size; of how many alerts.

    Those of judged alerts that no model has learned from are kept longer, and go last. An alert without a verdict is
    expired from then on. A disk with less than a twentieth free counts as full. Messages that were not sent yet are
    kept.
    """
    files, old = _files(folder), now - store.days * 86400
    unlearned = _stems(database.rows(_UNLEARNED, now - store.judged_days * 86400))
    with_files = "review = 'open' OR COALESCE(snapshot, thumb, clip) IS NOT NULL"
    ended = {id for (id,) in database.rows(f"SELECT id FROM item WHERE t0 < ? AND ({with_files})", old)}
    ended |= {id for id in files if _time_of(id) < old}  # of a process that was killed before it stored them
    ended -= unlearned
    for id in ended:
        _remove(database, id, files.pop(id, []), f"removed after {store.days:g} days")
    forgotten = now - max(store.days, store.judged_days, ROWS) * 86400
    for query in ("DELETE FROM item WHERE t0 < ?", "DELETE FROM block WHERE t < ?"):
        database.write(query, forgotten)
    sizes = {id: sum(map(_size, paths)) for id, paths in files.items()}
    disk = shutil.disk_usage(folder)
    excess = max(sum(sizes.values()) - store.size, int(disk.total * FREE) - disk.free)
    forced = list[str]()
    for id in sorted(files, key=lambda id: (id in unlearned, id)):
        if excess <= 0:
            break
        _remove(database, id, files[id], f"removed to keep within {store.bytes}")
        excess -= sizes[id]
        forced.append(id)
    if forced:
        reason = f"before their {store.days:g} days, to keep within {store.bytes}"
        about = "%s: files of %d alerts removed %s and leave %.0f %% of the disk free"
        log.warning(about, folder, len(forced), reason, 100 * FREE)
    _note_lost(folder, database, unlearned & set(forced), now)
    if not (folder / RESERVE).exists() and excess <= 0:
        (folder / RESERVE).write_bytes(bytes(RESERVED))
    return len(ended) + len(forced)


def make_room(folder: Path, size: int = ROOM) -> bool:
    """Remove the oldest alerts until so many bytes of the disk are free, beside the reserve; whether they are."""
    size += 0 if (folder / RESERVE).exists() else RESERVED
    if shutil.disk_usage(folder).free >= size:
        return True
    removed, files, unlearned = list[str](), _files(folder), set[str]()
    if files:
        with suppress(sqlite3.Error, StoreError), reading(folder / OF_STORE) as connection:
            unlearned = _stems(connection.execute(_UNLEARNED, (0.0,)))
    for id in sorted(files, key=lambda id: (id in unlearned, id)):
        for path in files[id]:
            path.unlink(missing_ok=True)
        removed.append(id)
        if shutil.disk_usage(folder).free >= size:
            break
    if removed:
        log.warning("%s: the disk is full: files of %d of the oldest alerts removed", folder, len(removed))
        with suppress(sqlite3.Error, StoreError), closing(Database(folder)) as database:  # it needs room itself
            for id in removed:
                _remove(database, id, [], "removed: the disk was full")
            _note_lost(folder, database, unlearned & set(removed), time.time())
    return shutil.disk_usage(folder).free >= size


def make_room_for_messages(folder: Path) -> bool:
    """Make room for the database: alerts go first, then the reserve; whether there is room."""
    if make_room(folder):
        return True
    try:
        (folder / RESERVE).unlink()
    except OSError:
        return False
    log.error("%s: the disk is full, and no alert is left to remove: messages use the reserve", folder)
    return True


def is_full(error: BaseException | None) -> bool:
    """Whether an error, or one that it came from, is that of a full disk."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if isinstance(error, sqlite3.Error) and error.sqlite_errorcode == sqlite3.SQLITE_FULL:
            return True
        error = error.__cause__
    return False


def _files(folder: Path) -> dict[str, list[Path]]:
    """The files of each alert, the oldest first; an alert's name begins with its time."""
    paths = (path for kind in KINDS for path in (folder / kind).glob("*/*") if path.is_file())
    files: dict[str, list[Path]] = {}
    for path in sorted(paths, key=lambda path: path.stem):
        if _time_of(path.stem) < float("inf"):
            files.setdefault(path.stem, []).append(path)
    return files


def _time_of(id: str) -> float:
    """When an alert began, in seconds since 1970; infinite where a name is not that of an alert."""
    match = _NAME.fullmatch(id)
    return float(match[1]) if match else float("inf")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _remove(database: Database, id: str, paths: list[Path], note: str) -> None:
    """Remove the files of an alert; it, and what is shown of the same clip, expires unless it was judged."""
    for path in paths:
        path.unlink(missing_ok=True)
    shared = [clip for (clip,) in database.rows("SELECT clip FROM item WHERE id = ? AND clip IS NOT NULL", id)]
    database.write(
        "UPDATE item SET snapshot = NULL, thumb = NULL, clip = NULL, clip_note = ?, "
        "review = CASE review WHEN 'open' THEN 'expired' ELSE review END WHERE id = ? OR repeat_of = ? OR clip = ?",
        note, id, id, shared[0] if shared else None,
    )  # fmt: skip


def _stems(rows: Iterable[tuple[str, str | None]]) -> set[str]:
    """Names of the alerts whose files show items, from their ids and clips."""
    return {name for id, clip in rows for name in ((id, Path(clip).stem) if clip else (id,))}


def _note_lost(folder: Path, database: Database, lost: set[str], now: float) -> None:
    """Say in the log, and for status, that files of judged alerts went before a model learned from them."""
    if not lost:
        return
    log.warning(
        "%s: %d of them were judged, and no model has learned from them: learn from verdicts more often, or raise "
        "store.bytes", folder, len(lost),
    )  # fmt: skip
    before = Lost.of(text for (text,) in database.rows("SELECT value_json FROM fact WHERE name = ?", LOST))
    count = len(lost) + (before.verdicts if before is not None and before.is_shown(now) else 0)
    database.write("INSERT OR REPLACE INTO fact VALUES (?, ?)", LOST, json.dumps({"verdicts": count, "at": now}))

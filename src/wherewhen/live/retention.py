"""Room on the disk: alerts that are old or too many are removed, and a full disk stops nothing but their files."""

from __future__ import annotations

import errno
import logging
import re
import shutil
import sqlite3
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from wherewhen.core.errors import ConfigError, StoreError
from wherewhen.live.database import Database

log = logging.getLogger("wherewhen")

KINDS = ("snapshots", "thumbs", "clips")  # folders of the files of alerts
CLEAN = 60.0  # seconds between two looks at the disk
FREE = 0.05  # share of the disk that is left free
ROOM = 2**20  # bytes that must be free to write a picture or a message
RESERVE = "reserve"  # a file that makes room for messages where nothing else can be removed
RESERVED = 4 * 2**20  # its bytes
_NAME = re.compile(r"(\d+\.\d{6})-[a-z0-9]+")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)b?", re.IGNORECASE)


@dataclass(frozen=True)
class StoreConfig:
    """Where alerts are kept.

    Args:
        path: folder of the database, of pictures and of clips.
        days: how long they are kept.
        bytes: most disk space that pictures and clips take, such as 20GB.
    """

    path: str = "live"
    days: float = 7.0
    bytes: str = "20GB"

    @property
    def size(self) -> int:
        """Most disk space, in bytes."""
        return size_of("store.bytes", self.bytes)


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
    """Remove what is older than the store keeps, then the oldest until it fits its size; how many alerts went.

    A disk with less than a twentieth free counts as full. Messages that were not sent yet are kept.
    """
    files, old = _files(folder), now - store.days * 86400
    expired = {id for (id,) in database.rows("SELECT id FROM item WHERE t0 < ?", old)}
    expired |= {id for id in files if _time_of(id) < old}  # of a process that was killed before it stored them
    for id in expired:
        _remove(database, id, files.pop(id, []))
    database.write("DELETE FROM block WHERE t < ?", now - max(store.days, 60) * 86400)
    sizes = {id: sum(map(_size, paths)) for id, paths in files.items()}
    disk = shutil.disk_usage(folder)
    excess = max(sum(sizes.values()) - store.size, int(disk.total * FREE) - disk.free)
    forced = 0
    for id, paths in files.items():
        if excess <= 0:
            break
        _remove(database, id, paths)
        excess -= sizes[id]
        forced += 1
    if forced:
        reason = f"before their {store.days:g} days, to keep within {store.bytes}"
        log.warning("%s: %d alerts removed %s and leave %.0f %% of the disk free", folder, forced, reason, 100 * FREE)
    if not (folder / RESERVE).exists() and excess <= 0:
        (folder / RESERVE).write_bytes(bytes(RESERVED))
    return len(expired) + forced


def make_room(folder: Path, size: int = ROOM) -> bool:
    """Remove the oldest alerts until so many bytes of the disk are free, beside the reserve; whether they are."""
    size += 0 if (folder / RESERVE).exists() else RESERVED
    if shutil.disk_usage(folder).free >= size:
        return True
    removed = []
    for id, paths in _files(folder).items():
        for path in paths:
            path.unlink(missing_ok=True)
        removed.append(id)
        if shutil.disk_usage(folder).free >= size:
            break
    if removed:
        log.warning("%s: the disk is full: %d of the oldest alerts removed", folder, len(removed))
        with suppress(sqlite3.Error, StoreError):  # after the files, since it needs room itself
            database = Database(folder)
            for id in removed:
                _remove(database, id, [])
            database.close()
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


def _remove(database: Database, id: str, paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
    database.write("DELETE FROM item WHERE id = ?", id)

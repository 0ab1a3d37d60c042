"""Models that learned from verdicts: which one came from which, and which one a camera uses now."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from wherewhen.core.database import Tables
from wherewhen.core.documents import json_of
from wherewhen.core.errors import ConfigError, unknown
from wherewhen.core.store import content_hash

log = logging.getLogger("wherewhen")

WEIGHTS = Path("weights") / "best.safetensors"
_COLUMNS = "id, at, parent_sha, sha, folder, held_out_json, promoted_at, retired_at"


@dataclass(frozen=True)
class Run:
    """A model that learned from verdicts.

    ``parent_sha``, ``sha``: checksums of the weights that it came from and of its own. ``held_out``: the comparison of
    both on verdicts that were not learned from; ``held_out["promoted"]`` says whether the new one may take over, and
    ``held_out["reason"]`` why. ``promoted_at``, ``retired_at``: seconds since 1970, None where it never was.
    """

    id: int
    at: float
    parent_sha: str
    sha: str
    folder: Path
    held_out: Mapping[str, Any]
    promoted_at: float | None
    retired_at: float | None

    @property
    def active(self) -> bool:
        """Whether it is used in place of its parent."""
        return self.promoted_at is not None and self.retired_at is None

    def plain(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "folder": str(self.folder), "active": self.active}


def sha_of(run: str | Path) -> str:
    """Checksum of the weights of a run folder or a weights file; empty where there are none."""
    path = Path(run) / WEIGHTS if Path(run).is_dir() else Path(run)
    if not path.is_file():
        return ""
    status = path.stat()
    return f"sha256:{_hash(path.absolute(), status.st_size, status.st_mtime_ns)}"


@lru_cache(maxsize=64)
def _hash(path: Path, size: int, changed: int) -> str:
    return content_hash(path)


def record(
    tables: Tables, parent: str, folder: Path, held_out: Mapping[str, Any], learned: Iterable[str], now: float
) -> Run:
    """Note a new model and which items it learned from; these are used from now on.

    Args:
        tables: the database of the items.
        parent: checksum of the weights of the model before.
        folder: run folder of the new model.
        held_out: the comparison of both.
        learned: ids of items.
        now: seconds since 1970.
    """
    values = (now, parent, sha_of(folder), str(folder.absolute()), json.dumps(held_out))
    with tables.transaction():
        number = tables.insert(
            "INSERT INTO run(at, parent_sha, sha, folder, held_out_json) VALUES (?, ?, ?, ?, ?)", *values
        )
        for item in learned:
            tables.write("UPDATE item SET review = 'used', run = ? WHERE id = ? AND review = 'judged'", number, item)
    return next(run for run in listed(tables) if run.id == number)


def listed(tables: Tables) -> list[Run]:
    """All models of the database, the newest first."""
    rows = tables.rows(f"SELECT {_COLUMNS} FROM run ORDER BY id DESC")
    return [
        Run(id, at, parent, sha, Path(folder), json_of(text), promoted, retired)
        for id, at, parent, sha, folder, text, promoted, retired in rows
    ]


def find(tables: Tables, name: str) -> Run:
    """The newest model of this checksum (or its first digits) or run folder; ConfigError where there is none."""
    runs, sha = listed(tables), name if name.startswith("sha256:") else f"sha256:{name}"
    for run in runs:
        if run.folder == Path(name).absolute() or (len(sha) >= 15 and run.sha.startswith(sha)):
            return run
    raise ConfigError(unknown("run", name[:80], [str(run.folder) for run in runs]))


def promote(tables: Tables, name: str, now: float) -> Run:
    """Use a model in place of the one that it came from; ConfigError where it is unknown or not better.

    Args:
        tables: the database.
        name: its run folder or checksum.
        now: seconds since 1970.
    """
    run = find(tables, name)
    if not run.held_out.get("promoted"):
        raise ConfigError(f"{run.folder}: not promoted: {run.held_out.get('reason', 'it was not compared')}")
    if sha_of(run.folder) != run.sha:
        raise ConfigError(f"{run.folder}: its weights are gone or another model's now; learn again")
    with tables.transaction():
        tables.write("UPDATE run SET retired_at = ? WHERE parent_sha = ? AND id != ? AND promoted_at IS NOT NULL "
                     "AND retired_at IS NULL", now, run.parent_sha, run.id)  # fmt: skip
        tables.write("UPDATE run SET promoted_at = ?, retired_at = NULL WHERE id = ?", now, run.id)
    return find(tables, name)


def rollback(tables: Tables, name: str, now: float) -> Run:
    """Use the model before again; ConfigError where this one is unknown or not in use."""
    run = find(tables, name)
    if not run.active:
        raise ConfigError(f"{run.folder}: not in use, so there is nothing to roll back")
    tables.write("UPDATE run SET retired_at = ? WHERE id = ?", now, run.id)
    return find(tables, name)


def current(tables: Tables, model: str | Path) -> Path:
    """The run that is used in place of a model: the promoted one of it, of that one, and so on; itself without any."""
    path, sha, passed = Path(model), sha_of(model), set[str]()
    active = {run.parent_sha: run for run in reversed(listed(tables)) if run.active}
    while sha in active and sha not in passed:
        passed.add(sha)
        run = active[sha]
        if sha_of(run.folder) != run.sha:
            log.warning("%s: promoted, but its weights are gone or another model's now; %s is used", run.folder, path)
            break
        path, sha = run.folder, run.sha
    return path

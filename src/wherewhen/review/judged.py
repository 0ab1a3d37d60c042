"""What people have judged, with the video that shows it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from wherewhen.core.database import OF_REVIEW, OF_STORE, Tables, records
from wherewhen.core.documents import json_of
from wherewhen.core.errors import StoreError
from wherewhen.core.printable import original

log = logging.getLogger("wherewhen")

Verdict = Literal["true", "false", "wrong_place", "missed", "unsure"]
VERDICTS: tuple[str, ...] = get_args(Verdict)
LABEL, SEARCH = "label", "search"  # sources of items: labels to check, and hits of a search
CONFIRMED = ("true", "wrong_place", "missed")  # verdicts after which there is an event
BEFORE = 5.0  # seconds that a clip has before its alert, where the store does not say

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Judged:
    """An item with the verdict that holds, the last one that is not undone.

    ``footage``: the video file that shows it; ``start``, ``end``: its span in seconds of that file, as trimmed by the
    person. ``box``: the right place as x, y, width, height in fractions of the picture, None where nobody marked one;
    ``shown_box``: that of the model. ``source``: alert, detection, audit, missed, label or search. ``at``: when it was
    judged, in seconds since 1970. ``hour``: that of the event, such as ``2026-11-30T04`` in UTC, or the id of the video
    where no time of day is known. ``video``: id of the reviewed video, None for a clip of a camera.
    """

    id: str
    camera: str
    verdict: str
    footage: Path
    start: float
    end: float
    box: Box | None
    shown_box: Box | None
    category: str | None
    cluster: int | None
    source: str
    at: float
    hour: str
    video: str | None = None


def database_of(path: Path) -> Path:
    """The database of a store of ``watch`` or of a folder of results: the file itself, or that in a folder.

    Raises:
        StoreError: there is none.
    """
    candidates = [path] if path.is_file() else [path / name for name in (OF_REVIEW, OF_STORE)]
    for file in candidates:
        if file.is_file():
            return file
    raise StoreError(f"{path}: no verdicts there (expected {OF_REVIEW} or {OF_STORE}); first: wherewhen review {path}")


def judged_items(path: Path) -> list[Judged]:
    """The items that have a verdict, in the order of the verdicts; each once.

    Items whose footage is gone are left out, and counted in the log.

    Args:
        path: the database, or the folder that holds it.

    Raises:
        StoreError: there is no database, or a newer version wrote it.
    """
    file = database_of(path)
    with Tables(file) as tables:
        cursor = tables.query(
            "SELECT item.*, given.t0 AS begin, given.t1 AS stop, given.box_json AS right, given.class AS named, "
            "given.at, video.path FROM verdict AS given JOIN item ON item.id = given.item "
            "LEFT JOIN video ON video.id = item.video WHERE item.repeat_of IS NULL AND given.id = "
            "(SELECT MAX(id) FROM verdict WHERE item = item.id AND undone_at IS NULL) ORDER BY given.id"
        )
        rows = records(cursor)
    items = [item for row in rows if (item := _judged(row, file.parent)) is not None]
    if missing := len(rows) - len(items):
        log.warning("%s: %d of %d judged items are left out: their videos are gone", file, missing, len(rows))
    return items


def _judged(row: Mapping[str, Any], folder: Path) -> Judged | None:
    """An item; None where its video is gone."""
    name = row["path"] if row["video"] is not None else row["clip"]
    footage = folder / original(name) if name else None
    if footage is None or not footage.is_file():
        return None
    offset = clip_start(row)
    shown, right = fractions(row["box_json"]), fractions(row["right"])
    return Judged(
        row["id"], row["camera"], row["verdict"], footage, row["begin"] - offset, row["stop"] - offset,
        None if row["verdict"] == "wrong_place" and right == shown else right, shown, row["named"] or row["class"],
        row["cluster"], row["source"], row["at"], hour_of(row["clock"], row["t0"], row["video"]), row["video"],
    )  # fmt: skip


def hour_of(clock: str, start: float, video: str | None) -> str:
    """The hour of an event in UTC, or the id of its video where no time of day is known.

    >>> hour_of("wall", 1796000410.0, None), hour_of("video", 3.5, "walks/a")
    ('2026-11-30T01', 'walks/a')
    """
    return f"{datetime.fromtimestamp(start, UTC):%Y-%m-%dT%H}" if clock == "wall" else str(video)


def clip_start(row: Mapping[str, Any]) -> float:
    """The time of an item's clock at second 0 of its footage; ``row``: of the table ``item``."""
    if row["clock"] == "video":
        return 0.0
    return float(row["t0"] - BEFORE if row["clip_t0"] is None else row["clip_t0"])


def fractions(text: str | None) -> Box | None:
    """A box of the database, x0, y0, x1, y1 as JSON, as x, y, width, height; None without one.

    >>> fractions("[0.25, 0.5, 0.75, 1]")
    (0.25, 0.5, 0.5, 0.5)
    """
    sides = json_of(text or "null")
    if sides is None:
        return None
    x0, y0, x1, y1 = map(float, sides)
    return x0, y0, x1 - x0, y1 - y0

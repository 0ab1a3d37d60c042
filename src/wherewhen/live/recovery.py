"""Alerts that were open when the process of their camera died."""

from __future__ import annotations

import logging
from pathlib import Path

from wherewhen.core.contracts.sinks import Message
from wherewhen.core.documents import json_of
from wherewhen.live.alerts import Alert
from wherewhen.live.database import Database

log = logging.getLogger("wherewhen")


def close_open(database: Database, camera: str, sinks: list[str], now: float) -> int:
    """End the alerts of a camera that an earlier process left open, where it was last known to run; how many."""
    row = database.rows("SELECT at FROM camera WHERE name = ?", camera)
    columns = "id, t0, severity, score, threshold, box_json, zones_json, snapshot, state"
    items = database.rows(f"SELECT {columns} FROM item WHERE camera = ? AND t1 IS NULL", camera)
    for id, start, severity, score, threshold, box, zones, snapshot, state in items:
        end = max(start, row[0][0] if row else start)
        alert = Alert(
            id, camera, start, end, score, score, json_of(box), severity, threshold,
            entered=tuple(json_of(zones)), end=end, state=state,
        )  # fmt: skip
        picture = database.path.parent / snapshot if snapshot else None
        has_picture = picture is not None and picture.exists()
        after = alert.plain(_size(picture) if picture and has_picture else (0, 0), snapshot=has_picture)
        with database.transaction():
            database.write("UPDATE item SET t1 = ? WHERE id = ?", end, id)
            if severity == "alert":
                database.post(sinks, f"{id}:end", Message(id, "end", camera, after, after, at=now), snapshot)
    if items:
        log.warning("%s: %d alert(s) of a process that died ended", camera, len(items))
    return len(items)


def _size(picture: Path) -> tuple[int, int]:
    """Width and height of a picture, from its head."""
    from PIL import Image

    with Image.open(picture) as image:
        return image.size

"""A database that is reviewed: that of a running service, or that of a folder of results."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from sqlite3 import Connection
from typing import Any

import numpy as np

from wherewhen.core.database import Tables, reading, records
from wherewhen.core.documents import json_of
from wherewhen.core.errors import StoreError
from wherewhen.review import items, media, verdicts
from wherewhen.review.audit import misses
from wherewhen.review.judged import CONFIRMED

NEIGHBOURS = 4


@dataclass(frozen=True)
class Review:
    """The review of a database ``file``; its folder holds its clips. ``is_live``: a service writes it."""

    file: Path
    is_live: bool = False

    @property
    def folder(self) -> Path:
        """What the paths in the database are relative to."""
        return self.file.parent

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """The database for reading; StoreError where there is none."""
        if not self.file.is_file():
            raise StoreError(f"{self.file}: there is nothing to review yet")
        with reading(self.file) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Tables]:
        """The database for changes; StoreError where there is none."""
        if not self.file.is_file():
            raise StoreError(f"{self.file}: there is nothing to review yet")
        with Tables(self.file) as tables:
            yield tables

    def items(self, ids: list[str]) -> list[dict[str, Any]]:
        """Items as the API shows them; unknown ids are left out."""
        with self.reading() as connection:
            return items.of_ids(connection, self.folder, ids)

    def row(self, id: str) -> dict[str, Any] | None:
        """The row of an item, see `wherewhen.review.items.row_of`."""
        with self.reading() as connection:
            return items.row_of(connection, id)

    def curve(self, row: dict[str, Any]) -> dict[str, Any]:
        """The scores two minutes before and after an item."""
        with self.reading() as connection:
            if row["video"] is not None:
                query = "SELECT scores, step, start FROM video WHERE id = ?"
                return media.curve(row, *media.scores_of(connection.execute(query, (row["video"],)).fetchall()))
            since, until = row["t0"] - media.CURVE, (row["t1"] or row["t0"]) + media.CURVE
            minutes = connection.execute(
                "SELECT t, peaks_json FROM block WHERE camera = ? AND t BETWEEN ? AND ? ORDER BY t",
                (row["camera"], since - 60, until),
            ).fetchall()
        peaks = [(t, json_of(text)[0]) for t, text in minutes]
        scored = [(t, peak) for t, peak in peaks if peak is not None]
        return media.points(row, [t for t, _ in scored], [peak for _, peak in scored], since, until)

    def neighbours(self, row: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
        """The judged items whose features are nearest to those of an item: confirmed and rejected ones."""
        nearest: dict[str, list[dict[str, Any]]] = {}
        with self.reading() as connection:
            for name, verdicts in (("true", CONFIRMED), ("false", ("false",))):
                marks = ", ".join("?" * len(verdicts))
                rows = connection.execute(
                    f"SELECT id, feature FROM item WHERE verdict IN ({marks}) AND feature IS NOT NULL AND id != ? "
                    "AND repeat_of IS NULL", (*verdicts, row["id"]),
                ).fetchall()  # fmt: skip
                ids = _nearest(row["feature"], rows) if row["feature"] is not None else []
                nearest[name] = items.of_ids(connection, self.folder, ids)
        return nearest

    def name_model(self, run: Path) -> None:
        """Note the run folder of the model whose results these are."""
        with self.writing() as tables:
            tables.write("INSERT OR REPLACE INTO fact VALUES ('model', ?)", json.dumps(str(run.resolve())))

    @property
    def origin(self) -> str | None:
        """The source of all items, where they are no results of detection: labels to check, or hits of a search."""
        if self.is_live or not self.file.is_file():
            return None
        with self.reading() as connection:
            rows = connection.execute("SELECT value_json FROM fact WHERE name = 'origin'").fetchall()
        return str(json_of(rows[0][0])) if rows else None

    def name_origin(self, origin: str) -> None:
        """Note the source of all items."""
        with self.writing() as tables:
            tables.write("INSERT OR REPLACE INTO fact VALUES ('origin', ?)", json.dumps(origin))

    def models(self) -> list[str]:
        """Run folders of the models whose alerts are here: of the cameras of a service, or of its results."""
        with self.reading() as connection:
            rows = connection.execute("SELECT cameras_json FROM service").fetchall()
            facts = connection.execute("SELECT value_json FROM fact WHERE name = 'model'").fetchall()
        cameras = [camera for (text,) in rows for camera in json_of(text).values()]
        named = [str(camera["run"]) for camera in cameras if camera.get("run")]
        named += [str(json_of(text)) for (text,) in facts]
        return [name for name in dict.fromkeys(named) if Path(name).is_dir()]

    def info(self) -> dict[str, Any]:
        """Cameras and classes by name, and a name of this database that no other one has."""
        with self.reading() as connection:
            cameras = [name for (name,) in connection.execute("SELECT DISTINCT camera FROM item ORDER BY camera")]
            named = "SELECT class FROM item UNION SELECT class FROM verdict"
            classes = {name for (name,) in connection.execute(named) if name}
            facts = {name: json_of(text) for name, text in connection.execute("SELECT name, value_json FROM fact")}
        if "store" not in facts:
            with self.writing() as tables:
                tables.write("INSERT OR IGNORE INTO fact VALUES ('store', ?)", json.dumps(secrets.token_hex(8)))
            return self.info()
        classes |= set(facts.get("classes", ()))
        return {"cameras": cameras, "classes": sorted(classes), "store": facts["store"]}

    def statistics(self) -> dict[str, Any]:
        """How much was judged, how fast, how consistently, and the share of quiet spans that show an event."""
        with self.writing() as tables:
            return {**verdicts.statistics(tables), "misses": asdict(misses(verdicts.audits(tables)))}

    def expire(self) -> int:
        """Note which items that wait for a verdict have lost their video, and which have it again; how many changed."""
        with self.writing() as tables:
            cursor = tables.query(
                "SELECT item.id, review, clip, video, path FROM item LEFT JOIN video ON video.id = item.video "
                "WHERE review IN ('open', 'expired') AND (video IS NOT NULL OR clip IS NOT NULL)"
            )
            changes = []
            for row in records(cursor):
                state = "open" if media.footage(row, self.folder) is not None else "expired"
                if state != row["review"]:
                    changes.append(("UPDATE item SET review = ? WHERE id = ?", (state, row["id"])))
            tables.write_all(changes)
        return len(changes)


def _nearest(feature: bytes, rows: list[tuple[str, bytes]]) -> list[str]:
    """The ids of the rows whose features are nearest."""
    mine = np.frombuffer(feature, "<f4")
    alike = [(id, np.frombuffer(other, "<f4")) for id, other in rows if len(other) == len(feature)]
    distances = {id: float(((other - mine) ** 2).sum()) for id, other in alike}
    return sorted(distances, key=lambda id: (distances[id], id))[:NEIGHBOURS]

"""Groups of items that look alike, from features of a picture of each and of the motion in it."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np

from wherewhen.core.database import Tables
from wherewhen.core.documents import json_of
from wherewhen.core.errors import StoreError, VideoError
from wherewhen.core.values import Features, Pixels
from wherewhen.review import items
from wherewhen.review.judged import clip_start
from wherewhen.review.media import footage, thumb
from wherewhen.review.opened import Review
from wherewhen.review.order import Groups
from wherewhen.review.ranking import rank
from wherewhen.video import reader

log = logging.getLogger("wherewhen")

SIDE = 8  # cells of a side of the features
WIDTH = 160  # pixels of the pictures
APART = 0.4  # seconds between the two pictures that show motion
AT_ONCE = 20  # items between two updates of the database
INTERVAL = 2.0  # seconds between two looks for new items
RANKED = 20  # verdicts after which the queue is sorted again
NONE = b""  # features of an item whose video can't be read
_STANDING = (
    "SELECT COUNT(*), COUNT(t1), COALESCE(MAX(rowid), 0), (SELECT COUNT(*) FROM verdict WHERE undone_at IS NULL) "
    "FROM item"
)


@contextmanager
def grouping(review: Review) -> Iterator[None]:
    """Group the items of a database and sort its queue in a thread as they come, inside the block."""
    stop = Event()
    worker = Thread(target=_keep_grouping, args=(review, stop), name="grouping", daemon=True)
    worker.start()
    try:
        yield
    finally:
        stop.set()
        worker.join(10)


def _keep_grouping(review: Review, stop: Event) -> None:
    """Compute features of items as they come, group them and sort the queue, until ``stop`` is set."""
    before, judged, trouble = list[int](), 0, ""
    while True:
        try:
            changed = group_more(review, stop)
            if review.file.is_file():
                with review.reading() as connection:  # items that came, ended and went
                    ((*items, count),) = connection.execute(_STANDING).fetchall()
                if changed or items != before or count - judged >= RANKED:
                    with review.writing() as tables:
                        rank(tables)
                    before, judged = items, count
            trouble = ""
        except (OSError, sqlite3.Error, StoreError) as error:
            if str(error) != trouble:
                log.warning("%s: look-alikes are not grouped (%s)", review.file, error)
            trouble = str(error)
        if stop.wait(INTERVAL):
            return


def group_more(review: Review, stop: Event | None = None) -> int:
    """Compute features of the items that have none and put each into a group; how many."""
    count = 0
    while stop is None or not stop.is_set():
        rows = _waiting(review)
        if not rows:
            break
        features = [(feature_of(row, review.folder), row) for row in rows]
        with review.writing() as tables, tables.transaction():
            groups = _StoredGroups(tables)
            for feature, row in features:
                groups.add(row["id"], row["camera"], feature)
            groups.store()
        count += len(rows)
    return count


def feature_of(row: Mapping[str, Any], folder: Path) -> Features | None:
    """Features of an item, float32 ``(D,)``; None where neither its video nor its picture can be read.

    The brightness of 8 x 8 cells of its box, the motion of 8 x 8 cells of the picture, and where the box is; each of
    length 1, and so is the whole: the likeness of two items is the cosine of their features. Of an alert without a
    clip here, such as one of another machine, they are those of its picture, without motion.
    """
    source, box = footage(row, folder), json_of(row["box_json"] or "null") or [0.0, 0.0, 1.0, 1.0]
    moment = max(0.0, (row["t0"] + (row["t1"] or row["t0"])) / 2 - clip_start(row))
    try:
        if source is None:
            picture = _still(row, folder)
            return None if picture is None else pooled(picture, picture, box)
        with reader.reading(source) as video:
            first = video.picture(max(0.0, moment - APART), width=WIDTH).image
            second = video.picture(moment, width=WIDTH).image
    except (VideoError, ValueError, OSError):
        return None
    return pooled(first, second, box)


def _still(row: Mapping[str, Any], folder: Path) -> Pixels | None:
    """The thumbnail of an alert, of the size of other pictures; None without one."""
    path = thumb(row, folder) if row["video"] is None else None
    if path is None:
        return None
    from PIL import Image

    with Image.open(path) as image:
        small = image.convert("RGB").resize((WIDTH, max(2, WIDTH * image.height // image.width)))
        picture: Pixels = np.asarray(small)
    return picture


def pooled(first: Pixels, second: Pixels, box: list[float]) -> Features:
    """Features ``(D,)`` of two pictures ``(H, W, 3)`` of one view and of a box x0 y0 x1 y1 in fractions."""
    gray, before = second.mean(2) / 255, first.mean(2) / 255
    height, width = gray.shape
    x0, y0, x1, y1 = (side * (width, height)[number % 2] for number, side in enumerate(box))
    left, top = int(max(0, min(x0, width - 2))), int(max(0, min(y0, height - 2)))
    crop = gray[top : max(top + 2, int(np.ceil(y1))), left : max(left + 2, int(np.ceil(x1)))]
    look = _cells(crop)
    motion = _cells(np.abs(gray - before))
    place = np.array(box)
    row = np.concatenate([_unit(look - look.mean()).ravel(), _unit(motion).ravel(), _unit(place)])
    feature: Features = (row / np.linalg.norm(row)).astype("<f4")
    return feature


def _cells(picture: np.ndarray) -> np.ndarray:
    """The means of 8 x 8 parts of a picture."""
    rows, columns = (np.linspace(0, side, SIDE + 1).astype(int) for side in picture.shape)
    tops, lefts = (np.minimum(edges[:-1], side - 1) for edges, side in zip((rows, columns), picture.shape, strict=True))
    sums = np.add.reduceat(np.add.reduceat(picture, tops, 0), lefts, 1)
    counts = np.add.reduceat(np.add.reduceat(np.ones_like(picture), tops, 0), lefts, 1)
    cells: np.ndarray = sums / counts
    return cells


def _unit(values: np.ndarray) -> np.ndarray:
    """Values of length 1; faint ones, which are noise, become shorter."""
    length = float(np.sqrt((values**2).sum()))
    unit: np.ndarray = values / max(length, 0.02 * SIDE)
    return unit


class _StoredGroups:
    """Groups of one database: new items are added, and then stored together."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        rows = tables.rows(
            "SELECT camera, cluster, feature FROM item WHERE rowid IN (SELECT MIN(rowid) FROM item "
            "WHERE cluster IS NOT NULL AND length(feature) > 0 GROUP BY cluster)"
        )
        ((newest,),) = tables.rows("SELECT COALESCE(MAX(cluster), 0) FROM item")
        self._groups, self._changes = Groups(int(newest)), list[tuple[Any, ...]]()
        for camera, cluster, feature in rows:
            self._groups.lead(camera, cluster, np.frombuffer(feature, "<f4"))

    def add(self, id: str, camera: str, feature: Features | None) -> None:
        """Put an item into the group of its camera that it resembles; one without a feature into none."""
        cluster = None if feature is None else self._groups.add(camera, feature)
        self._changes.append((NONE if feature is None else feature.tobytes(), cluster, id))

    def store(self) -> None:
        """Write features, groups, and the sizes of groups that changed."""
        for change in self._changes:
            self._tables.write("UPDATE item SET feature = ?, cluster = ? WHERE id = ?", *change)
        for cluster in {cluster for _, cluster, _ in self._changes if cluster is not None}:
            size = "(SELECT COUNT(*) FROM item WHERE cluster = ? AND repeat_of IS NULL)"
            self._tables.write(f"UPDATE item SET cluster_size = {size} WHERE cluster = ?", cluster, cluster)


def _waiting(review: Review) -> list[dict[str, Any]]:
    """Items without features whose video should be there, the first of the queue first."""
    try:
        with review.reading() as connection:
            ids = connection.execute(
                "SELECT id FROM item WHERE feature IS NULL AND t1 IS NOT NULL AND review != 'expired' "
                "AND COALESCE(clip, video, thumb) IS NOT NULL ORDER BY priority DESC LIMIT ?", (AT_ONCE,),
            ).fetchall()  # fmt: skip
            return [row for (id,) in ids if (row := items.row_of(connection, id)) is not None]
    except StoreError:
        return []

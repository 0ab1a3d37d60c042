"""Cameras of a data set as a table, and its labels with a column of cameras."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from wherewhen.core.errors import DataError
from wherewhen.core.values import Dataset, Video
from wherewhen.datasets._table import seconds

SPLIT = "split"  # the fold of a column of that name


def by_camera(dataset: Dataset, cameras: Mapping[str, str]) -> list[dict[str, Any]]:
    """A row per camera, the one with most videos first: its name, numbers of videos by label, and the videos' ids.

    ``cameras``: the camera of each video, by id.
    """
    groups: dict[str, list[Video]] = {}
    for video in dataset.videos:
        groups.setdefault(cameras[video.id], []).append(video)
    return [
        {
            "camera": name,
            "normal": sum(video.label == 0 for video in videos),
            "anomalous": sum(video.label == 1 for video in videos),
            "videos": [video.id for video in videos],
        }
        for name, videos in sorted(groups.items(), key=lambda item: -len(item[1]))
    ]


def labels_table(root: Path, dataset: Dataset, cameras: Mapping[str, str]) -> str:
    """The text of a ``labels.csv`` for a data set's folder, with a column of cameras; its fold ``split`` is kept.

    DataError where a video has no label or is outside the folder.
    """
    split = next((fold for fold in dataset.folds if fold.name == SPLIT), None)
    parts: dict[str, str] = {}
    if split is not None:
        parts = {video.id: "train" for video in split.train} | {video.id: "test" for video in split.test}
        parts |= dict.fromkeys(split.validation, "val")
    return table_text(root, [replace(video, camera=cameras[video.id]) for video in dataset.videos], parts)


def table_text(root: Path, videos: Sequence[Video], parts: Mapping[str, str] | None = None) -> str:
    """The text of a ``labels.csv`` for a folder, with the columns that the videos need; ``parts``: of a split, by id.

    DataError where a video has no label or is outside the folder.

    >>> table_text(Path("root"), [Video("a", Path("root/a.mp4"), 0, span=(2.5, 8))])
    'path,label,class,start,end\\na.mp4,0,,2.5,8\\n'
    """
    cameras, spans = (any(getattr(video, name) is not None for video in videos) for name in ("camera", "span"))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    more = [*(["split"] if parts else []), *(["camera"] if cameras else []), *(["start", "end"] if spans else [])]
    writer.writerow(["path", "label", "class", *more])
    for video in videos:
        if video.label is None:
            raise DataError(f"{video.id}: has no label; name cameras by the key camera of gt.json instead")
        if not video.path.is_relative_to(root):
            raise DataError(f"{video.id}: {video.path} is not in {root}, so a labels.csv there can't name it")
        cells: list[object] = [video.path.relative_to(root).as_posix(), video.label, video.category or ""]
        cells += [parts.get(video.id, "")] if parts else []
        cells += [video.camera or ""] if cameras else []
        cells += (["", ""] if video.span is None else map(seconds, video.span)) if spans else []
        writer.writerow(cells)
    return text.getvalue()

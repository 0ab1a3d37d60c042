"""Cameras of a data set as a table, and its labels with a column of cameras."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wherewhen.core.errors import DataError
from wherewhen.core.values import Dataset, Video

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

    DataError where a video is only a part of its file, has no label, or is outside the folder.
    """
    split = next((fold for fold in dataset.folds if fold.name == SPLIT), None)
    parts: dict[str, str] = {}
    if split is not None:
        parts = {video.id: "train" for video in split.train} | {video.id: "test" for video in split.test}
        parts |= dict.fromkeys(split.validation, "val")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "label", "class", *(["split"] if parts else []), "camera"])
    for video in dataset.videos:
        if video.span is not None or video.label is None:
            lacks = "no label" if video.label is None else "a span of its file, and a table has whole files"
            raise DataError(f"{video.id}: has {lacks}; name cameras by the key camera of gt.json instead")
        if not video.path.is_relative_to(root):
            raise DataError(f"{video.id}: {video.path} is not in {root}, so a labels.csv there can't name it")
        path, part = video.path.relative_to(root).as_posix(), [parts.get(video.id, "")] if parts else []
        writer.writerow([path, video.label, video.category or "", *part, cameras[video.id]])
    return text.getvalue()

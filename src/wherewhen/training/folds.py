"""Folds of training videos that keep every group of videos, such as those of one camera, on one side."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Fold, Video
from wherewhen.extraction.cameras import camera_groups

log = logging.getLogger("wherewhen")

ENOUGH = 4  # cameras of each label that folds by camera need
TOO_FEW = f"there are fewer than {ENOUGH} cameras of a label"


def fold_groups(videos: Sequence[Video]) -> tuple[dict[str, str], bool]:
    """The group of each video that folds keep on one side, by id, and whether the groups are cameras.

    Groups are cameras if at least 4 cameras have normal and at least 4 have anomalous videos, else the video files.
    """
    cameras = camera_groups(videos)
    by_label = [{cameras[video.id] for video in videos if video.label == label} for label in (0, 1)]
    if min(map(len, by_label)) >= ENOUGH:
        return cameras, True
    return {video.id: str(video.path) for video in videos}, False


def validation_ids(videos: Sequence[Video], share: float, seed: int) -> tuple[str, ...]:
    """Ids of about a share of the videos, of both labels, whose cameras have no other videos.

    Empty, and logged, if there are too few cameras, or none of the folds has two videos of each label left to train on.
    """
    groups, by_camera = fold_groups(videos)
    cameras = set(groups.values())
    if not by_camera or len(cameras) == len(videos):
        log.info("validation videos are drawn one by one: %s", "each has a camera" if by_camera else TOO_FEW)
        return ()
    folds = grouped_folds(videos, groups, min(max(2, round(1 / share)), len(cameras)), seed)
    usable = [fold for fold in folds if _labels(fold.test, 1) and _labels(fold.train, 2)]
    if not usable:
        log.info("validation videos are drawn one by one: no part of the %d cameras has both labels", len(cameras))
        return ()
    fold = min(usable, key=lambda fold: abs(len(fold.test) - share * len(videos)))
    held = {groups[video.id] for video in fold.test}
    message = "validation: %d of %d videos, all those of %d of %d cameras"
    log.info(message, len(fold.test), len(videos), len(held), len(cameras))
    return tuple(video.id for video in fold.test)


def _labels(videos: Sequence[Video], least: int) -> bool:
    """Whether each label has at least so many videos."""
    return all(sum(video.label == label for video in videos) >= least for label in (0, 1))


def grouped_folds(videos: Sequence[Video], groups: Mapping[str, str], count: int, seed: int) -> tuple[Fold, ...]:
    """Folds that test every video once and have no group on two sides, each label spread as evenly as groups allow.

    ``groups``: the group of each video, by id. ConfigError with fewer groups than folds.

    >>> from pathlib import Path
    >>> clips = [Video(f"{n}", Path(f"{n}.mp4"), n % 2) for n in range(8)]
    >>> [len(fold.test) for fold in grouped_folds(clips, {clip.id: clip.id for clip in clips}, 4, 0)]
    [2, 2, 2, 2]
    """
    if count < 2:
        raise ConfigError(f"folds: expected at least 2, got {count}")
    members: dict[str, Counter[int | None]] = {}
    for video in videos:
        members.setdefault(groups[video.id], Counter())[video.label] += 1
    if len(members) < count:
        raise ConfigError(f"folds: {len(members)} groups of videos make at most {len(members)} folds, not {count}")
    totals = Counter(video.label for video in videos)
    drawn = np.random.default_rng(seed).permutation(sorted(members)).tolist()
    tested = [Counter[int | None]() for _ in range(count)]
    places: dict[str, int] = {}
    for group in sorted(drawn, key=lambda name: -members[name].total()):  # large groups first: small ones fill gaps

        def cost(fold: int, added: Counter[int | None] = members[group]) -> tuple[float, int, int]:
            same = sum(tested[fold][label] * number / totals[label] ** 2 for label, number in added.items())
            return same, tested[fold].total(), fold

        places[group] = min(range(count), key=cost)
        tested[places[group]] += members[group]
    sides = [places[groups[video.id]] for video in videos]
    return tuple(
        Fold(
            f"inner{fold}",
            tuple(video for video, side in zip(videos, sides, strict=True) if side != fold),
            tuple(video for video, side in zip(videos, sides, strict=True) if side == fold),
        )
        for fold in range(count)
    )

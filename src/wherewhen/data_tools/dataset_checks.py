"""Checks of labelled videos before training: the same file twice, too few videos of a label."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path

from wherewhen.core.diagnostics import report
from wherewhen.core.errors import VideoError
from wherewhen.core.feature_file import content, is_features
from wherewhen.core.values import Fold, Video

LABELS = {"normal": 0, "anomalous": 1}

FEW = {
    1: "the model learns what this one video shows, not what anomalies have in common: expect missed events",
    0: "anything that this one video does not show (other hours, weather, people) may raise alarms: expect false ones",
}
"""What to expect where there is a single video of a label."""


def check_contents(videos: Sequence[Video], folds: Iterable[Fold] = ()) -> None:
    """Report videos that are one file, byte for byte: an error with both labels or on both sides of a fold."""
    sides = [(fold.name, {v.id for v in fold.train}, {v.id for v in fold.test}) for fold in folds]
    for a, b in pairs(videos):
        if {a.label, b.label} == {0, 1}:
            normal, anomalous = (a, b) if a.label == 0 else (b, a)
            message = f"the same file with both labels: {normal.path} (normal) and {anomalous.path} (anomalous)"
            report("content-conflict", f"{message}; remove one of them", a.id)
            continue
        leaks = [name for name, train, test in sides if {a.id, b.id} & train and {a.id, b.id} & test]
        if leaks:
            report("leak-content", f"fold {leaks[0]}: the same content as {b.id}", a.id, a.path)
        else:
            report("content-repeated", f"the same content as {b.id}", a.id, a.path)


def check_few(videos: Sequence[Video]) -> None:
    """Report a label of a single video, with what to expect of a model trained on it."""
    for label, word in ((1, "anomalous"), (0, "normal")):
        members = [video for video in videos if video.label == label]
        if len(members) == 1:
            message = (
                f"the only {word} video: {FEW[label]}. Nothing is held out for validation (it needs 8 of each label),"
            )
            report("few-videos", f"{message} so the quality of the model is not measured", members[0].id)


def check_cameras(videos: Sequence[Video], cameras: Mapping[str, str], folds: Iterable[Fold] = ()) -> None:
    """Report how many cameras the videos have, and folds with a camera on both sides; ``cameras``: name by id.

    Videos without a camera are counted apart. Nothing is reported of fewer than two cameras.
    """
    names = set(cameras.values())
    if len(names) < 2:
        return
    by_label = {word: {cameras[v.id] for v in videos if v.label == k and v.id in cameras} for word, k in LABELS.items()}
    of_labels = ", ".join(f"{len(group)} with {word} videos" for word, group in by_label.items())
    rest = sum(video.id not in cameras for video in videos)
    without = f"; {rest} videos have none" if rest else ""
    report("cameras", f"{len(names)} cameras: {of_labels}{without}")
    for fold in folds:
        train, test = ({cameras[v.id] for v in side if v.id in cameras} for side in (fold.train, fold.test))
        if shared := sorted(train & test):
            message = f"{len(shared)} of {len(test)} tested cameras are also in training: {', '.join(shared[:5])}"
            report("leak-camera", f"{message}{', ...' if shared[5:] else ''}", where=f"fold {fold.name}")


def pairs(videos: Sequence[Video]) -> Iterator[tuple[Video, Video]]:
    """Pairs of videos that show a common moment of one file: links, copies and overlapping spans.

    Only files of equal size are read. Files that can't be read are left out; others say so.
    """
    sizes: dict[tuple[int, ...], list[Video]] = defaultdict(list)
    for video in videos:
        size = _size(video.path)
        if size:
            sizes[size].append(video)
    for group in sizes.values():
        same: dict[str, list[Video]] = defaultdict(list)
        paths = {video.path.resolve() for video in group}
        for video in group if len(group) > 1 else ():
            try:
                same[content(video.path) if len(paths) > 1 else ""].append(video)
            except (VideoError, OSError):
                continue
        for alike in same.values():
            yield from ((a, b) for a, b in combinations(alike, 2) if _overlap(a, b))


def _size(path: Path) -> tuple[int, ...]:
    """Something that is equal where contents are: sizes of a file, or of the files in a folder; empty for nothing."""
    try:
        if not path.is_dir():
            return (-1,) if is_features(path) else (path.stat().st_size,) if path.stat().st_size else ()
        files = [path.stat().st_size for path in path.rglob("*") if path.is_file()]
    except OSError:
        return ()
    return (len(files), sum(files)) if files else ()


def _overlap(a: Video, b: Video) -> bool:
    """Whether two videos show a common moment, given that their files are the same."""
    whole = (0.0, float("inf"))
    (a0, a1), (b0, b1) = a.span or whole, b.span or whole
    return max(a0, b0) < min(a1, b1)

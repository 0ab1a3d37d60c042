"""Checks of a data set before training: labels, files, ground truth, and their consistency.

Readers report findings in their own files; this module adds those across videos.
The functions that read the videos are arguments, ``Eyes``.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import numpy as np

from wherewhen.core import extents as ext
from wherewhen.core.contracts import DatasetReader
from wherewhen.core.diagnostics import KINDS, Finding, listening, report
from wherewhen.core.errors import WherewhenError
from wherewhen.core.feature_file import is_features
from wherewhen.core.values import Dataset, Floats, Fold, Pixels, Truth, Video
from wherewhen.data_tools.dataset_checks import check_cameras, check_contents, check_few
from wherewhen.data_tools.near_duplicates import alike, fingerprint
from wherewhen.datasets import training_videos
from wherewhen.extraction.cameras import camera_groups
from wherewhen.video.reader import frames, probe
from wherewhen.video.shot import VideoInfo

ENDING = re.compile(r"\.(mp4|avi|mkv|mov|webm|mpe?g|npy)$")
ABSOLUTE = re.compile(r"^(/|[A-Za-z]:[\\/]|\\\\)")
T = TypeVar("T")
SAMPLES, SHARE, MANY = 64, 0.5, 20
ALIKE_RATES = 1.002  # 29.97 and 30 are one rate
DRIFT, DRIFT_SECONDS = 0.01, 0.5  # share of the rate, or seconds at the end, by which truth and video may differ


@dataclass(frozen=True, slots=True)
class Eyes:
    """How videos are read: ``measure`` a file, and ``sample`` some pictures of a video, about one a second.

    ``cameras``: names the camera of each video, by id; None leaves it to the data set.
    """

    measure: Callable[[Path], VideoInfo]
    sample: Callable[[Video], Iterable[Pixels]]
    cameras: Callable[[Sequence[Video]], Mapping[str, str]] | None = None

    @classmethod
    def open(cls) -> Eyes:
        """The toolkit's own: small pictures, one a second of the video's span."""
        return cls(
            probe,
            lambda video: (f.image for f in frames(video.path, span=video.span, rate=1.0, width=160)),
            camera_groups,
        )


def lint(root: Path, reader: DatasetReader, eyes: Eyes | None = None, deep: bool = False) -> list[Finding]:
    """Everything odd about a data set, gravest first; an empty list means clean.

    ``eyes``: adds what needs the videos (rates, sizes, lengths). ``deep``: also reads every mask and, with eyes,
    compares the pictures of training and test videos, and their cameras.
    """
    with listening() as findings:
        dataset = _try(lambda: reader.load(root), root, "labels")
        truths = _try(lambda: reader.truth(root), root, "truth") or {}
        _lists(root)
        if dataset is not None:
            check(root, dataset, truths, reader.counts, eyes, deep)
    return ordered(findings)


def check(
    root: Path,
    dataset: Dataset,
    truths: Mapping[str, Truth],
    counts: Mapping[str, int] | None = None,
    eyes: Eyes | None = None,
    deep: bool = False,
) -> None:
    """Report what a data set and its truth say together."""
    _files(root, dataset)
    _names(dataset)
    for fold in dataset.folds:
        _fold(fold)
    check_contents(dataset.videos, dataset.folds)
    check_cameras(dataset.videos, _cameras(dataset, eyes if deep else None), dataset.folds)
    check_few(training_videos(dataset)[0])
    _coverage(dataset, truths)
    for video in dataset.videos:
        if video.id in truths:
            _agreement(video, truths[video.id], deep)
    _counts(dataset, truths, counts or {})
    if eyes is not None:
        _measured(dataset, truths, eyes)
        if deep:
            _near_duplicates(dataset, eyes)


def _try(read: Callable[[], T], root: Path, part: str) -> T | None:
    try:
        return read()
    except (WherewhenError, ValueError, OSError) as error:
        report("unreadable", f"{part}: {error}", where=root)
        return None


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """Each finding once, gravest first: a finding that a reader reported is not repeated."""
    order = {severity: rank for rank, severity in enumerate(("error", "warning", "info"))}
    once: dict[tuple[str, str, str], Finding] = {}
    for finding in findings:
        once.setdefault((finding.kind, finding.video, "" if finding.video else finding.where), finding)
    return sorted(once.values(), key=lambda f: (order[f.severity], list(KINDS).index(f.kind), f.video, f.where))


def _cameras(dataset: Dataset, eyes: Eyes | None) -> Mapping[str, str]:
    """The camera of each video, by id: as the data set names it, or by ``eyes`` where these are given."""
    if eyes is None or eyes.cameras is None:
        return {video.id: video.camera for video in dataset.videos if video.camera}
    return eyes.cameras([video for video in dataset.videos if video.path.exists()])


def _lists(root: Path) -> None:
    """Rows of lists in the root, whoever reads them."""
    for path in sorted(p for p in root.iterdir() if p.suffix in (".csv", ".txt", ".list") and p.is_file()):
        rows = [row for row in path.read_text(encoding="utf-8", errors="replace").splitlines() if row.strip()]
        if blank := sum(row != row.rstrip() for row in rows):
            report("row-blank", f"{blank} rows end in blanks", where=path)
        if absolute := [row for row in rows if ABSOLUTE.match(row)]:
            report("path-absolute", f"{len(absolute)} of {len(rows)} paths are absolute: {absolute[0]}", where=path)
        for row, times in Counter(row.strip() for row in rows).items():
            if times > 1 and re.search(r"[A-Za-z]", row):
                report("row-repeated", f"{times} times: {row}", where=path)


def _each(kind: str, messages: Mapping[str, str], where: object = "") -> None:
    """One finding per video; one for all where there are many."""
    if len(messages) > MANY:
        key, message = next(iter(messages.items()))
        report(kind, f"{len(messages)} videos, the first is {key}: {message}", where=where)
        return
    for key, message in messages.items():
        report(kind, message, key)


def _files(root: Path, dataset: Dataset) -> None:
    dead = [video for video in dataset.videos if not video.path.exists()]
    _each("path-dead", {video.id: f"expected {video.path}" for video in dead}, root)
    for video in dataset.videos:
        if video.path.is_file() and not video.path.stat().st_size:
            report("file-empty", "0 bytes", video.id, video.path)
        inside = video.path.relative_to(root).parts[:-1] if video.path.is_relative_to(root) else ()
        says = {int(not part.lower().startswith("normal")) for part in inside if _LABELLED.match(part.lower())}
        if video.label is not None and says and video.label not in says:
            report("label-conflict", f"label {video.label}, but it is in {'/'.join(inside)}/", video.id)


_LABELLED = re.compile(r"(ab)?normal|anomal")


def _bare(name: str) -> str:
    return ENDING.sub("", name.lower()).replace("-", "_").replace(" ", "_")


def _names(dataset: Dataset) -> None:
    groups = defaultdict(list)
    for video in dataset.videos:
        groups[_bare(video.id)].append(video.id)
    for names in groups.values():
        if len(names) > 1:
            report("name-variant", f"only case, ending or separators differ: {', '.join(names)}", names[0])


def _fold(fold: Fold) -> None:
    tests = {_bare(video.id): video.id for video in fold.test}
    for video in fold.train:
        if _bare(video.id) in tests:
            report("leak-name", f"fold {fold.name}: {tests[_bare(video.id)]} is tested", video.id)
    labels = sorted({video.label for video in fold.train if video.label is not None})
    if len(labels) < 2:
        report("one-class", f"fold {fold.name} trains on labels {labels} alone", where=fold.name)


def _coverage(dataset: Dataset, truths: Mapping[str, Truth]) -> None:
    tests = {video.id for fold in dataset.folds for video in fold.test}
    if truths:
        _each(
            "truth-missing", dict.fromkeys(sorted(tests - set(truths)), "tested, but its truth is not known"), "truth"
        )
    extra = sorted(set(truths) - {video.id for video in dataset.videos})
    _each("truth-extra", dict.fromkeys(extra, "truth without a video"), "truth")


def _agreement(video: Video, truth: Truth, deep: bool) -> None:
    positive = truth.frames
    if video.label == 1 and not positive.any():
        report("anomalous-empty", "no frame is positive", video.id)
    if video.label == 0 and positive.any():
        report("normal-positive", f"{int(positive.sum())} frames are positive", video.id)
    if video.label == 1 and positive.all():
        report("anomalous-throughout", f"all {len(positive)} frames are positive", video.id)
    spans = truth.spans[np.argsort(truth.spans[:, 0])]
    for a, b in pairwise(spans):
        if b[0] < a[1] - 1e-6:
            report("span-overlap", f"{a.round(3)} and {b.round(3)} seconds overlap", video.id)
    if len(spans) and spans[:, 1].max() > truth.edges[-1] + 1e-6:
        report("span-past-end", f"ends at {spans[:, 1].max():.3f} of {truth.edges[-1]:.3f} seconds", video.id)
    if len(truth.boxes):
        _boxes(video, truth)
    if deep and truth.masks is not None:
        _masks(video, truth)


def _boxes(video: Video, truth: Truth) -> None:
    ranges = ext.frames_of(truth.boxes, truth.edges)
    if (late := ranges[:, 0] >= ranges[:, 1]).any():
        report("box-past-end", f"{int(late.sum())} boxes cover no frame of the video", video.id)
    before = np.concatenate([[0], np.cumsum(truth.frames)])
    astray = before[ranges[:, 1]] - before[ranges[:, 0]] < ranges[:, 1] - ranges[:, 0]
    if astray.any():
        report("box-outside-span", f"{int(astray.sum())} boxes are outside all spans", video.id)
    if (flat := ext.area(truth.boxes) <= 0).any():
        report("box-empty", f"{int(flat.sum())} boxes have no area", video.id)


def _masks(video: Video, truth: Truth) -> None:
    masks = truth.masks() if truth.masks is not None else np.empty((0, 0, 0), bool)
    if masks.ndim != 3 or len(masks) != len(truth.edges) - 1:
        report("mask-shape", f"masks {masks.shape} for {len(truth.edges) - 1} frames", video.id)
    elif (odd := masks.any((1, 2)) != truth.frames).any():
        message = f"{int(odd.sum())} frames, the first {int(odd.argmax())}, have a mask or are in a span, not both"
        report("mask-conflict", message, video.id)


def _counts(dataset: Dataset, truths: Mapping[str, Truth], counts: Mapping[str, int]) -> None:
    sides = dataset.folds[:1]
    have = {
        f"{side} {word}": sum(video.label == label for fold in sides for video in getattr(fold, side))
        for side in ("train", "test")
        for word, label in (("anomalous", 1), ("normal", 0))
    }
    have |= {"videos": len(dataset.videos)}
    if truths:
        have |= {
            "truth": len(truths),
            "truth with boxes": sum(len(truth.boxes) > 0 for truth in truths.values()),
            "boxes": sum(len(truth.boxes) for truth in truths.values()),
            "spans": sum(len(truth.spans) for truth in truths.values()),
        }
    for name, count in counts.items():
        if name in have and have[name] != count:
            report("count-mismatch", f"{have[name]}, a complete copy has {count}", where=name)


def _measured(dataset: Dataset, truths: Mapping[str, Truth], eyes: Eyes) -> None:
    infos: dict[Path, VideoInfo] = {}
    paths = {video.path: None for video in dataset.videos if video.path.exists() and not is_features(video.path)}
    for path in paths:
        try:
            infos[path] = eyes.measure(path)
        except (WherewhenError, OSError) as error:
            report("video-unreadable", str(error), where=path)
    if not infos:
        return
    for path, measure in infos.items():
        if not 5 <= measure.rate <= 120:
            report("rate-odd", f"{measure.rate:g} frames per second", where=path)
    rates = Counter(round(m.rate, 2) for m in infos.values())
    if max(rates) > min(rates) * ALIKE_RATES:
        text = ", ".join(f"{rate:g} ({n})" for rate, n in rates.most_common(10))
        report("rate-mixed", f"{len(rates)} frame rates: {text}{', ...' if len(rates) > 10 else ''}")
    sizes = Counter((m.width, m.height) for m in infos.values())
    if len(sizes) > 1:
        text = ", ".join(f"{w}x{h} ({n})" for (w, h), n in sizes.most_common())
        report("size-mixed", f"{len(sizes)} sizes: {text}")
    for video in dataset.videos:
        truth, info = truths.get(video.id), infos.get(video.path)
        if truth is not None and info is not None:
            _clocks(video, truth, info)


def _clocks(video: Video, truth: Truth, info: VideoInfo) -> None:
    """Whether truth and video count as many frames, in as much time."""
    frames, length = len(truth.edges) - 1, float(truth.edges[-1] - truth.edges[0])
    rate = 1 / float(np.median(np.diff(truth.edges)))
    drift = abs(rate / info.rate - 1)
    if not video.path.is_dir() and (drift > DRIFT or drift * length > DRIFT_SECONDS):
        message = f"the truth counts {rate:.5g} frames per second, the video has {info.rate:.5g}"
        report("rate-conflict", f"{message}: times are off by up to {drift * length:.2f} s", video.id)
    if video.span is None and info.frames is not None and frames != info.frames:
        report("length-conflict", f"truth of {frames} frames, video of {info.frames}", video.id)


def _near_duplicates(dataset: Dataset, eyes: Eyes) -> None:
    prints: dict[str, Floats] = {}
    for video in dataset.videos:
        if video.path.exists() and not is_features(video.path):
            try:
                prints[video.id] = fingerprint(_first(eyes.sample(video), SAMPLES))
            except (WherewhenError, OSError) as error:
                report("video-unreadable", str(error), where=video.path)
    reported = set()
    for fold in dataset.folds:
        for a in fold.train:
            for b in fold.test:
                if (a.id, b.id) in reported or a.id not in prints or b.id not in prints:
                    continue
                share = max(alike(prints[a.id], prints[b.id]), alike(prints[b.id], prints[a.id]))
                if share >= SHARE:
                    reported.add((a.id, b.id))
                    report("leak-near", f"fold {fold.name}: {share:.0%} of its pictures are those of {b.id}", a.id)


def _first(pictures: Iterable[Pixels], count: int) -> Iterator[Pixels]:
    for _, picture in zip(range(count), pictures, strict=False):
        yield picture

"""Shared parts of the readers of UCSD Ped1 and Ped2.

Layout: ``UCSDped2/Train/Train001/001.tif``, ``UCSDped2/Test/Test001/001.tif``, masks ``Test/Test001_gt/001.bmp``,
``Test/UCSDped2.m`` with a row ``TestVideoFile{end+1}.gt_frame = [61:180];`` per test clip; the root may be the folder
itself or the one above. Frames count from 1 and the end is included: it is MATLAB, ``[1:180]`` is a clip of 180
pictures from 001 to 180, and the mask 060.bmp before ``[61:180]`` is empty while 061.bmp is not.
A clip's length is the number of its pictures, or the one in ``videos.json``.
"""

from __future__ import annotations

import re
from pathlib import Path

from wherewhen.core.contracts import DatasetReader, Provenance
from wherewhen.core.diagnostics import report
from wherewhen.core.errors import DataError
from wherewhen.core.values import Dataset, Fold, Truth, Video
from wherewhen.core.video_info import Measures, Usual
from wherewhen.datasets import _files, _masks
from wherewhen.datasets._truths import Draft, build, from_one, normal


def _home(root: Path, name: str) -> Path:
    path = _files.locate(root, f"Test/{name}.m", f"{name}/Test/{name}.m", f"{name}.m")
    if path is None:
        raise DataError(f"{root}: the annotation {name}.m not found; expected {name}/Test/{name}.m")
    return path


def spans(path: Path) -> list[list[tuple[int, int]]]:
    """1-based spans with included ends of each test clip, in order; ``[5:90, 140:200]`` and lone frames are read."""
    out = []
    for number, row in _files.lines(path):
        if "gt_frame" not in row:
            continue
        inner = re.search(r"=\s*\[?([\d:,\s]*)\]?\s*;?", row)
        ranges = re.findall(r"(\d+)(?:\s*:\s*(\d+))?", inner[1]) if inner else []
        if not ranges:
            report("row-malformed", f"expected gt_frame = [61:180];, got: {row}", where=f"{path}:{number}")
        out.append([(int(first), int(last or first)) for first, last in ranges])
    return out


def load(root: Path, name: str, counts: tuple[int, int]) -> Dataset:
    """Clips ``Train001`` ... and ``Test001`` ...; the official fold trains on normal clips alone."""
    home = _home(root, name).parent.parent
    footage = _files.Footage(root)
    sides = []
    for side, count in zip(("Train", "Test"), counts, strict=True):
        keys = [f"{side}{number:03d}" for number in range(1, count + 1)]
        folder = home / side
        sides.append(tuple(Video(k, _clip(folder / k, k, footage), int(side == "Test")) for k in keys))
    train, test = sides
    return Dataset(name.lower(), train + test, (Fold("official", train, test),))


def _clip(folder: Path, key: str, footage: _files.Footage) -> Path:
    if folder.is_dir():
        return folder
    return next((p for p in footage.all() if _files.stem(p.name) == key), folder)


def truth(root: Path, name: str, counts: tuple[int, int], usual: Usual) -> dict[str, Truth]:
    """Spans, masks and the boxes around their parts; clips without masks have unknown boxes (``Truth.boxed``)."""
    annotation = _home(root, name)
    annotated = spans(annotation)
    videos = load(root, name, counts).videos
    tests = [video.id for video in videos if video.label]
    if len(annotated) != len(tests):
        report("count-mismatch", f"{len(annotated)} rows for {len(tests)} test clips", where=annotation)
    lengths = {v.id: len(_files.pictures(v.path)) for v in videos if v.path.is_dir()}
    table = Measures(root, usual)
    quiet = [v.id for v in videos if not v.label and table.find(v.id, lengths.get(v.id, 0))]
    out = {}
    for key, measure in table.need([*tests, *quiet], lengths).items():
        if key in quiet:
            out[key] = normal(measure)
            continue
        number = int(key[-3:])
        draft = _masked(annotation.parent / f"{key}_gt", key, measure.frames, (measure.height, measure.width))
        draft.spans = from_one(annotated[number - 1] if number <= len(annotated) else [], key, annotation)
        draft.where = annotation
        out[key] = build(key, measure, draft)
    return out


def _masked(folder: Path, key: str, frames: int, size: tuple[int, int]) -> Draft:
    paths = {int(p.stem) - 1: p for p in _files.pictures(folder) if p.stem.isdigit()} if folder.is_dir() else {}
    if not paths:
        return Draft(boxed_frames=())
    masks = {frame: _masks.picture(path) > 0 for frame, path in paths.items()}
    if not _masks.agree([mask.shape for mask in masks.values()], size, key, folder):
        return Draft(boxed_frames=())
    whole = len(paths) == frames
    reader = _masks.from_pictures(paths, frames) if whole else None
    return Draft(boxes=_masks.boxes_of(masks.items()), boxed_frames=list(paths), masks=reader)


def plugin(name: str, counts: tuple[int, int], usual: Usual) -> DatasetReader:
    """The reader of one of the two sets; ``counts``: training and test clips."""
    return DatasetReader(
        Provenance(
            f"UCSD Anomaly Detection Dataset, {name[4:].capitalize()}",
            "http://www.svcl.ucsd.edu/projects/anomaly/dataset.htm",
            "none stated; cite",
            "Mahadevan, Li, Bhalodia, Vasconcelos: Anomaly Detection in Crowded Scenes. CVPR 2010",
        ),
        lambda root: _files.locate(root, f"{name}.m") is not None,
        lambda root: load(root, name, counts),
        lambda root: truth(root, name, counts, usual),
        f"official: {counts[0]} normal clips train, {counts[1]} clips with anomalies test (no weak fold is published)",
        {"train anomalous": 0, "train normal": counts[0], "test anomalous": counts[1], "test normal": 0},
    )

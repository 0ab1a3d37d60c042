"""XD-Violence: temporal annotation of 500 violent and 300 normal test videos.

Layout: ``annotations.txt`` (or ``XD_Annotation.txt``, or ``vera_xd_annotations.json``), test videos in ``videos/`` or
``test/``, training videos in ``train/`` or in folders like ``1-1004``. ``label_A`` in a name means normal, other codes
name what happens (B1 fighting, B2 shooting, B4 riot, B5 abuse, B6 car accident, G explosion).
Rows are ``name start end start end ...``. Frames count from 0 and the end is not included: the publishers mark
``frames[start:end]``. (No end equals a video's length, and 41 equal its length minus 1, so the annotators may have
meant the last frame; the publishers' own reading is kept.) The JSON also has lengths; it lists 14 violent videos
twice, once as normal without spans, and the row with spans is kept. ``annotations_multiclasses.txt``, from the code of
VadCLIP (Wu et al., AAAI 2024), lists classes with their spans: ``name class start end class start end ...``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from wherewhen.core import documents
from wherewhen.core.contracts import JOIN, DatasetReader, Provenance
from wherewhen.core.diagnostics import report
from wherewhen.core.errors import DataError
from wherewhen.core.values import Dataset, Fold, Truth, Video
from wherewhen.core.video_info import Measures, Usual
from wherewhen.datasets import _files
from wherewhen.datasets._codes import CODED, CODES, category
from wherewhen.datasets._folds import apart
from wherewhen.datasets._truths import Draft, build, pairs

USUAL = Usual(fps=24)
"""Wu et al. 2020: videos at a fixed rate of 24 frames per second."""

TEXT = ("annotations.txt", "XD_Annotation.txt", "test_annotations.txt")
JSON = ("vera_xd_annotations.json", "xd_annotations.json")
CLASSES = "annotations_multiclasses.txt"


def label(key: str, where: object = "") -> int | None:
    """0 for ``label_A``, 1 for any other code; a name without a code is reported.

    >>> label("v=S-7rRLrxnVQ__#1_label_B4-0-0"), label("Your.Name.2016__#01-01-20_01-04-00_label_A")
    (1, 0)
    """
    match = CODED.search(key)
    if match is None:
        report("row-malformed", "expected a name that ends in _label_A or _label_B1-0-0", key, where)
        return None
    return int(match[1] != "A")


def _text(path: Path) -> dict[str, Draft]:
    out: dict[str, Draft] = {}
    for key, row, fields, where in _files.named_rows(path):
        if key in out:
            report("name-repeated", "annotated twice; the first row is kept", key, where)
            continue
        try:
            out[key] = Draft(pairs([int(field) for field in fields], key, where), where=where)
        except ValueError:
            report("row-malformed", f"expected: name start end [start end ...], got: {row}", key, where)
    return out


def _json(path: Path) -> tuple[dict[str, Draft], dict[str, int]]:
    out: dict[str, Draft] = {}
    lengths: dict[str, int] = {}
    try:
        rows = documents.read_json(path)
        entries = [(r["video"], [n for n in r["temporal_label"] if n >= 0], int(r["length"])) for r in rows]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: expected rows of video, temporal_label, length, label ({error!r})") from None
    for name, numbers, length in entries:
        key = _files.stem(name)
        spans = pairs(numbers, key, path)
        if key in out:
            report("name-variant", f"listed twice, with {len(out[key].spans)} and {len(spans)} spans", key, path)
            spans = out[key].spans or spans
        out[key], lengths[key] = Draft(spans, where=path), length
    return out, lengths


def _annotation(root: Path) -> tuple[dict[str, Draft], dict[str, int]]:
    text, extra = _files.locate(root, *TEXT), _files.locate(root, *JSON)
    if text is None and extra is None:
        _files.need(root, *TEXT, *JSON, content="the test annotation")
    drafts, lengths = _json(extra) if extra is not None else ({}, {})
    return drafts | (_text(text) if text is not None else {}), lengths


def _by_class(root: Path) -> dict[str, dict[tuple[int, int], str]]:
    """Spans of each video and what happens in them, one name or several ("a+b"); nothing without the file."""
    path = _files.locate(root, CLASSES)
    classes: dict[str, dict[tuple[int, int], str]] = {}
    for number, row in _files.lines(path) if path is not None else ():
        where = f"{path}:{number}"
        name, *fields = row.split()
        key = _files.stem(name)
        try:
            events = zip(fields[::3], map(int, fields[1::3]), map(int, fields[2::3]), strict=True)
            named = [(CODES[code], (first, stop)) for code, first, stop in events]
        except (ValueError, KeyError):
            report("row-malformed", f"expected: name class start end [class start end ...], got: {row}", key, where)
            continue
        spans = {span: {name for name, other in named if other == span} for _, span in named}
        classes[key] = {span: JOIN.join(sorted(names)) for span, names in spans.items()}
    return classes


def _named(key: str, draft: Draft, classes: dict[tuple[int, int], str]) -> None:
    """Set the classes of each span: by the file of classes if it marks the same frames, else by the name."""
    draft.categories = [category(key) or ""] * len(draft.spans)
    if classes and _marked(classes) == _marked(draft.spans):
        draft.spans, draft.categories = list(classes), list(classes.values())
    elif classes:
        report(
            "span-differs", f"{CLASSES} marks other frames; all spans have all classes of the name", key, draft.where
        )


def _marked(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The frames that spans mark, as ranges that lie apart."""
    apart: list[tuple[int, int]] = []
    for first, stop in sorted(spans):
        if apart and first <= apart[-1][1]:
            apart[-1] = (apart[-1][0], max(stop, apart[-1][1]))
        else:
            apart.append((first, stop))
    return apart


def load(root: Path) -> Dataset:
    """Annotated and normal test videos, and the training videos found in their folders, labelled by their names."""
    footage = _files.Footage(root)
    tests = {key: footage.path(key, f"videos/{key}.mp4") for key in _annotation(root)[0]}
    trains: dict[str, Path] = {}
    for path in footage.all():
        above = [part.lower() for part in path.relative_to(root).parts[:-1]]
        training = any(part in ("train", "training") or re.fullmatch(r"\d+-\d+", part) for part in above)
        (trains if training else tests).setdefault(_files.stem(path.name), path)
    sides = []
    for paths in (trains, tests):
        labels = {key: label(key, path) for key, path in sorted(paths.items())}
        sides.append(
            tuple(Video(k, paths[k], v, category(k) if v else None) for k, v in labels.items() if v is not None)
        )
    train, test = apart(sides[0], sides[1], root)
    return Dataset("xd_violence", train + test, (Fold("official", train, test),))


def truth(root: Path) -> dict[str, Truth]:
    """Spans of the test videos; a normal one has none."""
    drafts, lengths = _annotation(root)
    classes = _by_class(root)
    for video in load(root).folds[0].test:
        if video.id not in drafts:
            if video.label:
                report("truth-missing", "a violent test video without annotation", video.id, root)
                continue
            drafts[video.id] = Draft()
        if bool(drafts[video.id].spans) != bool(video.label):
            spans = len(drafts[video.id].spans)
            report("label-conflict", f"{spans} spans, but the name has label {video.label}", video.id, root)
        _named(video.id, drafts[video.id], classes.get(video.id, {}))
    measures = Measures(root, USUAL).need(drafts, lengths)
    return {key: build(key, measure, drafts[key]) for key, measure in measures.items()}


PLUGIN = DatasetReader(
    Provenance(
        "XD-Violence",
        "https://roc-ng.github.io/XD-Violence/",
        "none stated; research use, cite",
        "Wu et al.: Not only Look, but also Listen: Learning Multimodal Violence Detection. ECCV 2020",
    ),
    lambda root: (
        _files.locate(root, "XD_Annotation.txt", *JSON) is not None
        or ((path := _files.locate(root, *TEXT)) is not None and "_label_" in path.read_text(encoding="utf-8")[:4096])
    ),
    load,
    truth,
    "official: 1,905 violent + 2,049 normal videos train, 500 + 300 test",
    {"train anomalous": 1905, "train normal": 2049, "test anomalous": 500, "test normal": 300, "truth": 800},
)

"""The report pages of runs and evaluations."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from wherewhen.core import registry
from wherewhen.core.feature_file import is_features
from wherewhen.core.store import write_atomic, write_json
from wherewhen.core.values import Features, Floats, Prediction, Truth, Video
from wherewhen.evaluation import choices
from wherewhen.evaluation.evaluator import Row, Scored, markdown
from wherewhen.metrics import operating_points, roc_auc
from wherewhen.video import reader
from wherewhen.video.batch import Quarantine
from wherewhen.visualization.render import WIDEST, heat, overlay
from wherewhen.visualization.report import Curve, Example, Facts, Picture, ReportData, VideoResult, report

EXAMPLES = 3  # best and worst videos that a page shows
POINTS = 400  # of a curve: more are not visible
BENCHED = ("bench.json", "bench.md", "report.html")


def environment() -> str:
    """The versions of Python and of the packages that the numbers depend on."""
    packages = ("wherewhen", "torch", "numpy", "av", "opencv-python-headless")
    return ", ".join([f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in packages)])


def _rows(table: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows as a page takes them; one repeat has no deviation."""
    return [{k: v for k, v in row._asdict().items() if row.n > 1 or k != "std"} for row in table]


def _lower() -> frozenset[str]:
    """Names of all numbers of which lower is better."""
    families = (registry.load("metrics", name) for name in registry.names("metrics"))
    return frozenset(name for family in families for name in family.lower_is_better)


def page(
    path: Path,
    title: str,
    *,
    videos: Sequence[Video],
    predictions: Scored,
    truths: Mapping[str, Truth] | None = None,
    table: Sequence[Row] = (),
    settings: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
    facts: Sequence[Facts] = (),
    quarantine: Quarantine | None = None,
) -> None:
    """Write a self-contained page about ``predictions`` for videos."""
    by_id = truths or {}
    judged = {name: by_id[name] for name in predictions if name in by_id and by_id[name].timed}
    roc, pr = _curves(predictions, judged)
    best, worst = _examples(videos, predictions, judged)
    data = ReportData(
        title=title,
        notes=notes,
        facts=facts,
        rows=_rows(table),
        trivial=frozenset(registry.names("baselines")),
        lower_is_better=_lower(),
        roc=roc,
        pr=pr,
        best=best,
        worst=worst,
        videos=[VideoResult(name, prediction, by_id.get(name)) for name, prediction in predictions.items()],
        quarantine=list(quarantine.reasons.items()) if quarantine else (),
        settings=settings or {},
        environment=environment(),
    )
    report(data, path)


def adaptation_page(
    path: Path,
    title: str,
    *,
    notes: Sequence[str],
    facts: Sequence[Facts],
    activity: Features,
    video: Video,
    settings: Mapping[str, Any],
    quarantine: Quarantine,
) -> None:
    """Write a self-contained page about the adaptation of a model to the camera of ``video``.

    ``activity``: share of time in which something moves at each place ``(h, w)``, or empty.
    """
    maps: tuple[Example, ...] = ()
    if activity.size and not is_features(video.path):
        peak = float(activity.max())
        frame = reader.picture(video.path, video.span[0] if video.span else 0.0, width=WIDEST)
        image = np.array(frame.image, order="C")
        heat(image, activity / max(peak, 1e-9), 0.0)
        caption = f"where things move: at the brightest place in {100 * peak:.0f} % of the time"
        maps = (Example(video.id, "", (Picture(image, caption),)),)
    data = ReportData(
        title=title,
        notes=notes,
        facts=facts,
        maps=maps,
        quarantine=list(quarantine.reasons.items()),
        settings=settings,
        environment=environment(),
    )
    report(data, path)


def bench_folders(sets: Sequence[str]) -> list[str]:
    """Folder of each comparison of data sets with these names, relative to that of the benchmark.

    >>> bench_folders(["a"]), bench_folders(["a", "b"])
    ([''], ['a-a', 'a-b', 'b-a', 'b-b'])
    """
    return [""] if len(sets) == 1 else [f"{train}-{test}" for train in sets for test in sets]


def bench_pages(folder: Path, table: Sequence[Row], outcome: Mapping[str, Any]) -> None:
    """Write ``bench.json``, ``bench.md`` and ``report.html`` of a comparison to a folder."""
    write_json(folder / "bench.json", outcome)
    chosen = outcome["choices"]
    write_atomic(folder / "bench.md", "\n\n".join([markdown(table), *map(choices.markdown, chosen)]) + "\n")
    settings = {name: value for name, value in outcome.items() if name not in ("rows", "pairs", "notes", "choices")}
    same = outcome["train"] == outcome["test"]
    data = ReportData(
        title=f"Benchmark on {outcome['test']}" + ("" if same else f", trained on {outcome['train']}"),
        notes=(
            f"{outcome['folds']} folds, seeds {', '.join(map(str, outcome['seeds']))}; mean and deviation over both.",
            "A method's own row is the checkpoint that its validation videos chose. The test oracle row shows what "
            "choosing the checkpoint by the test videos would give: an upper bound, not a result.",
            *map(choices.line, chosen),
            *outcome["notes"],
        ),
        facts=[facts for facts in map(choices.table, chosen) if facts],
        rows=_rows(table),
        trivial=frozenset(registry.names("baselines")),
        lower_is_better=_lower(),
        settings=settings,
        environment=environment(),
    )
    report(data, folder / "report.html")


def _pooled(predictions: Scored, truths: Mapping[str, Truth]) -> tuple[Floats, Floats]:
    """Scores and labels of all frames of all videos."""
    scores, labels = [], []
    for name, truth in truths.items():
        prediction = predictions[name]
        if prediction.frames is not None:
            scores.append(prediction.frames.on(truth.edges)[:, 0, 0])
            labels.append(truth.frames)
    return np.concatenate(scores).astype(np.float64), np.concatenate(labels).astype(np.float64)


def _curves(predictions: Scored, truths: Mapping[str, Truth]) -> tuple[list[Curve], list[Curve]]:
    if not truths:
        return [], []
    scores, labels = _pooled(predictions, truths)
    if labels.min() == labels.max():
        return [], []
    tp, fp = (np.asarray(counts, np.float64) for counts in operating_points(scores, labels)[1:])
    keep = np.unique(np.linspace(0, len(tp) - 1, POINTS).astype(int))
    recall, false = tp / labels.sum(), fp / (1 - labels).sum()
    precision = tp / np.maximum(tp + fp, 1)
    return [Curve("model", false[keep], recall[keep])], [Curve("model", recall[keep], precision[keep])]


def _examples(
    videos: Sequence[Video], predictions: Scored, truths: Mapping[str, Truth]
) -> tuple[list[Example], list[Example]]:
    """The anomalous videos with the highest and lowest frame AUC, each with a picture of its peak."""
    rated: list[tuple[float, Video]] = []
    for video in videos:
        truth, prediction = truths.get(video.id), predictions.get(video.id)
        if truth is None or prediction is None or prediction.frames is None:
            continue
        if 0 < truth.frames.mean() < 1:
            rated.append((roc_auc(prediction.frames.on(truth.edges)[:, 0, 0], truth.frames), video))
    rated.sort(key=lambda pair: -pair[0])
    half = min(EXAMPLES, (len(rated) + 1) // 2)
    best, worst = rated[:half], rated[half:][-EXAMPLES:][::-1]

    def example(auc: float, video: Video) -> Example:
        pictures = _peak(video, predictions[video.id], truths[video.id])
        return Example(video.id, f"frame AUC {auc:.3f}", pictures)

    return [example(*pair) for pair in best], [example(*pair) for pair in worst]


def _peak(video: Video, prediction: Prediction, truth: Truth) -> tuple[Picture, ...]:
    """The frame with the highest score, painted."""
    assert prediction.frames is not None
    if is_features(video.path):  # it has no pictures
        return ()
    step = int(prediction.frames.values[:, 0, 0].argmax())
    start, end = prediction.frames.edges[step : step + 2]
    middle = (start + end) / 2
    score = float(prediction.frames.values[step, 0, 0])
    (picture,) = overlay([reader.picture(video.path, middle, width=WIDEST)], prediction, truth=truth)
    return (Picture(picture, f"{video.id} at {middle:.1f} s, score {score:.2f}"),)

"""Temporal: ranking of single frames, pooled over all videos (7.1 of the metric list in docs/metrics.md)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from wherewhen.core import extents as ext
from wherewhen.core.contracts import Metric, classes_of
from wherewhen.core.values import Prediction, Truth
from wherewhen.metrics._curves import average_precision, eer, pr_auc_trapezoid, roc_auc
from wherewhen.metrics._pairs import paired, where_defined

Scored = tuple[NDArray[np.float32], NDArray[np.bool_]]


def frame_scores(prediction: Prediction, truth: Truth) -> NDArray[np.float32]:
    """One score ``(F,)`` per truth frame: that of the prediction's step that contains the frame's middle.

    Outside the time that the prediction covers, the nearest step counts.
    """
    assert prediction.frames is not None
    scores: NDArray[np.float32] = prediction.frames.on(truth.edges).max((1, 2))
    return scores


def macro_auc(videos: list[Scored], padded: bool = True) -> float:
    """Mean over videos of each one's AUC.

    ``padded`` adds a normal frame of score 0 and an anomalous one of score 1 to every video, as the script of
    UBnormal does, so that every video counts, also those of one class; otherwise only videos with both classes do.

    >>> normal, mixed = (np.float32([0.2, 0.4]), np.array([0, 0])), (np.float32([0.2, 0.4]), np.array([1, 0]))
    >>> macro_auc([normal, mixed]), macro_auc([normal, mixed], padded=False)
    (0.875, 0.0)
    """
    if padded:
        videos = [(np.r_[np.float32(0), s, np.float32(1)], np.r_[False, y.astype(bool), True]) for s, y in videos]
    areas = [roc_auc(s, y) for s, y in videos if y.any() and not y.all()]
    return float(np.mean(areas)) if areas else roc_auc([], [])


def _of_class(name: str, pairs: list[tuple[Truth, Scored]], normal_clips: bool) -> Scored:
    """Frames of one class against normal ones; frames of other classes and clips of them are left out."""
    parts: list[Scored] = []
    for truth, (scores, labels) in pairs:
        matches = [name in classes_of(category) for category in truth.categories]
        if any(matches):
            spans = truth.spans[matches]
            inside = np.zeros(len(scores), bool)
            for first, last in ext.frames_of(np.c_[spans, np.zeros((len(spans), 4))], truth.edges):
                inside[first:last] = True
            use = inside | ~labels
            parts.append((scores[use], inside[use]))
        elif normal_clips and not truth.label:
            parts.append((scores, labels))
    return _pool(parts)


def _pool(videos: list[Scored]) -> Scored:
    scores = [np.empty(0, np.float32), *(s for s, _ in videos)]
    return np.concatenate(scores), np.concatenate([np.empty(0, bool), *(y for _, y in videos)])


def compute(predictions: Mapping[str, Prediction], truths: Mapping[str, Truth]) -> dict[str, float]:
    """Frame AUC and AP, pooled; on anomalous clips alone; averaged over videos; per class (``a+b`` is of both).

    DataError if the frames hold one class only. Numbers past ``frame_eer`` that the truth doesn't define (no clip
    with both kinds of frames, for example) are absent.
    """
    pairs = [(t, (frame_scores(p, t), t.frames)) for _, p, t in paired(predictions, truths, "frames")]
    everything, clips = _pool([s for _, s in pairs]), _pool([s for t, s in pairs if t.label])
    required = {
        "frame_auc": roc_auc(*everything),
        "frame_ap": average_precision(*everything),
        "frame_ap_trapezoid": pr_auc_trapezoid(*everything),
        "frame_eer": eer(*everything),
    }
    numbers: dict[str, Callable[[], float]] = {
        "frame_auc_anomalous": lambda: roc_auc(*clips),
        "frame_ap_anomalous": lambda: average_precision(*clips),
        "frame_auc_macro": lambda: macro_auc([s for _, s in pairs]),
        "frame_auc_macro_mixed": lambda: macro_auc([s for _, s in pairs], padded=False),
    }
    for name in sorted({name for t, _ in pairs for several in t.categories for name in classes_of(several)}):
        everywhere, within = _of_class(name, pairs, True), _of_class(name, pairs, False)
        numbers[f"frame_auc/{name}"] = partial(roc_auc, *everywhere)
        numbers[f"frame_ap/{name}"] = partial(average_precision, *everywhere)
        numbers[f"frame_auc_anomalous/{name}"] = partial(roc_auc, *within)
    return required | where_defined(numbers)


PLUGIN = Metric(
    compute,
    names=(
        "frame_auc",
        "frame_ap",
        "frame_ap_trapezoid",
        "frame_eer",
        "frame_auc_anomalous",
        "frame_ap_anomalous",
        "frame_auc_macro",
        "frame_auc_macro_mixed",
    ),
    reads=("frames",),
    needs=("times", "both kinds of frames"),
    source="Sultani et al. 2018 (micro AUC); Wu et al. 2020 (AP); Acsintoae et al. 2022 (macro AUC)",
    lower_is_better=("frame_eer",),
)

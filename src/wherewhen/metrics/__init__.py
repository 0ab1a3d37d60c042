"""Metrics, one family per file; pure functions over predictions and ground truths.

The functions on plain arrays need no other part of the toolkit: ``from wherewhen.metrics import roc_auc``.
"""

from wherewhen.metrics._curves import (
    average_precision,
    eer,
    eer_point,
    false_alarm_rate,
    operating_points,
    pr_auc_trapezoid,
    roc_auc,
)
from wherewhen.metrics._needs import lacks
from wherewhen.metrics._snippets import repeat_snippets, segment_borders, segments_to_snippets, sst_frames

__all__ = [
    "average_precision",
    "eer",
    "eer_point",
    "false_alarm_rate",
    "lacks",
    "operating_points",
    "pr_auc_trapezoid",
    "repeat_snippets",
    "roc_auc",
    "segment_borders",
    "segments_to_snippets",
    "sst_frames",
]

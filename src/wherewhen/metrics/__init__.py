"""Numbers that judge, one family a file; pure functions over predictions and truths.

The ranking functions work on plain arrays: ``from wherewhen.metrics import roc_auc``.
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

__all__ = [
    "average_precision",
    "eer",
    "eer_point",
    "false_alarm_rate",
    "operating_points",
    "pr_auc_trapezoid",
    "roc_auc",
]

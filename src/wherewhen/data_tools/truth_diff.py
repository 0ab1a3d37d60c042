"""Differences of two annotations of the same videos: times and boxes, per video."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from wherewhen.core import extents as ext
from wherewhen.core.values import Floats, Masks, Truth


@dataclass(frozen=True, slots=True)
class Difference:
    """One video in two truths; ``only`` is "a" or "b" where the other one lacks it.

    ``changed``: frames of a's clock that are positive in one of them alone. ``agreement``: intersection over union of
    the positive frames, 1 where both have none. ``boxes``: mean IoU of the boxes' hulls over the frames where either
    has a box (0 where one has none), None where neither has any.
    """

    video: str
    only: str = ""
    frames_a: int = 0
    frames_b: int = 0
    spans_a: int = 0
    spans_b: int = 0
    changed: int = 0
    agreement: float = 1.0
    boxes: float | None = None

    @property
    def same(self) -> bool:
        """Whether both say the same."""
        whole = not self.only and self.frames_a == self.frames_b and self.spans_a == self.spans_b
        return whole and not self.changed and self.boxes in (None, 1.0)


def _positive(truth: Truth, edges: Floats) -> Masks:
    """Which frames of a clock lie in the truth's spans."""
    return Truth(edges, spans=truth.spans).frames


def _hulls(truth: Truth, edges: Floats) -> Floats:
    """Hull ``(F, 4)`` of the boxes in each frame of a clock; a reversed row (1, 1, 0, 0) where there is none."""
    out = np.tile([1.0, 1.0, 0.0, 0.0], (len(edges) - 1, 1))
    for (first, stop), box in zip(ext.frames_of(truth.boxes, edges), truth.boxes[:, 2:], strict=True):
        out[first:stop, :2] = np.minimum(out[first:stop, :2], box[:2])
        out[first:stop, 2:] = np.maximum(out[first:stop, 2:], box[2:])
    return out


def _box_agreement(a: Truth, b: Truth) -> float | None:
    rows = [np.pad(_hulls(truth, a.edges), ((0, 0), (2, 0))) for truth in (a, b)]
    has_box = [row[:, 4] > row[:, 2] for row in rows]
    either = has_box[0] | has_box[1]
    if not either.any():
        return None
    overlaps = np.where(has_box[0] & has_box[1], ext.iou(rows[0], rows[1]), 0.0)
    return float(overlaps[either].mean())


def truth_diff(a: Mapping[str, Truth], b: Mapping[str, Truth]) -> list[Difference]:
    """Every video of either truth, the most changed first.

    >>> clock = np.arange(11.0)
    >>> one = {"v": Truth(clock, spans=[[2, 6]])}
    >>> [row] = truth_diff(one, {"v": Truth(clock, spans=[[4, 8]])})
    >>> row.changed, round(row.agreement, 2), row.boxes
    (4, 0.33, None)
    """
    out = []
    for key in sorted(set(a) | set(b)):
        if key not in a or key not in b:
            out.append(Difference(key, only="a" if key in a else "b"))
            continue
        p, q = (_positive(truth[key], a[key].edges) for truth in (a, b))
        union = int((p | q).sum())
        out.append(
            Difference(
                key,
                frames_a=len(a[key].edges) - 1,
                frames_b=len(b[key].edges) - 1,
                spans_a=len(a[key].spans),
                spans_b=len(b[key].spans),
                changed=int((p ^ q).sum()),
                agreement=float((p & q).sum() / union) if union else 1.0,
                boxes=_box_agreement(a[key], b[key]),
            )
        )
    return sorted(out, key=lambda row: (not row.only, row.same, -row.changed, row.boxes or 0.0, row.video))


def table(rows: list[Difference], all_rows: bool = False) -> list[dict[str, Any]]:
    """Differences as rows for a table; videos that agree are left out unless ``all_rows``."""
    return [asdict(row) for row in rows if all_rows or not row.same]

"""Foreground blobs: connected pixels, and blobs of several movers split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from math import hypot, sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wherewhen.core.values import Masks, Pixels
from wherewhen.proposals._background import SURE

Array = NDArray[np.float32]

SURE_SHARE = 0.15  # of a blob's pixels that must reach the level SURE
APART = 0.8  # px a frame: movers that differ by less in velocity stay one blob
CLEAR = 2.2  # times the spread within each: how clearly their velocities must differ
LEAST_SHARE = 0.15  # of a blob: smaller parts are arms and legs
UPRIGHT = 0.5  # share of the narrower part's width that is below or above the other
TALL = 1.2  # times its width: a higher blob may be one mover on foot
SLIM = 0.7  # times its height: a narrower blob is one mover
NECK = 2  # px at 320: half the width of thin parts
CORE = 0.2  # share of all thick parts that one must have to be a mover, not a head or a bag
VALLEY = 0.4  # of the lower neighbor: a gap between two side by side
DEEPEST = 3  # cuts of one blob, one after the other
MOST = 200  # blobs of one picture, the largest first


class Blob(NamedTuple):
    """Pixels that belong together: upper left ``row`` and ``column`` and the mask ``(h, w)`` from there."""

    row: int
    column: int
    mask: Masks

    @property
    def area(self) -> int:
        """Number of pixels."""
        return int(np.count_nonzero(self.mask))

    @property
    def corners(self) -> tuple[int, int, int, int]:
        """Its pixel box ``x0 y0 x1 y1``, half-open."""
        height, width = self.mask.shape
        return self.column, self.row, self.column + width, self.row + height

    def of(self, picture: NDArray[Any]) -> NDArray[Any]:
        """The part of a picture in the blob's box."""
        height, width = self.mask.shape
        return picture[self.row : self.row + height, self.column : self.column + width]


def closed(mask: Pixels, size: tuple[int, ...] | None = None) -> Pixels:
    """A mask with small holes filled, above all along the height: heads and legs go with their bodies.

    ``size``: of the picture that it is a part of.
    """
    import cv2

    unit = max(size or mask.shape) / 320
    tall, wide = (2 * max(1, round(half * unit)) + 1 for half in (4, 1))
    specks = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    return np.asarray(cv2.morphologyEx(specks, cv2.MORPH_CLOSE, np.ones((tall, wide), np.uint8)), np.uint8)


def blobs(mask: Pixels, smallest: float, row: int = 0, column: int = 0) -> Iterator[Blob]:
    """Connected parts of at least ``smallest`` pixels, the largest first; ``row`` and ``column`` of its upper left."""
    import cv2

    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    areas = stats[1:count, cv2.CC_STAT_AREA]
    order = np.argsort(-areas, kind="stable")[:MOST]
    for number in (order[areas[order] >= smallest] + 1).tolist():
        x, y, wide, tall, _ = stats[number].tolist()
        yield Blob(row + y, column + x, labels[y : y + tall, x : x + wide] == number)


def sure(blob: Blob, level: Pixels) -> bool:
    """Whether enough pixels of a blob reach the level SURE."""
    return bool(np.count_nonzero(blob.mask & (blob.of(level) >= SURE)) >= SURE_SHARE * blob.area)


def broad(blob: Blob, smallest: float) -> bool:
    """Whether a blob may be several movers side by side: no more than TALL times as high as wide, and large enough."""
    return blob.area >= 2 * smallest and blob.mask.shape[0] <= TALL * blob.mask.shape[1]


def split(blob: Blob, flow: Array, smallest: float, deep: int = 0) -> list[Blob]:
    """A blob cut where velocities ``(H, W, 2)``, px a frame, fall into two clearly different groups, or at gaps."""
    if not broad(blob, smallest):
        return _thinned(blob, smallest, flow.shape)
    if deep >= DEEPEST:
        return _thinned(blob, smallest, flow.shape)
    vectors = blob.of(flow)[blob.mask].astype(np.float32)
    groups = _two(vectors)
    if groups is None:
        return _thinned(blob, smallest, flow.shape)
    import cv2

    sides = np.zeros(blob.mask.shape, np.uint8)
    sides[blob.mask] = groups + 1
    smooth = np.where(blob.mask, cv2.medianBlur(sides, 5), 0)
    smooth = np.where((smooth == 0) & blob.mask, sides, smooth)
    least = max(smallest, LEAST_SHARE * blob.area)
    parts = [part for side in (1, 2) for part in blobs((smooth == side).view(np.uint8), least, blob.row, blob.column)]
    if len(parts) < 2:
        return _thinned(blob, smallest, flow.shape)
    return [piece for part in parts for piece in split(part, flow, smallest, deep + 1)]


def _thinned(blob: Blob, smallest: float, size: tuple[int, ...]) -> list[Blob]:
    """A blob cut where it is thin between thick parts, then at gaps; ``size`` of the picture."""
    return [piece for part in _necks(blob, smallest, size) for piece in _columns(part, smallest)]


def _necks(blob: Blob, smallest: float, size: tuple[int, ...]) -> list[Blob]:
    import cv2

    if blob.area < 2.5 * smallest:
        return [blob]
    side = 2 * max(1, round(NECK * max(size) / 320)) + 1
    solid = np.pad(blob.mask, 1).astype(np.uint8)
    thick = cv2.erode(solid, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(thick)
    areas = stats[1:count, cv2.CC_STAT_AREA]
    cores = 1 + np.flatnonzero(areas >= CORE * areas.sum())
    if len(cores) < 2:
        return [blob]
    _, nearest = cv2.distanceTransformWithLabels(
        (~np.isin(labels, cores)).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_CCOMP
    )
    nearest = nearest[1:-1, 1:-1]
    parts: list[Blob] = []
    for number in np.unique(nearest[blob.mask]).tolist():
        parts += blobs(((nearest == number) & blob.mask).view(np.uint8), smallest, blob.row, blob.column)
    on_foot = blob.mask.shape[0] > TALL * blob.mask.shape[1] and any(_stacked(pair) for pair in combinations(parts, 2))
    return parts if len(parts) > 1 and not on_foot else [blob]


def _columns(blob: Blob, smallest: float) -> list[Blob]:
    """A blob wider than a mover on foot, cut at columns that hold far fewer pixels than those on both sides."""
    tall, wide = blob.mask.shape
    if wide < SLIM * tall:
        return [blob]
    profile = np.convolve(blob.mask.sum(0), np.ones(3) / 3, "same")
    left, right = np.maximum.accumulate(profile), np.maximum.accumulate(profile[::-1])[::-1]
    depth = profile / np.maximum(np.minimum(left, right), 1)
    place = int(np.argmin(depth))
    if depth[place] > VALLEY:
        return [blob]
    parts: list[Blob] = []
    for first, side in ((0, blob.mask[:, :place]), (place, blob.mask[:, place:])):
        parts += blobs(np.ascontiguousarray(side).view(np.uint8), smallest, blob.row, blob.column + first)
    if len(parts) < 2:
        return parts or [blob]
    return [piece for part in parts for piece in _columns(part, smallest)]


def _stacked(parts: Sequence[Blob]) -> bool:
    """Whether one part is above the other: body and legs of one mover have two motions as well."""
    (left, _, right, _), (start, _, end, _) = parts[0].corners, parts[1].corners
    return min(right, end) - max(left, start) > UPRIGHT * min(right - left, end - start)


def _two(vectors: Array) -> NDArray[np.int64] | None:
    """Group 0 or 1 of each vector ``(N, 2)`` along their widest axis; None unless there clearly are two."""
    apart = vectors - vectors.mean(0)
    (a, b), (_, c) = (apart.T @ apart / len(apart)).tolist()
    widest = (a + c) / 2 + sqrt(((a - c) / 2) ** 2 + b * b)
    if widest < (APART / 2) ** 2:
        return None
    axis = (b, widest - a) if abs(b) > 1e-9 else (1.0, 0.0) if a >= c else (0.0, 1.0)
    along = apart @ np.array(axis, np.float32) / np.float32(hypot(*axis))
    ranked = np.sort(along)
    sums, squares = np.cumsum(ranked, dtype=np.float64), np.cumsum(ranked * ranked, dtype=np.float64)
    count, low, high, cut = len(along), 0.0, 0.0, 0.0
    for _ in range(6):
        below = int(np.searchsorted(ranked, cut, "right"))
        if not LEAST_SHARE * count < below < (1 - LEAST_SHARE) * count:
            return None
        low, high = sums[below - 1] / below, (sums[-1] - sums[below - 1]) / (count - below)
        cut = (low + high) / 2
    inner = squares[-1] - below * low * low - (count - below) * high * high
    if high - low < max(APART, CLEAR * sqrt(max(0.0, inner) / count)):
        return None
    groups: NDArray[np.int64] = (along > cut).astype(np.int64)
    return groups

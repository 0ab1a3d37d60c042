"""Memory of separate movers: blobs that merge are split along the boxes that each mover had before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wherewhen.core.values import Masks
from wherewhen.proposals._blobs import Blob, blobs

Corners = tuple[float, float, float, float]

ESTABLISHED = 5  # pictures in which a mover must have been separate before blobs are split along it
WITHIN = 0.6  # share of a mover's box that must be in a blob
NEAR = 1.1  # box sizes from a mover's middle: farther pixels belong to a new mover
ALIKE = 0.3  # share of the larger mover's box area that a smaller one must have: arms and shadows have less
MEET = 0.15  # overlap of boxes from which a blob continues a mover
MISSED = 3  # pictures after which a mover without a blob is removed
JOINED = 50  # pictures after which movers in one blob count as one
STEADY = 0.3  # weight of a new picture in a mover's velocity and size


@dataclass(slots=True)
class _Mover:
    box: Corners
    speed: tuple[float, float]
    pictures: int = 1
    missed: int = 0
    joined: int = 0


class Memory:
    """The movers of the last pictures, and how to cut blobs along them."""

    def __init__(self) -> None:
        self._movers: list[_Mover] = []

    def parted(self, whole_blobs: list[Blob], smallest: float) -> list[Blob]:
        """The blobs of a new picture, those of several established movers split; movers are updated."""
        for mover in self._movers:
            mover.box = _moved(mover.box, *mover.speed)
        parts: list[Blob] = []
        owners: list[_Mover | None] = []
        for blob in whole_blobs:
            inside = self._inside(blob)
            if len(inside) < 2:
                parts.append(blob)
                owners.append(None)
                continue
            for part, owner in _cut(blob, inside, smallest):
                parts.append(part)
                owners.append(owner)
        self._learn(parts, owners)
        return parts

    def _inside(self, blob: Blob) -> list[_Mover]:
        """Established movers expected in a blob, without those that are much smaller than the others."""
        box = blob.corners
        established = [m for m in self._movers if m.pictures >= ESTABLISHED and m.joined < JOINED]
        inside = [m for m in established if _overlap(m.box, box) >= WITHIN * _area(m.box)]
        largest = max((_area(m.box) for m in inside), default=0.0)
        return [m for m in inside if _area(m.box) >= ALIKE * largest]

    def _learn(self, parts: list[Blob], owners: list[_Mover | None]) -> None:
        boxes = [part.corners for part in parts]
        matched = {id(owner) for owner in owners if owner is not None}
        pairs = [
            (_iou(mover.box, boxes[k]), -number, k)
            for number, mover in enumerate(self._movers)
            if id(mover) not in matched
            for k, owner in enumerate(owners)
            if owner is None
        ]
        done: set[int] = set()
        for overlap, number, k in sorted(pairs, reverse=True):
            mover = self._movers[-number]
            if overlap < MEET or k in done or id(mover) in matched:
                continue
            done.add(k)
            matched.add(id(mover))
            _renew(mover, boxes[k], alone=True)
        for k, owner in enumerate(owners):
            if owner is not None:
                _renew(owner, boxes[k], alone=False)
            elif k not in done:
                self._movers.append(_Mover(boxes[k], (0.0, 0.0)))
                matched.add(id(self._movers[-1]))
        for mover in self._movers:
            mover.missed = 0 if id(mover) in matched else mover.missed + 1
        self._movers = [m for m in self._movers if m.missed <= MISSED]


def _renew(mover: _Mover, box: Corners, alone: bool) -> None:
    """Update a mover with its new box; a mover that shares a blob keeps its size."""
    right, down = ((box[k] + box[k + 2] - mover.box[k] - mover.box[k + 2]) / 2 for k in (0, 1))
    share = max(STEADY, 1 / (mover.pictures + 1)) if alone else STEADY / 2
    mover.speed = (mover.speed[0] + share * right, mover.speed[1] + share * down)
    if alone:
        mover.box, mover.pictures, mover.joined = box, mover.pictures + 1, max(0, mover.joined - 5)
    else:
        mover.box = _moved(mover.box, right / 2, down / 2)
        mover.joined += 1


def _cut(blob: Blob, movers: list[_Mover], smallest: float) -> list[tuple[Blob, _Mover | None]]:
    """Assign each pixel to its nearest mover, in box sizes of that mover; pixels far from all form new blobs."""
    ys, xs = np.nonzero(blob.mask)
    points = np.stack([xs + blob.column + 0.5, ys + blob.row + 0.5], -1)
    boxes = np.array([mover.box for mover in movers])
    middles, sizes = (boxes[:, :2] + boxes[:, 2:]) / 2, np.maximum(boxes[:, 2:] - boxes[:, :2], 2)
    far = np.abs((points[:, None] - middles) / sizes).max(2)
    nearest = np.where(far.min(1) > NEAR, len(movers), far.argmin(1))
    parts: list[tuple[Blob, _Mover | None]] = []
    for number in range(len(movers) + 1):
        mask: Masks = np.zeros_like(blob.mask)
        mask[ys[nearest == number], xs[nearest == number]] = True
        least = smallest if number == len(movers) else smallest / 2
        pieces = list(blobs(mask.view(np.uint8), least, blob.row, blob.column))
        if number == len(movers):
            parts += [(piece, None) for piece in pieces]
        elif pieces:
            parts.append((pieces[0], movers[number]))
    return parts


def _moved(box: Corners, right: float, down: float) -> Corners:
    return box[0] + right, box[1] + down, box[2] + right, box[3] + down


def _area(box: Corners) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _overlap(a: Corners, b: Corners) -> float:
    wide, tall = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return wide * tall if wide > 0 and tall > 0 else 0.0


def _iou(a: Corners, b: Corners) -> float:
    both = _overlap(a, b)
    return both / max(_area(a) + _area(b) - both, 1e-9)

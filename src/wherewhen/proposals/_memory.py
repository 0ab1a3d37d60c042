"""Memory of separate movers: blobs that merge are split along the boxes that each mover had before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wherewhen.core.values import Masks
from wherewhen.proposals._blobs import Blob, blobs

Corners = tuple[float, float, float, float]

KNOWN = 5  # pictures in which a mover must have been alone before it is cut out of others
WITHIN = 0.6  # share of a mover's box that must lie in a blob
NEAR = 1.1  # box sizes from a mover's middle: farther pixels belong to somebody new
ALIKE = 0.3  # share of the larger mover's box area that a smaller one must have: arms and shadows have less
MEET = 0.15  # overlap of boxes from which a blob continues a mover
MISSED = 3  # pictures after which a mover that isn't found is forgotten
JOINED = 50  # pictures after which those who stay together count as one
STEADY = 0.3  # share of news in a mover's velocity and size


@dataclass(slots=True)
class _Mover:
    box: Corners
    speed: tuple[float, float]
    known: int = 1
    missed: int = 0
    joined: int = 0


class Memory:
    """The movers of the last pictures, and how to cut blobs along them."""

    def __init__(self) -> None:
        self._movers: list[_Mover] = []

    def parted(self, found: list[Blob], smallest: float) -> list[Blob]:
        """The blobs of a new picture, those of several known movers cut; movers are brought up to date."""
        for mover in self._movers:
            mover.box = _moved(mover.box, *mover.speed)
        parts: list[Blob] = []
        owners: list[_Mover | None] = []
        for blob in found:
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
        """Known movers that should lie in a blob, without those that are much smaller than the others."""
        box = blob.corners
        known = [m for m in self._movers if m.known >= KNOWN and m.joined < JOINED]
        inside = [m for m in known if _overlap(m.box, box) >= WITHIN * _area(m.box)]
        largest = max((_area(m.box) for m in inside), default=0.0)
        return [m for m in inside if _area(m.box) >= ALIKE * largest]

    def _learn(self, parts: list[Blob], owners: list[_Mover | None]) -> None:
        boxes = [part.corners for part in parts]
        taken = {id(owner) for owner in owners if owner is not None}
        pairs = [
            (_iou(mover.box, boxes[k]), -number, k)
            for number, mover in enumerate(self._movers)
            if id(mover) not in taken
            for k, owner in enumerate(owners)
            if owner is None
        ]
        done: set[int] = set()
        for overlap, number, k in sorted(pairs, reverse=True):
            mover = self._movers[-number]
            if overlap < MEET or k in done or id(mover) in taken:
                continue
            done.add(k)
            taken.add(id(mover))
            _renew(mover, boxes[k], alone=True)
        for k, owner in enumerate(owners):
            if owner is not None:
                _renew(owner, boxes[k], alone=False)
            elif k not in done:
                self._movers.append(_Mover(boxes[k], (0.0, 0.0)))
                taken.add(id(self._movers[-1]))
        for mover in self._movers:
            mover.missed = 0 if id(mover) in taken else mover.missed + 1
        self._movers = [m for m in self._movers if m.missed <= MISSED]


def _renew(mover: _Mover, box: Corners, alone: bool) -> None:
    """Take what was seen; a mover among others keeps its size."""
    right, down = ((box[k] + box[k + 2] - mover.box[k] - mover.box[k + 2]) / 2 for k in (0, 1))
    share = max(STEADY, 1 / (mover.known + 1)) if alone else STEADY / 2
    mover.speed = (mover.speed[0] + share * right, mover.speed[1] + share * down)
    if alone:
        mover.box, mover.known, mover.joined = box, mover.known + 1, max(0, mover.joined - 5)
    else:
        mover.box = _moved(mover.box, right / 2, down / 2)
        mover.joined += 1


def _cut(blob: Blob, movers: list[_Mover], smallest: float) -> list[tuple[Blob, _Mover | None]]:
    """Each pixel goes to the mover that it is nearest to, in sizes of that mover; what is far from all is new."""
    ys, xs = np.nonzero(blob.mask)
    points = np.stack([xs + blob.column + 0.5, ys + blob.row + 0.5], -1)
    boxes = np.array([mover.box for mover in movers])
    middles, sizes = (boxes[:, :2] + boxes[:, 2:]) / 2, np.maximum(boxes[:, 2:] - boxes[:, :2], 2)
    far = np.abs((points[:, None] - middles) / sizes).max(2)
    nearest = np.where(far.min(1) > NEAR, len(movers), far.argmin(1))
    found: list[tuple[Blob, _Mover | None]] = []
    for number in range(len(movers) + 1):
        own: Masks = np.zeros_like(blob.mask)
        own[ys[nearest == number], xs[nearest == number]] = True
        least = smallest if number == len(movers) else smallest / 2
        pieces = list(blobs(own.view(np.uint8), least, blob.row, blob.column))
        if number == len(movers):
            found += [(piece, None) for piece in pieces]
        elif pieces:
            found.append((pieces[0], movers[number]))
    return found


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

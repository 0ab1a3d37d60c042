"""Joints of movers: their boxes are cropped from the pictures, and a network locates 17 joints in each crop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from wherewhen.core import extents as ext
from wherewhen.core.contracts import Builder, BuilderAbilities, PoseSpec, RoiSpec
from wherewhen.core.values import Features, Floats, Frame, Grid, Instances, Pixels
from wherewhen.extraction.roi_crops import AppendedFeatures, FrameBuffer, boxes_of, roi_specs
from wherewhen.instances._pose import Poses, pose
from wherewhen.runtime import joints
from wherewhen.runtime.network import resized

AT_ONCE = 32  # crops in memory


def with_joints(builders: Mapping[str, Builder], pictures: Mapping[str, Iterable[Frame]]) -> dict[str, Builder]:
    """The same builders, where those that need joints locate them in their ``pictures``."""
    needed = {name: roi for name, roi in roi_specs(builders).items() if roi.pose is not None}
    return {
        name: PoseFeatures(builder, needed[name], pictures[name]) if name in needed else builder
        for name, builder in builders.items()
    }


@dataclass
class PoseFeatures(AppendedFeatures):
    """A builder that appends features of joints (`_pose.NAMES`) to the instances of another one, for one video."""

    Config: ClassVar[type] = RoiSpec
    abilities: ClassVar[BuilderAbilities] = BuilderAbilities()

    builder: Builder
    roi: RoiSpec
    pictures: Iterable[Frame]

    def __call__(self, grids: Iterable[Grid]) -> Iterator[Instances]:
        """The instances of each window with features of their joints."""
        if self.roi.pose is None:
            raise ValueError("joints need a network")
        network, roll = joints.opened(self.roi.pose.path, self.roi.pose.sha256), FrameBuffer()
        for part in self.builder(roll.along(grids, self.pictures)):
            poses = [located(network, roll, boxes, self.roi.margin) for _, boxes in boxes_of(part, 0.0)]
            if part.paths is not None:
                roll.forget(float(part.paths.edges[-1]))
            motion = np.stack([_motion(number, poses, self.roi.pose) for number in range(len(poses))])
            yield replace(part, features=np.concatenate([part.features, motion], 1))


def _motion(number: int, poses: list[Poses], spec: PoseSpec) -> Features:
    """Features of the joints of one of several movers."""
    mover = poses[number]
    others = [
        other
        for other in poses
        if other is not mover and len(mover.times) and len(other.times)
        and other.times[0] <= mover.times[-1] and other.times[-1] >= mover.times[0]
    ]  # fmt: skip
    return pose(mover, others, spec.confidence)


def located(network: joints.JointNetwork, roll: FrameBuffer, boxes: Floats, margin: float) -> Poses:
    """The joints of a mover with boxes ``(n, 6)`` in the pictures of its time; none where it is the whole picture."""
    if (boxes[:, 2:] == ext.WHOLE_PICTURE).all():  # the instance of a time without movers
        return Poses(np.empty(0), np.empty((0, 4)), np.empty((0, len(joints.JOINTS), 3)))
    times, places, squares, rows, crops = (
        list[float](),
        list[Floats](),
        list[Floats](),
        list[Features](),
        list[Pixels](),
    )
    for frame, box in roll.along_path(boxes):
        size = np.array(frame.image.shape[1::-1] * 2, np.float64)
        crop, square = squared(frame.image, box[2:] * size, margin)
        times.append(frame.start)
        places.append(box[2:] * size)
        squares.append(square)
        crops.append(resized(crop, *network.size))
        if len(crops) == AT_ONCE:
            rows.append(network(np.stack(crops)))
            crops.clear()
    if crops:
        rows.append(network(np.stack(crops)))
    if not rows:
        raise ValueError("movers without pictures: their boxes begin after the last one")
    located_joints, origins = np.concatenate(rows).astype(np.float64), np.stack(squares)[:, None]
    located_joints[..., :2] = origins[..., :2] + located_joints[..., :2] * origins[..., 2:]
    return Poses(np.array(times), np.stack(places), located_joints)


def squared(image: Pixels, box: Floats, margin: float) -> tuple[Pixels, Floats]:
    """A square cut out of a picture around a box ``(4,)`` in px, black outside of the picture, and its left, top, side.

    ``margin``: the share of the longer side of the box that is added on each side.

    >>> crop, square = squared(np.ones((10, 10, 3), np.uint8), np.array([0.0, 2, 4, 10]), 0.0)
    >>> crop.shape, square.tolist(), int(crop[:, :, 0].sum())
    ((8, 8, 3), [-2.0, 2.0, 8.0], 48)
    """
    side = max(1, round(float((box[2:] - box[:2]).max()) * (1 + 2 * margin)))
    left, top = (round(float(center - side / 2)) for center in (box[:2] + box[2:]) / 2)
    crop = np.zeros((side, side, 3), np.uint8)
    height, width = image.shape[:2]
    rows, columns = slice(max(top, 0), min(top + side, height)), slice(max(left, 0), min(left + side, width))
    part = image[rows, columns]
    y, x = max(-top, 0), max(-left, 0)
    crop[y : y + part.shape[0], x : x + part.shape[1]] = part
    return crop, np.array([left, top, side], np.float64)

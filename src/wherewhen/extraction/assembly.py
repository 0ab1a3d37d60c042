"""Decoded frames become instances: frames -> clips -> features(backbone) -> instances(builder).

Every stage is an iterator over an iterator, for files and cameras alike. This is the only place that joins these
stages; `wherewhen.inference.detector` processes instances further.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import tee

import numpy as np

from wherewhen.core import extents as ext
from wherewhen.core.contracts import Backbone, Builder, ClipSpec
from wherewhen.core.spill import Spool
from wherewhen.core.values import Boxes, Floats, Frame, Grid, Instances, Paths, Scores
from wherewhen.extraction import pose_features, roi_crops, sampling

Part = tuple[str, Instances]  # of a view with this name


@dataclass(frozen=True)
class Streams:
    """The decoded frames and boxes of one video for one backbone.

    ``boxes``: tracked boxes for each builder that needs them; ``closeups``: sharper frames for each builder whose
    instances are cropped.
    """

    frames: Iterable[Frame]
    boxes: Mapping[str, Iterable[Boxes]] = field(default_factory=dict)
    closeups: Mapping[str, Iterable[Frame]] = field(default_factory=dict)

    @classmethod
    def of(cls, video: sampling.AnySource, spec: ClipSpec) -> Streams:
        """The frames of a video at the rate and size of a backbone, for builders that need nothing else."""
        return cls(sampling.frames(video, spec))


def instances(
    streams: Streams,
    backbone: Backbone,
    builders: Mapping[str, Builder],
    *,
    crops: int = 1,
    gate: float = 0.0,
    batch: int = 1,
    patient: bool = False,
    still: list[tuple[float, float]] | None = None,
) -> Iterator[Part]:
    """Instances of each builder's view with the name of the view, a stretch of time at a time.

    ``batch``: clips that the backbone gets at once. ``patient``: clips wait until a batch is full, as those of a file
    can; a camera's don't. ``gate`` and ``still``: see `sampling.grids`.
    """
    builders = roi_crops.with_crops(builders, backbone, streams.closeups, batch=batch, gate=gate, patient=patient)
    builders = pose_features.with_joints(builders, streams.closeups)
    clips = sampling.clips(streams.frames, backbone.clip)
    together = batch if patient else 1
    grids = sampling.grids(clips, backbone, crops=crops, gate=gate, batch=together, still=still)
    return several(grids, builders, crops, streams.boxes)


def accompanied(stream: Iterable[Grid], boxes: Iterable[Boxes]) -> Iterator[Grid]:
    """Grids with the tracked frames that begin before their end, each frame with one grid; a grid waits for them."""
    unread = iter(boxes)
    pending = next(unread, None)
    for grid in stream:
        frame_boxes = []
        while pending is not None and pending.start < grid.span[1] - ext.TICK:
            frame_boxes.append(pending)
            pending = next(unread, None)
        yield replace(grid, boxes=tuple(frame_boxes))


def several(
    stream: Iterable[Grid],
    builders: Mapping[str, Builder],
    crops: int = 1,
    boxes: Mapping[str, Iterable[Boxes]] | None = None,
) -> Iterator[Part]:
    """Instances of several builders from the same grids, computed once; the builder with the fewest grids is next.

    ``boxes``: tracked boxes for each builder that needs them.
    """
    pulled = dict.fromkeys(builders, 0)
    box_streams = boxes or {}

    def counted(name: str, grids: Iterator[Grid]) -> Iterator[Grid]:
        for grid in grids:
            pulled[name] += 1
            yield grid

    copies = zip(builders.items(), tee(stream, len(builders)), strict=True)
    inputs = {
        name: (builder, accompanied(copy, box_streams[name]) if name in box_streams else copy)
        for (name, builder), copy in copies
    }
    running = {name: built(counted(name, copy), builder, crops) for name, (builder, copy) in inputs.items()}
    while running:
        name = min(running, key=lambda key: pulled[key])
        part = next(running[name], None)
        if part is None:
            del running[name]
        else:
            yield name, part


def built(stream: Iterable[Grid], builder: Builder, crops: int = 1) -> Iterator[Instances]:
    """Instances of grids; those of all crops of a clip come together and have no grid in common."""
    if crops == 1:
        yield from builder(stream)
        return
    pulled = 0

    def counted() -> Iterator[Grid]:
        nonlocal pulled
        for grid in stream:
            pulled += 1
            yield grid

    waiting: list[Instances] = []
    for part in builder(counted()):
        waiting.append(replace(part, shape=None, detail=None))
        if pulled % crops == 0:
            yield join_instances(waiting)
            waiting = []
    if waiting:
        yield join_instances(waiting)


class InstanceJoiner:
    """Joins the stretches of one video; large arrays are written to temporary files."""

    def __init__(self) -> None:
        self.features, self.extents, self.track, self.detail = Spool(), Spool(), Spool(), Spool()
        self.shapes: list[tuple[int, int, int] | None] = []
        self.ways, self.edges = list[Scores](), list[Floats]()

    def add(self, part: Instances) -> None:
        """Add the next stretch."""
        if part.paths is not None:
            rows = part.paths.rows
            self.ways.append(Scores(rows.extents, rows.values, rows.track + self.features.rows))
            self.edges.append(part.paths.edges)
        self.features.append(part.features)
        self.extents.append(part.extents)
        self.track.append(part.track)
        if part.detail is not None and self.detail.rows == sum(shape[0] for shape in self.shapes if shape):
            self.detail.append(part.detail)
        self.shapes.append(part.shape)

    def whole(self) -> Instances:
        """All stretches as one; ValueError without any."""
        if not self.shapes:
            raise ValueError("no instances to join")
        grids = [shape for shape in self.shapes if shape is not None]
        even = len(grids) == len(self.shapes) and len({shape[1:] for shape in grids}) == 1
        shape = (sum(steps for steps, _, _ in grids), *grids[0][1:]) if even else None
        detail = self.detail.whole() if shape and self.detail.rows == shape[0] else None
        paths = Paths(Scores.chained(self.ways), _borders(self.edges)) if len(self.ways) == len(self.shapes) else None
        return Instances(self.features.whole(), self.extents.whole(), self.track.whole(), shape, detail, paths)


def join_instances(parts: Iterable[Instances]) -> Instances:
    """Many stretches of one video as one; ValueError without any."""
    stretches = list(parts)
    if len(stretches) == 1:
        return stretches[0]
    whole = InstanceJoiner()
    for part in stretches:
        whole.add(part)
    return whole.whole()


def _borders(stretches: Sequence[Floats]) -> Floats:
    """The borders of all frames of stretches that follow each other."""
    return np.concatenate([*(edges[:-1] for edges in stretches), stretches[-1][-1:]])

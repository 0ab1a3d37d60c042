"""Features with their places: grids, instances and bags."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wherewhen.core import extents as ext
from wherewhen.core.printable import cut
from wherewhen.core.values.arrays import (
    ALWAYS,
    Features,
    Floats,
    answered,
    by,
    check_detail,
    edges_of,
    freeze,
    seconds,
)
from wherewhen.core.values.scores import Boxes, Scores
from wherewhen.core.values.videos import Video


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Grid:
    """Features of one clip: float32 ``(t, h, w, D)`` that divide one extent.

    ``edges``: the t + 1 borders of its time steps in seconds; even by default. ``span``: the seconds that the
    grid covers, see `Clip`; spans of grids of one video don't overlap, and instances of a grid are within its
    span. ``detail``: amount of motion on a finer raster ``(t, H, W)``; None where not measured. ``boxes``: tracked
    frames that begin before the end of ``span`` and are in no earlier grid; empty where none are needed. ``whole``:
    the backbone's own vector of the whole picture ``(t, D')``; None where it gives none.
    """

    features: Features
    extent: Floats
    detail: Features | None = None
    boxes: tuple[Boxes, ...] = ()
    edges: Floats = field(default_factory=lambda: np.empty(0))
    span: tuple[float, float] = ALWAYS
    whole: Features | None = None

    def __post_init__(self) -> None:
        if self.features.ndim != 4:
            raise ValueError(f"grid: expected features (t, h, w, D), got {self.features.shape}")
        start, end = ext.check(np.asarray(self.extent)[None], "grid")[0, :2].tolist()
        steps = len(self.features)
        if self.whole is not None and (self.whole.ndim != 2 or len(self.whole) != steps):
            raise ValueError(f"grid: expected whole ({steps}, D), got {self.whole.shape}")
        edges = self.edges if len(self.edges) else np.linspace(start, end, steps + 1)
        freeze(self, edges=edges_of(edges, steps, "grid"))
        object.__setattr__(self, "span", answered(self.span, start, end, "grid"))
        check_detail(self.detail, len(self.features), "grid")

    def __repr__(self) -> str:
        size, width = self.features.shape[:3], self.features.shape[3]
        return f"Grid({by(size)} cells, {width} features, {seconds(*self.extent[:2])})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Paths:
    """Paths of moving instances: ``rows``, a box per frame, with the row number of their instance as ``track``.

    ``edges`` ``(F + 1,)``: borders in seconds of all processed frames; a frame without a row has no box.
    """

    rows: Scores
    edges: Floats

    def __post_init__(self) -> None:
        edges = edges_of(self.edges, len(np.asarray(self.edges)) - 1, "paths")
        if len(edges) < 2:
            raise ValueError("paths: expected edges of at least one frame")
        freeze(self, edges=edges)

    def __repr__(self) -> str:
        return f"Paths({len(self.rows.values)} boxes, {len(self.edges) - 1} frames, {seconds(*self.edges[[0, -1]])})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Instances:
    """The instances of a bag: features ``(N, D)``, extents ``(N, 6)``, track numbers ``(N,)`` (-1 = none).

    ``shape`` is ``(t, h, w)`` where the instances are a regular grid in that order, else None; no time step of a grid
    begins before the one before it ends. ``detail``: amount of
    motion in a grid's time steps, on a finer raster ``(t, H, W)``. ``paths``: where moving instances are in each
    frame, as tubes do; an extent is the hull of its path then.
    """

    features: Features
    extents: Floats
    track: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    shape: tuple[int, int, int] | None = None
    detail: Features | None = None
    paths: Paths | None = None

    def __post_init__(self) -> None:
        features = np.asarray(self.features, np.float32)
        rows = ext.check(self.extents, "instances")
        track = np.asarray(self.track, np.int64)
        if not len(track):
            track = np.full(len(rows), -1, np.int64)
        if features.ndim != 2 or not len(features) == len(rows) == len(track):
            raise ValueError(
                f"instances: expected features (N, D), extents (N, 6), track (N,); "
                f"got {features.shape}, {rows.shape}, {track.shape}"
            )
        if self.shape is not None and np.prod(self.shape) != len(rows):
            raise ValueError(f"instances: a grid {self.shape} can't have {len(rows)} cells")
        if self.shape is not None and self.shape[0] > 1:
            times = rows[:, :2].reshape(self.shape[0], -1, 2)
            late = times[1:, :, 0].min(1) < times[:-1, :, 1].max(1) - ext.TICK
            if late.any():
                step = int(late.argmax()) + 1
                raise ValueError(
                    f"instances: time step {step} of a grid begins at {times[step, :, 0].min():.6g} s, before step "
                    f"{step - 1} ends at {times[step - 1, :, 1].max():.6g} s"
                )
        check_detail(self.detail, self.shape[0] if self.shape else 0, "instances")
        owners = self.paths.rows.track if self.paths else np.empty(0, np.int64)
        if len(owners) and not 0 <= owners.min() <= owners.max() < len(rows):
            raise ValueError(f"instances: a path belongs to one of {len(rows)} instances, got number {owners.max()}")
        object.__setattr__(self, "features", features)
        object.__setattr__(self, "extents", rows)
        object.__setattr__(self, "track", track)

    def __repr__(self) -> str:
        size = f" ({by(self.shape)})" if self.shape else ""
        times = seconds(self.extents[:, 0].min(), self.extents[:, 1].max()) if len(self.extents) else "no time"
        return f"Instances({len(self.features)}{size}, {self.features.shape[1]} features, {times})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Bag:
    """One labelled video as named views, each a set of instances.

    ``damage``: why less than the whole video was read; None if all of it was read.
    """

    video: Video
    views: Mapping[str, Instances]
    damage: str | None = None

    def __post_init__(self) -> None:
        if not self.views or any(not len(v.features) for v in self.views.values()):
            raise ValueError(f"{self.video.id}: a bag needs at least one instance in every view")

    def __repr__(self) -> str:
        views = ", ".join(f"{name}: {len(instances.features)}" for name, instances in self.views.items())
        return f"Bag({cut(self.video.id)}, {views[:60]})"

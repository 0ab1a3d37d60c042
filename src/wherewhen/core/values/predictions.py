"""Heat maps, events, predictions and the truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wherewhen.core import extents as ext
from wherewhen.core.printable import cut
from wherewhen.core.values.arrays import (
    Features,
    Floats,
    Masks,
    by,
    check_detail,
    edges_of,
    freeze,
    seconds,
    track_numbers,
)
from wherewhen.core.values.scores import Scores

CHUNK = 256  # steps of a heat map that are checked at once


def _finite(values: Features) -> bool:
    """Whether every value is finite; checked in parts, since values may exceed memory."""
    return all(bool(np.isfinite(values[k : k + CHUNK]).all()) for k in range(0, len(values), CHUNK))


def _is_mapped(values: object) -> bool:
    """Whether values are in a file, so that they are not copied."""
    mapped = isinstance(values, np.memmap) and values.dtype == np.float32
    return mapped or (hasattr(values, "shape") and not isinstance(values, np.ndarray))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class HeatMap:
    """Scores on a regular grid: values ``(T, h, w)`` over the whole picture, T + 1 time edges in seconds.

    Frame scores are the 1x1 grid. ``detail``: motion on a finer raster ``(T, H, W)``. ``boxes``: for each step
    the scored movers that the map was painted from; None where it was not. ``movers``: for each step the tracked boxes
    of all frames within it, not scored; None where there are none. Many values may be in a file: then ``values``
    is mapped, or a `wherewhen.core.spill.Packed`, which can be indexed by steps or converted to an array.
    """

    values: Features
    edges: Floats
    detail: Features | None = None
    boxes: tuple[Scores, ...] | None = None
    movers: tuple[Scores, ...] | None = None

    def __post_init__(self) -> None:
        values = self.values if _is_mapped(self.values) else np.array(self.values, np.float32)
        if values.ndim == 1:
            values = values[:, None, None]
        if values.ndim != 3 or not values.size:
            raise ValueError(f"heat map: expected values (T, h, w), got {values.shape}")
        if isinstance(values, np.ndarray) and not _finite(values):
            raise ValueError("heat map: every value must be finite")
        check_detail(self.detail, len(values), "heat map")
        for name, parts in (("boxes", self.boxes), ("movers", self.movers)):
            if parts is not None and len(parts) != len(values):
                raise ValueError(f"heat map: {len(values)} steps need {name} for each, got {len(parts)}")
        object.__setattr__(self, "values", values)
        if isinstance(values, np.ndarray):
            values.flags.writeable = False
        freeze(self, edges=edges_of(self.edges, len(values), "heat map"))

    def __repr__(self) -> str:
        return f"HeatMap({by(self.values.shape)}, {seconds(*self.edges[[0, -1]])}, peak {self.values.max():.2f})"

    def at(self, time: float) -> Features:
        """The map ``(h, w)`` at a moment in seconds; the nearest one outside the covered time."""
        step = int(np.searchsorted(self.edges, time, "right")) - 1
        picture: Features = self.values[min(max(step, 0), len(self.values) - 1)]
        return picture

    def on(self, edges: Floats) -> Features:
        """The maps ``(F, h, w)`` at the middles of F frames with F + 1 ``edges``."""
        middles = (np.asarray(edges)[1:] + np.asarray(edges)[:-1]) / 2
        steps = np.searchsorted(self.edges, middles, "right") - 1
        pictures: Features = self.values[steps.clip(0, len(self.values) - 1)]
        return pictures


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Event:
    """A detected event: a chain of extents ``(N, 6)`` in time order, one score, and a category if known.

    ``track``: number of the mover whose path it is, -1 for none.
    """

    extents: Floats
    score: float
    category: str | None = None
    track: int = -1

    def __post_init__(self) -> None:
        rows = ext.check(np.array(self.extents, np.float64), "event")
        if not len(rows) or (np.diff(rows[:, 0]) < 0).any():
            raise ValueError("event: expected at least one extent, in time order")
        if not np.isfinite(self.score):
            raise ValueError(f"event: its score must be finite, got {self.score}")
        freeze(self, extents=rows)

    def __repr__(self) -> str:
        name = f", {cut(self.category)}" if self.category else ""
        track = f", track {self.track}" if self.track >= 0 else ""
        return f"Event({seconds(self.start, self.end)}, score {self.score:.2f}{name}{track})"

    @property
    def start(self) -> float:
        """Start in seconds."""
        return float(self.extents[0, 0])

    @property
    def end(self) -> float:
        """End in seconds."""
        return float(self.extents[:, 1].max())


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Prediction:
    """The predictions for one video; a part that a method doesn't give is None.

    ``frames``: scores per time step (1x1 heat map). ``heat``: scores per cell. ``boxes``: one row per box and
    frame, with scores; rows of one tube share a track number. ``events``: the detected events. ``classes``: the
    frame scores divided among classes, by name (1x1 heat maps); empty for methods without classes. ``threshold``: the
    raw frame score that became 0.5 in ``frames``, see `wherewhen.core.calibration`. ``detected``: seconds ``(N, 2)`` of
    the frames in which the source of boxes gave any; None where it is not known.
    """

    frames: HeatMap | None = None
    heat: HeatMap | None = None
    boxes: Scores | None = None
    events: tuple[Event, ...] = ()
    classes: Mapping[str, HeatMap] = field(default_factory=dict)
    threshold: float = 0.5
    detected: Floats | None = None

    def __repr__(self) -> str:
        times = "no scores" if self.frames is None else seconds(*self.frames.edges[[0, -1]])
        return f"Prediction({len(self.events)} events, {times})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Truth:
    """The ground truth of one video: for evaluation only, never for training.

    ``edges``: F + 1 borders of the F frames in seconds. ``spans``: ``(S, 2)`` seconds. ``boxes``: extents
    ``(N, 6)``, ``track``: ``(N,)`` (-1 = none). ``categories``: a name per span, or empty. ``masks``: reads the
    pixel masks ``(F, H, W)``. ``boxed``: frames ``(F,)`` where a missing box means no anomaly; None = all.
    ``timed``: false where only the label is known; the span is the whole video then.
    """

    edges: Floats
    spans: Floats = field(default_factory=lambda: np.empty((0, 2)))
    boxes: Floats = field(default_factory=lambda: np.empty((0, 6)))
    track: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    categories: tuple[str, ...] = ()
    masks: Callable[[], Masks] | None = None
    boxed: Masks | None = None
    timed: bool = True

    def __post_init__(self) -> None:
        edges = edges_of(self.edges, len(np.asarray(self.edges)) - 1, "truth")
        if len(edges) < 2:
            raise ValueError("truth: a video has at least one frame")
        spans = np.array(self.spans, np.float64).reshape(-1, 2)
        if (spans[:, 1] <= spans[:, 0]).any():
            raise ValueError("truth: a span ends before it starts")
        boxes = ext.check(np.array(self.boxes, np.float64).reshape(-1, 6), "truth boxes")
        track = track_numbers(self.track, len(boxes))
        if len(track) != len(boxes):
            raise ValueError(f"truth: {len(boxes)} boxes but {len(track)} track numbers")
        if self.categories and len(self.categories) != len(spans):
            raise ValueError(f"truth: {len(spans)} spans but {len(self.categories)} categories")
        freeze(self, edges=edges, spans=spans, boxes=boxes, track=track)

    def __repr__(self) -> str:
        spans = f"{len(self.spans)} spans, {len(self.boxes)} boxes"
        return f"Truth({spans}, {len(self.edges) - 1} frames, {seconds(*self.edges[[0, -1]])})"

    @property
    def label(self) -> int:
        """1 if the video is anomalous."""
        return int(len(self.spans) > 0)

    @property
    def frames(self) -> Masks:
        """The frames ``(F,)`` whose middle is in a span."""
        inside = np.zeros(len(self.edges) - 1, bool)
        rows = np.concatenate([self.spans, np.zeros((len(self.spans), 4))], 1)
        for first, last in ext.frames_of(rows, self.edges):
            inside[first:last] = True
        return inside

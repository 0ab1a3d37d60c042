"""The words that every room speaks: frozen records, checked at birth.

Seconds count from the start of the file; every range is half-open; scores lie in [0, 1], higher = more anomalous.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wherewhen.core import extents as ext
from wherewhen.core.errors import expected
from wherewhen.core.printable import legible

Floats = NDArray[np.float64]
Features = NDArray[np.float32]
Pixels = NDArray[np.uint8]
Masks = NDArray[np.bool_]

ALWAYS = (-float("inf"), float("inf"))
CHUNK = 256  # steps of a heat map that are looked at at once


def unit(vectors: Features) -> Features:
    """Vectors ``(..., D)`` scaled to length 1; zeros stay.

    >>> unit(np.float32([[0, 2], [0, 0]])).tolist()
    [[0.0, 1.0], [0.0, 0.0]]
    """
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: Features = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return scaled


def _span(start: float, end: float) -> str:
    """A span of seconds for a repr."""
    return f"{start:.2f}-{end:.2f} s"


def _by(sizes: tuple[int, ...]) -> str:
    """Sizes for a repr: ``(4, 7, 7)`` as 4x7x7."""
    return "x".join(map(str, sizes))


def _freeze(record: object, **arrays: NDArray[np.generic]) -> None:
    for name, array in arrays.items():
        array.flags.writeable = False
        object.__setattr__(record, name, array)


def _check_detail(detail: Features | None, steps: int, name: str) -> None:
    if detail is not None and (detail.ndim != 3 or len(detail) != steps):
        raise ValueError(f"{name}: expected detail ({steps}, H, W), got {detail.shape}")


def _edges(values: object, steps: int, name: str) -> Floats:
    edges = np.array(values, np.float64)
    if edges.shape != (steps + 1,):
        raise ValueError(f"{name}: {steps} steps have {steps + 1} edges, got shape {edges.shape}")
    if not np.isfinite(edges).all() or (np.diff(edges) <= 0).any():
        raise ValueError(f"{name}: times must be finite and rise")
    return edges


def _answered(span: tuple[float, float], start: float, end: float, name: str) -> tuple[float, float]:
    """The seconds that what shows ``[start, end)`` answers for: all of it, or a span that ends within it."""
    if span == ALWAYS:
        return start, end
    if not span[0] < span[1] or not start < span[1] <= end + ext.TICK:
        raise ValueError(f"{name}: shows [{start}, {end}) s and can't answer for [{span[0]}, {span[1]})")
    return span


@dataclass(frozen=True, slots=True)
class Video:
    """One video (or a span of one, in seconds) with the label of the whole: all that training may know.

    ``label``: 1 = something happens, 0 = nothing does, None = unknown. ``category``: the name of what happens, or of
    several, "a+b". Names hold no character that is not `legible`.
    """

    id: str
    path: Path
    label: int | None = None
    category: str | None = None
    span: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("a video needs an id")
        object.__setattr__(self, "id", legible(self.id))
        object.__setattr__(self, "category", None if self.category is None else legible(self.category))
        if self.label not in (0, 1, None):
            raise ValueError(f"{self.id}: label is 0, 1 or None, got {self.label!r}")
        if self.span is not None and not 0 <= self.span[0] < self.span[1]:
            raise ValueError(f"{self.id}: span must be a rising pair of seconds, got {self.span}")


@dataclass(frozen=True, slots=True)
class Fold:
    """One way to divide a data set: videos to train on and videos to test on.

    ``validation``: ids of those training videos that choose the model instead of being learned from; empty where the
    data set says nothing of it.
    """

    name: str
    train: tuple[Video, ...]
    test: tuple[Video, ...]
    validation: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        known = {v.id for v in self.train}
        shared = known & {v.id for v in self.test}
        if shared:
            raise ValueError(f"fold {self.name}: {', '.join(sorted(shared)[:5])} in train and test")
        if lost := set(self.validation) - known:
            raise ValueError(f"fold {self.name}: {', '.join(sorted(lost)[:5])} to validate on, but not in train")


@dataclass(frozen=True, slots=True)
class Dataset:
    """Labelled videos and the folds that divide them; truth is read apart, by evaluation alone.

    ``default``: the fold that training and evaluation take where none is named; empty = all videos.
    """

    name: str
    videos: tuple[Video, ...]
    folds: tuple[Fold, ...] = ()
    default: str = ""

    def __post_init__(self) -> None:
        if self.default and self.default not in {fold.name for fold in self.folds}:
            raise ValueError(f"{self.name}: there is no fold called {self.default!r}")
        seen: set[str] = set()
        for video in self.videos:
            if video.id in seen:
                raise ValueError(f"{self.name}: two videos are called {video.id!r}")
            seen.add(video.id)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Frame:
    """One picture: uint8 RGB ``(H, W, 3)``, its 0-based number in the source and its time ``[start, end)``."""

    image: Pixels
    index: int
    start: float
    end: float

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8:
            raise ValueError(f"frame {self.index}: expected uint8 (H, W, 3), got {self.image.dtype} {self.image.shape}")
        if not self.start < self.end:
            raise ValueError(f"frame {self.index}: time must advance, got [{self.start}, {self.end})")

    def __repr__(self) -> str:
        height, width = self.image.shape[:2]
        return f"Frame({self.index}, {_span(self.start, self.end)}, {width}x{height})"


@dataclass(frozen=True, eq=False, repr=False)
class Pictures:
    """Pictures in memory as a source: uint8 RGB ``(T, H, W, 3)``, ``rate`` of them per second.

    A list of pictures ``(H, W, 3)`` of one size does as well, as do gray ones ``(H, W)``. ConfigError for anything
    else: numbers from 0 to 1 are not scaled, since nobody can tell whether they were meant so.

    >>> Pictures(np.zeros((50, 48, 64, 3), np.uint8), rate=10)
    Pictures(50 of 64x48, 10 per second)
    """

    images: Pixels
    rate: float = 25.0

    def __post_init__(self) -> None:
        if not (isinstance(self.rate, int | float) and 0 < self.rate < float("inf")):
            raise expected("rate", "pictures per second above 0", self.rate)
        object.__setattr__(self, "images", _stacked(self.images))

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        height, width = self.images[0].shape[:2]
        return f"Pictures({len(self)} of {width}x{height}, {self.rate:g} per second)"

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """What results about them are called."""
        return "pictures"

    @property
    def stem(self) -> str:
        """The same."""
        return self.name


def _stacked(images: Any) -> Pixels:
    wanted = "uint8 RGB pictures (T, H, W, 3), or a list of pictures (H, W, 3) of one size"
    try:
        stack = images if isinstance(images, np.ndarray) else np.stack([np.asarray(image) for image in images])
    except (TypeError, ValueError):
        shapes = sorted({str(np.shape(image)) for image in images}) if isinstance(images, Sequence) else []
        raise expected("pictures", wanted, ", ".join(shapes) or images) from None
    if stack.ndim == 3 and stack.shape[-1] != 3 and stack.dtype == np.uint8:
        stack = np.repeat(stack[..., None], 3, -1)
    if stack.ndim != 4 or stack.shape[-1] != 3 or stack.dtype != np.uint8 or not stack.size:
        raise expected("pictures", wanted, f"{stack.dtype} {stack.shape}")
    return stack


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Clip:
    """Consecutive pictures: uint8 RGB ``(T, H, W, 3)`` and their T + 1 time edges in seconds.

    ``span``: the seconds that the clip answers for, where that is not all that it shows; clips of one video answer for
    no moment twice. It may begin before the first picture.
    """

    images: Pixels
    edges: Floats
    span: tuple[float, float] = ALWAYS

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.shape[3] != 3 or self.images.dtype != np.uint8:
            raise ValueError(f"clip: expected uint8 (T, H, W, 3), got {self.images.dtype} {self.images.shape}")
        edges = _edges(self.edges, len(self.images), "clip")
        _freeze(self, edges=edges)
        object.__setattr__(self, "span", _answered(self.span, float(edges[0]), float(edges[-1]), "clip"))

    def __repr__(self) -> str:
        frames, height, width = self.images.shape[:3]
        return f"Clip({frames} frames, {_span(*self.edges[[0, -1]])}, {width}x{height})"

    @property
    def seconds(self) -> Floats:
        """The seconds from the start of each picture to that of the next: ``(T - 1,)``."""
        return np.diff(self.edges[:-1])

    @property
    def extent(self) -> Floats:
        """The whole picture over the clip's time: ``(6,)``."""
        return np.array([self.edges[0], self.edges[-1], *ext.WHOLE_PICTURE])


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Grid:
    """A backbone's answer to one clip: float32 features ``(t, h, w, D)`` that divide one extent.

    ``edges``: the t + 1 borders of its time steps in seconds; even ones if nobody says. ``span``: the seconds that the
    grid answers for, see `Clip`; grids of one video answer for no moment twice, and what is made of them lies in that
    time. ``detail``: how much moves, on a finer raster ``(t, H, W)``; None where nobody looked. ``boxes``: tracked
    frames that begin before the end of ``span`` and came with no grid before it; empty where nobody asked.
    """

    features: Features
    extent: Floats
    detail: Features | None = None
    boxes: tuple[Boxes, ...] = ()
    edges: Floats = field(default_factory=lambda: np.empty(0))
    span: tuple[float, float] = ALWAYS

    def __post_init__(self) -> None:
        if self.features.ndim != 4:
            raise ValueError(f"grid: expected features (t, h, w, D), got {self.features.shape}")
        start, end = ext.check(np.asarray(self.extent)[None], "grid")[0, :2].tolist()
        steps = len(self.features)
        edges = self.edges if len(self.edges) else np.linspace(start, end, steps + 1)
        _freeze(self, edges=_edges(edges, steps, "grid"))
        object.__setattr__(self, "span", _answered(self.span, start, end, "grid"))
        _check_detail(self.detail, len(self.features), "grid")

    def __repr__(self) -> str:
        size, width = self.features.shape[:3], self.features.shape[3]
        return f"Grid({_by(size)} cells, {width} features, {_span(*self.extent[:2])})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Paths:
    """The ways of instances that move: ``rows``, a box per frame, with the row number of their instance as ``track``.

    ``edges`` ``(F + 1,)``: borders in seconds of all frames that were looked at; where a frame has no row, nobody was.
    """

    rows: Scores
    edges: Floats

    def __post_init__(self) -> None:
        edges = _edges(self.edges, len(np.asarray(self.edges)) - 1, "paths")
        if len(edges) < 2:
            raise ValueError("paths: at least one frame was looked at")
        _freeze(self, edges=edges)

    def __repr__(self) -> str:
        return f"Paths({len(self.rows.values)} boxes, {len(self.edges) - 1} frames, {_span(*self.edges[[0, -1]])})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Instances:
    """What a bag is made of: features ``(N, D)``, extents ``(N, 6)``, track numbers ``(N,)`` (-1 = none).

    ``shape`` is ``(t, h, w)`` where the instances are a regular grid in that order, else None; no time step of a grid
    begins before the one before it ends. ``detail``: how much
    moves in a grid's time steps, on a finer raster ``(t, H, W)``. ``paths``: where instances that move are in each
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
        _check_detail(self.detail, self.shape[0] if self.shape else 0, "instances")
        owners = self.paths.rows.track if self.paths else np.empty(0, np.int64)
        if len(owners) and not 0 <= owners.min() <= owners.max() < len(rows):
            raise ValueError(f"instances: a path belongs to one of {len(rows)} instances, got number {owners.max()}")
        object.__setattr__(self, "features", features)
        object.__setattr__(self, "extents", rows)
        object.__setattr__(self, "track", track)

    def __repr__(self) -> str:
        size = f" ({_by(self.shape)})" if self.shape else ""
        times = _span(self.extents[:, 0].min(), self.extents[:, 1].max()) if len(self.extents) else "no time"
        return f"Instances({len(self.features)}{size}, {self.features.shape[1]} features, {times})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Bag:
    """One labelled video as named views, each a set of instances.

    ``damage``: why they come from less than the whole video; None if all of it was read.
    """

    video: Video
    views: Mapping[str, Instances]
    damage: str | None = None

    def __post_init__(self) -> None:
        if not self.views or any(not len(v.features) for v in self.views.values()):
            raise ValueError(f"{self.video.id}: a bag needs at least one instance in every view")

    def __repr__(self) -> str:
        return f"Bag({self.video.id!r}, {', '.join(f'{name}: {one!r}' for name, one in self.views.items())})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Scores:
    """Numbers with a place: extents ``(N, 6)``, values ``(N,)`` and track numbers ``(N,)`` (-1 = none).

    Rows may be cells, boxes of frames, or tubes (rows that share a track number).
    """

    extents: Floats
    values: Floats
    track: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    def __post_init__(self) -> None:
        rows = ext.check(np.array(self.extents, np.float64).reshape(-1, 6), "scores")
        values = np.array(self.values, np.float64).reshape(-1)
        track = np.array(self.track, np.int64).reshape(-1)
        if not len(track):
            track = np.full(len(rows), -1, np.int64)
        if not len(rows) == len(values) == len(track):
            raise ValueError(f"scores: {len(rows)} extents, {len(values)} values, {len(track)} track numbers")
        if not np.isfinite(values).all():
            raise ValueError("scores: every value must be finite")
        _freeze(self, extents=rows, values=values, track=track)

    def __repr__(self) -> str:
        values = f", {self.values.min():.2f} to {self.values.max():.2f}" if len(self.values) else ""
        return f"Scores({len(self.values)}{values})"

    @classmethod
    def chained(cls, some: Iterable[Scores | Boxes]) -> Scores:
        """The rows of several sets, one after another."""
        sets = list(some)
        if not sets:
            return cls(np.empty((0, 6)), np.empty(0))
        return cls(*(np.concatenate([getattr(one, name) for one in sets]) for name in ("extents", "values", "track")))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Boxes:
    """What was seen in one frame, over ``[start, end)`` seconds: extents ``(N, 6)``, confidence ``(N,)`` in [0, 1].

    ``names``: a class name per row, or empty where nobody knows one. ``track``: ``(N,)`` (-1 = none). ``note``: why
    these boxes are less sure than others, empty where nothing is wrong.
    """

    start: float
    end: float
    extents: Floats = field(default_factory=lambda: np.empty((0, 6)))
    values: Floats = field(default_factory=lambda: np.empty(0))
    names: tuple[str, ...] = ()
    track: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    note: str = ""

    def __post_init__(self) -> None:
        if not self.start < self.end:
            raise ValueError(f"boxes: time must advance, got [{self.start}, {self.end})")
        rows = ext.check(np.array(self.extents, np.float64).reshape(-1, 6), "boxes")
        values = np.array(self.values, np.float64).reshape(-1)
        track = np.array(self.track, np.int64).reshape(-1)
        if not len(track):
            track = np.full(len(rows), -1, np.int64)
        if not len(rows) == len(values) == len(track) or len(self.names) not in (0, len(rows)):
            raise ValueError(
                f"boxes: {len(rows)} extents, {len(values)} values, {len(track)} track numbers, {len(self.names)} names"
            )
        if not ((values >= 0) & (values <= 1)).all():
            raise ValueError("boxes: confidence lies in [0, 1]")
        _freeze(self, extents=rows, values=values, track=track)

    def __repr__(self) -> str:
        return f"Boxes({len(self.values)}, {_span(self.start, self.end)})"


def _finite(values: Features) -> bool:
    """Whether every value is finite; looked at in pieces, since there may be more than memory holds."""
    return all(bool(np.isfinite(values[k : k + CHUNK]).all()) for k in range(0, len(values), CHUNK))


def _elsewhere(values: object) -> bool:
    """Whether values lie in a file, so that they are not copied."""
    mapped = isinstance(values, np.memmap) and values.dtype == np.float32
    return mapped or (hasattr(values, "shape") and not isinstance(values, np.ndarray))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class HeatMap:
    """Scores on a regular grid: values ``(T, h, w)`` over the whole picture, T + 1 time edges in seconds.

    Frame scores are the 1x1 grid. ``detail``: how much moves, on a finer raster ``(T, H, W)``. ``boxes``: for each step
    the scored movers that the map was painted from; None where it was not. ``movers``: for each step the tracked boxes
    of all frames that last in it, not scored; None where nobody looked. Many values may lie in a file: then ``values``
    is mapped, or a `wherewhen.core.spill.Packed`, which is an array to those who ask for steps or for all.
    """

    values: Features
    edges: Floats
    detail: Features | None = None
    boxes: tuple[Scores, ...] | None = None
    movers: tuple[Scores, ...] | None = None

    def __post_init__(self) -> None:
        values = self.values if _elsewhere(self.values) else np.array(self.values, np.float32)
        if values.ndim == 1:
            values = values[:, None, None]
        if values.ndim != 3 or not values.size:
            raise ValueError(f"heat map: expected values (T, h, w), got {values.shape}")
        if isinstance(values, np.ndarray) and not _finite(values):
            raise ValueError("heat map: every value must be finite")
        _check_detail(self.detail, len(values), "heat map")
        for name, own in (("boxes", self.boxes), ("movers", self.movers)):
            if own is not None and len(own) != len(values):
                raise ValueError(f"heat map: {len(values)} steps need {name} for each, got {len(own)}")
        object.__setattr__(self, "values", values)
        if isinstance(values, np.ndarray):
            values.flags.writeable = False
        _freeze(self, edges=_edges(self.edges, len(values), "heat map"))

    def __repr__(self) -> str:
        return f"HeatMap({_by(self.values.shape)}, {_span(*self.edges[[0, -1]])}, peak {self.values.max():.2f})"

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
    """Something that happened: a chain of extents ``(N, 6)`` in time order, one score, and a name if known.

    ``track``: number of the mover whose path it is, -1 where it is nobody's.
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
        _freeze(self, extents=rows)

    def __repr__(self) -> str:
        name = f", {self.category!r}" if self.category else ""
        track = f", track {self.track}" if self.track >= 0 else ""
        return f"Event({_span(self.start, self.end)}, score {self.score:.2f}{name}{track})"

    @property
    def start(self) -> float:
        """When it begins, in seconds."""
        return float(self.extents[0, 0])

    @property
    def end(self) -> float:
        """When it is over, in seconds."""
        return float(self.extents[:, 1].max())


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Prediction:
    """What was found in one video; a part that a method doesn't give is None.

    ``frames``: scores per time step (1x1 heat map). ``heat``: scores per cell. ``boxes``: one row per box and
    frame, graded by score; rows of one tube share a track number. ``events``: what a user is told. ``classes``: the
    frame scores divided among classes, by name (1x1 heat maps); empty where classes aren't told apart.
    """

    frames: HeatMap | None = None
    heat: HeatMap | None = None
    boxes: Scores | None = None
    events: tuple[Event, ...] = ()
    classes: Mapping[str, HeatMap] = field(default_factory=dict)

    def __repr__(self) -> str:
        times = "no scores" if self.frames is None else _span(*self.frames.edges[[0, -1]])
        return f"Prediction({len(self.events)} events, {times})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Truth:
    """What really happens in one video: for evaluation only, out of reach of training.

    ``edges``: F + 1 borders of the F frames in seconds. ``spans``: ``(S, 2)`` seconds. ``boxes``: extents
    ``(N, 6)``, ``track``: ``(N,)`` (-1 = none). ``categories``: a name per span, or empty. ``masks``: reads the
    pixel masks ``(F, H, W)``. ``boxed``: frames ``(F,)`` where a missing box means that there is none; None = all.
    ``timed``: false where only the label is known, and the span is the whole video because nobody said when.
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
        edges = _edges(self.edges, len(np.asarray(self.edges)) - 1, "truth")
        if len(edges) < 2:
            raise ValueError("truth: a video has at least one frame")
        spans = np.array(self.spans, np.float64).reshape(-1, 2)
        if (spans[:, 1] <= spans[:, 0]).any():
            raise ValueError("truth: a span ends before it starts")
        boxes = ext.check(np.array(self.boxes, np.float64).reshape(-1, 6), "truth boxes")
        track = np.array(self.track, np.int64).reshape(-1)
        if not len(track):
            track = np.full(len(boxes), -1, np.int64)
        if len(track) != len(boxes):
            raise ValueError(f"truth: {len(boxes)} boxes but {len(track)} track numbers")
        if self.categories and len(self.categories) != len(spans):
            raise ValueError(f"truth: {len(spans)} spans but {len(self.categories)} categories")
        _freeze(self, edges=edges, spans=spans, boxes=boxes, track=track)

    def __repr__(self) -> str:
        spans = f"{len(self.spans)} spans, {len(self.boxes)} boxes"
        return f"Truth({spans}, {len(self.edges) - 1} frames, {_span(*self.edges[[0, -1]])})"

    @property
    def label(self) -> int:
        """1 if anything happens."""
        return int(len(self.spans) > 0)

    @property
    def frames(self) -> Masks:
        """Which frames ``(F,)`` lie, with their middle, in a span."""
        inside = np.zeros(len(self.edges) - 1, bool)
        rows = np.concatenate([self.spans, np.zeros((len(self.spans), 4))], 1)
        for first, last in ext.frames_of(rows, self.edges):
            inside[first:last] = True
        return inside

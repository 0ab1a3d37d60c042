"""The data of a report; a part without data has no section on the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wherewhen.core.values import Floats, Pixels, Prediction, Truth


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """A named line of points ``x (N,)``, ``y (N,)`` in [0, 1], such as a ROC curve."""

    name: str
    x: Floats
    y: Floats

    def __post_init__(self) -> None:
        x, y = np.array(self.x, np.float64), np.array(self.y, np.float64)
        if x.ndim != 1 or x.shape != y.shape or not len(x):
            raise ValueError(f"curve {self.name}: expected x (N,) and y (N,), got {x.shape} and {y.shape}")
        if not (np.isfinite(x) & np.isfinite(y)).all() or min(x.min(), y.min()) < 0 or max(x.max(), y.max()) > 1:
            raise ValueError(f"curve {self.name}: every point must be between 0 and 1")
        object.__setattr__(self, "x", x)
        object.__setattr__(self, "y", y)


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """An image, uint8 RGB ``(H, W, 3)``, and its caption, also the alternative text."""

    image: Pixels
    caption: str

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8 or not self.image.size:
            got = f"{self.image.dtype} {self.image.shape}"
            raise ValueError(f"picture {self.caption!r}: expected uint8 (H, W, 3), got {got}")


@dataclass(frozen=True, slots=True)
class Example:
    """An example video: its id, why it is shown, and a few pictures of it."""

    video: str
    note: str = ""
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class EventCard:
    """One event for a gallery: its video, ``start`` and ``end`` in seconds, score, and a name if known.

    ``jpeg``: a small picture of it, or empty. ``link``: where it can be watched, relative to the page, or empty.
    """

    video: str
    start: float
    end: float
    score: float
    category: str = ""
    jpeg: bytes = b""
    link: str = ""


@dataclass(frozen=True, slots=True)
class VideoResult:
    """The prediction and, if known, the truth of one video."""

    video: str
    prediction: Prediction
    truth: Truth | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """A small table: ``columns`` are the names of all but the first one, ``rows`` begin with theirs."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) + 1 for row in self.rows):
            raise ValueError(f"facts {self.title!r}: every row needs a name and {len(self.columns)} values")


@dataclass(frozen=True, slots=True)
class ReportData:
    """The content of one page about a training run, an evaluation or a comparison.

    ``rows``: results as ``{"method", "metric", "mean"}`` and perhaps ``"backbone", "std", "n"``, one per number.
    ``trivial``: names of the methods that the others must exceed. ``lower_is_better``: names of such metrics.
    ``quarantine``: path and cause of each video that could not be used. ``settings``: nested as in a config file.
    """

    title: str
    subtitle: str = ""
    notes: Sequence[str] = ()
    facts: Sequence[Facts] = ()
    rows: Sequence[Mapping[str, Any]] = ()
    trivial: frozenset[str] = frozenset()
    lower_is_better: frozenset[str] = frozenset()
    maps: Sequence[Example] = ()
    roc: Sequence[Curve] = ()
    pr: Sequence[Curve] = ()
    best: Sequence[Example] = ()
    worst: Sequence[Example] = ()
    events: Sequence[EventCard] = ()
    videos: Sequence[VideoResult] = ()
    quarantine: Sequence[tuple[str, str]] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    environment: str = ""
    threshold: float = 0.5

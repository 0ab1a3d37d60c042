"""Videos with their labels, and data sets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wherewhen.core.printable import cut, legible
from wherewhen.core.values.arrays import seconds


@dataclass(frozen=True, slots=True, repr=False)
class Video:
    """One video (or a span of one, in seconds) with its label: all that training may use.

    ``label``: 1 = anomalous, 0 = normal, None = unknown. ``category``: the class of the anomaly, or
    several, "a+b". ``camera``: the name of the camera that recorded it, if the data set names one. Names contain
    only `legible` characters.
    """

    id: str
    path: Path
    label: int | None = None
    category: str | None = None
    span: tuple[float, float] | None = None
    camera: str | None = None

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("a video needs an id")
        object.__setattr__(self, "id", legible(self.id))
        object.__setattr__(self, "category", None if self.category is None else legible(self.category))
        object.__setattr__(self, "camera", None if not self.camera else legible(self.camera))
        if self.label not in (0, 1, None):
            raise ValueError(f"{self.id}: label is 0, 1 or None, got {self.label!r}")
        if self.span is not None and not 0 <= self.span[0] < self.span[1]:
            raise ValueError(f"{self.id}: span must be a rising pair of seconds, got {self.span}")

    def __repr__(self) -> str:
        label = "no label" if self.label is None else f"label {self.label}"
        category = f", {cut(self.category, 40)}" if self.category else ""
        camera = f", camera {cut(self.camera, 40)}" if self.camera else ""
        return f"Video({cut(self.id)}, {label}{category}{camera}{f', {seconds(*self.span)}' if self.span else ''})"


@dataclass(frozen=True, slots=True, repr=False)
class Fold:
    """One split of a data set: videos to train on and videos to test on.

    ``validation``: ids of the training videos that select the model and are not trained on; empty where the
    data set defines none.
    """

    name: str
    train: tuple[Video, ...]
    test: tuple[Video, ...]
    validation: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        train_ids = {v.id for v in self.train}
        shared = train_ids & {v.id for v in self.test}
        if shared:
            raise ValueError(f"fold {self.name}: {', '.join(sorted(shared)[:5])} in train and test")
        if lost := set(self.validation) - train_ids:
            raise ValueError(f"fold {self.name}: {', '.join(sorted(lost)[:5])} to validate on, but not in train")

    def __repr__(self) -> str:
        validation = f" ({len(self.validation)} for validation)" if self.validation else ""
        return f"Fold({cut(self.name)}, {len(self.train)} training videos{validation}, {len(self.test)} test videos)"


@dataclass(frozen=True, slots=True, repr=False)
class Dataset:
    """Labelled videos and the folds that divide them; ground truth is read separately, by evaluation only.

    ``default``: the fold that training and evaluation use by default; empty = all videos.
    """

    name: str
    videos: tuple[Video, ...]
    folds: tuple[Fold, ...] = ()
    default: str = ""

    def __post_init__(self) -> None:
        if self.default and self.default not in {fold.name for fold in self.folds}:
            raise ValueError(f"{self.name}: there is no fold called {self.default!r}")
        ids: set[str] = set()
        for video in self.videos:
            if video.id in ids:
                raise ValueError(f"{self.name}: two videos are called {video.id!r}")
            ids.add(video.id)

    def __repr__(self) -> str:
        return f"Dataset({cut(self.name)}, {len(self.videos)} videos, {len(self.folds)} folds)"

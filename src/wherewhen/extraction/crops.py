"""Instances of several crops of each picture as sequences, one per crop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Bag, Instances
from wherewhen.extraction.loading import LazyBags


def sequences(views: Mapping[str, Instances], count: int) -> list[dict[str, Instances]]:
    """The views of each of ``count`` crops of one video, each a sequence of one cell; rows are clip by clip.

    ConfigError where crops have several cells.

    >>> import numpy as np
    >>> times = np.array([[0, 1], [0, 1], [1, 2], [1, 2]])
    >>> rows = Instances(np.float32([[1], [2], [3], [4]]), np.hstack([times, np.tile([0, 0, 1, 1.0], (4, 1))]))
    >>> [crop["cells"].features.tolist() for crop in sequences({"cells": rows}, 2)]
    [[[1.0], [3.0]], [[2.0], [4.0]]]
    """
    _check(views, count)
    return [{name: _sequence(rows, number, count) for name, rows in views.items()} for number in range(count)]


@dataclass(frozen=True)
class CropBags(LazyBags):
    """The crops of videos as bags of their own, video by video; the crops of one video are read once."""

    bags: Sequence[Bag]
    crops: int
    latest: dict[int, list[Bag]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.bags) * self.crops

    def at(self, index: int) -> Bag:
        """One crop of one video."""
        number, crop = divmod(index, self.crops)
        if number not in self.latest:
            self.latest.clear()
            bag = self.bags[number]
            self.latest[number] = [replace(bag, views=views) for views in sequences(bag.views, self.crops)]
        return self.latest[number][crop]


def side_by_side(bag: Bag, count: int) -> Bag:
    """The crops of a video as a grid of one row with one column per crop; ConfigError where crops have several cells.

    >>> import numpy as np
    >>> from pathlib import Path
    >>> from wherewhen.core.values import Video
    >>> rows = Instances(np.ones((2, 3), np.float32), np.tile([0, 1, 0, 0, 1, 1.0], (2, 1)))
    >>> side_by_side(Bag(Video("a", Path("a")), {"cells": rows}), 2).views["cells"].shape
    (1, 1, 2)
    """
    _check(bag.views, count)
    grids = {name: replace(rows, shape=(len(rows.features) // count, 1, count)) for name, rows in bag.views.items()}
    return replace(bag, views=grids)


def _check(views: Mapping[str, Instances], count: int) -> None:
    """ConfigError where crops have several cells."""
    for name, rows in views.items():
        starts = rows.extents[:, 0]
        steps = starts.reshape(-1, count) if len(starts) % count == 0 else starts[:, None]
        if steps.shape[1] != count or (steps != steps[:, :1]).any() or (steps[1:, 0] <= steps[:-1, 0]).any():
            raise ConfigError(
                f"crop_mode separate needs one cell of {name} per clip and crop, and {count} crops: "
                f"--{name}.steps 1 --{name}.rows 1 --{name}.columns 1"
            )


def _sequence(rows: Instances, number: int, count: int) -> Instances:
    features = rows.features[number::count]
    return Instances(features, rows.extents[number::count], rows.track[number::count], (len(features), 1, 1))

"""Training bags packed once into one array, from which batches are indexed without loops."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wherewhen.core.contracts import JOIN, UNNAMED, View, classes_of
from wherewhen.core.spill import SpillFile
from wherewhen.core.values import Bag, Instances, Video

if TYPE_CHECKING:
    import torch

WHOLE = 2**28  # values of packed features that are kept as float32, 1 GiB; more are rounded to float16
MEMORY = 2**31  # values that are kept in memory, 4 GiB as float16; more are in a temporary file below the cache

Summary = Callable[[Instances], Instances]
Batch = tuple[dict[str, View], "torch.Tensor"]


def pooled(instances: Instances, count: int | None) -> Instances:
    """Averages of the held cells over at most ``count`` equal spans of time; shorter bags and those off a grid stay.

    A cell is held where it is not all zeros. (Sultani et al., CVPR 2018: 32 segments.)

    >>> from wherewhen.core import extents as ext
    >>> rows = Instances(np.float32([[1], [3], [0], [5]]), ext.grid([0, 4, 0, 0, 1, 1], (4, 1, 1)), shape=(4, 1, 1))
    >>> pooled(rows, 2).features.tolist()
    [[2.0], [5.0]]
    """
    if not count or instances.shape is None or instances.shape[0] <= count:
        return instances
    steps, height, wide = instances.shape
    first = -(-np.arange(count) * steps // count)  # step k is in span k * count // steps
    features = instances.features.reshape(steps, height * wide, -1)
    held = features.any(-1, keepdims=True)
    members = np.add.reduceat(held, first, axis=0, dtype=np.float32)
    sums = np.add.reduceat(features, first, axis=0) / np.maximum(members, 1)
    extents = instances.extents.reshape(steps, height * wide, 6)
    spans = extents[first].copy()
    spans[..., 1] = extents[np.append(first[1:], steps) - 1, :, 1]
    averages = sums.reshape(count * height * wide, -1).astype(np.float32)
    return Instances(averages, spans.reshape(-1, 6), shape=(count, height, wide))


def some_movers(instances: Instances, most: int | None, seed: tuple[int, ...]) -> Instances:
    """At most so many instances that move, a random subset that follows from the seed, in their order; others stay.

    Wu et al., IJCAI 2021, train with 200 of a video and test with all.
    """
    if most is None or instances.paths is None or len(instances.features) <= most:
        return instances
    rows = np.sort(np.random.default_rng(seed).choice(len(instances.features), most, replace=False))
    return Instances(instances.features[rows], instances.extents[rows], instances.track[rows])


def class_names(videos: Iterable[Video]) -> tuple[str, ...]:
    """Classes of anomalous videos, by name; those without a category are one further class, "a+b" is two.

    >>> from pathlib import Path
    >>> class_names([Video("a", Path("a"), 1, "fight"), Video("b", Path("b"), 0), Video("c", Path("c"), 1)])
    ('fight', 'anomaly')
    """
    names = {name for video in videos if video.label for name in _named(video)}
    return (*sorted(names - {UNNAMED}), *({UNNAMED} & names))


def mixed_names(videos: Iterable[Video]) -> tuple[str, ...]:
    """Several classes that happen in one video, as they come together, joined by "+" in the order of the alphabet.

    >>> from pathlib import Path
    >>> mixed_names([Video("a", Path("a"), 1, "riot+fight"), Video("b", Path("b"), 1, "fight + riot")])
    ('fight+riot',)
    """
    combinations = {_named(video) for video in videos if video.label}
    return tuple(sorted(JOIN.join(names) for names in combinations if len(names) > 1))


def _named(video: Video) -> tuple[str, ...]:
    return classes_of(video.category) or (UNNAMED,)


def label_of(video: Video, names: Sequence[str] = ()) -> float:
    """0 for normal, 1 for anomalous, or where there are names the number of the video's own, from 1 on.

    ``names``: of classes, then of several that come together.
    """
    if not video.label:
        return 0.0
    return 1.0 + names.index(JOIN.join(_named(video))) if names else 1.0


def _room(shape: tuple[int, int]) -> torch.Tensor:
    """An empty array for features, in memory or in a file that vanishes with the process."""
    import torch

    values = shape[0] * shape[1]
    if values <= WHOLE:
        return torch.empty(shape, dtype=torch.float32)
    if values <= MEMORY:
        return torch.empty(shape, dtype=torch.float16)
    file = SpillFile()
    file.reserve(2 * values)
    return torch.from_numpy(file.mapped(np.dtype(np.float16), shape))


@dataclass
class Pack:
    """Bags one after another: ``features`` ``(R, D)``, ``places`` extents and track ``(R, 7)``, ``labels`` ``(B,)``.

    ``starts`` and ``counts`` ``(B,)``: the rows of each bag; ``owners``: the number of the video that it is of. A batch
    is a view into a buffer that the next one reuses.
    """

    view: str
    features: torch.Tensor
    places: torch.Tensor
    labels: torch.Tensor
    starts: torch.Tensor
    counts: torch.Tensor
    shapes: list[tuple[int, int, int] | None]
    owners: list[int]
    device: str
    buffer: torch.Tensor | None = None

    @classmethod
    def of(
        cls,
        bags: Sequence[Bag],
        view: str,
        segments: int | None = None,
        device: str = "cpu",
        raw: Sequence[Bag] | None = None,
        movers: int | None = None,
        seed: int = 0,
        names: Sequence[str] = (),
        summary: Summary | None = None,
        divided: bool = False,
    ) -> Pack:
        """Pack bags, each averaged into ``segments`` spans of time; they are read one by one.

        ``raw``: bags with as many instances that are cheaper to read. ``movers``: instances that move are no more than
        these, chosen by ``seed``. ``names``: of the classes that labels number. ``summary``: one row of each time step.
        ``divided``: each time step of a grid is a bag.
        """
        import torch

        shapes = [_packed_shape(bag.views[view], segments, movers, summary) for bag in raw or bags]
        sizes = [rows for rows, _ in shapes]
        parts = [_steps(*shape) if divided else [shape] for shape in shapes]
        counts = torch.tensor([rows for part in parts for rows, _ in part], dtype=torch.int64)
        width = _width(bags[0].views[view], summary) if len(bags) else 0
        labels = torch.tensor([label_of(bag.video, names) for bag in raw or bags])
        labels = labels.repeat_interleave(torch.tensor([len(part) for part in parts], dtype=torch.int64))
        features, places = _room((sum(sizes), width)), torch.empty(sum(sizes), 7, dtype=torch.float32)
        grids = [shape for part in parts for _, shape in part]
        owners = [number for number, part in enumerate(parts) for _ in part]
        pack = cls(view, features, places, labels, counts.cumsum(0) - counts, counts, grids, owners, device)
        starts = np.cumsum([0, *sizes]).tolist()
        for number, (bag, start, size) in enumerate(zip(bags, starts, sizes, strict=False)):
            rows = some_movers(pooled(bag.views[view], segments), movers, (seed, number))
            rows = summary(rows) if summary else rows
            features[start : start + size] = torch.from_numpy(np.array(rows.features))
            places[start : start + size, :6] = torch.from_numpy(np.array(rows.extents))
            places[start : start + size, 6] = torch.from_numpy(np.array(rows.track))
        return pack

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, chosen: Sequence[int]) -> Batch:
        """The bags with these numbers as a batch, padded to the longest of them."""
        import torch

        picked = torch.tensor(chosen, dtype=torch.int64)
        counts, starts = self.counts[picked], self.starts[picked].tolist()
        size = int(counts.max())
        mask = torch.arange(size) < counts[:, None]
        features = self._buffer(len(chosen) * size).view(len(chosen), size, -1)
        places = self.places.new_empty(len(chosen), size, self.places.shape[1])
        for number, (start, count) in enumerate(zip(starts, counts.tolist(), strict=True)):
            for batch, rows in ((features[number], self.features), (places[number], self.places)):
                batch[:count] = rows[start : start + count]
                batch[count:] = 0
        shapes = tuple(self.shapes[k] for k in chosen)
        to = self.device
        view = View(features.to(to), places[..., :6].to(to), places[..., 6].to(to, torch.int64), mask.to(to), shapes)
        return {self.view: view}, self.labels[picked].to(to)

    def _buffer(self, rows: int) -> torch.Tensor:
        """Room for rows of features as float32 that lives on: fresh memory costs more than the copy itself."""
        import torch

        if self.buffer is None or len(self.buffer) < rows:
            self.buffer = torch.empty(rows, self.features.shape[1], dtype=torch.float32)
        return self.buffer[:rows]


def _width(instances: Instances, summary: Summary | None) -> int:
    """Length of features, after a ``summary``."""
    width: int = (summary(instances) if summary else instances).features.shape[1]
    return width


def _packed_shape(
    instances: Instances, segments: int | None, movers: int | None = None, summary: Summary | None = None
) -> tuple[int, tuple[int, int, int] | None]:
    """Rows and grid of instances after `pooled`, `some_movers` and a ``summary``."""
    if summary:
        steps = instances.shape[0] if instances.shape else 1
        return steps, (steps, 1, 1)
    if movers is not None and instances.paths is not None:
        return min(movers, len(instances.features)), None
    if not segments or instances.shape is None or instances.shape[0] <= segments:
        return len(instances.features), instances.shape
    _, height, wide = instances.shape
    return segments * height * wide, (segments, height, wide)


def _steps(rows: int, shape: tuple[int, int, int] | None) -> list[tuple[int, tuple[int, int, int] | None]]:
    """Rows and grid of each time step of a bag; instances without a grid are one.

    >>> _steps(12, (3, 2, 2)), _steps(5, None)
    ([(4, (1, 2, 2)), (4, (1, 2, 2)), (4, (1, 2, 2))], [(5, None)])
    """
    return [(rows, shape)] if shape is None else [(rows // shape[0], (1, *shape[1:]))] * shape[0]


class Batches:
    """Normalized bags with all their views, drawn in pairs of labels; what a step draws depends on seed and step alone.

    ``segments``: spans of time that longer bags are averaged into. ``movers``: how many instances that move a bag holds
    at most. ``names``: of the classes that labels number from 1 on; without them every anomalous bag has the label 1.
    ``summary``: one row of each time step, for methods that learn from these. ``divided``: each time step is a bag.
    ``versions``: how many bags in a row are of one video; a step draws one of them. ``draws``: how often a video is
    drawn, by its id, for one time that others are; a fraction is that of the steps.
    A batch is good until the next one is drawn; where all bags fit into one, it is packed only once. Iterating gives
    each bag as one batch.
    """

    def __init__(
        self,
        bags: Sequence[Bag],
        views: Iterable[str],
        count: int,
        seed: int,
        device: str,
        segments: int | None = None,
        raw: Sequence[Bag] | None = None,
        movers: int | None = None,
        names: Sequence[str] = (),
        summary: Summary | None = None,
        divided: bool = False,
        versions: int = 1,
        draws: Mapping[str, float] | None = None,
    ) -> None:
        options = (segments, device, raw, movers, seed, names, summary, divided)
        self.packs = [Pack.of(bags, view, *options) for view in views]
        self.count, self.seed, self.versions = count, seed, versions
        self.labels = self.packs[0].labels
        anomalous = self.labels.numpy()[::versions] > 0
        self.pools = [np.flatnonzero(anomalous == kind) for kind in (True, False)]
        often = [draws.get(bag.video.id, 1.0) for bag in raw or bags] if draws else None
        self.often = None if often is None else np.array(often)[self.packs[0].owners][::versions]
        self.last: tuple[list[int], Batch] | None = None

    def __iter__(self) -> Iterator[Batch]:
        return (self._batch([number]) for number in range(len(self.labels)))

    def chosen(self, step: int) -> list[int]:
        """Numbers of the bags of one step: ``count`` videos of each label, or all that there are."""
        rng = np.random.default_rng([self.seed, step])
        pools = self.pools
        if self.often is not None:
            times = np.floor(self.often + rng.random(len(self.often))).astype(int)
            pools = [np.repeat(pool, times[pool]) for pool in pools]
        videos = [k for pool in pools for k in np.sort(pool[rng.permutation(len(pool))[: self.count]]).tolist()]
        if self.versions == 1:
            return videos
        version = rng.integers(self.versions, size=len(videos)).tolist()
        return [self.versions * k + number for k, number in zip(videos, version, strict=True)]

    def draw(self, step: int) -> Batch:
        """The batch of one step."""
        return self.take(self.chosen(step))

    def take(self, chosen: list[int]) -> Batch:
        """These bags as a batch; the same as the last ones are not packed again."""
        if self.last is None or self.last[0] != chosen:
            self.last = chosen, self._batch(chosen)
        return self.last[1]

    def _batch(self, chosen: list[int]) -> Batch:
        parts = [pack.batch(chosen) for pack in self.packs]
        return {name: view for views, _ in parts for name, view in views.items()}, parts[0][1]

    @property
    def sizes(self) -> list[int]:
        """How many rows of the first view each bag is, where longer rows and those of other views count as more."""
        width = max(1, self.packs[0].features.shape[1])
        values = [pack.counts * pack.features.shape[1] for pack in self.packs]
        return [int(total) // width for total in sum(values[1:], values[0])]

    def groups(self, limit: int) -> list[list[int]]:
        """Numbers of bags in as few groups as keep each padded batch below ``limit`` values."""
        return groups((self.labels > 0).tolist(), self.sizes, max(1, limit // max(1, self.packs[0].features.shape[1])))


def groups(labels: Iterable[float], sizes: Sequence[int], limit: int) -> list[list[int]]:
    """Numbers of bags in as few groups as keep each padded batch below ``limit`` rows, both labels in every group.

    >>> groups([1, 1, 0, 0], [5, 5, 5, 5], 10)
    [[0, 2], [1, 3]]
    """
    marks = np.array(list(labels))
    most = min((int((marks == label).sum()) for label in np.unique(marks)), default=1)
    needed = -(-len(sizes) * max(sizes, default=0) // limit)
    number = max(1, min(needed, most))
    order = np.concatenate([np.flatnonzero(marks == label) for label in np.unique(marks)[::-1]])
    turn = np.concatenate([np.arange((marks == label).sum()) for label in np.unique(marks)[::-1]]) % number
    return [np.sort(order[turn == k]).tolist() for k in range(number)]


def thinned(instances: Iterable[Instances], total: int, limit: int) -> list[Instances]:
    """Every k-th time step (or instance, off a grid), so that about ``limit`` of ``total`` values are left, or all."""
    every = -(-total // limit)
    return [part if every <= 1 else _every(part, every) for part in instances]


def _every(instances: Instances, every: int) -> Instances:
    def strided(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        if instances.shape is None:
            return array[::every]
        return array.reshape(instances.shape[0], -1, *array.shape[1:])[::every].reshape(-1, *array.shape[1:])

    shape = instances.shape and (-(-instances.shape[0] // every), *instances.shape[1:])
    return Instances(strided(instances.features), strided(instances.extents), strided(instances.track), shape)

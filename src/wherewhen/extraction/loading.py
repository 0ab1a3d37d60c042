"""Loading of bags: features of each video, computed once; unreadable videos are quarantined."""

from __future__ import annotations

import logging
import os
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import overload

from wherewhen.core.errors import VideoError
from wherewhen.core.progress import track
from wherewhen.core.values import Bag, Video
from wherewhen.extraction.extractor import FeatureSpec
from wherewhen.extraction.feature_cache import bag_of
from wherewhen.video.batch import Quarantine

log = logging.getLogger("wherewhen")

HELD = 2**30  # bytes of features that training keeps in memory


def bags(
    videos: Iterable[Video],
    looks: dict[str, FeatureSpec],
    *,
    quarantine: Quarantine | None = None,
    workers: int | None = None,
    quiet: bool = False,
) -> Iterator[Bag]:
    """Bags with a view per look, in the order of the videos.

    A video that can't be read is noted in ``quarantine`` and left out; without one it raises. What a damaged one lacks
    is told, or it is left out too, as ``quarantine`` has it.
    """
    wanted = list(videos)

    def work(video: Video) -> Bag | VideoError:
        try:
            return bag_of(video, looks)
        except VideoError as error:
            return error

    count = workers or os.cpu_count() or 1
    with ThreadPoolExecutor(count) as pool:
        found = zip(wanted, _in_order(pool, work, wanted, 4 * count), strict=True)
        for video, bag in track(found, "reading videos", len(wanted), quiet=quiet):
            if isinstance(bag, Bag) and (quarantine is None or quarantine.passes(video, bag.damage)):
                yield bag
            elif isinstance(bag, Bag):
                continue
            elif quarantine is None:
                raise bag
            else:
                quarantine.add(video.path, bag.cause)
                log.warning("skipped %s: %s", video.id, bag.cause)


def _in_order(
    pool: ThreadPoolExecutor, work: Callable[[Video], Bag | VideoError], videos: Sequence[Video], waiting: int
) -> Iterator[Bag | VideoError]:
    """What becomes of each video, in their order; no more than so many are begun or wait for their turn."""
    flying: deque[Future[Bag | VideoError]] = deque()
    try:
        for video in videos:
            flying.append(pool.submit(work, video))
            if len(flying) >= waiting:
                yield flying.popleft().result()
        while flying:
            yield flying.popleft().result()
    finally:
        for future in flying:
            future.cancel()


class LazyBags(Sequence[Bag]):
    """Bags that are created on access, for more of them than memory holds; subclasses implement ``at``."""

    @abstractmethod
    def at(self, index: int) -> Bag:
        """One bag, made anew."""

    @overload
    def __getitem__(self, index: int) -> Bag: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Bag]: ...
    def __getitem__(self, index: int | slice) -> Bag | Sequence[Bag]:
        return BagSubset(self, range(len(self))[index]) if isinstance(index, slice) else self.at(index)


@dataclass(frozen=True)
class MappedBags(LazyBags):
    """Bags seen through a function."""

    bags: Sequence[Bag]
    change: Callable[[Bag], Bag]

    def __len__(self) -> int:
        return len(self.bags)

    def at(self, index: int) -> Bag:
        """One bag, changed."""
        return self.change(self.bags[index])


@dataclass(frozen=True)
class BagSubset(LazyBags):
    """Some bags of a sequence, by their numbers."""

    bags: Sequence[Bag]
    numbers: Sequence[int]

    def __len__(self) -> int:
        return len(self.numbers)

    def at(self, index: int) -> Bag:
        """One of the chosen bags."""
        return self.bags[self.numbers[index]]


@dataclass(frozen=True)
class StoredBags(LazyBags):
    """Bags whose features are in a store or the cache, read on access."""

    videos: Sequence[Video]
    looks: Mapping[str, FeatureSpec]

    def __len__(self) -> int:
        return len(self.videos)

    def at(self, index: int) -> Bag:
        """The bag of one video."""
        return bag_of(self.videos[index], self.looks)


def gathered(
    videos: Iterable[Video],
    looks: dict[str, FeatureSpec],
    *,
    quarantine: Quarantine | None = None,
    quiet: bool = False,
    held: int | None = None,
) -> Sequence[Bag]:
    """Bags as `bags` gives them: in memory up to ``held`` bytes (default `HELD`), else read on access."""
    limit = HELD if held is None else held
    known, kept, size = list[Video](), list[Bag](), 0
    for bag in bags(videos, looks, quarantine=quarantine, quiet=quiet):
        known.append(bag.video)
        size += sum(one.features.nbytes + one.extents.nbytes for one in bag.views.values())
        if size <= limit:
            kept.append(bag)
        else:
            kept.clear()
    return kept if size <= limit else StoredBags(known, looks)

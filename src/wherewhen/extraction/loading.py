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

HELD = 2**30  # largest number of bytes of features that training keeps in memory


def bags(
    videos: Iterable[Video],
    specs: dict[str, FeatureSpec],
    *,
    quarantine: Quarantine | None = None,
    workers: int | None = None,
    quiet: bool = False,
) -> Iterator[Bag]:
    """Bags with a view per specification, in the order of the videos.

    Unreadable videos are listed in ``quarantine`` and left out; without a quarantine they raise VideoError. Damage is
    logged, or damaged videos are left out too, by the policy of ``quarantine``.
    """
    all_videos = list(videos)

    def work(video: Video) -> Bag | VideoError:
        try:
            return bag_of(video, specs)
        except VideoError as error:
            return error

    count = workers or os.cpu_count() or 1
    with ThreadPoolExecutor(count) as pool:
        pairs = zip(all_videos, _in_order(pool, work, all_videos, 4 * count), strict=True)
        for video, bag in track(pairs, "reading videos", len(all_videos), quiet=quiet):
            if isinstance(bag, Bag) and (quarantine is None or quarantine.passes(video, bag.damage)):
                yield bag
            elif isinstance(bag, Bag):
                continue
            elif quarantine is None:
                raise bag
            else:
                quarantine.add(video.path, bag.cause, video.id)


def _in_order(
    pool: ThreadPoolExecutor, work: Callable[[Video], Bag | VideoError], videos: Sequence[Video], waiting: int
) -> Iterator[Bag | VideoError]:
    """Results of all videos in order; at most ``waiting`` of them are submitted at a time."""
    futures: deque[Future[Bag | VideoError]] = deque()
    try:
        for video in videos:
            futures.append(pool.submit(work, video))
            if len(futures) >= waiting:
                yield futures.popleft().result()
        while futures:
            yield futures.popleft().result()
    finally:
        for future in futures:
            future.cancel()


class LazyBags(Sequence[Bag]):
    """Bags that are created on access, for more of them than memory holds; subclasses implement ``at``."""

    @abstractmethod
    def at(self, index: int) -> Bag:
        """Create one bag."""

    @overload
    def __getitem__(self, index: int) -> Bag: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Bag]: ...
    def __getitem__(self, index: int | slice) -> Bag | Sequence[Bag]:
        return BagSubset(self, range(len(self))[index]) if isinstance(index, slice) else self.at(index)


@dataclass(frozen=True)
class MappedBags(LazyBags):
    """Bags with a function applied on access."""

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
    specs: Mapping[str, FeatureSpec]

    def __len__(self) -> int:
        return len(self.videos)

    def at(self, index: int) -> Bag:
        """The bag of one video."""
        return bag_of(self.videos[index], self.specs)


def gathered(
    videos: Iterable[Video],
    specs: dict[str, FeatureSpec],
    *,
    quarantine: Quarantine | None = None,
    quiet: bool = False,
    held: int | None = None,
) -> Sequence[Bag]:
    """Bags as `bags` gives them: in memory up to ``held`` bytes (default `HELD`), else read on access."""
    limit = HELD if held is None else held
    read_videos, in_memory, size = list[Video](), list[Bag](), 0
    for bag in bags(videos, specs, quarantine=quarantine, quiet=quiet):
        read_videos.append(bag.video)
        size += sum(view.features.nbytes + view.extents.nbytes for view in bag.views.values())
        if size <= limit:
            in_memory.append(bag)
        else:
            in_memory.clear()
    return in_memory if size <= limit else StoredBags(read_videos, specs)

"""Detection in videos, by a trained model or by prompts.

    frames(source) -> clips -> features(backbone) -> instances(builder) -> scores(method) -> events(localizer)

A file is a camera that ends: `Detector.detect` runs `Detector.stream` to its end.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self, overload

import numpy as np

from wherewhen.core.addresses import Address
from wherewhen.core.errors import expected
from wherewhen.core.values import Boxes, Pictures, Pixels, Prediction, Video
from wherewhen.extraction import sampling
from wherewhen.extraction.assembly import Part
from wherewhen.inference import alarms
from wherewhen.inference.result import Result
from wherewhen.inference.scoring import PredictionJoiner
from wherewhen.video.reader import Damaged
from wherewhen.video.sources import Camera, Source, SourceLike, expand, stem

WANTED = "a path, an address, pictures (T, H, W, 3), or a list of these"


class Detector:
    """Frames in, when and where out.

    A subclass implements `instances` of a source, and `predictions` of these.
    """

    def stream(self, source: sampling.AnySource) -> Iterator[Prediction]:
        """Predictions of a source (or of an open reading) that may never end, a time step at a time."""
        parts, tracks = self.instances(source)
        return self.predictions(parts, tracks)

    @abstractmethod
    def instances(self, source: sampling.AnySource) -> tuple[Iterator[Part], Iterator[Boxes] | None]:
        """Instances of a source, a stretch of time at a time with the name of their view; and tracks for its maps."""

    @abstractmethod
    def predictions(self, parts: Iterable[Part], tracks: Iterable[Boxes] | None = None) -> Iterator[Prediction]:
        """Predictions of instances, a time step at a time, whether they come from a source or from the cache.

        ``tracks``: tracked boxes of the same video, from which events get their boxes.
        """

    @property
    @abstractmethod
    def alarm(self) -> float:
        """The score at which an alarm starts."""

    @abstractmethod
    def with_localizer(self, **settings: Any) -> Self:
        """The same model with other settings of its localizer, such as ``cooldown_seconds=30``.

        ConfigError for one that is unknown.
        """

    def with_threshold(self, threshold: float) -> Self:
        """The same model with an alarm from another score on, in [0, 1]: 0.5 as trained, less for more alarms.

        Scores don't change: compare the frame scores of `detect` with a threshold.
        """
        return self.with_localizer(**alarms.sensitivity(threshold))

    @overload
    def detect(
        self,
        source: SourceLike | Video | Pixels,
        *,
        damaged: Damaged = "keep",
        rate: float = 25.0,
        threshold: float | None = None,
    ) -> Result: ...
    @overload
    def detect(
        self,
        source: list[Any] | tuple[Any, ...],
        *,
        damaged: Damaged = "keep",
        rate: float = 25.0,
        threshold: float | None = None,
    ) -> list[Result]: ...

    def detect(
        self, source: Any, *, damaged: Damaged = "keep", rate: float = 25.0, threshold: float | None = None
    ) -> Result | list[Result]:
        """Detect anomalies in a video: when and where.

        Args:
            source: file, folder of pictures, camera number, address, or pictures in memory, uint8 RGB
                ``(T, H, W, 3)``. A list of sources, a folder of videos or a glob gives a list of results.
            damaged: keep uses a damaged video as far as it can be read; set-aside raises VideoError for it.
            rate: pictures per second of pictures in memory.
            threshold: score from 0 to 1 at which an alarm starts, see `with_threshold`; None: as the model has it.

        Raises:
            VideoError: a source can't be read.
        """
        model = self if threshold is None else self.with_threshold(threshold)
        if isinstance(source, Video):
            return model.detect_one(source.path, damaged)
        sources = sources_of(source, rate)
        many = isinstance(source, list | tuple) and not isinstance(sources[0], Pictures)
        found = [model.detect_one(one, damaged) for one in sources]
        return found if many or len(found) > 1 else found[0]

    def detect_one(self, source: Source, damaged: Damaged = "keep") -> Result:
        """What happens in exactly one video, see `detect`."""
        from wherewhen.video.reader import reading

        with reading(source, damaged=damaged) as one:
            gathered = PredictionJoiner(exact=False)
            for step in self.stream(one):
                gathered.add(step)
            prediction = gathered.whole()
            size = one.info.width, one.info.height
            return Result(stem(one.source), one.source, prediction, one.edges, size, one.damage, self.alarm)


def sources_of(given: Any, rate: float = 25.0) -> list[Source]:
    """The sources that a user's text, path, pictures or list of these mean; ConfigError for anything else.

    >>> [str(one) for one in sources_of(["rtsp://door/1", np.zeros((2, 8, 8, 3), np.uint8)])]
    ['rtsp://door/1', 'pictures']
    """
    if isinstance(given, Pictures):
        return [given]
    if isinstance(given, str | Path | Address | Camera):
        return expand(given)
    if isinstance(given, np.ndarray) or (_listed(given) and all(isinstance(one, np.ndarray) for one in given)):
        single = not isinstance(given, np.ndarray) or given.ndim > 2
        if single and (isinstance(given, np.ndarray) or given[0].ndim < 4):
            return [Pictures(given, rate)]
    if not _listed(given):
        raise expected("source", WANTED, given)
    return [source for one in given for source in sources_of(one, rate)]


def _listed(given: Any) -> bool:
    return isinstance(given, list | tuple) and len(given) > 0

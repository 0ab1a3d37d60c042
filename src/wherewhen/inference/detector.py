"""Detection in videos, with a trained model or with prompts.

    frames(source) -> clips -> features(backbone) -> instances(builder) -> scores(method) -> events(localizer)

Files and live streams are processed alike: `Detector.detect` runs `Detector.stream` to its end.
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

EXPECTED = "a path, an address, pictures (T, H, W, 3), or a list of these"


class Detector:
    """Detection in a source of frames.

    A subclass implements `instances` of a source, and `predictions` of these.
    """

    def stream(self, source: sampling.AnySource) -> Iterator[Prediction]:
        """Predictions of a source, which may be endless, a time step at a time.

        Args:
            source: file, folder of pictures, camera number, address, or an open reading.

        Returns:
            An iterator of predictions; each has the frames, heat map and events that became final in its time step.
        """
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
        """The same model with another threshold of alarms; scores don't change.

        Args:
            threshold: score in [0, 1] at which an alarm starts; 0.5 as trained, lower for more alarms.

        Returns:
            A copy of the model, with the same weights.
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

        Returns:
            Frame scores, heat map and events of the video; a list of these for several sources.

        Raises:
            VideoError: a source can't be read.
        """
        model = self if threshold is None else self.with_threshold(threshold)
        if isinstance(source, Video):
            return model.for_video(source).detect_one(source.path, damaged)
        sources = sources_of(source, rate)
        many = isinstance(source, list | tuple) and not isinstance(sources[0], Pictures)
        results = [model.detect_one(item, damaged) for item in sources]
        return results if many or len(results) > 1 else results[0]

    def for_video(self, video: Video) -> Detector:
        """The same model for the camera that recorded a video, where that makes a difference."""
        return self

    def detect_one(self, source: Source, damaged: Damaged = "keep") -> Result:
        """Detect anomalies in exactly one video, see `detect`."""
        from wherewhen.video.reader import reading

        with reading(source, damaged=damaged) as video:
            joiner = PredictionJoiner(exact=False)
            for step in self.stream(video):
                joiner.add(step)
            prediction = joiner.whole()
            size = video.info.width, video.info.height
            return Result(stem(video.source), video.source, prediction, video.edges, size, video.damage, self.alarm)


def sources_of(value: Any, rate: float = 25.0) -> list[Source]:
    """The sources that a user's text, path, pictures or list of these mean; ConfigError for anything else.

    >>> [str(source) for source in sources_of(["rtsp://door/1", np.zeros((2, 8, 8, 3), np.uint8)])]
    ['rtsp://door/1', 'pictures']
    """
    if isinstance(value, Pictures):
        return [value]
    if isinstance(value, str | Path | Address | Camera):
        return expand(value)
    if isinstance(value, np.ndarray) or (_listed(value) and all(isinstance(item, np.ndarray) for item in value)):
        single = not isinstance(value, np.ndarray) or value.ndim > 2
        if single and (isinstance(value, np.ndarray) or value[0].ndim < 4):
            return [Pictures(value, rate)]
    if not _listed(value):
        raise expected("source", EXPECTED, value)
    return [source for item in value for source in sources_of(item, rate)]


def _listed(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) > 0

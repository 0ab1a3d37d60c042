"""Boxes, tracks and tubes of a video: every stage is an iterator over an iterator, for files and cameras alike.

frames(source) -> every n-th frame -> boxes(proposer) -> tracks(link) -> tubes(built)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from wherewhen.core import registry, tubes
from wherewhen.core.config import build
from wherewhen.core.contracts import ByVideo, Proposer
from wherewhen.core.linking import LinkConfig, link
from wherewhen.core.values import Boxes, Frame, Video
from wherewhen.extraction import sampling
from wherewhen.video.reader import Damaged, Reading
from wherewhen.video.sources import parsed, stem


def proposer(name: str, settings: Mapping[str, Any] | None = None, video: sampling.AnySource | None = None) -> Proposer:
    """The proposer called ``name``; ConfigError for unknown names and settings.

    ``video``: the video, for a proposer that reads a file for each video; VideoError where there is none.
    """
    cls = registry.load("proposals", name)
    source: Proposer = cls(build(cls.Config, settings, name))
    return source if video is None else of_video(source, video)


def of_video(source: Proposer, video: sampling.AnySource) -> Proposer:
    """The same source for one video, where it reads a file for each; a path's id is its name without the extension."""
    if not isinstance(source, ByVideo):
        return source
    if not isinstance(video, Video):
        place = video.source if isinstance(video, Reading) else parsed(video)
        video = Video(stem(place), place if isinstance(place, Path) else Path(place.name))
    bound: Proposer = type(source)(source.config, video)  # type: ignore[call-arg]
    return bound


def strided(frames: Iterable[Frame], stride: int) -> Iterator[Frame]:
    """Every ``stride``-th frame; it lasts until the next one of these, so that time has no gaps."""
    pending: Frame | None = None
    for number, frame in enumerate(frames):
        if number % stride == 0:
            if pending is not None:
                yield pending
            pending = frame
        elif pending is not None:
            pending = replace(pending, end=frame.end)
        if pending is not None and number % stride == stride - 1:
            yield pending
            pending = None
    if pending is not None:
        yield pending


def boxes(video: sampling.AnySource, source: Proposer) -> Iterator[Boxes]:
    """Boxes of a proposer in each frame of a video that it processes; VideoError where the video can't be read."""
    return source(strided(sampling.frames(video, source.clip), source.clip.stride))


def tracked(
    video: sampling.AnySource,
    source: Proposer,
    linking: LinkConfig | None = None,
    damaged: Damaged = "set-aside",
) -> Iterator[Boxes]:
    """The same with track numbers: the source's own where it has them, else those of `linking.link`."""
    yield from followed(sampling.frames(video, source.clip, damaged=damaged), source, linking)


def followed(frames: Iterable[Frame], source: Proposer, linking: LinkConfig | None = None) -> Iterator[Boxes]:
    """Tracked boxes of frames at the rate and size of a proposer."""
    stream = iter(source(strided(frames, source.clip.stride)))
    first = next(stream, None)
    if first is None:
        return
    detections = chain([first], stream)
    yield from detections if source.tracks else link(detections, linking)


def proposed(
    video: sampling.AnySource,
    source: Proposer,
    linking: LinkConfig | None = None,
    making: tubes.TubeConfig | None = None,
) -> Iterator[tubes.Tubes]:
    """Tubes of a video; see `tubes.built`."""
    return tubes.built(tracked(video, source, linking), making)

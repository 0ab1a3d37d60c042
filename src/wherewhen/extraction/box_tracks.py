"""Boxes, tracks and tubes of a video: every stage is an iterator over an iterator, a file is a camera that ends.

frames(source) -> looked at -> boxes(proposer) -> tracks(link) -> tubes(built)
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

    ``video``: whose boxes it is to give, where it reads files of single videos; VideoError where there is none.
    """
    cls = registry.load("proposals", name)
    made: Proposer = cls(build(cls.Config, settings, name))
    return made if video is None else of_video(made, video)


def of_video(source: Proposer, video: sampling.AnySource) -> Proposer:
    """The same source for a video, where it reads files of single videos; a path's id is its name without the end."""
    if not isinstance(source, ByVideo):
        return source
    if not isinstance(video, Video):
        place = video.source if isinstance(video, Reading) else parsed(video)
        video = Video(stem(place), place if isinstance(place, Path) else Path(place.name))
    made: Proposer = type(source)(source.config, video)  # type: ignore[call-arg]
    return made


def looked(frames: Iterable[Frame], stride: int) -> Iterator[Frame]:
    """Every ``stride``-th frame; it lasts until the next one that is looked at, so that time has no holes."""
    held: Frame | None = None
    for number, frame in enumerate(frames):
        if number % stride == 0:
            if held is not None:
                yield held
            held = frame
        elif held is not None:
            held = replace(held, end=frame.end)
        if held is not None and number % stride == stride - 1:
            yield held
            held = None
    if held is not None:
        yield held


def boxes(video: sampling.AnySource, source: Proposer) -> Iterator[Boxes]:
    """What a proposer sees in each frame of a video that it looks at; VideoError where it can't be read."""
    return source(looked(sampling.frames(video, source.clip), source.clip.stride))


def tracked(
    video: sampling.AnySource,
    source: Proposer,
    linking: LinkConfig | None = None,
    damaged: Damaged = "set-aside",
) -> Iterator[Boxes]:
    """The same with track numbers: the source's own where it has them, else those of `linking.link`."""
    yield from followed(sampling.frames(video, source.clip, damaged=damaged), source, linking)


def followed(frames: Iterable[Frame], source: Proposer, linking: LinkConfig | None = None) -> Iterator[Boxes]:
    """Tracked boxes of pictures that come at the rate and size that a proposer wants."""
    stream = iter(source(looked(frames, source.clip.stride)))
    first = next(stream, None)
    if first is None:
        return
    seen = chain([first], stream)
    yield from seen if source.tracks else link(seen, linking)


def proposed(
    video: sampling.AnySource,
    source: Proposer,
    linking: LinkConfig | None = None,
    making: tubes.TubeConfig | None = None,
) -> Iterator[tubes.Tubes]:
    """Tubes of a video; see `tubes.built`."""
    return tubes.built(tracked(video, source, linking), making)

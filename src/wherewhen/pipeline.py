"""The whole toolkit in one sentence; every stage is an iterator over an iterator.

    frames(source) -> clips -> features(backbone) -> instances(builder) -> scores(method) -> events(localizer)

A file is a camera that ends: there is no second path.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from wherewhen.contracts import Backbone, Builder, ClipSpec
from wherewhen.values import Clip, Features, Frame, Grid, HeatMap, Instances, Prediction, Scores, Video

RASTER = 96  # columns of the raster that says what moves: fine enough for a person far away


def frames(video: Video | str | Path, spec: ClipSpec) -> Iterator[Frame]:
    """Pictures of a video (or of its span) at the rate and size that a backbone wants."""
    from wherewhen.video import reader

    path, span = (video.path, video.span) if isinstance(video, Video) else (video, None)
    return reader.frames(path, span=span, rate=spec.rate, width=spec.width)


def clips(pictures: Iterable[Frame], spec: ClipSpec) -> Iterator[Clip]:
    """Cut a stream into clips of ``spec.frames``, a new one every ``spec.stride``.

    Where the end leaves pictures over, the last clip reaches back to be whole; a stream shorter than one clip gives
    one short clip.
    """
    recent: deque[Frame] = deque(maxlen=spec.frames)
    fresh = 0

    def clip() -> Clip:
        edges = [frame.start for frame in recent] + [recent[-1].end]
        return Clip(np.stack([frame.image for frame in recent]), np.array(edges))

    started = False
    for frame in pictures:
        recent.append(frame)
        fresh += 1
        if fresh == (spec.stride if started else spec.frames):
            yield clip()
            started, fresh = True, 0
    if fresh:
        yield clip()


def grids(stream: Iterable[Clip], backbone: Backbone) -> Iterator[Grid]:
    """Features of each clip, and what moves in it."""
    for clip in stream:
        features = backbone(clip.images[None])[0]
        yield Grid(features, clip.extent, moving(clip, len(features)))


def moving(clip: Clip, steps: int) -> Features:
    """How much the picture changes ``(steps, H, W)``: mean absolute difference of gray in [0, 1] on a fine raster."""
    import cv2

    height, width = clip.images.shape[1:3]
    columns = min(RASTER, width)
    rows = max(1, round(columns * height / width))
    gray = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in clip.images]
    changes = [cv2.absdiff(a, b) for a, b in pairwise(gray)] or [np.zeros_like(gray[0])]
    small = np.stack([cv2.resize(c, (columns, rows), interpolation=cv2.INTER_AREA) for c in changes])
    bounds = np.linspace(0, len(small), steps + 1)
    parts = [small[int(a) : max(int(a) + 1, int(np.ceil(b)))] for a, b in pairwise(bounds)]
    mean = np.stack([part.mean(0, dtype=np.float32) / 255 for part in parts])
    return mean.astype(np.float16).astype(np.float32)  # what the cache keeps, so that live is no other than cached


def instances(video: Video | str | Path, backbone: Backbone, builder: Builder) -> Iterator[Instances]:
    """Instances of a video, a clip at a time: what extraction keeps and detection scores."""
    return builder(grids(clips(frames(video, backbone.clip), backbone.clip), backbone))


def joined(parts: Iterable[Instances]) -> Instances:
    """Many stretches of one video as one; ValueError without any."""
    found = list(parts)
    if not found:
        raise ValueError("no instances to join")
    shape = found[0].shape
    if shape is not None and all(p.shape is not None and p.shape[1:] == shape[1:] for p in found):
        shape = (sum(p.shape[0] for p in found if p.shape), *shape[1:])
    else:
        shape = None
    details = [p.detail for p in found if p.detail is not None]
    return Instances(
        np.concatenate([p.features for p in found]),
        np.concatenate([p.extents for p in found]),
        np.concatenate([p.track for p in found]),
        shape,
        np.concatenate(details) if shape and len(details) == len(found) else None,
    )


def heat(scored: Iterable[tuple[Instances, Features]]) -> Iterator[HeatMap]:
    """Scores ``(N,)`` of grids as heat maps, a time step at a time."""
    for cells, values in scored:
        if cells.shape is None:
            raise ValueError("only instances on a grid make a heat map")
        t, h, w = cells.shape
        spans = cells.extents.reshape(t, h * w, 6)[:, 0, :2]
        for index, (span, step) in enumerate(zip(spans, values.reshape(t, h, w), strict=True)):
            yield HeatMap(step[None], span, None if cells.detail is None else cells.detail[index : index + 1])


Scorer = Callable[[Instances], Features]


def scored(parts: Iterable[Instances], score: Scorer, reach: float | None) -> Iterator[tuple[Instances, Features]]:
    """Score instances with as much past and future as the method's ``reach`` (seconds; None = all) asks for.

    What comes out covers the same stretches in the same order; a stretch waits for its future only.
    """
    if reach is None:
        whole = joined(parts)
        yield whole, score(whole)
        return
    if reach == 0:
        for part in parts:
            yield part, score(part)
        return
    window: deque[Instances] = deque()
    waiting: deque[Instances] = deque()

    def settle(part: Instances) -> tuple[Instances, Features]:
        start, end = part.extents[0, 0] - reach, part.extents[-1, 1] + reach
        near = [p for p in window if p.extents[-1, 1] > start and p.extents[0, 0] < end]
        first = sum(len(p.features) for p in near[: next(i for i, p in enumerate(near) if p is part)])
        return part, score(joined(near))[first : first + len(part.features)]

    for part in parts:
        while waiting and waiting[0].extents[-1, 1] + reach <= part.extents[0, 0]:
            yield settle(waiting.popleft())
        start = (waiting[0] if waiting else part).extents[0, 0] - reach
        while window and window[0].extents[-1, 1] <= start:
            window.popleft()
        window.append(part)
        waiting.append(part)
    for part in waiting:
        yield settle(part)


def together(steps: Iterable[Prediction]) -> Prediction:
    """The predictions of all time steps as one; ValueError if there is none."""
    found = list(steps)
    maps = [p for p in found if p.frames is not None and p.heat is not None]
    if not maps:
        raise ValueError("nothing was predicted: the video gave no time step")
    boxes = [p.boxes for p in found if p.boxes is not None]
    edges = np.array([p.frames.edges[0] for p in maps if p.frames] + [maps[-1].frames.edges[-1]])  # type: ignore[union-attr]
    return Prediction(
        HeatMap(np.concatenate([p.frames.values for p in maps if p.frames]), edges),
        HeatMap(np.concatenate([p.heat.values for p in maps if p.heat]), edges),
        Scores(
            np.concatenate([b.extents for b in boxes]),
            np.concatenate([b.values for b in boxes]),
            np.concatenate([b.track for b in boxes]),
        ),
        tuple(sorted((e for p in found for e in p.events), key=lambda e: (e.start, -e.score))),
    )

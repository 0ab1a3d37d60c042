"""Pictures to clips, and clips to features of a backbone; with crops, batches and a gate for static clips."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice, pairwise
from typing import Any

import numpy as np

from wherewhen.core import extents as ext
from wherewhen.core.contracts import Backbone, ClipSpec, StreamingBackbone
from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Clip, Features, Floats, Frame, Grid, Pixels, Video
from wherewhen.video import reader
from wherewhen.video.sources import SourceLike

RASTER = 96  # columns of the raster of motion: fine enough for a distant person
CROP = 7 / 8  # side of a crop as a share of the picture's: 224 of 256
CROPS = (1, 5, 10)

AnySource = Video | SourceLike | reader.Reading


def sizes(spec: ClipSpec, crops: int = 1) -> tuple[int | None, tuple[int, int] | None]:
    """Width, or exact height and width, of the pictures to read, so that each crop has the backbone's size.

    >>> sizes(ClipSpec(16, 16, size=(224, 224)), crops=10)
    (None, (256, 256))
    """
    if spec.middle:
        return None, None
    share = 1.0 if crops == 1 else CROP
    width = None if spec.width is None else round(spec.width / share)
    return (None, (round(spec.size[0] / share), round(spec.size[1] / share))) if spec.size else (width, None)


def frames(video: AnySource, spec: ClipSpec, crops: int = 1, damaged: reader.Damaged = "set-aside") -> Iterator[Frame]:
    """Pictures of a video (or of its span, or of an open reading) at the rate and size of a backbone.

    ``damaged``: as in `reader.frames`; an open reading has its own.
    """
    return (frame for _, frame in _several(video, [reader.Want(spec.rate, *sizes(spec, crops), spec.new)], damaged))


def _several(
    video: AnySource, wants: Sequence[reader.Want], damaged: reader.Damaged = "set-aside"
) -> Iterator[tuple[int, Frame]]:
    if isinstance(video, reader.Reading):
        return video.several(wants)
    path, span = (video.path, video.span) if isinstance(video, Video) else (video, None)
    return reader.several(path, wants, span=span, damaged=damaged)


def shared(video: AnySource, specs: Sequence[ClipSpec], crops: int = 1) -> list[Iterator[Frame]]:
    """Pictures for several consumers, decoded once: each gets those of `frames`, the first one with ``crops``.

    Pictures are buffered for the slowest consumer, so none may run far ahead of the others.
    """
    wants = [reader.Want(spec.rate, *sizes(spec, 1 if k else crops), spec.new) for k, spec in enumerate(specs)]
    unread = _several(video, wants)
    waiting: list[deque[Frame]] = [deque() for _ in specs]

    def taker(index: int) -> Iterator[Frame]:
        while True:
            while waiting[index]:
                yield waiting[index].popleft()
            item = next(unread, None)
            if item is None:
                return
            waiting[item[0]].append(item[1])

    return [taker(number) for number in range(len(specs))]


def clips(pictures: Iterable[Frame], spec: ClipSpec) -> Iterator[Clip]:
    """Cut a stream into clips of ``spec.frames``, a new one every ``spec.stride``.

    Where pictures remain at the end, the last clip starts earlier to be complete, or has these pictures alone if
    ``spec.tail`` is ``short``, or is left out if it is ``drop``; a stream shorter than one clip gives one short clip.

    Each moment belongs to the span of one clip (`Clip.span`). Two overlapping clips each cover half of their overlap. A
    last clip that starts earlier covers only the time that no other clip covers, and a clip after pictures outside any
    clip covers their time too. So the spans cover the whole stream once, except for a dropped tail. A clip is yielded
    with its last picture; overlapping clips with the next picture, or with the next clip if a tail would be dropped.
    """
    recent: deque[Frame] = deque(maxlen=spec.frames)
    border = min((spec.frames + spec.stride) // 2, spec.frames)  # first picture of a clip in the span of the next one
    since, held, fresh, started = None, None, 0, False

    def clip(since: float | None, count: int = spec.frames) -> Clip:
        shown = list(recent)[-count:]
        edges = [frame.start for frame in shown] + [shown[-1].end]
        start = edges[0] if since is None else since
        return Clip(np.stack([frame.image for frame in shown]), np.array(edges), (start, edges[-1]))

    for frame in pictures:
        recent.append(frame)
        fresh += 1
        whole = fresh == (spec.stride if started else spec.frames)
        if held is not None and (whole or spec.tail == "back"):
            begin, since = held.span[0], float(held.edges[border])
            yield replace(held, span=(begin, since))
            held = None
        if whole:
            held, started, fresh = clip(since), True, 0
        if held is not None and border == spec.frames:
            since = held.span[1]
            yield held
            held = None
    if held is not None:
        yield held
    if fresh and not (started and spec.tail == "drop"):
        yield clip(since, fresh if spec.tail == "short" else spec.frames)


def for_video(backbone: Backbone, *, crops: int = 1, gate: float = 0.0) -> Backbone:
    """The backbone for the clips of one video in order, where it keeps states; else the backbone itself.

    ConfigError where it would not get every picture of the video once and in order.
    """
    streaming = backbone.for_video() if isinstance(backbone, StreamingBackbone) else None
    if streaming is not None and (crops != 1 or gate):
        setting, value = ("crops", "1") if crops != 1 else ("gate", "0")
        raise ConfigError(
            f"{type(backbone).__name__.lower()}: the network keeps states, so it needs the whole pictures of all clips "
            f"in order: --{setting} {value}"
        )
    return backbone if streaming is None else streaming


def grids(
    stream: Iterable[Clip],
    backbone: Backbone,
    *,
    crops: int = 1,
    gate: float = 0.0,
    batch: int = 1,
    still: list[tuple[float, float]] | None = None,
) -> Iterator[Grid]:
    """Features of each clip, or of each of its ``crops`` in turn, and (for whole pictures) its motion.

    ``gate``: a clip whose pictures change by fewer gray levels everywhere, or have less contrast, is not processed: its
    features are zeros and its time is added to ``still``. ``batch``: clips or crops per call of the backbone.
    """
    clips_at_once = max(1, batch // crops)
    incoming = iter(stream)
    run = BackboneRunner(for_video(backbone, crops=crops, gate=gate), batch)
    while group := list(islice(incoming, clips_at_once)):
        skipped = [bool(gate) and nothing_new(clip, gate) for clip in group]
        parts_of = [cropped(clip.images, backbone.clip, crops) for clip in group]
        todo = [(clip, parts) for clip, skip, parts in zip(group, skipped, parts_of, strict=True) if not skip]
        seconds = [clip.seconds for clip, parts in todo for _ in parts]
        computed = iter(run([pixels for _, parts in todo for pixels, _ in parts], seconds))
        for clip, skip, parts in zip(group, skipped, parts_of, strict=True):
            if skip and still is not None:
                still.append(clip.span)
            for number, (pixels, place) in enumerate(parts):
                features = run.zeros(pixels) if skip else next(computed)
                if number >= 5:  # mirrored crops: columns are reversed
                    features = np.ascontiguousarray(features[:, :, ::-1])
                extent = np.array([clip.edges[0], clip.edges[-1], *place])
                detail = moving(clip, len(features)) if place == ext.WHOLE_PICTURE else None
                edges = steps(clip, len(features), backbone.clip.changes)
                features, whole = divided(features, backbone.clip)
                yield Grid(features, extent, detail, edges=edges, span=clip.span, whole=whole)


def divided(features: Features, spec: ClipSpec) -> tuple[Features, Features | None]:
    """Features ``(t, h, w, D)`` of cells, and the vectors ``(t, D')`` of whole pictures that came beside them, if any.

    >>> features = np.arange(4, dtype=np.float32).reshape(1, 1, 1, 4)
    >>> [part.tolist() for part in divided(features, ClipSpec(1, 1, whole=1))]
    [[[[[0.0, 1.0, 2.0]]]], [[3.0]]]
    """
    if not spec.whole:
        return features, None
    return np.ascontiguousarray(features[..., : -spec.whole]), features[:, 0, 0, -spec.whole :]


def steps(clip: Clip, count: int, changes: bool = False) -> Floats:
    """The borders ``(count + 1,)`` in seconds of time steps that share a clip's pictures evenly.

    ``changes``: they share the changes from picture to picture; the last step then holds for the last picture too.

    >>> clip = Clip(np.zeros((3, 2, 2, 3), np.uint8), np.array([0.0, 1.0, 2.0, 6.0]))
    >>> steps(clip, 2).tolist(), steps(clip, 2, changes=True).tolist()
    ([0.0, 1.5, 6.0], [0.0, 1.0, 6.0])
    """
    pictures = len(clip.images) - (changes and len(clip.images) > 1)
    borders = np.linspace(0, pictures, count + 1)
    edges: Floats = np.interp(borders, np.arange(len(clip.edges)), clip.edges)
    edges[-1] = clip.edges[-1]
    return edges


def clip_features(backbone: Any, clips: Pixels, seconds: Floats) -> Features:
    """Features of clips ``(B, T, H, W, 3)``; ``seconds`` between pictures for a backbone that takes them."""
    features: Features = backbone(clips, seconds) if backbone.abilities.takes_seconds else backbone(clips)
    return features


class BackboneRunner:
    """Runs a backbone over pictures in batches, and gives zeros of its shapes."""

    def __init__(self, backbone: Backbone, batch: int) -> None:
        self._backbone, self._batch = backbone, batch
        self._shapes: dict[tuple[int, ...], tuple[int, ...]] = {}

    def __call__(self, pictures: Sequence[Pixels], seconds: Sequence[Floats]) -> Iterator[Features]:
        """Features of each clip or crop, in order; ``seconds`` ``(T - 1,)``: between the pictures of each."""
        for start in range(0, len(pictures), self._batch):
            chunk, times = pictures[start : start + self._batch], seconds[start : start + self._batch]
            if any(images.shape != chunk[0].shape for images in chunk):
                computed = [self._run([clip], [intervals])[0] for clip, intervals in zip(chunk, times, strict=True)]
            else:
                computed = list(self._run(chunk, times))
            for images, features in zip(chunk, computed, strict=True):
                self._shapes[images.shape] = features.shape
                yield features

    def _run(self, pictures: Sequence[Pixels], seconds: Sequence[Floats]) -> Features:
        """Features of clips of one shape."""
        clips = pictures[0][None] if len(pictures) == 1 else np.stack(pictures)
        return clip_features(self._backbone, clips, np.stack(seconds))

    def zeros(self, images: Pixels) -> Features:
        """Zeros of the shape of the backbone's features for pictures; a new shape runs the backbone once."""
        if images.shape not in self._shapes:
            self._shapes[images.shape] = self._backbone(images[None])[0].shape
        return np.zeros(self._shapes[images.shape], np.float32)


def cropped(images: Pixels, spec: ClipSpec, crops: int = 1) -> list[tuple[Pixels, tuple[float, ...]]]:
    """The crops of pictures and their places ``(x0, y0, x1, y1)``: corners and middle, then the same mirrored.

    One is the whole picture, or its middle where a backbone's ``spec`` wants that.

    >>> [place for _, place in cropped(np.zeros((1, 48, 64, 3), np.uint8), ClipSpec(1, 1, size=(24, 32), middle=True))]
    [(0.25, 0.25, 0.75, 0.75)]
    """
    if crops == 1 and not spec.middle:
        return [(images, ext.WHOLE_PICTURE)]
    height, width = images.shape[1:3]
    h, w = spec.size or (max(1, round(height * CROP)), max(1, round(width * CROP)))
    h, w = min(h, height), min(w, width)
    down, right = height - h, width - w
    corners = [(0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2)]
    parts: list[tuple[Pixels, tuple[float, ...]]] = []
    for y, x in corners if crops > 1 else corners[-1:]:
        place = (x / width, y / height, (x + w) / width, (y + h) / height)
        parts.append((images[:, y : y + h, x : x + w], place))
    mirrored = [(np.ascontiguousarray(pixels[:, :, ::-1]), place) for pixels, place in parts]
    return parts + mirrored if crops == 10 else parts


def nothing_new(clip: Clip, gate: float) -> bool:
    """Whether the pictures of a clip hold no contrast, or don't change, by ``gate`` gray levels."""
    gray = _grays(clip)
    static = len(gray) > 1 and float(_changes(gray).max()) < gate
    return static or all(float(picture.std()) < gate for picture in gray)


def _grays(clip: Clip) -> list[Pixels]:
    import cv2

    return [np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8) for image in clip.images]


def _changes(gray: Sequence[Pixels]) -> Pixels:
    """Absolute differences of consecutive pictures on a fine raster ``(max(T - 1, 1), H, W)``."""
    import cv2

    height, width = gray[0].shape
    columns = min(RASTER, width)
    rows = max(1, round(columns * height / width))
    changes = [cv2.absdiff(a, b) for a, b in pairwise(gray)] or [np.zeros_like(gray[0])]
    # four at once, as the channels of one picture: the same numbers in less time (two would be rounded otherwise)
    whole = len(changes) // 4 * 4
    groups = [changes[k : k + 4] for k in range(0, whole, 4)] + [[change] for change in changes[whole:]]
    small = [cv2.resize(cv2.merge(group), (columns, rows), interpolation=cv2.INTER_AREA) for group in groups]
    planes = np.concatenate([part.reshape(rows, columns, -1) for part in small], axis=2)
    return np.ascontiguousarray(planes.transpose(2, 0, 1), np.uint8)


def moving(clip: Clip, steps: int) -> Features:
    """Motion ``(steps, H, W)``: mean absolute difference of gray in [0, 1] on a fine raster."""
    small = _changes(_grays(clip))
    bounds = np.linspace(0, len(small), steps + 1)
    parts = [small[int(a) : max(int(a) + 1, int(np.ceil(b)))] for a, b in pairwise(bounds)]
    mean = np.stack([part.mean(0, dtype=np.float32) / 255 for part in parts])
    return mean.astype(np.float16).astype(
        np.float32
    )  # the precision of the cache, so that live and cached features are equal

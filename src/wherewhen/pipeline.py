"""The whole toolkit in one sentence; every stage is an iterator over an iterator.

    frames(source) -> clips -> features(backbone) -> instances(builder) -> scores(method) -> events(localizer)

A file is a camera that ends: there is no second path.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice, pairwise, tee
from pathlib import Path

import numpy as np

from wherewhen import extents as ext
from wherewhen.contracts import Backbone, Builder, ClipSpec
from wherewhen.spool import Spool
from wherewhen.values import (
    Boxes,
    Clip,
    Features,
    Floats,
    Frame,
    Grid,
    HeatMap,
    Instances,
    Paths,
    Pixels,
    Prediction,
    Scores,
    Video,
)

RASTER = 96  # columns of the raster that says what moves: fine enough for a person far away
CROP = 7 / 8  # side of a crop as a share of the picture's: 224 of 256
CROPS = (1, 5, 10)


def sizes(spec: ClipSpec, crops: int = 1) -> tuple[int | None, tuple[int, int] | None]:
    """Width, or exact height and width, of the pictures to read, so that each crop has the size a backbone wants.

    >>> sizes(ClipSpec(16, 16, size=(224, 224)), crops=10)
    (None, (256, 256))
    """
    share = 1.0 if crops == 1 else CROP
    width = None if spec.width is None else round(spec.width / share)
    return (None, (round(spec.size[0] / share), round(spec.size[1] / share))) if spec.size else (width, None)


def frames(video: Video | str | Path, spec: ClipSpec, crops: int = 1) -> Iterator[Frame]:
    """Pictures of a video (or of its span) at the rate and size that a backbone wants."""
    from wherewhen.video import reader

    path, span = (video.path, video.span) if isinstance(video, Video) else (video, None)
    width, size = sizes(spec, crops)
    return reader.frames(path, span=span, rate=spec.rate, width=width, size=size)


def shared(video: Video | str | Path, specs: Sequence[ClipSpec], crops: int = 1) -> list[Iterator[Frame]]:
    """Pictures for several takers, decoded once: each gets what `frames` gives, the first one in ``crops``.

    Pictures wait for who is behind; so nobody may run far ahead of the others.
    """
    from wherewhen.video import reader

    path, span = (video.path, video.span) if isinstance(video, Video) else (video, None)
    wants = [reader.Want(spec.rate, *sizes(spec, 1 if k else crops)) for k, spec in enumerate(specs)]
    coming = reader.several(path, wants, span=span)
    waiting: list[deque[Frame]] = [deque() for _ in specs]

    def taker(own: int) -> Iterator[Frame]:
        while True:
            while waiting[own]:
                yield waiting[own].popleft()
            came = next(coming, None)
            if came is None:
                return
            waiting[came[0]].append(came[1])

    return [taker(number) for number in range(len(specs))]


def clips(pictures: Iterable[Frame], spec: ClipSpec) -> Iterator[Clip]:
    """Cut a stream into clips of ``spec.frames``, a new one every ``spec.stride``.

    Where the end leaves pictures over, the last clip reaches back to be whole, or there is none if ``spec.tail`` says
    ``drop``; a stream shorter than one clip gives one short clip.
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
    if fresh and not (started and spec.tail == "drop"):
        yield clip()


def grids(
    stream: Iterable[Clip],
    backbone: Backbone,
    *,
    crops: int = 1,
    gate: float = 0.0,
    batch: int = 1,
    still: list[tuple[float, float]] | None = None,
) -> Iterator[Grid]:
    """Features of each clip, or of each of its ``crops`` in turn, and (of whole pictures) what moves in it.

    ``gate``: a clip whose pictures don't differ by that many gray levels anywhere, or hold no contrast of that much,
    is not looked at: its features are zeros and its time is added to ``still``. ``batch``: how many clips or crops
    the backbone is given at once.
    """
    clips_at_once = max(1, batch // crops)
    incoming = iter(stream)
    run = Looker(backbone, batch)
    while group := list(islice(incoming, clips_at_once)):
        shut = [bool(gate) and nothing_new(clip, gate) for clip in group]
        cut = [_cut(clip.images, backbone.clip.size, crops) for clip in group]
        seen = iter(run([pixels for skip, parts in zip(shut, cut, strict=True) if not skip for pixels, _ in parts]))
        for clip, skip, parts in zip(group, shut, cut, strict=True):
            if skip and still is not None:
                still.append((float(clip.edges[0]), float(clip.edges[-1])))
            for number, (pixels, place) in enumerate(parts):
                features = run.zeros(pixels) if skip else next(seen)
                if number >= 5:  # mirrored: what was seen on the left lies on the right
                    features = np.ascontiguousarray(features[:, :, ::-1])
                extent = np.array([clip.edges[0], clip.edges[-1], *place])
                yield Grid(features, extent, moving(clip, len(features)) if crops == 1 else None)


class Looker:
    """Runs a backbone over pictures, as many at once as a batch has; knows what its zeros look like."""

    def __init__(self, backbone: Backbone, batch: int) -> None:
        self._backbone, self._batch = backbone, batch
        self._shapes: dict[tuple[int, ...], tuple[int, ...]] = {}

    def __call__(self, pictures: Sequence[Pixels]) -> Iterator[Features]:
        """Features of each clip or crop, in order."""
        for start in range(0, len(pictures), self._batch):
            chunk = pictures[start : start + self._batch]
            if any(images.shape != chunk[0].shape for images in chunk):
                found = [self._backbone(images[None])[0] for images in chunk]
            else:
                found = list(self._backbone(chunk[0][None] if len(chunk) == 1 else np.stack(chunk)))
            for images, features in zip(chunk, found, strict=True):
                self._shapes[images.shape] = features.shape
                yield features

    def zeros(self, images: Pixels) -> Features:
        """What the backbone would give if it saw nothing in them; the first time it has to look."""
        if images.shape not in self._shapes:
            self._shapes[images.shape] = self._backbone(images[None])[0].shape
        return np.zeros(self._shapes[images.shape], np.float32)


def _cut(images: Pixels, size: tuple[int, int] | None, crops: int) -> list[tuple[Pixels, tuple[float, ...]]]:
    """The crops of pictures and their places ``(x0, y0, x1, y1)``: corners and middle, then the same mirrored."""
    if crops == 1:
        return [(images, ext.WHOLE_PICTURE)]
    height, width = images.shape[1:3]
    h, w = (max(1, round(height * CROP)), max(1, round(width * CROP))) if size is None else size
    down, right = height - h, width - w
    corners = [(0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2)]
    found: list[tuple[Pixels, tuple[float, ...]]] = []
    for y, x in corners:
        place = (x / width, y / height, (x + w) / width, (y + h) / height)
        found.append((images[:, y : y + h, x : x + w], place))
    mirrored = [(np.ascontiguousarray(pixels[:, :, ::-1]), place) for pixels, place in found]
    return found + mirrored if crops == 10 else found


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
    """How much the picture changes ``(steps, H, W)``: mean absolute difference of gray in [0, 1] on a fine raster."""
    small = _changes(_grays(clip))
    bounds = np.linspace(0, len(small), steps + 1)
    parts = [small[int(a) : max(int(a) + 1, int(np.ceil(b)))] for a, b in pairwise(bounds)]
    mean = np.stack([part.mean(0, dtype=np.float32) / 255 for part in parts])
    return mean.astype(np.float16).astype(np.float32)  # what the cache keeps, so that live is no other than cached


def instances(
    video: Video | str | Path, backbone: Backbone, builder: Builder, *, crops: int = 1, gate: float = 0.0
) -> Iterator[Instances]:
    """Instances of a video, a clip at a time: what extraction keeps and detection scores."""
    seen = grids(clips(frames(video, backbone.clip, crops), backbone.clip), backbone, crops=crops, gate=gate)
    return built(seen, builder, crops)


Part = tuple[str, Instances]


def views(
    pictures: Iterable[Frame],
    backbone: Backbone,
    builders: Mapping[str, Builder],
    boxes: Mapping[str, Iterable[Boxes]] | None = None,
    *,
    crops: int = 1,
    gate: float = 0.0,
) -> Iterator[Part]:
    """Instances of pictures as several views, each a stretch of time at a time with the name of its view.

    ``boxes``: tracked frames of the same video for the views that want to see them.
    """
    return several(
        grids(clips(pictures, backbone.clip), backbone, crops=crops, gate=gate), builders, crops, boxes=boxes
    )


def accompanied(stream: Iterable[Grid], boxes: Iterable[Boxes]) -> Iterator[Grid]:
    """Grids with the tracked frames that begin before their end, each frame with one grid; a grid waits for them."""
    coming = iter(boxes)
    held = next(coming, None)
    for grid in stream:
        own = []
        while held is not None and held.start < grid.extent[1] - ext.TICK:
            own.append(held)
            held = next(coming, None)
        yield replace(grid, boxes=tuple(own))


def hand_in_hand(parts: Iterable[Part], boxes: Iterable[Boxes] | None) -> tuple[Iterator[Part], Iterator[Boxes] | None]:
    """The same two streams, where boxes are drawn as parts come; so pictures that wait for them stay few.

    A method may look at all parts before its first map asks for a box.
    """
    if boxes is None:
        return iter(parts), None
    coming, drawn = iter(boxes), deque[Boxes]()

    def passed() -> Iterator[Part]:
        last = -np.inf
        for part in parts:
            while last < _end(part[1]) and (own := next(coming, None)) is not None:
                drawn.append(own)
                last = own.start
            yield part

    def told() -> Iterator[Boxes]:
        while (own := drawn.popleft() if drawn else next(coming, None)) is not None:
            yield own

    return passed(), told()


def beside(maps: Iterable[HeatMap], boxes: Iterable[Boxes] | None) -> Iterator[HeatMap]:
    """Maps that start in rising order with the tracked boxes of all frames of their steps; a map waits for them.

    None leaves maps as they are. A box without a track number is nobody's and left out.
    """
    if boxes is None:
        yield from maps
        return
    coming, held = iter(boxes), deque[tuple[float, float, Scores]]()
    for piece in maps:
        while held and held[0][1] <= piece.edges[0] + ext.TICK:
            held.popleft()
        while not held or held[-1][0] < piece.edges[-1] - ext.TICK:
            if (own := next(coming, None)) is None:
                break
            held.append((own.start, own.end, _movers(own)))
        movers = (
            Scores.chained([rows for start, end, rows in held if start < b - ext.TICK and end > a + ext.TICK])
            for a, b in pairwise(piece.edges)
        )
        yield replace(piece, movers=tuple(movers))


def _movers(boxes: Boxes) -> Scores:
    """The tracked boxes of a frame, for as long as it lasts."""
    own = boxes.track >= 0
    rows = boxes.extents[own]
    rows[:, :2] = boxes.start, boxes.end
    return Scores(rows, boxes.values[own], boxes.track[own])


def several(
    stream: Iterable[Grid],
    builders: Mapping[str, Builder],
    crops: int = 1,
    boxes: Mapping[str, Iterable[Boxes]] | None = None,
) -> Iterator[Part]:
    """What several builders make of the same grids, which are made once; whoever has seen least goes on first.

    ``boxes``: what grids come with, for each builder that wants to see any.
    """
    pulled = dict.fromkeys(builders, 0)
    sights = boxes or {}

    def counted(name: str, grids: Iterator[Grid]) -> Iterator[Grid]:
        for grid in grids:
            pulled[name] += 1
            yield grid

    copies = zip(builders.items(), tee(stream, len(builders)), strict=True)
    told = {
        name: (builder, accompanied(copy, sights[name]) if name in sights else copy) for (name, builder), copy in copies
    }
    running = {name: built(counted(name, copy), builder, crops) for name, (builder, copy) in told.items()}
    while running:
        name = min(running, key=lambda one: pulled[one])
        part = next(running[name], None)
        if part is None:
            del running[name]
        else:
            yield name, part


def built(stream: Iterable[Grid], builder: Builder, crops: int = 1) -> Iterator[Instances]:
    """Instances of grids; those of all crops of a clip come together and have no grid in common."""
    if crops == 1:
        yield from builder(stream)
        return
    pulled = 0

    def counted() -> Iterator[Grid]:
        nonlocal pulled
        for grid in stream:
            pulled += 1
            yield grid

    waiting: list[Instances] = []
    for part in builder(counted()):
        waiting.append(replace(part, shape=None, detail=None))
        if pulled % crops == 0:
            yield joined(waiting)
            waiting = []
    if waiting:
        yield joined(waiting)


class Joined:
    """Many stretches of one video as one, while they come; what grows large lies in a file."""

    def __init__(self) -> None:
        self.features, self.extents, self.track, self.detail = Spool(), Spool(), Spool(), Spool()
        self.shapes: list[tuple[int, int, int] | None] = []
        self.ways, self.edges = list[Scores](), list[Floats]()

    def add(self, part: Instances) -> None:
        """The next stretch."""
        if part.paths is not None:
            rows = part.paths.rows
            self.ways.append(Scores(rows.extents, rows.values, rows.track + self.features.rows))
            self.edges.append(part.paths.edges)
        self.features.append(part.features)
        self.extents.append(part.extents)
        self.track.append(part.track)
        if part.detail is not None and self.detail.rows == sum(shape[0] for shape in self.shapes if shape):
            self.detail.append(part.detail)
        self.shapes.append(part.shape)

    def whole(self) -> Instances:
        """All stretches as one; ValueError without any."""
        if not self.shapes:
            raise ValueError("no instances to join")
        grids = [shape for shape in self.shapes if shape is not None]
        even = len(grids) == len(self.shapes) and len({shape[1:] for shape in grids}) == 1
        shape = (sum(steps for steps, _, _ in grids), *grids[0][1:]) if even else None
        detail = self.detail.whole() if shape and self.detail.rows == shape[0] else None
        paths = Paths(Scores.chained(self.ways), _borders(self.edges)) if len(self.ways) == len(self.shapes) else None
        return Instances(self.features.whole(), self.extents.whole(), self.track.whole(), shape, detail, paths)


def joined(parts: Iterable[Instances]) -> Instances:
    """Many stretches of one video as one; ValueError without any."""
    made = Joined()
    for part in parts:
        made.add(part)
    return made.whole()


def _borders(stretches: Sequence[Floats]) -> Floats:
    """The borders of all frames of stretches that follow each other."""
    return np.concatenate([*(edges[:-1] for edges in stretches), stretches[-1][-1:]])


Scorer = Callable[[Mapping[str, Instances]], Features]


def scored(
    parts: Iterable[Part], score: Scorer, reach: float | None, names: Sequence[str]
) -> Iterator[tuple[Instances, Features]]:
    """Score the first of the named views with as much past and future of all of them as ``reach`` asks for.

    ``reach``: in seconds, None = all. What comes out covers the same stretches of the first view in the same order; a
    stretch waits until every view has come as far as it reaches. ValueError where a view has nothing there.
    """
    first = names[0]
    if reach is None:
        found: dict[str, list[Instances]] = {name: [] for name in names}
        for name, part in parts:
            found[name].append(part)
        whole = {name: joined(some) for name, some in found.items()}
        yield whole[first], score(whole)
        return
    if reach == 0 and len(names) == 1:
        for name, part in parts:
            yield part, score({name: part})
        return
    yield from _as_far_as(parts, score, reach, names)


def _as_far_as(
    parts: Iterable[Part], score: Scorer, reach: float, names: Sequence[str]
) -> Iterator[tuple[Instances, Features]]:
    first = names[0]
    windows: dict[str, deque[Instances]] = {name: deque() for name in names}
    come = dict.fromkeys(names, -np.inf)  # what is still to come of a view begins no earlier
    waiting: deque[Instances] = deque()

    def settle(part: Instances) -> tuple[Instances, Features]:
        start, end = _start(part) - reach, _end(part) + reach
        near = {name: [p for p in some if _end(p) > start and _start(p) < end] for name, some in windows.items()}
        if missing := [name for name, some in near.items() if not some]:
            raise ValueError(f"no {missing[0]} from {start:.2f} s to {end:.2f} s, which {first} there need")
        before = sum(len(p.features) for p in near[first][: next(i for i, p in enumerate(near[first]) if p is part)])
        values = score({name: joined(some) for name, some in near.items()})
        return part, values[before : before + len(part.features)]

    for name, part in parts:
        come[name] = _start(part)
        while waiting and _end(waiting[0]) + reach <= min(come.values()):
            yield settle(waiting.popleft())
        past = (_start(waiting[0]) if waiting else come[first]) - reach
        for window in windows.values():
            while window and _end(window[0]) <= past:
                window.popleft()
        windows[name].append(part)
        if name == first:
            waiting.append(part)
    for part in waiting:
        yield settle(part)


def _start(part: Instances) -> float:
    return float(part.extents[0, 0])


def _end(part: Instances) -> float:
    return float(part.extents[:, 1].max())


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
        Scores.chained(boxes),
        tuple(sorted((e for p in found for e in p.events), key=lambda e: (e.start, -e.score))),
        {name: HeatMap(np.concatenate([p.classes[name].values for p in maps]), edges) for name in maps[0].classes},
    )

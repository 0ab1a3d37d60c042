"""Features of movers: their boxes are cropped from the pictures, and the backbone processes the crops as clips."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import tee
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from wherewhen.core import extents as ext
from wherewhen.core.contracts import Backbone, Builder, BuilderAbilities, ClipSpec, RoiSpec, TrackSource
from wherewhen.core.errors import ConfigError
from wherewhen.core.spill import SpillFile
from wherewhen.core.values import Clip, Features, Floats, Frame, Grid, Instances, Pixels, unit
from wherewhen.extraction import sampling
from wherewhen.runtime.network import fitted, resized

SIDE = 112  # px of a crop for a backbone without a fixed size
IN_MEMORY = 2**26  # bytes of buffered pictures in memory, 64 MiB; the rest is in a file
MOST = 2**33  # bytes of buffered pictures in all, 8 GiB
_NOTHING: Pixels = np.empty((0, 0, 3), np.uint8)


def roi_specs(builders: Mapping[str, Builder]) -> dict[str, RoiSpec]:
    """The builders whose instances are cropped, and how."""
    return {name: builder.roi for name, builder in builders.items() if builder.roi is not None}


def of_backbone(builders: Mapping[str, Builder]) -> dict[str, RoiSpec]:
    """Those whose crops the backbone processes, and not a network of joints."""
    return {name: roi for name, roi in roi_specs(builders).items() if roi.pose is None}


def specs(builders: Mapping[str, Builder], spec: ClipSpec) -> dict[str, ClipSpec]:
    """Sharper pictures for those builders: at the rate of a backbone's ``spec`` or of joints, and the ROI's width."""
    return {
        name: ClipSpec(1, 1, roi.pose.rate if roi.pose else spec.rate, roi.width)
        for name, roi in roi_specs(builders).items()
    }


def shared(needed: Mapping[str, ClipSpec], streams: Mapping[ClipSpec, Iterator[Frame]]) -> dict[str, Iterator[Frame]]:
    """The pictures of each builder, from one stream per kind of pictures."""
    branches, by_builder = dict(streams), {}
    for name, spec in needed.items():
        branches[spec], by_builder[name] = tee(branches[spec])
    return by_builder


def with_crops(
    builders: Mapping[str, Builder],
    backbone: Backbone,
    pictures: Mapping[str, Iterable[Frame]],
    *,
    batch: int = 1,
    gate: float = 0.0,
    patient: bool = False,
) -> dict[str, Builder]:
    """The same builders, where those with regions for the backbone get crops of their ``pictures``.

    ``batch``: clips per call of the backbone. ``patient``: instances wait until a batch is full, as for files; for
    cameras they are complete at the end of their window. ``gate``: as for whole pictures, see `sampling.grids`.
    """
    result = dict(builders)
    for name, roi in of_backbone(builders).items():
        result[name] = RoiFeatures(builders[name], roi, backbone, pictures[name], batch, gate, patient)
    return result


class AppendedFeatures:
    """A builder that adds features to the instances of another one: boxes and delay are those of the other."""

    builder: Builder

    @property
    def track_source(self) -> TrackSource | None:
        """The boxes that the other builder needs."""
        return self.builder.track_source

    @property
    def wait(self) -> float:
        """Delay of the other builder in seconds."""
        return self.builder.wait


@dataclass
class RoiFeatures(AppendedFeatures):
    """A builder that adds features of crops to the instances of another builder, for one video.

    The features of an instance are the mean over all cells of its crops' clips that are not all zeros (or over their
    vectors of whole pictures, where the backbone gives these), followed by the features of the other builder.
    """

    Config: ClassVar[type] = RoiSpec
    abilities: ClassVar[BuilderAbilities] = BuilderAbilities()

    builder: Builder
    roi: RoiSpec
    backbone: Backbone
    pictures: Iterable[Frame]
    batch: int = 1
    gate: float = 0.0
    patient: bool = False

    def __call__(self, grids: Iterable[Grid]) -> Iterator[Instances]:
        """The instances with their features, in order of input."""
        if sampling.for_video(self.backbone) is not self.backbone:
            raise ConfigError(
                "file: the network keeps states, so it needs the whole pictures of a video: --tubes.features pool"
            )
        run, roll = sampling.BackboneRunner(self.backbone, self.batch), FrameBuffer()
        waiting: deque[_Sums] = deque()
        clips: list[tuple[_Sums, int, Pixels, Floats]] = []

        def process() -> None:
            features = run([pixels for *_, pixels, _ in clips], [seconds for *_, seconds in clips])
            for (sums, number, *_), cells in zip(clips, features, strict=True):
                sums.add(number, self._cells(cells))
            clips.clear()

        for part in self.builder(roll.along(grids, self.pictures)):
            sums = _Sums(part)
            waiting.append(sums)
            for number, clip in self._clips(part, roll):
                pixels = fitted(clip.images[None], self.spec, type(self.backbone).__name__)[0]
                sums.left += 1
                if self.gate and sampling.nothing_new(clip, self.gate):
                    sums.add(number, self._cells(run.zeros(pixels)))
                    continue
                lengths = np.diff(clip.edges)  # of the pictures; the last one may be repeated
                clips.append((sums, number, pixels, np.pad(lengths, (0, len(pixels) - len(lengths)), "edge")[:-1]))
                if len(clips) >= self.batch:
                    process()
            if not self.patient:
                process()
            while waiting and not waiting[0].left:
                yield waiting.popleft().whole(self.roi)
        process()
        for sums in waiting:
            yield sums.whole(self.roi)

    def _cells(self, features: Features) -> Features:
        """The cells ``(t, h, w, D)`` of a crop; one, the vector of the whole crop, where the backbone gives that."""
        cells, whole = sampling.divided(features, self.backbone.clip)
        return cells if whole is None else whole[:, None, None]

    @property
    def spec(self) -> ClipSpec:
        """The clips of crops: the backbone's, with a fixed size."""
        clip = self.backbone.clip
        return replace(clip, size=clip.size or (SIDE, SIDE))

    def _clips(self, part: Instances, roll: FrameBuffer) -> Iterator[tuple[int, Clip]]:
        """The clips of each instance of a stretch, one after the other; then its pictures are removed."""
        size = self.spec.size or (SIDE, SIDE)
        for number, boxes in boxes_of(part, self.roi.margin):
            for clip in sampling.clips(_crops(roll, boxes, size), self.backbone.clip):
                yield number, clip
        if part.paths is not None:
            roll.forget(float(part.paths.edges[-1]))


def boxes_of(part: Instances, margin: float) -> Iterator[tuple[int, Floats]]:
    """The boxes ``(n, 6)`` of each instance in order of time, enlarged; ValueError where there are none."""
    if part.paths is None:
        raise ValueError("crops need the paths of instances")
    rows, owner = ext.widened(part.paths.rows.extents, margin), part.paths.rows.track
    order = np.lexsort((rows[:, 0], owner))
    borders = np.searchsorted(owner[order], np.arange(1, len(part.extents)))
    for number, indices in enumerate(np.split(order, borders)):
        yield number, rows[indices]


def _crops(roll: FrameBuffer, boxes: Floats, size: tuple[int, int]) -> Iterator[Frame]:
    """The crops of a mover's boxes ``(n, 6)``, in order of time, from the pictures of its time."""
    for frame, box in roll.along_path(boxes):
        yield replace(frame, image=resized(cut(frame.image, box), *size))


def cut(image: Pixels, box: Floats) -> Pixels:
    """The pixels ``(h, w, 3)`` of a picture that an extent ``(6,)`` touches; at least one, however small it is.

    >>> cut(np.zeros((48, 64, 3), np.uint8), np.array([0, 1, 0.25, 0.5, 0.5, 0.75])).shape
    (12, 16, 3)
    """
    sides = []
    for low, high, length in zip(box[2:4], box[4:], image.shape[1::-1], strict=True):
        first = min(max(int(np.floor(low * length + 1e-6)), 0), length - 1)
        sides.append(slice(first, min(max(int(np.ceil(high * length - 1e-6)), first + 1), length)))
    return image[sides[1], sides[0]]


@dataclass
class _Sums:
    """Instances whose clips are being processed: sums of cells, and the number of cells that are not all zeros.

    ``left``: number of clips not processed yet.
    """

    part: Instances
    left: int = 0
    sums: Floats = field(default_factory=lambda: np.empty((0, 0)))
    held: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    def add(self, number: int, features: Features) -> None:
        """Add the features ``(t, h, w, D)`` of a clip of one instance."""
        cells = features.reshape(-1, features.shape[-1])
        if not len(self.held):
            count = len(self.part.extents)
            self.sums, self.held = np.zeros((count, cells.shape[1])), np.zeros(count, np.int64)
        self.sums[number] += cells.sum(0, dtype=np.float64)
        self.held[number] += int(cells.any(1).sum())
        self.left -= 1

    def whole(self, roi: RoiSpec) -> Instances:
        """The instances with mean features, of unit length or not; ValueError where there was no picture."""
        if not len(self.held):
            raise ValueError("movers without pictures: their boxes begin after the last one")
        mean = (self.sums / np.maximum(self.held, 1)[:, None]).astype(np.float32)
        mean = unit(mean) if roi.l2 else mean
        features = np.concatenate([mean, self.part.features], 1)
        return replace(self.part, features=features, paths=None if roi.fixed else self.part.paths)


class FrameBuffer:
    """Buffered pictures of one size, in order; those beyond ``in_memory`` bytes are in a `SpillFile`.

    ConfigError for more than ``most`` bytes.
    """

    def __init__(self, in_memory: int = IN_MEMORY, most: int = MOST) -> None:
        self.in_memory, self.most = in_memory, most
        self._frames: list[tuple[Frame, int]] = []  # each with the place of its pixels
        self._free: list[int] = []
        self._kept: dict[int, Pixels] = {}
        self._file = SpillFile()
        self._shape = _NOTHING.shape

    def __len__(self) -> int:
        return len(self._frames)

    def add(self, frame: Frame) -> None:
        """The next picture."""
        image = frame.image
        place = self._free.pop() if self._free else len(self._frames)
        if (place + 1) * image.nbytes > self.most:
            raise ConfigError(
                f"tubes: pictures of more than {self.most / 2**30:g} GiB would be kept until the end of a window, to "
                "cut crops from them; use a shorter shape.window, or a smaller width"
            )
        self._shape = image.shape
        in_memory = (place + 1) * image.nbytes <= self.in_memory
        if in_memory or self._file.write(image, place * image.nbytes) is None:
            self._kept[place] = image.copy()  # what a decoder gave may hold on to more than its pixels
        self._frames.append((replace(frame, image=_NOTHING), place))

    def between(self, start: float, end: float) -> Iterator[Frame]:
        """Pictures that begin in ``[start, end)`` seconds; where none does, the one that lasts then or is nearest."""
        first, last = (bisect_left(self._frames, t - ext.TICK, key=_begin) for t in (start, end))
        if first >= last:
            first = max(0, bisect_right(self._frames, start, key=_begin) - 1)
            last = first + 1
        for frame, place in self._frames[first:last]:
            yield replace(frame, image=self._image(place))

    def along(self, grids: Iterable[Grid], pictures: Iterable[Frame]) -> Iterator[Grid]:
        """The same grids; before each the pictures that begin before its end are added."""
        unread = iter(pictures)
        pending = next(unread, None)
        for grid in grids:
            while pending is not None and pending.start < grid.span[1] - ext.TICK:
                self.add(pending)
                pending = next(unread, None)
            yield grid

    def along_path(self, boxes: Floats) -> Iterator[tuple[Frame, Floats]]:
        """The pictures in the time of boxes ``(n, 6)`` in order of time, each with its box."""
        for frame in self.between(boxes[0, 0], boxes[-1, 1]):
            yield frame, boxes[max(0, int(np.searchsorted(boxes[:, 0], frame.start + ext.TICK, "right")) - 1)]

    def _image(self, place: int) -> Pixels:
        if place in self._kept:
            return self._kept[place]
        size = int(np.prod(self._shape))
        return np.frombuffer(self._file.read(place * size, size), np.uint8).reshape(self._shape)

    def forget(self, before: float) -> None:
        """Remove pictures that end by then."""
        over = [(frame, place) for frame, place in self._frames if frame.end <= before + ext.TICK]
        self._frames = self._frames[len(over) :]
        for _, place in over:
            self._kept.pop(place, None)
            self._free.append(place)
        self._free.sort(reverse=True)  # those in memory are taken first


def _begin(entry: tuple[Frame, int]) -> float:
    return entry[0].start

"""Boxes of moving objects of a static camera: no weights, any picture size."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wherewhen.core import extents as ext
from wherewhen.core.contracts import ClipSpec, Proposer, ProposerAbilities, Provenance
from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Boxes, Frame, Masks, Pixels
from wherewhen.proposals._background import SURE, Background
from wherewhen.proposals._blobs import Blob, blobs, broad, closed, split, sure
from wherewhen.proposals._memory import Memory
from wherewhen.proposals._steady import camera, informative

Array = NDArray[np.float32]

log = logging.getLogger(__name__)

CAMERA = "the camera moves"
CHANGED = "the picture changed as a whole"
FLOODED = 0.55  # share of the picture in the foreground from which light or camera changed, not objects
STILL = 6.0  # gray levels that a pixel may change from picture to picture and count as still
RESTING = 0.9  # share of a blob's pixels that are still where it rests
SETTLED = 2.0  # seconds of rest after which a blob counts as an object, not as a place that one left
YOUNG = 30.0  # seconds in which the scene is learned from pictures far apart
PAUSE = 0.5  # seconds between them
DOUBT = 0.6  # factor of the confidence of blobs at rest for less than SETTLED
GHOST = 1.15  # ratio of edges along a ghost's rim in the background to those in the picture
MOVES = 3  # of the last RECENT pictures in which the camera must move; it rests again after none of them
RECENT = 5
SMALLEST_SIDE = 32  # px: smaller pictures have no boxes
MOST_HELD = 15  # pictures from which the empty scene is learned at the start
LEAST_SPEED = 1.0  # px a frame, at 320 px: lowest speed of an object relative to a moving camera
MARGIN = 12  # px around the foreground in which flow is computed
FLOWING = 96  # px: the smallest side for flow, which is computed at several sizes
COMPENSATED = 18.0  # gray levels by which an object differs between aligned pictures of a moving camera


@dataclass(frozen=True)
class MotionConfig:
    """Settings of `Motion`.

    Args:
        rate: pictures per second that are processed; null keeps the source's.
        width: wider pictures are shrunk to this many px; null keeps them.
        stride: one of so many pictures at that rate is processed.
        smallest: share of the picture that the pixels of a box must cover.
        most: boxes per picture, those of highest confidence.
        warmup: seconds at the start that are buffered, to learn the background.
        patience: seconds after which an object at rest belongs to the background.
        split: split a blob whose parts move differently.
    """

    rate: float | None = 12.5
    width: int | None = 320
    stride: int = 1
    smallest: float = 0.0006
    most: int = 60
    warmup: float = 1.0
    patience: float = 30.0
    split: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.smallest < 1:
            raise ConfigError(f"motion: smallest is a share of the picture, between 0 and 1; got {self.smallest}")
        if self.most < 1 or self.stride < 1:
            raise ConfigError(f"motion: most and stride are at least 1; got {self.most} and {self.stride}")
        if not 0 <= self.warmup <= 10 or not self.patience > 0:
            raise ConfigError(
                f"motion: warmup is 0 to 10 seconds and patience above 0; got {self.warmup} and {self.patience}"
            )


class Motion:
    """Boxes around the foreground of an adaptive background model.

    Shadows are left out, places where something was at the start are learned as soon as it leaves, and blobs of several
    movers are cut where their motions differ. While the camera moves, boxes are around objects that move relative to
    it, with a note.
    """

    Config: ClassVar[type] = MotionConfig
    source: ClassVar[Provenance] = Provenance(
        title="Adaptive background, flow, shadows and ghosts",
        citation=(
            "Jacques, Jung and Musse, Background subtraction and shadow detection in grayscale video sequences, 2005; "
            "Kroeger et al., Fast Optical Flow using Dense Inverse Search, ECCV 2016"
        ),
    )
    abilities: ClassVar[ProposerAbilities] = ProposerAbilities()
    tracks: bool = False

    def __init__(self, config: MotionConfig) -> None:
        self.config = config
        self.clip = ClipSpec(1, config.stride, config.rate, config.width)
        self.wait = config.warmup

    def __call__(self, frames: Iterable[Frame]) -> Iterator[Boxes]:
        """One `Boxes` per frame; the first ``warmup`` seconds are buffered."""
        stream = iter(frames)
        first = next(stream, None)
        if first is None:
            return
        held = [first]
        for frame in stream:
            held.append(frame)
            if frame.end - first.start >= self.config.warmup:
                break
        detector = _Detector(self.config, held)
        for frame in held:
            yield detector(frame)
        for frame in stream:
            yield detector(frame)


class _Detector:
    """The state between pictures; of fixed size."""

    def __init__(self, config: MotionConfig, held: list[Frame]) -> None:
        import cv2

        self._config = config
        self._flow: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._flow.setFinestScale(1)  # objects are small: the preset's scale is too coarse for them
        self._moving = False
        self._start([frame.image for frame in held[:: max(1, len(held) // MOST_HELD)]], held[0].start)

    def _start(self, images: list[Pixels], since: float) -> None:
        """Start with a new background model."""
        self._shape = images[0].shape
        self._scene = Background([image for image in images if image.shape == self._shape])
        self._gray: Pixels | None = None
        self._rested = np.zeros(self._shape[:2], np.float32)
        self._moves: deque[bool] = deque(maxlen=RECENT)
        self._floods = 0
        self._since = self._remembered = since
        self._memory = Memory()

    def __call__(self, frame: Frame) -> Boxes:
        import cv2

        if min(frame.image.shape[:2]) < SMALLEST_SIDE:
            return Boxes(frame.start, frame.end, note=f"pictures below {SMALLEST_SIDE} px are too small for boxes")
        if frame.image.shape != self._shape:
            self._start([frame.image], frame.start)
        gray = np.asarray(cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY), np.uint8)
        before = gray if self._gray is None else self._gray
        places = informative(before, gray)
        flow = self._flow.calc(before, gray, None) if len(places[0]) or self._moving else None
        move = None if flow is None else camera(flow, places) if len(places[0]) else None
        self._judge(move is not None, frame)
        if self._moving and flow is not None:
            candidates, note = self._against(before, gray, flow, move), CAMERA
        else:
            candidates, note = self._before_scene(frame, before, gray, flow)
        self._gray = gray
        return self._boxes(candidates, frame, note)

    def _judge(self, moves: bool, frame: Frame) -> None:
        """Switch between moving and static camera once a few pictures agree."""
        self._moves.append(moves)
        if not self._moving and sum(self._moves) >= MOVES:
            log.warning("from %.1f s on the camera moves: boxes are around what moves against it", frame.start)
            self._moving = True
        elif self._moving and not any(self._moves):
            log.warning("from %.1f s on the camera is static: the background is learned again", frame.start)
            self._moving = False
            self._start([frame.image], frame.start)

    def _before_scene(
        self, frame: Frame, before: Pixels, gray: Pixels, flow: Array | None
    ) -> tuple[list[_Candidate], str]:
        """Foreground blobs of the background model, and a note."""
        import cv2

        if frame.start - self._since < YOUNG and frame.start >= self._remembered + PAUSE:
            self._scene.remember(frame.image)
            self._remembered = frame.start
        mask, level = self._scene.differs(frame.image)
        if cv2.countNonZero(mask) > FLOODED * mask.size:
            self._floods += 1
            if self._floods >= RECENT:
                self._start([frame.image], frame.start)
            return [], CHANGED
        self._floods = 0
        still = np.asarray(cv2.absdiff(before, gray)) < STILL
        self._rested = np.where((mask > 0) & still, self._rested + np.float32(frame.end - frame.start), 0)
        settled = self._rested > self._config.patience
        if settled.any():
            self._scene.absorb(frame.image, settled)
        smallest = max(1.0, self._config.smallest * mask.size)
        parts = list(self._lit(frame.image, closed(mask), level, smallest))
        if self._config.split:
            if flow is None:
                flow = self._within(before, gray, [blob for blob in parts if broad(blob, smallest)])
            parts = [part for blob in parts for part in split(blob, flow, smallest)]
        edges: tuple[Pixels, Pixels] | None = None
        movers: list[Blob] = []
        for blob in parts:
            if _rests(blob, still):
                edges = edges or (_edges(gray), _edges(self._scene.gray))
                if _is_ghost(blob, *edges):
                    self._scene.absorb(frame.image, blob.mask, (blob.row, blob.column))
                    continue
            movers.append(blob)
        candidates = []
        for blob in self._memory.parted(movers, smallest) if self._config.split else movers:
            surety = _surety(blob, level, smallest)
            doubted = _rests(blob, still) and np.median(blob.of(self._rested)[blob.mask]) < SETTLED
            candidates.append(_Candidate(blob, surety * (DOUBT if doubted else 1.0)))
        return candidates, ""

    def _within(self, before: Pixels, gray: Pixels, targets: list[Blob]) -> Array:
        """The flow ``(H, W, 2)`` at blobs, zeros elsewhere."""
        height, width = gray.shape
        flow = np.zeros((height, width, 2), np.float32)
        if targets:
            corners = np.array([blob.corners for blob in targets])
            (x0, y0), (x1, y1) = corners[:, :2].min(0).tolist(), corners[:, 2:].max(0).tolist()
            rows, columns = _stretch(y0 - MARGIN, y1 + MARGIN, height), _stretch(x0 - MARGIN, x1 + MARGIN, width)
            first, second = (np.ascontiguousarray(image[rows, columns]) for image in (before, gray))
            flow[rows, columns] = self._flow.calc(first, second, None)
        return flow

    def _lit(self, picture: Pixels, mask: Pixels, level: Pixels, smallest: float) -> Iterator[Blob]:
        """Blobs without their shadows."""
        for whole in blobs(mask, smallest):
            shade = self._scene.shadows(picture, whole.mask, (whole.row, whole.column))
            lit = closed((whole.mask & ~shade).view(np.uint8), mask.shape)
            for blob in blobs(lit, smallest, whole.row, whole.column):
                if sure(blob, level):
                    yield blob

    def _against(self, before: Pixels, gray: Pixels, flow: Array, move: Array | None) -> list[_Candidate]:
        """Blobs that move in another way than the picture as a whole."""
        import cv2

        height, width = gray.shape
        model = np.eye(2, 3, dtype=np.float32) if move is None else move
        under = cv2.warpAffine(before, model, (width, height), borderMode=cv2.BORDER_REPLICATE)
        level = np.asarray(
            cv2.convertScaleAbs(cv2.blur(cv2.absdiff(gray, under), (3, 3)), alpha=SURE / COMPENSATED), np.uint8
        )
        ys, xs = np.mgrid[:height, :width].astype(np.float32)
        relative = flow - (np.stack([xs, ys, np.ones_like(xs)], -1) @ model.T - np.stack([xs, ys], -1))
        mask = ((level >= SURE) & (np.hypot(relative[..., 0], relative[..., 1]) > LEAST_SPEED * width / 320)).astype(
            np.uint8
        ) * 255
        smallest = max(1.0, self._config.smallest * mask.size)
        return [_Candidate(blob, _surety(blob, level, smallest)) for blob in blobs(closed(mask), smallest)]

    def _boxes(self, candidates: list[_Candidate], frame: Frame, note: str) -> Boxes:
        candidates = sorted(candidates, key=lambda candidate: -candidate.surety)[: self._config.most]
        height, width = frame.image.shape[:2]
        corners = [candidate.blob.corners for candidate in candidates]
        rows = ext.from_pixels(corners, [(frame.start, frame.end)] * len(candidates), width, height)
        return Boxes(frame.start, frame.end, rows, np.array([candidate.surety for candidate in candidates]), note=note)


class _Candidate(NamedTuple):
    blob: Blob
    surety: float


def _rests(blob: Blob, still: Masks) -> bool:
    """Whether nearly all pixels of a blob are unchanged since the previous picture."""
    return bool(np.count_nonzero(blob.mask & blob.of(still)) >= RESTING * blob.area)


def _surety(blob: Blob, level: Pixels, smallest: float) -> float:
    """Confidence from 0 to 1: from a blob's contrast, its size and its share of its box."""
    strength = float(np.minimum(blob.of(level)[blob.mask], 2 * SURE).mean()) / (2 * SURE)
    return float(
        min(1.0, 1.2 * strength) * min(1.0, 0.4 + blob.area / (5 * smallest)) * (blob.area / blob.mask.size) ** 0.25
    )


def _stretch(first: int, last: int, most: int) -> slice:
    """A range within 0 to ``most``, of at least FLOWING px if possible."""
    first, last = max(0, first), min(most, last)
    if last - first < FLOWING:
        first = max(0, min(first, most - FLOWING))
        last = min(most, first + FLOWING)
    return slice(first, last)


def _is_ghost(blob: Blob, now: Pixels, then: Pixels) -> bool:
    """Whether a resting blob is a place that an object left: its rim is in the background, not in the picture.

    ``now``, ``then``: gradients of picture and background, ``(H, W)``.
    """
    import cv2

    solid = np.pad(blob.mask, 2).astype(np.uint8)
    kernel = np.ones((3, 3), np.uint8)
    rim = (cv2.dilate(solid, kernel) - cv2.erode(solid, kernel))[2:-2, 2:-2] > 0
    return bool(blob.of(then)[rim].mean() > GHOST * blob.of(now)[rim].mean())


def _edges(gray: Pixels) -> Pixels:
    """Gradient of a picture ``(H, W)`` at each pixel."""
    import cv2

    return np.asarray(cv2.morphologyEx(gray, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)), np.uint8)


PLUGIN: type[Proposer] = Motion

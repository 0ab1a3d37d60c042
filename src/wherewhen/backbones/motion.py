"""Motion and the look of what moves, per grid cell: no weights, any picture size, fast on one core."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from wherewhen.backbones._camera import camera_motion
from wherewhen.contracts import ClipSpec, Provenance
from wherewhen.errors import ConfigError
from wherewhen.values import Features, Pixels

if TYPE_CHECKING:
    import cv2

Array = NDArray[np.float32]

DIRECTIONS = 8
EDGES = 4
SPEEDS = (0.5, 1.0, 2.0, 4.0, 8.0)
NOISE = 6.0  # gray levels: a change below this is mostly the sensor and the codec
SMALLEST = 32  # px: the coarsest level of the flow needs this much
NAMES = (
    *(f"flow_{360 * k // DIRECTIONS}" for k in range(DIRECTIONS)),
    *(f"faster_{s:g}" for s in SPEEDS),
    *(f"edge_{180 * k // EDGES}" for k in range(EDGES)),
    "speed",
    "speed_rms",
    "speed_peak",
    "spread",
    "shear",
    "change",
    "foreground",
    "foreground_speed",
    "context_speed",
    "context_foreground",
)
"""What each of the D numbers of a cell is."""


@dataclass(frozen=True)
class MotionConfig:
    """Settings of `Motion`.

    ``frames``, ``stride``, ``rate``, ``width``: how clips are cut (see `ClipSpec`); an overlap of one frame loses no
    motion. ``steps``: time steps per clip. ``cell``: px between cell centers. ``window``: px that a cell pools over;
    wider than ``cell`` means that cells overlap. ``context``: px of the wide window around a cell.
    ``flow``: preset of the DIS optical flow. ``camera``: take out the camera's own motion.
    """

    frames: int = 9
    stride: int = 8
    rate: float | None = 12.5
    width: int | None = 320
    steps: int = 4
    cell: int = 14
    window: int = 28
    context: int = 84
    flow: Literal["ultrafast", "fast", "medium"] = "ultrafast"
    camera: bool = True

    def __post_init__(self) -> None:
        if self.frames < 2 or self.stride < 1 or not 1 <= self.steps < self.frames:
            raise ConfigError(
                f"motion: expected frames >= 2, stride >= 1 and 1 <= steps < frames; "
                f"got frames={self.frames}, stride={self.stride}, steps={self.steps}"
            )
        if min(self.cell, self.window, self.context) < 2:
            raise ConfigError(f"motion: cell, window and context are pixels, at least 2; got {self}")


class Motion:
    """Dense motion and the look of what moves: uint8 ``(B, T, H, W, 3)`` -> float32 ``(B, t, h, w, D)``.

    Every number is 0 where nothing moves, so that background, light and camera can't tell two videos apart. Speeds
    are pixels per frame, camera motion taken out; see `NAMES` for the D numbers. Frames that repeat the one before
    (as some encoders write them) take the motion of their neighbors.

    Flow: Kroeger et al., ECCV 2016 (DIS). Histograms of flow and gradients: Dalal, Triggs and Schmid, ECCV 2006.

    >>> Motion(MotionConfig())(np.zeros((1, 9, 48, 64, 3), np.uint8)).shape
    (1, 4, 3, 5, 27)
    """

    Config: ClassVar[type] = MotionConfig
    source: ClassVar[Provenance] = Provenance(
        title="Dense motion and moving-edge histograms",
        citation="Kroeger et al., Fast Optical Flow using Dense Inverse Search, ECCV 2016",
    )

    def __init__(self, config: MotionConfig) -> None:
        self.config = config
        self.clip = ClipSpec(config.frames, config.stride, config.rate, config.width)

    def __call__(self, clips: Pixels) -> Features:
        """Features of a batch of clips; ValueError unless uint8 ``(B, T, H, W, 3)``."""
        if clips.ndim != 5 or clips.shape[-1] != 3 or clips.dtype != np.uint8 or 0 in clips.shape:
            raise ValueError(f"motion: expected uint8 (B, T, H, W, 3), got {clips.dtype} {clips.shape}")
        return np.stack([self._one(clip) for clip in clips])

    def _one(self, clip: Pixels) -> Features:
        height, width = clip.shape[1:3]
        grays = _grays(clip)
        moving = [k for k in range(len(clip) - 1) if (clip[k] != clip[k + 1]).any()]
        pairs = max(len(clip) - 1, 1)
        near, wide = (
            _pooling(height, width, self.config.cell, span) for span in (self.config.window, self.config.context)
        )
        cells = np.zeros((pairs, near[0].shape[0], near[1].shape[0], len(NAMES)), np.float32)
        if moving:
            flow = _make_flow(self.config.flow)
            found = np.stack([self._pair(grays[k], grays[k + 1], flow, near, wide) for k in moving])
            nearest = [int(np.abs(np.array(moving) - k).argmin()) for k in range(pairs)]
            cells = found[nearest]
        edges = np.linspace(0, pairs, min(self.config.steps, pairs) + 1).round().astype(int)
        return np.stack([cells[a:b].mean(0) for a, b in pairwise(edges)])

    def _pair(self, first: Pixels, second: Pixels, flow: cv2.DISOpticalFlow, near: Pooling, wide: Pooling) -> Array:
        import cv2

        moved: Array = flow.calc(first, second, None)  # type: ignore[call-overload]
        after: NDArray[Any] = second
        if self.config.camera and (model := camera_motion(moved)) is not None:
            matrix = model + np.eye(2, 3, dtype=np.float32)
            back = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            after = cv2.warpAffine(second, matrix, first.shape[::-1], flags=back, borderMode=cv2.BORDER_REPLICATE)
            ys, xs = np.mgrid[: first.shape[0], : first.shape[1]].astype(np.float32)
            moved = moved - (np.stack([xs, ys], -1) @ model[:, :2].T + model[:, 2])
        maps = _maps(first, after, moved)
        small = _pool(maps, near)
        around = _pool(maps[[_SPEED, _FOREGROUND]], wide)
        return _numbers(small, around)


Pooling = tuple[Array, Array]
_SPEED = DIRECTIONS + len(SPEEDS) + EDGES
_FOREGROUND = _SPEED + 7


def _grays(clip: Pixels) -> list[Pixels]:
    import cv2

    grays = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in clip]
    down, right = (max(SMALLEST - size, 0) for size in grays[0].shape)
    if down or right:
        grays = [cv2.copyMakeBorder(gray, 0, down, 0, right, cv2.BORDER_REPLICATE) for gray in grays]
    return grays


def _make_flow(preset: str) -> cv2.DISOpticalFlow:
    import cv2

    return cv2.DISOpticalFlow.create(getattr(cv2, f"DISOPTICAL_FLOW_PRESET_{preset.upper()}"))


def _weights(size: int, cell: int, window: int) -> Array:
    """Weights ``(cells, ceil(size / 2))`` that average every second pixel over a window around each cell's center."""
    cells = max(round(size / cell), 1)
    padded = max(size, SMALLEST)
    pixels = np.arange(0, padded, 2) + 0.5
    centers = (np.arange(cells) + 0.5) * size / cells
    reach = max(window, size / cells) / 2
    inside = (np.abs(pixels - centers[:, None]) <= reach) & (pixels < max(size, 1))
    weights = inside.astype(np.float32)
    shares: Array = weights / weights.sum(1, keepdims=True)
    return shares


def _pooling(height: int, width: int, cell: int, window: int) -> Pooling:
    return _weights(height, cell, window), _weights(width, cell, window)


def _pool(maps: Array, pooling: Pooling) -> Array:
    rows, columns = pooling
    pooled: Array = rows @ (maps @ columns.T)
    return pooled


def _maps(first: Pixels, second: NDArray[Any], moved: Array) -> Array:
    """Per-pixel channels ``(C, H/2, W/2)``, to be averaged over windows."""
    import cv2

    change = second.astype(np.float32) - first
    change = np.abs(change - np.median(change[::4, ::4]))  # a lamp or the exposure changes the whole picture at once
    change = cv2.blur(change, (3, 3))[::2, ::2]
    u, v = moved[::2, ::2, 0], moved[::2, ::2, 1]
    square = u * u + v * v
    share = (square / (square + 0.25)) * (change * change / (change * change + NOISE * NOISE))
    u, v = u * share, v * share
    speed = np.sqrt(u * u + v * v)
    angles = np.arange(DIRECTIONS, dtype=np.float32) * (2 * np.pi / DIRECTIONS)
    flows = [np.maximum(u * np.cos(a) + v * np.sin(a), 0) for a in angles]
    faster = [share * (speed > s) for s in SPEEDS]
    gx, gy = (cv2.Sobel(first, cv2.CV_32F, *d)[::2, ::2] * (share / 255) for d in ((1, 0), (0, 1)))
    turns = np.arange(EDGES, dtype=np.float32) * (np.pi / EDGES)
    edges = [np.abs(gx * np.cos(a) + gy * np.sin(a)) for a in turns]
    shear = sum(np.abs(cv2.Sobel(np.ascontiguousarray(c), cv2.CV_32F, *d)) for c in (u, v) for d in ((1, 0), (0, 1)))
    rest = [speed, speed**2, speed**4, u, v, shear / 8, change / 255 * share, share]
    return np.stack([*flows, *faster, *edges, *rest]).astype(np.float32, copy=False)


def _numbers(pooled: Array, around: Array) -> Array:
    """The cell's numbers ``(h, w, D)`` from its averages: roots and ratios that tame the long tails."""
    head, rest = pooled[:_SPEED], pooled[_SPEED:]
    speed, square, fourth, u, v, shear, change, share = rest
    spread = np.sqrt(np.maximum(square - u * u - v * v, 0))
    floor = 0.02
    tail = [speed, np.sqrt(square), fourth**0.25, spread, shear, change, share, speed / (share + floor), *around]
    return np.concatenate([np.sqrt(head), np.stack(tail)]).transpose(1, 2, 0)


PLUGIN = Motion

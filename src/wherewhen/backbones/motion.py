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

EDGES = 4
SPEEDS = (0.5, 1.0, 2.0, 4.0, 8.0)  # px per frame
NOISE = 6.0  # gray levels: a change below this is mostly the sensor and the codec
LEAST = 0.03  # share of a window that must move, or the cell counts as empty
SMALLEST = 32  # px: the coarsest level of the flow needs this much
NAMES = (
    "flow_right",
    "flow_left",
    "flow_down",
    "flow_up",
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
)
"""What each of the D numbers of a cell is."""


@dataclass(frozen=True)
class MotionConfig:
    """Settings of `Motion`.

    ``frames``, ``stride``, ``rate``, ``width``: how clips are cut (see `ClipSpec`); an overlap of one frame loses no
    motion. ``steps``: time steps per clip. ``cell``: px between cell centers. ``window``: px that a cell pools over;
    wider than ``cell`` means that cells overlap. ``flow``: preset of the DIS optical flow. ``camera``: take out the
    camera's own motion.
    """

    frames: int = 9
    stride: int = 8
    rate: float | None = 12.5
    width: int | None = 320
    steps: int = 4
    cell: int = 14
    window: int = 28
    flow: Literal["ultrafast", "fast", "medium"] = "ultrafast"
    camera: bool = True

    def __post_init__(self) -> None:
        if self.frames < 2 or self.stride < 1 or not 1 <= self.steps < self.frames:
            raise ConfigError(
                f"motion: expected frames >= 2, stride >= 1 and 1 <= steps < frames; "
                f"got frames={self.frames}, stride={self.stride}, steps={self.steps}"
            )
        if min(self.cell, self.window) < 2:
            raise ConfigError(f"motion: cell and window are pixels, at least 2; got {self}")


class Motion:
    """Dense motion and the look of what moves: uint8 ``(B, T, H, W, 3)`` -> float32 ``(B, t, h, w, D)``.

    A cell where next to nothing moves is all zeros, so that background, light and camera can't tell two videos
    apart. Speeds are pixels per frame, camera motion taken out; see `NAMES` for the D numbers. Frames that repeat the
    one before (as some encoders write them) take the motion of their neighbors.

    Flow: Kroeger et al., ECCV 2016 (DIS). Histograms of flow and gradients: Dalal, Triggs and Schmid, ECCV 2006.

    >>> Motion(MotionConfig())(np.zeros((1, 9, 48, 64, 3), np.uint8)).shape
    (1, 4, 3, 5, 21)
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
        grays = _grays(clip)
        pairs = max(len(clip) - 1, 1)
        moving = [k for k in range(len(clip) - 1) if not np.array_equal(clip[k], clip[k + 1])]
        rows, columns = (_weights(size, self.config.cell, self.config.window) for size in clip.shape[1:3])
        cells = np.zeros((pairs, len(rows), len(columns), len(NAMES)), np.float32)
        if moving:
            flow = _make_flow(self.config.flow)
            maps = [_maps(*self._pair(grays[k], grays[k + 1], flow)) for k in moving]
            found = np.stack([_numbers(rows @ (m @ columns.T)) for m in maps])
            nearest = [int(np.abs(np.array(moving) - k).argmin()) for k in range(pairs)]
            cells = found[nearest]
        edges = np.linspace(0, pairs, min(self.config.steps, pairs) + 1).round().astype(int)
        steps = np.stack([cells[a:b].mean(0) for a, b in pairwise(edges)])
        steps[steps[..., NAMES.index("foreground")] < LEAST] = 0
        return steps

    def _pair(self, first: Pixels, second: Pixels, flow: cv2.DISOpticalFlow) -> tuple[Pixels, NDArray[Any], Array]:
        """The first picture, the second seen by the first's camera, and the flow between them."""
        import cv2

        moved: Array = flow.calc(first, second, None)  # type: ignore[call-overload]
        if not self.config.camera or (model := camera_motion(moved)) is None:
            return first, second, moved
        back = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        matrix = model + np.eye(2, 3, dtype=np.float32)
        size = (first.shape[1], first.shape[0])
        still = cv2.warpAffine(second, matrix, size, flags=back, borderMode=cv2.BORDER_REPLICATE)
        ys, xs = np.mgrid[: size[1], : size[0]].astype(np.float32)
        return first, still, moved - (np.stack([xs, ys], -1) @ model[:, :2].T + model[:, 2])


_SPEED = 4 + len(SPEEDS) + EDGES


def _grays(clip: Pixels) -> list[Pixels]:
    import cv2

    grays: list[Any] = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in clip]
    down, right = (max(SMALLEST - size, 0) for size in clip.shape[1:3])
    if down or right:
        grays = [cv2.copyMakeBorder(gray, 0, down, 0, right, cv2.BORDER_REPLICATE) for gray in grays]
    return grays


def _make_flow(preset: str) -> cv2.DISOpticalFlow:
    import cv2

    return cv2.DISOpticalFlow.create(getattr(cv2, f"DISOPTICAL_FLOW_PRESET_{preset.upper()}"))


def _weights(size: int, cell: int, window: int) -> Array:
    """Weights ``(cells, ceil(size / 2))`` that average every second pixel over a window around each cell's center."""
    cells = max(round(size / cell), 1)
    pixels = np.arange(0, max(size, SMALLEST), 2) + 0.5
    centers = (np.arange(cells) + 0.5) * size / cells
    reach = max(window, size / cells) / 2
    inside = (np.abs(pixels - centers[:, None]) <= reach) & (pixels < size)
    shares: Array = (inside / inside.sum(1, keepdims=True)).astype(np.float32)
    return shares


def _maps(first: Pixels, second: NDArray[Any], moved: Array) -> Array:
    """Per-pixel channels ``(C, H/2, W/2)``, to be averaged over windows."""
    import cv2

    change: NDArray[Any] = cv2.subtract(second, first, dtype=cv2.CV_32F)
    change -= np.median(change[::4, ::4])  # a lamp or the exposure changes the whole picture at once
    change = cv2.blur(np.abs(change), (3, 3))[::2, ::2]
    u, v = (np.ascontiguousarray(moved[::2, ::2, k]) for k in (0, 1))
    square = u * u + v * v
    share = (square / (square + 0.25)) * (change * change / (change * change + NOISE * NOISE))
    u *= share
    v *= share
    square = u * u + v * v
    speed = np.sqrt(square)
    flows = [np.maximum(c, 0) for c in (u, -u, v, -v)]
    faster = [share * (speed > s) for s in SPEEDS]
    gx, gy = (cv2.Sobel(first, cv2.CV_32F, *d)[::2, ::2] * (share / 255) for d in ((1, 0), (0, 1)))
    turns = np.arange(EDGES, dtype=np.float32) * (np.pi / EDGES)
    edges = [np.abs(gx * np.cos(a) + gy * np.sin(a)) for a in turns]
    shear = sum(np.abs(cv2.Sobel(c, cv2.CV_32F, *d)) for c in (u, v) for d in ((1, 0), (0, 1)))
    rest = [speed, square, square * square, u, v, shear / 8, change / 255 * share, share]
    return np.stack([*flows, *faster, *edges, *rest])


def _numbers(pooled: Array) -> Array:
    """The cell's numbers ``(h, w, D)`` from its averages: roots and ratios that tame the long tails."""
    speed, square, fourth, u, v, shear, change, share = pooled[_SPEED:]
    spread = np.sqrt(np.maximum(square - u * u - v * v, 0))
    ratio = speed / (share + 0.02)
    tail = [speed, np.sqrt(square), fourth**0.25, spread, shear, change, share, ratio]
    return np.concatenate([np.sqrt(pooled[:_SPEED]), np.stack(tail)]).transpose(1, 2, 0)


PLUGIN = Motion

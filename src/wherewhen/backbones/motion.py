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

    Args:
        frames: frames per clip; an overlap of one frame between clips loses no motion.
        stride: a new clip every so many frames.
        rate: frames per second after resampling by timestamps; null keeps the source's.
        width: wider pictures are shrunk to this many px; null keeps them.
        steps: time steps per clip.
        cell: px between cell centers.
        window: px that a cell pools over; wider than ``cell`` means that cells overlap.
        flow: preset of the DIS optical flow.
        camera: take out the camera's own motion.
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
            half = [-(-side // 2) for side in grays[0].shape]
            maps = np.empty((_CHANNELS, *half), np.float32)  # one for all pairs: fresh memory is slow
            found = [_numbers(_pooled(self._maps(grays[k], grays[k + 1], flow, maps), rows, columns)) for k in moving]
            nearest = np.abs(np.array(moving) - np.arange(pairs)[:, None]).argmin(1)
            cells = np.stack(found)[nearest]
        edges = np.linspace(0, pairs, min(self.config.steps, pairs) + 1).round().astype(int)
        steps = np.stack([cells[a:b].mean(0) for a, b in pairwise(edges)])
        steps[steps[..., NAMES.index("foreground")] < LEAST] = 0
        return steps

    def _maps(self, first: Pixels, second: Pixels, flow: cv2.DISOpticalFlow, out: Array) -> Array:
        """Per-pixel channels of two pictures, the camera's own motion taken out."""
        import cv2

        whole: Array = flow.calc(first, second, None)  # type: ignore[call-overload]
        u, v = (np.ascontiguousarray(whole[::2, ::2, k]) for k in (0, 1))
        after: NDArray[Any] = second
        if self.config.camera and (model := camera_motion(whole)) is not None:
            back = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            size = (first.shape[1], first.shape[0])
            matrix = model + np.eye(2, 3, dtype=np.float32)
            after = cv2.warpAffine(second, matrix, size, flags=back, borderMode=cv2.BORDER_REPLICATE)
            x = np.arange(0, size[0], 2, dtype=np.float32)
            y = np.arange(0, size[1], 2, dtype=np.float32)[:, None]
            for field, (by_x, by_y, shift) in zip((u, v), model, strict=True):
                field -= by_x * x + (by_y * y + shift)
        return _channels(first, after, u, v, out)


_SPEED = 4 + len(SPEEDS) + EDGES
_CHANNELS = _SPEED + 8


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


def _channels(first: Pixels, second: NDArray[Any], u: Array, v: Array, out: Array) -> Array:
    """Fill ``out`` ``(C, H/2, W/2)`` with what is to be averaged over windows; ``u`` and ``v`` are used up."""
    import cv2

    change: NDArray[Any] = cv2.subtract(second, first, dtype=cv2.CV_32F)
    sample = change[::4, ::4].ravel()
    change -= np.partition(sample, len(sample) // 2)[
        len(sample) // 2
    ]  # a lamp or the exposure changes the whole picture at once
    change = cv2.blur(np.abs(change, out=change), (3, 3))[::2, ::2]
    flows, faster, edges, rest = np.split(out, (4, 4 + len(SPEEDS), _SPEED))
    speed, square, fourth, right, down, shear, amount, share = rest
    np.add(u * u, v * v, out=square)
    power = change * change
    np.multiply(square / (square + 0.25), power / (power + NOISE * NOISE), out=share)
    u *= share
    v *= share
    np.add(u * u, v * v, out=square)
    np.sqrt(square, out=speed)
    np.multiply(square, square, out=fourth)
    right[:], down[:] = u, v
    for row, field in enumerate((u, -u, v, -v)):
        np.maximum(field, 0, out=flows[row])
    for row, least in enumerate(SPEEDS):
        np.multiply(share, speed > least, out=faster[row])
    gx, gy = (cv2.Sobel(first, cv2.CV_32F, *d)[::2, ::2] * (share / 255) for d in ((1, 0), (0, 1)))
    for row in range(EDGES):
        turn = np.float32(row * np.pi / EDGES)
        np.abs(gx * np.cos(turn) + gy * np.sin(turn), out=edges[row])
    shear[:] = 0
    for field in (u, v):
        for d in ((1, 0), (0, 1)):
            shear += np.abs(cv2.Sobel(field, cv2.CV_32F, *d, scale=1 / 8))
    np.multiply(change, share / 255, out=amount)
    return out


def _pooled(maps: Array, rows: Array, columns: Array) -> Array:
    """Averages ``(C, h, w)`` over the windows of all cells."""
    across = (maps.reshape(-1, maps.shape[2]) @ columns.T).reshape(*maps.shape[:2], -1)
    pooled: Array = rows @ across
    return pooled


def _numbers(pooled: Array) -> Array:
    """The cell's numbers ``(h, w, D)`` from its averages: roots and ratios that tame the long tails."""
    speed, square, fourth, u, v, shear, change, share = pooled[_SPEED:]
    spread = np.sqrt(np.maximum(square - u * u - v * v, 0))
    ratio = speed / (share + 0.02)
    tail = [speed, np.sqrt(square), fourth**0.25, spread, shear, change, share, ratio]
    return np.concatenate([np.sqrt(pooled[:_SPEED]), np.stack(tail)]).transpose(1, 2, 0)


PLUGIN = Motion

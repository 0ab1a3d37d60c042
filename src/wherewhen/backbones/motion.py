"""Motion and appearance of moving pixels per grid cell: no weights, any picture size, fast on one core."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from threading import local
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from wherewhen.backbones._camera import camera_motions
from wherewhen.backbones._flow import Flow
from wherewhen.backbones._maps import (
    CHANNELS,
    EDGES,
    SCALES,
    SPEEDS,
    fill_change,
    fill_channels,
    fill_share,
    steadied,
    subtract_camera,
)
from wherewhen.backbones._motion_groups import GROUPS, Group, group_maps, quartered
from wherewhen.backbones._pace import paces_of, to_one_step
from wherewhen.backbones._pooling import SMALLEST, Side, Windows, every_window, pooled, windows_around
from wherewhen.backbones._room import room
from wherewhen.core.contracts import BackboneAbilities, ClipSpec, Provenance, check_clips
from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Features, Floats, Masks, Pixels

Array = NDArray[np.float32]

LEAST = 0.03  # share of a window that must move, or the cell counts as empty
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
"""Names of the D numbers of a cell."""


@dataclass(frozen=True)
class MotionConfig:
    """Settings of `Motion`.

    Args:
        frames: frames per clip; an overlap of one frame between clips loses no motion.
        stride: a new clip every so many frames.
        rate: frames per second after resampling by timestamps, and the unit of speeds; null keeps the source's.
        width: wider pictures are shrunk to this many px; null keeps them.
        steps: time steps per clip.
        cell: px between cell centers.
        window: px that a cell pools over; wider than ``cell`` means that cells overlap.
        flow: preset of the DIS optical flow.
        camera: subtract the motion of the camera.
        groups: further numbers of each cell: motion in diagonal directions, motion boundaries, acceleration,
            deformation of the flow, distribution of the change of gray.
        skip_repeats: leave out pictures that repeat the one before, as in files converted to a higher rate; a speed is
            then that between two pictures of the camera.
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
    groups: tuple[Group, ...] = ()
    skip_repeats: bool = False

    def __post_init__(self) -> None:
        if self.frames < 2 or self.stride < 1 or not 1 <= self.steps < self.frames:
            raise ConfigError(
                f"motion: expected frames >= 2, stride >= 1 and 1 <= steps < frames; "
                f"got frames={self.frames}, stride={self.stride}, steps={self.steps}"
            )
        if min(self.cell, self.window) < 2:
            raise ConfigError(f"motion: cell and window are pixels, at least 2; got {self}")


class _Kept(local):
    """The flow that a thread computed last."""

    flow: Flow | None = None


_KEPT = _Kept()


def _flow(preset: str, size: tuple[int, int]) -> Flow:
    """The flow of this thread with this preset between pictures of this size, for a new clip."""
    if _KEPT.flow is None or not _KEPT.flow.fits(preset, size):
        _KEPT.flow = Flow(preset, size)
    return _KEPT.flow


class Motion:
    """Dense motion and appearance of moving pixels: uint8 ``(B, T, H, W, 3)`` -> float32 ``(B, t, h, w, D)``.

    A cell with almost no motion is all zeros, so that features don't depend on background, light and camera. Speeds are
    pixels per step of ``1 / rate`` seconds, for any time between two frames; without a rate they are pixels per frame.
    Camera motion is subtracted; see `NAMES` for the D numbers. Frames that repeat the previous one (as some encoders
    write them) take the motion of their neighbors.

    Flow: Kroeger et al., ECCV 2016 (DIS). Histograms of flow and gradients: Dalal, Triggs and Schmid, ECCV 2006.

    >>> Motion(MotionConfig())(np.zeros((1, 9, 48, 64, 3), np.uint8)).shape
    (1, 4, 3, 5, 21)
    """

    Config: ClassVar[type] = MotionConfig
    source: ClassVar[Provenance] = Provenance(
        title="Dense motion and moving-edge histograms",
        citation="Kroeger et al., Fast Optical Flow using Dense Inverse Search, ECCV 2016",
    )
    abilities: ClassVar[BackboneAbilities] = BackboneAbilities(takes_seconds=True, usable_on_moving_crops=False)

    def __init__(self, config: MotionConfig) -> None:
        self.config = config
        spec = ClipSpec(config.frames, config.stride, config.rate, config.width, changes=True)
        self.clip = replace(spec, new=config.skip_repeats)
        self.names = NAMES + tuple(name for group in config.groups for name in GROUPS[group])

    def __call__(self, clips: Pixels, seconds: Floats | None = None) -> Features:
        """Features of a batch of clips; ValueError unless uint8 ``(B, T, H, W, 3)``.

        ``seconds`` ``(B, T - 1)``: from each frame to the next; None: ``1 / rate``.
        """
        check_clips(clips, "motion")
        paces = paces_of(clips, seconds, self.config.rate)
        return np.stack([self._of_clip(clip, clip_paces) for clip, clip_paces in zip(clips, paces, strict=True)])

    def _of_clip(self, clip: Pixels, paces: Array) -> Features:
        pairs = max(len(clip) - 1, 1)
        moving = [k for k in range(len(clip) - 1) if _differ(clip[k], clip[k + 1])]
        rows, columns = (Side(size, self.config.cell, self.config.window) for size in clip.shape[1:3])
        edges = np.linspace(0, pairs, min(self.config.steps, pairs) + 1).round().astype(int)
        if not moving:
            return np.zeros((len(edges) - 1, rows.cells, columns.cells, len(self.names)), np.float32)
        nearest = np.abs(np.array(moving) - np.arange(pairs)[:, None]).argmin(1)
        steps = [nearest[a:b] for a, b in pairwise(edges)]  # the moving pairs that each time step is the mean of
        grays = _grays(clip)
        fields = self._fields(grays, moving, paces)
        shares = pooled(fields[:, 3], every_window(rows, columns))
        alive = np.stack([shares[step].mean(0) for step in steps]) >= LEAST
        means = np.zeros((len(moving), CHANNELS, *shares.shape[1:]), np.float32)
        uses = np.stack([np.bincount(step, minlength=len(moving)) for step in steps])
        active: Masks = np.any((uses > 0)[..., None, None] & alive[:, None], 0)
        for number, under in enumerate(windows_around(active, rows, columns)):
            if under is not None:
                means[number][:, *under.cells] = _means(grays[moving[number]], fields[number], under)
        cells = _numbers(means, shares)
        if self.config.groups:
            cells = np.concatenate([cells, self._grouped(fields, moving, rows, columns)], -1)
        weights = (uses / uses.sum(1, keepdims=True)).astype(np.float32)
        features: Features = (weights @ cells.reshape(len(moving), -1)).reshape(len(steps), *cells.shape[1:])
        features *= alive[..., None]
        return features

    def _grouped(self, fields: Array, moving: list[int], rows: Side, columns: Side) -> Array:
        """The numbers of the settings' groups of each pair and cell ``(P, h, w, D)``."""
        rows, columns = rows._replace(pitch=4), columns._replace(pitch=4)
        adjacent = [k - 1 in moving[:number] for number, k in enumerate(moving)]
        maps = group_maps(quartered(fields), adjacent, self.config.groups)
        means = pooled(maps.reshape(-1, *maps.shape[2:]), every_window(rows, columns))
        return np.sqrt(means).reshape(*maps.shape[:2], *means.shape[1:]).transpose(0, 2, 3, 1)

    def _fields(self, grays: list[Pixels], moving: list[int], paces: Array) -> Array:
        """Of each pair that moves, at half size: flow right and down, change, and share of motion."""
        height, width = grays[0].shape
        fields = room("fields", len(moving), 4, -(-height // 2), -(-width // 2))
        flow = _flow(self.config.flow, (height, width))
        small = [flow.shrunk(gray) for gray in grays]
        flows = [flow(small[k], small[k + 1], field[:2]) for field, k in zip(fields, moving, strict=True)]
        models = camera_motions(np.stack(flows), height, width) if self.config.camera else [None] * len(moving)
        for field, model, k in zip(fields, models, moving, strict=True):
            after = grays[k + 1]
            if model is not None:
                after = steadied(after, model)
                subtract_camera(field[:2], model)
            fill_change(grays[k], after, field[2])
            to_one_step(field[:2], field[2], paces[k])
            fill_share(field)
        return fields


def _differ(first: Pixels, second: Pixels) -> bool:
    """Whether two pictures differ anywhere; every sixteenth row is compared first."""
    return not (np.array_equal(first[::16], second[::16]) and np.array_equal(first, second))


def _grays(clip: Pixels) -> list[Pixels]:
    import cv2

    grays: list[Any] = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in clip]
    down, right = (max(SMALLEST - size, 0) for size in clip.shape[1:3])
    if down or right:
        grays = [cv2.copyMakeBorder(gray, 0, down, 0, right, cv2.BORDER_REPLICATE) for gray in grays]
    return grays


def _means(gray: Pixels, fields: Array, under: Windows) -> Array:
    """Means ``(CHANNELS, h, w)`` of the measures of pixels over some windows."""
    maps = room("maps", CHANNELS, *(side.stop - side.start for side in under.samples))
    fill_channels(gray, fields, under.samples, maps)
    means = pooled(maps, under)
    means *= SCALES
    return means


def _numbers(means: Array, shares: Array) -> Array:
    """The cells' numbers ``(P, h, w, D)`` from their averages: roots and ratios, to shorten long tails."""
    right, left, down, up = means[:, :4].swapaxes(0, 1)
    speed, square, fourth, shear, change = means[:, -5:].swapaxes(0, 1)
    u, v = right - left, down - up
    numbers = np.empty((*shares.shape, len(NAMES)), np.float32)
    roots = means.shape[1] - 5
    np.sqrt(means[:, :roots], out=numbers[..., :roots].transpose(0, 3, 1, 2))
    spread = np.sqrt(np.maximum(square - u * u - v * v, 0))
    ratio = speed / (shares + np.float32(0.02))
    tail = (speed, np.sqrt(square), np.sqrt(np.sqrt(fourth)), spread, shear, change, shares, ratio)
    for column, values in enumerate(tail, roots):
        numbers[..., column] = values
    return numbers


PLUGIN = Motion

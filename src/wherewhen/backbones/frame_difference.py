"""Frame differences per grid cell: the simplest backbone, a lower bound for others."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np

from wherewhen.core.contracts import BackboneAbilities, ClipSpec, Provenance, check_clips
from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Features, Pixels


@dataclass(frozen=True)
class FrameDifferenceConfig:
    """Settings of `FrameDifference`.

    Args:
        frames: frames per clip; an overlap of one frame between clips loses no change.
        stride: a new clip every so many frames.
        rate: frames per second after resampling by timestamps; null keeps the source's.
        width: wider pictures are shrunk to this many px; null keeps them.
        rows: cells from top to bottom.
        columns: cells from left to right.
    """

    frames: int = 9
    stride: int = 8
    rate: float | None = None
    width: int | None = 320
    rows: int = 30
    columns: int = 40

    def __post_init__(self) -> None:
        if self.frames < 2 or min(self.stride, self.rows, self.columns) < 1:
            raise ConfigError(f"frame_difference: expected frames >= 2, stride, rows, columns >= 1; got {self}")


class FrameDifference:
    """Mean absolute change of gray: uint8 ``(B, T, H, W, 3)`` -> float32 ``(B, T - 1, rows, columns, 1)`` in [0, 1].

    A clip of one frame gives one step of zeros.

    >>> FrameDifference(FrameDifferenceConfig(rows=3, columns=4))(np.zeros((2, 9, 48, 64, 3), np.uint8)).shape
    (2, 8, 3, 4, 1)
    """

    Config: ClassVar[type] = FrameDifferenceConfig
    source: ClassVar[Provenance] = Provenance(title="Frame difference")
    abilities: ClassVar[BackboneAbilities] = BackboneAbilities(usable_on_moving_crops=False)

    def __init__(self, config: FrameDifferenceConfig) -> None:
        self.config = config
        self.clip = ClipSpec(config.frames, config.stride, config.rate, config.width, changes=True)

    def __call__(self, clips: Pixels) -> Features:
        """Features of a batch of clips; ValueError unless uint8 ``(B, T, H, W, 3)``."""
        check_clips(clips, "frame_difference")
        return np.stack([self._of_clip(clip) for clip in clips])

    def _of_clip(self, clip: Pixels) -> Features:
        import cv2

        size = (self.config.columns, self.config.rows)
        grays = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in clip]
        if len(grays) == 1:
            grays *= 2
        changes = [cv2.absdiff(a, b).astype(np.float32) for a, b in pairwise(grays)]
        cells = [cv2.resize(change, size, interpolation=cv2.INTER_AREA) for change in changes]
        return (np.stack(cells)[..., None] / 255).astype(np.float32)


PLUGIN = FrameDifference

"""Gray patches of pictures, for methods that learn features themselves (Sabokrou et al., CVPR 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from wherewhen.core.contracts import BackboneAbilities, ClipSpec, Provenance, check_clips
from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Features, Pixels


@dataclass(frozen=True)
class PixelsConfig:
    """Settings of `PixelPatches`.

    Args:
        stride: a new clip of ``stride + 1`` frames every so many frames; patches show its middle frame.
        rate: frames per second after resampling by timestamps; null keeps the source's.
        height: pictures are resized to this many px, 240 in the official code of ALOCC.
        width: pictures are resized to this many px, 360 there.
        side: size of a patch in px, 45 there.
        step: least distance of patches in px, 25 there.
        still: a patch whose gray changes less than this on average, as a share of white, from the middle frame to its
            neighbors holds nothing; 0 keeps all.
    """

    stride: int = 8
    rate: float | None = None
    height: int = 240
    width: int = 360
    side: int = 45
    step: int = 25
    still: float = 0.015

    def __post_init__(self) -> None:
        if min(self.stride, self.side, self.step) < 1 or min(self.height, self.width) < self.side:
            raise ConfigError(f"pixels: expected stride, side, step >= 1 and pictures of a side at least; got {self}")
        if (self.rate is not None and not self.rate > 0) or not 0 <= self.still < 1:
            raise ConfigError(f"pixels: expected rate above 0 or null and still in [0, 1); got {self}")


class PixelPatches:
    """Overlapping patches of one frame: uint8 ``(B, T, H, W, 3)`` -> float32 ``(B, 1, h, w, side * side)`` in [-1, 1].

    There are as many as `step` allows; each is at the center of its cell of the picture, or as near to it as the border
    allows. A patch without motion is all zeros. (Gray that is exactly in the middle is 1/255, not 0.)

    >>> PixelPatches(PixelsConfig(still=0.0))(np.zeros((1, 9, 48, 64, 3), np.uint8)).shape
    (1, 1, 8, 13, 2025)
    """

    Config: ClassVar[type] = PixelsConfig
    source: ClassVar[Provenance] = Provenance(
        title="Gray patches",
        homepage="https://github.com/khalooei/ALOCC-CVPR2018",
        citation="Sabokrou et al., Adversarially Learned One-Class Classifier, CVPR 2018",
    )
    abilities: ClassVar[BackboneAbilities] = BackboneAbilities()

    def __init__(self, config: PixelsConfig) -> None:
        self.config = config
        self.clip = ClipSpec(config.stride + 1, config.stride, config.rate, size=(config.height, config.width))
        self._tops = corners(config.height, config.side, config.step)
        self._lefts = corners(config.width, config.side, config.step)

    def __call__(self, clips: Pixels) -> Features:
        """Features of a batch of clips; ValueError unless uint8 ``(B, T, H, W, 3)``."""
        check_clips(clips, "pixels")
        return np.stack([self._of_clip(clip) for clip in clips])[:, None]

    def _of_clip(self, clip: Pixels) -> Features:
        middle = len(clip) // 2
        frame, *others = [self._gray(clip[k]) for k in (middle, middle - 1, middle + 1) if 0 <= k < len(clip)]
        patches = self._cut(frame)
        if others:
            changes = [np.abs(self._cut(frame - other)).mean(-1) for other in others]
            patches = np.where((np.maximum.reduce(changes) < self.config.still)[..., None], 0, patches * 2 - 1)
        else:
            patches = patches * 2 - 1
        return patches.astype(np.float32)

    def _gray(self, picture: Pixels) -> Features:
        import cv2

        gray = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY)
        if gray.shape != (self.config.height, self.config.width):
            interpolation = cv2.INTER_AREA if gray.shape[0] > self.config.height else cv2.INTER_LINEAR
            gray = cv2.resize(gray, (self.config.width, self.config.height), interpolation=interpolation)
        return (gray / 255).astype(np.float32)

    def _cut(self, picture: Features) -> Features:
        """All patches ``(h, w, side * side)`` of a picture."""
        side = self.config.side
        windows = np.lib.stride_tricks.sliding_window_view(picture, (side, side))
        patches: Features = windows[self._tops[:, None], self._lefts].reshape(len(self._tops), len(self._lefts), -1)
        return patches


def corners(length: int, side: int, step: int) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """First pixels of patches of ``side`` along ``length`` px: centered in equal cells as far as the border allows.

    >>> corners(100, 40, 30).tolist()
    [0, 30, 60]
    """
    count = (length - side) // step + 1
    begins = (np.arange(count) + 0.5) * length / count - side / 2
    return np.round(begins.clip(0, length - side)).astype(np.intp)


PLUGIN = PixelPatches

"""Spatial localization by text, without training: crops or patches against prompts, then a map and a box.

After the spatial stream of STPrompt (Wu et al., ACM MM 2024, section 3.4); what the paper leaves open is a setting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Features, Floats, unit

SCALE = 100.0  # of cosines: CLIP's own, exp(logit_scale)
MOST = 2000  # windows of one picture


@dataclass(frozen=True)
class SpatialConfig:
    """Settings of the spatial stream.

    Args:
        view: patches processes each picture once; windows processes overlapping crops of it.
        shares: sides of windows, as shares of the picture's sides.
        stride: from window to window, as a share of the window.
        scale: of cosines before the softmax over all prompts.
        raster: rows and columns of the map of windows; multiples of 24 fit the default windows exactly.
        stretch: stretch every map so that its lowest value becomes 0 and its highest 1; then every picture has a peak,
            so another stage must decide whether anything happens.
        width: windows are cut out of pictures no wider than this, in px.
    """

    view: Literal["patches", "windows"] = "patches"
    shares: tuple[float, ...] = (1 / 4, 1 / 3, 1 / 2)
    stride: float = 0.5
    scale: float = SCALE
    raster: int = 24
    stretch: bool = False
    width: int = 896

    def __post_init__(self) -> None:
        object.__setattr__(self, "shares", tuple(self.shares))
        if not self.shares or not all(0 < share <= 1 for share in self.shares) or not 0 < self.stride <= 1:
            raise ConfigError(
                f"spatial: expected shares and stride above 0 and up to 1; got {self.shares}, {self.stride}"
            )
        if not self.scale > 0 or not 1 <= self.raster <= 512 or self.width < 16:
            raise ConfigError(f"spatial: expected scale above 0, raster 1 to 512, width of 16 at least; got {self}")
        count = sum((int(np.ceil((1 - share) / (share * self.stride))) + 1) ** 2 for share in self.shares)
        if count > MOST:
            raise ConfigError(f"spatial: {count} windows a picture; {MOST} are the most: larger shares or stride")


def likelihoods(vectors: Features, texts: Features, scale: float = SCALE) -> Features:
    """Likelihoods ``(..., M)`` of M unit text vectors ``(M, D)`` for vectors ``(..., D)`` of pictures; they sum to 1.

    The softmax of scaled cosines. A vector of zeros, which was not processed, has equal likelihoods.
    """
    cosines = unit(vectors) @ texts.T
    raised = np.exp(scale * (cosines - cosines.max(-1, keepdims=True)))
    shares: Features = (raised / raised.sum(-1, keepdims=True)).astype(np.float32)
    return shares


def by_class(shares: Features, owners: NDArray[np.int64], classes: int) -> Features:
    """Likelihood ``(..., C)`` of each class: the sum of those of its texts; ``owners`` ``(M,)``, -1 = normal.

    >>> by_class(np.float32([0.5, 0.125, 0.375]), np.array([-1, 0, 0]), 1).tolist()
    [0.5]
    """
    member = owners[:, None] == np.arange(classes)
    summed: Features = shares @ member.astype(np.float32)
    return summed


def stretched(heat: Features) -> Features:
    """A map whose lowest place becomes 0 and whose highest 1; a flat one becomes 0.

    >>> stretched(np.float32([[1, 2, 3]])).tolist()
    [[0.0, 0.5, 1.0]]
    """
    low, high = float(heat.min()), float(heat.max())
    return (heat - low) / (high - low) if high > low else np.zeros_like(heat)


def gated(heat: Features, score: float) -> Features:
    """A map ``(h, w)`` times the score of a temporal stream at its moment, from 0 to 1."""
    return heat * np.float32(score)


def box(heat: Features, level: float = 0.5, which: Literal["largest", "all", "peak"] = "largest") -> Floats | None:
    """The box ``(4,)`` ``x0 y0 x1 y1`` around a region of a map ``(h, w)`` at or above ``level``; None without any.

    ``which``: the largest one (of equal ones the first), all of them, or the one with the highest peak. Cells that
    touch at a corner are one region.

    >>> box(np.float32([[0, 0.9], [0, 0]])).tolist()
    [0.5, 0.0, 1.0, 0.5]
    """
    from scipy import ndimage

    labels, count = ndimage.label(heat >= level, np.ones((3, 3)))
    if not count:
        return None
    chosen = 1 + int(np.bincount(labels.ravel())[1:].argmax()) if which == "largest" else labels.flat[heat.argmax()]
    rows, columns = np.nonzero(labels if which == "all" else labels == chosen)
    h, w = heat.shape
    return np.array([columns.min() / w, rows.min() / h, (columns.max() + 1) / w, (rows.max() + 1) / h])

"""Background model: colors and noise of the empty scene, adapted over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wherewhen.core.values import Masks, Pixels

Array = NDArray[np.float32]

BASE = 9.0  # gray levels of difference from the background in any scene, added to the noise
NOISES = 3.0  # factor of a pixel's usual difference from which it is foreground
SURE = 64  # level of certain foreground pixels
WEAK = 44  # level of foreground pixels close to certain ones
SHARE = 0.22  # of the highest level around a pixel that it must reach: soft borders don't
AROUND = 11  # px: size of that surrounding
WINDOWED = 15  # pictures of the median
LOUDEST = 25.0  # gray levels: upper limit of the noise, so that moving leaves don't hide objects permanently
LEARN = 0.03  # weight of a new picture in the background, after about a second of pictures
SHADE = (0.4, 0.93)  # range of the ratio of light in shadow to light without
SHADE_GRAY = 0.75  # lower limit of that ratio in gray pictures: a darker object may be gray itself
FEW = 0.08  # share of a blob that must be darker before it is searched for shadow
MOSTLY = 0.85  # share of a blob: with more shadow pixels, it is an object of even brightness
MOSTLY_GRAY = 0.35  # the same in gray pictures
SHADE_SPREAD = 0.065  # deviation of the ratio within a shadow: it darkens evenly
SHADE_SPREAD_IN_COLOR = 0.08  # the same in pictures with color
SHADE_TINT = 0.05  # difference of the ratio between colors
COLORED = 3.0  # gray levels by which the tint differs from place to place, in a picture that isn't gray
WINDOW = 5  # px: side of the window of that deviation
RIM = 7  # px: width of the soft edge around the even core of a shadow
FADE = (0.6, 1.6)  # change of the light of the whole picture within one scene
SPARSE = 6  # px between the places at which light is measured


class Background:
    """The empty scene, from the first few pictures ``(H, W, 3)`` uint8 RGB of one size on.

    At first it is the median of the pictures so far, since objects may hide the scene at any time; then it follows slow
    changes.
    """

    def __init__(self, pictures: Sequence[Pixels]) -> None:
        import cv2

        self._history = [picture.copy() for picture in (pictures[0], pictures[-1])[: len(pictures)]]
        self._mean: Array = _median(pictures)
        self._noise: Array = np.full(self._mean.shape[:2], 2.0, np.float32)
        self._count = len(pictures)
        self._plain: Any = cv2.convertScaleAbs(self._mean)
        self._colored = bool((self._mean[..., :2] - self._mean[..., 2:]).std((0, 1)).max() > COLORED)

    def remember(self, picture: Pixels) -> None:
        """Add a picture to the median; for the first seconds of a scene."""
        self._history.append(picture.copy())
        if len(self._history) > WINDOWED:
            del self._history[0]
        self._mean = _median(self._history)

    def differs(self, picture: Pixels) -> tuple[Pixels, Pixels]:
        """The foreground ``(H, W)``: a mask (255 or 0), and a level, SURE for certain pixels.

        The mask includes weak pixels: only some pixels of an object must reach SURE. Near high levels it is stricter.
        """
        import cv2

        gain = self._light(picture)
        self._plain = cv2.convertScaleAbs(self._mean, alpha=gain)
        red, green, blue = cv2.split(cv2.absdiff(picture, self._plain))
        far = cv2.blur(cv2.max(cv2.max(red, green), blue), (3, 3))
        limit = self._noise * NOISES + BASE
        level = np.asarray(cv2.convertScaleAbs(cv2.divide(far.astype(np.float32), limit), alpha=SURE), np.uint8)
        least = cv2.convertScaleAbs(cv2.dilate(level, np.ones((AROUND, AROUND), np.uint8)), alpha=SHARE)
        mask = np.where(level >= np.maximum(least, WEAK), np.uint8(255), np.uint8(0))
        quiet = (level < WEAK).view(np.uint8)
        rate = max(LEARN, 1 / (self._count + 1))
        cv2.accumulateWeighted(far, self._noise, rate / 2, quiet)
        cv2.accumulateWeighted(far, self._noise, LEARN / 20, mask)
        np.minimum(self._noise, LOUDEST, out=self._noise)
        fresh = picture if abs(gain - 1) < 0.01 else cv2.convertScaleAbs(picture, alpha=1 / gain)
        cv2.accumulateWeighted(fresh, self._mean, rate, quiet)
        self._count += 1
        return mask, level

    def absorb(self, picture: Pixels, where: Masks, corner: tuple[int, int] = (0, 0)) -> None:
        """Add the pixels ``where`` ``(h, w)``, with the upper left ``corner`` (row, column), to the background."""
        part = np.s_[corner[0] : corner[0] + where.shape[0], corner[1] : corner[1] + where.shape[1]]
        self._mean[part][where] = picture[part][where]
        self._plain[part][where] = picture[part][where]
        for old in self._history:
            old[part][where] = picture[part][where]

    @property
    def gray(self) -> Pixels:
        """The empty scene ``(H, W)`` in the light of the last picture."""
        import cv2

        return np.asarray(cv2.cvtColor(self._plain, cv2.COLOR_RGB2GRAY), np.uint8)

    def _light(self, picture: Pixels) -> float:
        """Brightness of the picture as a multiple of the background's."""
        places = np.s_[SPARSE // 2 :: SPARSE, SPARSE // 2 :: SPARSE, 1]
        now, then = picture[places].astype(np.float32), self._mean[places]
        lit = (then > 20) & (now < 250)
        if lit.sum() < 20:
            return 1.0
        gain = float(np.median(now[lit] / then[lit]))
        return gain if FADE[0] < gain < FADE[1] else 1.0

    def shadows(self, picture: Pixels, where: Masks, corner: tuple[int, int]) -> Masks:
        """Shadow pixels of a part ``where`` ``(h, w)`` of the foreground: those that are evenly darker.

        ``corner``: row and column of its upper left. Jacques, Jung and Musse, Background subtraction and shadow
        detection in grayscale video sequences, 2005; here with a second test by color.
        """
        import cv2

        part = np.s_[corner[0] : corner[0] + where.shape[0], corner[1] : corner[1] + where.shape[1]]
        darker = where & (picture[part][..., 1] < self._plain[part][..., 1])
        if np.count_nonzero(darker) < FEW * np.count_nonzero(where):
            return np.zeros_like(where)
        now, then = (cv2.blur(image[part], (3, 3)).astype(np.float32) for image in (picture, self._plain))
        ratio = cv2.divide(now, then + 1)
        gray = cv2.transform(ratio, np.full((1, 3), 1 / 3, np.float32))
        red, green, blue = cv2.split(ratio)
        tint = cv2.max(cv2.max(cv2.absdiff(red, gray), cv2.absdiff(green, gray)), cv2.absdiff(blue, gray))
        inside = where.astype(np.float32)
        size = (WINDOW, WINDOW)
        count = cv2.boxFilter(inside, -1, size) + np.float32(1e-6)
        mean = cv2.boxFilter(gray * inside, -1, size) / count
        square = cv2.boxFilter(gray * gray * inside, -1, size) / count
        least = SHADE[0] if self._colored else SHADE_GRAY
        dark = (tint < SHADE_TINT) & (gray < 1) & (gray > least)
        spread = SHADE_SPREAD_IN_COLOR if self._colored else SHADE_SPREAD
        core = where & dark & (mean < SHADE[1]) & (square - mean * mean < spread**2)
        solid = cv2.morphologyEx(core.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        surrounding = cv2.dilate(solid, np.ones((RIM, RIM), np.uint8)) > 0
        shadow: Masks = surrounding & dark & where
        most = MOSTLY if self._colored else MOSTLY_GRAY
        return shadow if np.count_nonzero(shadow) <= most * np.count_nonzero(where) else np.zeros_like(shadow)


def _median(pictures: Sequence[Pixels]) -> Array:
    """The middle of each color at each pixel ``(H, W, 3)``, of two the higher.

    Pictures are sorted as a whole, neighbors swapped in turns: with so few this is ten times as fast as by pixels.
    """
    import cv2

    row: list[Any] = list(pictures)
    for turn in range(len(row)):
        for k in range(turn % 2, len(row) - 1, 2):
            row[k], row[k + 1] = cv2.min(row[k], row[k + 1]), cv2.max(row[k], row[k + 1])
    middle: Array = row[len(row) // 2].astype(np.float32)
    return middle

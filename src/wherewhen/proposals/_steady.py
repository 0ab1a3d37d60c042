"""Camera motion: the shift, rotation and zoom of most of the picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wherewhen.core.values import Pixels

Array = NDArray[np.float32]
Whole = NDArray[np.intp]

REST = 0.5  # px a frame, at 320 px: below this flow is noise
PLACES = 20  # along the longer side
SHARE = 0.5  # of the informative places that must move before the camera may be moving
TEXTURE = 4.0  # gray levels: in flatter parts of the picture flow is not informative
CHANGE = 4.0  # gray levels: smaller changes from picture to picture are noise
FEWEST = 12  # informative places that are needed


def informative(before: Pixels, gray: Pixels) -> tuple[Whole, Whole]:
    """Rows and columns of places that are informative of camera motion; none where it rests.

    Places with texture are informative, and a camera that moves changes most of them.
    """
    import cv2

    height, width = gray.shape
    step = max(4, max(height, width) // PLACES)
    ys, xs = (part.ravel() for part in np.mgrid[step // 2 : height : step, step // 2 : width : step])
    rough = cv2.absdiff(gray, cv2.blur(gray, (9, 9)))
    good = cv2.blur(rough, (step, step))[ys, xs] >= TEXTURE
    ys, xs = ys[good], xs[good]
    changed = cv2.blur(cv2.absdiff(gray, before), (3, 3))[ys, xs] >= CHANGE
    if len(xs) < FEWEST or changed.mean() < SHARE:
        return ys[:0], xs[:0]
    return ys, xs


def camera(flow: Array, places: tuple[Whole, Whole]) -> Array | None:
    """The move ``(2, 3)`` from one picture to the next that most of a flow ``(H, W, 2)`` follows; None at rest.

    ``places``: of `informative`. Row i gives coordinate i of where pixel (x, y) went: ``m[i] @ (x, y, 1)``.
    """
    import cv2

    height, width = flow.shape[:2]
    ys, xs = places
    vectors = flow[ys, xs]
    rest = REST * max(height, width) / 320
    if (np.hypot(*vectors.T) > rest).mean() < SHARE:
        return None
    before = np.stack([xs, ys], -1).astype(np.float32)
    model, inliers = cv2.estimateAffinePartial2D(before, before + vectors, ransacReprojThreshold=2 * rest)
    if model is None or inliers.mean() < SHARE:
        return None
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]], np.float64)
    moved = np.hypot(*(corners @ model.T - corners[:, :2]).T)
    return None if moved.max() < rest else np.asarray(model, np.float32)

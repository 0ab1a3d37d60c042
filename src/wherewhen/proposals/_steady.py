"""Whether the camera moves, and how: a shift, turn and zoom that most of the picture shares."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wherewhen.values import Pixels

Array = NDArray[np.float32]

REST = 0.5  # px a frame, at 320 px: below this flow is noise
PLACES = 20  # along the longer side
TELLING = 0.5  # share of the telling places that must move before the camera may be what moves
TEXTURE = 4.0  # gray levels: where the picture is flatter than that, flow tells nothing
CHANGE = 4.0  # gray levels: what changes by less from picture to picture is noise
FEWEST = 12  # places that must tell something


def camera(flow: Array, before: Pixels, gray: Pixels) -> Array | None:
    """The move ``(2, 3)`` from the picture before to this one that most of a flow ``(H, W, 2)`` follows; None at rest.

    Only places with texture tell, and a camera that moves changes most of them: flow alone errs along edges. Row i
    gives coordinate i of where pixel (x, y) went: ``m[i] @ (x, y, 1)``.
    """
    import cv2

    height, width = gray.shape
    step = max(4, max(height, width) // PLACES)
    ys, xs = (part.ravel() for part in np.mgrid[step // 2 : height : step, step // 2 : width : step])
    rough = cv2.absdiff(gray, cv2.blur(gray, (9, 9)))
    telling = cv2.blur(rough, (step, step))[ys, xs] >= TEXTURE
    ys, xs = ys[telling], xs[telling]
    if len(xs) < FEWEST:
        return None
    if (cv2.blur(cv2.absdiff(gray, before), (3, 3))[ys, xs] >= CHANGE).mean() < TELLING:
        return None
    vectors = flow[ys, xs]
    rest = REST * max(height, width) / 320
    if (np.hypot(*vectors.T) > rest).mean() < TELLING:
        return None
    before = np.stack([xs, ys], -1).astype(np.float32)
    model, inliers = cv2.estimateAffinePartial2D(before, before + vectors, ransacReprojThreshold=2 * rest)
    if model is None or inliers.mean() < TELLING:
        return None
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]], np.float64)
    moved = np.hypot(*(corners @ model.T - corners[:, :2]).T)
    return None if moved.max() < rest else np.asarray(model, np.float32)

"""Non-maximum suppression of boxes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wherewhen.core import extents as ext
from wherewhen.core.values import Floats


def surest(rows: Floats, values: Floats, classes: NDArray[np.int64], overlap: float, most: int) -> NDArray[np.int64]:
    """Indices ``(K,)`` of the remaining boxes, the highest value first: greedy, class by class.

    ``rows`` ``(N, 6)``. A box is removed where one of its class with a higher value has an IoU above ``overlap``.

    >>> rows = np.array([[0, 1, 0, 0, 0.5, 1], [0, 1, 0, 0, 0.4, 1], [0, 1, 0.6, 0, 1, 1]])
    >>> surest(rows, np.array([0.6, 0.9, 0.5]), np.zeros(3, int), 0.5, 10).tolist()
    [1, 2]
    """
    order = np.argsort(-values, kind="stable")
    indices: list[int] = []
    while len(order) and len(indices) < most:
        best, rest = order[0], order[1:]
        indices.append(int(best))
        same = (ext.iou(rows[best], rows[rest]) > overlap) & (classes[rest] == classes[best])
        order = rest[~same]
    return np.array(indices, np.int64)

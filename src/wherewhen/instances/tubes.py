"""Every mover is an instance: a tube of boxes that follow it through time, or a part of one."""

from __future__ import annotations

from typing import ClassVar

from wherewhen.instances._movers import Windowed


class Tubes(Windowed):
    """Grids with tracked boxes to one instance per tube, or part of it: the mean of the cells inside the boxes.

    The path of one mover (unary), of movers that touch (multivariate), or the whole picture where there is no mover. An
    instance's extent is the hull of its boxes, `Instances.paths` are the boxes, and ``track`` numbers the movers.
    Instances come a window at a time. Region-level tubes T^r of Wu et al., IJCAI 2021, who crop pictures (``features:
    crop``).

    >>> import numpy as np
    >>> from wherewhen.core.values import Grid
    >>> grid = Grid(np.ones((1, 2, 2, 3), np.float32), np.array([0, 1, 0, 0, 1, 1.0]))
    >>> next(Tubes(Tubes.Config(manner=False))([grid])).features
    array([[1., 1., 1.]], dtype=float32)
    """

    whole: ClassVar[bool] = False


PLUGIN = Tubes

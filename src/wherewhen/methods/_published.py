"""Features that published methods were trained on, as settings of the parts that make them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SEQUENCE = {"cells": {"steps": 1, "rows": 1, "columns": 1}}
"""One vector of the whole picture per clip."""

TEN_CROPS = {**SEQUENCE, "crops": 10, "crop_mode": "separate"}
"""The same for each of ten crops, whose scores are averaged."""

I3D = {"backbone": "i3d", "i3d": {"layer": "pooled", "frames": 16, "stride": 16}}
CLIP = {"backbone": "clip", "clip": {"layer": "embedding", "frames": 16, "stride": 16, "sampling": 16}}
C3D = {"backbone": "c3d", "c3d": {"layer": "fc6", "view": "center", "stride": 16}}


def ten_crops(length: int) -> dict[str, Any]:
    """Ten crops of I3D features; those of other lengths than 1024 are of networks that are not in this toolkit.

    >>> "backbone" in ten_crops(1024), "backbone" in ten_crops(2048)
    (True, False)
    """
    backbone: Mapping[str, Any] = I3D if length == 1024 else {}
    return {**backbone, **TEN_CROPS}

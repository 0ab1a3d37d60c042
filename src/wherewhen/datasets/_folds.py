"""Both sides of a published fold, kept apart."""

from __future__ import annotations

from wherewhen.core.diagnostics import report
from wherewhen.core.values import Video

Side = tuple[Video, ...]


def apart(train: Side, test: Side, where: object = "") -> tuple[Side, Side]:
    """Training and test videos; a video on both sides is reported (an error) and kept in the test alone."""
    tested = {video.id for video in test}
    for video in train:
        if video.id in tested:
            report("leak-name", "listed for training and for testing; left out of training", video.id, where)
    return tuple(video for video in train if video.id not in tested), test

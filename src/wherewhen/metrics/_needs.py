"""Requirements of metrics on the ground truth, by name; metrics and trivial baselines list those that they need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from wherewhen.core.values import Truth
from wherewhen.metrics._regions import annotated_frames, frame_rows, marks, places
from wherewhen.metrics.delay import TOLERANCE, quiet_frames

NORMAL = "no video is anomalous"
Check = Callable[[Sequence[Truth]], str | None]


def _times(truths: Sequence[Truth]) -> str | None:
    return None if all(truth.timed for truth in truths) else "the truth has labels of whole videos but no times"


def _videos(truths: Sequence[Truth]) -> str | None:
    labels = {truth.label for truth in truths}
    return None if len(labels) == 2 else "no video is normal" if 1 in labels else NORMAL


def _frames(truths: Sequence[Truth]) -> str | None:
    if not any(truth.label for truth in truths):
        return NORMAL
    if not any(truth.frames.any() for truth in truths):
        return "no frame is in a span: the spans are shorter than a frame"
    if all(truth.frames.all() for truth in truths):
        return "no frame is normal: every video is anomalous from its first to its last frame"
    return None


def _events(truths: Sequence[Truth]) -> str | None:
    return None if any(len(truth.spans) for truth in truths) else NORMAL


def _quiet(truths: Sequence[Truth]) -> str | None:
    present = any(quiet_frames(truth.edges, truth.spans, TOLERANCE).any() for truth in truths)
    return None if present else f"no frame is more than {TOLERANCE:g} s from every event"


def _lacking(truths: Sequence[Truth], part: str) -> str:
    if not any(truth.label for truth in truths):
        return NORMAL
    return _times(truths) or f"the truth has times but no {part}"


def _places(truths: Sequence[Truth]) -> str | None:
    present = any(places(truth).regions for truth in truths)
    return None if present else _lacking(truths, "boxes or masks")


def _boxes(truths: Sequence[Truth]) -> str | None:
    present = any(places(truth, masks_first=False).regions for truth in truths)
    return None if present else _lacking(truths, "boxes or masks")


def _rows(truths: Sequence[Truth]) -> str | None:
    present = any(len(frame_rows(truth.boxes, truth.edges)[0]) for truth in truths)
    return None if present else _lacking(truths, "boxes")


def _free(truths: Sequence[Truth]) -> str | None:
    present = any(places(truth).normal.any() for truth in truths)
    return None if present else "no frame is normal: every video is anomalous from its first to its last frame"


def _everywhere(truths: Sequence[Truth]) -> str | None:
    anomalous = [truth for truth in truths if truth.label]
    without = sum(not places(truth, masks_first=False).regions for truth in anomalous)
    if anomalous and not without:
        return None
    if without == len(anomalous):
        return _lacking(truths, "boxes or masks")
    return f"{without} of {len(anomalous)} anomalous videos have no box or mask"


def _cells(truths: Sequence[Truth]) -> str | None:
    on = off = False
    for truth in truths:
        place = places(truth)
        marked, valid = marks(place.regions, 8, 0.25, 5 / 128), annotated_frames(truth, place)
        numbers = place.region_of[valid]
        on |= bool(marked[numbers[numbers >= 0]].any())
        off |= bool((numbers < 0).any() or not marked[numbers[numbers >= 0]].all())
        if on and off:
            return None
    return "every cell is in the truth in every frame" if on else "no box or mask covers a quarter of a cell"


NEEDS: Mapping[str, Check] = {
    "times": _times,
    "both kinds of videos": _videos,
    "both kinds of frames": _frames,
    "events": _events,
    "quiet": _quiet,
    "places": _places,
    "boxes before masks": _boxes,
    "boxes": _rows,
    "normal frames": _free,
    "a place in every anomalous video": _everywhere,
    "patches": _cells,
}


def lacks(needs: Sequence[str], truths: Sequence[Truth]) -> str | None:
    """The first of ``needs`` that these truths lack, as a text; None without any.

    >>> lacks(["times", "boxes"], [Truth([0, 1], [[0, 1]]), Truth([0, 1])])
    'the truth has times but no boxes'
    """
    return next((reason for name in needs if (reason := NEEDS[name](truths))), None)

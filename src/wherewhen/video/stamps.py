"""Times of all pictures of a file from its packets, without decoding."""

from __future__ import annotations

from itertools import islice, pairwise
from typing import NamedTuple

from wherewhen.video.opening import Opened
from wherewhen.video.promise import ONE_TO_ONE, SMALLEST_VOP, TIMED, ReadTotals

_LOOK = 250


class Stamps(NamedTuple):
    """Times of all pictures and of those where decoding can begin, in units of the container, in rising order."""

    pictures: list[int]
    keys: list[int]
    totals: ReadTotals


def stamps(opened: Opened) -> Stamps | None:
    """Times of all pictures of an open file; None where packets have no reliable times."""
    container, stream = opened
    codec = stream.codec_context.name
    if container.format.name not in TIMED or codec not in ONE_TO_ONE:
        return None
    pictures, keys, totals = list[int](), list[int](), ReadTotals()
    try:
        for packet in container.demux():
            if not packet.size:
                continue
            if packet.stream_index != stream.index:
                totals.beside(packet)
                continue
            if packet.pts is None or packet.is_discard or packet.is_corrupt:
                return None
            if codec == "mpeg4" and packet.size < SMALLEST_VOP:
                return None
            totals.add(packet)
            if packet.is_keyframe:
                keys.append(packet.pts)
            pictures.append(packet.pts)
    except Exception:  # decoding reports the fault and its place
        return None
    first = pictures[:1]
    pictures.sort()
    rises = all(a < b for a, b in pairwise(pictures))
    # a first picture that is not shown first depends on one that was cut away
    sound = rises and first and first == pictures[:1] == keys[:1]
    return Stamps(pictures, sorted(keys), totals) if sound else None


def uneven(opened: Opened, step: float, tick: float) -> bool:
    """Whether the first pictures of an open file are unevenly spaced."""
    container, stream = opened
    try:
        times = [packet.pts for packet in islice(container.demux(stream), _LOOK) if packet.pts is not None]
    except Exception:
        return False
    # the last ones may wait for pictures not read yet
    gaps = [(b - a) * tick for a, b in pairwise(sorted(times)[: max(3, len(times) - 16)])] or [step]
    return max(gaps) - min(gaps) > max(2.01 * tick, 0.05 * step)

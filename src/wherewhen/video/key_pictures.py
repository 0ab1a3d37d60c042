"""Pictures at key frames spread over a file: a few seeks, whatever its length."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from wherewhen.core.values import Pixels
from wherewhen.video.convert import Converter
from wherewhen.video.guard import guarded
from wherewhen.video.opening import opened


def key_pictures(path: Path, count: int, size: tuple[int, int]) -> list[Pixels]:
    """RGB pictures of exactly ``size`` (height, width) at up to ``count`` different key frames, in no exact order.

    The list is shorter where the file has fewer key frames, or states no duration. Raises VideoError if the file can't
    be opened or a key frame can't be decoded.
    """
    with guarded(str(path)), closing((source := opened(path)).container):
        container, stream = source
        tick = stream.time_base
        if tick is None or not (stream.duration or container.duration):
            return []
        convert = Converter(str(path), None, size)
        begin = stream.start_time or 0
        length = stream.duration or int((container.duration or 0) / 1_000_000 / tick)
        pictures: dict[int, Pixels] = {}
        for number in range(count):
            container.seek(begin + length * (2 * number + 1) // (2 * count), stream=stream)
            shot = next(container.decode(stream), None)
            if shot is not None and shot.pts is not None and shot.pts not in pictures:
                pictures[shot.pts] = convert(shot, f"key frame {number}")
        return list(pictures.values())

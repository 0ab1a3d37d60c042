"""How much of bare decoding speed is left once frames come as RGB: python benchmarks/video.py FILE [width] [rate].

Bare decoding and ``frames`` take turns in one process, each on one thread, and processor time is counted, so other
load on the machine matters little; the best of five rounds counts. Compare ratios, never frames per second.
"""

from __future__ import annotations

import sys
from time import process_time

import av

from wherewhen.runtime.hardware import described
from wherewhen.video.reader import frames

ROUNDS = 5


def bare(path: str) -> float:
    """Processor seconds to decode a file with one thread, pictures thrown away."""
    start = process_time()
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for packet in container.demux(stream):
            packet.decode()
    return process_time() - start


def read(path: str, width: int | None, rate: float | None) -> tuple[float, int]:
    """Processor seconds to read a file as RGB frames, and how many came."""
    start = process_time()
    count = sum(1 for _ in frames(path, width=width, rate=rate))
    return process_time() - start, count


def main(path: str, width: int | None = None, rate: float | None = None) -> None:
    total = sum(1 for _ in frames(path))
    rounds = [(bare(path), read(path, width, rate)) for _ in range(ROUNDS)]
    decode, (took, count) = min(r[0] for r in rounds), min(r[1] for r in rounds)
    print(described())
    print(f"{path}: {total} frames, {count} kept (width {width or 'as is'}, rate {rate or 'as is'})")
    print(f"decode only  {total / decode:8.0f} frames of the source per processor second")
    print(f"frames()     {total / took:8.0f} frames of the source per processor second")
    print(f"ratio        {decode / took:8.2f}")


if __name__ == "__main__":
    given = sys.argv[1:]
    main(given[0], int(given[1]) if given[1:] else None, float(given[2]) if given[2:] else None)

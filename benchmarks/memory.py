"""Peak memory of `detect` on videos of rising length, each in a process of its own: python benchmarks/memory.py RUN.

``RUN`` is the folder of a trained model. Lengths in frames follow it (default 2000 8000).
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

SIZE = (240, 320)


def draw(path: Path, frames: int) -> None:
    """A square that moves over a gray picture."""
    from wherewhen.video.writer import Writer

    with Writer(path, 25) as writer:
        for number in range(frames):
            picture = np.full((*SIZE, 3), 90, np.uint8)
            left = 3 * number % (SIZE[1] - 20)
            picture[100:130, left : left + 20] = 200
            writer.write(picture, number / 25)


def measure(run: str, path: Path) -> None:
    """Detect, then print the most memory that this process held, in MiB."""
    import wherewhen

    wherewhen.load(run).detect(path)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main(run: str, *lengths: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        peaks = []
        for frames in map(int, lengths or ("2000", "8000")):
            path = Path(folder) / f"{frames}.mp4"
            draw(path, frames)
            command = [sys.executable, __file__, "--measure", run, str(path)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            peaks.append(float(done.stdout))
            print(f"{frames:7} frames  peak {peaks[-1]:6.0f} MiB  {peaks[-1] / peaks[0]:.2f} of the first", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2], Path(sys.argv[3]))
    else:
        main(*sys.argv[1:])

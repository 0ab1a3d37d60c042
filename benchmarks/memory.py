"""Peak memory of `detect` on videos of rising length, each in a process of its own: python benchmarks/memory.py RUN.

``RUN`` is the folder of a trained model. Lengths in frames follow it (default 2000 8000). ``--pictures`` in its place:
what reading a large picture adds, at 320 px and whole, as a file and three of them in a folder.
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


def peak() -> float:
    """The most memory that this process held, in MiB; on Linux without what its parent held when it was started."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(run: str, path: Path) -> None:
    """Detect, then print the most memory that this process held, in MiB."""
    import wherewhen

    wherewhen.load(run).detect(path)
    print(peak())


def read(path: Path, width: int | None) -> None:
    """Read pictures, then print the memory that this added at its peak, in MiB."""
    from wherewhen.video import album, film, reader  # noqa: F401  (loaded before the first measurement)

    before = peak()
    for _ in reader.frames(path, width=width):
        pass
    print(peak() - before)


def pictures() -> None:
    """Pictures of 1400x900 and of 14000x9000 px."""
    import cv2

    with tempfile.TemporaryDirectory() as home:
        soft = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (900, 1400, 3), np.uint8), (0, 0), 3)
        for kind, size in (("jpg", (1400, 900)), ("jpg", (14000, 9000)), ("png", (14000, 9000))):
            folder = Path(home) / f"{kind}{size[0]}"
            folder.mkdir()
            large = cv2.resize(soft, size)
            for number in range(3):
                cv2.imwrite(str(folder / f"{number}.{kind}"), large)
            for path in (folder / f"0.{kind}", folder):
                peaks = []
                for width in ("320", "0"):
                    command = [sys.executable, __file__, "--read", str(path), width]
                    done = subprocess.run(command, check=True, capture_output=True, text=True)
                    peaks.append(float(done.stdout))
                what = f"{size[0]}x{size[1]} {kind} {'in a folder' if path == folder else 'alone'}"
                print(f"{what:28} at 320 px {peaks[0]:5.0f} MiB   whole {peaks[1]:5.0f} MiB", flush=True)


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
    elif sys.argv[1:2] == ["--read"]:
        read(Path(sys.argv[2]), int(sys.argv[3]) or None)
    elif sys.argv[1:2] == ["--pictures"]:
        pictures()
    else:
        main(*sys.argv[1:])

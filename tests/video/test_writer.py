from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from wherewhen.core.errors import OutputError, VideoError
from wherewhen.core.outputs import MANIFEST
from wherewhen.core.store import write_atomic
from wherewhen.core.values import Pixels
from wherewhen.video.reader import edges, frames
from wherewhen.video.writer import Writer

needs_limits = pytest.mark.skipif(sys.platform != "linux", reason="the size of files is limited as Linux does it")

Draw = Callable[..., Pixels]


@pytest.mark.parametrize("rate", [10, 12.5, 25, 30000 / 1001, 1])
def test_what_is_written_is_read(tmp_path: Path, draw: Draw, number: Callable[[Pixels], int], rate: float) -> None:
    path = tmp_path / "a.mp4"
    with Writer(path, rate) as out:
        for index in range(40):
            out.write(draw(index))
        assert not path.exists()
    found = list(frames(path))
    assert [number(frame.image) for frame in found] == list(range(40))
    assert edges(path) == pytest.approx(np.arange(41) / rate)
    assert {file.name for file in tmp_path.iterdir()} == {"a.mp4", MANIFEST}


def test_given_times_are_kept(tmp_path: Path, draw: Draw) -> None:
    times = [0.0, 0.1, 0.15, 1.0, 1.04, 7.3]
    with Writer(tmp_path / "a.mp4", 25) as out:
        for index, time in enumerate(times):
            out.write(draw(index), time)
    assert [frame.start for frame in frames(tmp_path / "a.mp4")] == pytest.approx(times, abs=1e-4)


def test_colors_and_odd_sizes(tmp_path: Path) -> None:
    image = np.full((47, 63, 3), (200, 60, 90), np.uint8)
    with Writer(tmp_path / "a.mp4", 25) as out:
        out.write(image)
    found = next(frames(tmp_path / "a.mp4")).image
    assert found.shape == (48, 64, 3) and np.abs(found.astype(int) - (200, 60, 90)).max() <= 6


def test_it_plays_everywhere(tmp_path: Path, draw: Draw) -> None:
    path = tmp_path / "a.mp4"
    with Writer(path, 25) as out:
        out.write(draw(1))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_nothing_is_left_after_an_error_and_an_old_file_stays(tmp_path: Path, draw: Draw) -> None:
    path = tmp_path / "a.mp4"
    write_atomic(path, "old")
    with pytest.raises(KeyError), Writer(path, 25) as out:
        out.write(draw(0))
        raise KeyError
    assert path.read_text() == "old" and {file.name for file in tmp_path.iterdir()} == {"a.mp4", MANIFEST}


def test_somebody_elses_file_stays(tmp_path: Path, draw: Draw) -> None:
    path = tmp_path / "a.mp4"
    path.write_text("a recording")
    with pytest.raises(OutputError, match="exists already, and this toolkit did not write it"), Writer(path, 25) as out:
        out.write(draw(0))
    assert path.read_text() == "a recording" and [file.name for file in tmp_path.iterdir()] == ["a.mp4"]


def test_no_picture_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="no picture was written"), Writer(tmp_path / "a.mp4", 25):
        pass
    assert not list(tmp_path.iterdir())


def test_no_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="its folder doesn't exist"), Writer(tmp_path / "no/a.mp4", 25):
        pass


def test_wrong_pictures_and_times(tmp_path: Path, draw: Draw) -> None:
    with Writer(tmp_path / "a.mp4", 25) as out:
        out.write(draw(0), 0.5)
        with pytest.raises(ValueError, match=r"time: must rise, got 0\.5 s after 0\.5 s"):
            out.write(draw(1), 0.5)
        with pytest.raises(ValueError, match="time: expected seconds"):
            out.write(draw(1), float("nan"))
        with pytest.raises(ValueError, match=r"expected uint8 \(H, W, 3\), got float64"):
            out.write(np.zeros((4, 4, 3)))  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="expected the size of the first"):
            out.write(draw(1, 32, 32))
    with pytest.raises(ValueError, match="rate"):
        Writer(tmp_path / "b.mp4", 0)


class Full:
    """A container on a full disk."""

    def mux(self, packet: object = None) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    close = mux


@pytest.mark.parametrize("count", [1, 60])
def test_a_disk_that_is_full_is_an_error_with_few_and_many_pictures(count: int, tmp_path: Path, draw: Draw) -> None:
    with pytest.raises(VideoError, match=r"writing failed \(No space left"), Writer(tmp_path / "v.mp4", 25) as writer:
        writer.write(draw(0))
        container, writer._container = writer._container, Full()
        for number in range(1, count):
            writer.write(draw(number))
    container.close()
    assert not list(tmp_path.iterdir())


def test_pictures_may_change_once_they_are_written(tmp_path: Path, draw: Draw, number: Callable[[Pixels], int]) -> None:
    picture = draw(0)
    with Writer(tmp_path / "v.mp4", 25) as writer:
        for k in range(12):
            picture[:] = draw(k)
            writer.write(picture)
        picture[:] = 0
    assert [number(frame.image) for frame in frames(tmp_path / "v.mp4")] == list(range(12))


def test_a_thread_that_outlives_the_main_one_writes_on(tmp_path: Path) -> None:
    text = f"""
import threading, time
import numpy as np
from wherewhen.video.writer import Writer

def work():
    with Writer({str(tmp_path / "v.mp4")!r}, 25) as writer:
        threading.main_thread().join()
        for _ in range(9):
            writer.write(np.zeros((48, 64, 3), np.uint8))

threading.Thread(target=work).start()
"""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0 and not done.stderr
    assert len(list(frames(tmp_path / "v.mp4"))) == 9


@needs_limits
def test_a_disk_that_is_really_full_leaves_nothing(tmp_path: Path) -> None:
    text = f"""
import resource, signal
import numpy as np
from wherewhen.core.errors import VideoError
from wherewhen.video.writer import Writer

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
rng = np.random.default_rng(0)
try:
    with Writer({str(tmp_path / "v.mp4")!r}, 25) as writer:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
        for _ in range(60):
            writer.write(rng.integers(0, 256, (240, 320, 3), np.uint8))
except VideoError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=120, check=False)
    assert "writing failed (File too large)" in done.stdout, done.stderr
    assert not list(tmp_path.iterdir())

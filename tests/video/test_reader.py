from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from wherewhen.core.errors import VideoError
from wherewhen.core.values import Frame, Pixels
from wherewhen.video.reader import Spent, Want, edges, frames, picture, probe, several

Make = Callable[..., Path]
NTSC = Fraction(30000, 1001)


def facts(found: list[Frame]) -> list[tuple[int, float, float]]:
    return [(frame.index, frame.start, frame.end) for frame in found]


def check_times(path: Path, expected: list[float], last: float, atol: float = 1e-9) -> None:
    found = list(frames(path))
    assert [frame.index for frame in found] == list(range(len(expected)))
    np.testing.assert_allclose([frame.start for frame in found], expected, atol=atol)
    assert [frame.end for frame in found[:-1]] == [frame.start for frame in found[1:]]
    assert found[-1].end == pytest.approx(last, abs=atol)
    assert edges(path).tolist() == [frame.start for frame in found] + [found[-1].end]


@pytest.mark.parametrize(
    ("name", "options"),
    [("p.mp4", {"g": "7"}), ("p.mkv", {"bf": "2"}), ("p.avi", {"codec": "mjpeg", "pixels": "yuvj420p"})],
)
def test_a_moment_shows_the_frame_that_lasts_then(
    make: Make, number: Callable[[Pixels], int], name: str, options: dict[str, str]
) -> None:
    """Up to the very end, and the nearest one outside of the video."""
    path = make(name, 20, **options)
    whole = list(frames(path))
    for time in (-3.0, 0.0, 0.01, *(f.start for f in whole[1:]), *(f.end - 1e-4 for f in whole), whole[-1].end, 99.0):
        found = picture(path, time)
        wanted = [f for f in whole if f.start <= max(time, 0.0)][-1]
        assert facts([found]) == facts([wanted]) and number(found.image) == wanted.index
    assert picture(path, 0.5, width=32).image.shape[1] == 32


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp4", {}),
        ("a.mov", {"bf": "3"}),
        ("a.avi", {"codec": "mpeg4"}),
        ("b.avi", {"codec": "mpeg4", "bf": "2"}),
        ("m.avi", {"codec": "mjpeg", "pixels": "yuvj420p"}),
        ("a.ts", {}),
        ("a.h264", {}),
        ("a.m4v", {"codec": "mpeg4"}),
    ],
)
def test_29_97_is_exact(make: Make, number: Callable[[Pixels], int], name: str, options: dict[str, str]) -> None:
    path = make(name, 70, rate=NTSC, **options)
    check_times(path, [k * 1001 / 30000 for k in range(70)], 70 * 1001 / 30000)
    assert [number(frame.image) for frame in frames(path)] == list(range(70))


def test_29_97_in_matroska_is_right_to_its_millisecond(make: Make) -> None:
    check_times(make("a.mkv", 70, rate=NTSC), [k * 1001 / 30000 for k in range(70)], 70 * 1001 / 30000, 6e-4)


@pytest.mark.parametrize(("name", "codec"), [("v.mp4", "libx264"), ("v.mkv", "ffv1"), ("v.webm", "libvpx")])
def test_a_variable_rate_is_kept(make: Make, name: str, codec: str) -> None:
    stamps = [0, 9000, 12600, 13500, 45000, 48600, 90000, 93600]
    path = make(name, len(stamps), codec=codec, stamps=stamps)
    found = list(frames(path))
    assert [frame.start for frame in found] == pytest.approx([stamp / 90000 for stamp in stamps], abs=1e-3)
    assert [frame.end for frame in found[:-1]] == [frame.start for frame in found[1:]]
    assert edges(path).tolist() == [frame.start for frame in found] + [found[-1].end]
    assert probe(path).variable


def test_time_zero_is_the_first_frame(make: Make) -> None:
    check_times(make("late.mkv", 10, stamps=[450_000 + 3600 * k for k in range(10)]), [k / 25 for k in range(10)], 0.4)


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_rotation_is_applied_as_opencv_does(make: Make, turn: int) -> None:
    corner = np.zeros((48, 64, 3), np.uint8)
    corner[:16, :16] = 255
    path = make("r.mp4", 3, pictures=[corner] * 3, setup=lambda stream: stream.set_display_rotation(turn))
    image = next(frames(path)).image
    other = cv2.VideoCapture(str(path)).read()[1]
    assert image.shape == other.shape == ((48, 64, 3) if turn == 180 else (64, 48, 3))
    assert np.abs(image[..., 1].astype(int) - other[..., 1]).max() < 12
    info = probe(path)
    assert (info.height, info.width) == image.shape[:2]
    assert next(frames(path, width=24)).image.shape[1] == 24


@pytest.mark.parametrize(("hflip", "vflip"), [(True, False), (False, True)])
def test_a_mirrored_video_is_mirrored(make: Make, hflip: bool, vflip: bool) -> None:
    corner = np.zeros((48, 64, 3), np.uint8)
    corner[:16, :16] = 255
    path = make("r.mp4", 1, pictures=[corner], setup=lambda s: s.set_display_rotation(0, hflip=hflip, vflip=vflip))
    image = next(frames(path)).image
    y, x = np.unravel_index(cv2.blur(image[..., 1], (15, 15)).argmax(), image.shape[:2])
    assert (x > 32) == hflip and (y > 24) == vflip


COLORS = np.array([[200, 60, 90], [40, 180, 70], [30, 60, 210], [128, 128, 128]], np.uint8)


@pytest.mark.parametrize("size", [(64, 48), (63, 47)])
@pytest.mark.parametrize(
    ("codec", "pixels", "name"),
    [
        ("ffv1", "yuv420p", "a.mkv"),
        ("ffv1", "yuv444p", "a.mkv"),
        ("ffv1", "yuv420p10le", "a.mkv"),
        ("ffv1", "yuva420p", "a.mkv"),
        ("ffv1", "bgra", "a.mkv"),
        ("png", "rgba", "a.mov"),
        ("mjpeg", "yuvj420p", "a.avi"),
        ("libx264", "yuv444p", "a.mp4"),
    ],
)
def test_colors_come_back(make: Make, codec: str, pixels: str, name: str, size: tuple[int, int]) -> None:
    image = np.repeat(np.repeat(COLORS.reshape(2, 2, 3), 32, 0), 32, 1)[: size[1], : size[0]]
    found = list(frames(make(name, 2, codec=codec, pixels=pixels, size=size, pictures=[image] * 2)))
    assert len(found) == 2 and found[0].image.shape == image.shape and found[0].image.flags.c_contiguous
    for y, x in ((16, 16), (16, 48), (40, 16), (40, 48)):
        assert np.abs(found[1].image[y, x].astype(int) - image[y, x]).max() <= 6


def test_alpha_is_dropped_not_blended(make: Make) -> None:
    image = np.full((48, 64, 4), 200, np.uint8)
    image[..., 3] = 10
    assert (next(frames(make("a.mov", 1, codec="png", pixels="rgba", pictures=[image]))).image == 200).all()


@pytest.mark.parametrize("pixels", ["gray", "gray10le"])
def test_gray_is_gray(make: Make, pixels: str) -> None:
    image = np.repeat(np.arange(0, 256, 4, dtype=np.uint8)[None, :, None], 48, 0).repeat(3, 2)
    found = next(frames(make("g.mkv", 1, codec="ffv1", pixels=pixels, pictures=[image]))).image
    assert (np.ptp(found, 2) == 0).all() and np.abs(found.astype(int) - image).max() <= 2


def test_wider_pictures_are_shrunk_by_averaging_and_narrower_ones_kept(make: Make) -> None:
    fine = (np.indices((96, 128)).sum(0) % 2 * 255).astype(np.uint8)[..., None].repeat(3, 2)
    path = make("f.mkv", 1, codec="ffv1", size=(128, 96), pictures=[fine])
    small = next(frames(path, width=32)).image
    assert small.shape == (24, 32, 3) and np.abs(small.astype(int) - 128).max() <= 6
    assert next(frames(path, width=33)).image.shape == (25, 33, 3)
    assert next(frames(path, width=500)).image.shape == (96, 128, 3)


@pytest.mark.parametrize("gop", [30, 250])
@pytest.mark.parametrize("name", ["s.mp4", "s.mkv", "s.avi", "s.ts", "open.mp4"])
def test_seeking_gives_the_same_frames_everywhere(
    make: Make, number: Callable[[Pixels], int], name: str, gop: int
) -> None:
    codec = "mpeg4" if name == "s.avi" else "libx264"
    extra = {"x264-params": "open-gop=1:bframes=3:b-pyramid=normal"} if name == "open.mp4" else {}
    path = make(name, 400, codec=codec, rate=NTSC, g=str(gop), **extra)
    whole = facts(list(frames(path)))
    for index in range(0, 400, 1 if name == "s.mp4" else 23):
        start, end = whole[index][1:]
        found = list(frames(path, span=(start, end)))
        assert facts(found) == [whole[index]] and number(found[0].image) == index
    found = list(frames(path, span=(whole[123][1] - 1e-4, whole[311][1])))
    assert facts(found) == whole[123:311] and [number(frame.image) for frame in found] == list(range(123, 311))


@pytest.mark.parametrize("params", ["open-gop=0", "open-gop=1:bframes=3"])
def test_a_recording_that_begins_in_the_middle_starts_at_its_first_whole_picture(
    make: Make, number: Callable[[Pixels], int], params: str
) -> None:
    path = make("whole.ts", 200, g="30", **{"x264-params": params})
    data = path.read_bytes()
    cut = path.with_name("cut.ts")
    cut.write_bytes(data[len(data) // 188 // 3 * 188 :])
    found = list(frames(cut))
    first = number(found[0].image)
    assert found[0].start == 0 and first % 30 == 0 and 30 <= first <= 120
    assert [number(frame.image) for frame in found][-60:] == list(range(140, 200))
    assert [f.start for f in found] == pytest.approx([(number(f.image) - first) / 25 for f in found])


def test_seeking_does_not_decode_what_lies_before(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from wherewhen.video.decoding import Decoding

    path, decoded, decode = make("s.mp4", 400, g="30"), [], Decoding._decode
    monkeypatch.setattr(Decoding, "_decode", lambda self, packet: decoded.append(1) or decode(self, packet))
    assert len(list(frames(path, span=(15.0, 15.2)))) == 5
    assert len(decoded) < 60


def test_a_seek_that_lands_wrong_reads_from_the_start(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from wherewhen.video import film

    path = make("s.mp4", 100, g="10")
    right = facts(list(frames(path, span=(2.0, 2.5))))
    honest = film.stamps
    monkeypatch.setattr(film, "stamps", lambda given: s._replace(keys=s.pictures) if (s := honest(given)) else None)
    assert facts(list(frames(path, span=(2.0, 2.5)))) == right


def test_resampling_within_a_span_is_that_of_the_whole(make: Make, number: Callable[[Pixels], int]) -> None:
    path = make("s.mp4", 200, g="30")
    whole = list(frames(path, rate=10))
    assert [frame.index for frame in whole[:5]] == [0, 3, 5, 8, 10]
    assert [number(frame.image) for frame in whole] == [frame.index for frame in whole]
    assert [frame.end for frame in whole] == [*(frame.start for frame in whole[1:]), 8.0]
    for t0, t1 in ((0.0, 1.0), (0.05, 3.0), (2.99, 3.01), (3.3, 7.77), (6.0, 100.0)):
        expected = [fact for fact in facts(whole) if t0 <= fact[1] < t1]
        assert facts(list(frames(path, span=(t0, t1), rate=10))) == expected


def test_a_slower_source_keeps_its_rate(make: Make) -> None:
    path = make("s.mkv", 90, rate=NTSC)
    assert facts(list(frames(path, rate=30))) == facts(list(frames(path)))


def test_a_span_past_the_end_is_an_error_and_one_over_it_is_not(make: Make) -> None:
    path = make("s.mp4", 50)
    assert len(list(frames(path, span=(1.0, 9.0)))) == 25
    with pytest.raises(VideoError, match=r"ends at 2\.000 s, before the requested span begins \(5\.000 s\)"):
        list(frames(path, span=(5.0, 9.0)))


@pytest.mark.parametrize(
    "wrong", [{"span": (2, 1)}, {"span": (-1, 1)}, {"rate": 0}, {"width": -3}, {"picture_rate": 0}]
)
def test_wrong_arguments_are_said_at_once(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        frames("a.mp4", **wrong)


def album(folder: Path, draw: Callable[..., Pixels], count: int = 12, suffix: str = ".tif") -> Path:
    folder.mkdir()
    for index in range(count):
        cv2.imwrite(str(folder / f"{index + 1}{suffix}"), draw(index)[..., 0])
    return folder


@pytest.mark.parametrize("suffix", [".tif", ".png", ".bmp", ".jpg"])
def test_a_folder_of_pictures(
    tmp_path: Path, draw: Callable[..., Pixels], number: Callable[[Pixels], int], suffix: str
) -> None:
    folder = album(tmp_path / "T1", draw, suffix=suffix)
    found = list(frames(folder, picture_rate=10))
    assert [number(frame.image) for frame in found] == list(range(12))
    assert [index for index, _, _ in facts(found)] == list(range(12))
    borders = edges(folder, picture_rate=10)
    assert borders.tolist() == [frame.start for frame in found] + [found[-1].end]
    assert borders == pytest.approx([k / 10 for k in range(13)])
    assert facts(list(frames(folder, picture_rate=10, span=(0.3, 0.55)))) == facts(found)[3:6]
    assert [f.index for f in frames(folder, picture_rate=10, rate=5, span=(0.3, 1.0))] == [4, 6, 8]
    assert next(frames(folder, width=32)).image.shape == (24, 32, 3)
    assert next(frames(folder)).end == 0.04
    info = probe(folder)
    assert (info.width, info.height, info.frames, info.rate, info.codec) == (64, 48, 12, 25.0, suffix[1:])
    with pytest.raises(VideoError, match="before the requested span"):
        list(frames(folder, span=(5, 6)))


def test_pictures_keep_their_colors(tmp_path: Path) -> None:
    image = np.repeat(np.repeat(COLORS.reshape(2, 2, 3), 15, 0), 16, 1)[:29, :31]
    cv2.imwrite(str(tmp_path / "0.png"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    assert (next(frames(tmp_path)).image == image).all()


def test_probe(make: Make) -> None:
    info = probe(make("p.mp4", 60, rate=NTSC, size=(66, 50)))
    assert (info.width, info.height, info.frames, info.codec, info.variable) == (66, 50, 60, "h264", False)
    assert info.rate == pytest.approx(29.97, abs=1e-3) and info.duration == pytest.approx(2.002)
    assert probe(make("p.mkv", 60)).frames is None and not probe(make("q.mkv", 60, rate=NTSC)).variable


def test_memory_stays_flat(tmp_path: Path) -> None:
    path = tmp_path / "long.avi"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        frame = av.VideoFrame(96, 64, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        for index in range(20_000):
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    code = (
        "import sys; from pathlib import Path\n"
        "from wherewhen.video.reader import frames\n"
        "page = lambda: int(Path('/proc/self/statm').read_text().split()[1]) * 4096\n"
        "for frame in frames(sys.argv[1], rate=20):\n"
        "    if frame.index == 2000: early = page()\n"
        "print(page() - early, frame.index)\n"
    )
    if not Path("/proc/self/statm").exists():
        pytest.skip("needs /proc to measure memory")
    out = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    growth, last = map(int, out.stdout.split())
    # the pictures alone would be 295 MB
    assert last >= 19_990 and growth < 20_000_000


SHARED = Path(os.environ.get("WHEREWHEN_SHARED", Path(__file__).parents[2] / "../shared"))
REAL = sorted((SHARED / "data").glob("*/videos/*"))


@pytest.mark.skipif(not REAL, reason=f"needs the clips in {SHARED}/data")
@pytest.mark.parametrize("name", ["ped2", "avenue6"])
def test_real_clips_have_their_frames_at_their_times(name: str) -> None:
    import json

    folder = SHARED / "data" / name
    for clip in json.loads((folder / "gt.json").read_text()).values():
        path = folder / "videos" / clip["file"]
        found = facts(list(frames(path, width=32)))
        expected = np.arange(clip["frames"] + 1) / clip["fps"]
        assert [index for index, _, _ in found] == list(range(clip["frames"]))
        np.testing.assert_allclose([start for _, start, _ in found] + [found[-1][2]], expected, atol=1e-9)
        assert edges(path).tolist() == [start for _, start, _ in found] + [found[-1][2]]
        info = probe(path)
        assert (info.width, info.height, info.variable) == (clip["width"], clip["height"], False)
        middle = found[len(found) // 2]
        assert facts(list(frames(path, width=32, span=middle[1:]))) == [middle]


@pytest.mark.skipif(not REAL, reason=f"needs the clips in {SHARED}/data")
def test_real_pictures_equal_another_readers() -> None:
    for path in (SHARED / "data/ped2/videos/Test001.mp4", SHARED / "data/avenue6/videos/Test08.avi"):
        other = cv2.VideoCapture(str(path))
        for frame in frames(path):
            image = cv2.cvtColor(other.read()[1], cv2.COLOR_BGR2RGB)
            assert np.abs(frame.image.astype(int) - image).mean() < 2, (path.name, frame.index)


def test_no_plain_import_loads_pyav() -> None:
    code = "import sys, wherewhen.video.reader; print('av' in sys.modules, 'cv2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.split() == ["False"] * 2


def test_the_oracle_of_this_file_counts_frames_itself(make: Make) -> None:
    with av.open(str(make("a.mp4", 33))) as container:
        assert sum(1 for _ in container.decode(video=0)) == 33


@pytest.mark.parametrize("size", [(48, 64), (24, 24), (30, 100), (112, 112)])
def test_a_size_is_exact_and_the_whole_scene_squeezed_into_it(make: Make, size: tuple[int, int]) -> None:
    smooth = np.zeros((48, 64, 3), np.uint8)
    smooth[..., 0], smooth[..., 1] = np.linspace(0, 255, 64)[None], np.linspace(0, 255, 48)[:, None]
    path = make("s.mkv", 3, codec="ffv1", pixels="yuv444p", pictures=[smooth] * 3)
    found = list(frames(path, size=size))
    assert [frame.image.shape for frame in found] == [(*size, 3)] * 3
    expected = cv2.resize(smooth, size[::-1], interpolation=cv2.INTER_LINEAR).astype(int)
    assert np.abs(found[0].image.astype(int) - expected)[2:-2, 2:-2].max() <= 8
    np.testing.assert_array_equal(found[0].image, next(frames(path, size=size)).image)


def test_shrinking_to_a_size_averages(make: Make) -> None:
    stripes = np.zeros((48, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    path = make("s.mkv", 2, codec="ffv1", pixels="yuv444p", pictures=[stripes] * 2)
    assert np.abs(next(frames(path, size=(12, 16))).image.astype(int) - 128).max() <= 3


def test_a_turned_picture_gets_the_size_it_is_shown_in(make: Make) -> None:
    path = make("r.mp4", 2, setup=lambda stream: stream.set_display_rotation(90))
    assert next(frames(path, size=(20, 30))).image.shape == (20, 30, 3)


WANTS = [Want(), Want(10, 32), Want(None, 32), Want(5, None, (16, 24)), Want(10, 32)]


@pytest.mark.parametrize("span", [None, (0.5, 1.1)])
def test_several_takers_get_what_each_would_get_alone(make: Make, span: tuple[float, float] | None) -> None:
    path = make("a.mp4", 40)
    spent = Spent()
    taken = list(several(path, WANTS, span=span, spent=spent))
    starts = [frame.start for _, frame in taken]
    assert starts == sorted(starts)
    for number, want in enumerate(WANTS):
        alone = list(frames(path, span=span, rate=want.rate, width=want.width, size=want.size))
        own = [frame for taker, frame in taken if taker == number]
        assert facts(own) == facts(alone)
        for one, other in zip(own, alone, strict=True):
            np.testing.assert_array_equal(one.image, other.image)
    assert spent.pictures <= 40 and spent.decode > 0 and spent.resize > 0


def test_a_size_that_several_want_is_made_once(make: Make) -> None:
    taken = list(several(make("a.mp4", 40), WANTS))
    small = [{frame.index: frame.image for taker, frame in taken if taker == number} for number in (1, 2, 4)]
    assert small[0] and all(small[1][index] is image for index, image in small[0].items())
    assert all(small[2][index] is image for index, image in small[0].items())


def test_what_breaks_breaks_for_all_takers(make: Make) -> None:
    path = make("a.mp4", 40)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(VideoError):
        list(several(path, WANTS))


def test_pictures_that_were_read_are_freed_at_once(make: Make) -> None:
    """Without the garbage collector, which would come after hundreds of them."""
    path = make("s.mp4", 30)

    def pictures() -> int:
        return sum(type(thing) is av.VideoFrame for thing in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = pictures()
        kept = [pictures() for _ in frames(path, width=32)]
        assert len(kept) == 30
        assert max(kept) - before < 8
    finally:
        gc.enable()

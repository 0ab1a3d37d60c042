"""Large pictures: their size is read from the head, and they are decoded no larger than anybody wants them."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from wherewhen.core.errors import VideoError
from wherewhen.core.values import Pixels
from wherewhen.video import reader, sizes
from wherewhen.video.opening import MAX_PIXELS
from wherewhen.video.sizes import Size, reduction, size_of

KINDS = {
    "jpg": {},
    "png": {},
    "bmp": {},
    "tif": {},
    "webp": {},
    "jpg ": {"progressive": True},
}


def scene(height: int, width: int, seed: int = 0) -> Pixels:
    """Soft colors with a sharp square."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(30, 220, (max(2, height // 60), max(2, width // 60), 3), np.uint8)
    picture = np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
    picture[height // 4 : height // 2, width // 3 : width // 2] = (250, 20, 90)
    return picture


def encoded(picture: Pixels, kind: str, **how: object) -> bytes:
    file = io.BytesIO()
    format_ = {"jpg": "JPEG", "tif": "TIFF"}.get(kind.strip(), kind.strip().upper())
    Image.fromarray(picture).save(file, format_, **KINDS[kind], **how)
    return file.getvalue()


@given(st.sampled_from(list(KINDS)), st.integers(1, 70), st.integers(1, 70))
def test_the_head_tells_the_size(kind: str, height: int, width: int) -> None:
    assert size_of(encoded(np.zeros((height, width, 3), np.uint8), kind)) == (width, height)


@pytest.mark.parametrize("exact", [True, False])
def test_the_head_of_webp_tells_the_size_of_all_its_kinds(exact: bool) -> None:
    clear = np.zeros((33, 47, 4), np.uint8)
    for picture in (clear, clear[..., :3]):
        assert size_of(encoded(picture, "webp", lossless=exact)) == (47, 33)


@given(st.sampled_from(list(KINDS)), st.data())
def test_a_damaged_head_tells_nothing_and_raises_nothing(kind: str, data: st.DataObject) -> None:
    whole = bytearray(encoded(scene(20, 30), kind))
    for _ in range(data.draw(st.integers(0, 4))):
        whole[data.draw(st.integers(4, min(200, len(whole) - 1)))] = data.draw(st.integers(0, 255))
    found = size_of(bytes(whole[: data.draw(st.integers(0, len(whole)))]))
    assert found is None or min(found) >= 0


@given(
    st.integers(1, 20_000),
    st.integers(1, 20_000),
    st.lists(st.tuples(st.none() | st.integers(1, 9000), st.none() | st.integers(1, 9000)), max_size=3),
)
def test_nobody_gets_less_than_is_wanted(width: int, height: int, wanted: list[tuple[int | None, int | None]]) -> None:
    size = Size(width, height)
    by = reduction(size, wanted)
    assert by in (1, 2, 4, 8) and (by == 1 or size.large)
    own = size.reduced(by)
    for across, down in wanted:
        assert by == 1 or (across, down) != (None, None)
        assert by == 1 or (own.width >= (across or 0) and own.height >= (down or 0))


@pytest.fixture
def all_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every picture counts as large, so that small ones show what becomes of large ones."""
    monkeypatch.setattr(sizes, "LARGE", 1000)


def album(folder: Path, count: int = 3, kind: str = "jpg", size: tuple[int, int] = (601, 903), **how: object) -> Path:
    folder.mkdir()
    for number in range(count):
        (folder / f"{number}.{kind.strip()}").write_bytes(encoded(scene(*size, number), kind, **how))
    return folder


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("want", [{"width": 100}, {"size": (56, 72)}, {"width": 250}])
def test_the_reduced_way_gives_nearly_the_same_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, want: dict[str, object]
) -> None:
    folder = album(tmp_path / "a", 2, kind)
    usual = [frame.image.astype(int) for frame in reader.frames(folder, **want)]  # type: ignore[arg-type]
    monkeypatch.setattr(sizes, "LARGE", 1000)
    seen: list[int] = []
    decode = cv2.imdecode
    monkeypatch.setattr(cv2, "imdecode", lambda data, flag: seen.append(flag) or decode(data, flag))
    single = next(folder.iterdir())
    found = [frame.image for frame in reader.frames(folder, **want)]  # type: ignore[arg-type]
    assert set(seen) != {cv2.IMREAD_COLOR} and cv2.IMREAD_COLOR not in seen
    for one, other in zip(found, usual, strict=True):
        assert one.shape == other.shape
        assert np.abs(one - other).mean() < 2 and np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.995
    (alone,) = reader.frames(single, **want)  # type: ignore[arg-type]
    assert any(np.array_equal(alone.image, one) for one in found), "a single file is read as one in a folder"


@pytest.mark.usefixtures("all_large")
def test_who_wants_it_whole_gets_it_whole(tmp_path: Path) -> None:
    folder = album(tmp_path / "a", 2, "png")
    with reader.reading(folder) as one:
        assert (one.info.width, one.info.height, one.info.frames) == (903, 601, 2)
        both = list(one.several([reader.Want(width=100), reader.Want()]))
        for number, frame in both:
            assert frame.image.shape[1] == (100, 903)[number]
        np.testing.assert_array_equal(both[1][1].image, scene(601, 903))
        assert one.picture(0.0).image.shape == (601, 903, 3) and one.picture(0.0, width=90).image.shape == (60, 90, 3)


@pytest.mark.usefixtures("all_large")
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_turned_picture_is_upright_and_its_size_is_the_shown_one(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    folder = album(tmp_path / "a", 1, "jpg", exif=exif)
    info = reader.probe(folder)
    (frame,) = reader.frames(folder, width=80)
    turned = orientation in (6, 8)
    assert (info.width, info.height) == ((601, 903) if turned else (903, 601))
    assert frame.image.shape[1] == 80 and (frame.image.shape[0] > 80) == turned


@pytest.mark.usefixtures("all_large")
def test_pictures_of_different_sizes_are_told_as_they_are(tmp_path: Path) -> None:
    folder = album(tmp_path / "a", 1)
    (folder / "1.jpg").write_bytes(encoded(scene(601, 905), "jpg"))
    with pytest.raises(VideoError, match=r"picture 1.jpg is 905x601, those before are 903x601"):
        list(reader.frames(folder, width=80))


@pytest.mark.parametrize("where", ["folder", "file"])
def test_a_picture_beyond_the_limit_is_refused_before_it_is_decoded(tmp_path: Path, where: str) -> None:
    """A file of a few bytes that says it has 400 million pixels."""
    folder = tmp_path / "a"
    folder.mkdir()
    whole = bytearray(encoded(scene(20, 30), "png"))
    whole[16:24] = (20_000).to_bytes(4) * 2
    (folder / "0.png").write_bytes(whole)
    with pytest.raises(VideoError, match=rf"picture 0.png is too large: 20000x20000, {MAX_PIXELS:,} pixels at most"):
        list(reader.frames(folder if where == "folder" else folder / "0.png", width=320))


SCRIPT = """
import sys
from pathlib import Path
from wherewhen.video import album, film, reader

def peak():  # what getrusage tells holds the parent's memory
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024

before = peak()
frames = [frame.image.shape for frame in reader.frames(sys.argv[1], width=int(sys.argv[2]) or None)]
print(len(frames), peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells the most memory of one process")
def test_large_pictures_need_little_memory(tmp_path: Path) -> None:
    """Three of 24 million pixels, which are 72 MB each when they are whole."""
    large = np.asarray(cv2.resize(scene(400, 600), (6000, 4000)), np.uint8)
    folder = tmp_path / "a"
    folder.mkdir()
    for number in range(3):
        cv2.imwrite(str(folder / f"{number}.jpg"), large)
    needed = {}
    for path, width in ((folder, "320"), (folder / "0.jpg", "320"), (folder, "0")):
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(path), width], check=True, capture_output=True, text=True
        )
        needed[path.name, width] = float(done.stdout.split()[1])
        assert int(done.stdout.split()[0]) == (3 if path == folder else 1)
    assert needed["a", "320"] < 40 and needed["0.jpg", "320"] < 40
    assert needed["a", "0"] > 140, "this measures what it should"

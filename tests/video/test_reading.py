"""One reading: opened once, and everything that is to know of a source comes from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from wherewhen.core.errors import ConfigError, VideoError
from wherewhen.core.values import Pictures, Pixels
from wherewhen.video import film, reader
from wherewhen.video.reader import Want, edges, frames, probe, reading
from wherewhen.video.sources import Source

Make = Callable[..., Path]
GAP = "by their numbers 1 pictures are missing, the first after 003.jpg"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every opening of a container."""
    found: list[str] = []
    honest = film.opened

    def counted(source: Source, *more: Any) -> object:
        found.append(str(source))
        return honest(source, *more)

    monkeypatch.setattr(film, "opened", counted)
    return found


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Files stand for streams: read once, in order."""
    monkeypatch.setattr(film, "is_live", lambda _: True)
    monkeypatch.setattr(film, "file_of", lambda _: None)
    monkeypatch.setattr(reader, "is_live", lambda _: True)
    return


@pytest.mark.parametrize("first", ["info", "frames"])
def test_all_that_is_to_know_comes_from_one_reading(make: Make, first: str) -> None:
    path = make("a.mp4", 40)
    with reading(path) as one:
        info = one.info if first == "info" else None
        assert one.edges.tolist() == [0.0]
        found = [frame for _, frame in one.several([Want(rate=5)])]
        assert one.info == probe(path) == (info or one.info) and one.damage is None
        assert one.edges.tolist() == edges(path).tolist() == one.whole().tolist()
    assert [f.index for f in found] == [f.index for f in frames(path, rate=5)]


@pytest.fixture
def album(tmp_path: Path, draw: Callable[..., Pixels]) -> Path:
    """A folder of eight pictures."""
    folder = tmp_path / "album"
    folder.mkdir()
    for number in range(8):
        cv2.imwrite(str(folder / f"{number:03}.jpg"), draw(number))
    return folder


def test_a_whole_folder_of_pictures_has_no_damage(album: Path, draw: Callable[..., Pixels]) -> None:
    for source in (album, Pictures([draw(k) for k in range(8)])):
        with reading(source) as one:
            assert one.damage is None
            assert len(list(one.frames())) == 8 == len(one.edges) - 1 and one.damage is None


def test_the_damage_of_a_folder_of_pictures_is_told(album: Path) -> None:
    for number in (3, 5):
        (album / f"{number:03}.jpg").write_bytes(b"no picture")
    with reading(album) as one:
        assert [frame.index for frame in one.frames()] == [0, 1, 2, 4, 6, 7]
        told = "2 pictures can't be read, the first: picture 003.jpg is damaged, cut short or of an unknown kind"
        assert one.damage == told
    (album / "004.jpg").unlink()
    with reading(album) as one:
        assert len(list(one.frames())) == 5 and one.damage == f"{GAP}; {told}"


@pytest.mark.usefixtures("live")
def test_a_stream_is_opened_once(make: Make, opened: list[str]) -> None:
    path = make("a.ts", 40)
    with reading(path) as one:
        info, found = one.info, list(one.frames())
        assert (info.width, info.height, len(found)) == (64, 48, 40)
        assert one.info is info and len(one.whole()) == len(one.edges) == 41
        with pytest.raises(VideoError, match="can be read only once"):
            next(one.frames())
    assert opened == [str(path)]


@pytest.mark.usefixtures("live")
def test_the_first_picture_is_not_lost_and_edges_grow_while_a_stream_is_read(make: Make) -> None:
    with reading(make("a.ts", 40)) as one:
        coming = one.frames()
        for number in range(3):
            frame = next(coming)
            assert frame.index == number and one.info.width == 64
            assert len(one.edges) >= number + 2 and one.edges[number] == frame.start


def test_a_file_may_be_read_again_and_in_spans(make: Make) -> None:
    path = make("a.mp4", 60, g="10")
    with reading(path) as one:
        assert one.info.frames == 60
        assert [f.index for f in one.frames(span=(1.0, 1.2))] == [25, 26, 27, 28, 29]
        np.testing.assert_array_equal(one.whole(), edges(path))
        assert [f.index for f in one.frames()] == list(range(60))
        assert len(one.edges) == 61


def test_a_damaged_file_is_kept_as_far_as_it_goes_or_set_aside(make: Make) -> None:
    pictures = list(np.random.default_rng(0).integers(0, 255, (40, 48, 64, 3), np.uint8))
    path = make("a.mkv", 40, pictures=pictures)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    seen = []
    with reading(path, damaged="set-aside") as one, pytest.raises(VideoError, match="cut short") as caught:
        seen.extend(one.frames())
    with reading(path) as one:
        kept = list(one.frames())
        assert len(kept) == len(seen) >= 10 and one.damage == caught.value.cause
        assert one.edges.tolist() == [f.start for f in kept] + [kept[-1].end]
    assert [f.index for f in frames(path, damaged="keep")] == [f.index for f in kept]


def test_nothing_readable_is_an_error_in_any_case(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video" * 100)
    with pytest.raises(VideoError):
        reading(tmp_path / "a.mp4")
    with pytest.raises(VideoError):
        next(frames(tmp_path / "a.mp4", damaged="keep"))


def test_a_word_that_is_none_of_the_two_is_refused(make: Make) -> None:
    with pytest.raises(ConfigError, match="keep or set-aside"):
        reading(make("a.mp4", 3), damaged="maybe")  # type: ignore[arg-type]

"""Decoding by devices, on a machine without any: fallbacks, errors, and the pixels that devices give."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from av.codec.hwaccel import HWDeviceType, hwdevices_available

from wherewhen.core.config import build
from wherewhen.core.errors import ConfigError, VideoError
from wherewhen.core.values import Pixels, Video
from wherewhen.extraction.extractor import extract_features
from wherewhen.inference.model_config import ModelConfig
from wherewhen.live.service import check
from wherewhen.live.settings import WatchConfig, with_options
from wherewhen.video import devices
from wherewhen.video.convert import Converter
from wherewhen.video.film import Film
from wherewhen.video.opening import opened
from wherewhen.video.reader import decoder, frames, reading
from wherewhen.video.sources import HWACCELS, Access

Make = Callable[..., Path]


@pytest.fixture(autouse=True)
def no_device(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every device fails to open, also where there is one."""

    def fails(name: str, _: str) -> None:
        raise NotImplementedError if name == "qsv" else PermissionError(1, "Operation not permitted")

    forget = devices.device.cache_clear
    forget()
    with monkeypatch.context() as patched:
        patched.setattr(devices, "_try", fails)
        yield
    forget()


@pytest.fixture
def unfit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that opens, but decodes no codec of these tests."""
    monkeypatch.setattr(devices, "device", lambda name: None if name == "none" else "opencl")


def check_same(path: Path, hwaccel: str) -> None:
    with reading(path, hwaccel=hwaccel) as video:
        found = list(video.frames(width=32))
        assert video.device == ""
    for one, other in zip(found, frames(path, width=32), strict=True):
        assert one.start == other.start and np.array_equal(one.image, other.image)


def test_auto_falls_back_to_the_processor_with_one_line(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    path = make("a.mp4", 8)
    with caplog.at_level(logging.INFO, "wherewhen"):
        check_same(path, "auto")
        check_same(path, "auto")
    (line,) = [record.getMessage() for record in caplog.records]
    assert "the processor decodes" in line and all(name in line for name in hwdevices_available())


def test_auto_leaves_what_a_device_can_not_decode_to_the_processor(
    make: Make, unfit: None, caplog: pytest.LogCaptureFixture
) -> None:
    check_same(make("a.mp4", 8), "auto")
    assert "opencl can't decode h264; the processor decodes" in caplog.text


def test_a_named_device_is_never_replaced(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make("a.mp4", 8)
    for name in sorted(set(HWACCELS) - {"none", "auto"}):
        with pytest.raises(ConfigError, match=f"hwaccel: {name} can't decode here") as error:
            reading(path, hwaccel=name)
        assert all(offered in str(error.value) for offered in hwdevices_available())
        there = name in hwdevices_available()
        assert ("not part of it" in str(error.value)) == (not there)
    with pytest.raises(ConfigError, match=r"expected none, auto, .*got 'gpu'"):
        reading(path, hwaccel="gpu")


def test_a_named_device_that_can_not_decode_a_video_is_an_error(make: Make, unfit: None) -> None:
    with pytest.raises(VideoError, match="opencl can't decode h264; hwaccel: auto takes the processor"):
        reading(make("a.mp4", 8), hwaccel="opencl")


def test_the_names_are_those_of_ffmpeg() -> None:
    assert set(HWACCELS) <= {"none", "auto", *(kind.name for kind in HWDeviceType)}
    assert set(hwdevices_available()) <= set(HWACCELS)


def test_each_video_is_decoded_by_one_thread(make: Make) -> None:
    container, stream = opened(make("a.mp4", 8), Access(hwaccel="auto"))
    with container:
        next(container.decode(stream))
        assert stream.codec_context.thread_count == 1


@pytest.mark.parametrize(("pixels", "of_device"), [("yuv420p", "nv12"), ("yuv420p10le", "p010le")])
@pytest.mark.parametrize("size", [(320, 180), (334, 188)])
def test_pixels_of_devices_give_the_same_colors(
    pixels: str, of_device: str, size: tuple[int, int], draw: Callable[..., Pixels]
) -> None:
    rng = np.random.default_rng(0)
    picture = (draw(1234, *size) // 2 + rng.integers(0, 120, (size[1], size[0], 3), np.uint8)).astype(np.uint8)
    usual = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format=pixels)
    given = usual.reformat(format=of_device)
    for width in (None, 200, 96, 31):
        ours, theirs = (Converter("a", width)(frame, "one").astype(int) for frame in (usual, given))
        assert np.abs(ours - theirs).max() <= 2, width


def test_the_passport_names_the_device(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    video, spec = Video("a", make("a.mp4", 60)), ModelConfig.of({}).feature_spec()
    (usual,) = extract_features(video, [spec], hwaccel="auto")
    assert usual.passport["about"]["decoder"] == decoder()
    monkeypatch.setattr(Film, "device", "cuda")
    (by_device,) = extract_features(video, [spec])
    assert by_device.passport["about"]["decoder"] == f"{decoder()}, cuda"
    assert usual.passport["made"] == by_device.passport["made"]


def test_each_camera_has_its_own() -> None:
    values = {"cameras": {"gate": {"url": "0", "hwaccel": "auto"}, "yard": "1"}}
    of_file = build(WatchConfig, with_options(values), "watch").of_cameras
    assert [camera.access.hwaccel for camera in of_file.values()] == ["auto", "none"]
    of_line = build(WatchConfig, with_options(values, hwaccel="cuda"), "watch")
    assert [camera.access.hwaccel for camera in of_line.of_cameras.values()] == ["cuda", "cuda"]
    with pytest.raises(ConfigError, match="cuda can't decode here"):
        check(of_line)
    with pytest.raises(ConfigError, match="expected none, auto"):
        build(WatchConfig, with_options(values, hwaccel="gpu"), "watch")

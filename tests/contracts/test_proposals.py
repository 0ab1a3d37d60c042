"""What every source of boxes keeps to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from wherewhen.core import registry
from wherewhen.core.config import build
from wherewhen.core.contracts import ClipSpec, Provenance
from wherewhen.core.errors import ConfigError
from wherewhen.core.store import plain
from wherewhen.core.values import Boxes, Frame

pytestmark = pytest.mark.parametrize("name", registry.names("proposals"))


def tiny_detector(path: Path) -> Path:
    """An ONNX file in FastestDet's layout: a fixed convolution from 32 x 32 pixels to 2 x 2 cells of two classes."""
    weights = np.random.default_rng(0).normal(0, 0.05, (7, 3, 16, 16)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["pictures", "w"], ["raw"], strides=[16, 16]),
        helper.make_node("Sigmoid", ["raw"], ["map"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("pictures", TensorProto.FLOAT, [1, 3, 32, 32])],
        [helper.make_tensor_value_info("map", TensorProto.FLOAT, [1, 7, 2, 2])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, str(path))
    return path


@pytest.fixture
def made(name: str, tmp_path: Path, tiny_transformer: Path) -> Any:
    settings: dict[str, Any] = {
        "onnx": {"path": str(tiny_detector(tmp_path / "tiny.onnx")), "score": 0.1, "classes": []},
        "transformers": {"model": str(tiny_transformer), "score": 0.1, "classes": []},
        "file": {"path": str(tmp_path / "mot")},
    }.get(name, {})
    (tmp_path / "mot").mkdir()
    rows = [f"{k},1,{10 + k},5,20,30,0.9,-1,-1,-1" for k in range(1, 30)]
    (tmp_path / "mot" / "clip.txt").write_text("\n".join(rows))
    cls = registry.load("proposals", name)
    return cls(build(cls.Config, settings, name))


def pictures(count: int = 30) -> list[Frame]:
    rng = np.random.default_rng(0)
    ground = rng.integers(40, 200, (48, 64, 3), np.uint8)
    frames = []
    for k in range(count):
        image = ground.copy()
        image[10:34, k : k + 14] = 255 - image[10:34, k : k + 14]
        frames.append(Frame(image, k, k / 10, (k + 1) / 10))
    return frames


def same(one: Boxes, other: Boxes) -> None:
    assert (one.start, one.end, one.names, one.note) == (other.start, other.end, other.names, other.note)
    np.testing.assert_array_equal(one.extents, other.extents)
    np.testing.assert_array_equal(one.values, other.values)
    np.testing.assert_array_equal(one.track, other.track)


def test_it_describes_itself(made: Any) -> None:
    assert isinstance(made.source, Provenance) and made.source.title and type(made).__doc__
    assert isinstance(made.clip, ClipSpec) and made.clip.frames == 1 and made.wait >= 0


def test_each_frame_has_its_boxes_in_order(made: Any) -> None:
    frames = pictures()
    found = list(made(iter(frames)))
    assert [(b.start, b.end) for b in found] == [(f.start, f.end) for f in frames]
    assert sum(len(b.values) for b in found) > 0
    for boxes in found:
        assert (boxes.extents[:, 0] == boxes.start).all() and (boxes.extents[:, 1] == boxes.end).all()
        assert ((boxes.values >= 0) & (boxes.values <= 1)).all()


def test_nothing_depends_on_what_comes_later(made: Any) -> None:
    """Live is offline: what was told when the camera stopped is what a longer film begins with."""
    whole = list(made(pictures()))
    short = list(made(pictures(17)))
    told = sum(b.end <= 17 / 10 - made.wait + 1e-9 for b in whole)
    assert len(short) == 17
    for one, other in zip(short[:told], whole, strict=False):
        same(one, other)


def test_it_waits_no_longer_than_it_says(made: Any) -> None:
    pulled = -1

    def stream() -> Any:
        nonlocal pulled
        for pulled, frame in enumerate(pictures()):  # noqa: B007
            yield frame

    for boxes in made(stream()):
        assert (pulled + 1) / 10 - boxes.end <= made.wait + 1e-9


def test_nothing_is_kept_from_stream_to_stream(made: Any) -> None:
    first = list(made(pictures()))
    list(made(pictures(5)))
    for one, other in zip(first, made(pictures()), strict=True):
        same(one, other)


def test_pictures_are_left_as_they_are(made: Any) -> None:
    frames = pictures()
    for frame in frames:
        frame.image.flags.writeable = False
    before = [frame.image.copy() for frame in frames]
    list(made(frames))
    for frame, image in zip(frames, before, strict=True):
        np.testing.assert_array_equal(frame.image, image)


def test_no_frame_makes_no_boxes(made: Any) -> None:
    assert list(made([])) == []


def test_settings_make_the_round_trip(name: str) -> None:
    config = registry.load("proposals", name).Config
    assert build(config, plain(config()), name) == config()
    with pytest.raises(ConfigError, match=f"unknown setting of {name} 'framez'"):
        build(config, {"framez": 1}, name)

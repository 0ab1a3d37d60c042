"""Windows and vectors of whole pictures, through the pipeline, each against the pictures themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wherewhen
from wherewhen.core import extents as ext
from wherewhen.core.contracts import BackboneAbilities, ClipSpec
from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Features, Frame, Grid, Pixels, Video
from wherewhen.evaluation import evaluator
from wherewhen.extraction import assembly, loading
from wherewhen.instances.whole import Whole, WholeConfig
from wherewhen.instances.windows import Windows, WindowsConfig
from wherewhen.video.writer import Writer

STRIDE, CLIPS = 4, 3


class Colors:
    """Mean color of each quarter of the middle picture of a clip, and beside it the brightest color of all of it."""

    abilities, clip = BackboneAbilities(), ClipSpec(STRIDE, STRIDE, size=(8, 8), whole=3)

    def __call__(self, clips: Pixels) -> Features:
        middle = clips[:, (clips.shape[1] - 1) // 2].astype(np.float32)
        cells = middle.reshape(-1, 2, 4, 2, 4, 3).mean((2, 4))
        most = np.broadcast_to(middle.max((1, 2))[:, None, None], cells.shape)
        return np.concatenate([cells, most], -1)[:, None]


def frames() -> Iterator[Frame]:
    """Pictures of colored blocks, which shrinking by two does not mix."""
    rng = np.random.default_rng(0)
    for number in range(STRIDE * CLIPS):
        blocks = rng.integers(0, 256, (8, 8, 3), np.uint8)
        yield Frame(blocks.repeat(8, 0).repeat(8, 1), number, number, number + 1.0)


def small() -> Iterator[Frame]:
    for frame in frames():
        yield Frame(np.ascontiguousarray(frame.image[::8, ::8]), frame.index, frame.start, frame.end)


def found(builders: dict[str, Any]) -> dict[str, Any]:
    streams = assembly.Streams(small(), closeups={"windows": frames()} if "windows" in builders else {})
    parts: dict[str, list[Any]] = {name: [] for name in builders}
    backbone: Any = Colors()
    for name, part in assembly.instances(streams, backbone, builders):
        parts[name].append(part)
    return {name: assembly.join_instances(those) for name, those in parts.items()}


def test_a_window_has_the_features_of_its_crop_of_the_middle_picture() -> None:
    config = WindowsConfig(shares=(1 / 4, 1 / 2))
    windows = found({"windows": Windows(config)})["windows"]
    places = ext.windows(config.shares, config.stride)
    assert windows.shape == (CLIPS, 1, len(places)) and windows.paths is None
    pictures = [frame.image for frame in frames()]
    for clip in range(CLIPS):
        rows = slice(clip * len(places), (clip + 1) * len(places))
        np.testing.assert_allclose(windows.extents[rows, 2:], places)
        assert (windows.extents[rows, :2] == [clip * STRIDE, (clip + 1) * STRIDE]).all()
        picture = pictures[clip * STRIDE + (STRIDE - 1) // 2]
        for vector, (x0, y0, x1, y1) in zip(windows.features[rows], np.rint(places * 64).astype(int), strict=True):
            assert vector.tolist() == picture[y0:y1, x0:x1].max((0, 1)).tolist()


def test_the_vector_of_the_whole_picture_comes_beside_its_cells() -> None:
    from wherewhen.instances.cells import Cells, CellsConfig

    both = found({"cells": Cells(CellsConfig()), "whole": Whole(WholeConfig())})
    pictures = [frame.image for frame in small()][STRIDE // 2 - 1 :: STRIDE]
    assert both["cells"].shape == (CLIPS, 2, 2) and both["whole"].shape == (CLIPS, 1, 1)
    np.testing.assert_array_equal(both["whole"].features, [picture.max((0, 1)) for picture in pictures])
    means = [picture.reshape(2, 4, 2, 4, 3).mean((1, 3)).reshape(4, 3) for picture in pictures]
    np.testing.assert_allclose(both["cells"].features.reshape(CLIPS, 4, 3), means, rtol=1e-6)


def test_without_a_vector_the_whole_picture_is_empty() -> None:
    grid = Grid(np.ones((2, 3, 4, 5), np.float32), np.array([0, 2, 0, 0, 1, 1.0]))
    (part,) = Whole(WholeConfig())([grid])
    assert part.features.shape == (1, 5) and not part.features.any()
    with pytest.raises(ValueError, match=r"expected whole \(2, D\)"):
        Grid(grid.features, grid.extent, whole=np.zeros((3, 5), np.float32))


@pytest.mark.parametrize(
    "wrong", [{"shares": ()}, {"shares": (1.5,)}, {"stride": 0.0}, {"width": 8}, {"shares": (0.01,)}]
)
def test_senseless_settings(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="windows: "):
        WindowsConfig(**wrong)


def test_a_trained_model_gets_windows_of_cached_videos_and_of_streams(tmp_path: Path) -> None:
    """A red square in gray pictures is found in its quarter, the same in both ways."""
    for number, (label, place) in enumerate((("normal", None), ("normal", None), ("anomalous", 0), ("anomalous", 1))):
        drawn(tmp_path / "clips" / label / f"{number}.mp4", place)
    settings = {
        "method": "stprompt", "backbone": "toywords", "stprompt": {"spatial": "windows", "segments": None},
        "windows": {"shares": [0.5], "stride": 1.0}, "cells": {"rows": 2, "columns": 2},
        "moving": {"rows": 2, "columns": 2}, "training": {"steps": 2, "bags": 2},
        "regions": {"smooth_seconds": 0.0, "sharpen": 0.0},
    }  # fmt: skip
    model = wherewhen.train(tmp_path / "clips", tmp_path / "run", settings=settings, device="cpu", quiet=True)
    video = Video("new", drawn(tmp_path / "new.mp4", 1), 1)
    heat = model.detect(str(video.path)).prediction.heat
    assert heat is not None and (heat.values.reshape(len(heat.values), -1).argmax(1) == 1).all()
    (bag,) = evaluator.normalized(model, loading.bags([video], model.config.feature_specs(), quiet=True))
    cached = evaluator.detect_bags(model, [bag])["new"].heat
    assert cached is not None
    np.testing.assert_allclose(cached.values, heat.values, rtol=1e-4, atol=1e-5)


def drawn(path: Path, place: int | None) -> Path:
    """Gray pictures, with a red square in the upper left (0) or right (1) quarter or without one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with Writer(path, 12.5) as writer:
        for _ in range(16):
            picture = np.full((48, 64, 3), 120, np.uint8)
            if place is not None:
                picture[6:20, 32 * place + 8 : 32 * place + 24] = (230, 20, 20)
            writer.write(picture)
    return path

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
import torch
from golden import Published
from safetensors.torch import save_file
from torch import fx, nn

from wherewhen.backbones._x3d import LAYERS, X3DNetwork
from wherewhen.backbones.x3d import X3D, X3DConfig
from wherewhen.core.errors import ConfigError, StoreError
from wherewhen.extraction import assembly
from wherewhen.instances.cells import Cells, CellsConfig

SHARED = Path(os.environ.get("WHEREWHEN_SHARED", Path(__file__).parents[2] / "../shared"))
NAMES = {
    "stem": "blocks_0",
    "res2": "blocks_1",
    "res3": "blocks_2",
    "res4": "blocks_3",
    "res5": "blocks_4",
    "pooled": "blocks_5_pool",
    "logits": "output",
}


@pytest.fixture(scope="module")
def published(publish: Callable[..., Published]) -> Published:
    return publish("x3d_s", "X3D_S.pyth", lambda tensors: {"model_state": tensors})


def noise(frames: int, height: int = 160, width: int = 160) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (1, frames, height, width, 3), np.uint8)


def run(network: X3D, pixels: np.ndarray) -> torch.Tensor:
    with torch.inference_mode():
        return network.module.normalized(torch.from_numpy(pixels))


@pytest.mark.parametrize("layer", NAMES)
def test_each_end_point_is_the_published_one(published: Published, layer: Any) -> None:
    network = X3D(X3DConfig(str(published.path), layer=layer))
    projected = []
    if layer == "logits":
        network.module.blocks[5].proj.register_forward_hook(lambda _, __, found: projected.append(found))
    found = run(network, published.golden.input())
    published.golden.close(NAMES[layer], found.flatten(1) if layer == "logits" else found)
    if projected:
        published.golden.close("blocks_5_proj", projected[0])


def test_larger_pictures_are_averaged_after_the_classifier(published: Published) -> None:
    network = X3D(X3DConfig(str(published.path), layer="logits"))
    found = run(network, published.golden.input(1, 3, 13, 182, 182))
    published.golden.close("output_test_crop_182", found.flatten(1))


def test_safetensors_are_read_alike(published: Published, tmp_path: Path) -> None:
    save_file(published.tensors, tmp_path / "x3d.safetensors")
    one, other = (
        X3D(X3DConfig(str(path), layer="res3")).module.state_dict()
        for path in (tmp_path / "x3d.safetensors", published.path)
    )
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    assert {name.split(".")[1] for name in one} == {"0", "1", "2"}


def test_the_file_of_s_fits_m(published: Published) -> None:
    network = X3D(X3DConfig(str(published.path), variant="m", layer="pooled"))
    name = "blocks.5.pool.post_conv.weight"
    assert torch.equal(network.module.state_dict()[name], published.tensors[name])


def test_a_wrong_file_is_told(published: Published, tmp_path: Path) -> None:
    gate = "blocks.2.res_blocks.2.branch2.norm_b.1.block.0.bias"
    less = {name: v for name, v in published.tensors.items() if name != gate}
    torch.save({"model_state": less}, tmp_path / "less.pyth")
    with pytest.raises(StoreError, match=rf"1 missing \(first: {gate}\)"):
        X3D(X3DConfig(str(tmp_path / "less.pyth"), layer="res3"))
    X3D(X3DConfig(str(tmp_path / "less.pyth"), layer="res2"))
    slowfast = {"s1.pathway0_stem.conv.weight": torch.zeros(24, 3, 1, 3, 3)}
    torch.save({"model_state": published.tensors | slowfast}, tmp_path / "more.pyth")
    with pytest.raises(StoreError, match=r"1 unknown \(first: s1.pathway0_stem.conv.weight\)"):
        X3D(X3DConfig(str(tmp_path / "more.pyth")))


def test_published_weights_are_known_by_name() -> None:
    assert X3DConfig().weights == X3D.weights[0].name
    with pytest.raises(StoreError, match="wherewhen weights get x3d_m_kinetics400"):
        X3D(X3DConfig("x3d_m_kinetics400", variant="m"))
    for weights, variant in (("x3d_s_kinetics400", "m"), ("x3d_m_kinetics400", "s")):
        with pytest.raises(ConfigError, match=f"not of variant {variant}; use x3d_{variant}_kinetics400"):
            X3DConfig(weights, variant=variant)
    assert X3D.identity(X3DConfig("random")) == "random, seed 0"


def test_pixels_are_normalized_as_published() -> None:
    network = X3D(X3DConfig("random", sampling=1, layer="stem"))
    clip = noise(13)
    by_hand = ((clip.astype(np.float32) / 255 - 0.45) / 0.225).transpose(0, 4, 1, 2, 3)
    wanted = run(network, np.ascontiguousarray(by_hand)).numpy().transpose(0, 2, 3, 4, 1)
    np.testing.assert_allclose(network(clip), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "frames", "first", "step"),
    [
        ({}, 78, 2, 6),
        ({"variant": "m"}, 80, 2, 5),
        ({"sampling": 1}, 13, 0, 1),
        ({"sampling": 2}, 26, 0, 2),
        ({"variant": "m", "sampling": 3}, 48, 1, 3),
    ],
)
def test_only_the_middle_of_each_step_is_seen(settings: Any, frames: int, first: int, step: int) -> None:
    network = X3D(X3DConfig("random", layer="stem", **settings))
    assert network.clip.frames == frames
    assert network.clip.size == ((224, 224) if settings.get("variant") == "m" else (160, 160))
    clip = noise(frames, *network.clip.size)
    seen = np.zeros(frames, bool)
    seen[first::step] = True
    assert seen.sum() == (16 if settings.get("variant") == "m" else 13)
    found = network(clip)
    unseen = clip.copy()
    unseen[:, ~seen] = 0
    np.testing.assert_array_equal(network(unseen), found)
    last = clip.copy()
    last[:, np.flatnonzero(seen)[-1]] ^= 255
    assert not np.array_equal(network(last), found)


def test_a_short_clip_goes_on_with_its_last_frame() -> None:
    network = X3D(X3DConfig("random", layer="stem"))
    clip = noise(10, 40, 60)
    np.testing.assert_array_equal(network(clip), network(clip[:, [*range(10)] + [9] * 68]))


@pytest.mark.parametrize(
    ("layer", "variant", "shape"),
    [
        ("stem", "m", (16, 112, 112, 24)),
        ("res2", "s", (13, 40, 40, 24)),
        ("res3", "s", (13, 20, 20, 48)),
        ("res4", "s", (13, 10, 10, 96)),
        ("res5", "s", (13, 5, 5, 192)),
        ("res5", "m", (16, 7, 7, 192)),
        ("pooled", "s", (1, 1, 1, 2048)),
        ("logits", "m", (1, 1, 1, 400)),
    ],
)
def test_a_layer_has_its_grid_and_width(layer: Any, variant: Any, shape: tuple[int, ...]) -> None:
    network = X3D(X3DConfig("random", layer=layer, variant=variant))
    found = network(noise(network.clip.frames, 48, 64))
    assert found.shape == (1, *shape) and found.dtype == np.float32
    assert 0.01 < found.std() < 100, "noise should neither die nor explode on its way"


def test_every_layer_can_be_chosen() -> None:
    assert get_args(get_type_hints(X3DConfig)["layer"]) == LAYERS


def test_sampling_is_a_count() -> None:
    with pytest.raises(ConfigError, match="x3d: expected sampling >= 1 or null; got 0"):
        X3DConfig(sampling=0)


def test_fx_traces_it_and_each_convolution_meets_its_norm() -> None:
    """All but the two of the stem that follow each other, those of the gates, and the last ones."""
    module = X3DNetwork(2, 64, 1, "logits").eval()
    traced = fx.symbolic_trace(module)
    clip = torch.from_numpy(noise(2, 64, 64))
    with torch.inference_mode():
        assert torch.equal(traced(clip), module(clip))
    parts = dict(traced.named_modules())
    without = []
    for node in traced.graph.nodes:
        if node.op == "call_module" and isinstance(parts[node.target], nn.Conv3d):
            (after,) = node.users
            if not isinstance(parts.get(after.target), nn.BatchNorm3d):
                without.append(node.target)
    rest = [name for name in without if "norm_b.1.block" not in name]
    halving = "blocks.1.res_blocks.0.branch1_conv"  # 24 channels to 24: the published network has no norm here
    assert rest == ["blocks.0.conv.conv_t", halving, "blocks.5.pool.post_conv"]
    assert len(without) - len(rest) == 2 * (2 + 3 + 6 + 4)


def test_it_sees_real_pictures() -> None:
    path = SHARED / "data" / "ped2" / "videos" / "Test001.mp4"
    if not path.is_file():
        pytest.skip(f"no pictures: {path} is not there (WHEREWHEN_SHARED names the folder above)")
    backbone = X3D(X3DConfig("random", layer="res5"))
    streams = assembly.Streams.of(path, backbone.clip)
    _, rows = next(assembly.instances(streams, backbone, {"cells": Cells(CellsConfig())}))
    assert rows.shape == (13, 5, 5) and rows.features.shape == (325, 192) and np.isfinite(rows.features).all()

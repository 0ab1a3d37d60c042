from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden import Published
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import fx, nn

from wherewhen.backbones._i3d import END_POINTS, pool, unit
from wherewhen.backbones.i3d import I3D, I3DConfig, Layer
from wherewhen.core.errors import ConfigError, StoreError
from wherewhen.extraction import assembly
from wherewhen.instances.cells import Cells, CellsConfig

SHARED = Path(os.environ.get("WHEREWHEN_SHARED", Path(__file__).parents[2] / "../shared"))
NAMES = {
    "conv3d_1a": "Conv3d_1a_7x7",
    "mixed_3c": "Mixed_3c",
    "mixed_4e": "Mixed_4e",
    "mixed_5c": "Mixed_5c",
    "pooled": "extract_features",
    "logits": "logits",
}


@pytest.fixture(scope="module")
def published(publish: Callable[..., Published]) -> Published:
    return publish(
        "i3d_rgb_16x224",
        "rgb_imagenet.pt",
        lambda tensors: {name: value for name, value in tensors.items() if not name.endswith("num_batches_tracked")},
    )


def noise(frames: int, height: int = 224, width: int = 224) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (1, frames, height, width, 3), np.uint8)


def run(network: I3D, pixels: np.ndarray) -> torch.Tensor:
    with torch.inference_mode():
        return network.module.normalized(torch.from_numpy(pixels))


@pytest.mark.parametrize("layer", ["conv3d_1a", "mixed_3c", "pooled"])
def test_an_end_point_is_the_published_one(published: Published, layer: Any) -> None:
    published.golden.close(
        NAMES[layer], run(I3D(I3DConfig(str(published.path), layer=layer)), published.golden.input())
    )


@pytest.mark.parametrize("frames", [16, 64])
def test_on_the_way_to_the_logits_all_is_as_published(
    published: Published, golden: Callable[[str], Any], frames: int
) -> None:
    numbers = golden(f"i3d_rgb_{frames}x224")
    network = I3D(I3DConfig(str(published.path), frames=frames, layer="logits"))
    seen = {}
    for layer, name in NAMES.items():
        part = getattr(network.module, END_POINTS[layer][0])
        part.register_forward_hook(lambda _, __, found, name=name: seen.update({name: found}))
    run(network, numbers.input())
    seen["logits"] = seen["logits"][..., 0, 0]
    assert set(seen) == set(NAMES.values())
    for name, found in seen.items():
        numbers.close(name, found)
    numbers.close("logits_mean_over_time", seen["logits"].mean(2))


def test_safetensors_and_counters_are_read_alike(published: Published, tmp_path: Path) -> None:
    save_file(published.tensors, tmp_path / "i3d.safetensors")
    one = I3D(I3DConfig(str(published.path), layer="mixed_3b")).module.state_dict()
    other = I3D(I3DConfig(str(tmp_path / "i3d.safetensors"), layer="mixed_3b")).module.state_dict()
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert not any(name.startswith(("Mixed_3c", "logits")) for name in one)


def test_classes_beyond_the_layer_do_not_matter(published: Published, tmp_path: Path) -> None:
    tuned = dict(published.tensors)
    tuned["logits.conv3d.weight"], tuned["logits.conv3d.bias"] = torch.zeros(157, 1024, 1, 1, 1), torch.zeros(157)
    torch.save(tuned, tmp_path / "charades.pt")
    I3D(I3DConfig(str(tmp_path / "charades.pt"), layer="conv3d_1a"))
    with pytest.raises(StoreError, match=r"2 of another shape \(first: logits.conv3d.bias\)"):
        I3D(I3DConfig(str(tmp_path / "charades.pt"), layer="logits"))


def test_a_wrong_file_is_told(published: Published, tmp_path: Path) -> None:
    less = {name: v for name, v in published.tensors.items() if name != "Conv3d_1a_7x7.bn.running_var"}
    torch.save(less, tmp_path / "less.pt")
    with pytest.raises(StoreError, match=r"1 missing \(first: Conv3d_1a_7x7.bn.running_var\)"):
        I3D(I3DConfig(str(tmp_path / "less.pt"), layer="conv3d_2c"))
    torch.save(published.tensors | {"Mixed_9z.b0": torch.zeros(1)}, tmp_path / "more.pt")
    with pytest.raises(StoreError, match=r"1 unknown \(first: Mixed_9z.b0\)"):
        I3D(I3DConfig(str(tmp_path / "more.pt"), layer="conv3d_2c"))


def test_published_weights_are_known_by_name() -> None:
    assert I3DConfig().weights == I3D.weights[0].name and len(I3D.weights[0].sha256) == 64
    with pytest.raises(StoreError, match="wherewhen weights get i3d_kinetics400"):
        I3D(I3DConfig())
    assert I3D.identity(I3DConfig("random")) == "random, seed 0"


def test_pixels_become_minus_one_to_one() -> None:
    network = I3D(I3DConfig("random", frames=3, layer="conv3d_2b"))
    clip = noise(3)
    by_hand = (clip.astype(np.float32) / 127.5 - 1).transpose(0, 4, 1, 2, 3)
    wanted = run(network, by_hand).numpy().transpose(0, 2, 3, 4, 1)
    np.testing.assert_allclose(network(clip), wanted, rtol=1e-4, atol=1e-5)


def test_a_short_clip_goes_on_with_its_last_frame() -> None:
    network = I3D(I3DConfig("random", frames=4, layer="conv3d_1a"))
    clip = noise(2)
    np.testing.assert_array_equal(network(clip), network(clip[:, [0, 1, 1, 1]]))


@pytest.mark.parametrize(
    ("layer", "frames", "shape"),
    [
        ("conv3d_1a", 5, (3, 112, 112, 64)),
        ("maxpool3d_2a", 4, (2, 56, 56, 64)),
        ("conv3d_2c", 4, (2, 56, 56, 192)),
        ("mixed_3c", 4, (2, 28, 28, 480)),
        ("maxpool3d_4a", 7, (2, 14, 14, 480)),
        ("mixed_4d", 4, (1, 14, 14, 512)),
        ("mixed_4f", 4, (1, 14, 14, 832)),
        ("mixed_5b", 2, (1, 7, 7, 832)),
        ("pooled", 9, (1, 1, 1, 1024)),
        ("logits", 9, (1, 1, 1, 400)),
    ],
)
def test_a_layer_has_its_grid_and_width(layer: Any, frames: int, shape: tuple[int, ...]) -> None:
    network = I3D(I3DConfig("random", frames=frames, layer=layer))
    found = network(noise(frames, 48, 64))
    assert found.shape == (1, *shape) and found.dtype == np.float32
    assert 0.01 < found.std() < 100, "noise should neither die nor explode on its way"


def test_every_end_point_can_be_chosen() -> None:
    assert list(get_args(Layer)) == list(END_POINTS)
    assert network_clip(frames=64) == (64, (224, 224))


def network_clip(**settings: Any) -> tuple[Any, Any]:
    clip = I3D.spec(I3DConfig("random", **settings))
    return clip.frames, clip.size


@pytest.mark.parametrize(("layer", "frames"), [("pooled", 8), ("logits", 1), ("mixed_4e", 0)])
def test_too_few_frames_are_refused(layer: Any, frames: int) -> None:
    with pytest.raises(ConfigError, match=f"i3d: the layer {layer} needs frames >= .; got {frames}"):
        I3DConfig(frames=frames, layer=layer)


sizes = st.tuples(*[st.integers(1, 9)] * 3)
kernels = st.tuples(*[st.integers(1, 3)] * 3)


def padded(x: torch.Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> torch.Tensor:
    """Zeros around each axis so that ceil(size / stride) windows fit, the odd one behind."""
    pads: list[int] = []
    for size, k, s in reversed(list(zip(x.shape[2:], kernel, stride, strict=True))):
        total = max((-(-size // s) - 1) * s + k - size, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads)


@given(size=sizes, kernel=kernels, data=st.data())
@settings(deadline=None, max_examples=60)
def test_padding_is_tensorflows(size: Any, kernel: Any, data: st.DataObject) -> None:
    stride = tuple(data.draw(st.integers(1, k)) for k in kernel)
    x = torch.rand(1, 2, *size)
    wanted = F.max_pool3d(padded(x, kernel, stride), kernel, stride)
    # windows of 3 that step by 1 or 2, and of 1 or 2 that step by as much, are what the network has
    if all(k in (1, 3) or s == k for k, s in zip(kernel, stride, strict=True)):
        assert torch.equal(pool(size, kernel, stride)(x), wanted)
    convolution = unit(2, 3, size, kernel, stride).eval()
    by_hand = F.conv3d(padded(x, kernel, stride), convolution.conv3d.weight, stride=stride)
    found = nn.Sequential(*[part for name, part in convolution.named_children() if name in ("pad", "conv3d")])(x)
    torch.testing.assert_close(found, by_hand)


def test_fx_traces_it_and_each_convolution_meets_its_norm() -> None:
    network = I3D(I3DConfig("random", frames=4, layer="mixed_3b"))
    traced = fx.symbolic_trace(network.module)
    clip = torch.from_numpy(noise(4))
    with torch.inference_mode():
        assert torch.equal(traced(clip), network.module(clip))
    parts = dict(traced.named_modules())
    convolutions = [n for n in traced.graph.nodes if n.op == "call_module" and isinstance(parts[n.target], nn.Conv3d)]
    assert len(convolutions) == 9
    for node in convolutions:
        (after,) = node.users
        assert isinstance(parts[after.target], nn.BatchNorm3d)


def test_it_sees_real_pictures() -> None:
    path = SHARED / "data" / "ped2" / "videos" / "Test001.mp4"
    if not path.is_file():
        pytest.skip(f"no pictures: {path} is not there (WHEREWHEN_SHARED names the folder above)")
    backbone = I3D(I3DConfig("random", layer="mixed_3b"))
    streams = assembly.Streams.of(path, backbone.clip)
    _, rows = next(assembly.instances(streams, backbone, {"cells": Cells(CellsConfig())}))
    assert rows.features.shape[1] == 256 and rows.shape is not None and np.isfinite(rows.features).all()

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from golden import Published
from safetensors.torch import save_file
from torch import fx, nn

from wherewhen.backbones import _c3d
from wherewhen.backbones.c3d import C3D, OFFICIAL, C3DConfig, Layer
from wherewhen.core.errors import ConfigError, StoreError
from wherewhen.extraction import assembly
from wherewhen.instances.cells import Cells, CellsConfig

SHARED = Path(os.environ.get("WHEREWHEN_SHARED", Path(__file__).parents[2] / "../shared"))
MEAN = np.float32([90, 98, 102])  # blue, green, red


@pytest.fixture(scope="module")
def published(publish: Callable[..., Published]) -> Published:
    return publish("c3d_sports1m_16x112", "c3d.pickle")


def noise(frames: int = 16, height: int = 112, width: int = 112) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (1, frames, height, width, 3), np.uint8)


def run(network: C3D, pixels: np.ndarray) -> torch.Tensor:
    with torch.inference_mode():
        return network.module.normalized(torch.from_numpy(pixels))


def by_hand(network: C3D, clip: np.ndarray) -> np.ndarray:
    """The network on RGB pictures of 112 x 112 px."""
    pixels = (clip[..., ::-1].astype(np.float32) - MEAN).transpose(0, 4, 1, 2, 3)
    return run(network, np.ascontiguousarray(pixels)).numpy().transpose(0, 2, 3, 4, 1)


@pytest.mark.parametrize(("layer", "name"), [("pool2", "pool2"), ("fc6", "fc6_relu")])
def test_a_layer_is_the_published_one(published: Published, layer: Any, name: str) -> None:
    found = run(C3D(C3DConfig(str(published.path), layer=layer)), published.golden.input())
    published.golden.close(name, found if found.shape[2:].numel() > 1 else found.flatten(1))


def test_on_the_way_to_the_logits_all_is_as_published(published: Published) -> None:
    """What comes before the rectifiers too."""
    network = C3D(C3DConfig(str(published.path), layer="logits"))
    seen = {}
    for name in ("conv1", "conv5b", "pool5", "fc6", "fc7"):
        part = getattr(network.module, name)
        part.register_forward_hook(lambda _, __, found, name=name: seen.update({name: found.clone()}))
    logits = run(network, published.golden.input()).flatten(1)
    published.golden.close("pool5", seen.pop("pool5"))
    for name, found in seen.items():
        published.golden.close(f"{name}_prerelu", found)
    published.golden.close("fc7_relu", seen["fc7"].relu())
    published.golden.close("fc8_logits", logits)
    published.golden.close("softmax", logits.softmax(1))


def test_a_file_may_end_with_the_layer(published: Published, tmp_path: Path) -> None:
    path = tmp_path / "c3d.safetensors"
    save_file({name: v for name, v in published.tensors.items() if name.startswith(("conv1", "conv2"))}, path)
    one, other = (C3D(C3DConfig(str(p), layer="pool2")).module.state_dict() for p in (path, published.path))
    assert one.keys() == other.keys() == {f"conv{k}.{what}" for k in (1, 2) for what in ("weight", "bias")}
    assert all(torch.equal(one[name], other[name]) for name in one)
    with pytest.raises(StoreError, match=r"2 missing \(first: conv3a.bias\)"):
        C3D(C3DConfig(str(path), layer="conv3a"))


def test_a_wrong_file_is_told(published: Published, tmp_path: Path) -> None:
    save_file({"conv1.weight": torch.zeros(64, 3, 7, 7, 7), "bn1.weight": torch.ones(64)}, tmp_path / "r3d.safetensors")
    wrong = r"1 missing \(first: conv1.bias\), 1 unknown \(first: bn1.weight\), 1 of another shape"
    with pytest.raises(StoreError, match=wrong):
        C3D(C3DConfig(str(tmp_path / "r3d.safetensors"), layer="conv1"))


def test_published_weights_are_known_by_name() -> None:
    assert C3DConfig().weights == C3D.weights[0].name
    with pytest.raises(StoreError, match="wherewhen weights get c3d_sports1m"):
        C3D(C3DConfig())
    assert C3D.identity(C3DConfig("random")) == "random, seed 0"


def test_pixels_are_blue_green_red_less_their_mean() -> None:
    network = C3D(C3DConfig("random", layer="conv1"))
    clip = noise()
    np.testing.assert_allclose(network(clip), by_hand(network, clip), rtol=1e-4, atol=1e-2)
    assert network.module.mean.tolist() == [90, 98, 102] and "mean" not in network.module.state_dict()


def test_the_center_is_what_the_official_network_sees() -> None:
    whole, center = (C3D(C3DConfig("random", layer="fc6", view=view)) for view in ("whole", "center"))
    assert whole.clip.size == (112, 112) and center.clip.size == OFFICIAL == _c3d.OFFICIAL == (128, 171)
    clip = noise(16, *OFFICIAL)
    found = center(clip)
    np.testing.assert_allclose(found, by_hand(whole, clip[:, :, 8:120, 29:141]), rtol=1e-4, atol=1e-2)
    clip[:, :, :8] = clip[:, :, 120:] = clip[:, :, :, :29] = clip[:, :, :, 141:] = 0
    np.testing.assert_array_equal(center(clip), found)
    with pytest.raises(ConfigError, match="c3d: view=center has no cells for layer pool5"):
        C3DConfig(layer="pool5", view="center")


def test_a_short_clip_goes_on_with_its_last_frame() -> None:
    network = C3D(C3DConfig("random", layer="conv1"))
    clip = noise(2)
    np.testing.assert_array_equal(network(clip), network(clip[:, [0] + [1] * 15]))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        ("pool1", (16, 56, 56, 64)),
        ("conv2", (16, 56, 56, 128)),
        ("pool3", (4, 14, 14, 256)),
        ("conv4a", (4, 14, 14, 512)),
        ("conv5b", (2, 7, 7, 512)),
        ("fc7", (1, 1, 1, 4096)),
    ],
)
def test_a_layer_has_its_grid_and_width(layer: Any, shape: tuple[int, ...]) -> None:
    found = C3D(C3DConfig("random", layer=layer))(noise(16, 48, 64))
    assert found.shape == (1, *shape) and found.dtype == np.float32
    assert 0.1 < found.std() < 1000, "noise should neither die nor explode on its way"
    assert found.min() >= 0


def test_every_layer_can_be_chosen() -> None:
    assert get_args(Layer) == _c3d.LAYERS


def test_fx_traces_it() -> None:
    network = C3D(C3DConfig("random", layer="pool2"))
    traced = fx.symbolic_trace(network.module)
    clip = torch.from_numpy(noise())
    with torch.inference_mode():
        assert torch.equal(traced(clip), network.module(clip))
    parts = dict(traced.named_modules())
    called = [parts[node.target] for node in traced.graph.nodes if node.op == "call_module"]
    assert [type(part) for part in called] == [nn.Conv3d, nn.ReLU, nn.MaxPool3d] * 2


def test_it_sees_real_pictures() -> None:
    path = SHARED / "data" / "ped2" / "videos" / "Test001.mp4"
    if not path.is_file():
        pytest.skip(f"no pictures: {path} is not there (WHEREWHEN_SHARED names the folder above)")
    backbone = C3D(C3DConfig("random"))
    streams = assembly.Streams.of(path, backbone.clip)
    _, rows = next(assembly.instances(streams, backbone, {"cells": Cells(CellsConfig())}))
    assert rows.shape == (1, 1, 1) and rows.features.shape == (1, 4096) and np.isfinite(rows.features).all()

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden import Published
from safetensors.torch import save_file

from wherewhen.backbones.uniformer import UniFormerB, UniFormerConfig
from wherewhen.core.errors import ConfigError, StoreError
from wherewhen.inference.model_config import ModelConfig

TINY: dict[str, Any] = {"weights": "random", "frames": 4, "sampling": 1, "size": (64, 64)}
ENDS = {
    "patch_embed1": "patch_embed1",
    "stage1": "stage1",
    "stage2": "stage2",
    "stage3": "stage3",
    "stage4_before_norm": "stage4_before_norm",
    "stage4": "stage4_map",
    "pooled": "pooled",
    "logits": "logits",
}


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)


def test_every_end_is_the_published_one(publish: Callable[..., Published]) -> None:
    """Through the file: tensors under "model_state", as the official training writes them."""
    published = publish("uniformer_b_video_16x224", "own.pth", lambda kept: {"model_state": kept, "cfg": "text"})
    network = UniFormerB(UniFormerConfig(str(published.path), frames=16, sampling=1))
    kept: dict[str, torch.Tensor] = {}
    ends = {"patch_embed1": "patch_embed1", "blocks1.4": "stage1", "blocks2.7": "stage2", "blocks3.19": "stage3"}
    for name, end in {**ends, "blocks4.6": "stage4_before_norm", "norm": "stage4"}.items():
        network.module.get_submodule(name).register_forward_hook(
            lambda _, __, found, end=end: kept.update({end: found})
        )
    network.module.layer = "logits"
    with torch.inference_mode():
        kept["logits"] = network.module.features(torch.from_numpy(published.golden.input())).flatten(1)
    kept["pooled"] = kept["stage4"].mean((2, 3, 4))
    for end, name in ENDS.items():
        published.golden.close(name, kept[end])


def test_a_layer_is_where_the_walk_ends() -> None:
    whole = UniFormerB(UniFormerConfig(**TINY, layer="logits"))
    clip = torch.from_numpy(np.random.default_rng(7).standard_normal((1, 3, 4, 64, 64)).astype(np.float32))
    ends = {"stage1": "blocks1.4", "stage2": "blocks2.7", "stage3": "blocks3.19", "stage4_before_norm": "blocks4.6"}
    kept: dict[str, torch.Tensor] = {}
    for layer, name in {**ends, "stage4": "norm"}.items():
        whole.module.get_submodule(name).register_forward_hook(
            lambda _, __, found, layer=layer: kept.update({layer: found})
        )
    with torch.inference_mode():
        logits = whole.module.features(clip)
        assert logits.shape == (1, 400, 1, 1, 1)
        for layer, wanted in list(kept.items()):
            whole.module.layer = layer
            torch.testing.assert_close(whole.module.features(clip), wanted, rtol=0, atol=0)
        whole.module.layer = "pooled"
        torch.testing.assert_close(whole.module.features(clip).flatten(), kept["stage4"].mean((2, 3, 4)).flatten())


def test_pixels_are_normalized_as_published_and_time_is_averaged() -> None:
    frames = noise(1, 12, 64, 64)
    seen = torch.from_numpy(frames[:, [1, 4, 7, 10]]).permute(0, 4, 1, 2, 3).float()
    for bgr in (False, True):
        settings = TINY | {"frames": 12, "sampling": 3, "layer": "stage2", "bgr": bgr}
        network = UniFormerB(UniFormerConfig(**settings, steps=None))
        with torch.inference_mode():
            wanted = network.module.features(((seen.flip(1) if bgr else seen) / 255 - 0.45) / 0.225)
        wanted = wanted.permute(0, 2, 3, 4, 1).numpy()
        np.testing.assert_allclose(network(frames), wanted, rtol=1e-4, atol=1e-5)
        mean = UniFormerB(UniFormerConfig(**settings, steps=1))(frames)
        np.testing.assert_allclose(mean, wanted.mean(1, keepdims=True), rtol=1e-4, atol=1e-5)
        assert wanted.shape == (1, 2, 8, 8, 128)


def test_the_defaults_are_a_grid_of_patches_for_each_segment() -> None:
    config = UniFormerConfig()
    assert (config.frames, config.stride, config.positions, config.steps) == (192, 192, 16, 1)
    network = UniFormerB(UniFormerConfig(**TINY | {"size": (96, 128)}))
    assert network(noise(2, 4, 48, 64)).shape == (2, 1, 3, 4, 512)


@pytest.mark.parametrize("layer", ["stage2", "stage4", "logits"])
def test_it_can_be_traced(layer: Any) -> None:
    network = UniFormerB(UniFormerConfig(**TINY, layer=layer))
    clips = torch.from_numpy(noise(2, 4, 64, 64))
    traced = torch.fx.symbolic_trace(network.module)
    with torch.inference_mode():
        torch.testing.assert_close(traced(clips), network.module(clips), rtol=0, atol=0)


def test_the_head_has_the_classes_of_its_weights(tmp_path: Path) -> None:
    made = {k: v.clone() for k, v in UniFormerB(UniFormerConfig(**TINY)).module.state_dict().items()}
    made["head.weight"], made["head.bias"] = torch.ones(600, 512), torch.arange(600.0)
    save_file(made, tmp_path / "k600.safetensors")
    network = UniFormerB(UniFormerConfig(**TINY | {"weights": str(tmp_path / "k600.safetensors")}, layer="logits"))
    found = network(noise(1, 4, 64, 64))
    assert found.shape == (1, 1, 1, 1, 600)
    np.testing.assert_allclose(np.diff(found.ravel()), 1, rtol=1e-3)
    del made["blocks3.7.attn.qkv.bias"]
    save_file(made, tmp_path / "lacks.safetensors")
    with pytest.raises(StoreError, match=r"1 missing \(first: blocks3.7.attn.qkv.bias\)"):
        UniFormerB(UniFormerConfig(**TINY | {"weights": str(tmp_path / "lacks.safetensors")}))


@pytest.mark.parametrize(
    "wrong", [{"sampling": 0}, {"sampling": 193}, {"size": (224, 200)}, {"steps": 3}, {"steps": 0}]
)
def test_senseless_settings(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="uniformer: "):
        UniFormerConfig(**wrong)


@pytest.mark.parametrize("other", [{"crops": 5}, {"backbone": "uniformer+motion"}])
def test_the_middle_is_cut_out_of_whole_pictures(other: dict[str, Any]) -> None:
    settings = {"backbone": "uniformer", "uniformer": {"middle": True}}
    ModelConfig.of(settings)
    with pytest.raises(ConfigError, match="uniformer: middle cuts one part out of each picture"):
        ModelConfig.of({**settings, **other})

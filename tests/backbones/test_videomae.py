from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from wherewhen.backbones import videomae
from wherewhen.backbones.videomae import VideoMae, VideoMaeConfig
from wherewhen.core.errors import ConfigError, StoreError
from wherewhen.runtime.weights import seeded

transformers = pytest.importorskip("transformers", reason='VideoMAE needs pip install "wherewhen[clip]"')

BLOCKS = 3  # of the reference, in place of 12: all blocks are alike
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)


@pytest.fixture(scope="module")
def reference() -> Any:
    """The library's own classifier, with fewer blocks; its weights and biases are repeated noise, quick to draw."""
    config = transformers.VideoMAEConfig(num_labels=400, num_hidden_layers=BLOCKS)
    model = seeded(lambda: transformers.VideoMAEForVideoClassification(config), random=False)
    drawn = 0.02 * torch.randn(2**20 + 7, generator=torch.Generator().manual_seed(3))
    for name, parameter in model.named_parameters():
        values = drawn.repeat(-(-parameter.numel() // len(drawn)))[: parameter.numel()].view_as(parameter)
        parameter.copy_(values + ("norm" in name and name.endswith("weight")))
    return model


@pytest.fixture(scope="module")
def checkpoint(reference: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The published file's layout: two biases under their older names."""
    path = tmp_path_factory.mktemp("videomae") / "model.safetensors"
    older = {"attention.attention.query.bias": "attention.attention.q_bias"}
    older["attention.attention.value.bias"] = "attention.attention.v_bias"
    tensors = {}
    for name, value in reference.state_dict().items():
        for new, old in older.items():
            name = name.replace(new, old)
        tensors[name] = value.clone()
    assert sum(name.endswith("q_bias") for name in tensors) == BLOCKS
    save_file(tensors, path)
    return str(path)


def test_it_sees_what_the_library_sees(reference: Any, checkpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(videomae, "BLOCKS", BLOCKS)
    clip = noise(1, 16, 224, 224)
    pixels = torch.from_numpy(((clip / 255 - MEAN) / STD).astype(np.float32)).permute(0, 1, 4, 2, 3)
    kept = []
    hooks = [
        layer.register_forward_hook(lambda *call: kept.append(call[2])) for layer in reference.videomae.encoder.layer
    ]
    hooks.append(reference.fc_norm.register_forward_hook(lambda *call: kept.append(call[2])))
    with torch.inference_mode():
        reference(pixels)
    for hook in hooks:
        hook.remove()
    states = [row[0] if isinstance(row, tuple) else row for row in kept]

    def close(found: np.ndarray, wanted: torch.Tensor) -> None:
        stored = wanted.numpy().reshape(found.shape)
        assert np.abs(found - stored).max() <= 2e-5 * np.abs(stored).max()

    early = VideoMae(VideoMaeConfig(checkpoint, sampling=1, block=2))(clip)
    assert early.shape == (1, 8, 14, 14, 768)
    close(early, states[1])
    close(VideoMae(VideoMaeConfig(checkpoint, sampling=1, block=BLOCKS, layer="pooled"))(clip), states[BLOCKS])


def test_the_middle_of_each_step_is_seen_and_time_is_averaged() -> None:
    clips = noise(1, 48, 224, 224)
    every = VideoMae(VideoMaeConfig("random", sampling=1, block=1))(np.ascontiguousarray(clips[:, 1::3]))
    network = VideoMae(VideoMaeConfig("random", sampling=3, block=1, steps=2))
    assert network.clip.frames == 48
    wanted = every.reshape(1, 2, 4, 14, 14, 768).mean(2)
    np.testing.assert_allclose(network(clips), wanted, rtol=1e-4, atol=1e-5)


def test_it_can_be_exported() -> None:
    network = VideoMae(VideoMaeConfig("random", sampling=1, block=1))
    clips = torch.from_numpy(noise(1, 16, 224, 224))
    with torch.inference_mode():
        torch.testing.assert_close(torch.export.export(network.module, (clips,)).module()(clips), network.module(clips))


def test_weights_that_lack_a_block_are_refused(reference: Any, tmp_path: Path) -> None:
    tensors = {k: v.clone() for k, v in reference.state_dict().items() if ".layer.1." not in k}
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(StoreError, match=r"missing \(first: videomae.encoder.layer.1."):
        VideoMae(VideoMaeConfig(str(tmp_path / "model.safetensors"), block=2))


@pytest.mark.parametrize(
    ("call", "settings"), [(VideoMae, {"weights": "random"}), (VideoMae, {}), (VideoMae.identity, {})]
)
def test_a_missing_library_says_how_to_get_it(
    call: Callable[[Any], Any], settings: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without weights too: the library is an error before a large download."""
    monkeypatch.setenv("WHEREWHEN_CACHE", str(tmp_path))
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(ConfigError, match=r'videomae needs transformers: pip install "wherewhen\[clip\]"'):
        call(VideoMaeConfig(**settings))


@pytest.mark.parametrize(
    "wrong", [{"sampling": 0}, {"block": 0}, {"block": 13}, {"steps": 3}, {"block": 3, "layer": "pooled"}]
)
def test_senseless_settings(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="videomae: "):
        VideoMaeConfig(**wrong)

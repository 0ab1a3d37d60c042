"""VideoMAE: a plain transformer over small cuboids of video."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from wherewhen.backbones import _transformers
from wherewhen.core.contracts import ClipSpec, Provenance
from wherewhen.core.errors import ConfigError
from wherewhen.runtime.network import Network, NetworkConfig
from wherewhen.runtime.weights import Weights

if TYPE_CHECKING:
    import torch

_HOME = "https://huggingface.co/MCG-NJU/videomae-base-finetuned-kinetics"
BLOCKS = 12


@dataclass(frozen=True)
class VideoMaeConfig(NetworkConfig):
    """Settings of `VideoMae`; 16 frames of a clip are used.

    Args:
        weights: name of published weights, path of a file in Hugging Face's layout, or "random" (seeded noise).
        stride: a new clip every so many frames.
        sampling: of so many frames the middle one is used; a clip is 16 times as long.
        block: number of the 12 blocks after which tokens are read.
        layer: tokens make a grid of 14 x 14 cells, pooled is their normalized mean.
        steps: time steps per clip that the eight positions are averaged into (1, 2 or 4); null keeps eight.
    """

    weights: str = "videomae_b_kinetics400"
    stride: int = 64
    sampling: int = 4
    block: int = BLOCKS
    layer: Literal["tokens", "pooled"] = "tokens"
    steps: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sampling < 1 or not 1 <= self.block <= BLOCKS:
            raise ConfigError(f"videomae: expected sampling >= 1 and 1 <= block <= {BLOCKS}; got {self}")
        if self.steps not in (None, 1, 2, 4, 8):
            raise ConfigError(f"videomae: steps must divide the 8 time positions; got {self.steps}")
        if self.layer == "pooled" and self.block != BLOCKS:
            raise ConfigError(f"videomae: only the last block is pooled; got block={self.block}")


class VideoMae(Network):
    """VideoMAE ViT-B: uint8 ``(B, T, H, W, 3)`` -> float32 ``(B, 8, 14, 14, 768)``, or ``(B, 1, 1, 1, 768)`` pooled.

    The whole scene is squeezed into 224 x 224. Tong et al., VideoMAE, NeurIPS 2022.
    """

    Config: ClassVar[type] = VideoMaeConfig
    source: ClassVar[Provenance] = Provenance(
        title="VideoMAE ViT-B",
        homepage="https://github.com/MCG-NJU/VideoMAE",
        licence="CC-BY-NC-4.0",
        citation="Tong et al., VideoMAE: Masked Autoencoders are Data-Efficient Learners for Self-Supervised Video "
        "Pre-Training, NeurIPS 2022",
    )
    weights: ClassVar[tuple[Weights, ...]] = (
        Weights(
            name="videomae_b_kinetics400",
            address=f"{_HOME}/resolve/main/model.safetensors",
            licence="CC-BY-NC-4.0",
            trained_on="Kinetics-400, first masked, then with its labels; every fourth of 64 frames",
            homepage=_HOME,
        ),
    )

    @classmethod
    def spec(cls, config: VideoMaeConfig) -> ClipSpec:
        """The clips of the network's input."""
        frames = 16 * config.sampling
        return ClipSpec(frames, config.stride, config.rate, size=(224, 224), tail=config.tail)

    @classmethod
    def check_libraries(cls) -> None:
        """ConfigError where transformers is not installed."""
        _transformers.check("videomae")

    @classmethod
    def build(cls, config: VideoMaeConfig) -> torch.nn.Module:
        """The module with random weights; ConfigError where transformers is not installed."""
        from wherewhen.backbones._videomae import Tubelets

        return Tubelets(config.sampling, config.block, config.layer == "pooled", config.steps)

    def renamed(self, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The tensors that the network uses; two biases have other names in older files."""
        converted = {}
        for name, value in tensors.items():
            block = re.match(r"videomae\.encoder\.layer\.(\d+)\.", name)
            unused = name.startswith("classifier.") or (name.startswith("fc_norm.") and self.config.layer != "pooled")
            if unused or (block and self.config.block <= int(block[1]) < BLOCKS):
                continue
            name = name.replace(".attention.q_bias", ".attention.query.bias")
            converted[name.replace(".attention.v_bias", ".attention.value.bias")] = value
        return converted


PLUGIN = VideoMae

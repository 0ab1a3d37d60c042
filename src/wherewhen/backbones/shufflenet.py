"""ShuffleNetV2 x0.5: appearance features of single frames, fast on one core."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from wherewhen.core.contracts import ClipSpec, Provenance
from wherewhen.core.errors import ConfigError
from wherewhen.runtime.network import Network, NetworkConfig
from wherewhen.runtime.weights import Weights

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ShuffleNetConfig(NetworkConfig):
    """Settings of `ShuffleNet`.

    Args:
        weights: name of published weights, path of a file in the same format, or "random" (seeded noise).
        stride: a new clip every so many frames.
        rate: frames per second after resampling by timestamps; null keeps the source's.
        frames: frames per clip.
        sampling: of so many frames the middle one is used.
        size: height and width in px that the whole scene is squeezed into.
        layer: stage2, stage3 or stage4 has a cell every 8, 16 or 32 px; pooled is the mean of stage4.
    """

    weights: str = "shufflenet_fastestdet"
    stride: int = 8
    rate: float | None = 12.5
    frames: int = 8
    sampling: int = 4
    size: tuple[int, int] = (224, 320)
    layer: Literal["stage2", "stage3", "stage4", "pooled"] = "stage3"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.sampling <= self.frames:
            raise ConfigError(f"shufflenet: expected 1 <= sampling <= frames; got {self.sampling} and {self.frames}")
        if min(self.size) < 32:
            raise ConfigError(f"shufflenet: size is height and width in px, at least 32; got {self.size}")


class ShuffleNet(Network):
    """ShuffleNetV2 of half width: uint8 ``(B, T, H, W, 3)`` -> float32 ``(B, frames / sampling, h, w, D)``.

    D is 48, 96 or 192 for stage2, stage3 or stage4. It processes single pictures, no motion.
    The weights were trained on BGR pictures in [0, 1], by the mean response of their first layer.

    Ma, Zhang, Zheng, Sun, ShuffleNet V2, ECCV 2018.

    >>> import numpy as np
    >>> ShuffleNet(ShuffleNetConfig(weights="random"))(np.zeros((1, 8, 48, 64, 3), np.uint8)).shape
    (1, 2, 14, 20, 96)
    """

    Config: ClassVar[type] = ShuffleNetConfig
    source: ClassVar[Provenance] = Provenance(
        title="ShuffleNetV2 x0.5, backbone of FastestDet",
        homepage="https://github.com/dog-qiuqiu/FastestDet",
        licence="BSD-3-Clause",
        citation="Ma et al., ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design, ECCV 2018",
    )
    weights: ClassVar[tuple[Weights, ...]] = (
        Weights(
            name="shufflenet_fastestdet",
            address="https://raw.githubusercontent.com/dog-qiuqiu/FastestDet/main/module/shufflenetv2.pth",
            licence="BSD-3-Clause",
            trained_on="ImageNet-1k",
            sha256="c9e6e3ac1c4997e05529cfb4897a3b5d29165e3ed4105cfb6897fc11efa72e4b",
            homepage="https://github.com/dog-qiuqiu/FastestDet",
        ),
    )

    @classmethod
    def spec(cls, config: ShuffleNetConfig) -> ClipSpec:
        """The clips of the network's input."""
        return ClipSpec(config.frames, config.stride, config.rate, size=config.size, tail=config.tail)

    @classmethod
    def build(cls, config: ShuffleNetConfig) -> torch.nn.Module:
        """The module with random weights."""
        from wherewhen.backbones._shufflenet import ShuffleNetV2

        return ShuffleNetV2(config.frames, config.sampling, config.layer)


PLUGIN = ShuffleNet

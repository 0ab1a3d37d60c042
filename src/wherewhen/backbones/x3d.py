"""X3D: small networks of depthwise convolutions for slow machines, trained on Kinetics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from wherewhen.core.contracts import ClipSpec, Provenance
from wherewhen.core.errors import ConfigError
from wherewhen.runtime.network import Network, NetworkConfig
from wherewhen.runtime.weights import Weights

if TYPE_CHECKING:
    import torch

VARIANTS = {"s": (13, 160, 6), "m": (16, 224, 5)}
"""Number of used frames, height and width in px, and sampling."""
_ZOO = "https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo/kinetics"
_HOME = "https://github.com/facebookresearch/pytorchvideo"


@dataclass(frozen=True)
class X3DConfig(NetworkConfig):
    """Settings of `X3D`.

    Args:
        weights: name of published weights, path of a file in the same format, or "random" (seeded noise).
        stride: a new clip every so many frames; 78 is a whole clip of variant s, 80 of m.
        rate: frames per second after resampling by timestamps; null keeps the source's.
        tail: frames left over at the end make a last clip that reaches back, or are dropped.
        variant: s uses 13 frames of 160 x 160 px, m 16 frames of 224 x 224.
        sampling: of so many frames the middle one is used; null is what the variant was trained with, 6 or 5.
        layer: stem or a stage's map; pooled is the vector before the classifier.
    """

    weights: str = "x3d_s_kinetics400"
    stride: int = 78
    variant: Literal["s", "m"] = "s"
    sampling: int | None = None
    layer: Literal["stem", "res2", "res3", "res4", "res5", "pooled", "logits"] = "res4"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sampling is not None and self.sampling < 1:
            raise ConfigError(f"x3d: expected sampling >= 1 or null; got {self.sampling}")
        others = {f"x3d_{other}_kinetics400" for other in VARIANTS if other != self.variant}
        if self.weights in others:
            fitting = f"x3d_{self.variant}_kinetics400"
            raise ConfigError(f"x3d: the weights {self.weights} are not of variant {self.variant}; use {fitting}")


class X3D(Network):
    """X3D-S or X3D-M: uint8 ``(B, T, H, W, 3)`` -> float32 ``(B, t, h, w, D)``; the whole scene is squeezed.

    ============= ============= ============= =====
    layer         grid of s     grid of m     D
    ============= ============= ============= =====
    stem          13 x 80 x 80  16 x 112 x 112  24
    res2          13 x 40 x 40  16 x 56 x 56  24
    res3          13 x 20 x 20  16 x 28 x 28  48
    res4          13 x 10 x 10  16 x 14 x 14  96
    res5          13 x 5 x 5    16 x 7 x 7    192
    pooled        1 x 1 x 1     1 x 1 x 1     2048
    logits        1 x 1 x 1     1 x 1 x 1     400
    ============= ============= ============= =====

    A clip covers ``sampling`` frames of the source per step, T = 78 for s; the module itself picks the middle one,
    so that a step of the map keeps its time and motion is still measured in every frame. It was trained at 30
    frames per second: ``rate: 5, sampling: 1`` (6 for m) covers as much of a source of any rate and reads fewer frames.

    Feichtenhofer, X3D: Expanding Architectures for Efficient Video Recognition, CVPR 2020.

    >>> import numpy as np
    >>> X3D(X3DConfig(weights="random", layer="stem"))(np.zeros((1, 78, 48, 64, 3), np.uint8)).shape
    (1, 13, 80, 80, 24)
    """

    Config: ClassVar[type] = X3DConfig
    source: ClassVar[Provenance] = Provenance(
        title="X3D",
        homepage=_HOME,
        licence="Apache-2.0",
        citation="Feichtenhofer, X3D: Expanding Architectures for Efficient Video Recognition, CVPR 2020",
    )
    weights: ClassVar[tuple[Weights, ...]] = tuple(
        Weights(
            name=f"x3d_{variant}_kinetics400",
            address=f"{_ZOO}/X3D_{variant.upper()}.pyth",
            licence="Apache-2.0",
            trained_on="Kinetics-400",
            homepage=_HOME,
        )
        for variant in VARIANTS
    )

    @classmethod
    def spec(cls, config: X3DConfig) -> ClipSpec:
        """The clips of the network's input."""
        frames, size, sampling = VARIANTS[config.variant]
        whole = frames * (config.sampling or sampling)
        return ClipSpec(whole, config.stride, config.rate, size=(size, size), tail=config.tail)

    @classmethod
    def build(cls, config: X3DConfig) -> torch.nn.Module:
        """The module with random weights."""
        from wherewhen.backbones._published import seeded
        from wherewhen.backbones._x3d import X3DNetwork

        frames, size, sampling = VARIANTS[config.variant]
        return seeded(X3DNetwork(frames, size, config.sampling or sampling, config.layer))

    def renamed(self, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """A whole checkpoint's tensors up to the layer."""
        from wherewhen.backbones._published import trimmed
        from wherewhen.backbones._x3d import X3DNetwork
        from wherewhen.runtime.shapes import shapes_only

        with shapes_only():
            whole = X3DNetwork(13, 160, 1, "logits")
        return trimmed(tensors, self.module, whole)


PLUGIN = X3D

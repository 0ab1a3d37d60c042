"""C3D: 3 x 3 x 3 convolutions, trained on Sports-1M; its fc6 is the feature of Sultani et al., CVPR 2018."""

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
    "conv1", "pool1", "conv2", "pool2", "conv3a", "conv3b", "pool3", "conv4a", "conv4b", "pool4",
    "conv5a", "conv5b", "pool5", "fc6", "fc7", "logits",
]  # fmt: skip
VECTORS = ("fc6", "fc7", "logits")
FRAMES, SIZE = 16, 112
OFFICIAL = (128, 171)  # height and width of the pictures whose middle is cropped


@dataclass(frozen=True)
class C3DConfig(NetworkConfig):
    """Settings of `C3D`.

    Args:
        weights: name of published weights, path of a file in the same format, or "random" (seeded noise).
        stride: a new clip every so many frames.
        rate: frames per second after resampling by timestamps; null keeps the source's.
        tail: frames left over at the end make a last clip that reaches back, or are dropped.
        layer: features after the ReLU; fc6, fc7 and logits are one vector per clip, the others maps.
        view: whole squeezes the scene to 112 x 112; center shrinks it to 128 x 171 and uses the middle, as published.
    """

    weights: str = "c3d_sports1m"
    layer: Layer = "fc6"
    view: Literal["whole", "center"] = "whole"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.view == "center" and self.layer not in VECTORS:
            raise ConfigError(
                f"c3d: view=center has no cells for layer {self.layer}; use view=whole, or one of {', '.join(VECTORS)}"
            )


class C3D(Network):
    """C3D: uint8 ``(B, 16, H, W, 3)`` -> float32 ``(B, t, h, w, D)``.

    ================== ============= ==========
    layer              grid          D
    ================== ============= ==========
    conv1, pool1       16 x 112, 56  64
    conv2, pool2       16, 8 x 56, 28  128
    conv3b, pool3      8, 4 x 28, 14   256
    conv4b, pool4      4, 2 x 14, 7    512
    conv5b, pool5      2, 1 x 7, 4     512
    fc6, fc7, logits   1 x 1         4096, 4096, 487
    ================== ============= ==========

    The input is BGR pixels less their mean, not scaled. The official mean is a volume, a number per frame and pixel of
    128 x 171 pictures; here it is one number per channel, for any view. Official features are of the middle of the
    picture (``view: center``); the whole scene is the default, because truth includes its edge.

    Tran, Bourdev, Fergus, Torresani and Paluri, Learning Spatiotemporal Features with 3D Convolutional Networks,
    ICCV 2015.

    >>> import numpy as np
    >>> C3D(C3DConfig(weights="random", layer="pool1"))(np.zeros((1, 16, 48, 64, 3), np.uint8)).shape
    (1, 16, 56, 56, 64)
    """

    Config: ClassVar[type] = C3DConfig
    source: ClassVar[Provenance] = Provenance(
        title="C3D",
        homepage="https://github.com/DavideA/c3d-pytorch",
        licence="MIT",
        citation="Tran et al., Learning Spatiotemporal Features with 3D Convolutional Networks, ICCV 2015",
    )
    weights: ClassVar[tuple[Weights, ...]] = (
        Weights(
            name="c3d_sports1m",
            address="http://imagelab.ing.unimore.it/files/c3d_pytorch/c3d.pickle",
            licence="MIT",
            trained_on="Sports-1M",
            homepage="https://github.com/DavideA/c3d-pytorch",
        ),
    )

    @classmethod
    def spec(cls, config: C3DConfig) -> ClipSpec:
        """The clips of the network's input."""
        size = OFFICIAL if config.view == "center" else (SIZE, SIZE)
        return ClipSpec(FRAMES, config.stride, config.rate, size=size, tail=config.tail)

    @classmethod
    def build(cls, config: C3DConfig) -> torch.nn.Module:
        """The module with random weights."""
        from wherewhen.backbones._c3d import C3DNetwork
        from wherewhen.backbones._published import seeded

        return seeded(C3DNetwork(config.layer, SIZE if config.view == "center" else None))

    def renamed(self, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """A whole checkpoint's tensors up to the layer."""
        from wherewhen.backbones._c3d import C3DNetwork
        from wherewhen.backbones._published import trimmed
        from wherewhen.runtime.shapes import shapes_only

        with shapes_only():
            whole = C3DNetwork("logits")
        return trimmed(tensors, self.module, whole)


PLUGIN = C3D

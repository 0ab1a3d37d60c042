"""The network of C3D up to any of its layers, under the names of the published checkpoint."""

from __future__ import annotations

import torch
from torch import Tensor, nn

OFFICIAL = (128, 171)  # height and width of the pictures whose middle is cropped
MEAN = (90.0, 98.0, 102.0)  # blue, green, red: the official mean volume, averaged over time and place and rounded
CLASSES = 487
CONVOLUTIONS = {
    "conv1": (3, 64), "conv2": (64, 128), "conv3a": (128, 256), "conv3b": (256, 256), "conv4a": (256, 512),
    "conv4b": (512, 512), "conv5a": (512, 512), "conv5b": (512, 512),
}  # fmt: skip
LINEARS = {"fc6": (8192, 4096), "fc7": (4096, 4096), "fc8": (4096, CLASSES)}
LAYERS = (
    "conv1", "pool1", "conv2", "pool2", "conv3a", "conv3b", "pool3", "conv4a", "conv4b", "pool4", "conv5a", "conv5b",
    "pool5", "fc6", "fc7", "logits",
)  # fmt: skip


class C3DNetwork(nn.Sequential):
    """Clips uint8 ``(B, 16, H, W, 3)`` to the features of ``layer`` ``(B, t, h, w, D)``; vectors are 1 x 1 x 1 maps.

    ``crop``: side in px of the central crop; None uses all.
    """

    mean: Tensor

    def __init__(self, layer: str, crop: int | None = None) -> None:
        super().__init__()
        self.crop = crop
        for name in LAYERS[: LAYERS.index(layer) + 1]:
            self._append(name)
        if "fc6" in self._modules:
            self.add_module("grid", nn.Unflatten(1, (-1, 1, 1, 1)))
        self.register_buffer("mean", torch.tensor(MEAN), persistent=False)

    def _append(self, name: str) -> None:
        """A layer and its ReLU, or a pool."""
        if name in CONVOLUTIONS:
            self.add_module(name, nn.Conv3d(*CONVOLUTIONS[name], kernel_size=3, padding=1))
            self.add_module(f"relu_{name}", nn.ReLU())
        elif name.startswith("pool"):
            depth = 1 if name == "pool1" else 2
            self.add_module(name, nn.MaxPool3d((depth, 2, 2), padding=(0, 1, 1) if name == "pool5" else 0))
        else:
            if name == "fc6":
                self.add_module("flat", nn.Flatten())
            official = "fc8" if name == "logits" else name
            self.add_module(official, nn.Linear(*LINEARS[official]))
            if official != "fc8":
                self.add_module(f"relu_{name}", nn.ReLU())

    def forward(self, clips: Tensor) -> Tensor:
        """Features of clips."""
        if self.crop:
            top, left = ((n - self.crop) // 2 for n in OFFICIAL)
            clips = clips[:, :, top : top + self.crop, left : left + self.crop]
        pixels = clips.flip(-1).float() - self.mean
        return self.normalized(pixels.permute(0, 4, 1, 2, 3)).permute(0, 2, 3, 4, 1)

    def normalized(self, pixels: Tensor) -> Tensor:
        """Features ``(B, D, t, h, w)`` of BGR pixels less their mean ``(B, 3, 16, 112, 112)``."""
        for part in self:
            pixels = part(pixels)
        return pixels

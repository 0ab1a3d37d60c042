"""ShuffleNetV2 x0.5 without its classifier, under the names of FastestDet's file of weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

STAGES = {"stage2": (48, 4), "stage3": (96, 8), "stage4": (192, 4)}  # width and number of blocks
STEM = 24


def _branch(width: int, stride: int) -> nn.Sequential:
    """1x1, 3x3 per channel, 1x1, all of one width."""
    return nn.Sequential(
        nn.Conv2d(width, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
        nn.Conv2d(width, width, 3, stride, 1, groups=width, bias=False), nn.BatchNorm2d(width),
        nn.Conv2d(width, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
    )  # fmt: skip


class Halving(nn.Module):
    """A block that halves the picture and doubles the channels: both branches have all of them as input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.branch_main = _branch(width, 2)
        self.branch_proj = nn.Sequential(
            nn.Conv2d(width, width, 3, 2, 1, groups=width, bias=False), nn.BatchNorm2d(width),
            nn.Conv2d(width, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, H, W)`` to ``(N, 2C, H/2, W/2)``."""
        return torch.cat([self.branch_proj(x), self.branch_main(x)], 1)


class Shuffling(nn.Module):
    """A block that changes every second channel and passes the others by."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.branch_main = _branch(width // 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, H, W)`` to the same shape."""
        return torch.cat([x[:, 0::2], self.branch_main(x[:, 1::2])], 1)


class ShuffleNetV2(nn.Module):
    """Clips uint8 ``(B, T, H, W, 3)`` to ``(B, t, h, w, D)``: every ``sampling``-th frame at ``layer``."""

    def __init__(self, frames: int, sampling: int, layer: str) -> None:
        super().__init__()
        self.layer = layer
        self.first, self.sampling = (sampling - 1) // 2, sampling
        self.steps = len(range(self.first, frames, sampling))
        self.first_conv = nn.Sequential(nn.Conv2d(3, STEM, 3, 2, 1, bias=False), nn.BatchNorm2d(STEM), nn.ReLU())
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        for name, (width, count) in STAGES.items():
            self.add_module(name, nn.Sequential(Halving(width // 2), *(Shuffling(width) for _ in range(count - 1))))

    def forward(self, clips: Tensor) -> Tensor:
        """Features of clips."""
        pixels = clips[:, self.first :: self.sampling].flatten(0, 1).permute(0, 3, 1, 2)
        maps = self.features(pixels.flip(1).float() / 255)
        if self.layer == "pooled":
            maps = maps.mean((2, 3), keepdim=True)
        maps = maps.permute(0, 2, 3, 1)
        return torch.unflatten(maps, 0, (-1, self.steps))

    def features(self, x: Tensor) -> Tensor:
        """The map of ``layer`` ``(N, D, h, w)`` of BGR pictures ``(N, 3, H, W)`` in [0, 1]."""
        x = self.maxpool(self.first_conv(x))
        for name in STAGES:
            x = getattr(self, name)(x)
            if name == self.layer:
                break
        return x

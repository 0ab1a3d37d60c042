"""The inception network of I3D up to any of its end points, under the names of the published checkpoint."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

Size = tuple[int, int, int]

CLASSES = 400
END_POINTS = {
    "conv3d_1a": ("Conv3d_1a_7x7", (64, (7, 7, 7), (2, 2, 2))),
    "maxpool3d_2a": ("MaxPool3d_2a_3x3", ((1, 3, 3), (1, 2, 2))),
    "conv3d_2b": ("Conv3d_2b_1x1", (64, (1, 1, 1), (1, 1, 1))),
    "conv3d_2c": ("Conv3d_2c_3x3", (192, (3, 3, 3), (1, 1, 1))),
    "maxpool3d_3a": ("MaxPool3d_3a_3x3", ((1, 3, 3), (1, 2, 2))),
    "mixed_3b": ("Mixed_3b", (64, 96, 128, 16, 32, 32)),
    "mixed_3c": ("Mixed_3c", (128, 128, 192, 32, 96, 64)),
    "maxpool3d_4a": ("MaxPool3d_4a_3x3", ((3, 3, 3), (2, 2, 2))),
    "mixed_4b": ("Mixed_4b", (192, 96, 208, 16, 48, 64)),
    "mixed_4c": ("Mixed_4c", (160, 112, 224, 24, 64, 64)),
    "mixed_4d": ("Mixed_4d", (128, 128, 256, 24, 64, 64)),
    "mixed_4e": ("Mixed_4e", (112, 144, 288, 32, 64, 64)),
    "mixed_4f": ("Mixed_4f", (256, 160, 320, 32, 128, 128)),
    "maxpool3d_5a": ("MaxPool3d_5a_2x2", ((2, 2, 2), (2, 2, 2))),
    "mixed_5b": ("Mixed_5b", (256, 160, 320, 32, 128, 128)),
    "mixed_5c": ("Mixed_5c", (384, 192, 384, 48, 128, 128)),
    "pooled": ("avg_pool", ()),
    "logits": ("logits", ()),
}
"""By our name: the checkpoint's name, and channels, kernel and stride, kernel and stride, or a block's six widths."""


def same(size: Size, kernel: Size, stride: Size) -> list[tuple[int, int]]:
    """Zeros before and after each axis, by TensorFlow's rule that ``ceil(size / stride)`` steps come out.

    >>> same((16, 224, 7), (7, 7, 3), (2, 2, 2))
    [(2, 3), (2, 3), (1, 1)]
    """
    missing = [max(k - (n % s or s), 0) for n, k, s in zip(size, kernel, stride, strict=True)]
    return [(total // 2, total - total // 2) for total in missing]


def unit(channels: int, width: int, size: Size, kernel: Size = (1, 1, 1), stride: Size = (1, 1, 1)) -> nn.Sequential:
    """Convolution with "same" padding, batch norm, ReLU; the padding is fixed by the size of its input."""
    sides = same(size, kernel, stride)
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    even = all(before == after for before, after in sides)
    if not even:
        parts["pad"] = nn.ConstantPad3d(tuple(n for side in reversed(sides) for n in side), 0.0)  # type: ignore[arg-type]
    depth, height, wide = (before if even else 0 for before, _ in sides)
    parts["conv3d"] = nn.Conv3d(channels, width, kernel, stride, (depth, height, wide), bias=False)
    parts["bn"] = nn.BatchNorm3d(width, eps=1e-3, momentum=0.01)
    parts["relu"] = nn.ReLU()
    return nn.Sequential(parts)


def pool(size: Size, kernel: Size, stride: Size) -> nn.MaxPool3d:
    """Maxima with "same" padding.

    The input is rectified, so padding by minus infinity gives the same maxima as by zeros; and a last window beyond the
    edge (``ceil_mode``) equals one more zero behind than before.
    """
    padding = tuple(before for before, _ in same(size, kernel, stride))
    return nn.MaxPool3d(kernel, stride, padding, ceil_mode=True)


class Mixed(nn.Module):
    """An inception block: four branches side by side."""

    def __init__(self, channels: int, widths: tuple[int, ...], size: Size) -> None:
        super().__init__()
        b0, b1a, b1b, b2a, b2b, b3b = widths
        self.b0 = unit(channels, b0, size)
        self.b1a = unit(channels, b1a, size)
        self.b1b = unit(b1a, b1b, size, (3, 3, 3))
        self.b2a = unit(channels, b2a, size)
        self.b2b = unit(b2a, b2b, size, (3, 3, 3))
        self.b3a = pool(size, (3, 3, 3), (1, 1, 1))
        self.b3b = unit(channels, b3b, size)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, T, H, W)`` to ``(B, D, T, H, W)``."""
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x))], 1)


class InceptionI3D(nn.Sequential):
    """Clips uint8 ``(B, T, H, W, 3)`` of one ``size`` ``(T, H, W)`` to the map of ``layer`` ``(B, t, h, w, D)``."""

    def __init__(self, size: Size, layer: str) -> None:
        super().__init__()
        channels = 3
        for name, (official, numbers) in END_POINTS.items():
            part, channels, size = _end_point(name, numbers, channels, size)
            self.add_module(official, part)
            if name == layer:
                break

    def forward(self, clips: Tensor) -> Tensor:
        """Features of clips."""
        pixels = clips.permute(0, 4, 1, 2, 3).float() * (2 / 255) - 1
        return self.normalized(pixels).permute(0, 2, 3, 4, 1)

    def normalized(self, pixels: Tensor) -> Tensor:
        """The map ``(B, D, t, h, w)`` of pixels ``(B, 3, T, H, W)`` in [-1, 1]."""
        for part in self:
            pixels = part(pixels)
        return pixels


def _end_point(name: str, numbers: tuple, channels: int, size: Size) -> tuple[nn.Module, int, Size]:  # type: ignore[type-arg]
    """A part, and the channels and size of its output."""
    kind = name.split("_")[0]
    if kind == "mixed":
        b0, _, b1b, _, b2b, b3b = numbers
        return Mixed(channels, numbers, size), b0 + b1b + b2b + b3b, size
    if kind == "pooled":
        return nn.AvgPool3d((2, 7, 7), stride=1), channels, size
    if kind == "logits":
        return nn.Sequential(OrderedDict(conv3d=nn.Conv3d(channels, CLASSES, 1))), CLASSES, size
    *width, kernel, stride = numbers
    after = tuple(-(-n // s) for n, s in zip(size, stride, strict=True))
    if kind == "maxpool3d":
        return pool(size, kernel, stride), channels, after
    return unit(channels, width[0], size, kernel, stride), width[0], after

"""The network of X3D-S and X3D-M up to any of its stages, under the names of the published checkpoints."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

LAYERS = ("stem", "res2", "res3", "res4", "res5", "pooled", "logits")
STAGES = ((3, 24, 24), (5, 24, 48), (11, 48, 96), (7, 96, 192))  # blocks, channels that come, channels that go
HIDDEN, CLASSES = 2048, 400
STRIDE = 32  # px of the picture per cell of the last stage


def _conv(channels: int, width: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Conv3d:
    padding = kernel // 2
    return nn.Conv3d(channels, width, kernel, (1, stride, stride), padding, groups=groups, bias=False)


class Gate(nn.Module):
    """Squeeze and excitation: each channel times a weight in (0, 1) that the whole clip decides."""

    def __init__(self, width: int) -> None:
        super().__init__()
        narrow = max(8, int(width / 16 + 4) // 8 * 8)
        if narrow < 0.9 * width / 16:
            narrow += 8
        self.block = nn.Sequential(nn.Conv3d(width, narrow, 1), nn.ReLU(), nn.Conv3d(narrow, width, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, T, H, W)`` to the same shape."""
        share: Tensor = self.block(x.mean((2, 3, 4), keepdim=True))
        return x * share


def branch(channels: int, width: int, stride: int, gated: bool) -> nn.Sequential:
    """1x1x1 wider, 3x3x3 per channel, gate, Swish, 1x1x1 back."""
    inner = int(2.25 * width)
    gate = Gate(inner) if gated else nn.Identity()
    return nn.Sequential(OrderedDict(
        conv_a=_conv(channels, inner), norm_a=nn.BatchNorm3d(inner), act_a=nn.ReLU(),
        conv_b=_conv(inner, inner, 3, stride, inner), norm_b=nn.Sequential(nn.BatchNorm3d(inner), gate),
        act_b=nn.SiLU(),
        conv_c=_conv(inner, width), norm_c=nn.BatchNorm3d(width),
    ))  # fmt: skip


class Block(nn.Module):
    """A residual block; where it halves the map, its shortcut is a convolution."""

    def __init__(self, channels: int, width: int, stride: int, gated: bool) -> None:
        super().__init__()
        self.branch1_conv = _conv(channels, width, 1, stride) if stride > 1 else nn.Identity()
        self.branch1_norm = nn.BatchNorm3d(width) if channels != width else nn.Identity()
        self.branch2 = branch(channels, width, stride, gated)
        self.activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, T, H, W)`` to ``(B, D, T, H / stride, W / stride)``."""
        return self.activation(self.branch1_norm(self.branch1_conv(x)) + self.branch2(x))  # type: ignore[no-any-return]


def stem() -> nn.Sequential:
    """Over the picture, then over time; the checkpoint calls them the other way round."""
    width = STAGES[0][1]
    conv_t = nn.Conv3d(3, width, (1, 3, 3), (1, 2, 2), (0, 1, 1), bias=False)
    conv_xy = nn.Conv3d(width, width, (5, 1, 1), padding=(2, 0, 0), groups=width, bias=False)
    conv = nn.Sequential(OrderedDict(conv_t=conv_t, conv_xy=conv_xy))
    return nn.Sequential(OrderedDict(conv=conv, norm=nn.BatchNorm3d(width), activation=nn.ReLU()))


def stage(count: int, channels: int, width: int) -> nn.Sequential:
    """Blocks, every second of them gated; the first halves the map."""
    blocks = [Block(width if k else channels, width, 1 if k else 2, k % 2 == 0) for k in range(count)]
    return nn.Sequential(OrderedDict(res_blocks=nn.Sequential(*blocks)))


class Head(nn.Module):
    """Mean over a window as large as the map of the size that the network was made for, and a linear classifier."""

    def __init__(self, window: tuple[int, int, int], classifies: bool) -> None:
        super().__init__()
        width = STAGES[-1][2]
        inner = int(2.25 * width)
        self.pool = nn.Sequential(OrderedDict(
            pre_conv=_conv(width, inner), pre_norm=nn.BatchNorm3d(inner), pre_act=nn.ReLU(),
            pool=nn.AvgPool3d(window, stride=1), post_conv=_conv(inner, HIDDEN), post_act=nn.ReLU(),
        ))  # fmt: skip
        self.proj = nn.Linear(HIDDEN, CLASSES) if classifies else None

    def forward(self, x: Tensor) -> Tensor:
        """``(B, 192, T, H, W)`` to ``(B, 2048, t, h, w)``, or to ``(B, 400, 1, 1, 1)`` where it classifies."""
        pooled: Tensor = self.pool(x)
        if self.proj is None:
            return pooled
        classes: Tensor = self.proj(pooled.permute(0, 2, 3, 4, 1))
        return classes.mean((1, 2, 3), keepdim=True).permute(0, 4, 1, 2, 3)


class X3DNetwork(nn.Module):
    """Clips uint8 ``(B, T, H, W, 3)`` to the map of ``layer`` ``(B, t, h, w, D)``; every ``sampling``-th frame is used.

    ``frames`` and ``size``: number of used frames and their side in px, over which pooled and logits average.
    """

    def __init__(self, frames: int, size: int, sampling: int, layer: str) -> None:
        super().__init__()
        self.first, self.sampling = (sampling - 1) // 2, sampling
        cells = -(-size // STRIDE)
        depth = LAYERS.index(layer)
        blocks = [stem(), *(stage(*numbers) for numbers in STAGES[:depth])]
        if depth > len(STAGES):
            blocks.append(Head((frames, cells, cells), layer == "logits"))  # type: ignore[arg-type]
        self.blocks = nn.Sequential(*blocks)

    def forward(self, clips: Tensor) -> Tensor:
        """Features of clips."""
        pixels = clips[:, self.first :: self.sampling].permute(0, 4, 1, 2, 3).float()
        return self.normalized(pixels / (255 * 0.225) - 0.45 / 0.225).permute(0, 2, 3, 4, 1)

    def normalized(self, pixels: Tensor) -> Tensor:
        """The map ``(B, D, t, h, w)`` of RGB pixels ``(B, 3, T, H, W)`` of mean 0.45 and deviation 0.225 taken out."""
        return self.blocks(pixels)  # type: ignore[no-any-return]

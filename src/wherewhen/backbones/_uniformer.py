"""UniFormer for video: convolution blocks, then attention over all places and times, under the official names."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTHS, DEPTHS = (64, 128, 320, 512), (5, 8, 20, 7)
HEAD = 64  # channels of one attention head
MEAN, STD = 0.45, 0.225


class Patches(nn.Module):
    """Patches to vectors, normalized: a convolution as coarse as its kernel; the first one also halves the time."""

    def __init__(self, inside: int, width: int, kernel: tuple[int, int, int]) -> None:
        super().__init__()
        stride, padding = (min(kernel[0], 2), *kernel[1:]), (kernel[0] // 2, 0, 0)
        self.norm = nn.LayerNorm(width)
        self.proj = nn.Conv3d(inside, width, kernel, stride, padding)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, T, H, W)`` to the coarser ``(B, D, t, h, w)``."""
        patches: Tensor = self.norm(self.proj(x).permute(0, 2, 3, 4, 1))
        return patches.permute(0, 4, 1, 2, 3)


class ConvMlp(nn.Module):
    """Two layers at each place."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Conv3d(width, 4 * width, 1), nn.Conv3d(4 * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, T, H, W)`` to the same shape."""
        values: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return values


class ConvBlock(nn.Module):
    """A block of local convolutions: 5x5x5 per channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.pos_embed = nn.Conv3d(width, width, 3, 1, 1, groups=width)
        self.norm1, self.norm2 = nn.BatchNorm3d(width), nn.BatchNorm3d(width)
        self.conv1, self.conv2 = nn.Conv3d(width, width, 1), nn.Conv3d(width, width, 1)
        self.attn = nn.Conv3d(width, width, 5, 1, 2, groups=width)
        self.mlp = ConvMlp(width)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, T, H, W)`` to the same shape."""
        x = x + self.pos_embed(x)
        x = x + self.conv2(self.attn(self.conv1(self.norm1(x))))
        values: Tensor = x + self.mlp(self.norm2(x))
        return values


class Mlp(nn.Module):
    """Two layers for each token."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, N, C)`` to the same shape."""
        values: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return values


class Attention(nn.Module):
    """Self-attention of all tokens."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.split = (3, width // HEAD, HEAD)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, N, C)`` to the same shape."""
        q, k, v = torch.unbind(torch.unflatten(self.qkv(x), -1, self.split).permute(2, 0, 3, 1, 4), 0)
        values: Tensor = self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return values


class AttentionBlock(nn.Module):
    """A block of attention over all places and times of the clip."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.pos_embed = nn.Conv3d(width, width, 3, 1, 1, groups=width)
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.attn, self.mlp = Attention(width), Mlp(width)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, T, H, W)`` to the same shape."""
        x = x + self.pos_embed(x)
        tokens = x.flatten(2).transpose(1, 2)
        tokens = tokens + self.attn(self.norm1(tokens))
        tokens = torch.add(tokens, self.mlp(self.norm2(tokens)))
        return tokens.transpose(1, 2).reshape(x.shape)


class UniFormer(nn.Module):
    """Clips uint8 ``(B, T, H, W, 3)`` to ``(B, t, h, w, D)``: every ``sampling``-th frame at ``layer``.

    ``steps``: time positions are averaged into so many; None keeps all.
    """

    def __init__(self, sampling: int, layer: str, steps: int | None, bgr: bool, classes: int = 400) -> None:
        super().__init__()
        self.first, self.sampling = (sampling - 1) // 2, sampling
        self.layer, self.steps, self.bgr = layer, steps, bgr
        kernels = ((3, 4, 4), *[(1, 2, 2)] * 3)
        for stage, (inside, width) in enumerate(zip((3, *WIDTHS), WIDTHS, strict=False), 1):
            block = ConvBlock if stage <= 2 else AttentionBlock
            self.add_module(f"patch_embed{stage}", Patches(inside, width, kernels[stage - 1]))
            self.add_module(f"blocks{stage}", nn.ModuleList(block(width) for _ in range(DEPTHS[stage - 1])))
        self.norm = nn.BatchNorm3d(WIDTHS[-1])
        self.head = nn.Linear(WIDTHS[-1], classes)

    def forward(self, clips: Tensor) -> Tensor:
        """Features of clips."""
        x = clips[:, self.first :: self.sampling].permute(0, 4, 1, 2, 3).float()
        maps = self.features(((x.flip(1) if self.bgr else x) / 255 - MEAN) / STD)
        if self.steps is not None and self.layer not in ("pooled", "logits"):
            maps = torch.unflatten(maps, 2, (self.steps, -1)).mean(3)
        return maps.permute(0, 2, 3, 4, 1)

    def features(self, x: Tensor) -> Tensor:
        """The map of ``layer`` ``(B, D, t, h, w)`` of normalized clips ``(B, 3, T, H, W)``."""
        for stage in (1, 2, 3, 4):
            x = getattr(self, f"patch_embed{stage}")(x)
            if self.layer == f"patch_embed{stage}":
                return x
            for block in getattr(self, f"blocks{stage}"):
                x = block(x)
            if self.layer == (f"stage{stage}" if stage < 4 else "stage4_before_norm"):
                return x
        x = self.norm(x)
        if self.layer == "stage4":
            return x
        x = x.mean((2, 3, 4), keepdim=True)
        if self.layer == "logits":
            x = self.head(x.permute(0, 2, 3, 4, 1)).permute(0, 4, 1, 2, 3)
        return x

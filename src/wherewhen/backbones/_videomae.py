"""VideoMAE's encoder over clips."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wherewhen.backbones._transformers import transformers

FRAMES, GRID = 16, (8, 14, 14)  # frames, and patches of 2 x 16 x 16 in them
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Tubelets(nn.Module):
    """Clips uint8 ``(B, T, 224, 224, 3)`` to ``(B, t, h, w, 768)``: every ``sampling``-th frame after ``block`` blocks.

    ``steps``: time positions are averaged into so many; None keeps all eight. ``pooled``: one normalized mean.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, sampling: int, block: int, pooled: bool, steps: int | None) -> None:
        super().__init__()
        library = transformers("videomae")
        self.videomae = library.VideoMAEModel(library.VideoMAEConfig(num_hidden_layers=block))
        if pooled:
            self.fc_norm = nn.LayerNorm(768)
        self.first, self.sampling, self.pooled, self.steps = (sampling - 1) // 2, sampling, pooled, steps
        for name, values in (("mean", MEAN), ("std", STD)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    def forward(self, clips: Tensor) -> Tensor:
        """Features of clips."""
        pixels = clips[:, self.first :: self.sampling].permute(0, 1, 4, 2, 3)
        tokens: Tensor = self.videomae((pixels.float() / 255 - self.mean) / self.std).last_hidden_state
        if self.pooled:
            mean: Tensor = self.fc_norm(tokens.mean(1))
            return mean[:, None, None, None]
        grid = torch.unflatten(tokens, 1, GRID)
        return grid if self.steps is None else torch.unflatten(grid, 1, (self.steps, -1)).mean(2)

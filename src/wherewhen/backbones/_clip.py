"""CLIP's image encoder for the frames of clips."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wherewhen.backbones._transformers import transformers

SIDE = 224
PATCH = {"b16": 16, "b32": 32}
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


class Pictures(nn.Module):
    """Clips uint8 ``(B, T, 224, 224, 3)`` to ``(B, t, h, w, D)``: every ``sampling``-th frame at ``layer``."""

    mean: Tensor
    std: Tensor

    def __init__(self, variant: str, frames: int, sampling: int, layer: str) -> None:
        super().__init__()
        library = transformers("clip")
        tower = library.CLIPVisionModelWithProjection(library.CLIPVisionConfig(patch_size=PATCH[variant]))
        self.vision_model, self.visual_projection = tower.vision_model, tower.visual_projection
        self.layer, self.cells = layer, SIDE // PATCH[variant]
        self.first, self.sampling = (sampling - 1) // 2, sampling
        self.steps = len(range(self.first, frames, sampling))
        for name, values in (("mean", MEAN), ("std", STD)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    def forward(self, clips: Tensor) -> Tensor:
        """Features of clips."""
        pixels = clips[:, self.first :: self.sampling].flatten(0, 1).permute(0, 3, 1, 2)
        features = self.features((pixels.float() / 255 - self.mean) / self.std)
        return torch.unflatten(features, 0, (-1, self.steps))

    def features(self, x: Tensor) -> Tensor:
        """The grid of ``layer`` ``(N, h, w, D)`` of normalized pictures ``(N, 3, 224, 224)``."""
        early = self.layer in ("tokens", "patches_penultimate")
        outputs = self.vision_model(pixel_values=x, output_hidden_states=early)
        embedded: Tensor = self.visual_projection(outputs.pooler_output)[:, None, None]
        if self.layer == "embedding":
            return embedded
        tokens: Tensor = (outputs.hidden_states[-2] if early else outputs.last_hidden_state)[:, 1:]
        if self.layer != "tokens":
            tokens = self.visual_projection(self.vision_model.post_layernorm(tokens))
        cells: Tensor = torch.unflatten(tokens, 1, (self.cells, self.cells))
        if self.layer == "patches_embedding":
            cells = torch.cat([cells, embedded.expand(-1, self.cells, self.cells, -1)], -1)
        return cells

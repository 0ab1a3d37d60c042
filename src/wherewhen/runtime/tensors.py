"""Conversion between clips and module inputs, and between outputs and features."""

from __future__ import annotations

from collections.abc import Callable

import torch

from wherewhen.core.values import Features, Pixels


def shaped(clips: Pixels, batch: int) -> Pixels:
    """Clips repeated or cut to a batch."""
    return clips[[k % len(clips) for k in range(batch)]]


def called(module: Callable[..., torch.Tensor], clips: Pixels, device: str) -> Features:
    """The output of a module for pixels, as a float32 array."""
    exact = torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False)  # fp32 is fp32
    with torch.inference_mode(), exact:
        outputs = module(torch.from_numpy(clips).to(device))
        features: Features = outputs.float().cpu().contiguous().numpy()
    return features

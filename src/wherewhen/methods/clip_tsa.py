"""CLIP-TSA (Joo et al., ICIP 2023): hard attention drops uninformative instances, RTFM's network scores the rest."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from wherewhen.core.contracts import Checkpoint, MethodAbilities, Provenance, Training
from wherewhen.core.errors import ConfigError
from wherewhen.methods._bags import counters_dropped
from wherewhen.methods._grid import width
from wherewhen.methods._magnitude import OFFICIAL, Magnitude, MagnitudeConfig
from wherewhen.methods._published import CLIP, SEQUENCE, ten_crops
from wherewhen.methods._recorded import recorded, unrecordable
from wherewhen.methods._sequences import Sequences, renamed
from wherewhen.methods._settings import demand

VIEW = "cells"
LONGEST = 512  # features longer than CLIP's are brought to this length first, in the official code


@dataclass(frozen=True)
class CLIPTSAConfig(MagnitudeConfig):
    """Settings of `CLIPTSA`; `PUBLISHED` holds the paper's.

    Args:
        width: channels of each branch in time; null: 128, a quarter of CLIP's 512, less where features are short.
        dropout: after the network in time and in the head, and share of instances excluded in training from the choice
            of the longest; .7 in the paper.
        segments: longer training bags are averaged into this many spans of time, 32 in the paper; null keeps all.
        top: share of a bag's instances, those of the longest features, whose mean represents it, but at least 3; 3 of
            32 in the paper.
        margin: length that features of anomalous bags should reach, 100 in the paper; counted as in RTFM.
        magnitude: weight of the lengths, 1e-4 in the paper, too much for few videos.
        sparsity: weight of the root of the sum of squared scores of an anomalous bag, 8e-3 in the paper.
        smoothness: weight of squared changes in time of anomalous bags, 8e-4 in the paper.
        compat: count the loss as RTFM's code does, and draw noise outside of training too, from one fixed seed.
        joint: bags hold crops of pictures, not cells: scores and lengths are means over crops before the choice, as in
            the authors' code.
        keep: share of a bag's instances that the attention keeps: .95 (UCF), .9 (XD), .01 (ShanghaiTech) in the paper.
        samples: draws of noise per training step of the attention, 100 in the paper.
        sigma: deviation of that noise, .05 in the paper.
        attention: whether instances are dropped.
    """

    keep: float = 0.95
    samples: int = 100
    sigma: float = 0.05
    attention: bool = True

    def __post_init__(self) -> None:
        demand("clip_tsa", self, positive="width segments samples", share="dropout top")
        demand("clip_tsa", self, weight="margin magnitude sparsity smoothness")
        if not 0 < self.keep <= 1:
            raise ConfigError(f"clip_tsa: keep must be in (0, 1], got {self.keep}")
        if not 0 < self.sigma < float("inf"):
            raise ConfigError(f"clip_tsa: sigma must be above 0, got {self.sigma}")


PUBLISHED = CLIPTSAConfig(width=128, dropout=0.7, top=0.0, magnitude=1e-4, compat=True)
"""As published for UCF-Crime: CLIP ViT features of length 512, one cell of the whole picture."""

PUBLISHED_TRAINING = Training(
    steps=4000, bags=16, optimizer="adam", learning_rate=1e-3, weight_decay=5e-3, validate_every=100
)


PUBLISHED_XD = replace(PUBLISHED, keep=0.9)
PUBLISHED_SHANGHAITECH = replace(PUBLISHED, keep=0.01)
PUBLISHED_SHANGHAITECH_TRAINING = replace(PUBLISHED_TRAINING, steps=35_000)


class PerturbedTopK(torch.autograd.Function):
    """How often each instance is kept when noise is added to the scores; its gradient is that of the expectation.

    Berthet et al., "Learning with differentiable perturbed optimizers", NeurIPS 2020.
    """

    @staticmethod
    def forward(ctx: Any, scores: Tensor, noise: Tensor, held: Tensor, keep: Tensor, sigma: float) -> Tensor:
        """Shares ``(B, M)`` for scores ``(B, M)``, noise ``(B, S, M)``, ``held`` and how many to ``keep`` ``(B,)``."""
        mask = chosen(scores[:, None] + sigma * noise, held, keep)
        ctx.save_for_backward(mask, noise)
        ctx.sigma = sigma
        return mask.to(scores.dtype).mean(1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None, None]:
        """Correlation of the noise with the gradient of its samples."""
        mask, noise = ctx.saved_tensors
        gain = torch.einsum("bsm,bm->bs", mask.to(noise.dtype), gradients[0])
        return torch.einsum("bs,bsm->bm", gain, noise) / (noise.shape[1] * ctx.sigma), None, None, None, None


def chosen(scores: Tensor, held: Tensor, keep: Tensor) -> Tensor:
    """Whether held instances are among the ``keep`` ``(B,)`` highest of each sample of scores ``(B, S, M)``.

    >>> chosen(torch.tensor([[[3.0, 1.0, 9.0, 2.0]]]), torch.tensor([[True, True, False, True]]), torch.tensor([2]))
    tensor([[[ True, False, False,  True]]])
    """
    drop = (held.sum(1) - keep).clamp(min=0)
    inside = held[:, None].expand(scores.shape)
    lowest = scores.masked_fill(~inside, torch.inf).topk(int(drop.max()), dim=2, largest=False).indices
    stays = torch.arange(lowest.shape[2], device=drop.device) >= drop[:, None, None]
    return inside.scatter(2, lowest, inside.gather(2, lowest) & stays)


def expected(scores: Tensor, held: Tensor, keep: Tensor, sigma: float) -> Tensor:
    """The limit of `PerturbedTopK` for many instances and draws: the chance to exceed the threshold that keeps enough.

    ``P(w_i + sigma z > bar)`` for scores ``w`` ``(B, M)``, the bar such that these sum to ``keep`` ``(B,)``.

    >>> expected(torch.tensor([[0.5, 0.5, 0.5]]), torch.ones(1, 3).bool(), torch.tensor([1]), 0.1)
    tensor([[0.3333, 0.3333, 0.3333]])
    """
    low = scores.amin(1, keepdim=True) - 9 * sigma
    high = scores.amax(1, keepdim=True) + 9 * sigma
    for _ in range(40):
        bar = (low + high) / 2
        more = (_below((scores - bar) / sigma) * held).sum(1, keepdim=True) > keep[:, None]
        low, high = torch.where(more, bar, low), torch.where(more, high, bar)
    shares = _below((scores - (low + high) / 2) / sigma)
    return torch.where(keep[:, None] < held.sum(1, keepdim=True), shares, torch.ones_like(shares)) * held


def _below(values: Tensor) -> Tensor:
    """The chance that a standard normal number is below each value."""
    return (1 + torch.erf(values / math.sqrt(2))) / 2 if recorded() else torch.special.ndtr(values)


class CLIPTSA(Magnitude):
    """RTFM on the instances of a bag that an attention keeps; those it drops become zeros.

    ``w = scorer(x)``, ``x_i <- x_i P(i is among the keep * n highest of w + sigma noise)``; outside of training the
    chance is computed, not drawn. View ``cells``: features ``(B, N, D)`` -> scores ``(B, N)``; ``extra`` as RTFM's.

    >>> from wherewhen.core.contracts import View
    >>> model = CLIPTSA(CLIPTSAConfig(), {"cells": 3}).eval()
    >>> view = View(torch.ones(1, 4, 3), torch.zeros(1, 4, 6), torch.zeros(1, 4), torch.ones(1, 4).bool(), ((1, 2, 2),))
    >>> model({"cells": view}).scores.shape
    torch.Size([1, 4])
    """

    Config: ClassVar[type] = CLIPTSAConfig
    views: ClassVar[tuple[str, ...]] = (VIEW,)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"cells": {"steps": 1, "rows": 7, "columns": 7}}
    abilities: ClassVar[MethodAbilities] = MethodAbilities(
        averages_time=True,
        joins_crops=True,
        reads_checkpoints=True,
        ablations={
            "nothing dropped": {"attention": False},
            "half dropped": {"keep": 0.5},
            "no lengths": {"magnitude": 0.0},
            "lengths as published": {"magnitude": 1e-4},
            "the three longest": {"top": 0.0},
            "neither sparse nor smooth": {"sparsity": 0.0, "smoothness": 0.0},
            "no segments": {"segments": None},
            "loss as published": {"compat": True},
        },
    )
    schedule: ClassVar[Training] = Training(
        steps=100, bags=30, optimizer="adam", learning_rate=2e-3, weight_decay=5e-3, validate_every=20
    )
    source: ClassVar[Provenance] = Provenance(
        title="CLIP-TSA", homepage="https://arxiv.org/abs/2212.05136", citation="arXiv 2212.05136"
    )
    reach: float | None = None
    config: CLIPTSAConfig

    def __init__(self, config: CLIPTSAConfig, dims: Mapping[str, int]) -> None:
        size = min(dims[VIEW], LONGEST)
        super().__init__(replace(config, width=config.width or width(128, size)), {VIEW: size})
        self.shorten = _two(dims[VIEW], 1024, size) if dims[VIEW] > LONGEST else nn.Identity()
        if config.attention:
            self.scorer = _two(size, width(256, size), 1)

    @staticmethod
    def checkpoint(tensors: Mapping[str, Tensor]) -> Checkpoint:
        """A state dict of the authors' code; longer features than 512 pass its ``mlp`` first."""
        width = tensors["fc1.weight"].shape[0]
        length = tensors["mlp.fc1.weight"].shape[1] if "mlp.fc1.weight" in tensors else LONGEST
        features = {**CLIP, **SEQUENCE} if length <= LONGEST else ten_crops(length)
        return Checkpoint(official(tensors, length), NAMES, length, {**vars(PUBLISHED), "width": width}, features)

    def inputs(self, lane: Sequences, held: Tensor) -> Tensor:
        """Features ``(L, T, D)`` times the share in which each instance is kept; ``held`` ``(B, M)``."""
        values: Tensor = self.shorten(lane.features) * lane.held[..., None]
        if not self.config.attention:
            return values
        scores = self.scorer(values).squeeze(-1).float()
        if self.config.joint:  # each crop keeps its share
            return values * self.attend(scores, lane.held)[..., None]
        return values * lane.rows(self.attend(lane.flat(scores), held))[..., None]

    def attend(self, scores: Tensor, held: Tensor) -> Tensor:
        """The share of each held instance ``(B, M)`` that is kept, in [0, 1]."""
        config = self.config
        keep = (held.sum(1) * config.keep).long().clamp(min=1)
        if self.training or config.compat:
            noise = self._noise(scores)
            shares: Tensor = PerturbedTopK.apply(scores, noise, held, keep, config.sigma)  # type: ignore[no-untyped-call]
            return shares
        return expected(scores, held, keep, config.sigma)

    def _noise(self, like: Tensor) -> Tensor:
        """Standard noise ``(B, S, M)``; outside of training the same for bags of any length."""
        if self.training:
            return torch.randn(len(like), self.config.samples, like.shape[1], device=like.device)
        unrecordable("clip_tsa", "compat", "it draws noise, which other programs draw otherwise")
        rows = -(-like.shape[1] // 16) * 16  # torch draws 16 at a time; whole draws start alike
        fixed = torch.randn(rows, self.config.samples, generator=torch.Generator().manual_seed(0))
        return fixed[: like.shape[1]].T.to(like.device).expand(len(like), -1, -1)


def _two(size: int, between: int, last: int) -> nn.Sequential:
    """Two layers that end in (0, 1)."""
    layers = nn.Linear(size, between), nn.ReLU(), nn.Linear(between, last), nn.Sigmoid()
    for layer in (layers[0], layers[2]):
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)


NAMES = {
    **OFFICIAL,
    "hard_attention.scorer.fc1.": "scorer.0.",
    "hard_attention.scorer.fc2.": "scorer.2.",
    "mlp.fc1.": "shorten.0.",
    "mlp.fc2.": "shorten.2.",
}
"""Prefixes of names in the authors' state dict -> our prefixes."""


def official(tensors: Mapping[str, Tensor], dims: int = LONGEST, attention: bool = True) -> dict[str, Tensor]:
    """Tensors of the official code's checkpoint under our names, less those that features of this length don't use."""
    unused = tuple(start for start, used in (("shorten.", dims > LONGEST), ("scorer.", attention)) if not used)
    converted = renamed(counters_dropped(tensors), NAMES)
    return {name: value for name, value in converted.items() if not name.startswith(unused)}


PLUGIN = CLIPTSA

"""Multiple instance learning over spatio-temporal cuboids (arXiv 2605.13746): ranks the worst cell of two bags."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from wherewhen.contracts import Output, Provenance, View
from wherewhen.errors import ConfigError

VIEW = "cells"


@dataclass(frozen=True)
class CuboidMILConfig:
    """Settings of `CuboidMIL`; the defaults are the ones that served best, `SYSTEM_A` holds the published ones.

    ``hidden``, ``middle``, ``dropout``: the head D-512(ReLU)-32(linear)-1, dropout .6 (Sultani et al., CVPR 2018).
    ``margin``: of the ranking, 1. ``bag``: a whole video, or each of its time steps apart (arXiv 2605.13746).
    ``segments``: a training bag is averaged into that many spans of time, 32; None keeps every step.
    ``top``: the bag's score is the mean of its highest ``top`` instances, 1 = the maximum.
    ``pairs``: every anomalous bag against every normal one (the authors' code), or the i-th against the i-th.
    ``sparsity``, ``smoothness``: weights of the two regularizers, 8e-5 each in Sultani et al., 0 in cuboid MIL.
    """

    hidden: int = 512
    middle: int = 32
    dropout: float = 0.6
    margin: float = 1.0
    bag: Literal["video", "clip"] = "video"
    segments: int | None = 32
    top: int = 1
    pairs: Literal["all", "matched"] = "all"
    sparsity: float = 0.0
    smoothness: float = 0.0

    def __post_init__(self) -> None:
        if min(self.hidden, self.middle, self.top, self.segments or 1) < 1:
            raise ConfigError(f"cuboid_mil: hidden, middle, top and segments must be at least 1; got {self}")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"cuboid_mil: dropout must lie in [0, 1), got {self.dropout}")
        if min(self.margin, self.sparsity, self.smoothness) < 0:
            raise ConfigError(f"cuboid_mil: margin, sparsity and smoothness can't be negative; got {self}")


SYSTEM_A = CuboidMILConfig()


class CuboidMIL(nn.Module):
    """Scores each cuboid alone by one small head; the highest of an anomalous bag must beat those of normal bags.

    View ``cells``: features ``(B, N, D)`` -> scores ``(B, N)``. In training with ``segments`` set, the head sees
    averages over spans of time: ``extra`` holds their scores ``pooled`` ``(B, M)`` and the mask ``pooled_mask``.

    >>> model = CuboidMIL(CuboidMILConfig(hidden=8, middle=4), {"cells": 3})
    >>> mask = torch.ones(1, 4, dtype=torch.bool)
    >>> view = View(torch.zeros(1, 4, 3), torch.zeros(1, 4, 6), -torch.ones(1, 4), mask, ((1, 2, 2),))
    >>> model.eval()({"cells": view}).scores.shape
    torch.Size([1, 4])
    """

    Config: ClassVar[type] = CuboidMILConfig
    views: ClassVar[tuple[str, ...]] = (VIEW,)
    source: ClassVar[Provenance] = Provenance(
        title="Cuboid MIL", homepage="https://arxiv.org/abs/2605.13746", citation="arXiv 2605.13746"
    )
    reach: float | None = 0.0

    def __init__(self, config: CuboidMILConfig, dims: Mapping[str, int]) -> None:
        super().__init__()
        self.config = config
        self.head = nn.Sequential(
            nn.Linear(dims[VIEW], config.hidden),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.hidden, config.middle),
            nn.Dropout(config.dropout),
            nn.Linear(config.middle, 1),
            nn.Sigmoid(),
        )
        for layer in self.head:
            if isinstance(layer, nn.Linear):
                nn.init.xavier_normal_(layer.weight)
                nn.init.zeros_(layer.bias)

    def forward(self, bags: Mapping[str, View]) -> Output:
        """Scores ``(B, N)`` of the view ``cells``, 0 where masked."""
        view = bags[VIEW]
        if self.training and self.config.segments:
            pooled, mask, where = self._segments(view)
            short = self._score(pooled, mask)
            scores = short.gather(1, where) * view.mask
            return Output(scores, {"pooled": short, "pooled_mask": mask})
        return Output(self._score(view.features, view.mask))

    def _score(self, features: Tensor, mask: Tensor) -> Tensor:
        scores: Tensor = self.head(features).squeeze(-1)
        return scores * mask

    def _segments(self, view: View) -> tuple[Tensor, Tensor, Tensor]:
        """Averages ``(B, M, D)`` over spans of time, their mask, and which one each instance went into ``(B, N)``."""
        where = torch.zeros(view.mask.shape, dtype=torch.long, device=view.features.device)
        counts = [int(count) for count in view.mask.sum(1)]
        for row, (count, shape) in enumerate(zip(counts, view.shapes, strict=True)):
            steps, cells = _layout(count, shape)
            step = torch.arange(steps, device=where.device) * min(self.config.segments or steps, steps) // steps
            cell = torch.arange(cells, device=where.device)
            where[row, :count] = (step[:, None] * cells + cell).flatten()
        size = int(where.max()) + 1
        weights = view.mask.to(view.features.dtype)
        members = torch.zeros(len(counts), size, device=where.device).scatter_add(1, where, weights)
        index = where[..., None].expand_as(view.features)
        sums = view.features.new_zeros(len(counts), size, view.features.shape[-1])
        sums = sums.scatter_add(1, index, view.features * weights[..., None])
        return sums / members.clamp(min=1)[..., None], members > 0, where

    def loss(self, output: Output, bags: Mapping[str, View], labels: Tensor) -> dict[str, Tensor]:
        """``ranking``, and ``sparsity`` and ``smoothness`` where asked for; ``labels`` ``(B,)``, 1 = anomalous."""
        config = self.config
        scores = output.extra.get("pooled", output.scores)
        mask = output.extra.get("pooled_mask", bags[VIEW].mask)
        rows = [
            row[:count].reshape(_pooled_layout(count, shape))
            for row, count, shape in zip(scores, mask.sum(1).tolist(), bags[VIEW].shapes, strict=True)
        ]
        if config.bag == "video":
            tops = [top_mean(row.flatten()[None], config.top) for row in rows]
        else:
            tops = [top_mean(row, config.top) for row in rows]
        anomalous = [tops[k] for k in range(len(rows)) if labels[k] > 0.5]
        normal = [tops[k] for k in range(len(rows)) if labels[k] <= 0.5]
        terms = {"ranking": ranking(_join(anomalous, scores), _join(normal, scores), config.margin, config.pairs)}
        suspects = [rows[k] for k in range(len(rows)) if labels[k] > 0.5]
        if config.sparsity:
            terms["sparsity"] = config.sparsity * _mean([row.sum() for row in suspects], scores)
        if config.smoothness:
            terms["smoothness"] = config.smoothness * _mean(
                [row.diff(dim=0).square().sum() for row in suspects], scores
            )
        return terms


def ranking(anomalous: Tensor, normal: Tensor, margin: float, pairs: str = "all") -> Tensor:
    """Mean over pairs of ``max(0, margin - a + n)``, for bag scores ``(P,)`` and ``(Q,)`` in [0, 1].

    Where one kind is missing, the other is ranked against the score that it ought to have: 1 or 0.
    Sultani et al., CVPR 2018, equation 6.

    >>> float(ranking(torch.tensor([0.75]), torch.tensor([0.25, 0.5]), 1.0))
    0.625
    """
    if not len(anomalous):
        anomalous = normal.new_ones(len(normal) if pairs == "matched" else 1)
    if not len(normal):
        normal = anomalous.new_zeros(len(anomalous) if pairs == "matched" else 1)
    if pairs == "matched":
        count = min(len(anomalous), len(normal))
        return (margin - anomalous[:count] + normal[:count]).clamp(min=0).mean()
    return (margin - anomalous[:, None] + normal).clamp(min=0).mean()


def top_mean(scores: Tensor, count: int) -> Tensor:
    """Mean of the ``count`` highest of each row ``(R, N)``, or of all if there are fewer: ``(R,)``.

    >>> top_mean(torch.tensor([[0.0, 0.5, 1.0]]), 2).tolist()
    [0.75]
    """
    return scores.topk(min(count, scores.shape[1]), dim=1).values.mean(1)


def _layout(count: int, shape: tuple[int, int, int] | None) -> tuple[int, int]:
    """Time steps and cells per step; instances without a grid are one step."""
    return (shape[0], count // shape[0]) if shape else (1, count)


def _pooled_layout(count: int, shape: tuple[int, int, int] | None) -> tuple[int, int]:
    return (count // (shape[1] * shape[2]), shape[1] * shape[2]) if shape else (1, count)


def _join(parts: list[Tensor], like: Tensor) -> Tensor:
    return torch.cat(parts) if parts else like.new_zeros(0)


def _mean(parts: list[Tensor], like: Tensor) -> Tensor:
    return torch.stack(parts).mean() if parts else like.sum() * 0


PLUGIN = CuboidMIL

"""Feature magnitude learning: a temporal network, bags by their longest features (Tian et al., ICCV 2021)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wherewhen.core.contracts import Output, View
from wherewhen.methods._bags import lane_count, root, unevenness
from wherewhen.methods._grid import flat, lanes, segments, spread, width
from wherewhen.methods._layers import FixedNorm
from wherewhen.methods._sequences import Locked, Sequences, mean_of, over_crops, picks, sequences

VIEW = "cells"
FEW = 3  # instances whose mean is a bag's, at least; in the authors' code always
MARGIN_DIMS = 2048  # features for which the margin was published
START = 0.1  # initial scale of the output of the temporal network, as a share of the authors'


@dataclass(frozen=True)
class MagnitudeConfig:
    """Settings of `Magnitude`, as documented in `RTFMConfig`."""

    width: int | None = None
    dropout: float = 0.0
    segments: int | None = 32
    top: float = 0.02
    margin: float = 100.0
    magnitude: float = 1e-5
    sparsity: float = 8e-3
    smoothness: float = 8e-4
    compat: bool = False
    joint: bool = False


class Context(nn.Module):
    """Multi-scale temporal network: steps of a lane in the context of the others (section 3.2 of the paper).

    ``(L, D, T)`` and ``present`` ``(L, 1, T)`` -> ``(L, D, T)``. Three dilated convolutions cover near steps, a
    non-local block (dot products over T, no softmax) all steps; their output is added to the features.
    """

    def __init__(self, dims: int, size: int) -> None:
        super().__init__()
        self.near = nn.ModuleList(
            [nn.Conv1d(dims, size, 3, padding=dilation, dilation=dilation) for dilation in (1, 2, 4)]
        )
        self.near_norm = nn.ModuleList([FixedNorm(size) for _ in self.near])
        self.squeeze = nn.Conv1d(dims, size, 1, bias=False)
        self.query, self.key, self.value = (nn.Conv1d(size, size // 2, 1) for _ in range(3))
        self.found, self.found_norm = nn.Conv1d(size // 2, size, 1), FixedNorm(size)
        self.join, self.join_norm = nn.Conv1d(4 * size, dims, 3, padding=1, bias=False), FixedNorm(dims)

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        """Features in their context."""
        branches = [norm(F.relu(conv(x))) for conv, norm in zip(self.near, self.near_norm, strict=True)]
        branches.append(self._far(F.relu(self.squeeze(x)), present))
        joined: Tensor = self.join_norm(F.relu(self.join(torch.cat(branches, 1) * present)))
        return joined + x

    def _far(self, x: Tensor, present: Tensor) -> Tensor:
        queries, keys, values = self.query(x), self.key(x), self.value(x) * present
        # No softmax, so the products can be computed in the cheap order: (keys values) is small for any T.
        products = torch.einsum("lct,ldt->lcd", keys, values) / present.sum(2, keepdim=True).clamp(min=1)
        products = torch.einsum("lct,lcd->ldt", queries, products)
        far: Tensor = x + self.found_norm(self.found(products))
        return far


class Magnitude(nn.Module):
    """Scores and lengths of the cells of each lane, as documented in `RTFM`; subclasses override `inputs`."""

    def __init__(self, config: MagnitudeConfig, dims: Mapping[str, int]) -> None:
        super().__init__()
        self.config = config
        size = config.width or width(512, dims[VIEW])
        self.context = Context(dims[VIEW], size)
        self.head = nn.ModuleList(
            [nn.Linear(dims[VIEW], size), nn.Linear(size, max(1, size // 4)), nn.Linear(max(1, size // 4), 1)]
        )
        self.dropout = Locked(config.dropout)
        for layer in self.modules():
            if isinstance(layer, nn.Conv1d | nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        with torch.no_grad():  # at the start lengths are those of the input features
            self.context.join.weight *= START

    def forward(self, bags: Mapping[str, View]) -> Output:
        """Scores ``(B, N)`` of the view ``cells``, 0 where masked and where an instance is all zeros."""
        view = bags[VIEW]
        whole = lanes(view)
        short, where = segments(whole, self.config.segments if self.training else None)
        lane = sequences(short)
        features, scores = self._by_length(self.inputs(lane, short.held.flatten(1)), short.steps[lane.bag])
        grid, lengths, held = lane.flat(scores), lane.flat(features.norm(dim=-1)), short.held
        if self.config.joint:
            grid, lengths = over_crops(grid, held), over_crops(lengths, held)
            held = held.any(2, keepdim=True)
        weights = self._longest(lengths, held.flatten(1))
        feature = (lane.crop_sums if self.config.joint else lane.sums)(weights, features)
        scores = grid.reshape(held.shape)
        extra = {"scores": scores, "held": held, "bag": (weights * grid).sum(1), "feature": feature}
        return Output(flat(spread(scores.expand(short.held.shape), where), view), extra)

    def inputs(self, lane: Sequences, held: Tensor) -> Tensor:
        """Features ``(L, T, D)`` for the network; ``held`` ``(B, M)``."""
        return lane.features

    def _by_length(self, x: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """What `network` gives; lanes of equal length together where padding takes more than a quarter of a batch.

        Steps that are not present have zeros then; nothing reads them. Draws of dropout depend on the lanes before.
        """
        if not self.training or self.config.dropout:
            return self.network(x, present)
        counts = present.sum(1)
        if 4 * int(counts.sum()) >= 3 * present.numel():  # also without lanes
            return self.network(x, present)
        parts, order, start = [], counts.argsort(stable=True), 0
        for steps, number in enumerate(torch.bincount(counts).tolist()):
            if number:
                rows, gap = order[start : start + number], x.shape[1] - steps
                features, scores = self.network(x[rows, :steps], present[rows, :steps])
                parts.append((F.pad(features, (0, 0, 0, gap)), F.pad(scores, (0, gap))))
                start += number
        back = order.argsort()
        features, scores = (torch.cat(values)[back] for values in zip(*parts, strict=True))
        return features, scores

    def network(self, x: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Features in context ``(L, T, D)`` and scores ``(L, T)`` of features ``(L, T, D)`` at steps ``(L, T)``."""
        features = self.context(x.transpose(1, 2), present[:, None].to(x.dtype)).transpose(1, 2)
        features = self.dropout(features)
        first, second, last = self.head
        rows = self.dropout(F.relu(second(self.dropout(F.relu(first(features))))))
        return features, torch.sigmoid(last(rows).squeeze(-1))

    def _longest(self, lengths: Tensor, held: Tensor) -> Tensor:
        """Weights ``(B, M)`` of the instances with the longest features, which represent a bag."""
        if self.training and self.config.dropout:
            lengths = lengths * (torch.rand_like(lengths) >= self.config.dropout)
        return picks(lengths, held, (held.sum(1) * self.config.top).long().clamp(min=FEW))

    def loss(self, output: Output, bags: Mapping[str, View], labels: Tensor) -> dict[str, Tensor]:
        """``bag``, ``magnitude``, ``sparsity`` and ``smoothness``; ``labels`` ``(B,)``, 1 = anomalous."""
        config, anomalous, extra = self.config, labels > 0.5, output.extra
        scores, held = extra["scores"], extra["held"]
        long = extra["feature"].norm(dim=-1)
        if not config.compat:
            long = long * (MARGIN_DIMS / extra["feature"].shape[-1]) ** 0.5
        apart = magnitudes(long[anomalous].flatten(), long[~anomalous].flatten(), config.margin, config.compat)
        bag = F.binary_cross_entropy(extra["bag"].clamp(0, 1), labels)
        terms = {"bag": bag, "magnitude": config.magnitude * apart}
        if config.compat:
            joined = (scores * held)[anomalous].flatten()
            return terms | {
                "sparsity": config.sparsity * root(joined.square().sum()),
                "smoothness": config.smoothness * joined.diff().square().sum(),
            }
        each = root((scores * held).square().sum((1, 2)) / lane_count(held))
        return terms | {
            "sparsity": config.sparsity * mean_of(each, anomalous),
            "smoothness": config.smoothness * (unevenness(scores, held) * anomalous).sum(),
        }


def magnitudes(anomalous: Tensor, normal: Tensor, margin: float, matched: bool = False) -> Tensor:
    """Mean over pairs of ``(|margin - a| + n)^2`` for lengths ``(P,)`` and ``(Q,)`` of bags' mean features.

    Every pair, or the i-th with the i-th. Where one kind is missing, it has its target length.

    >>> float(magnitudes(torch.tensor([98.0]), torch.tensor([1.0, 2.0]), 100))
    12.5
    """
    if not len(anomalous):
        anomalous = torch.full_like(normal, margin)
    if not len(normal):
        normal = torch.zeros_like(anomalous)
    if matched:
        count = min(len(anomalous), len(normal))
        return ((margin - anomalous[:count]).abs() + normal[:count]).square().mean()
    return ((margin - anomalous).abs()[:, None] + normal).square().mean()


OFFICIAL = {
    **{f"Aggregate.conv_{n}.0.": f"context.near.{n - 1}." for n in (1, 2, 3)},
    **{f"Aggregate.conv_{n}.2.": f"context.near_norm.{n - 1}." for n in (1, 2, 3)},
    "Aggregate.conv_4.0.": "context.squeeze.",
    "Aggregate.conv_5.0.": "context.join.",
    "Aggregate.conv_5.2.": "context.join_norm.",
    "Aggregate.non_local.theta.": "context.query.",
    "Aggregate.non_local.phi.": "context.key.",
    "Aggregate.non_local.g.": "context.value.",
    "Aggregate.non_local.W.0.": "context.found.",
    "Aggregate.non_local.W.1.": "context.found_norm.",
    "fc1.": "head.0.",
    "fc2.": "head.1.",
    "fc3.": "head.2.",
}
"""Prefixes of names in the authors' state dict -> our prefixes."""

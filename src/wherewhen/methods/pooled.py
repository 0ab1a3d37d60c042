"""The toolkit's method for many cameras: statistics of all cells over a few seconds, judged by small heads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wherewhen.core.contracts import MethodAbilities, Output, Provenance, Training, View
from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Instances
from wherewhen.methods._grid import Lanes, flat, lanes
from wherewhen.methods._recorded import recorded

VIEW = "cells"
PARTS = 8  # statistics of each feature: see `Pooled.statistics`
TARGET = 0.05  # of a normal bag; 1 less this of an anomalous one
GROUPS = ("directions", "boundaries", "acceleration", "deformation", "change")  # of the backbone motion: all
STILL = 0.02  # added to means of motion, so that a ratio to them is finite
LIMIT = 5.0  # of a standardized statistic


@dataclass(frozen=True)
class PooledConfig:
    """Settings of `Pooled`.

    Args:
        heads: independent heads whose scores are averaged.
        hidden: width of each head's only layer (ReLU).
        dropout: share of the inputs and of the hidden layer that a head drops in training.
        window: seconds of the video that the score of a time step depends on.
        top: share of a bag's time steps whose mean logit is the bag's, at least one.
    """

    heads: int = 5
    hidden: int = 32
    dropout: float = 0.5
    window: float = 3.0
    top: float = 0.2

    def __post_init__(self) -> None:
        for name in ("heads", "hidden"):
            if getattr(self, name) < 1:
                raise ConfigError(f"pooled: {name} must be at least 1, got {getattr(self, name)}")
        for name in ("dropout", "top"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"pooled: {name} must be in [0, 1), got {getattr(self, name)}")
        if not 0 < self.window < float("inf"):
            raise ConfigError(f"pooled: window must be above 0 seconds, got {self.window}")


class Pooled(nn.Module):
    """Scores a few seconds of a video by statistics over all its cells; within a time step, by length of features.

    Where cameras differ, the place and size of a cell say little, the composition of all motion says more. Features
    come unnormalized; the statistics are standardized by those of the training videos.

    View ``cells``: features ``(B, N, D)`` -> scores ``(B, N)``. The highest score of a time step is that of its window;
    the other cells have a share of it, their length relative to the longest; the localizer multiplies the map by the
    motion at each place. ``extra``: logits of each head and time
    step ``(B, T, H)`` and which steps are present ``(B, T)``.

    >>> model = Pooled(PooledConfig(hidden=4), {"cells": 3})
    >>> mask = torch.ones(1, 4, dtype=torch.bool)
    >>> view = View(torch.zeros(1, 4, 3), torch.zeros(1, 4, 6), -torch.ones(1, 4), mask, ((1, 2, 2),))
    >>> model.eval()({"cells": view}).scores.shape
    torch.Size([1, 4])
    """

    Config: ClassVar[type] = PooledConfig
    views: ClassVar[tuple[str, ...]] = (VIEW,)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"motion": {"groups": GROUPS}, "regions": {"motion": 1.0}}
    schedule: ClassVar[Training] = Training(
        steps=300, bags=16, optimizer="adamw", learning_rate=1e-3, weight_decay=1e-2
    )
    source: ClassVar[Provenance] = Provenance(title="pooled", citation="this toolkit, docs/methods/pooled.md")
    abilities: ClassVar[MethodAbilities] = MethodAbilities(
        summarizes_steps=True,
        unnormalized_views=(VIEW,),
        ablations={
            "one head": {"heads": 1},
            "no dropout": {"dropout": 0.0},
            "1 s": {"window": 1.0},
            "10 s": {"window": 10.0},
            "one time step": {"top": 0.0},
            "no groups": {"motion": {"groups": ()}},
            **{f"no {group}": {"motion": {"groups": tuple(g for g in GROUPS if g != group)}} for group in GROUPS},
            "window of 56 px": {"motion": {"cell": 28, "window": 56}},
        },
    )
    stages: int = 1
    middle: Tensor
    scale: Tensor
    usual: Tensor

    def __init__(self, config: PooledConfig, dims: Mapping[str, int]) -> None:
        super().__init__()
        self.config = config
        self.reach: float | None = config.window / 2
        inputs = PARTS * dims[VIEW]
        self.first = nn.Parameter(torch.empty(config.heads, inputs, config.hidden))
        self.bias = nn.Parameter(torch.zeros(config.heads, 1, config.hidden))
        self.last = nn.Parameter(torch.empty(config.heads, config.hidden, 1))
        self.shift = nn.Parameter(torch.zeros(config.heads, 1, 1))
        for weight in (self.first, self.last):
            for matrix in weight:
                nn.init.xavier_normal_(matrix)
        self.register_buffer("middle", torch.zeros(inputs))
        self.register_buffer("scale", torch.ones(inputs))
        self.register_buffer("usual", torch.ones(dims[VIEW]))

    @staticmethod
    def summary(instances: Instances) -> Instances:
        """One row ``(2 D,)`` of each time step: mean and power mean of its cells; see `statistics`."""
        shape = instances.shape or (1, 1, max(len(instances.features), 1))
        cells = shape[1] * shape[2]
        features = instances.features.reshape(shape[0], -1, instances.features.shape[1])
        whole = np.array(instances.extents[::cells])
        whole[:, 2:] = 0, 0, 1, 1
        rows = np.concatenate(_means(torch.from_numpy(np.array(features)), cells), 1)
        return Instances(rows, whole, shape=(shape[0], 1, 1))

    def study(self, stage: int, bags: Iterable[tuple[Mapping[str, View], Tensor]]) -> None:
        """Mean and deviation of the statistics over training videos, each with one vote."""
        sums = torch.zeros(3, self.middle.numel(), dtype=torch.float64, device=self.middle.device)
        for views, _ in bags:
            short = lanes(views[VIEW])
            rows = self.statistics(views[VIEW], short)[short.steps].double()
            if len(rows):
                sums += torch.stack([rows.mean(0), rows.square().mean(0), torch.ones_like(rows[0])])
        mean, square = sums[:2] / sums[2].clamp(min=1)
        self.middle.copy_(mean)
        self.scale.copy_((square - mean.square()).clamp(min=0).sqrt() + 1e-3)
        size = self.usual.numel()
        self.usual.copy_(self.middle[size : 2 * size].clamp(min=1e-3))

    def statistics(self, view: View, short: Lanes) -> Tensor:
        """Statistics ``(B, T, 8 D)`` of the window around each time step of a view, whose lanes are ``short``.

        Over the cells of a step: the mean, and the fourth root of the mean fourth power, in which the strongest cells
        count most. Of both over the window: mean, deviation, the mean scaled to one length, which is the composition of
        motion, and the deviation relative to the mean, which is its rhythm; the last two don't depend on the amount.
        """
        rows = self._step_rows(view, short) * short.steps[..., None]
        first, second = _moments(rows, *_spans(view, short.steps, self.config.window))
        deviation = (second - first.square()).clamp(min=0).sqrt()
        parts = torch.split(first, rows.shape[2] // 2, 2)
        composition = [part / (torch.linalg.vector_norm(part, dim=2, keepdim=True) + 1e-3) for part in parts]
        return torch.cat([first, deviation, *composition, deviation / (first + STILL)], 2)

    def _step_rows(self, view: View, short: Lanes) -> Tensor:
        """Mean and power mean ``(B, T, 2 D)`` of the cells of each step; a summarized view has them already."""
        if view.features.shape[2] == 2 * self.usual.numel():
            return short.features[:, :, 0].float()
        if recorded():
            return torch.cat(_means(short.features, short.size[0] * short.size[1]), 2)
        counts = view.mask.sum(1).tolist()
        cells = [s[1] * s[2] if s else max(int(n), 1) for s, n in zip(view.shapes, counts, strict=True)]
        number = torch.tensor(cells, device=view.features.device, dtype=torch.float32)[:, None, None]
        return torch.cat(_means(short.features, number), 2)

    def forward(self, bags: Mapping[str, View]) -> Output:
        """Scores ``(B, N)`` of the view ``cells``, 0 where masked and where an instance is all zeros."""
        view = bags[VIEW]
        with torch.no_grad():
            short = lanes(view)
            values = ((self.statistics(view, short) - self.middle) / self.scale).clamp(-LIMIT, LIMIT)
            shares = self._shares(short)
        logits = self._logits(values)
        scores = torch.sigmoid(logits.float()).mean(-1)
        return Output(flat(scores[..., None] * shares, view), {"heads": logits, "steps": short.steps})

    def _shares(self, short: Lanes) -> Tensor:
        """Length of each cell relative to the longest of its step ``(B, T, P)``; 1 for a summary."""
        if short.features.shape[3] != self.usual.numel():
            return short.held.float()
        lengths = torch.linalg.vector_norm(short.features / self.usual, dim=-1)
        shares: Tensor = lengths / lengths.amax(2, keepdim=True).clamp(min=1e-12)
        return shares

    def _logits(self, values: Tensor) -> Tensor:
        """Logits ``(B, T, H)`` of statistics ``(B, T, S)``; a head drops the same inputs for all steps of a bag."""
        batch, steps, size = values.shape
        rows = values.reshape(1, batch, steps, size).expand(self.config.heads, -1, -1, -1)
        rows = self._dropped(rows).reshape(self.config.heads, batch * steps, size)
        hidden = torch.baddbmm(self.bias, rows, self.first).relu().reshape(self.config.heads, batch, steps, -1)
        hidden = self._dropped(hidden).reshape(self.config.heads, batch * steps, -1)
        logits = torch.baddbmm(self.shift, hidden, self.last)
        return logits.reshape(self.config.heads, batch, steps).permute(1, 2, 0)

    def _dropped(self, rows: Tensor) -> Tensor:
        """Rows ``(H, B, T, S)`` with some of the S numbers of each head and bag set to zero in training."""
        if not self.training or not self.config.dropout:
            return rows
        passed = torch.rand(rows.shape[0], rows.shape[1], 1, rows.shape[3], device=rows.device) >= self.config.dropout
        return rows * passed / (1 - self.config.dropout)

    def loss(self, output: Output, bags: Mapping[str, View], labels: Tensor) -> dict[str, Tensor]:
        """``bag``: cross-entropy of each head's bag logits with smoothed labels; ``labels`` ``(B,)``, 1 = anomalous."""
        logits, steps = output.extra["heads"].float(), output.extra["steps"]
        counts = (steps.sum(1) * self.config.top).ceil().long().clamp(min=1)
        ranked = logits.masked_fill(~steps[..., None], -1e4).sort(1, descending=True).values.cumsum(1)
        index = (counts - 1)[:, None, None].expand(-1, 1, logits.shape[2])
        tops = ranked.gather(1, index)[:, 0] / counts[:, None]
        targets = TARGET + (1 - 2 * TARGET) * (labels > 0.5).to(tops.dtype)[:, None].expand_as(tops)
        return {"bag": F.binary_cross_entropy_with_logits(tops, targets)}


def _means(features: Tensor, cells: Tensor | int) -> tuple[Tensor, Tensor]:
    """Mean and fourth root of the mean fourth power of ``features`` ``(..., P, D)`` over ``cells`` cells."""
    values = features.float()
    strong = (values.square().square().sum(-2) / cells).clamp(min=1e-12).sqrt().sqrt()
    return values.sum(-2) / cells, strong


def _spans(view: View, steps: Tensor, window: float) -> tuple[Tensor, Tensor]:
    """First step and the one after the last ``(B, T)`` of the window around the center of each step."""
    if recorded():
        _, height, wide = view.shapes[0] or (1, 1, view.features.shape[1])
        times = view.extents[0, :: height * wide, :2].double().mean(1)
        limits = times + window / 2 + 1e-6, times - window / 2 - 1e-6
        last, first = ((times <= limits[0][:, None]).sum(1), (times < limits[1][:, None]).sum(1))
        return first[None], last[None]
    size = view.features.shape[1]
    first = torch.zeros(steps.shape, dtype=torch.long, device=steps.device)
    last = torch.arange(1, steps.shape[1] + 1, device=steps.device).repeat(len(steps), 1)
    for row, (shape, present) in enumerate(zip(view.shapes, steps.sum(1).tolist(), strict=True)):
        count = int(present)
        if not shape or not count or not size:
            continue
        times = view.extents[row, : count * shape[1] * shape[2] : shape[1] * shape[2], :2].double().mean(1)
        times = times.contiguous()
        first[row, :count] = torch.searchsorted(times, times - window / 2 - 1e-6)
        last[row, :count] = torch.searchsorted(times, times + window / 2 + 1e-6, right=True)
    return first, last


def _moments(rows: Tensor, first: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """Means ``(B, T, S)`` of rows and of their squares over the steps ``[first, last)`` around each step."""
    both = torch.cat([rows, rows.square()], 2).double().cumsum(1)
    sums = F.pad(both, (0, 0, 1, 0))
    ends, starts = (sums.gather(1, i[..., None].expand(-1, -1, sums.shape[2])) for i in (last, first))
    means = ((ends - starts) / (last - first).clamp(min=1)[..., None]).float()
    return means[..., : rows.shape[2]], means[..., rows.shape[2] :]


PLUGIN = Pooled

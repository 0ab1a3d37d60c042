"""The toolkit's method: scores of many small heads, from labels and from distances to normal training videos."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from wherewhen.core.contracts import MethodAbilities, Output, Provenance, Training, View
from wherewhen.core.errors import ConfigError
from wherewhen.methods._grid import Lanes, flat, lanes, segments, spread
from wherewhen.methods._recorded import picked, put_back, recorded

VIEW = "cells"
SAMPLE = 16_384  # normal cells from which the memory is computed
ROUNDS = 10  # of k-means
STEEP = 2.0  # initial logit of each of the two measures of normality at twice the usual value


class _Inputs(NamedTuple):
    """The fixed inputs of a batch: ``rows`` ``(R, S)`` of its nonempty cells.

    ``long`` and ``far`` ``(R,)``: their length and their distance, as multiples of the usual ones, less one.
    """

    view: View
    short: Lanes
    where: Tensor
    rows: Tensor
    long: Tensor | None
    far: Tensor | None


@dataclass(frozen=True)
class WhereWhenConfig:
    """Settings of `WhereWhen`; null or 0 leaves a part out.

    Args:
        heads: independent heads whose scores are averaged.
        hidden: width of each head's only layer (ReLU).
        share: of the features that each head gets, drawn once (random subspaces, Ho 1998).
        context: each cell also gets the mean of its neighbors' features.
        memory: number of typical normal cells to compare with; 0 leaves this distance out.
        length: start from "the longer its normalized features, the more anomalous", 0.5 at this length; null leaves it.
        top: share of a bag's cells whose mean is its score, at least one.
        margin: of the ranking between anomalous and normal bags.
        calm: weight of the mean score of all cells of normal bags.
        single: weight of the spread of the scores of one time step in anomalous bags.
        segments: longer training bags are averaged into this many spans of time; null keeps all.
    """

    heads: int = 5
    hidden: int = 32
    share: float = 0.7
    context: bool = True
    memory: int = 256
    length: float | None = 2.0
    top: float = 0.01
    margin: float = 1.0
    calm: float = 0.0
    single: float = 0.0
    segments: int | None = 128

    def __post_init__(self) -> None:
        for name in ("heads", "hidden", "segments"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ConfigError(f"wherewhen: {name} must be at least 1, got {getattr(self, name)}")
        for name in ("memory", "margin", "calm", "single"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ConfigError(f"wherewhen: {name} can't be negative, got {getattr(self, name)}")
        if not 0 <= self.top < 1 or not 0 < self.share <= 1:
            raise ConfigError(f"wherewhen: expected top in [0, 1) and share in (0, 1]; got {self.top} and {self.share}")
        if self.length is not None and not 0 < self.length < float("inf"):
            raise ConfigError(f"wherewhen: length must be above 0 or null, got {self.length}")


class WhereWhen(nn.Module):
    """Scores each cell by small heads that rank bags, by its length, and by its distance to typical normal cells.

    View ``cells``: features ``(B, N, D)`` -> scores ``(B, N)``. ``extra``: scores of each head ``heads``
    ``(B, H, T, P)``, and which cells and steps are present.

    >>> model = WhereWhen(WhereWhenConfig(hidden=4, memory=2), {"cells": 3})
    >>> mask = torch.ones(1, 4, dtype=torch.bool)
    >>> view = View(torch.zeros(1, 4, 3), torch.zeros(1, 4, 6), -torch.ones(1, 4), mask, ((1, 2, 2),))
    >>> model.eval()({"cells": view}).scores.shape
    torch.Size([1, 4])
    """

    Config: ClassVar[type] = WhereWhenConfig
    views: ClassVar[tuple[str, ...]] = (VIEW,)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    schedule: ClassVar[Training] = Training(
        steps=150, bags=30, optimizer="adamw", learning_rate=1e-3, weight_decay=1e-2
    )
    source: ClassVar[Provenance] = Provenance(title="wherewhen", citation="this toolkit, docs/methods/wherewhen.md")
    abilities: ClassVar[MethodAbilities] = MethodAbilities(
        averages_time=True,
        remembers_normal=True,
        ablations={
            "one head": {"heads": 1, "share": 1.0},
            "all features": {"share": 1.0},
            "no context": {"context": False},
            "no memory": {"memory": 0},
            "no length": {"length": None},
            "calm 0.3": {"calm": 0.3},
            "single 1": {"single": 1.0},
            "maximum": {"top": 0.0},
        },
    )
    reach: float | None = 0.0
    stages: int = 1
    _last: _Inputs | None = None
    subspace: Tensor
    memory: Tensor
    usual: Tensor

    def __init__(self, config: WhereWhenConfig, dims: Mapping[str, int]) -> None:
        super().__init__()
        self.config = config
        size = dims[VIEW]
        inputs = size * (2 if config.context else 1)
        self.first = nn.Parameter(torch.empty(config.heads, inputs, config.hidden))
        self.bias = nn.Parameter(torch.zeros(config.heads, 1, config.hidden))
        self.last = nn.Parameter(torch.empty(config.heads, config.hidden, 1))
        self.shift = nn.Parameter(torch.zeros(config.heads, 1, 1))
        for weight, gain in ((self.first, 1.0), (self.last, 0.1)):  # the learned part starts small
            for matrix in weight:
                nn.init.xavier_normal_(matrix, gain)
        self.register_buffer("subspace", _subspaces(config, size))
        self.register_buffer("memory", torch.zeros(config.memory, size))
        self.register_buffer("usual", torch.ones(()))
        if config.memory:
            self.unusual = nn.Parameter(torch.tensor(STEEP))
        if config.length is not None:
            self.steep = nn.Parameter(torch.tensor(STEEP))

    def study(self, stage: int, bags: Iterable[tuple[Mapping[str, View], Tensor]]) -> None:
        """`remember` the normal bags."""
        self.remember(views for views, label in bags if label.item() < 0.5)

    def remember(self, bags: Iterable[Mapping[str, View]]) -> None:
        """Store centers of the cells of normal bags by k-means, and the usual distance from them."""
        self._last = None
        if not self.config.memory:
            return
        held = [_held(views[VIEW]) for views in bags]
        rows = torch.cat(held) if held else self.memory[:0]
        if not len(rows):
            return
        draw = torch.Generator().manual_seed(0)
        rows = rows[torch.randperm(len(rows), generator=draw)[:SAMPLE].to(rows.device)]
        centers = rows[torch.arange(self.config.memory, device=rows.device) % len(rows)].clone()
        for _ in range(ROUNDS):
            nearest = torch.cdist(rows, centers).argmin(1)
            counts = torch.bincount(nearest, minlength=len(centers))[:, None]
            sums = torch.zeros_like(centers).index_add_(0, nearest, rows)
            centers = torch.where(counts > 0, sums / counts.clamp(min=1), centers)
        self.memory.copy_(centers)
        self.usual.copy_(torch.quantile(self._distance(rows), 0.99).clamp(min=1e-6))

    def forward(self, bags: Mapping[str, View]) -> Output:
        """Scores ``(B, N)`` of the view ``cells``, 0 where masked and where an instance is all zeros."""
        view = bags[VIEW]
        inputs = self._inputs(view)
        logits = self._logits(inputs)
        held = inputs.short.held
        scores = put_back(torch.sigmoid(logits.float()).to(logits.dtype), held)
        cell_scores = flat(spread(scores.mean(-1), inputs.where), view)
        return Output(cell_scores, {"heads": scores.permute(0, 3, 1, 2), "held": held, "steps": inputs.short.steps})

    def _inputs(self, view: View) -> _Inputs:
        """The inputs of a batch; in training those of the last batch are cached."""
        if self.training and self._last is not None and self._last.view is view:
            return self._last
        config = self.config
        with torch.no_grad():
            short, where = segments(lanes(view), config.segments if self.training else None)
            cells = picked(short.features, short.held)
            rows = torch.cat([cells, picked(_neighbors(short), short.held)], 1) if config.context else cells
            long = far = None
            if config.length is not None:
                long = cells.square().mean(-1).sqrt() / config.length - 1
            if config.memory:
                far = self._distance(cells) / self.usual - 1
        inputs = _Inputs(view, short, where, rows, long, far)
        self._last = inputs if self.training else None
        return inputs

    def _logits(self, inputs: _Inputs) -> Tensor:
        """Logits ``(R, H)`` of the nonempty cells; all heads in one product."""
        first = self.first * self.subspace
        hidden = torch.addmm(self.bias.flatten(), inputs.rows, first.transpose(0, 1).flatten(1)).relu_()
        diagonal = torch.eye(self.config.heads, device=hidden.device)[:, None]  # a head reads its own layer alone
        logits = torch.addmm(self.shift.flatten(), hidden, (self.last * diagonal).flatten(0, 1))
        if inputs.long is not None:
            logits = logits + (self.steep * inputs.long)[:, None]
        if inputs.far is not None:
            logits = logits + (self.unusual * inputs.far)[:, None]
        return logits

    def _distance(self, rows: Tensor) -> Tensor:
        """Distance ``(R,)`` of each row ``(R, D)`` from the nearest center."""
        if recorded():
            squares = rows.square().sum(1)[:, None] - 2 * rows @ self.memory.T + self.memory.square().sum(1)
            nearest: Tensor = squares.amin(1).clamp(min=0).sqrt() / rows.shape[1] ** 0.5
            return nearest
        empty = rows.new_empty(0)
        with torch.no_grad():
            parts = [torch.cdist(part, self.memory).amin(1) for part in torch.split(rows.float(), 16_384)]
        distances: Tensor = torch.cat([empty.float(), *parts]) / rows.shape[1] ** 0.5
        return distances

    def loss(self, output: Output, bags: Mapping[str, View], labels: Tensor) -> dict[str, Tensor]:
        """``ranking`` of each head's bag scores, and ``calm`` and ``single`` with a weight."""
        config, scores, held = self.config, output.extra["heads"], output.extra["held"]
        cells = output.extra["steps"].sum(1) * scores.shape[-1]
        count = (config.top * cells).round().long().clamp(min=1)
        ranked = scores.flatten(2).topk(int(count.max()), dim=2).values.cumsum(2)
        tops = (ranked.gather(2, (count - 1)[:, None, None].expand(-1, config.heads, 1)) / count[:, None, None])[..., 0]
        bad, good = labels > 0.5, labels <= 0.5
        anomalous = tops[bad] if bad.any() else torch.ones_like(tops[:1])
        normal = tops[good] if good.any() else torch.zeros_like(tops[:1])
        terms = {"ranking": (config.margin - anomalous[:, None] + normal[None]).clamp(min=0).mean()}
        if config.calm:
            quiet = (scores.mean(1) * held)[good].sum() / held[good].sum().clamp(min=1)
            terms["calm"] = config.calm * quiet
        if config.single:
            terms["single"] = config.single * _apart(scores[bad], bags[VIEW])
        return terms


def _held(view: View) -> Tensor:
    rows = view.features[view.mask]
    return rows[(rows != 0).any(-1)]


def _subspaces(config: WhereWhenConfig, size: int) -> Tensor:
    """Mask of the inputs of each head ``(H, S, 1)``: the same features of a cell and of its neighbors."""
    draw = torch.Generator().manual_seed(0)
    count = max(1, round(config.share * size))
    chosen = torch.stack([torch.randperm(size, generator=draw) < count for _ in range(config.heads)])
    return chosen.repeat(1, 2 if config.context else 1)[..., None].float()


def _neighbors(short: Lanes) -> Tensor:
    """Mean ``(B, T, P, D)`` of the nonempty cells of each 3 x 3 neighborhood."""
    batch, steps, _, dims = short.features.shape
    maps = short.features.reshape(batch * steps, *short.size, dims).permute(0, 3, 1, 2)
    present = short.held.reshape(batch * steps, 1, *short.size).to(maps.dtype)
    if recorded():  # formats for other programs have means only
        sums, counts = (9 * functional.avg_pool2d(part, 3, 1, 1) for part in (maps, present))
    else:
        sums, counts = (functional.avg_pool2d(part, 3, 1, 1, divisor_override=1) for part in (maps, present))
    return (sums / counts.clamp(min=1)).permute(0, 2, 3, 1).reshape(short.features.shape)


def _apart(scores: Tensor, view: View) -> Tensor:
    """Mean spread in the picture (its sides are 1) of the squared scores ``(B, H, T, P)`` of each moment."""
    height = max((shape[1] for shape in view.shapes if shape), default=1)
    wide = scores.shape[-1] // height
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, wide), indexing="ij")
    places = torch.stack([y.flatten(), x.flatten()], 1).to(scores)
    mass = scores.square()
    whole = mass.sum(-1, keepdim=True).clamp(min=1e-6)
    middle = mass @ places / whole
    spreads = (mass @ places.square().sum(1)[:, None] / whole - middle.square().sum(-1, keepdim=True)).clamp(min=0)
    return (spreads * whole.clamp(max=1)).sum() / max(1, spreads.numel())


PLUGIN = WhereWhen

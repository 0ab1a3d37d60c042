"""Patch grid with proximity-aware top-k (arXiv 2606.29498): the cells around the best window's peak represent a bag."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wherewhen.core.contracts import MethodAbilities, Output, Provenance, Training, View
from wherewhen.core.errors import ConfigError
from wherewhen.methods._grid import flat, lanes, segments, spread, width
from wherewhen.methods._recorded import picked, put_back

VIEW = "cells"


@dataclass(frozen=True)
class ProximityConfig:
    """Settings of `Proximity`; the paper's text leaves most open, `PUBLISHED` holds the closest ones.

    Args:
        width: channels per cell, 512 in the authors' code; null takes that, less where features are short.
        layers: of attention across frames; 0 turns it off, so that a score needs no other time.
        heads: of attention.
        distance: attention falls with distance, at a rate that each head learns.
        mixing: how the cells of one frame exchange features: not at all, by a 3x3 convolution, or by attention.
        hidden: width of the head.
        dropout: in attention and mixing; the head drops three times as much.
        segments: longer training bags are averaged into this many spans of time; null keeps all.
        frame_top: how many of the highest cells make a frame's score.
        window: share of the bag's steps that the best window has, plus one step and at least two; null = all steps.
        extraction: one map, the window's mean, or one map per step of the window (``spacetime``).
        proximity: prefer cells near the peak; off is plain top-k.
        sigma: of that Gaussian, as a share of the picture's sides; 1.5 of 7 cells.
        top: share of a map's cells whose mean is the bag's score, at least one; 6 of 49.
        sparsity: weight of the mean score of anomalous bags.
        smoothness: weight of squared changes of the frame score.
        prior: start from "the longer its normalized features, the more anomalous", with score 0.5 at this length (root
            of the mean square; 1 is usual); null starts at random.
        patches: output map after training: scores; the 3x3 mean of the map with repeated edges; or that mean
            stretched to [0, 1] frame by frame, times the frame score.
    """

    width: int | None = None
    layers: int = 1
    heads: int = 4
    distance: bool = True
    mixing: Literal["none", "conv", "attention"] = "conv"
    hidden: int = 128
    dropout: float = 0.1
    segments: int | None = 32
    frame_top: int = 3
    window: float | None = 1 / 16
    extraction: Literal["spatial", "spacetime"] = "spatial"
    proximity: bool = True
    sigma: float = 1.5 / 7
    top: float = 6 / 49
    sparsity: float = 8e-3
    smoothness: float = 8e-4
    prior: float | None = 2.0
    patches: Literal["scores", "smoothed", "relative"] = "scores"

    def __post_init__(self) -> None:
        for name in ("width", "heads", "hidden", "segments", "frame_top"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ConfigError(f"proximity: {name} must be at least 1, got {getattr(self, name)}")
        for name in ("layers", "sparsity", "smoothness"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ConfigError(f"proximity: {name} can't be negative, got {getattr(self, name)}")
        if not 0 <= self.dropout < 1 / 3:
            raise ConfigError(f"proximity: dropout must be in [0, 1/3), got {self.dropout}")
        if not 0 < self.top <= 1:
            raise ConfigError(f"proximity: top is a share above 0 and up to 1, got {self.top}")
        if not 0 < self.sigma < float("inf"):
            raise ConfigError(f"proximity: sigma must be above 0, got {self.sigma}")
        if self.window is not None and not 0 <= self.window <= 1:
            raise ConfigError(f"proximity: window is a share from 0 to 1 or null, got {self.window}")
        if self.prior is not None and not 0 < self.prior < float("inf"):
            raise ConfigError(f"proximity: prior must be above 0 or null, got {self.prior}")


PUBLISHED = ProximityConfig(width=512, prior=None, patches="relative")
"""Nearest to the paper: 512 channels, no prior, the authors' maps."""

PUBLISHED_TRAINING = Training(steps=2500, bags=32, optimizer="adam", learning_rate=1e-4, weight_decay=5e-4)
"""Chosen for the same task, as the paper's own is not known: 50 epochs over UCF-Crime's 1610 videos."""

STEEP = 4.0  # the prior's logit at twice its length, where training starts
NEVER = -1e4  # a logit that the softmax turns into an exact zero


class Proximity(nn.Module):
    """Attention across frames cell by cell, mixing inside a frame, one head; the loss uses the best window's peak.

    View ``cells``: features ``(B, N, D)`` -> scores ``(B, N)``. ``extra``: ``maps`` ``(B, S, P)`` of the S segments
    of training (all steps otherwise) and ``steps`` ``(B, S)``, which of them are present.

    >>> model = Proximity(ProximityConfig(width=8), {"cells": 3})
    >>> mask = torch.ones(1, 4, dtype=torch.bool)
    >>> view = View(torch.ones(1, 4, 3), torch.zeros(1, 4, 6), -torch.ones(1, 4), mask, ((1, 2, 2),))
    >>> model.eval()({"cells": view}).scores.shape
    torch.Size([1, 4])
    """

    Config: ClassVar[type] = ProximityConfig
    views: ClassVar[tuple[str, ...]] = (VIEW,)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {VIEW: {"steps": 1, "rows": 7, "columns": 7}}
    abilities: ClassVar[MethodAbilities] = MethodAbilities(
        averages_time=True,
        ablations={
            "no attention across frames": {"layers": 0},
            "no distance": {"distance": False},
            "cells not mixed": {"mixing": "none"},
            "cells mixed by attention": {"mixing": "attention"},
            "no window": {"window": None},
            "a map per step": {"extraction": "spacetime"},
            "no proximity": {"proximity": False},
            "one cell": {"top": 0.01},
            "4 of 49 cells": {"top": 4 / 49},
            "9 of 49 cells": {"top": 9 / 49},
            "near the peak within .75 cells": {"sigma": 0.75 / 7},
            "near the peak within 3 cells": {"sigma": 3 / 7},
            "neither sparse nor smooth": {"sparsity": 0.0, "smoothness": 0.0},
            "no prior": {"prior": None},
        },
    )
    schedule: ClassVar[Training] = Training(steps=60, bags=30, optimizer="adamw", learning_rate=3e-4, weight_decay=1e-2)
    source: ClassVar[Provenance] = Provenance(
        title="Proximity-aware top-k over a patch grid",
        homepage="https://arxiv.org/abs/2606.29498",
        citation="Karim, Nguyen, Bekit and Yilmaz, arXiv 2606.29498",
    )

    def __init__(self, config: ProximityConfig, dims: Mapping[str, int]) -> None:
        super().__init__()
        size = config.width or width(512, dims[VIEW])
        if size % config.heads:
            raise ConfigError(f"proximity: width ({size}) must be a multiple of heads ({config.heads})")
        self.config = config
        self.reach: float | None = None if config.layers else 0.0
        self.embed = nn.Linear(dims[VIEW], size) if dims[VIEW] != size else nn.Identity()
        self.frames = nn.ModuleList(Attention(size, config) for _ in range(config.layers))
        self.mix = _mixing(size, config)
        last = nn.Linear(config.hidden, 1)
        self.head = nn.Sequential(nn.Linear(size, config.hidden), nn.ReLU(), last)
        if config.prior is not None:  # the learned part starts small compared with the prior
            self.steep = nn.Parameter(torch.tensor(STEEP))
            last.weight.data.mul_(0.1)

    def forward(self, bags: Mapping[str, View]) -> Output:
        """Scores ``(B, N)`` of the view ``cells``, 0 where masked and where an instance is all zeros."""
        view = bags[VIEW]
        whole = lanes(view)
        short, where = segments(whole, self.config.segments if self.training else None)
        maps = self._maps(short.features, short.held, short.size)
        shown = maps if self.training else self._shown(maps, view, short.size)
        return Output(flat(spread(shown, where), view), {"maps": maps, "steps": short.steps})

    def _maps(self, features: Tensor, held: Tensor, size: tuple[int, int]) -> Tensor:
        batch, t, cells, _ = features.shape
        x = self.embed(features) * held[..., None]
        bag = torch.arange(batch, device=x.device)
        by_lane = held.transpose(1, 2).reshape(batch * cells, t)
        lane, bag_of_lane = by_lane.any(1), bag.repeat_interleave(cells)
        apart = _apart(torch.arange(t, device=x.device)[:, None])
        for layer in self.frames:
            rows = x.transpose(1, 2).reshape(batch * cells, t, x.shape[-1])
            inputs = (picked(values, lane) for values in (rows, by_lane))
            attended = layer(*inputs, apart, picked(bag_of_lane, lane), batch)
            rows = put_back(attended.to(rows.dtype), lane)
            x = rows.reshape(batch, cells, t, x.shape[-1]).transpose(1, 2) * held[..., None]
        if self.mix is not None:
            by_step = held.reshape(batch * t, cells)
            step = by_step.any(1)
            rows = picked(x.reshape(batch * t, cells, x.shape[-1]), step)
            if isinstance(self.mix, Attention):
                bag_of_step = picked(bag.repeat_interleave(t), step)
                mixed = self.mix(rows, picked(by_step, step), _apart(_places(size, x)), bag_of_step, batch)
            else:
                grid = rows.transpose(1, 2).reshape(rows.shape[0], rows.shape[2], *size)
                mixed = rows + F.relu(self.mix(grid)).flatten(2).transpose(1, 2)
            x = put_back(mixed.to(x.dtype), step).reshape(batch, t, cells, x.shape[-1])
        return self._scores(x, features, held)

    def _scores(self, x: Tensor, features: Tensor, held: Tensor) -> Tensor:
        rate = 3 * self.config.dropout if self.training else 0.0
        drop = _dropped(len(x), x.shape[-1], rate, x)[:, None, None]
        logits = self.head(picked(x * drop, held)).squeeze(-1).float()
        if self.config.prior is not None:
            lengths = picked(features, held).square().mean(-1).sqrt()
            logits = logits + self.steep * (lengths / self.config.prior - 1)
        return put_back(torch.sigmoid(logits), held)

    def _shown(self, maps: Tensor, view: View, size: tuple[int, int]) -> Tensor:
        """Maps ``(B, T, P)`` in the form that ``patches`` sets; values outside a bag's grid are undefined."""
        if self.config.patches == "scores":
            return maps
        sizes = _sizes(view)
        smooth = edge_mean(maps, sizes, size)
        if self.config.patches == "smoothed":
            return smooth
        outside = ~_inside(sizes, size)[:, None]
        low = smooth.masked_fill(outside, 1.0).amin(-1, keepdim=True)
        high = smooth.masked_fill(outside, 0.0).amax(-1, keepdim=True)
        score = top_mean(maps, (sizes[:, 0] * sizes[:, 1]).clamp(max=self.config.frame_top)[:, None])[..., None]
        return score * ((smooth - low) / (high - low).clamp(min=1e-6)).clamp(0, 1)

    def loss(self, output: Output, bags: Mapping[str, View], labels: Tensor) -> dict[str, Tensor]:
        """``bag``, and ``sparsity`` and ``smoothness`` with a weight; ``labels`` ``(B,)``, 1 = anomalous."""
        config, view = self.config, bags[VIEW]
        maps, steps, sizes = output.extra["maps"], output.extra["steps"], _sizes(view)
        size = int(sizes[:, 0].max()), int(sizes[:, 1].max())
        cells = sizes[:, 0] * sizes[:, 1]
        frame = top_mean(maps, cells.clamp(max=config.frame_top)[:, None])
        count = steps.sum(1)
        long = count if config.window is None else (config.window * count).floor().long() + 1
        inside = best_window(frame.detach(), count, long.clamp(min=2).minimum(count))
        if config.extraction == "spatial":
            picked = (maps * inside[..., None]).sum(1, keepdim=True) / inside.sum(1)[:, None, None]
            used = torch.ones_like(inside[:, :1])
        else:
            picked, used = maps, inside
        rank = picked.detach()
        if config.proximity:
            rank = rank * peak_weights(rank, sizes, size, config.sigma)
        top = (config.top * cells).round().long().clamp(min=1)[:, None]
        tops = top_mean(picked, top, rank)
        bag = (tops * used).sum(1) / used.sum(1)
        tiny = 1e-6
        right = labels * torch.log(bag + tiny) + (1 - labels) * torch.log(1 - bag + tiny)
        terms = {"bag": -right.mean()}
        if config.sparsity:
            each = maps.sum((1, 2)) / (count * cells)
            terms["sparsity"] = config.sparsity * (each * labels).sum() / labels.sum().clamp(min=1)
        if config.smoothness:
            change = (frame.diff(dim=1) * steps[:, 1:]).square().sum(1)
            terms["smoothness"] = config.smoothness * change.mean()
        return terms


class Attention(nn.Module):
    """Self-attention with a residual over held steps of rows ``(R, L, C)``; locked dropout per bag."""

    def __init__(self, size: int, config: ProximityConfig) -> None:
        super().__init__()
        self.heads, self.dropout = config.heads, config.dropout
        self.norm = nn.LayerNorm(size)
        self.qkv = nn.Linear(size, 3 * size)
        self.out = nn.Linear(size, size)
        self.fall = nn.Parameter(torch.linspace(0.1, 1.0, config.heads)) if config.distance else None

    def forward(self, x: Tensor, held: Tensor, apart: Tensor, bag: Tensor, bags: int) -> Tensor:
        """Rows plus the output of attention; ``apart`` ``(L, L)``: distances, ``bag`` ``(R,)``: the bag of each row."""
        rows, length, size = x.shape
        parts = (rows, length, 3, self.heads, size // self.heads)  # explicit: -1 is ambiguous without rows
        query, key, value = self.qkv(self.norm(x)).view(parts).permute(2, 0, 3, 1, 4)
        # The mask of keys is in eight more channels, so that no (R, L, L) mask is needed.
        closed = torch.where(held, 0.0, NEVER).to(x.dtype)[:, None, :, None].expand(-1, self.heads, -1, 1)
        key = torch.cat([key, F.pad(closed, (0, 7))], -1)
        query = torch.cat([query * (size / self.heads) ** -0.5, F.pad(torch.ones_like(closed), (0, 7))], -1)
        bias = -self.fall[:, None, None] * apart if self.fall is not None else None
        value = F.pad(value, (0, 8))
        attended = F.scaled_dot_product_attention(query, key, value, bias if bias is None else bias[None], scale=1.0)
        attended = self.out(attended[..., :-8].transpose(1, 2).reshape(rows, length, size))
        drop = _dropped(bags, size, self.dropout if self.training else 0.0, x)
        added: Tensor = x + attended * drop[bag][:, None]
        return added


def top_mean(values: Tensor, count: Tensor, rank: Tensor | None = None) -> Tensor:
    """Mean of the ``count`` ``(B, 1)`` values of each map ``(B, S, P)`` that rank highest, by default the largest.

    >>> top_mean(torch.tensor([[[0.0, 0.5, 1.0]]]), torch.tensor([[2]])).tolist()
    [[0.75]]
    """
    most = int(count.max())
    chosen = (values if rank is None else rank).topk(most, -1).indices
    counted = torch.arange(most, device=values.device) < count[..., None]
    return (values.gather(-1, chosen) * counted).sum(-1) / count


def best_window(frame: Tensor, count: Tensor, length: Tensor) -> Tensor:
    """The ``length`` ``(B,)`` steps in a row, among the first ``count``, with the highest mean score: bool ``(B, S)``.

    >>> best_window(torch.tensor([[0.1, 0.9, 0.5, 0.0]]), torch.tensor([4]), torch.tensor([2])).tolist()
    [[False, True, True, False]]
    """
    step = torch.arange(frame.shape[1], device=frame.device)
    sums = F.pad(frame.double().cumsum(1), (1, 0))
    end = (step + length[:, None]).clamp(max=frame.shape[1])
    means = (sums.gather(1, end) - sums[:, :-1]).masked_fill(step + length[:, None] > count[:, None], -torch.inf)
    first = means.argmax(1, keepdim=True)
    return (step >= first) & (step < first + length[:, None])


def peak_weights(maps: Tensor, sizes: Tensor, size: tuple[int, int], sigma: float) -> Tensor:
    """Gaussian weights ``(B, S, P)`` around the peak of each map; ``sigma`` is a share of the bag's grid ``(B, 2)``."""
    places = _places(size, maps)
    peak = places[maps.argmax(-1)]
    offsets = (places - peak[..., None, :]) / sizes[:, None, None]
    return torch.exp(-offsets.square().sum(-1) / (2 * sigma**2))


def edge_mean(maps: Tensor, sizes: Tensor, size: tuple[int, int]) -> Tensor:
    """3x3 mean of maps ``(B, T, P)`` whose edges repeat; each bag's grid has its own height and width ``(B, 2)``."""
    places, last = _places(size, maps).long(), sizes[:, None] - 1
    sums = torch.zeros_like(maps)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            y, x = (places + places.new_tensor([dy, dx])).clamp(min=0).minimum(last).unbind(-1)
            sums = sums + maps.gather(-1, (y * size[1] + x)[:, None].expand_as(maps))
    return sums / 9


def _sizes(view: View) -> Tensor:
    """Height and width ``(B, 2)`` of each bag's grid, as `lanes` lays it out."""
    counts = view.mask.sum(1).tolist()
    sizes = [shape[1:] if shape else (1, max(1, int(n))) for shape, n in zip(view.shapes, counts, strict=True)]
    return torch.tensor(sizes, device=view.mask.device)


def _places(size: tuple[int, int], like: Tensor) -> Tensor:
    """Row and column ``(P, 2)`` of each cell."""
    cell = torch.arange(size[0] * size[1], device=like.device)
    return torch.stack([cell // size[1], cell % size[1]], -1).to(like.dtype)


def _inside(sizes: Tensor, size: tuple[int, int]) -> Tensor:
    """Which cells ``(B, P)`` are in the bag's grid."""
    cell = torch.arange(size[0] * size[1], device=sizes.device)
    return (cell // size[1] < sizes[:, :1]) & (cell % size[1] < sizes[:, 1:])


def _apart(places: Tensor) -> Tensor:
    """Distances ``(L, L)``, on a logarithmic scale, for long videos."""
    return torch.log1p((places[:, None] - places).to(torch.float32).square().sum(-1).sqrt())


def _dropped(bags: int, channels: int, rate: float, like: Tensor) -> Tensor:
    """Locked dropout ``(bags, channels)``: one draw per bag and channel, because drawing for each cell is slow."""
    if rate <= 0:
        return like.new_ones(bags, channels)
    return (torch.rand(bags, channels, device=like.device) >= rate).to(like.dtype) / (1 - rate)


def _mixing(size: int, config: ProximityConfig) -> nn.Module | None:
    if config.mixing == "attention":
        return Attention(size, config)
    return nn.Conv2d(size, size, 3, padding=1) if config.mixing == "conv" else None


PLUGIN = Proximity

"""Magnitude-contrastive glance-and-focus network (Chen et al., AAAI 2023), run in every cell of the picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wherewhen.core.contracts import Checkpoint, MethodAbilities, Output, Provenance, Training, View
from wherewhen.core.errors import ConfigError
from wherewhen.methods._bags import counters_dropped, lane_count, root, unevenness
from wherewhen.methods._grid import flat, lanes, segments, spread, width
from wherewhen.methods._layers import ChannelNorm, FixedNorm
from wherewhen.methods._published import ten_crops
from wherewhen.methods._sequences import mean_of, over_crops, picks, renamed, sequences
from wherewhen.methods._settings import demand

VIEW = "cells"
FEW = 3  # instances whose mean is a bag's, at least; in the authors' code always
HEAD = 64  # channels of a head of attention
KERNEL = 5  # steps of the kernel of a focus block
START = 0.1  # initial scale of the output of blocks, as a share of PyTorch's
MARGIN_WIDTH = 1024  # channels for which the margin was published


@dataclass(frozen=True)
class MGFNConfig:
    """Settings of `MGFN`; `PUBLISHED` holds the authors' (from their code).

    Args:
        width: channels of the last stage, a 16th and an 8th of them (at least 32) in the stages before; null: 1024 as
            published, less for features far shorter than 2048.
        depths: blocks of the glance stage and of the two focus stages; 3, 3 and 2 in the authors' code.
        dropout: share of instances that training excludes from that choice; .7 in the authors' code.
        segments: longer training bags are averaged into this many spans of time, 32 as published; null keeps all.
        choose: how the instances that represent a bag are chosen: by the lengths of the input features, the scores, or
            the lengths of the output features, as in the authors' code. Layer norm makes the latter all alike
            when training starts, so among many cells the choice is random; scores keep to their first choice.
        top: share of a bag's instances that represent it, but at least 3; 3 of 32 as published.
        amplify: weight of a feature's length added to it, .1 in the authors' code.
        margin: how far apart lengths of normal and anomalous bags should be, for 1024 channels; 200 as published.
        contrast: weight of all loss terms of lengths, 1e-3 in the authors' code, too much for few videos.
        apart: weight of keeping normal and anomalous bags apart, within it; 1e-3 in the authors' code.
        sparsity: weight of the root of the sum of squared scores of an anomalous bag, 8e-3 in the authors' code.
        smoothness: weight of squared changes in time of all bags, 8e-4 in the authors' code.
        compat: count the loss as the authors' code does: sparsity of the normal bags, lengths of a label compared
            between the two halves of its bags, and the i-th anomalous bag with the i-th normal one.
        joint: bags hold crops of pictures, not cells: scores and lengths are means over crops before the choice, as in
            the authors' code.
    """

    width: int | None = None
    depths: tuple[int, int, int] = (1, 1, 1)
    dropout: float = 0.0
    segments: int | None = 32
    choose: Literal["input", "score", "output"] = "input"
    top: float = 0.02
    amplify: float = 0.1
    margin: float = 200.0
    contrast: float = 1e-4
    apart: float = 1e-3
    sparsity: float = 8e-3
    smoothness: float = 8e-4
    compat: bool = False
    joint: bool = False

    def __post_init__(self) -> None:
        demand("mgfn", self, positive="width segments", share="dropout top", weight="amplify margin contrast apart")
        demand("mgfn", self, weight="sparsity smoothness")
        if len(self.depths) != 3 or min(self.depths) < 1:
            raise ConfigError(f"mgfn: depths must be three numbers from 1 up, got {self.depths}")


PUBLISHED = MGFNConfig(width=1024, depths=(3, 3, 2), dropout=0.7, choose="output", top=0.0, contrast=1e-3, compat=True)
"""The authors' settings; their features are I3D's, 2048 long, on a 1 x 1 grid."""

PUBLISHED_TRAINING = Training(
    steps=50_000, bags=16, optimizer="adam", learning_rate=1e-3, weight_decay=5e-4, validate_every=50
)


class Glance(nn.Module):
    """Attention of every step to all ``present`` steps ``(L, 1, T)`` of its lane ``(L, C, T)``."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.heads = max(1, size // HEAD)
        self.inner = self.heads * (size // self.heads)
        self.norm = ChannelNorm(size)
        self.ask, self.give = nn.Conv1d(size, 3 * self.inner, 1, bias=False), nn.Conv1d(self.inner, size, 1)

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        """The output of attention at each step."""
        rows, _, steps = x.shape
        each = self.inner // self.heads  # explicit, because -1 is ambiguous in a batch without rows
        projected = self.ask(self.norm(x)).reshape(rows, 3, self.heads, each, steps).transpose(3, 4)
        queries, keys, values = projected.unbind(1)
        attended = F.scaled_dot_product_attention(queries, keys, values, attn_mask=present[:, None].bool())
        output: Tensor = self.give(attended.transpose(2, 3).reshape(rows, self.inner, steps))
        return output


class Focus(nn.Module):
    """Self-attentional convolution: one kernel over near steps per head, shared by its channels."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.heads = max(1, size // HEAD)
        self.inner = self.heads * (size // self.heads)
        self.norm = FixedNorm(size)
        self.take, self.give = nn.Conv1d(size, self.inner, 1, bias=False), nn.Conv1d(self.inner, size, 1)
        self.near = nn.Conv1d(self.heads, self.heads, KERNEL, padding=KERNEL // 2, groups=self.heads)

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        """The output of the convolution at each step."""
        rows, _, steps = x.shape
        each = self.inner // self.heads
        values = (self.take(self.norm(x)) * present).reshape(rows * each, self.heads, steps)
        output: Tensor = self.give(self.near(values).reshape(rows, self.inner, steps))
        return output


class Block(nn.Module):
    """A short-cut convolution, a glance or a focus, and a feed-forward network; each is added to its input."""

    def __init__(self, size: int, kind: type[nn.Module]) -> None:
        super().__init__()
        self.shift = nn.Conv1d(size, size, 3, padding=1)
        self.look = kind(size)
        self.think = nn.Sequential(
            ChannelNorm(size), nn.Conv1d(size, 4 * size, 1), nn.GELU(), nn.Conv1d(4 * size, size, 1)
        )

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        """The same shape; 0 where a step is absent."""
        x = x + self.shift(x)
        x = x + self.look(x, present)
        deeper: Tensor = (x + self.think(x)) * present
        return deeper

    def calm(self) -> None:
        """Scale the initial output down: few videos can't train random blocks."""
        with torch.no_grad():
            for layer in (self.shift, self.look.give, self.think[-1]):
                assert isinstance(layer, nn.Conv1d)
                layer.weight *= START


class MGFN(nn.Module):
    """Glance over the whole video, then focus on near steps; lengths of features separate normal from anomalous bags.

    ``f = LayerNorm(blocks(conv(x) + amplify conv(|x|)))``, ``s = sigmoid(w f + b)``; with K the ``top`` instances of a
    bag (time x cells) by ``choose`` and ``M = mean_K |f|_1``: ``L = BCE(mean_K s, y) + contrast (within normal, mean
    (M - M')^2 + within anomalous, likewise + apart mean max(0, margin - |M_a - M_n|)^2) + sparsity + smoothness``.
    The paper compares bags p, q of a batch pair by pair; so do we, with every pair (its code: two halves, ``compat``).

    View ``cells``: features ``(B, N, D)`` -> scores ``(B, N)``. ``extra``: scores ``(B, S, P)`` of ``held`` segments,
    ``bag`` scores and ``length`` M ``(B,)``.

    >>> model = MGFN(MGFNConfig(), {"cells": 3}).eval()
    >>> view = View(torch.ones(1, 4, 3), torch.zeros(1, 4, 6), torch.zeros(1, 4), torch.ones(1, 4).bool(), ((1, 2, 2),))
    >>> model({"cells": view}).scores.shape
    torch.Size([1, 4])
    """

    Config: ClassVar[type] = MGFNConfig
    views: ClassVar[tuple[str, ...]] = (VIEW,)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"cells": {"steps": 1, "rows": 7, "columns": 7}}
    abilities: ClassVar[MethodAbilities] = MethodAbilities(
        averages_time=True,
        joins_crops=True,
        reads_checkpoints=True,
        ablations={
            "no segments": {"segments": None},
            "chosen by score": {"choose": "score"},
            "chosen by what comes out": {"choose": "output"},
            "the three best": {"top": 0.0},
            "lengths not amplified": {"amplify": 0.0},
            "no contrast": {"contrast": 0.0},
            "labels not kept apart": {"apart": 0.0},
            "neither sparse nor smooth": {"sparsity": 0.0, "smoothness": 0.0},
            "loss as published": {"compat": True},
            "deeper": {"depths": (3, 3, 2)},
            "dropout": {"dropout": 0.7},
        },
    )
    schedule: ClassVar[Training] = Training(
        steps=100, bags=30, optimizer="adam", learning_rate=3e-4, weight_decay=5e-4, validate_every=20
    )
    source: ClassVar[Provenance] = Provenance(
        title="MGFN",
        homepage="https://arxiv.org/abs/2211.15098",
        citation="Chen et al.: MGFN: magnitude-contrastive glance-and-focus network for weakly-supervised video "
        "anomaly detection, AAAI 2023",
    )
    reach: float | None = None

    def __init__(self, config: MGFNConfig, dims: Mapping[str, int]) -> None:
        super().__init__()
        self.config = config
        last = config.width or width(1024, dims[VIEW])
        sizes = [min(last, max(32, last // 16)), min(last, max(32, last // 8)), last]
        self.enter = nn.Conv1d(dims[VIEW], sizes[0], 3, padding=1)
        self.amplify = nn.Conv1d(1, sizes[0], 3, padding=1)
        kinds = (Glance, Focus, Focus)
        self.levels = nn.ModuleList(
            [
                nn.ModuleList([Block(size, kind) for _ in range(depth)])
                for size, kind, depth in zip(sizes, kinds, config.depths, strict=True)
            ]
        )
        self.widen = nn.ModuleList([nn.Sequential(ChannelNorm(a), nn.Conv1d(a, b, 1)) for a, b in pairwise(sizes)])
        self.last, self.score = nn.LayerNorm(last), nn.Linear(last, 1)
        for block in self.modules():
            if isinstance(block, Block):
                block.calm()

    @staticmethod
    def checkpoint(tensors: Mapping[str, Tensor]) -> Checkpoint:
        """A state dict of the authors' code; the length of features is an input of its own there."""
        length, width = tensors["to_tokens.weight"].shape[1], tensors["fc.weight"].shape[1]
        depths = tuple(
            max((block + 1 for at, block in _blocks(tensors) if at == stage), default=0) for stage in range(3)
        )
        settings = {**vars(PUBLISHED), "width": width, "depths": depths}
        return Checkpoint(official(tensors), _names(tensors), length, settings, ten_crops(length))

    def forward(self, bags: Mapping[str, View]) -> Output:
        """Scores ``(B, N)`` of the view ``cells``, 0 where masked and where an instance is all zeros."""
        view = bags[VIEW]
        whole = lanes(view)
        short, where = segments(whole, self.config.segments if self.training else None)
        lane = sequences(short)
        features, lane_scores = self.network(lane.features, short.steps[lane.bag])
        chooser = {"input": lane.features, "score": lane_scores[..., None], "output": features}[self.config.choose]
        grid, worth, held = lane.flat(lane_scores), lane.flat(chooser.norm(dim=-1)), short.held
        if self.config.joint:
            grid, worth = over_crops(grid, held), over_crops(worth, held)
            held = held.any(2, keepdim=True)
        rows = held.flatten(1)
        if self.training and self.config.dropout:
            worth = worth * (torch.rand_like(worth) >= self.config.dropout)
        weights = picks(worth, rows, (rows.sum(1) * self.config.top).long().clamp(min=FEW))
        lengths = features.abs().sum(-1, keepdim=True)
        long = (lane.crop_sums if self.config.joint else lane.sums)(weights, lengths).squeeze(-1)
        scores = grid.reshape(held.shape)
        extra = {"scores": scores, "held": held, "bag": (weights * grid).sum(1), "length": long}
        return Output(flat(spread(scores.expand(short.held.shape), where), view), extra)

    def network(self, x: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Features ``(L, T, C)`` and scores ``(L, T)`` of features ``(L, T, D)`` at steps ``(L, T)``."""
        mask = present[:, None].to(x.dtype)
        x = x.transpose(1, 2)
        deep = (self.enter(x) + self.config.amplify * self.amplify(x.norm(dim=1, keepdim=True))) * mask
        for number, stage in enumerate(self.levels):
            if number:
                deep = self.widen[number - 1](deep) * mask
            assert isinstance(stage, nn.ModuleList)
            for block in stage:
                deep = block(deep, mask)
        features = self.last(deep.transpose(1, 2))
        return features, torch.sigmoid(self.score(features).squeeze(-1))

    def loss(self, output: Output, bags: Mapping[str, View], labels: Tensor) -> dict[str, Tensor]:
        """``bag``, ``contrast``, ``sparsity`` and ``smoothness``; ``labels`` ``(B,)``, 1 = anomalous."""
        config, anomalous, extra = self.config, labels > 0.5, output.extra
        scores, held = extra["scores"], extra["held"]
        long = extra["length"] * (MARGIN_WIDTH / self.score.in_features) ** 0.5
        each = root((scores * held).square().sum((1, 2)) / lane_count(held))
        high, low = (long[kind].transpose(0, -1).flatten() for kind in (anomalous, ~anomalous))  # crop by crop
        apart = contrast(high, low, config.margin, config.apart, halves=config.compat)
        return {
            "bag": F.binary_cross_entropy(extra["bag"].clamp(0, 1), labels),
            "contrast": config.contrast * apart,
            "sparsity": config.sparsity * mean_of(each, anomalous ^ config.compat),
            "smoothness": config.smoothness * unevenness(scores, held).sum(),
        }


def contrast(anomalous: Tensor, normal: Tensor, margin: float, apart: float, *, halves: bool = False) -> Tensor:
    """Lengths ``(P,)`` and ``(Q,)`` should be alike within a label and a margin apart between the labels.

    Means over pairs of squared differences within each label, and of ``max(0, margin - |a - n|)^2`` times ``apart``.
    (Equation 9 of the paper.) ``halves``: only pairs of the i-th ones, of both halves of a label and of both labels.

    >>> float(contrast(torch.tensor([5.0, 7.0]), torch.tensor([4.0]), margin=3.0, apart=1.0))
    6.0
    """
    total = (anomalous.sum() + normal.sum()) * 0
    for kind in (anomalous, normal):
        if len(kind) < 2:
            continue
        half = len(kind) // 2
        if halves:
            total = total + (kind[:half] - kind[half : 2 * half]).square().mean()
        else:  # every pair of two different bags
            total = total + (kind[:, None] - kind).square().sum() / (len(kind) * (len(kind) - 1))
    if len(anomalous) and len(normal):
        count = min(len(anomalous), len(normal))
        gap = anomalous[:count] - normal[:count] if halves else anomalous[:, None] - normal
        total = total + apart * (margin - gap.abs()).clamp(min=0).square().mean()
    return total


def official(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of the authors' code under our names, for ``load_state_dict``."""
    converted = renamed(counters_dropped(tensors), _names(tensors))
    return {name: weight.flatten() if ".norm." in name else weight for name, weight in converted.items()}


def _blocks(tensors: Mapping[str, Tensor]) -> list[tuple[int, int]]:
    """Stage and number of each block."""
    parts = [name.split(".") for name in tensors if name.startswith("stages.") and ".layers." in name]
    return sorted({(int(words[1]), int(words[4])) for words in parts})


def _names(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Prefixes of names in the authors' state dict -> our prefixes; their layer norms have ``g`` and ``b``."""
    names = {"to_tokens.": "enter.", "to_mag.": "amplify.", "to_logits.0.": "last.", "fc.": "score."}
    for stage in range(2):
        source, target = f"stages.{stage}.1.", f"widen.{stage}."
        names |= {f"{source}0.g": f"{target}0.norm.weight", f"{source}0.b": f"{target}0.norm.bias"}
        names |= {f"{source}1.": f"{target}1."}
    for stage, block in _blocks(tensors):
        source, target = f"stages.{stage}.0.layers.{block}.", f"levels.{stage}.{block}."
        if stage == 0:
            names |= {f"{source}1.norm.g": f"{target}look.norm.norm.weight"}
            names |= {f"{source}1.norm.b": f"{target}look.norm.norm.bias"}
        names |= {
            f"{source}0.": f"{target}shift.", f"{source}1.norm.": f"{target}look.norm.",
            f"{source}1.to_qkv.": f"{target}look.ask.", f"{source}1.to_v.": f"{target}look.take.",
            f"{source}1.rel_pos.": f"{target}look.near.", f"{source}1.to_out.": f"{target}look.give.",
            f"{source}2.0.g": f"{target}think.0.norm.weight", f"{source}2.0.b": f"{target}think.0.norm.bias",
            f"{source}2.1.": f"{target}think.1.", f"{source}2.4.": f"{target}think.3.",
        }  # fmt: skip
    return names


PLUGIN = MGFN

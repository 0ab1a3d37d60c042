"""PEL4VAD (Pu et al., TIP 2024): global and local temporal attention, then a causal classifier."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wherewhen.core.contracts import Checkpoint, MethodAbilities, Output, Provenance, Training, View
from wherewhen.core.errors import ConfigError
from wherewhen.methods._grid import flat, lanes, width
from wherewhen.methods._published import ten_crops
from wherewhen.methods._recorded import recorded
from wherewhen.methods._sequences import Locked, picks, queries, renamed, sequences

VIEW = "cells"
SHARP = 10.0  # of the weights that separate a bag's instances into foreground and background (official code)


@dataclass(frozen=True)
class PEL4VADConfig:
    """Settings of `PEL4VAD`; `PUBLISHED` holds those for UCF-Crime, `PUBLISHED_XD` those for XD-Violence.

    Args:
        width: of the layer after attention; null = 512 as published, less where features are short.
        window: steps of local attention, 9 in the paper.
        gamma: proximity in time starts as exp(-|gamma d^2 - bias|) for steps d apart; .6 (UCF), .06 (XD).
        bias: see ``gamma``; .2 (UCF), .02 (XD).
        power_norm: roots of the attention's output, then unit length; on for UCF, off for XD.
        layer_norm: unit deviation of features after attention, on in the official code; ours is off, for the length of
            standardized features shows how unusual they are.
        taps: steps of the causal classifier, 9 (UCF), 3 (XD).
        dropout: .1 in the official code; whole channels of a lane here.
        segments: longer training bags are averaged into this many spans of time, 200 in the paper; null keeps all.
        top: an anomalous bag's score is the mean over its best n // top + 1 of n instances; 16 in the paper.
        smooth: scores of a test video are averaged over ``kappa`` steps from each on (slide) or by blocks (fixed).
        kappa: 7 (UCF), 8 (XD).
        prompts: file of text features ``(classes, width)``, .npy or .safetensors with one tensor, the first row for
            background and the second for anomalies; further rows where labels have classes. null: no such term.
        temperature: of the similarity of videos and texts, .09 (UCF), .05 (XD).
        prompting: weight of that term, 1 in the paper.
        smoothness: weight of squared changes in time, 0 as published (8e-5 in the unused part of the official code).
        sparsity: weight of the sum of scores, 0 as published.
        compat: as the official code: unit length over time in place of features, cells without features are used,
            the sliding mean ends in zeros, and the last change in time is left out.
    """

    width: int | None = None
    window: int = 9
    gamma: float = 0.6
    bias: float = 0.2
    power_norm: bool = True
    layer_norm: bool = False
    taps: int = 9
    dropout: float = 0.1
    segments: int | None = 64
    top: int = 16
    smooth: Literal["slide", "fixed", "none"] = "slide"
    kappa: int = 7
    prompts: str | None = None
    temperature: float = 0.09
    prompting: float = 1.0
    smoothness: float = 0.0
    sparsity: float = 0.0
    compat: bool = False

    def __post_init__(self) -> None:
        for name in ("width", "window", "taps", "segments", "top", "kappa"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ConfigError(f"pel4vad: {name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"pel4vad: dropout must be in [0, 1), got {self.dropout}")
        for name in ("gamma", "bias", "prompting", "smoothness", "sparsity"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ConfigError(f"pel4vad: {name} can't be negative, got {getattr(self, name)}")
        if not 0 < self.temperature < float("inf"):
            raise ConfigError(f"pel4vad: temperature must be above 0, got {self.temperature}")


PUBLISHED = PEL4VADConfig(width=512, layer_norm=True, segments=200, compat=True)
"""As published for UCF-Crime, for one cell of the whole picture and I3D features of length 1024; without prompts."""

PUBLISHED_XD = PEL4VADConfig(
    width=512, layer_norm=True, segments=200, gamma=0.06, bias=0.02, power_norm=False, taps=3, smooth="fixed", kappa=8,
    temperature=0.05, compat=True,
)  # fmt: skip

PUBLISHED_TRAINING = Training(steps=650, bags=64, optimizer="adam", learning_rate=5e-4, cosine=1.2)
"""50 epochs of batches of 128 videos of UCF-Crime; the learning rate would reach 0 after 60 epochs."""

PUBLISHED_XD_TRAINING = Training(steps=1600, bags=64, optimizer="adam", learning_rate=5e-4, cosine=1.2)
"""50 epochs of the 2049 normal videos of XD-Violence, 64 of each label per step; cosine as above."""


class Context(nn.Module):
    """Attention over all steps and over a window at once, mixed by one learned number; ``(L, T, D)`` -> same."""

    def __init__(self, size: int, config: PEL4VADConfig) -> None:
        super().__init__()
        self.config = config
        inner = width(128, size)
        self.query, self.key, self.value = (nn.Linear(size, inner) for _ in range(3))
        self.out = nn.Linear(inner, size)
        self.mix = nn.Parameter(torch.zeros(()))
        self.gamma = nn.Parameter(torch.tensor([config.gamma]))
        self.bias = nn.Parameter(torch.tensor([config.bias]))

    def forward(self, values: Tensor, present: Tensor) -> Tensor:
        """The output of attention at each step to the steps that are ``present`` ``(L, T)``."""
        query, key, value = self.query(values), self.key(values), self.value(values)
        step = torch.arange(values.shape[1], dtype=values.dtype, device=values.device)
        parts, share = [], torch.sigmoid(self.mix)
        for part in queries(values.shape[1], values.shape[0]):
            away = (step[part, None] - step).abs()
            maps = query[:, part] @ key.transpose(1, 2) / math.sqrt(key.shape[-1]) + self.proximity(away)
            maps = maps.masked_fill(~present[:, None], -1e9)
            local = maps.masked_fill(away > self.config.window // 2, -1e9)
            parts.append((share * maps.softmax(-1) + (1 - share) * local.softmax(-1)) @ value)
        heard = torch.cat(parts, 1) if parts else value
        if self.config.power_norm:
            heard = root(heard)
            heard = F.normalize(heard * present[..., None], dim=1 if self.config.compat else -1)
        output: Tensor = self.out(heard)
        return output

    def proximity(self, away: Tensor) -> Tensor:
        """Weights in (0, 1] of steps with the distance ``away``."""
        return torch.exp(-(self.gamma * away.square() - self.bias).abs())


def root(values: Tensor) -> Tensor:
    """Roots that keep their sign, with a gradient that stays finite at 0."""
    size = values.abs()
    return values.sign() * torch.where(size > 0, size.clamp(min=1e-12).sqrt(), size)


class PEL4VAD(nn.Module):
    """Scores the cells of each lane through time: attention, two layers, and a causal classifier.

    View ``cells``: features ``(B, N, D)`` -> scores ``(B, N)``, smoothed outside of training. ``extra`` holds, per
    instance ``(B, T, P)``, ``plain`` scores and ``held``, and per bag ``(B, C)`` the features of its ``foreground``
    and ``background``.

    >>> model = PEL4VAD(PEL4VADConfig(width=8), {"cells": 3})
    >>> mask = torch.ones(1, 4, dtype=torch.bool)
    >>> view = View(torch.ones(1, 4, 3), torch.zeros(1, 4, 6), -torch.ones(1, 4), mask, ((2, 1, 2),))
    >>> model.eval()({"cells": view}).scores.shape
    torch.Size([1, 4])
    """

    Config: ClassVar[type] = PEL4VADConfig
    views: ClassVar[tuple[str, ...]] = (VIEW,)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"cells": {"steps": 1, "rows": 7, "columns": 7}}
    abilities: ClassVar[MethodAbilities] = MethodAbilities(
        averages_time=True,
        reads_checkpoints=True,
        ablations={
            "proximity as for XD-Violence": {"gamma": 0.06, "bias": 0.02},
            "a wide window": {"window": 33},
            "no roots": {"power_norm": False},
            "unit deviation": {"layer_norm": True},
            "no past": {"taps": 1},
            "not smoothed": {"smooth": "none"},
            "smoothed by blocks": {"smooth": "fixed"},
            "fewer of the best": {"top": 64},
            "sparse and smooth": {"sparsity": 8e-3, "smoothness": 8e-5},
            "no segments": {"segments": None},
        },
    )
    schedule: ClassVar[Training] = Training(steps=60, bags=30, optimizer="adamw", learning_rate=2e-3, validate_every=20)
    source: ClassVar[Provenance] = Provenance(
        title="PEL4VAD", homepage="https://github.com/yujiangpu20/PEL4VAD", licence="MIT", citation="arXiv 2306.14451"
    )
    reach: float | None = None

    def __init__(self, config: PEL4VADConfig, dims: Mapping[str, int]) -> None:
        super().__init__()
        self.config = config
        size = dims[VIEW]
        wide, narrow = config.width or width(512, size), width(300, size)
        self.context = Context(size, config)
        self.norm = nn.LayerNorm(size) if config.layer_norm else nn.Identity()
        self.wide, self.narrow = nn.Linear(size, wide), nn.Linear(wide, narrow)
        self.classifier = nn.Conv1d(narrow, 1, config.taps)
        self.drop = Locked(config.dropout)
        self.texts: Tensor | None = None
        if config.prompts:
            self.scale = nn.Parameter(torch.tensor(math.log(1 / config.temperature)))
        for layer in self.modules():
            if isinstance(layer, nn.Linear | nn.Conv1d):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias if layer.bias is not None else torch.empty(0))

    @staticmethod
    def checkpoint(tensors: Mapping[str, Tensor]) -> Checkpoint:
        """A state dict of the authors' code: of XD-Violence with the classifier of 3 steps, else of UCF-Crime."""
        width, length = tensors["self_attention.linear1.weight"].shape[:2]
        taps = tensors["classifier.weight"].shape[2]
        published = PUBLISHED_XD if taps == PUBLISHED_XD.taps else PUBLISHED
        settings = {**vars(published), "width": width, "taps": taps}
        return Checkpoint(official(tensors), NAMES, length, settings, ten_crops(length))

    def forward(self, bags: Mapping[str, View]) -> Output:
        """Scores ``(B, N)`` of the view ``cells``, 0 where masked and where an instance is all zeros."""
        view = bags[VIEW]
        whole = lanes(view)
        lane = sequences(whole)
        present = whole.steps[lane.bag] if self.config.compat else lane.held
        values = self.norm(lane.features + self.context(lane.features, present))
        values = self.drop(F.gelu(self.wide(values)))
        hidden = self.drop(F.gelu(self.narrow(values))) * present[..., None]
        past = F.pad(hidden.transpose(1, 2), (self.config.taps - 1, 0))
        scores = torch.sigmoid(self.classifier(past)[:, 0])
        extra = {"plain": lane.flat(scores).reshape(whole.held.shape), "held": whole.held}
        if self.config.prompts:
            valid = lane.flat(present)
            for name, values_of in (("foreground", scores), ("background", 1 - scores)):
                extra[name] = lane.sums(sharp_weights(lane.flat(values_of), valid), values)
        if self.training:
            return Output(flat(extra["plain"], view), extra)
        smoothed = lane.flat(smooth(scores, present, self.config)).reshape(whole.held.shape)
        return Output(flat(smoothed, view), extra)

    def loss(self, output: Output, bags: Mapping[str, View], labels: Tensor) -> dict[str, Tensor]:
        """``anomaly``, and ``prompting``, ``smoothness`` and ``sparsity`` with a weight; ``labels`` ``(B,)``.

        A label is 0 for normal and 1 for anomalous bags, or a class of ``prompts`` from 1 on.
        """
        config, scores, held = self.config, output.extra["plain"], output.extra["held"]
        anomalous = labels > 0.5
        rows, present = scores.flatten(1), held.flatten(1)
        best = picks(rows, present, torch.where(anomalous, present.sum(1) // config.top + 1, 1))
        bag = (best * rows).sum(1).clamp(0, 1)
        terms = {"anomaly": F.binary_cross_entropy(bag, anomalous.to(bag.dtype))}
        if config.prompts:
            features, classes = grounds(output.extra["foreground"], output.extra["background"], labels)
            texts = self._texts(features)
            if int(classes.max()) >= len(texts):
                raise ConfigError(f"pel4vad: prompts has {len(texts)} rows, but a label is {int(classes.max())}")
            terms["prompting"] = config.prompting * prompting(features, texts[classes], classes, self.scale)
        if config.smoothness:
            terms["smoothness"] = config.smoothness * unevenness(scores, held, config.compat).mean()
        if config.sparsity:
            terms["sparsity"] = config.sparsity * (rows * present).sum(1).mean()
        return terms

    def _texts(self, like: Tensor) -> Tensor:
        """Text features, read on first use: detection doesn't need them."""
        if self.texts is None:
            self.texts = texts(Path(str(self.config.prompts)))
            if self.texts.ndim != 2 or self.texts.shape[0] < 2 or self.texts.shape[1] != like.shape[1]:
                raise ConfigError(
                    f"pel4vad: prompts {self.config.prompts}: expected (classes, {like.shape[1]}) with background and "
                    f"anomaly at least, got {tuple(self.texts.shape)}; set pel4vad.width to the length of the features"
                )
        return self.texts.to(like)


def sharp_weights(scores: Tensor, valid: Tensor) -> Tensor:
    """Weights ``(B, M)`` of each bag's instances, sharply more where scores are high; they sum to 1 or to 0."""
    weights = torch.expm1(SHARP * scores) * valid
    return weights / weights.sum(1, keepdim=True).clamp(min=1e-12)


def grounds(foreground: Tensor, background: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Features to compare with texts and their classes: of anomalous bags both, of normal ones the foreground."""
    anomalous = labels > 0.5
    classes = torch.cat([labels.long(), labels[anomalous].long() * 0])
    return torch.cat([foreground, background[anomalous]]), classes


def prompting(videos: Tensor, tokens: Tensor, classes: Tensor, scale: Tensor) -> Tensor:
    """KL divergence of the similarity of videos ``(R, C)`` to texts ``(R, C)`` from that of their classes ``(R,)``."""
    alike = scale.exp() * F.normalize(videos, dim=-1) @ F.normalize(tokens, dim=-1).T
    targets = (10 * (classes[:, None] == classes).to(alike.dtype)).softmax(1)
    return (targets * (targets.log() - alike.log_softmax(1))).sum(1).mean()


def unevenness(scores: Tensor, held: Tensor, compat: bool = False) -> Tensor:
    """Squared changes from step to step where both are held ``(B, T, P)``, summed: ``(B,)``.

    ``compat``: the last change of each lane is left out.

    >>> unevenness(torch.tensor([[[0.0], [0.5], [1.0]]]), torch.ones(1, 3, 1).bool()).tolist()
    [0.5]
    """
    if compat:
        held = held & (held.flip(1).cumsum(1).flip(1) > 1)
    return (scores.diff(dim=1).square() * (held[:, 1:] & held[:, :-1])).sum((1, 2))


def smooth(scores: Tensor, present: Tensor, config: PEL4VADConfig) -> Tensor:
    """Means of scores ``(L, T)`` over the next ``kappa`` steps that are present, or over blocks of so many.

    >>> three = PEL4VADConfig(kappa=3)
    >>> smooth(torch.tensor([[0.0, 0.5, 1.0]]), torch.ones(1, 3).bool(), three).tolist()
    [[0.5, 0.75, 1.0]]
    """
    if config.smooth == "none" or not scores.numel():
        return scores
    size, length = config.kappa, scores.shape[1]
    fixed = config.smooth == "fixed"
    both = torch.stack([scores * present, present.to(scores.dtype)])
    ahead = -length % size if fixed else size - 1
    both = F.pad(both, (0, ahead))
    if config.compat:  # steps after the end count as zeros
        both[1] = 1.0
    if not recorded():
        sums, counts = both.unfold(-1, size, size if fixed else 1).sum(-1)
    elif fixed:
        sums, counts = both.reshape(*both.shape[:-1], -1, size).sum(-1)
    else:
        sums, counts = torch.stack([both[..., k : k + length] for k in range(size)]).sum(0)
    means: Tensor = sums / counts.clamp(min=1)
    return means.repeat_interleave(size, dim=1)[:, :length] if fixed else means


def texts(path: Path) -> Tensor:
    """Features in a file, .npy or .safetensors with one tensor; ConfigError if there are none."""
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            (features,) = load_file(path).values()
        else:
            features = torch.from_numpy(np.array(np.load(path, mmap_mode="r", allow_pickle=False)))
    except (SafetensorError, OSError, ValueError, TypeError, MemoryError, OverflowError, SyntaxError) as error:
        raise ConfigError(f"pel4vad: prompts {path}: not one table of text features ({error})") from None
    return features


ATTENTION = "self_attention.self_attn."
NAMES = {
    f"{ATTENTION}q.": "context.query.",
    f"{ATTENTION}k.": "context.key.",
    f"{ATTENTION}v.": "context.value.",
    f"{ATTENTION}o.": "context.out.",
    f"{ATTENTION}alpha": "context.mix",
    "self_attention.loc_adj.w": "context.gamma",
    "self_attention.loc_adj.b": "context.bias",
    "self_attention.norm.": "norm.",
    "self_attention.linear1.": "wide.",
    "self_attention.linear2.": "narrow.",
    "logit_scale": "scale",
}
"""Prefixes of names in the authors' state dict -> our prefixes."""


def official(tensors: Mapping[str, Tensor], config: PEL4VADConfig = PUBLISHED) -> dict[str, Tensor]:
    """Tensors of the official code's checkpoint under our names, less the scale of similarity without ``prompts``."""
    converted = renamed(tensors, NAMES)
    converted |= {name: converted[name].squeeze(-1) for name in ("wide.weight", "narrow.weight") if name in converted}
    return converted if config.prompts else {name: value for name, value in converted.items() if name != "scale"}


PLUGIN = PEL4VAD

"""STPrompt (Wu et al., ACM MM 2024): motion patches added to pictures, a temporal adapter, places by prompts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wherewhen.core import prompts as files
from wherewhen.core.contracts import Classes, MethodAbilities, Output, Provenance, Training, View
from wherewhen.core.errors import ConfigError
from wherewhen.methods._grid import Lanes, flat, lanes
from wherewhen.methods._layers import Bottleneck, Usual, quick, start_from_length
from wherewhen.methods._recorded import recorded, unrecordable
from wherewhen.methods._sequences import mean_of, queries
from wherewhen.methods._settings import demand
from wherewhen.methods._words import ClassTexts, SpatialTexts, alike, best_means, class_loss, separation

VIEW, MOVING, WHOLE, WINDOWS = "cells", "moving", "whole", "windows"
AUTO = "auto"  # the prompts that come along for a backbone
DRAWN = 997  # steps after which the random choice of patches repeats


@dataclass(frozen=True)
class STPromptConfig:
    """Settings of `STPrompt`; the paper's text leaves most of them open.

    Args:
        frame: feature of a whole picture: mean of its patches, or embedding, the backbone's own vector of it, as in
            the paper (CLIP's layer patches_embedding).
        patches: number of patches that represent the motion in a picture; 12 of 49 (ours).
        choose: the patches with most motion (motion), random ones (random), all of them, or none (no SA2 at all).
        weights: of the chosen patches: the softmax of their motion over its deviation (softmax), or their motion over
            its sum (share). The paper's summary, "attention-weighted average", allows both.
        adapter: distance weights other steps by their distance in time, attention by their features, none not at all.
        layers: of the adapter, 2 (ours).
        sigma: initial distance in steps at which a neighbor counts e times less; learned. 1 (ours).
        segments: longer training bags are averaged into this many spans of time; null keeps all.
        top: a bag's score is the mean over its best n // top + 1 of n steps, for each class too; 16 (ours).
        temperature: of the cosines of features and texts, .07 (ours).
        prefix: learned rows before a class name, 10 (ours); only where the backbone reads.
        suffix: learned rows behind it, 10 (ours).
        normal: name of the class of normal videos.
        classes: weight of the class term, 1 (ours).
        separation: weight of the mean |cosine| of normal and each class, .1 (ours).
        standardize: adapter and C-branch get features as deviations from normal training videos (ours), the A-branch
            unchanged ones.
        start: initial scores follow the length of features (length, ours), or the weights are random alone (random).
        place: where in a picture: by words where the backbone reads, with both (ours) among the chosen patches alone;
            else, and with motion, by the chosen patches.
        spatial: what is compared with words: the patches of the grid, or overlapping windows of the picture, each
            encoded by itself (view ``windows``); a patch then has the mean likelihood of the windows that cover it.
        prompts: file of prompts, or one that comes along by its name, for the place by words; auto is the one that
            comes along for the backbone (default for CLIP); null takes class names.
        scale: of cosines before the softmax over all prompts, 100 (ours).
    """

    frame: Literal["mean", "embedding"] = "mean"
    patches: int = 12
    choose: Literal["motion", "random", "all", "none"] = "motion"
    weights: Literal["softmax", "share"] = "softmax"
    adapter: Literal["distance", "attention", "none"] = "distance"
    layers: int = 2
    sigma: float = 1.0
    segments: int | None = 64
    top: int = 16
    temperature: float = 0.07
    prefix: int = 10
    suffix: int = 10
    normal: str = "normal"
    classes: float = 1.0
    separation: float = 0.1
    standardize: bool = True
    start: Literal["length", "random"] = "length"
    place: Literal["words", "both", "motion"] = "words"
    spatial: Literal["patches", "windows"] = "patches"
    prompts: str | None = AUTO
    scale: float = 100.0

    def __post_init__(self) -> None:
        demand("stprompt", self, positive="patches layers segments top", weight="classes separation prefix suffix")
        for name in ("sigma", "temperature", "scale"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ConfigError(f"stprompt: {name} must be above 0, got {getattr(self, name)}")
        if not self.normal.strip():
            raise ConfigError("stprompt: normal is empty; expected a name for normal videos")
        if self.place == "motion" and self.spatial == "windows":
            raise ConfigError("stprompt: windows are compared with words, and place is motion; leave spatial out")


PUBLISHED = STPromptConfig(frame="embedding", segments=256, standardize=False, start="random", spatial="windows")
"""As the paper has it, as far as its summaries tell; other values are those of VadCLIP, by the same group."""

PUBLISHED_TRAINING = Training(steps=1260, bags=64, optimizer="adamw", learning_rate=2e-5, milestones=(0.4, 0.8))
"""10 epochs of UCF-Crime with ten crops as videos of their own, as in VadCLIP."""


class Adapter(nn.Module):
    """A weighted mean over steps and a feed-forward network, both residual; ``(B, T, D)`` -> same, without positions.

    By distance: weights softmax_j(-|i - j| / sigma), only sigma is learned. By attention: one head.
    """

    def __init__(self, size: int, config: STPromptConfig) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(size), nn.LayerNorm(size)
        self.wide, self.narrow = nn.Linear(size, 4 * size), nn.Linear(4 * size, size)
        self.log_sigma = nn.Parameter(torch.tensor(float(np.log(config.sigma))))
        self.look = nn.Linear(size, 3 * size) if config.adapter == "attention" else None
        self.found = nn.Linear(size, size) if config.adapter == "attention" else None

    def forward(self, values: Tensor, held: Tensor) -> Tensor:
        """Values for each step; only ``held`` steps ``(B, T)`` are used."""
        normal = self.before(values)
        heard = by_distance(normal, held, self.log_sigma.exp()) if self.look is None else self._attended(normal, held)
        values = values + heard
        result: Tensor = values + self.narrow(quick(self.wide(self.between(values))))
        return result

    def _attended(self, normal: Tensor, held: Tensor) -> Tensor:
        assert self.look is not None and self.found is not None
        query, key, value = self.look(normal).chunk(3, -1)
        mask = held[:, None] | ~held.any(1)[:, None, None]
        output: Tensor = self.found(F.scaled_dot_product_attention(query, key, value, attn_mask=mask))
        return output


def by_distance(values: Tensor, held: Tensor, sigma: Tensor) -> Tensor:
    """Means ``(B, T, D)`` of held values, weighted by exp(-|i - j| / sigma) for steps i and j.

    >>> by_distance(torch.ones(1, 3, 1), torch.tensor([[True, True, False]]), torch.ones(()))[0, :2, 0].tolist()
    [1.0, 1.0]
    """
    step = torch.arange(values.shape[1], dtype=values.dtype, device=values.device)
    present = held.to(values.dtype)[..., None]
    both = torch.cat([values * present, present], -1)
    parts = [torch.exp(-(step[part, None] - step).abs() / sigma) @ both for part in queries(values.shape[1], 1)]
    sums = torch.cat(parts, 1) if parts else both
    return sums[..., :-1] / sums[..., -1:].clamp(min=1e-9)


def chosen(motion: Tensor, held: Tensor, config: STPromptConfig) -> Tensor:
    """Weight of each patch in its picture ``(B, T, P)``: the softmax of motion over the chosen ones, else 0.

    Motion is measured by its deviation over the picture. With ``weights: share`` a weight is its share of the motion of
    all chosen ones.
    """
    order = motion
    if config.choose == "random":  # the same in every run and batch: a step's draw depends on its number only
        unrecordable("stprompt", "choose: random", "it draws patches, which other programs draw otherwise")
        table = torch.rand(DRAWN, motion.shape[2], generator=torch.Generator().manual_seed(0)).to(motion.device)
        order = table[torch.arange(motion.shape[1], device=motion.device) % DRAWN].expand_as(motion)
    order = order.masked_fill(~held, -torch.inf)
    if config.choose == "all":
        picked = held
    elif recorded():  # without a number of cells that depends on the picture
        picked = (order.argsort(-1, descending=True).argsort(-1) < config.patches) & held
    else:
        best = order.topk(min(config.patches, motion.shape[-1]), -1).indices
        picked = torch.zeros_like(held).scatter(-1, best, True) & held
    if config.weights == "share":
        return F.normalize(motion * picked, p=1, dim=-1, eps=1e-9)
    number = held.sum(-1, keepdim=True).clamp(min=1)
    mean = (motion * held).sum(-1, keepdim=True) / number
    spread = (((motion - mean) * held).square().sum(-1, keepdim=True) / number).sqrt()
    raised = (motion / spread.clamp(min=1e-6)).masked_fill(~picked, -torch.inf)
    return raised.softmax(-1).nan_to_num(0.0)


class STPrompt(nn.Module):
    """Scores whole pictures through time, then localizes in them by words or by motion.

    ``x = mean of patches + sum of w patches`` (SA2, w from motion), ``f = adapter(x)``, ``s = sigmoid(head(f))``, and
    the similarity of f to class names; a patch's score is s times its prominence in its picture. With ``frame:
    embedding`` the backbone's own vector of the picture is in place of the mean.

    Views ``cells`` and ``moving``, one grid of both (``whole`` and ``windows``: one cell, and windows, for each of
    its steps; only where settings need them): scores ``(B, N)``. ``extra``: ``frames`` ``(B, T)`` and ``alike``
    ``(B, T, 1 + C)`` of steps ``held``, ``patches`` ``(B, T, P)`` that SA2 chose, ``texts`` ``(B, 1 + C, D)``, and
    ``classes`` ``(B, N, C)``.

    >>> model = STPrompt(STPromptConfig(), {"cells": 3, "moving": 1}).eval()
    >>> mask, zeros = torch.ones(1, 4, dtype=torch.bool), torch.zeros(1, 4)
    >>> views = [View(torch.ones(1, 4, d), torch.zeros(1, 4, 6), zeros, mask, ((1, 2, 2),)) for d in (3, 1)]
    >>> model(dict(zip(("cells", "moving"), views))).scores.shape
    torch.Size([1, 4])
    """

    Config: ClassVar[type] = STPromptConfig
    stages: ClassVar[int] = 1
    views: ClassVar[tuple[str, ...]] = (VIEW, MOVING, WHOLE, WINDOWS)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "cells": {"steps": 1, "rows": 7, "columns": 7},
        "moving": {"steps": 1, "rows": 7, "columns": 7},
        "regions": {"top": 1, "smooth_cells": 0.0},
    }
    abilities: ClassVar[MethodAbilities] = MethodAbilities(
        predicts_classes=True,
        optional_views={WHOLE: ("frame", "embedding"), WINDOWS: ("spatial", "windows")},
        unnormalized_views=(MOVING,),
        averages_time=True,
        remembers_normal=True,
        ablations={
            "without SA2": {"choose": "none"},
            "random patches": {"choose": "random"},
            "all patches": {"choose": "all"},
            "attention in place of distance": {"adapter": "attention"},
            "no adapter": {"adapter": "none"},
            "without SA2 and adapter": {"choose": "none", "adapter": "none"},
            "weights by the share of motion": {"weights": "share"},
            "features as they are": {"standardize": False},
            "random start": {"start": "random"},
            "no classes": {"classes": 0.0, "separation": 0.0},
            "place by motion": {"place": "motion"},
        },
    )
    schedule: ClassVar[Training] = Training(steps=60, bags=30, optimizer="adamw", learning_rate=2e-3, validate_every=20)
    source: ClassVar[Provenance] = Provenance(
        title="STPrompt",
        homepage="https://arxiv.org/abs/2408.05905",
        citation="Wu et al.: Weakly supervised video anomaly detection and localization with spatio-temporal prompts, "
        "ACM MM 2024",
    )
    reach: float | None = None

    def __init__(self, config: STPromptConfig, dims: Mapping[str, int], classes: Classes | None = None) -> None:
        super().__init__()
        self.config = config
        size, vocabulary = dims[VIEW], classes or Classes()
        count = 0 if config.adapter == "none" else config.layers
        self.adapter = nn.ModuleList([Adapter(size, config) for _ in range(count)])
        self.judge, self.classifier = Bottleneck(size), nn.Linear(size, 1)
        self.usual = Usual(size)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)
        if config.start == "length":
            start_from_length(self.judge, self.classifier)
        self.prompts = ClassTexts("stprompt", vocabulary, size, config.normal, config.prefix, config.suffix)
        self.words = self._spatial(vocabulary, size) if config.place != "motion" else SpatialTexts()

    def _spatial(self, classes: Classes, size: int) -> SpatialTexts:
        """The texts to compare places with; empty without a reader."""
        if classes.reader is None:
            return SpatialTexts()
        if self.config.prompts is None:
            return SpatialTexts(classes.reader, self.prompts.words[:1], self.prompts.words[1:])
        name = classes.reader.abilities.prompts if self.config.prompts == AUTO else self.config.prompts
        prompts = files.read(name)
        return SpatialTexts(classes.reader, prompts.normal, prompts.texts[len(prompts.normal) :])

    def forward(self, bags: Mapping[str, View]) -> Output:
        """Scores ``(B, N)`` of the view ``cells``, 0 where masked and where an instance is all zeros."""
        view, whole = bags[VIEW], lanes(bags[VIEW])
        motion = self._motion(whole, bags[MOVING])
        held = whole.held.any(-1)
        weights = chosen(motion, whole.held, self.config)
        values = self.usual(self.picture_features(whole, weights, bags))
        for layer in self.adapter:
            values = layer(values, held)
        texts = self.prompts()
        frames = torch.sigmoid(self.classifier(self.judge(values)).squeeze(-1)) * held
        like = alike(self.usual.back(values), texts, self.config.temperature)
        scores = frames[..., None] * self.prominence(whole, motion, weights, bags)
        extra = {"frames": frames, "alike": like, "held": held, "patches": weights}
        extra["texts"] = texts.expand(view.mask.shape[0], *texts.shape)
        if not self.training:
            share = like.softmax(-1)[..., 1:, None].expand(*like.shape[:2], like.shape[2] - 1, motion.shape[-1])
            extra["classes"] = torch.stack([flat(share[:, :, c], view) for c in range(share.shape[2])], -1)
        return Output(flat(scores, view), extra)

    def picture_features(self, whole: Lanes, weights: Tensor, bags: Mapping[str, View]) -> Tensor:
        """Features of whole pictures ``(B, T, D)``, including SA2."""
        chosen_patches = None if self.config.choose == "none" else weights
        if self.config.frame == "mean":
            return pictures(whole, chosen_patches)
        vectors = _same_steps(whole, bags[WHOLE], WHOLE).features[:, :, 0]
        if chosen_patches is None:
            return vectors
        return vectors + torch.einsum("btp,btpd->btd", chosen_patches, whole.features)

    def study(self, stage: int, bags: Iterable[tuple[Mapping[str, View], Tensor]]) -> None:
        """`remember` the normal bags."""
        self.remember(views for views, label in bags if float(label) < 0.5)

    def remember(self, bags: Iterable[Mapping[str, View]]) -> None:
        """Learn mean and deviation of each number of the features of pictures of normal videos."""
        if self.config.standardize:
            self.usual.learn(self._held_pictures(views) for views in bags)

    def _held_pictures(self, views: Mapping[str, View]) -> Tensor:
        whole = lanes(views[VIEW])
        weights = chosen(self._motion(whole, views[MOVING]), whole.held, self.config)
        return self.picture_features(whole, weights, views)[whole.held.any(-1)]

    def prominence(self, whole: Lanes, motion: Tensor, weights: Tensor, bags: Mapping[str, View]) -> Tensor:
        """Prominence of each patch in its picture ``(B, T, P)``, at most 1."""
        if len(self.words.texts):
            candidates = whole.held & (weights > 0) if self.config.place == "both" else whole.held
            if self.config.spatial == "patches":
                return stretched(self.words.abnormal(whole.features, self.config.scale), candidates)
            windows = _same_steps(whole, bags[WINDOWS], WINDOWS)
            likely = self.words.abnormal(windows.features, self.config.scale)
            return stretched(covered(likely, windows.held, covers(bags[VIEW], bags[WINDOWS])), candidates)
        strong = motion * (weights > 0)
        most = strong.amax(-1, keepdim=True)
        return torch.where(most > 0, strong / most.clamp(min=1e-9), whole.held.to(most.dtype))

    def _motion(self, whole: Lanes, moving: View) -> Tensor:
        """Motion of each patch ``(B, T, P)``."""
        motions = lanes(moving)
        if motions.features.shape[:3] != whole.features.shape[:3]:
            raise ConfigError(
                f"stprompt: cells {tuple(whole.features.shape[1:3])} and moving "
                f"{tuple(motions.features.shape[1:3])} are not one grid "
                "(steps, cells); set steps, rows and columns of both alike"
            )
        motion: Tensor = motions.features.norm(dim=-1)
        return motion

    def loss(self, output: Output, bags: Mapping[str, View], labels: Tensor) -> dict[str, Tensor]:
        """``anomaly``, ``classes`` and ``separation``; ``labels`` ``(B,)``, 0 = normal, else of `Classes.labels`."""
        config, held, frames = self.config, output.extra["held"], output.extra["frames"]
        bag = best_means(frames[..., None], held, config.top)[:, 0].clamp(0, 1)
        each = F.binary_cross_entropy(bag, (labels > 0.5).to(bag.dtype), reduction="none")
        like = best_means(output.extra["alike"], held, config.top)
        return {
            "anomaly": mean_of(each, held.any(1)),
            "classes": config.classes * class_loss(like, labels, self.prompts.shares, "stprompt"),
            "separation": config.separation * separation(output.extra["texts"][0]),
        }


def _same_steps(whole: Lanes, view: View, name: str) -> Lanes:
    """Lanes of another view; ConfigError unless they have the time steps of the patches."""
    other = lanes(view)
    if other.features.shape[:2] != whole.features.shape[:2]:
        raise ConfigError(
            f"stprompt: {name} has {other.features.shape[1]} steps and cells {whole.features.shape[1]}; "
            "set cells.steps to 1, and frames of a clip as many as its sampling"
        )
    return other


def covers(cells: View, windows: View) -> Tensor:
    """Share ``(P, W)`` of the area of each of P cells of a step that each of W windows covers, of the first bag."""
    sides = []
    for view in (cells, windows):
        shape = view.shapes[0] or (1, 1, int(view.mask[0].sum()))
        sides.append(view.extents[0, : shape[1] * shape[2], 2:])
    (cell, window), none = sides, view.extents.new_zeros(())
    overlap = torch.minimum(cell[:, None, 2:], window[:, 2:]) - torch.maximum(cell[:, None, :2], window[:, :2])
    area: Tensor = torch.maximum(overlap, none).prod(-1) / (cell[:, 2:] - cell[:, :2]).prod(-1, keepdim=True)
    return area


def covered(likely: Tensor, held: Tensor, areas: Tensor) -> Tensor:
    """The logarithm ``(..., P)`` of the mean likelihood of the windows that cover each cell, weighted by ``areas``.

    ``likely`` ``(..., W)``: logarithms of the likelihoods of windows, of which those ``held`` count.

    >>> covered(torch.tensor([0.5, 0.25]).log(), torch.ones(2).bool(), torch.tensor([[1.0, 0.0], [1.0, 1.0]])).exp()
    tensor([[0.5000, 0.3750]])
    """
    logs = areas.clamp(min=0).log()
    total = (logs.unsqueeze(0).masked_fill(~held[..., None, :], -torch.inf)).logsumexp(-1)
    sums = (likely.masked_fill(~held, -torch.inf)[..., None, :] + logs).logsumexp(-1)
    return (sums - total).nan_to_num(-torch.inf, neginf=-torch.inf)


def pictures(whole: Lanes, weights: Tensor | None) -> Tensor:
    """Features of whole pictures ``(B, T, D)``: the mean of held patches, and weighted sums of them on top."""
    shares = whole.held / whole.held.sum(-1, keepdim=True).clamp(min=1)
    if weights is not None:
        shares = shares + weights
    return torch.einsum("btp,btpd->btd", shares, whole.features)


def stretched(logs: Tensor, held: Tensor) -> Tensor:
    """Held shares, given by their logarithms ``(..., P)``, so that the highest of a picture is 1 and the lowest 0.

    Independent of their scale; where they are equal, all are 1.

    >>> stretched(torch.tensor([-200.0, -200.6931, -300.0]), torch.ones(3).bool()).round(decimals=3).tolist()
    [1.0, 0.5, 0.0]
    """
    top = logs.masked_fill(~held, -torch.inf).amax(-1, keepdim=True).nan_to_num(0.0, 0.0, 0.0)
    rows = (logs - top).masked_fill(~held, -torch.inf).exp()
    low = rows.masked_fill(~held, 1.0).amin(-1, keepdim=True)
    shares: Tensor = torch.where(low < 1, (rows - low) / (1 - low).clamp(min=1e-9), rows) * held
    return shares


PLUGIN = STPrompt

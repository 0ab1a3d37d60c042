"""VadCLIP (Wu et al., AAAI 2024): attention in windows and two graphs over time, then scores and class names."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wherewhen.core.contracts import Checkpoint, Classes, MethodAbilities, Output, Provenance, Training, View
from wherewhen.core.errors import ConfigError
from wherewhen.methods._grid import flat, lanes, width
from wherewhen.methods._layers import Bottleneck, Usual, quick, start_from_length
from wherewhen.methods._published import CLIP, SEQUENCE
from wherewhen.methods._recorded import put_back, recorded
from wherewhen.methods._sequences import ROOM, Sequences, mean_of, renamed, sequences
from wherewhen.methods._settings import demand
from wherewhen.methods._words import ClassTexts, alike, best_means, class_loss, separation

VIEW = "cells"
START = 0.1  # with ``skip``: initial scale of the output of the temporal layers, as a share of the authors'


@dataclass(frozen=True)
class VadCLIPConfig:
    """Settings of `VadCLIP`; `PUBLISHED` holds those for UCF-Crime, `PUBLISHED_XD` those for XD-Violence.

    Args:
        length: steps of a sequence, 256 in the paper; longer videos are processed in pieces of it.
        layers: of windowed attention, 2 (UCF), 1 (XD).
        window: steps that attend to each other, 8 (UCF), 64 (XD); windows don't overlap.
        width: of the graph layers; null = 256 as published, less where features are short.
        alike: cosine from which steps are neighbors in the graph of similarity, .7 in the official code.
        segments: longer training bags are averaged into this many spans of time, 256 in the paper; null keeps all.
        top: a bag's score is the mean over its best n // top + 1 of n instances, for each class too; 16 in the paper.
        temperature: of the cosines of features and texts, .07 in the official code.
        visual: add the features of a lane's high scores to the texts (visual prompt), on in the paper.
        score: binary takes the scores of the first branch, classes 1 - the likelihood of normal; the paper reports
            the better one of the two on the test set.
        prefix: learned rows before a class name, 10 in the paper; only where the backbone reads.
        suffix: learned rows behind it, 10 in the paper.
        normal: name of the class of normal videos.
        classes: weight of the class term, 1 in the paper.
        separation: weight of the mean |cosine| of normal and each class, .1 (UCF), 1e-4 (XD).
        standardize: all but the text branch gets features as deviations from normal training videos; ours, off in the
            paper.
        skip: add the features to the output of the temporal layers; ours, off in the paper.
        compat: as the official code: padding up to ``length`` is attended to, in graphs and in the visual prompt.
    """

    length: int = 256
    layers: int = 2
    window: int = 8
    width: int | None = None
    alike: float = 0.7
    segments: int | None = 64
    top: int = 64
    temperature: float = 0.07
    visual: bool = True
    score: Literal["binary", "classes"] = "binary"
    prefix: int = 10
    suffix: int = 10
    normal: str = "normal"
    classes: float = 1.0
    separation: float = 0.1
    standardize: bool = True
    skip: bool = True
    compat: bool = False

    def __post_init__(self) -> None:
        demand("vadclip", self, positive="length layers window width segments top", weight="classes separation")
        demand("vadclip", self, weight="prefix suffix", share="alike")
        if not 0 < self.temperature < float("inf"):
            raise ConfigError(f"vadclip: temperature must be above 0, got {self.temperature}")
        if not self.normal.strip():
            raise ConfigError("vadclip: normal is empty; expected a name for normal videos")


PUBLISHED = VadCLIPConfig(segments=256, top=16, standardize=False, skip=False, compat=True)
"""As published for UCF-Crime, for one cell of the whole picture and CLIP's embeddings (512)."""

PUBLISHED_XD = VadCLIPConfig(
    segments=256, top=16, layers=1, window=64, separation=1e-4, standardize=False, skip=False, compat=True
)

PUBLISHED_TRAINING = Training(steps=1260, bags=64, optimizer="adamw", learning_rate=2e-5, milestones=(0.4, 0.8))
"""10 epochs of UCF-Crime with ten crops as videos of their own."""

PUBLISHED_XD_TRAINING = Training(steps=410, bags=48, optimizer="adamw", learning_rate=1e-5, milestones=(0.3, 0.6))
"""10 epochs of XD-Violence with one crop, half of the 96 videos of a step of each label."""

UCF_CLASSES = (
    "abuse", "arrest", "arson", "assault", "burglary", "explosion", "fighting", "roadaccidents", "robbery", "shooting",
    "shoplifting", "stealing", "vandalism",
)  # fmt: skip
"""Names of the classes of UCF-Crime that the authors' code encodes, in its order; ``normal`` is before them."""

XD_CLASSES = ("fighting", "shooting", "riot", "abuse", "car accident", "explosion")


class Block(nn.Module):
    """Attention within windows of time and two linear layers, each added to its input; ``(L, T, D)`` -> same."""

    def __init__(self, size: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.before, self.between = nn.LayerNorm(size), nn.LayerNorm(size)
        self.look, self.found = nn.Linear(size, 3 * size), nn.Linear(size, size)
        self.wide, self.narrow = nn.Linear(size, 4 * size), nn.Linear(4 * size, size)

    def forward(self, values: Tensor, present: Tensor) -> Tensor:
        """Values for each step; it attends to steps that are ``present`` ``(L, T)`` and to itself."""
        count, steps, size = values.shape
        window = min(self.window, steps)
        more = -steps % window
        projected = F.pad(self.look(self.before(values)), (0, 0, 0, more)).reshape(-1, window, 3 * size)
        mask = F.pad(present, (0, more)).reshape(-1, 1, window) | torch.eye(
            window, dtype=torch.bool, device=present.device
        )
        query, key, value = projected.chunk(3, -1)
        heard = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        values = values + self.found(heard.reshape(count, steps + more, size)[:, :steps])
        result: Tensor = values + self.narrow(quick(self.wide(self.between(values))))
        return result


class Graph(nn.Module):
    """Mapped features of neighbors in a graph plus a step's own features; ``(L, T, D)`` -> ``(L, T, E)``."""

    def __init__(self, size: int, out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(size, out)))
        self.own = nn.Conv1d(size, out, 5, padding=2) if size != out else None

    def forward(self, values: Tensor, neighbors: Tensor) -> Tensor:
        """Output of each step; ``neighbors`` ``(L, T, T)`` or ``(T, T)``."""
        skip = values if self.own is None else self.own(values.transpose(1, 2)).transpose(1, 2)
        return quick(neighbors @ (values @ self.weight) + skip)


def similarity(values: Tensor, held: Tensor, least: float) -> Tensor:
    """Graph of similarity ``(L, T, T)`` of held steps: the softmax of cosines, those up to ``least`` counted as 0.

    >>> values = torch.tensor([[[1.0, 0], [1, 0], [0, 1]]])
    >>> similarity(values, torch.tensor([[True, True, False]]), 0.7)[0].tolist()
    [[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 0.0]]
    """
    unit = F.normalize(values, dim=-1, eps=1e-20)
    cosines = unit @ unit.transpose(1, 2)
    cosines = torch.where(cosines > least, cosines, torch.zeros_like(cosines))
    both = held[:, :, None] & held[:, None]
    return cosines.masked_fill(~held[:, None], -1e9).softmax(-1) * both


def proximity(steps: int, like: Tensor) -> Tensor:
    """Graph of distance ``(T, T)``: exp(-|i - j| / e), not normalized."""
    step = torch.arange(steps, dtype=like.dtype, device=like.device)
    return torch.exp(-(step[:, None] - step).abs() / math.e)


class Temporal(nn.Module):
    """Positions, windowed attention and two paths of graph layers; ``(L, T, D)`` -> same (section 3.3 of the paper)."""

    def __init__(self, size: int, config: VadCLIPConfig) -> None:
        super().__init__()
        self.config = config
        inner = config.width or width(256, size)
        self.places = nn.Parameter(0.01 * torch.randn(config.length, size))
        self.blocks = nn.ModuleList([Block(size, config.window) for _ in range(config.layers)])
        self.like = nn.ModuleList([Graph(size, inner), Graph(inner, inner)])
        self.near = nn.ModuleList([Graph(size, inner), Graph(inner, inner)])
        self.join = nn.Linear(2 * inner, size)

    def forward(self, values: Tensor, present: Tensor, held: Tensor) -> Tensor:
        """Features in context of ``present`` steps ``(L, T)``, in the graph of similarity of ``held`` ones."""
        attended = self.attended(values, present)
        alike, close = similarity(attended, held, self.config.alike), proximity(values.shape[1], values)
        first, second = attended, attended
        for like_layer, near_layer in zip(self.like, self.near, strict=True):
            first, second = (
                like_layer(first, alike) * present[..., None],
                near_layer(second, close) * present[..., None],
            )
        joined: Tensor = self.join(torch.cat([first, second], -1))
        return values + joined if self.config.skip else joined

    def attended(self, values: Tensor, present: Tensor) -> Tensor:
        """The first half: positions and attention."""
        values = values + self.places[: values.shape[1]]
        for block in self.blocks:
            values = block(values, present)
        return values * present[..., None]


class VadCLIP(nn.Module):
    """Scores the cells of each lane through time, and their similarity to class names.

    View ``cells``: features ``(B, N, D)`` -> scores ``(B, N)``. ``extra`` holds, per instance of a lane ``(B, T * P)``:
    ``plain`` scores, ``alike`` ``(B, T * P, 1 + C)`` and ``held``; per bag ``texts`` ``(B, 1 + C, D)``; and
    ``classes`` ``(B, N, C)``, the likelihood of each class.

    >>> model = VadCLIP(VadCLIPConfig(), {"cells": 3}).eval()
    >>> mask = torch.ones(1, 4, dtype=torch.bool)
    >>> view = View(torch.ones(1, 4, 3), torch.zeros(1, 4, 6), -torch.ones(1, 4), mask, ((2, 1, 2),))
    >>> answer = model({"cells": view})
    >>> answer.scores.shape, answer.extra["classes"].shape
    (torch.Size([1, 4]), torch.Size([1, 4, 1]))
    """

    Config: ClassVar[type] = VadCLIPConfig
    stages: ClassVar[int] = 1
    views: ClassVar[tuple[str, ...]] = (VIEW,)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"cells": {"steps": 1, "rows": 7, "columns": 7}}
    abilities: ClassVar[MethodAbilities] = MethodAbilities(
        predicts_classes=True,
        reads_checkpoints=True,
        averages_time=True,
        remembers_normal=True,
        ablations={
            "as for XD-Violence": {"layers": 1, "window": 64, "separation": 1e-4},
            "no visual prompt": {"visual": False},
            "no prompts before and behind": {"prefix": 0, "suffix": 0},
            "scores of the classes": {"score": "classes"},
            "no classes": {"classes": 0.0, "separation": 0.0},
            "classes may be near": {"separation": 0.0},
            "more of the best": {"top": 16},
            "no segments": {"segments": None},
            "features as they are": {"standardize": False},
            "time in place of features": {"skip": False},
            "padding counts": {"compat": True},
        },
    )
    schedule: ClassVar[Training] = Training(steps=60, bags=30, optimizer="adamw", learning_rate=2e-3, validate_every=20)
    source: ClassVar[Provenance] = Provenance(
        title="VadCLIP", homepage="https://github.com/nwpu-zxr/VadCLIP", licence="Apache-2.0",
        citation="Wu et al.: VadCLIP: adapting vision-language models for weakly supervised video anomaly detection, "
        "AAAI 2024, arXiv 2308.11681",
    )  # fmt: skip
    reach: float | None = None

    def __init__(self, config: VadCLIPConfig, dims: Mapping[str, int], classes: Classes | None = None) -> None:
        super().__init__()
        self.config = config
        size = dims[VIEW]
        self.context = Temporal(size, config)
        self.judge, self.classifier = Bottleneck(size), nn.Linear(size, 1)
        self.refine, self.usual = Bottleneck(size), Usual(size)
        self.prompts = ClassTexts("vadclip", classes or Classes(), size, config.normal, config.prefix, config.suffix)
        for layer in self.modules():
            if isinstance(layer, nn.Linear | nn.Conv1d):
                nn.init.xavier_uniform_(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        if config.skip:
            with torch.no_grad():
                self.context.join.weight *= START
            start_from_length(self.judge, self.classifier)

    @staticmethod
    def checkpoint(tensors: Mapping[str, Tensor]) -> Checkpoint:
        """A state dict of the authors' code: of UCF-Crime with two layers of attention, of XD-Violence with one."""
        length = tensors["frame_position_embeddings.weight"].shape[1]
        count = len(_layers(tensors))
        published, classes = (PUBLISHED_XD, XD_CLASSES) if count == 1 else (PUBLISHED, UCF_CLASSES)
        sizes = {"length": len(tensors["frame_position_embeddings.weight"]), "layers": count}
        sizes["width"] = tensors["gc1.weight"].shape[1]
        return Checkpoint(
            official(tensors), _names(tensors), length, {**vars(published), **sizes}, {**CLIP, **SEQUENCE},
            absent=("usual.", "prompts.texts"), encoded=("prompts.context",), classes=classes,
        )  # fmt: skip

    def forward(self, bags: Mapping[str, View]) -> Output:
        """Scores ``(B, N)`` of the view ``cells``, 0 where masked and where an instance is all zeros."""
        view = bags[VIEW]
        whole = lanes(view)
        lane = sequences(whole)
        texts = self.prompts()
        logits, like = self.lanes(lane, texts)
        plain, share = torch.sigmoid(logits), like.softmax(-1)
        scores = lane.flat(plain if self.config.score == "binary" else 1 - share[..., 0])
        extra = {
            "plain": lane.flat(plain),
            "alike": by_bag(lane, like),
            "held": whole.held.flatten(1),
            "texts": texts.expand(len(view.mask), *texts.shape),
        }
        if not self.training:
            columns = [flat(lane.flat(column), view) for column in share[..., 1:].unbind(-1)]
            extra["classes"] = torch.stack(columns, -1)
        return Output(flat(scores, view), extra)

    def lanes(self, lane: Sequences, texts: Tensor) -> tuple[Tensor, Tensor]:
        """Logits ``(L, T)`` and similarity to texts ``(L, T, 1 + C)`` of lanes, a piece of ``length`` at a time."""
        steps, length = lane.held.shape[1], self.config.length
        size = length if self.config.compat or recorded() else min(length, max(1, steps))
        more = -steps % size
        values = F.pad(lane.features, (0, 0, 0, more)).reshape(-1, size, lane.features.shape[-1])
        held = F.pad(lane.held, (0, more)).reshape(-1, size)
        groups = [slice(None)] if recorded() else parted(len(values), size)
        parts = [self.pieces(values[rows], held[rows], texts) for rows in groups]
        logits, like = (
            torch.cat(outputs).reshape(lane.held.shape[0], steps + more, *outputs[0].shape[2:])
            for outputs in zip(*parts, strict=True)
        )
        return logits[:, :steps], like[:, :steps]

    def pieces(self, values: Tensor, held: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
        """Logits ``(L, T)`` and similarity to texts ``(L, T, 1 + C)`` of features ``(L, T, D)``."""
        present = torch.ones_like(held) if self.config.compat else held
        values = self.context(self.usual(values) * held[..., None], present, held)
        logits = self.classifier(self.judge(values)).squeeze(-1)
        values = self.usual.back(values)
        prompted = texts.expand(values.shape[0], *texts.shape)
        if self.config.visual:
            shown = torch.einsum("lt,ltd->ld", logits * present, values)
            prompted = prompted + F.normalize(shown, dim=-1)[:, None]
        return logits, alike(values, self.refine(prompted), self.config.temperature)

    def study(self, stage: int, bags: Iterable[tuple[Mapping[str, View], Tensor]]) -> None:
        """`remember` the normal bags."""
        self.remember(views for views, label in bags if float(label) < 0.5)

    def remember(self, bags: Iterable[Mapping[str, View]]) -> None:
        """Learn mean and deviation of each number of the features of cells of normal videos."""
        if self.config.standardize:
            normal = (lanes(views[VIEW]) for views in bags)
            self.usual.learn(whole.features[whole.held] for whole in normal)

    def loss(self, output: Output, bags: Mapping[str, View], labels: Tensor) -> dict[str, Tensor]:
        """``anomaly``, ``classes`` and ``separation``; ``labels`` ``(B,)``, 0 = normal, else of `Classes.labels`."""
        config, held = self.config, output.extra["held"]
        anomalous = (labels > 0.5).to(output.extra["plain"].dtype)
        nonempty = held.any(1)
        bag = best_means(output.extra["plain"][..., None], held, config.top)[:, 0].clamp(0, 1)
        like = best_means(output.extra["alike"], held, config.top)
        each = F.binary_cross_entropy(bag, anomalous, reduction="none")
        return {
            "anomaly": mean_of(each, nonempty),
            "classes": config.classes * class_loss(like, labels, self.prompts.shares, "vadclip"),
            "separation": config.separation * separation(output.extra["texts"][0]),
        }


def by_bag(lane: Sequences, values: Tensor) -> Tensor:
    """Values ``(L, T, C)`` of lanes as ``(B, T * P, C)``, 0 for empty lanes."""
    return put_back(values, lane.used).transpose(1, 2).flatten(1, 2)


def parted(count: int, size: int) -> Iterator[slice]:
    """Pieces of ``size`` steps in groups whose graphs fit into memory, for use without gradients."""
    group = count if torch.is_grad_enabled() else ROOM // (size * size)
    return (slice(start, start + max(1, group)) for start in range(0, max(1, count), max(1, group)))


def official(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of the authors' code under our names, for ``load_state_dict``, without its frozen CLIP.

    For a method with a reader; without one load it with ``strict=False``, which leaves the prompts out.
    """
    selected = {k: v for k, v in tensors.items() if not k.startswith(("clipmodel.", "disAdj."))}
    return renamed(selected, _names(tensors))


def _layers(tensors: Mapping[str, Tensor]) -> set[int]:
    """Numbers of the layers of attention."""
    return {int(name.split(".")[2]) for name in tensors if name.startswith("temporal.resblocks.")}


def _names(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Prefixes of names in the authors' state dict -> our prefixes."""
    names = {
        "frame_position_embeddings.weight": "context.places",
        "gc1.residual.": "context.like.0.own.", "gc1.": "context.like.0.", "gc2.": "context.like.1.",
        "gc3.residual.": "context.near.0.own.", "gc3.": "context.near.0.", "gc4.": "context.near.1.",
        "linear.": "context.join.", "mlp2.c_fc.": "judge.wide.", "mlp2.c_proj.": "judge.narrow.",
        "mlp1.c_fc.": "refine.wide.", "mlp1.c_proj.": "refine.narrow.",
        "text_prompt_embeddings.weight": "prompts.context",
    }  # fmt: skip
    for k in _layers(tensors):
        source, target = f"temporal.resblocks.{k}.", f"context.blocks.{k}."
        names |= {
            f"{source}attn.in_proj_": f"{target}look.", f"{source}attn.out_proj.": f"{target}found.",
            f"{source}ln_1.": f"{target}before.", f"{source}ln_2.": f"{target}between.",
            f"{source}mlp.c_fc.": f"{target}wide.", f"{source}mlp.c_proj.": f"{target}narrow.",
        }  # fmt: skip
    return names


PLUGIN = VadCLIP

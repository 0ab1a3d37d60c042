"""Mutually-guided progressive refinement (WSSTAD, Wu et al., IJCAI 2021): tubes for places, videolets for times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wherewhen.core.contracts import MethodAbilities, Output, Provenance, Training, View
from wherewhen.core.errors import ConfigError
from wherewhen.methods._branch import Branch, holds, random_rows, subset
from wherewhen.methods._grid import width
from wherewhen.methods._settings import demand

TUBES, FRAMES, VIDEOLETS = "tubes", "tube_frames", "videolets"
UNSTUDIED, TEMPORAL, TUBE = -1, 0, 1


@dataclass(frozen=True)
class MGPRConfig:
    """Settings of `MGPR`; `PUBLISHED` holds the paper's.

    Args:
        width: of instances inside a branch; features of another length first pass a linear layer, which the paper does
            not have. Null: 512, less for features far shorter; a multiple of ``heads``.
        heads: of the attention, 8 in the paper.
        hidden: of the head's first layer (ReLU), 512 in Sultani et al., CVPR 2018; null: less for short features.
        middle: of the head's second layer, which is linear; 32 in Sultani et al.
        dropout: in the head, .6 as in Sultani et al.
        locked_dropout: dropout has one mask for all instances of a bag; false: one for each instance, as published.
        instances: number of tubes of a bag in training, a random subset; 200 in the paper. Null: all.
        segments: longer bags of videolets are averaged into this many spans of time in training, 32 in Sultani et al.
        relation: how instances are related: attention in the paper, graph in a row of its table 4, or none.
        branches: both, or the tube or the temporal one alone (table 2).
        ranking: guided by the other branch (equations 4 to 6), plain as in Sultani et al., or none (table 3).
        entropy: whether the best instances also learn the label by cross-entropy (equation 7; table 3).
        pairs: every anomalous bag against every normal one, or the i-th against the i-th.
        prior: start from "the longer its normalized features, the more anomalous", with score 0.5 at this length (root
            of the mean square; 1 is usual); null starts at random, as in the paper, and may not find the anomaly
            in few videos.
    """

    width: int | None = None
    heads: int = 8
    hidden: int | None = None
    middle: int = 32
    dropout: float = 0.6
    locked_dropout: bool = True
    instances: int | None = 200
    segments: int | None = 32
    relation: Literal["attention", "graph", "none"] = "attention"
    branches: Literal["both", "tube", "temporal"] = "both"
    ranking: Literal["guided", "plain", "none"] = "guided"
    entropy: bool = True
    pairs: Literal["all", "matched"] = "all"
    prior: float | None = 2.0

    def __post_init__(self) -> None:
        demand("mgpr", self, positive="width heads hidden middle instances segments", share="dropout")
        if self.prior is not None and not 0 < self.prior < float("inf"):
            raise ConfigError(f"mgpr: prior must be above 0 or null, got {self.prior}")
        if self.width and self.width % self.heads:
            raise ConfigError(f"mgpr: width must be a multiple of heads = {self.heads}, got {self.width}")
        if self.ranking == "none" and not self.entropy:
            raise ConfigError("mgpr: without ranking and entropy there is no loss; keep one of them")


PUBLISHED = MGPRConfig(width=4096, hidden=512, locked_dropout=False, prior=None)
"""The paper's settings; its features are C3D's fc6 (4096) of crops, so that there is no first layer."""

PUBLISHED_TRAINING = Training(steps=5400, bags=30, optimizer="adam", learning_rate=5e-4, weight_decay=5e-4)
"""Adam, rate and bags are the paper's; steps (200 passes over 810 videos) and decay are not published."""


class MGPR(nn.Module):
    """Two branches of one structure, for tubes and for videolets; each weighs the ranking of the other.

    Views: ``tubes`` (inside their boxes), ``tube_frames`` (the same rows, whole pictures of their time) and
    ``videolets``. Scores ``(B, N)`` of the tubes: ``(p_t(tube) + p_v(its whole pictures)) / 2`` (equation 9).
    ``extra`` holds logits of each branch's own instances, ``tube`` ``(B, K)`` and ``temporal`` ``(B, M)``, and those
    of the other branch for them, ``tube_guide`` and ``temporal_guide``, without gradients.

    >>> model = MGPR(MGPRConfig(), dict.fromkeys(MGPR.views, 6))
    >>> model.stages
    1
    """

    Config: ClassVar[type] = MGPRConfig
    views: ClassVar[tuple[str, ...]] = (TUBES, FRAMES, VIDEOLETS)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    abilities: ClassVar[MethodAbilities] = MethodAbilities(
        averages_time=True,
        samples_instances=True,
        ablations={
            "temporal branch alone": {"branches": "temporal"},
            "tube branch alone": {"branches": "tube"},
            "plain ranking alone": {"ranking": "plain", "entropy": False},
            "guided ranking alone": {"entropy": False},
            "cross-entropy alone": {"ranking": "none"},
            "plain ranking and cross-entropy": {"ranking": "plain"},
            "multivariate tubes": {"tubes": {"shape": {"multivariate": True}}},
            "no multivariate tubes": {"tubes": {"shape": {"multivariate": False}}},
            "no manner": {"tubes": {"manner": False}},
            "no relation": {"relation": "none"},
            "graph convolution": {"relation": "graph"},
            "neither multivariate tubes nor relation": {
                "relation": "none",
                "tubes": {"shape": {"multivariate": False}},
            },
            "no prior": {"prior": None},
            "no dropout": {"dropout": 0.0},
        },
    )
    schedule: ClassVar[Training] = Training(
        steps=150, bags=30, optimizer="adamw", learning_rate=1e-3, weight_decay=1e-2
    )
    source: ClassVar[Provenance] = Provenance(
        title="Mutually-guided progressive refinement (MGPR)",
        homepage="https://arxiv.org/abs/2108.03825",
        citation="Wu et al., Weakly-supervised spatio-temporal anomaly detection in surveillance video, IJCAI 2021",
    )
    stages = 1
    turn: Tensor

    def __init__(self, config: MGPRConfig, dims: Mapping[str, int]) -> None:
        super().__init__()
        size = dims[TUBES]
        if dims[FRAMES] != dims[VIDEOLETS] or dims[FRAMES] > size:
            lengths = ", ".join(f"{name} {length}" for name, length in dims.items())
            raise ConfigError(
                f"mgpr: {FRAMES} and {VIDEOLETS} have features of one length, {TUBES} no less; got {lengths}"
            )
        wide = config.width or max(1, width(512, size) // config.heads) * config.heads
        shape = (size, wide, config.relation, config.heads, config.hidden or width(512, size), config.middle)
        self.config = config
        more = config.dropout, config.prior, config.locked_dropout
        self.tube = Branch(*shape, *more) if config.branches != "temporal" else None
        self.temporal = Branch(*shape, *more) if config.branches != "tube" else None
        self.reach: float | None = 0.0 if config.relation == "none" else None
        self.register_buffer("turn", torch.tensor(UNSTUDIED))

    def study(self, stage: int, bags: Iterable[tuple[Mapping[str, View], Tensor]]) -> None:
        """From now on the branches alternate, the temporal one first; the bags are not read."""
        self.turn.fill_(TUBE)

    def forward(self, bags: Mapping[str, View]) -> Output:
        """Scores ``(B, N)`` of the view ``tubes``, 0 where masked and where an instance is all zeros."""
        whole = bags[TUBES]
        frames, videolets = (as_long(bags[name], whole.features.shape[-1]) for name in (FRAMES, VIDEOLETS))
        if whole.mask.shape != frames.mask.shape:
            raise ConfigError(f"mgpr: {TUBES} and {FRAMES} are the same instances; their builders disagree")
        if self.training and int(self.turn) != UNSTUDIED:
            self.turn.fill_(TUBE if int(self.turn) == TEMPORAL else TEMPORAL)
        chosen = random_rows(whole, self.config.instances if self.training else None)
        tubes, frames = (view if chosen is None else subset(view, chosen) for view in (whole, frames))
        extra = self._branches(tubes, frames, videolets)
        scores = self._scores(extra, tubes, frames)
        if chosen is not None:
            scores = torch.zeros_like(whole.mask, dtype=scores.dtype).scatter(1, chosen, scores)
        return Output(scores, extra)

    def _branches(self, tubes: View, frames: View, videolets: View) -> dict[str, Tensor]:
        """Logits of both branches, with gradients for the branch in training, and of each other's instances."""
        extra = {}
        for name, branch, view in (("tube", self.tube, tubes), ("temporal", self.temporal, videolets)):
            if branch is not None:
                with torch.set_grad_enabled(torch.is_grad_enabled() and self._learns(name)):
                    extra[name] = branch(view)
        with torch.no_grad():
            if self.temporal is not None:
                extra["tube_guide"] = self.temporal.guests(frames, videolets)
            if self.tube is not None and self.temporal is not None:
                extra["temporal_guide"] = self.tube.guests(videolets, tubes)
        return extra

    def _learns(self, name: str) -> bool:
        """Whether a branch is in training now; outside of training both are."""
        turn = int(self.turn) if self.training and self.config.branches == "both" else UNSTUDIED
        return turn == UNSTUDIED or turn == (TUBE if name == "tube" else TEMPORAL)

    def _scores(self, extra: Mapping[str, Tensor], tubes: View, frames: View) -> Tensor:
        logits = [(extra[name], view) for name, view in (("tube", tubes), ("tube_guide", frames)) if name in extra]
        parts = [torch.sigmoid(values) * holds(view) for values, view in logits]
        return torch.stack(parts).mean(0) * tubes.mask

    def loss(self, output: Output, bags: Mapping[str, View], labels: Tensor) -> dict[str, Tensor]:
        """``tube_ranking``, ``temporal_ranking`` and ``entropy``, 0 for a branch not in training.

        ``labels`` ``(B,)``, 1 = anomalous.
        """
        extra, none = output.extra, output.scores.sum() * 0
        terms = {"tube_ranking": none, "temporal_ranking": none, "entropy": none}
        for name in ("tube", "temporal"):
            if name not in extra or not self._learns(name):
                continue
            logits, best = extra[name].max(1)
            guide = torch.ones_like(logits)
            if self.config.ranking == "guided" and self.config.branches == "both":
                guide = torch.sigmoid(extra[f"{name}_guide"].gather(1, best[:, None])[:, 0]).detach()
            if self.config.ranking != "none":
                terms[f"{name}_ranking"] = guided(torch.sigmoid(logits), guide, labels > 0.5, self.config.pairs)
            if self.config.entropy:
                terms["entropy"] = terms["entropy"] + entropy(logits, labels)
        return terms


def as_long(view: View, length: int) -> View:
    """A view whose features are padded to ``length`` with zeros, the mean of normalized features."""
    missing = length - view.features.shape[-1]
    return view if missing == 0 else replace(view, features=F.pad(view.features, (0, missing)))


def guided(tops: Tensor, guides: Tensor, anomalous: Tensor, pairs: str = "all") -> Tensor:
    """Mean over pairs of ``max(0, g_a (1 - a + n))`` for bag scores ``(B,)`` and guides ``(B,)`` (equations 4, 5).

    Where one kind is missing, the other is ranked against its target score: 1 or 0.

    >>> guided(torch.tensor([0.75, 0.25]), torch.tensor([0.5, 9.0]), torch.tensor([True, False])).item()
    0.25
    """
    high, weight, low = tops[anomalous], guides[anomalous], tops[~anomalous]
    if not len(high):
        high, weight = torch.ones_like(low), torch.ones_like(low)
    if not len(low):
        low = torch.zeros_like(high)
    if pairs == "matched":
        count = min(len(high), len(low))
        return (weight[:count] * (1 - high[:count] + low[:count])).clamp(min=0).mean()
    return (weight[:, None] * (1 - high[:, None] + low)).clamp(min=0).mean()


def entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """``-log p`` of anomalous and ``-log(1 - p)`` of normal bags, the mean of each kind (equation 7)."""
    each = F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype), reduction="none")
    kinds = [each[chosen].mean() for chosen in (labels > 0.5, labels <= 0.5) if chosen.any()]
    return torch.stack(kinds).sum()


PLUGIN = MGPR

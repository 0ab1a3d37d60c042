"""Deep multiple instance ranking (Sultani, Chen and Shah, CVPR 2018), run in every cell of the picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from wherewhen.core.contracts import Checkpoint, MethodAbilities, Output, Provenance, Training, View
from wherewhen.methods._bags import lane_count, unevenness
from wherewhen.methods._grid import flat, lanes, segments, spread, width
from wherewhen.methods._published import C3D, SEQUENCE
from wherewhen.methods._recorded import picked, put_back
from wherewhen.methods._sequences import Locked, mean_of, renamed, sequences
from wherewhen.methods._settings import demand

VIEW = "cells"


@dataclass(frozen=True)
class DMRMConfig:
    """Settings of `DMRM`; `PUBLISHED` holds the paper's.

    Args:
        width: of the first layer (ReLU); null: 512 as published, less for features far shorter than 4096.
        middle: width of the second layer, which is linear; 32 in the paper.
        dropout: after both layers; .6 in the paper.
        locked_dropout: dropout has one mask for all steps of a lane; false: one for each instance, as published.
        segments: longer training bags are averaged into this many spans of time, 32 in the paper; null keeps all.
        pairs: every anomalous bag against every normal one (the authors' code), or the i-th against the i-th.
        sparsity: weight of the sum of an anomalous bag's scores in time, mean over its cells; 8e-5 in the paper.
        smoothness: weight of squared changes in time, likewise; 8e-5 in the paper.
        penalty: weight of the squared weights of all layers, .001 in the authors' code; few videos need more.
        compat: count the loss as the public codes do: with all pairs, sums over anomalous bags instead of means; with
            matched pairs, lengths of weights and biases together instead of squared weights.
    """

    width: int | None = None
    middle: int = 32
    dropout: float = 0.0
    locked_dropout: bool = True
    segments: int | None = 32
    pairs: Literal["all", "matched"] = "all"
    sparsity: float = 8e-5
    smoothness: float = 8e-5
    penalty: float = 0.03
    compat: bool = False

    def __post_init__(self) -> None:
        demand("dmrm", self, positive="width middle segments", share="dropout", weight="sparsity smoothness penalty")


PUBLISHED = DMRMConfig(width=512, dropout=0.6, locked_dropout=False, penalty=1e-3, compat=True)
"""The paper's settings; its features are C3D's fc6 on a 1 x 1 grid with ``l2``."""

PUBLISHED_TRAINING = Training(steps=20_000, bags=30, optimizer="adagrad", learning_rate=1e-2)


class DMRM(nn.Module):
    """Scores each instance alone by a small head; the best of an anomalous bag must exceed the best of a normal one.

    ``S_b = max over t, p of s_btp`` and ``L = mean over pairs of max(0, 1 - S_a + S_n) + sparsity + smoothness``
    (equations 6 and 7), with p over the cells of the picture: one of them in the paper.

    View ``cells``: features ``(B, N, D)`` -> scores ``(B, N)``. ``extra``: scores ``(B, S, P)`` of ``held`` segments.

    >>> model = DMRM(DMRMConfig(), {"cells": 3}).eval()
    >>> view = View(torch.ones(1, 4, 3), torch.zeros(1, 4, 6), torch.zeros(1, 4), torch.ones(1, 4).bool(), ((1, 2, 2),))
    >>> model({"cells": view}).scores.shape
    torch.Size([1, 4])
    """

    Config: ClassVar[type] = DMRMConfig
    views: ClassVar[tuple[str, ...]] = (VIEW,)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"cells": {"steps": 1, "rows": 7, "columns": 7}}
    abilities: ClassVar[MethodAbilities] = MethodAbilities(
        other_builders=("tubes", "videolets"),
        averages_time=True,
        reads_checkpoints=True,
        ablations={
            "no segments": {"segments": None},
            "one pair per bag": {"pairs": "matched"},
            "neither sparse nor smooth": {"sparsity": 0.0, "smoothness": 0.0},
            "no penalty": {"penalty": 0.0},
            "dropout": {"dropout": 0.6},
            "a head of 512": {"width": 512},
            "loss as published": {"compat": True},
            "as published": {
                "width": 512,
                "dropout": 0.6,
                "locked_dropout": False,
                "penalty": 1e-3,
                "compat": True,
            },
        },
    )
    schedule: ClassVar[Training] = Training(steps=150, bags=30, optimizer="adam", learning_rate=1e-3)
    source: ClassVar[Provenance] = Provenance(
        title="Deep MIL ranking (DMRM)",
        homepage="https://www.crcv.ucf.edu/projects/real-world/",
        citation="Sultani, Chen, Shah: Real-world anomaly detection in surveillance videos, CVPR 2018",
    )
    reach: float | None = 0.0

    def __init__(self, config: DMRMConfig, dims: Mapping[str, int]) -> None:
        super().__init__()
        self.config = config
        first = config.width or width(512, dims[VIEW])
        layers = [nn.Linear(dims[VIEW], first), nn.Linear(first, config.middle), nn.Linear(config.middle, 1)]
        for layer in layers:
            nn.init.xavier_normal_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.layers = nn.ModuleList(layers)
        self.dropout = Locked(config.dropout, config.locked_dropout)

    @staticmethod
    def checkpoint(tensors: Mapping[str, Tensor]) -> Checkpoint:
        """A state dict of ekosman's torch port; its features have unit length."""
        width, length = tensors["fc1.weight"].shape
        settings = {**vars(PUBLISHED), "width": width, "middle": len(tensors["fc2.weight"]), "pairs": "matched"}
        features = {**C3D, "cells": {**SEQUENCE["cells"], "l2": True}}
        return Checkpoint(official(tensors), NAMES, length, settings, features)

    def forward(self, bags: Mapping[str, View]) -> Output:
        """Scores ``(B, N)`` of the view ``cells``, 0 where masked and where an instance is all zeros."""
        view = bags[VIEW]
        whole = lanes(view)
        short, where = segments(whole, self.config.segments if self.training else None)
        if self.training and not self.config.dropout:  # which has a mask for each lane
            scores = put_back(self.head(picked(short.features, short.held)[None])[0], short.held)
        else:
            lane = sequences(short)
            scores = lane.flat(self.head(lane.features)).reshape(short.held.shape)
        return Output(flat(spread(scores, where), view), {"scores": scores, "held": short.held})

    def head(self, rows: Tensor) -> Tensor:
        """Scores ``(L, T)`` of features ``(L, T, D)``, each for itself."""
        first, second, last = self.layers
        rows = self.dropout(torch.relu(first(rows)))
        scores: Tensor = torch.sigmoid(last(self.dropout(second(rows))).squeeze(-1))
        return scores

    def loss(self, output: Output, bags: Mapping[str, View], labels: Tensor) -> dict[str, Tensor]:
        """``ranking``, ``sparsity``, ``smoothness`` and ``penalty``; ``labels`` ``(B,)``, 1 = anomalous."""
        config, anomalous = self.config, labels > 0.5
        scores, held = output.extra["scores"], output.extra["held"]
        tops = (scores * held).flatten(1).amax(1)
        count = max(1, int(anomalous.sum())) if config.compat and config.pairs == "all" else 1
        total = (scores * held).sum((1, 2)) / lane_count(held)
        terms = {
            "ranking": count * hinge(tops[anomalous], tops[~anomalous], config.pairs),
            "sparsity": config.sparsity * count * mean_of(total, anomalous),
            "smoothness": config.smoothness * count * mean_of(unevenness(scores, held), anomalous),
        }
        return terms | {"penalty": config.penalty * self._size()}

    def _size(self) -> Tensor:
        layers = list(self.layers)
        if self.config.compat and self.config.pairs == "matched":
            return torch.stack([torch.cat([p.flatten() for p in layer.parameters()]).norm() for layer in layers]).sum()
        return torch.stack([next(layer.parameters()).square().sum() for layer in layers]).sum()


def hinge(anomalous: Tensor, normal: Tensor, pairs: str = "all") -> Tensor:
    """Mean over pairs of ``max(0, 1 - a + n)`` for bag scores ``(P,)`` and ``(Q,)`` (equation 6).

    Where one kind is missing, the other is ranked against its target score: 1 or 0.

    >>> float(hinge(torch.tensor([0.75]), torch.tensor([0.25, 0.5])))
    0.625
    """
    if not len(anomalous):
        anomalous = torch.ones_like(normal)
    if not len(normal):
        normal = torch.zeros_like(anomalous)
    if pairs == "matched":
        count = min(len(anomalous), len(normal))
        return (1 - anomalous[:count] + normal[:count]).clamp(min=0).mean()
    return (1 - anomalous[:, None] + normal).clamp(min=0).mean()


NAMES = {"fc1.": "layers.0.", "fc2.": "layers.1.", "fc3.": "layers.2."}
"""Prefixes of names in a state dict of ekosman's torch port -> our prefixes."""


def official(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of ekosman's torch port (``fc1`` .. ``fc3``) under our names, for ``load_state_dict``."""
    return renamed(tensors, NAMES)


PLUGIN = DMRM

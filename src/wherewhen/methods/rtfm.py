"""Robust temporal feature magnitude learning (Tian et al., ICCV 2021), run in every cell of the picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from wherewhen.core.contracts import Checkpoint, MethodAbilities, Provenance, Training
from wherewhen.methods._bags import counters_dropped
from wherewhen.methods._magnitude import OFFICIAL, Magnitude, MagnitudeConfig, magnitudes
from wherewhen.methods._published import ten_crops
from wherewhen.methods._sequences import renamed
from wherewhen.methods._settings import demand

__all__ = ["PLUGIN", "PUBLISHED", "PUBLISHED_TRAINING", "RTFM", "RTFMConfig", "magnitudes", "official"]

VIEW = "cells"


@dataclass(frozen=True)
class RTFMConfig(MagnitudeConfig):
    """Settings of `RTFM`; `PUBLISHED` holds the paper's.

    Args:
        width: channels of each branch in time; null: 512 as published, less for features far shorter than 2048.
        dropout: after the network in time and in the head, and share of instances excluded in training from the choice
            of the longest; .7 in the paper.
        segments: longer training bags are averaged into this many spans of time, 32 in the paper; null keeps all.
        top: share of a bag's instances, those of the longest features, whose mean represents it, but at least 3; 3 of
            32 in the paper.
        margin: length that features of anomalous bags should reach, 100 in the paper; others than 2048 features are
            counted by the root of their mean square as if they were 2048 (not with ``compat``).
        magnitude: weight of the lengths, 1e-4 in the paper, too much for few videos.
        sparsity: weight of the root of the sum of squared scores of an anomalous bag, 8e-3 in the paper.
        smoothness: weight of squared changes in time of anomalous bags, 8e-4 in the paper.
        compat: count the loss as the authors' code does: bags paired by their order, one root over all bags, and
            changes counted from the end of one bag to the start of the next.
        joint: bags hold crops of pictures, not cells: scores and lengths are means over crops before the choice, as in
            the authors' code.
    """

    def __post_init__(self) -> None:
        demand("rtfm", self, positive="width segments", share="dropout top", weight="margin magnitude")
        demand("rtfm", self, weight="sparsity smoothness")


PUBLISHED = RTFMConfig(width=512, dropout=0.7, top=0.0, magnitude=1e-4, compat=True)
"""The paper's settings; its features are I3D's, 2048 long, on a 1 x 1 grid."""

PUBLISHED_TRAINING = Training(
    steps=15_000, bags=32, optimizer="adam", learning_rate=1e-3, weight_decay=5e-3, validate_every=500
)


class RTFM(Magnitude):
    """Features of anomalous instances grow long, of normal ones short; the longest ones of a bag are classified.

    ``f = Context(x)``, ``s = head(f)``; with K the ``top`` instances of a bag by ``|f|`` (time x cells):
    ``L = BCE(mean_K s, y) + magnitude mean over pairs of (|margin - |mean_K f_a|| + |mean_K f_n|)^2 + sparsity +
    smoothness`` (equations 3 to 7 of the paper and its code).

    View ``cells``: features ``(B, N, D)`` -> scores ``(B, N)``. ``extra``: scores ``(B, S, P)`` of ``held`` segments,
    ``bag`` scores ``(B,)`` and ``feature`` ``(B, D)``, the mean of the longest.

    >>> import torch
    >>> from wherewhen.core.contracts import View
    >>> model = RTFM(RTFMConfig(), {"cells": 3}).eval()
    >>> view = View(torch.ones(1, 4, 3), torch.zeros(1, 4, 6), torch.zeros(1, 4), torch.ones(1, 4).bool(), ((1, 2, 2),))
    >>> model({"cells": view}).scores.shape
    torch.Size([1, 4])
    """

    Config: ClassVar[type] = RTFMConfig
    views: ClassVar[tuple[str, ...]] = (VIEW,)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"cells": {"steps": 1, "rows": 7, "columns": 7}}
    abilities: ClassVar[MethodAbilities] = MethodAbilities(
        averages_time=True,
        joins_crops=True,
        reads_checkpoints=True,
        ablations={
            "no segments": {"segments": None},
            "the three longest": {"top": 0.0},
            "no lengths": {"magnitude": 0.0},
            "lengths as published": {"magnitude": 1e-4},
            "neither sparse nor smooth": {"sparsity": 0.0, "smoothness": 0.0},
            "dropout": {"dropout": 0.7},
            "loss as published": {"compat": True},
            "as published": {"width": 512, "dropout": 0.7, "top": 0.0, "magnitude": 1e-4, "compat": True},
        },
    )
    schedule: ClassVar[Training] = Training(
        steps=100, bags=30, optimizer="adam", learning_rate=1e-3, weight_decay=5e-3, validate_every=20
    )
    source: ClassVar[Provenance] = Provenance(
        title="RTFM",
        homepage="https://arxiv.org/abs/2101.10030",
        citation="Tian et al.: Weakly-supervised video anomaly detection with robust temporal feature magnitude "
        "learning, ICCV 2021",
    )
    reach: float | None = None

    @staticmethod
    def checkpoint(tensors: Mapping[str, Tensor]) -> Checkpoint:
        """A state dict of the authors' code."""
        width, length = tensors["fc1.weight"].shape
        settings = {**vars(PUBLISHED), "width": width}
        return Checkpoint(official(tensors), OFFICIAL, length, settings, ten_crops(length))


def official(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of the authors' code under our names, for ``load_state_dict``."""
    return renamed(counters_dropped(tensors), OFFICIAL)


PLUGIN = RTFM

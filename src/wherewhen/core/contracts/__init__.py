"""Contracts of plug-ins, one file per kind; one contract test per kind checks every plug-in."""

from __future__ import annotations

from wherewhen.core.contracts.abilities import ABILITIES, fault
from wherewhen.core.contracts.backbones import (
    Backbone,
    BackboneAbilities,
    ClipSpec,
    StreamingBackbone,
    TextImage,
    TextTower,
    check_clips,
)
from wherewhen.core.contracts.baselines import Baseline
from wherewhen.core.contracts.classes import JOIN, UNNAMED, Classes, classes_of
from wherewhen.core.contracts.datasets import DatasetReader
from wherewhen.core.contracts.engines import Engine
from wherewhen.core.contracts.formats import Format
from wherewhen.core.contracts.instances import (
    BoxesConfig,
    Builder,
    BuilderAbilities,
    PoseSpec,
    RoiSpec,
    TrackSource,
)
from wherewhen.core.contracts.localize import FrameScorer, Localizer, LocalizerAbilities, LocalizerConfig
from wherewhen.core.contracts.methods import (
    CLIP,
    Checkpoint,
    Method,
    MethodAbilities,
    Output,
    StagedMethod,
    Training,
    View,
)
from wherewhen.core.contracts.metrics import Metric
from wherewhen.core.contracts.proposals import ByVideo, Proposer, ProposerAbilities
from wherewhen.core.contracts.provenance import Provenance
from wherewhen.core.contracts.required import Required

__all__ = [
    "ABILITIES",
    "CLIP",
    "JOIN",
    "UNNAMED",
    "Backbone",
    "BackboneAbilities",
    "Baseline",
    "BoxesConfig",
    "Builder",
    "BuilderAbilities",
    "ByVideo",
    "Checkpoint",
    "Classes",
    "ClipSpec",
    "DatasetReader",
    "Engine",
    "Format",
    "FrameScorer",
    "Localizer",
    "LocalizerAbilities",
    "LocalizerConfig",
    "Method",
    "MethodAbilities",
    "Metric",
    "Output",
    "PoseSpec",
    "Proposer",
    "ProposerAbilities",
    "Provenance",
    "Required",
    "RoiSpec",
    "StagedMethod",
    "StreamingBackbone",
    "TextImage",
    "TextTower",
    "TrackSource",
    "Training",
    "View",
    "check_clips",
    "classes_of",
    "fault",
]

"""What each kind of plug-in must offer, a file for each kind; one contract test per kind holds every plug-in to it."""

from __future__ import annotations

from wherewhen.contracts.abilities import ABILITIES, fault
from wherewhen.contracts.backbones import Backbone, BackboneAbilities, ClipSpec, TextImage, TextTower
from wherewhen.contracts.baselines import Baseline
from wherewhen.contracts.classes import JOIN, UNNAMED, Classes, classes_of
from wherewhen.contracts.datasets import DatasetReader
from wherewhen.contracts.engines import Engine
from wherewhen.contracts.formats import Format
from wherewhen.contracts.instances import BoxesConfig, Builder, BuilderAbilities, Closeup, Sight
from wherewhen.contracts.localize import Localizer, LocalizerAbilities, LocalizerConfig
from wherewhen.contracts.methods import Method, MethodAbilities, Output, Student, Training, View
from wherewhen.contracts.metrics import Metric
from wherewhen.contracts.proposals import ByVideo, Proposer, ProposerAbilities
from wherewhen.contracts.provenance import Provenance
from wherewhen.contracts.required import Required

__all__ = [
    "ABILITIES",
    "JOIN",
    "UNNAMED",
    "Backbone",
    "BackboneAbilities",
    "Baseline",
    "BoxesConfig",
    "Builder",
    "BuilderAbilities",
    "ByVideo",
    "Classes",
    "ClipSpec",
    "Closeup",
    "DatasetReader",
    "Engine",
    "Format",
    "Localizer",
    "LocalizerAbilities",
    "LocalizerConfig",
    "Method",
    "MethodAbilities",
    "Metric",
    "Output",
    "Proposer",
    "ProposerAbilities",
    "Provenance",
    "Required",
    "Sight",
    "Student",
    "TextImage",
    "TextTower",
    "Training",
    "View",
    "classes_of",
    "fault",
]

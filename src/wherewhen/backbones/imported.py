"""Imported features of other tools, as declared at their import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

from wherewhen.core import registry
from wherewhen.core.config import CONSENT, build, mapping
from wherewhen.core.contracts import Backbone, BackboneAbilities, ClipSpec, Provenance
from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Features, Pixels

UNKNOWN = "unknown"


@dataclass(frozen=True)
class ImportedConfig:
    """Settings of `Imported`; ``wherewhen features import`` writes them. Undeclared values are unknown or null.

    Args:
        backbone: declared backbone of the features; without it a model can't process videos.
        settings: of that backbone, where they are not its defaults.
        layout: arrangement of the imported files.
        length: length of a feature vector.
        frames: frames per clip.
        stride: frames from one clip to the next.
        rate: frames per second.
        segments: number of spans of time that each video was averaged into.
        averaged: number of crops that features are the mean of.
        crop_order: corners-first, center-first or unknown.
        time: seconds, or relative: from 0 (start of a video) to 1 (end).
        trust: run the code in a TorchScript file that ``settings`` names; only a call or the command line can set it.
    """

    backbone: str = UNKNOWN
    settings: Mapping[str, Any] = field(default_factory=dict)
    layout: str = UNKNOWN
    length: int | None = None
    frames: int | None = None
    stride: int | None = None
    rate: float | None = None
    segments: int | None = None
    averaged: int | None = None
    crop_order: str = UNKNOWN
    time: str = UNKNOWN
    trust: bool = False


def code_of(settings: Mapping[str, Any]) -> tuple[str, str] | None:
    """Path and sha256 of the file whose code the declared backbone would run; None where there is none."""
    name = settings.get("backbone")
    if name not in registry.names("backbones"):
        return None
    abilities: BackboneAbilities = registry.load("backbones", name).abilities
    return abilities.runs_code_of(mapping(settings.get("settings"), str(name))) if abilities.runs_code_of else None


class Imported:
    """Features of other tools: for training; a model processes videos only with the backbone that they declare.

    ConfigError on the first clip where no backbone is declared, or the declared one can't compute these features.
    """

    Config: ClassVar[type] = ImportedConfig
    source: ClassVar[Provenance] = Provenance(title="Imported features")
    abilities: ClassVar[BackboneAbilities] = BackboneAbilities(settings_without_effect=(CONSENT,), runs_code_of=code_of)

    def __init__(self, config: ImportedConfig) -> None:
        self.config = config

    @property
    def clip(self) -> ClipSpec:
        """The clips of the declared backbone, at the known stride and rate."""
        spec, config = self.declared.clip, self.config
        return replace(spec, stride=config.stride or spec.stride, rate=config.rate or spec.rate)

    @cached_property
    def declared(self) -> Backbone:
        """The declared backbone of the features."""
        config = self.config
        if config.backbone == UNKNOWN:
            raise ConfigError(
                "this model was trained on imported features of an unknown backbone, so it can't process "
                "videos. Detect on imported features of the same kind, or import them again with --backbone NAME"
            )
        plugin = registry.load("backbones", config.backbone)
        runs_code = plugin.abilities.runs_code_of is not None
        settings = {**config.settings, CONSENT: True} if config.trust and runs_code else config.settings
        backbone: Backbone = plugin(build(plugin.Config, settings, config.backbone))
        wrong = []
        if config.segments:
            wrong.append(f"they are means of {config.segments} spans of each video, not clips")
        if config.averaged:
            wrong.append(f"they are means of {config.averaged} crops")
        if config.frames not in (None, backbone.clip.frames):
            wrong.append(f"their clips have {config.frames} frames, those of {config.backbone} {backbone.clip.frames}")
        if wrong:
            raise ConfigError(f"{config.backbone} can't make these imported features: {'; '.join(wrong)}")
        return backbone

    def __call__(self, clips: Pixels) -> Features:
        """Features of a batch of clips, by the declared backbone."""
        features = self.declared(clips)
        if self.config.length not in (None, features.shape[-1]):
            raise ConfigError(
                f"{self.config.backbone} can't have made these imported features: it gives length "
                f"{features.shape[-1]}, these {self.config.length}; check its layer and weights"
            )
        return features


PLUGIN = Imported

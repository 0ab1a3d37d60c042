"""A model configuration: the plug-ins of a model and their settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from wherewhen.core import registry
from wherewhen.core.config import CONSENT, build, mapping, typed
from wherewhen.core.contracts import (
    BackboneAbilities,
    Builder,
    BuilderAbilities,
    Classes,
    TextImage,
    Training,
)
from wherewhen.core.errors import ConfigError, unknown
from wherewhen.core.store import plain
from wherewhen.extraction import roi_crops, track_cache
from wherewhen.extraction.augmentation import CHANGES, Change
from wherewhen.extraction.extractor import FeatureSpec
from wherewhen.inference.camera_normalizer import CAMERA
from wherewhen.inference.model_options import OPTIONS, between
from wherewhen.inference.running_normalizer import BOTH, PAST
from wherewhen.runtime.network import Network, clips_of

WHOLE = "whole"  # the builder of a backbone's vectors of whole pictures
DEFAULTS = {"backbone": "motion", "instances": "cells", "method": "cuboid_mil", "localizer": "regions"}


def changed_view(view: str, number: int) -> str:
    """The name of a view of changed pictures in a training bag; number 0 is the view of the pictures themselves.

    >>> changed_view("cells", 0), changed_view("cells", 2)
    ('cells', 'cells~2')
    """
    return f"{view}~{number}" if number else view


@dataclass(frozen=True, repr=False)
class ModelConfig:
    """The plug-ins of a model, one of each kind, and their settings by plug-in name.

    ``instances``: the builder of the scored instances, the first view of the method; other views come from the builders
    that they are named after. ``settings`` holds one typed record per chosen plug-in; ``training``: the method's
    schedule by default.
    ``engine`` and ``precision``: how a backbone that is a network runs; ``auto`` measures once which is fastest.
    ``crops``: 1, or 5 or 10 overlapping ones of each picture. ``crop_mode``: places = instances at their places;
    separate = each crop is one sequence, in training one video, and scores are means over crops, or those of the crop
    ``test_crop``, from 1. ``gate``: clips that change by fewer gray levels, or have less contrast, are not processed.
    ``normalizer``: what features are normalized by, `NORMALIZERS`; auto = as
    the method requires. ``components``: principal components that features are reduced to; 0 = not reduced.
    ``augment``: kinds of changed copies of training videos, between commas, see `extraction.augmentation.CHANGES`.
    ``movers``: source of tracked boxes, from which events get their boxes; None = none. They change neither training
    nor frame scores.
    """

    backbone: str
    instances: str
    method: str
    localizer: str
    settings: Mapping[str, Any]
    training: Training
    seed: int = 0
    validation: float = 0.2
    engine: str = "auto"
    precision: str = "auto"
    crops: int = 1
    crop_mode: str = "places"
    test_crop: int = 0
    gate: float = 0.0
    normalizer: str = "auto"
    components: int = 0
    augment: str = ""
    movers: track_cache.MoversConfig | None = None

    def __repr__(self) -> str:
        return f"ModelConfig({self.summary}, seed {self.seed})"

    @property
    def summary(self) -> str:
        """The names of its plug-ins.

        >>> ModelConfig.of().summary
        'motion, cells, cuboid_mil, regions'
        """
        return ", ".join([self.backbone, self.instances, self.method, self.localizer])

    @classmethod
    def of(cls, values: Mapping[str, Any] | None = None, *, trust: bool = False) -> ModelConfig:
        """A configuration from plain values: ``{"method": "cuboid_mil", "cuboid_mil": {...}, "training": {...}}``.

        ConfigError names what is unknown or of the wrong type. ``trust``: run the code in the file that the backbone
        ``file`` names.

        >>> ModelConfig.of({"backbone": "motion"}).method
        'cuboid_mil'
        """
        settings = mapping(values, "a model")
        chosen = _chosen(settings)
        method = registry.load("methods", chosen["method"])
        parts = {name: registry.load(registry.PARTS[kind], name) for kind, name in chosen.items()}
        choices = build(method.Config, mapping(settings.get(chosen["method"]), chosen["method"]), chosen["method"])
        views = method.abilities.views(method.views, choices)
        parts |= {name: registry.load("instances", name) for name in views[1:]}
        _check_names(settings, parts)
        options = {name: option.of(settings.get(name, option.default), name) for name, option in OPTIONS.items()}
        training = {**vars(method.schedule), **mapping(settings.get("training"), "training")}
        config = cls(
            **{**chosen, **options},
            settings=_settings(settings, parts, method.presets, trust),
            training=build(Training, training, "training"),
            movers=track_cache.movers(settings.get(track_cache.MOVERS)),
        )
        _check_fit(config)
        return config

    def plain(self) -> dict[str, Any]:
        """The same as plain values with all defaults and without consent: the content of ``config.yaml``."""
        names = ("backbone", "instances", "method", "localizer", *OPTIONS)
        return {
            **{name: getattr(self, name) for name in names},
            "movers": plain(self.movers),
            "training": vars(self.training),
            **{k: {key: value for key, value in vars(v).items() if key != CONSENT} for k, v in self.sections.items()},
        }

    def check_share(self, root: str) -> None:
        """ConfigError for a share of validation videos where the data set defines them."""
        if self.validation != ModelConfig.validation:
            raise ConfigError(
                f"{root}: --validation {self.validation:g} has no effect: this data set defines the videos "
                f"to validate on; leave it out, or train on all with --fold all"
            )

    @property
    def trusted(self) -> bool:
        """Whether the user consented to run the code in the backbone's file."""
        return any(getattr(self.sections[name], CONSENT, False) for name in self.backbones)

    @property
    def backbones(self) -> tuple[str, ...]:
        """The backbone, or those that it joins.

        >>> ModelConfig.of({"backbone": "motion+pixels"}).backbones
        ('motion', 'pixels')
        """
        return self.part("backbone").abilities.joins or (self.backbone,)

    @property
    def sections(self) -> dict[str, Any]:
        """The settings by the names of their sections: joined backbones have one each."""
        joined = self.settings[self.backbone]
        sections: dict[str, Any] = {}
        for name, record in self.settings.items():
            inner = self.backbones if name == self.backbone else ()
            sections |= {part: getattr(joined, part) for part in inner} if len(inner) > 1 else {name: record}
        return sections

    def column_groups(self, length: int) -> tuple[int, ...]:
        """Numbers of features of each joined backbone; none where one backbone, or a builder, makes all of them."""
        if len(self.backbones) == 1:
            return ()
        widths = _widths(self.backbone, self.settings[self.backbone])
        return widths if sum(widths) == length else ()

    @property
    def views(self) -> dict[str, str]:
        """The views that the method needs, the scored one first, and the builder of each."""
        method = self.part("method")
        names = method.abilities.views(method.views, self.settings[self.method])
        return {names[0]: self.instances, **{name: name for name in names[1:]}}

    @property
    def scored(self) -> str:
        """The view whose instances are scored."""
        return next(iter(self.views))

    def feature_spec(self, device: str = "auto", instances: str | None = None) -> FeatureSpec:
        """Specification of the features of the scored instances, or of another builder's, on a device."""
        instances = instances or self.instances
        return FeatureSpec(
            self.backbone, instances, self.settings[self.backbone], self.settings[instances],
            self.engine, self.precision, self.crops, self.gate, device,
        )  # fmt: skip

    def feature_specs(self, device: str = "auto", training: bool = False) -> dict[str, FeatureSpec]:
        """Specification of the features of each view of the method, on a device; ``training``: of training videos."""
        return {view: self._spec_of(instances, device, training) for view, instances in self.views.items()}

    def _spec_of(self, instances: str, device: str, training: bool) -> FeatureSpec:
        spec = self.feature_spec(device, instances)
        change = registry.load("instances", instances).abilities.training_settings if training else None
        return replace(spec, instances_settings=change(spec.instances_settings)) if change else spec

    @property
    def changes(self) -> tuple[Change, ...]:
        """The changes of the pictures of training videos.

        >>> ModelConfig.of({"augment": "rate,flip"}).changes
        (Change(rate=8.0), Change(mirrored=True))
        """
        return tuple(change for kind in between(self.augment) for change in CHANGES[kind])

    def training_specs(self, device: str = "auto") -> dict[str, FeatureSpec]:
        """The `feature_specs` of training videos, and those of each view of changed pictures, see `changed_view`."""
        specs = self.feature_specs(device, training=True)
        return specs | {
            changed_view(view, number): replace(spec, change=change)
            for number, change in enumerate(self.changes, 1)
            for view, spec in specs.items()
        }

    def builders(self) -> dict[str, Builder]:
        """The builder of each view."""
        plugins = {view: registry.load("instances", name) for view, name in self.views.items()}
        return {view: builder(self.settings[self.views[view]]) for view, builder in plugins.items()}

    def part(self, kind: str) -> Any:
        """The plug-in class of a kind."""
        return registry.load(registry.PARTS[kind], getattr(self, kind))

    def normalizer_of(self, view: str) -> str:
        """What the features of a view are normalized by; none where the method or prompts require it.

        >>> [ModelConfig.of({"method": m}).normalizer_of("cells") for m in ("rtfm", "pooled")]
        ['places', 'none']
        """
        if self._unnormalized(view):
            return "none"
        return "places" if self.normalizer == "auto" else self.normalizer

    def _unnormalized(self, view: str) -> bool:
        return view in self.part("method").abilities.unnormalized_views or (self.tells_classes and self.reads)

    @property
    def tells_classes(self) -> bool:
        """Whether the method predicts classes."""
        return bool(self.part("method").abilities.predicts_classes)

    @property
    def reads(self) -> bool:
        """Whether the backbone encodes text."""
        return bool(self.part("backbone").abilities.reads_text)

    def reader(self) -> TextImage | None:
        """The backbone for a method that learns prompts; None for a backbone without a text encoder."""
        backbone: TextImage | None = self.make("backbone") if self.tells_classes and self.reads else None
        return backbone

    def student(self, dims: Mapping[str, int], classes: Classes | None = None) -> Any:
        """The method for features of these lengths, and for ``classes`` where it predicts them."""
        return self.make("method", dims, *([classes or Classes()] if self.tells_classes else []))

    def make(self, kind: str, *more: Any) -> Any:
        """The plug-in of a kind with its settings."""
        return self.part(kind)(self.settings[getattr(self, kind)], *more)


@lru_cache(maxsize=8)
def _widths(backbone: str, settings: Any) -> tuple[int, ...]:
    widths: tuple[int, ...] = registry.load("backbones", backbone)(settings).widths
    return widths


def _chosen(settings: Mapping[str, Any]) -> dict[str, str]:
    """The plug-in of each kind, by the kind's name; ConfigError where the method doesn't take the instances."""
    method = typed(str, settings.get("method", DEFAULTS["method"]), "method")
    plugin = registry.load("methods", method)
    accepted = (plugin.views[0], *plugin.abilities.other_builders)
    defaults = {**DEFAULTS, "instances": accepted[0]}
    chosen = {kind: typed(str, settings.get(kind, defaults[kind]), kind) for kind in registry.PARTS}
    if chosen["instances"] not in accepted:
        raise ConfigError(f"method {method} needs the instances {' or '.join(accepted)}; got {chosen['instances']}")
    return chosen


def _check_names(settings: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
    """ConfigError for a name that is neither a setting nor a plug-in; sections of plug-ins not chosen are ignored."""
    names = [*parts, *registry.PARTS, *OPTIONS, track_cache.MOVERS, "training"]
    plugins = {name for kind in registry.PARTS.values() for name in registry.names(kind)}
    for name in settings:
        if name not in names and name not in plugins:
            raise ConfigError(unknown("setting", name, names))


def _settings(
    settings: Mapping[str, Any], parts: Mapping[str, Any], presets: Mapping[str, Mapping[str, Any]], trust: bool
) -> dict[str, Any]:
    """Typed settings of each plug-in: those given, the method's presets, those of the builder that shares them."""

    def section(name: str, part: Any) -> dict[str, Any]:
        values = {**presets.get(name, {}), **mapping(settings.get(name), name)}
        if isinstance(part.abilities, BackboneAbilities) and part.abilities.joins:
            return {**values, **{k: section(k, registry.load("backbones", k)) for k in part.abilities.joins}}
        return {**values, CONSENT: True} if trust and CONSENT in part.Config.__dataclass_fields__ else values

    sections = {name: section(name, part) for name, part in parts.items()}
    return {
        name: build(part.Config, {**sections.get(_leader(part), {}), **sections[name]}, name)
        for name, part in parts.items()
    }


def _leader(part: Any) -> str:
    """The builder whose settings a builder shares; empty for any other part."""
    abilities = part.abilities
    return (abilities.shares_settings_with or "") if isinstance(abilities, BuilderAbilities) else ""


def _check_fit(config: ModelConfig) -> None:
    """ConfigError where parts of a configuration can't work together."""
    builders = config.builders()
    with_tracks = [config.views[view] for view in track_cache.track_sources(builders)]
    whole = [*with_tracks, *(config.views[view] for view in roi_crops.of_backbone(builders))]
    if whole and config.crops != 1:
        raise ConfigError(f"crops: {whole[0]} are cut out of whole pictures, so crops is 1; got {config.crops}")
    if config.crop_mode != "places" and config.crops == 1:
        raise ConfigError(f"crop_mode: {config.crop_mode} needs --crops 5 or 10; got 1")
    joint = config.part("method").abilities.joins_crops and config.settings[config.method].joint
    if joint and config.crop_mode == "places":
        raise ConfigError(f"{config.method}: joint is for crops that are sequences; add --crop-mode separate")
    if config.test_crop > (config.crops if config.crop_mode == "separate" else 0):
        raise ConfigError(f"test_crop: expected 0, or one of the crops if they are separate; got {config.test_crop}")
    if config.movers and config.instances in with_tracks:
        raise ConfigError(f"movers: {config.instances} are movers themselves; leave it out, or score cells")
    _check_engine(config)
    _check_augment(config)
    _check_middle(config)
    _check_whole(config)
    for source in track_cache.track_sources(builders).values():
        track_cache.source_settings(source)  # checks its settings before a video is opened
    if with_tracks and config.normalizer in (PAST, BOTH, CAMERA):
        raise ConfigError(f"normalizer: {config.normalizer} needs cells on a grid; {with_tracks[0]} have none")
    if (config.normalizer not in ("auto", "none") or config.components) and all(
        map(config._unnormalized, config.views)
    ):
        raise ConfigError(f"{config.method} takes unnormalized features; leave out --normalizer and --components")
    if config.components and config.normalizer in ("none", PAST):
        raise ConfigError(
            "components: principal components need the normalizer places, global, both or camera; "
            f"got {config.normalizer}"
        )
    crop_views = roi_crops.of_backbone(builders)
    if crop_views and not config.part("backbone").abilities.usable_on_moving_crops:
        name, roi = next(iter(crop_views.items()))
        other = f"--{config.method}.spatial patches" if roi.fixed else f"--{config.views[name]}.features pool"
        raise ConfigError(
            f"{config.backbone} measures change at fixed places of the picture, and a crop follows its mover or is a "
            f"single picture. Use {other}, or an image backbone such as shufflenet"
        )


def _check_augment(config: ModelConfig) -> None:
    """ConfigError for changes that the backbone or the instances don't allow."""
    rates = [change for change in config.changes if change.rate is not None]
    if rates and not config.part("backbone").abilities.takes_seconds:
        raise ConfigError(
            f"augment: at another rate the features of {config.backbone} have another speed; "
            f"leave out rate, or use a backbone that measures speeds per second, such as motion"
        )


def _check_middle(config: ModelConfig) -> None:
    """ConfigError where the middle of each picture is to be cut again, or is the input of one of joined backbones."""
    plugins = {name: registry.load("backbones", name) for name in config.backbones}
    specs = {name: clips_of(plugin, config.sections[name]) for name, plugin in plugins.items()}
    name = next((name for name, spec in specs.items() if spec and spec.middle), None)
    if name and (config.crops != 1 or len(config.backbones) > 1):
        other = f"crops {config.crops}" if config.crops != 1 else f"the joined backbone {config.backbone}"
        raise ConfigError(
            f"{name}: middle cuts one part out of each picture, and {other} needs whole ones; leave it out"
        )


def _check_whole(config: ModelConfig) -> None:
    """ConfigError where the method needs the backbone's vector of whole pictures, and that gives none."""
    spec = clips_of(config.part("backbone"), config.settings[config.backbone])
    if WHOLE in config.views and not (spec and spec.whole):
        raise ConfigError(
            f"{config.method}: {config.backbone} gives no embedding of the whole frame beside its cells; "
            f"use --backbone clip --clip.layer patches_embedding, or --{config.method}.frame mean"
        )


def _check_engine(config: ModelConfig) -> None:
    """ConfigError for an engine or precision of a network in a joined backbone, which runs plainly."""
    plugins = {name: registry.load("backbones", name) for name in config.backbones}
    networks = [name for name, plugin in plugins.items() if isinstance(plugin, type) and issubclass(plugin, Network)]
    for setting, value in (("engine", config.engine), ("precision", config.precision)):
        if len(plugins) > 1 and networks and value not in ("auto", "fp32"):
            raise ConfigError(
                f"{setting}: {networks[0]} in the joined backbone {config.backbone} runs in plain fp32; "
                f"leave out --{setting}, or use --backbone {networks[0]} alone"
            )

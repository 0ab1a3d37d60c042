"""Settings of plug-ins on a command line: options that choose plug-ins, and a section of settings for each one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from wherewhen.cli.arguments.described import Setting
from wherewhen.cli.needs import shares_settings
from wherewhen.cli.verb import FLAGS, Verb
from wherewhen.core import registry

AUTO = "auto"
"""The method that stands for a choice by data, and the section of its settings."""

OPEN = {"backbone": "motion", "instances": "those of the method"}
"""Parts with other defaults: the backbone of a store of imported features, the instances of a method."""

TEXTS = {
    "backbone": "network or operator that computes features; + joins several (motion+file)",
    "instances": "kind of instances that are scored",
    "method": "method that is trained on labels of whole videos",
    "localizer": "conversion of scores to events",
    "engine": "library that runs a network",
    "precision": "numbers that a network computes with",
    "validation": "share of training videos to validate on",
    "crops": "1, or 5 or 10 overlapping crops of each picture",
    "crop_mode": "places: crops are instances at their places; separate: each crop is one sequence, in training "
    "one video, and scores are means over crops",
    "test_crop": "with crop_mode separate, scores are those of this crop, counted from 1; 0: means over crops",
    "gate": "skip clips that change, or whose pictures differ, by fewer gray levels",
    "normalizer": "what features are normalized by: statistics of normal training videos, of all or of each camera, or "
    "the past of the video",
    "components": "principal components that normalized features are reduced to; 0: not reduced",
    "augment": "changed copies of the training videos to learn from, names between commas: phase, rate, brightness, "
    "compression, flip",
    "movers": "give events the boxes of tracked objects where cells are scored: a source of boxes, or its settings",
}


@dataclass(frozen=True)
class Chosen:
    """The plug-ins of a command line.

    Args:
        flags: the settings of a model that the verb takes as options.
        sections: the records of the plug-ins on the command line, by name.
        bases: defaults of a method that differ from those of a record, by section.
        open: sections whose defaults follow from the method that data choose.
    """

    flags: tuple[Setting, ...] = ()
    sections: Mapping[str, type] = field(default_factory=dict)
    bases: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    open: frozenset[str] = frozenset()

    @property
    def names(self) -> set[str]:
        """Names of flags and sections."""
        return {*(flag.name for flag in self.flags), *self.sections}


def chosen(command: Verb, words: Sequence[str], config: Mapping[str, Any], whole: bool) -> Chosen:
    """Flags of a verb, and a section for each plug-in on its command line.

    ``whole``: with a section for each part of a model.
    """
    flags, options = command.flags, {field.name for field in fields(command.options)}
    if command.sections is not None:
        return Chosen(sections=command.sections(_plugin_values(words, config)))
    full = "method" in flags
    kinds = [kind for flag, kind in registry.PARTS.items() if flag in flags]
    mentions = {name: kind for name, kind in mentioned(words, config).items() if kind in kinds and name not in options}
    several = [flag for flag in flags if f"{flag}s" not in options]
    if command.chooses_method and _plugin_values(words, config).get("method", AUTO) == AUTO:
        return _by_data(several, mentions, _heads(config, words), whole)
    training = full and (whole or "training" in config or any(word.startswith("--training.") for word in words))
    if full and (whole or training):
        mentions |= _usual(mentions, _method(mentions), whole)
    shown = tuple(_flag(flag, _method(mentions) if whole and full else None, full) for flag in several)
    described = _with_sections(shown, mentions, training)
    return _with_auto(described) if full and _heads(config, words) & {AUTO} else described


def _heads(config: Mapping[str, Any], words: Sequence[str]) -> set[str]:
    """Names of the sections on a command line."""
    return {*config, *(word.removeprefix("--").split(".")[0] for word in words if _dotted(word))}


def _with_auto(described: Chosen) -> Chosen:
    from wherewhen.training.selection import AutoConfig

    return replace(described, sections={**described.sections, AUTO: AutoConfig})


def _by_data(flags: Sequence[str], mentions: dict[str, str], heads: set[str], whole: bool) -> Chosen:
    """Flags and sections of a verb where the method is chosen by data: no section has a method's defaults."""
    from wherewhen.core.contracts import Training
    from wherewhen.inference.model_config import DEFAULTS

    usual = {DEFAULTS[flag]: registry.PARTS[flag] for flag in ("backbone", "localizer")}
    named = mentions | {name: kind for name, kind in usual.items() if whole and kind not in mentions.values()}
    described = {name: _flag(name, None, True) for name in flags}
    text = f"{described['method'].text}; auto compares them by cross-validation over the training videos"
    described["method"] = replace(described["method"], default=AUTO, text=text)
    sections: dict[str, type] = {name: registry.load(kind, name).Config for name, kind in named.items()}
    sections |= {"training": Training} if "training" in heads else {}
    chosen = Chosen(tuple(described.values()), sections, open=frozenset({"training", *registry.names("instances")}))
    return _with_auto(chosen) if whole or AUTO in heads else chosen


def with_plurals(command: Verb, config: Mapping[str, Any]) -> dict[str, Any]:
    """The same settings, where ``backbone`` of a run's file is ``backbones`` of a verb that takes several."""
    names = {field.name for field in fields(command.options)}
    plural = {key: f"{key}s" for key in config if key in FLAGS and f"{key}s" in names and f"{key}s" not in config}
    return {plural.get(key, key): value for key, value in config.items()}


def _method(mentions: Mapping[str, str]) -> str | None:
    """The first method on the command line."""
    return next((name for name, kind in mentions.items() if kind == "methods"), None)


def _usual(mentions: Mapping[str, str], method: str | None, whole: bool) -> dict[str, str]:
    """Default parts of a method that are not on the command line: all with their views, or the method alone."""
    from wherewhen.inference.model_config import DEFAULTS

    name = method or DEFAULTS["method"]
    views = registry.load("methods", name).views
    usual = {**DEFAULTS, "method": name, "instances": views[0]}
    parts = registry.PARTS if whole else {"method": registry.PARTS["method"]}
    plugins = {usual[flag]: kind for flag, kind in parts.items() if kind not in mentions.values()}
    return plugins | {view: "instances" for view in views[1:] if whole and not shares_settings(view)}


def _with_sections(flags: tuple[Setting, ...], mentions: Mapping[str, str], training: bool) -> Chosen:
    from wherewhen.core.contracts import Training

    sections: dict[str, type] = {}
    bases: dict[str, Mapping[str, Any]] = {}
    for name, kind in mentions.items():
        part = registry.load(kind, name)
        sections[name] = part.Config
        if kind == "methods" and training and "training" not in sections:
            sections["training"], bases["training"] = Training, vars(part.schedule)
    return Chosen(flags, sections, bases)


def _flag(name: str, method: str | None, full: bool) -> Setting:
    """A setting of a model as an option; ``method``: gives the default of instances."""
    from wherewhen.inference.model_config import DEFAULTS
    from wherewhen.inference.model_options import OPTIONS

    if name in registry.PARTS:
        usual = {**DEFAULTS, "instances": registry.load("methods", method).views[0]} if method else DEFAULTS
        open_ = name in OPEN and not method
        text = f"{TEXTS[name]}; one of: {', '.join(registry.names(registry.PARTS[name]))}"
        text += f" (default: {OPEN[name]})" if open_ and full else ""
        return Setting(name, str | None if open_ else str, None if open_ else usual[name], text)
    if name == "movers":
        sources = ", ".join(registry.names("proposals"))
        return Setting(name, FLAGS[name] | None, None, f"{TEXTS[name]}; one of: {sources}")
    option = OPTIONS[name]
    text = f"{TEXTS[name]}; one of: {', '.join(option.names)}" if option.names else TEXTS[name]
    return Setting(name, option.kind, option.default, text)


def mentioned(words: Sequence[str], config: Mapping[str, Any]) -> dict[str, str]:
    """Plug-ins on a command line, by name, with their kind: chosen by a flag, or with settings."""
    named = [name for value in _plugin_values(words, config).values() for name in value.split(",")]
    named += [word.removeprefix("--").removeprefix("no-").split(".")[0] for word in words if _dotted(word)]
    names = {*named, *config}
    return {name: kind for name in sorted(names) for kind in registry.PARTS.values() if name in registry.names(kind)}


def _plugin_values(words: Sequence[str], config: Mapping[str, Any]) -> dict[str, str]:
    """Values of the options that name plug-ins, by option."""
    flags: Iterable[str] = (*registry.PARTS, "methods", "backbones", "ablate", "proposals")
    pairs = [(word, after) for word, after in zip(words, [*words[1:], ""], strict=False)]
    pairs += [tuple(word.split("=", 1)) for word in words if word.startswith("--") and "=" in word]  # type: ignore[misc]
    values = {flag: value for word, value in pairs if (flag := word.removeprefix("--")) in flags}
    return {flag: str(config[flag]) for flag in flags if flag in config} | values


def _dotted(word: str) -> bool:
    return word.startswith("--") and "." in word.split("=")[0]

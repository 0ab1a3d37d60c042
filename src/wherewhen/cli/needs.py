"""Which options of a verb apply only with others: a verb declares its ``needs``, and what can't apply is an error.

An option counts as given if it is on the command line, or differs from the default in a settings file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wherewhen.core import registry
from wherewhen.core.config import build
from wherewhen.core.errors import ConfigError, EngineError


@dataclass(frozen=True)
class Told:
    """All that a verb is told: its options with their defaults, and the settings that were given beside them.

    ``places``: options that are known by their place.
    """

    options: Mapping[str, Any]
    settings: Mapping[str, Any] = field(default_factory=dict)
    places: frozenset[str] = frozenset()

    def get(self, name: str) -> Any:
        """The value of an option or setting; None where there is none."""
        return self.options.get(name, self.settings.get(name))

    def shown(self, name: str) -> str:
        """An option as the user knows it: ``--rate``, or ``OTHER`` where its place says it."""
        return name.upper() if name in self.places else dashed(name)


@dataclass(frozen=True)
class Need:
    """Options that apply only where another one is given, is left out, or has one of some values.

    ``other``: that option. ``wanted``: True where it must be given, False where it must not, or the values that it may
    have. ``why``: the reason, a clause.

    >>> Need(("rate",), "action", ("probe",)).refusal("rate", Told({"action": "check"}), "data")
    '--rate has no effect in data check; it belongs to data probe. Leave it out'
    """

    options: tuple[str, ...]
    other: str
    wanted: bool | tuple[str, ...] = True
    why: str = ""

    def note(self, told: Told) -> str:
        """Where the options apply, as help says it."""
        other = told.shown(self.other)
        if isinstance(self.wanted, tuple):
            able = " and ".join(self.wanted)
            return f"only {able}" if self.other == "action" else f"only with {other} {able}"
        return f"only with {other}" if self.wanted else f"not with {other}"

    def refusal(self, name: str, told: Told, verb: str) -> str | None:
        """Why the option ``name`` can't apply and what to type instead; None where it can."""
        value, why = told.get(self.other), f": {self.why}" if self.why else ""
        option, other = told.shown(name), told.shown(self.other)
        if isinstance(self.wanted, tuple):
            if value in self.wanted:
                return None
            if self.other == "action":
                able = " and ".join(f"{verb} {one}" for one in self.wanted)
                return f"{option} has no effect in {verb} {value}{why}; it belongs to {able}. Leave it out"
            able = " or ".join(f"{other} {one}" for one in self.wanted)
            return f"{option} has no effect with {other} {value}{why}; use {able}, or leave it out"
        if said(value) == self.wanted:
            return None
        if self.wanted:
            return f"{option} has no effect without {other}{why}; add {other}, or leave {option} out"
        return f"{option} has no effect with {other}{why}; leave one of them out"


@dataclass(frozen=True)
class Fits:
    """Options that apply only where what is given allows it.

    ``wrong``: gives the reason why they can't apply, from all values; None where they can. ``instead``: what to type.
    ``note``: where they apply, as help says it. ``hidden``: they never do, and come from a run's settings file alone.
    """

    options: tuple[str, ...]
    wrong: Callable[[Told], str | None]
    instead: str = ""
    note: str = ""
    hidden: bool = False

    def refusal(self, name: str, told: Told, verb: str) -> str | None:
        """Why the option ``name`` can't apply and what to type instead; None where it can."""
        why = self.wrong(told)
        return (
            None if why is None else f"{told.shown(name)} has no effect here: {why}; {self.instead or 'leave it out'}"
        )


@dataclass(frozen=True)
class Sections:
    """Settings of plug-ins, such as ``--tubes.part``, apply only where the plug-in is used.

    ``used``: gives those that are with their settings, by name, from all that is told; help shows them. ``why``: the
    reason where others can't apply, a clause.
    """

    used: Callable[[Told], Mapping[str, Any]]
    why: str = ""

    def refusal(self, name: str, told: Told, verb: str) -> str | None:
        """Why settings of the plug-in ``name`` can't apply and what to type instead; None where they can."""
        used = sorted(self.used(told))
        if name in used:
            return None
        if self.why:
            return f"--{name}.NAME has no effect here: {self.why}; leave it out"
        return (
            f"--{name}.NAME has no effect here: {name} is not used; leave it out, or choose {name}. "
            f"Used: {', '.join(used)}"
        )


Needs = Sequence[Need | Fits | Sections]


def check(needs: Needs, verb: str, given: Iterable[str], told: Told, sections: Iterable[str] = ()) -> None:
    """ConfigError for the first option that was given and can't apply; ``sections``: of plug-ins that were given."""
    names = set(given)
    for need in needs:
        for name in sections if isinstance(need, Sections) else need.options:
            if name in names and (refusal := need.refusal(name, told, verb)) is not None:
                raise ConfigError(refusal)


def dashed(name: str) -> str:
    """An option as it is typed; settings of plug-ins keep the names that they have in files.

    >>> dashed("ray_address"), dashed("from_"), dashed("training.learning_rate")
    ('--ray-address', '--from', '--training.learning_rate')
    """
    return f"--{name}" if "." in name else f"--{name.strip('_').replace('_', '-')}"


def said(value: object) -> bool:
    """Whether a value of an option says something: it is not None, false, zero or empty."""
    return value not in (None, False, "", 0)


def one_model(told: Told) -> str | None:
    """Why there is no choice of ``--which``: the model is a file."""
    path = Path(told.get("model") or "runs/latest")
    return f"{path} is a file, which holds one model" if path.is_file() else None


def no_engine(told: Told) -> str | None:
    """Why no engine is chosen: it runs no backbone that is asked for, or not so."""
    from wherewhen.runtime import select
    from wherewhen.runtime.network import Network
    from wherewhen.text import zero_shot

    words = told.get("prompts")
    if "prompts" in told.options and not words:
        return None  # a trained model says whether its backbone is a network
    names = [told.get("backbone") or zero_shot.DEFAULT] if words else _named(told, "backbone")
    plugins = [registry.load("backbones", name) for name in names]
    if not any(isinstance(plugin, type) and issubclass(plugin, Network) for plugin in plugins):
        return f"engines run networks, and the backbone {' or '.join(names)} is none"
    try:
        select.check(*(str(told.get(key) or select.AUTO) for key in ("engine", "precision", "device")))
    except EngineError as error:
        return str(error)
    return None


def features_alone(told: Told) -> str:
    """Why what is learnt from features, and found with them, says nothing: only features are made."""
    return "only features are extracted, and they don't depend on it"


def no_look(told: Told) -> str | None:
    """Why ``features verify`` needs no backbone: no video is looked at."""
    return None if told.get("action") == "import" or said(told.get("video")) else "without --video no clip is processed"


def of_configs(told: Told) -> dict[str, Any]:
    """Settings of the plug-ins that models are made of, for each method and backbone asked for, and ``training``."""
    from wherewhen.data_tools.features.importing import adopted
    from wherewhen.inference.model_config import ModelConfig

    found: dict[str, Any] = {}
    for settings in _configs(told):
        imported = told.get("data") is not None and "backbones" not in told.options
        own = adopted(told.get("data"), settings) if imported else settings
        config = ModelConfig.of(own)
        followers = {name for name in config.views.values() if shares_settings(name)}
        first = [config.method, *config.views.values(), config.backbone, config.localizer]
        made = {name: config.settings[name] for name in first if name not in followers}
        found = {**made, **config.settings, "training": config.training, "movers": config.movers} | found
    return found


def shares_settings(name: str) -> bool:
    """Whether the settings of a builder of instances are those of another one unless they are given."""
    return bool(registry.load("instances", name).abilities.shares_settings_with)


def of_looks(told: Told) -> dict[str, Any]:
    """Settings of the plug-ins that features are made with: backbones, and the builders of what is scored."""
    from wherewhen.inference.model_config import ModelConfig

    configs = [ModelConfig.of({**told.settings, "backbone": name}) for name in _named(told, "backbone")]
    return {name: one.settings[name] for one in configs for name in (one.backbone, *one.views.values())}


def of_backbone(told: Told) -> dict[str, Any]:
    """Settings of the backbone that is asked for; where none is, those of the ones that it may turn out to be."""
    from wherewhen.text.encoders import encoders

    names = [told.get("backbone")] if told.get("backbone") else encoders()
    return {name: _built("backbones", name, told) for name in names if name in registry.names("backbones")}


def of_named(told: Told) -> dict[str, Any]:
    """Settings of the backbone that is named, and of no other."""
    return of_backbone(told) if told.get("backbone") else {}


def of_detection(told: Told) -> dict[str, Any]:
    """Settings that detection takes: of alarms, and with prompts of the backbone that reads them."""
    from wherewhen.text import zero_shot

    localizers = [told.get("localizer")] if told.get("localizer") else registry.names("localize")
    found = {name: _built("localize", name, told) for name in localizers}
    if not told.get("prompts"):
        return found
    backbone = told.get("backbone") or zero_shot.DEFAULT
    return {backbone: _built("backbones", backbone, told), **found}


def _built(kind: str, name: str, told: Told) -> Any:
    return build(registry.load(kind, name).Config, told.settings.get(name), name)


def _named(told: Told, kind: str) -> list[str]:
    """Plug-ins of a kind between commas, from the setting of its name or the option in its place."""
    from wherewhen.inference.model_config import DEFAULTS

    return str(told.get(f"{kind}s") or told.get(kind) or DEFAULTS[kind]).split(",")


def _configs(told: Told) -> Iterator[Mapping[str, Any]]:
    """Settings of each model that is asked for."""
    from wherewhen.api.benchmark import variants

    if method := told.get("ablate"):
        changed = [{**given, "method": name} for name, given in variants(method, told.settings).values()]
    else:
        changed = [{**told.settings, "method": name} for name in _named(told, "method")]
    for settings in changed:
        for name in _named(told, "backbone") if "backbones" in told.options else [None]:
            yield {**settings, "backbone": name} if name else settings

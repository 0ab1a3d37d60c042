"""Which options of a verb apply only with others: a verb declares its ``needs``, and what can't apply is an error.

An option counts as given if it is on the command line, or differs from the default in a settings file.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wherewhen.core import registry
from wherewhen.core.config import build
from wherewhen.core.errors import ConfigError, EngineError


@dataclass(frozen=True)
class Arguments:
    """The arguments of a verb: its options with their defaults, and settings of plug-ins.

    ``places``: positional options.
    """

    options: Mapping[str, Any]
    settings: Mapping[str, Any] = field(default_factory=dict)
    places: frozenset[str] = frozenset()

    def get(self, name: str) -> Any:
        """The value of an option or setting; None where there is none."""
        return self.options.get(name, self.settings.get(name))

    def shown(self, name: str) -> str:
        """An option as it is typed: ``--rate``, or ``OTHER`` for a positional one."""
        return name.upper() if name in self.places else dashed(name)


@dataclass(frozen=True)
class Need:
    """Options that apply only where another one is given, is left out, or has one of some values.

    ``other``: that option. ``required``: True where it must be given, False where it must not, or its possible values.
    ``why``: the reason, a clause.

    >>> Need(("rate",), "action", ("probe",)).refusal("rate", Arguments({"action": "check"}), "data")
    '--rate has no effect in data check; it belongs to data probe. Leave it out'
    """

    options: tuple[str, ...]
    other: str
    required: bool | tuple[str, ...] = True
    why: str = ""

    def note(self, arguments: Arguments) -> str:
        """The option that these options need, for help."""
        other = arguments.shown(self.other)
        if isinstance(self.required, tuple):
            able = " and ".join(self.required)
            return f"only {able}" if self.other == "action" else f"only with {other} {able}"
        return f"only with {other}" if self.required else f"not with {other}"

    def refusal(self, name: str, arguments: Arguments, verb: str) -> str | None:
        """Why the option ``name`` can't apply and what to type instead; None where it can."""
        value, why = arguments.get(self.other), f": {self.why}" if self.why else ""
        option, other = arguments.shown(name), arguments.shown(self.other)
        if isinstance(self.required, tuple):
            if value in self.required:
                return None
            if self.other == "action":
                able = " and ".join(f"{verb} {item}" for item in self.required)
                return f"{option} has no effect in {verb} {value}{why}; it belongs to {able}. Leave it out"
            able = " or ".join(f"{other} {item}" for item in self.required)
            return f"{option} has no effect with {other} {value}{why}; use {able}, or leave it out"
        if is_set(value) == self.required:
            return None
        if self.required:
            return f"{option} has no effect without {other}{why}; add {other}, or leave {option} out"
        return f"{option} has no effect with {other}{why}; leave one of them out"


@dataclass(frozen=True)
class Fits:
    """Options that apply only for some arguments.

    ``wrong``: returns the reason why they can't apply; None where they can. ``instead``: what to type. ``note``: when
    they apply, for help. ``hidden``: they never apply, and come from a run's settings file alone.
    """

    options: tuple[str, ...]
    wrong: Callable[[Arguments], str | None]
    instead: str = ""
    note: str = ""
    hidden: bool = False

    def refusal(self, name: str, arguments: Arguments, verb: str) -> str | None:
        """Why the option ``name`` can't apply and what to type instead; None where it can."""
        why = self.wrong(arguments)
        return (
            None
            if why is None
            else f"{arguments.shown(name)} has no effect here: {why}; {self.instead or 'leave it out'}"
        )


@dataclass(frozen=True)
class Sections:
    """Settings of plug-ins, such as ``--tubes.part``, apply only where the plug-in is used.

    ``used``: returns the settings of the plug-ins that are used, by name; help shows them. ``why``: the reason why
    others can't apply, a clause. ``others``: returns names of further plug-ins that may be used.
    """

    used: Callable[[Arguments], Mapping[str, Any]]
    why: str = ""
    others: Callable[[Arguments], Collection[str]] = lambda arguments: ()

    def refusal(self, name: str, arguments: Arguments, verb: str) -> str | None:
        """Why settings of the plug-in ``name`` can't apply and what to type instead; None where they can."""
        used = sorted(self.used(arguments))
        if name in used or name in self.others(arguments):
            return None
        if self.why:
            return f"--{name}.NAME has no effect here: {self.why}; leave it out"
        return (
            f"--{name}.NAME has no effect here: {name} is not used; leave it out, or choose {name}. "
            f"Used: {', '.join(used)}"
        )


Needs = Sequence[Need | Fits | Sections]


def check(
    needs: Needs, verb: str, option_names: Iterable[str], arguments: Arguments, sections: Iterable[str] = ()
) -> None:
    """ConfigError for the first option that was given and can't apply; ``sections``: of plug-ins that were given."""
    names = set(option_names)
    for need in needs:
        for name in sections if isinstance(need, Sections) else need.options:
            if name in names and (refusal := need.refusal(name, arguments, verb)) is not None:
                raise ConfigError(refusal)


def dashed(name: str) -> str:
    """An option as it is typed; settings of plug-ins keep the names that they have in files.

    >>> dashed("ray_address"), dashed("from_"), dashed("training.learning_rate")
    ('--ray-address', '--from', '--training.learning_rate')
    """
    return f"--{name}" if "." in name else f"--{name.strip('_').replace('_', '-')}"


def is_set(value: object) -> bool:
    """Whether a value of an option is not None, false, zero or empty."""
    return value not in (None, False, "", 0)


def one_model(arguments: Arguments) -> str | None:
    """Why ``--which`` can't apply: the model is a file."""
    path = Path(arguments.get("model") or "runs/latest")
    return f"{path} is a file, which holds one model" if path.is_file() else None


CONTINUED_RUN: Needs = (
    Need(("resume",), "output", True, "a run continues in its own folder"),
    Fits(("which",), one_model, note="run folders only"),
)
"""Rules of a verb that makes a run folder from another one."""


def no_engine(arguments: Arguments) -> str | None:
    """Why no engine can be chosen: no backbone is a network, or the engine doesn't support it."""
    from wherewhen.runtime import select
    from wherewhen.runtime.network import Network
    from wherewhen.text import zero_shot

    words = arguments.get("prompts")
    if "prompts" in arguments.options and not words:
        return None  # whether the backbone is a network depends on the trained model
    names = [arguments.get("backbone") or zero_shot.DEFAULT] if words else _named(arguments, "backbone")
    plugins = [registry.load("backbones", name) for name in names]
    if not any(isinstance(plugin, type) and issubclass(plugin, Network) for plugin in plugins):
        return f"engines run networks, and the backbone {' or '.join(names)} is none"
    try:
        select.check(*(str(arguments.get(key) or select.AUTO) for key in ("engine", "precision", "device")))
    except EngineError as error:
        return str(error)
    return None


def features_alone(arguments: Arguments) -> str:
    """Why settings of training and detection have no effect: only features are extracted."""
    return "only features are extracted, and they don't depend on it"


def any_backbone(arguments: Arguments) -> set[str]:
    """Names of all backbones where none is named: that of the published features is used."""
    return set() if arguments.get("backbone") else set(registry.names("backbones"))


def no_clips(arguments: Arguments) -> str | None:
    """Why ``features verify`` needs no backbone: no clip is processed."""
    return (
        None
        if arguments.get("action") == "import" or is_set(arguments.get("video"))
        else "without --video no clip is processed"
    )


def of_configs(arguments: Arguments) -> dict[str, Any]:
    """Settings of the parts of models, for each method and backbone, and ``training``."""
    from wherewhen.data_tools.features.importing import adopted
    from wherewhen.inference.model_config import ModelConfig

    result: dict[str, Any] = {}
    for settings in _configs(arguments):
        imported = arguments.get("data") is not None and "backbones" not in arguments.options
        values = adopted(arguments.get("data"), settings) if imported else settings
        config = ModelConfig.of(values)
        followers = {name for name in config.views.values() if shares_settings(name)}
        first = [config.method, *config.views.values(), *config.backbones, config.localizer]
        ordered = {name: config.sections[name] for name in first if name not in followers}
        result = {**ordered, **config.sections, "training": config.training, "movers": config.movers} | result
    return result


def of_untrained(arguments: Arguments) -> dict[str, Any]:
    """Settings of the parts of a model whose weights are used as they are."""
    return {name: record for name, record in of_configs(arguments).items() if name != "training"}


def of_candidates(arguments: Arguments) -> set[str]:
    """Names of ``auto`` and of its candidates, where no method is named; none else."""
    from wherewhen.data_tools.features.importing import adopted
    from wherewhen.training.selection import AUTO, Request

    if AUTO not in (arguments.get("methods") or AUTO).split(","):
        return set()
    request = Request.of(adopted(arguments.get("data"), arguments.settings))
    return {AUTO, "training", *request.candidates} if request else set()


def shares_settings(name: str) -> bool:
    """Whether the settings of a builder of instances default to those of another one."""
    return bool(registry.load("instances", name).abilities.shares_settings_with)


def of_features(arguments: Arguments) -> dict[str, Any]:
    """Settings of the plug-ins of features: backbones, and the builders of the method's views."""
    from wherewhen.inference.model_config import ModelConfig

    configs = [ModelConfig.of({**arguments.settings, "backbone": name}) for name in _named(arguments, "backbone")]
    return {name: config.sections[name] for config in configs for name in (*config.backbones, *config.views.values())}


def of_backbone(arguments: Arguments) -> dict[str, Any]:
    """Settings of the backbone; without a name, those of all backbones that encode text."""
    from wherewhen.text.encoders import encoders

    names = [arguments.get("backbone")] if arguments.get("backbone") else encoders()
    return {name: _built("backbones", name, arguments) for name in names if name in registry.names("backbones")}


def of_named(arguments: Arguments) -> dict[str, Any]:
    """Settings of the backbone that is named, and of no other."""
    return of_backbone(arguments) if arguments.get("backbone") else {}


def of_detection(arguments: Arguments) -> dict[str, Any]:
    """Settings that detection takes: of localizers, and with prompts of the backbone."""
    from wherewhen.text import zero_shot

    localizers = [arguments.get("localizer")] if arguments.get("localizer") else registry.names("localize")
    records = {name: _built("localize", name, arguments) for name in localizers}
    if not arguments.get("prompts"):
        return records
    backbone = arguments.get("backbone") or zero_shot.DEFAULT
    return {backbone: _built("backbones", backbone, arguments), **records}


def _built(kind: str, name: str, arguments: Arguments) -> Any:
    return build(registry.load(kind, name).Config, arguments.settings.get(name), name)


def _named(arguments: Arguments, kind: str) -> list[str]:
    """Plug-ins of a kind between commas, from the setting of its name or the option in its place."""
    from wherewhen.inference.model_config import DEFAULTS

    names = str(arguments.get(f"{kind}s") or arguments.get(kind) or DEFAULTS[kind]).split(",")
    return [DEFAULTS[kind] if name == "auto" else name for name in names]


def _configs(arguments: Arguments) -> Iterator[Mapping[str, Any]]:
    """Settings of each model."""
    from wherewhen.api.ablations import variants

    if method := arguments.get("ablate"):
        changed = [{**changes, "method": name} for name, changes in variants(method, arguments.settings).values()]
    else:
        named = {name: value for name, value in arguments.settings.items() if name != "auto"}
        changed = [{**named, "method": name} for name in _named(arguments, "method")]
    for settings in changed:
        for name in _named(arguments, "backbone") if "backbones" in arguments.options else [None]:
            yield {**settings, "backbone": name} if name else settings

"""A verb's words as typed options and settings: those of the command line go before those of settings files.

Only what was given comes out: what was not stays each method's own. An option that can't apply is an error.
"""

from __future__ import annotations

import os
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from difflib import get_close_matches
from typing import Any

from wherewhen import documents, needs, registry
from wherewhen.addresses import address_in
from wherewhen.config import CONSENT, build, mapping, read_yaml, typed
from wherewhen.errors import ConfigError, unknown
from wherewhen.store import plain

FLAGS: Mapping[str, Any] = {
    "backbone": str, "instances": str, "method": str, "localizer": str, "validation": float, "engine": str,
    "precision": str, "crops": int, "gate": float, "movers": str | dict[str, Any],
}  # fmt: skip
"""Settings of a model outside of any section, with their types."""

OPEN = {"backbone": "motion", "instances": "what the method scores"}
"""Parts that something else may say: a store of imported features its backbone, a method what it scores."""

NUMBERS: Mapping[str, tuple[float, str]] = {
    "validation": (0.2, "share of training videos to validate on"),
    "crops": (1, "1, or 5 or 10 overlapping crops of each picture"),
    "gate": (0.0, "don't look at clips that change, or whose pictures differ, by fewer gray levels"),
}

PRINT = "--print_config"


@dataclass
class Wanted:
    """What a verb takes beside its options: flags with their defaults, and sections with their types and defaults."""

    flags: dict[str, Any] = field(default_factory=dict)
    sections: dict[str, tuple[type, Mapping[str, Any]]] = field(default_factory=dict)


def parse(command: Any, verb: str, words: Sequence[str]) -> tuple[Any, dict[str, Any]]:
    """Options of a verb, and plain settings of the plug-ins that it may choose."""
    from jsonargparse import ArgumentError, ArgumentParser, set_parsing_settings

    set_parsing_settings(import_path_denylist=["*"], instantiate_subclass_spec_in_any=False)  # no word names code
    rest, config = settings_files([_as_file(word, command.Options) for word in words])
    rest = [_underscored(word, command.Options) for word in _placed(command, rest)]
    printed = PRINT in rest
    rest = [word for word in rest if word != PRINT]
    parser = ArgumentParser(prog=f"wherewhen {verb}", description=command.__doc__, exit_on_error=False)
    parser.add_argument("-c", "--config", type=str, metavar="FILE", help="YAML file with any of these settings")
    parser.add_argument(PRINT, action="store_true", help="print all settings as such a file, and do nothing else")
    parser.add_class_arguments(command.Options, as_group=False, as_positional=getattr(command, "POSITIONAL", True))
    wanted = Wanted()
    if recipe := getattr(command, "RECIPE", False):
        wanted = add_recipe(parser, command, rest, config, tuple(FLAGS) if recipe is True else recipe, printed)
    _check_words(parser, verb, rest, wanted)
    _check_config(command.Options, verb, config, wanted)
    own = {one.name for one in fields(command.Options)}
    freed = _freed(parser, own if printed else config)
    try:
        told = parser.parse_args(_spelled_out(command.Options, rest), defaults=False).as_dict()
    except ArgumentError as error:
        dash = re.search(r"unrecognized arguments:.* (-[^-\d\s]\S+)", str(error))
        hint = f"; a name that begins with a dash is written ./{dash[1]}" if dash else ""
        raise ConfigError(f"{_in_words(str(error), parser)}{hint}; wherewhen {verb} --help says more") from None
    given = {key: value for key, value in plain(told).items() if value is not None or key not in freed}
    given |= _literal(command.Options, rest)
    whole = {key: value for key, value in merged(config, given).items() if key in own or key in wanted_names(wanted)}
    settings = {key: _setting(key, value) for key, value in whole.items() if key not in own and value is not None}
    if printed:
        print(documents.yaml_text(_everything(command.Options, whole, settings, wanted)), end="")
        raise SystemExit(0)
    _check_places(command, whole)
    options = build(command.Options, {key: value for key, value in whole.items() if key in own}, verb)
    _check_needs(command, verb, options, settings, given, config, wanted)
    return options, settings


def _check_needs(
    command: Any,
    verb: str,
    options: Any,
    settings: Mapping[str, Any],
    given: Mapping[str, Any],
    config: Mapping[str, Any],
    wanted: Wanted,
) -> None:
    """ConfigError for what was given and can't apply; a run's settings in a file are taken as far as a verb has use."""
    usual = {one.name: one.default for one in fields(options)} | {
        name: value for name, value in wanted.flags.items() if getattr(command, "RECIPE", False) is not True
    }
    changed = {name: value for name, value in config.items() if name in usual and value != plain(usual[name])}
    said = {name for name, value in {**changed, **given}.items() if type(value) is not bool or value != usual.get(name)}
    told = needs.Told(vars(options), settings)
    needs.check(getattr(command, "NEEDS", ()), verb, said, told, wanted.sections)


def _check_places(command: Any, values: Mapping[str, Any]) -> None:
    """ConfigError for an address where a file or folder belongs; a verb's ADDRESSES are the options that take one."""
    for key, value in values.items():
        where = address_in(value) if isinstance(value, str) and key not in getattr(command, "ADDRESSES", ()) else None
        if where is not None:
            raise ConfigError(f"{key}: expected a file or folder of this machine, got the address {where}")


def wanted_names(wanted: Wanted) -> set[str]:
    """Names of flags and sections."""
    return {*wanted.flags, *wanted.sections}


def _setting(key: str, value: Any) -> Any:
    return typed(FLAGS[key], value, key) if key in FLAGS else mapping(value, key)


def merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with others put over them, section by section."""
    found = dict(one)
    for key, value in other.items():
        below = found.get(key)
        both = isinstance(value, Mapping) and isinstance(below, Mapping)
        found[key] = merged(below, value) if both else value  # type: ignore[arg-type]
    return found


def _placed(command: Any, words: Sequence[str]) -> list[str]:
    """Words whose place tells what they mean, where others before them were left out."""
    told = list(words)
    for place, name in ((2, "THIRD"), (1, "SECOND")):
        there = told[: place + 1]
        if hasattr(command, name) and len(there) > place and not any(a.startswith("-") for a in there):
            told = [*there[:-1], f"--{getattr(command, name)}={there[-1]}", *told[place + 1 :]]
    return told


def settings_files(words: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """The words without those that name settings files, and what the files hold, later ones over earlier ones."""
    rest: list[str] = []
    config: dict[str, Any] = {}
    todo = iter(words)
    for word in todo:
        name, equals, value = word.partition("=")
        if name not in ("-c", "--config"):
            rest.append(word)
            continue
        path = value if equals else next(todo, "")
        if not path:
            raise ConfigError(f"{name}: say which settings file: {name} FILE")
        config = merged(config, _nested(read_yaml(path), path))
    return rest, config


def _nested(values: Mapping[str, Any], path: str) -> dict[str, Any]:
    """``cells.rows: 3`` as ``cells: {rows: 3}``."""
    made: dict[str, Any] = {}
    for name, inner in values.items():
        value = inner
        for part in reversed(name.split(".")[1:]):
            value = {part: value}
        head = name.split(".")[0]
        if "." in name and not isinstance(made.get(head, {}), Mapping):
            raise ConfigError(f"{path}: {head[:60]} is a value and a section at once")
        made = merged(made, {head: value})
    return made


def _freed(parser: Any, config: Container[str]) -> set[str]:
    """Words by their place that need not be said, as a settings file says them."""
    found = [action for action in parser._actions if not action.option_strings and action.dest in config]
    for action in found:
        action.nargs, action.required = "?", False
    return {action.dest for action in found}


def _check_config(options: type, verb: str, config: Mapping[str, Any], wanted: Wanted) -> None:
    known = {one.name for one in fields(options)} | wanted_names(wanted)
    for name in config:
        if name not in known:
            raise ConfigError(unknown(f"setting of {verb}", name[:80], known))


def _everything(options: type, given: Mapping[str, Any], settings: Mapping[str, Any], wanted: Wanted) -> dict[str, Any]:
    """Every setting with its value, for a settings file."""
    usual = {one.name: None if one.default is MISSING else one.default for one in fields(options)}
    told = {name: given.get(name, value) for name, value in usual.items()}
    told |= {name: settings.get(name, value) for name, value in wanted.flags.items()}
    for name, (record, base) in wanted.sections.items():
        made: Any = build(record, {**base, **settings.get(name, {})}, name)
        told[name] = {key: value for key, value in vars(made).items() if key != CONSENT}
    return plain({name: value for name, value in told.items() if name != CONSENT})  # type: ignore[no-any-return]


WORDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "a word",
    "tuple": "a list like [1, 2]",
}


def _in_words(error: str, parser: Any) -> str:
    """A parser's complaint about a value without types of Python; what is not understood stays as it is."""
    key, value = re.search(r'Parser key "([^"]+)"', error), re.search(r"(?:Given|Got) value: (.*)", error)
    one_of = re.search(r"Literal\[(.*?)\]", error)
    kinds = dict.fromkeys(re.findall(r"<class '(\w+)'>", error.split("Given value")[0].split("Got value")[0]))
    known = [WORDS[kind] for kind in kinds if kind in WORDS]
    if not key or not value or not (one_of or known):
        return error.replace("\n", " ")[:500]
    name = f"--{key[1]}" if any(f"--{key[1]}" in action.option_strings for action in parser._actions) else key[1]
    wanted = one_of[1].replace("'", "") if one_of else " or ".join(known)
    return f"{name}: expected {'one of ' if one_of else ''}{wanted}, got {value[1][:80]}"


def _as_file(word: str, options: type) -> str:
    """``-dash.mp4`` as ``./-dash.mp4``, where there is such a file and no such option."""
    name = word.split("=")[0].lstrip("-").replace("-", "_")
    known = {"c", "config", "h", "help", "print_config", *(field.name for field in fields(options))}
    return f"./{word}" if word.startswith("-") and name not in known and os.path.lexists(word) else word


def _underscored(word: str, options: type) -> str:
    """``--dry-run`` as ``--dry_run``, where an option is called so."""
    name, equals, value = word.partition("=")
    own = name.removeprefix("--").replace("-", "_")
    known = {field.name for field in fields(options)}
    return f"--{own}{equals}{value}" if name.startswith("--") and own in known else word


def _check_words(parser: Any, verb: str, words: Sequence[str], wanted: Wanted) -> None:
    """ConfigError for an option that is not there, with the one that was probably meant."""
    known = {"--help", *(option for action in parser._actions for option in action.option_strings)}
    open_ = tuple(f"{word}." for action in parser._actions if _takes_keys(action) for word in action.option_strings)
    for word, after in zip(words, [*words[1:], ""], strict=False):
        name, equals, value = word.partition("=")
        section = name.startswith("--") and name.removeprefix("--") in wanted.sections
        if section and not (value if equals else after).startswith("{"):
            raise ConfigError(f"{name}: say which of its settings: {name}.NAME VALUE, or write them to a file: -c FILE")
        if not name.startswith("--") or name in known or name.startswith(open_):
            continue
        if name.startswith("--no-") and f"--{name.removeprefix('--no-')}" in known:
            continue
        near = get_close_matches(name, known, 1)
        if not near and "." in name:
            parts = [p for kind in registry.PARTS.values() for p in registry.names(kind)]
            near = [f"--{p}" for p in get_close_matches(name[2:].split(".")[0], parts, 1)]
        hint = f"; did you mean {near[0]!r}?" if near else ";"
        raise ConfigError(f"unknown option {name!r}{hint} wherewhen {verb} --help lists all")


def _takes_keys(action: Any) -> bool:
    """Whether any names may follow an option's own, as in ``--tubes.boxes.rate 6``."""
    return "dict[" in str(getattr(action, "_typehint", "")).lower()


def _spelled_out(options: type, words: Sequence[str]) -> list[str]:
    """A bare ``--quiet`` as ``--quiet=true``, ``--no-render`` as ``--render=false``."""
    switches = {field.name for field in fields(options) if field.type in (bool, "bool")}
    spelled = []
    for word, after in zip(words, [*words[1:], ""], strict=False):
        name = word.removeprefix("--").replace("-", "_")
        if word.startswith("--") and name in switches and after.lower() not in ("true", "false"):
            word = f"--{name}=true"
        elif word.startswith("--no-") and name.removeprefix("no_") in switches:
            word = f"--{name.removeprefix('no_')}=false"
        spelled.append(word)
    return spelled


def _literal(options: type, words: Sequence[str]) -> dict[str, str]:
    """Texts that options were given, as they stand: ``null``, ``~`` and ``&x`` are names as any other."""
    texts = {field.name for field in fields(options) if field.type == "str | None"}
    found = {}
    for word, after in zip(words, [*words[1:], ""], strict=False):
        name, equals, value = word.partition("=")
        if name.startswith("--") and name.removeprefix("--") in texts:
            found[name.removeprefix("--")] = value if equals else after
    return found


def _chosen(words: Sequence[str], config: Mapping[str, Any], flags: Iterable[str]) -> dict[str, str]:
    """Plug-ins that a command line speaks of, by name, with their kind: chosen by a flag or given settings."""
    pairs = list(zip(words, [*words[1:], ""], strict=False))
    pairs += [tuple(a.split("=", 1)) for a in words if a.startswith("--") and "=" in a]  # type: ignore[misc]
    named = [value for flag, value in pairs if flag.removeprefix("--") in flags]
    named += [str(config[flag]) for flag in flags if flag in config]
    named += [a.removeprefix("--").split(".")[0] for a in words if a.startswith("--") and "." in a.split("=")[0]]
    found = {word for value in named for word in value.split(",")} | set(config)
    return {name: kind for name in sorted(found) for kind in registry.PARTS.values() if name in registry.names(kind)}


def add_recipe(
    parser: Any, command: Any, words: Sequence[str], config: Mapping[str, Any], flags: Sequence[str], whole: bool
) -> Wanted:
    """Add the ``flags`` of a recipe, and a section for each plug-in that the command line speaks of.

    A verb that wants only some of them has no default backbone, and says itself what that means. ``whole``: add a
    section for everything that a model is made of.
    """
    from wherewhen.contracts import Training
    from wherewhen.recipe import DEFAULTS, OPTIONS

    made = Wanted()
    own = {"methods", "backbones"} & set(command.Options.__dataclass_fields__)
    parts = {flag: kind for flag, kind in registry.PARTS.items() if flag in flags}
    chosen = _chosen(words, config, {*registry.PARTS, "methods", "backbones", "ablate"})
    options = command.Options.__dataclass_fields__  # one of them may be called as a plug-in is
    chosen = {name: kind for name, kind in chosen.items() if kind in parts.values() and name not in options}
    full = "method" in flags
    method = next((name for name, kind in chosen.items() if kind == "methods"), DEFAULTS["method"])
    usual = {**DEFAULTS, "instances": registry.load("methods", method).views[0]} if whole and full else DEFAULTS
    for flag, kind in parts.items():
        if f"{flag}s" not in own:
            text = f"one of: {', '.join(registry.names(kind))}"
            open_ = flag in OPEN and not (whole and full)
            text += f" (default: {OPEN[flag]})" if open_ and full else ""
            made.flags[flag] = None if open_ else usual[flag]
            parser.add_argument(f"--{flag}", type=str | None if open_ else str, default=made.flags[flag], help=text)
    for flag in ("engine", "precision"):
        if flag in flags:
            text = f"how a network is run, one of: {', '.join(OPTIONS[flag].names)}"
            made.flags[flag] = "auto"
            parser.add_argument(f"--{flag}", type=str, default="auto", help=text)
    for flag, (value, text) in NUMBERS.items():
        if flag in flags:
            made.flags[flag] = value
            parser.add_argument(f"--{flag}", type=FLAGS[flag], default=value, help=text)
    if "movers" in flags:
        text = f"tell events by movers' boxes where cells are scored; one of: {', '.join(registry.names('proposals'))}"
        made.flags["movers"] = None
        parser.add_argument("--movers", type=str | dict[str, Any] | None, default=None, help=text)
    training = full and (whole or "training" in config or any(a.startswith("--training.") for a in words))
    for flag, kind in parts.items():
        if full and (whole or (training and flag == "method")) and kind not in chosen.values():
            chosen[usual[flag]] = kind
    if whole and full:
        others = {name: registry.load("instances", name) for name in registry.load("methods", method).views[1:]}
        chosen |= {name: "instances" for name, part in others.items() if not part.abilities.shares_settings_with}
    for name, kind in chosen.items():
        part = registry.load(kind, name)
        parser.add_class_arguments(part.Config, name)
        made.sections[name] = (part.Config, {})
        if kind == "methods" and training and "training" not in made.sections:
            parser.add_class_arguments(Training, "training")
            parser.set_defaults({f"training.{k}": v for k, v in vars(part.schedule).items()})
            made.sections["training"] = (Training, vars(part.schedule))
    return made

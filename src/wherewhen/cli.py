"""The command line: one verb per file in ``commands``, typed options, YAML settings and dotted overrides."""

from __future__ import annotations

import os

# Before numpy comes: its many small products are done sooner than threads of their own are woken.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import ast
import logging
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import fields
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

from wherewhen import registry
from wherewhen.addresses import address_in, remember
from wherewhen.config import read_yaml
from wherewhen.console import Discreet, discreet
from wherewhen.errors import ConfigError, WherewhenError, unknown
from wherewhen.store import plain

VERBS = sorted(p.stem for p in (Path(__file__).parent / "commands").glob("*.py") if not p.stem.startswith("_"))


def _summary(verb: str) -> str:
    """First line of a verb's module docstring, read without importing it."""
    text = (Path(__file__).parent / "commands" / f"{verb}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(text)) or "").splitlines()[0]


def _overview() -> str:
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:<{width}}  {_summary(verb)}" for verb in VERBS)
    return (
        "usage: wherewhen VERB [options]\n\n"
        "Learns from labels on whole videos, then says when and where it happens.\n\n"
        f"verbs:\n{verbs}\n\nwherewhen VERB --help says more; wherewhen --version"
    )


def _chosen(arguments: Sequence[str], config: dict[str, Any], flags: Iterable[str]) -> dict[str, str]:
    """Plug-ins that a command line speaks of, by name, with their kind: chosen by a flag or given settings."""
    pairs = list(zip(arguments, [*arguments[1:], ""], strict=False))
    pairs += [tuple(a.split("=", 1)) for a in arguments if a.startswith("--") and "=" in a]  # type: ignore[misc]
    named = [value for flag, value in pairs if flag.removeprefix("--") in flags]
    named += [str(config[flag]) for flag in flags if flag in config]
    named += [a.removeprefix("--").split(".")[0] for a in arguments if a.startswith("--") and "." in a.split("=")[0]]
    words = {word for value in named for word in value.split(",")} | set(config)
    return {name: kind for name in sorted(words) for kind in registry.PARTS.values() if name in registry.names(kind)}


def _parse(command: Any, verb: str, arguments: list[str]) -> tuple[Any, dict[str, Any]]:
    """Options of a verb, and plain settings of the plug-ins that it may choose."""
    from jsonargparse import ArgumentError, ArgumentParser

    for place, word in ((2, "THIRD"), (1, "SECOND")):  # words that may be left out
        there = arguments[: place + 1]
        if hasattr(command, word) and len(there) > place and not any(a.startswith("-") for a in there):
            arguments = [*there[:-1], f"--{getattr(command, word)}={there[-1]}", *arguments[place + 1 :]]
    arguments = [_underscored(word, command.Options) for word in arguments]
    parser = ArgumentParser(prog=f"wherewhen {verb}", description=command.__doc__, exit_on_error=False)
    parser.add_argument("-c", "--config", action="config", help="YAML file with any of these settings")
    parser.add_class_arguments(command.Options, as_group=False, as_positional=getattr(command, "POSITIONAL", True))
    sections: list[str] = []
    if recipe := getattr(command, "RECIPE", False):
        sections = _add_recipe(parser, command, arguments, RECIPE_FLAGS if recipe is True else recipe)
    _check_options(parser, verb, arguments)
    try:
        given = parser.parse_args(_spelled_out(command.Options, arguments))
    except ArgumentError as error:
        raise ConfigError(f"{_in_words(str(error), parser)}; wherewhen {verb} --help says more") from None
    values = {key: value for key, value in given.as_dict().items() if key != "config"}
    _check_places(command, values)
    settings = {key: plain(values.pop(key)) for key in [*sections, *RECIPE_FLAGS] if key in values}
    if "training" in settings:  # what isn't given stays each method's own
        told = {
            *_settings_files(arguments).get("training", {}),
            *(a.split("=")[0].removeprefix("--training.") for a in arguments),
        }
        settings["training"] = {key: value for key, value in settings["training"].items() if key in told}
    return command.Options(**values), {key: value for key, value in settings.items() if value is not None}


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
        return error
    name = f"--{key[1]}" if any(f"--{key[1]}" in action.option_strings for action in parser._actions) else key[1]
    wanted = one_of[1].replace("'", "") if one_of else " or ".join(known)
    return f"{name}: expected {'one of ' if one_of else ''}{wanted}, got {value[1]}"


def _check_places(command: Any, values: dict[str, Any]) -> None:
    """ConfigError for an address where a file or folder belongs; a verb's ADDRESSES are the options that take one."""
    for key, value in values.items():
        where = address_in(value) if isinstance(value, str) and key not in getattr(command, "ADDRESSES", ()) else None
        if where is not None:
            raise ConfigError(f"{key}: expected a file or folder of this machine, got the address {where}")


def _underscored(word: str, options: type) -> str:
    """``--dry-run`` as ``--dry_run``, where an option is called so."""
    name, equals, value = word.partition("=")
    own = name.removeprefix("--").replace("-", "_")
    known = {field.name for field in fields(options)}
    return f"--{own}{equals}{value}" if name.startswith("--") and own in known else word


def _check_options(parser: Any, verb: str, arguments: Sequence[str]) -> None:
    """ConfigError for an option that is not there, with the one that was probably meant."""
    switches = ("--print_config", "--help")
    known = {*switches, *(option for action in parser._actions for option in action.option_strings)}
    open_ = tuple(f"{word}." for action in parser._actions if _takes_keys(action) for word in action.option_strings)
    for word in arguments:
        name = word.split("=", 1)[0]
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


def _spelled_out(options: type, arguments: Sequence[str]) -> list[str]:
    """A bare ``--quiet`` as ``--quiet=true``, ``--no-render`` as ``--render=false``, and settings files first.

    The parser lets what comes later win; words of the command line must win wherever they stand.
    """
    switches = {field.name for field in fields(options) if field.type in (bool, "bool")}
    spelled = []
    for word, after in zip(arguments, [*arguments[1:], ""], strict=False):
        name = word.removeprefix("--").replace("-", "_")
        if word.startswith("--") and name in switches and after.lower() not in ("true", "false"):
            word = f"--{name}=true"
        elif word.startswith("--no-") and name.removeprefix("no_") in switches:
            word = f"--{name.removeprefix('no_')}=false"
        spelled.append(word)
    places = [k for k, word in enumerate(spelled) if word in ("-c", "--config")]
    files = [word for k in places for word in spelled[k : k + 2]]
    return files + [word for k, word in enumerate(spelled) if k not in places and k - 1 not in places]


RECIPE_FLAGS = ("backbone", "instances", "method", "localizer", "validation", "engine", "precision", "crops", "gate",
                "movers")  # fmt: skip


OPEN = {"backbone": "motion", "instances": "what the method scores"}
"""Parts that something else may say: a store of imported features its backbone, a method what it scores."""


def _add_recipe(parser: Any, command: Any, arguments: list[str], wanted: Sequence[str]) -> list[str]:
    """Add the ``wanted`` flags of a recipe, and a section for each plug-in that the command line speaks of.

    A verb that wants only some of them has no default backbone, and says itself what that means.
    """
    from wherewhen.contracts import Training
    from wherewhen.model import DEFAULTS, RUNNING

    config = _settings_files(arguments)
    own = {"methods", "backbones"} & set(command.Options.__dataclass_fields__)
    whole = any(a.startswith("--print_config") for a in arguments)
    parts = {flag: kind for flag, kind in registry.PARTS.items() if flag in wanted}
    chosen = _chosen(arguments, config, {*registry.PARTS, "methods", "backbones", "ablate"})
    chosen = {name: kind for name, kind in chosen.items() if kind in parts.values()}
    full = "method" in wanted
    method = next((name for name, kind in chosen.items() if kind == "methods"), DEFAULTS["method"])
    usual = {**DEFAULTS, "instances": registry.load("methods", method).views[0]} if whole and full else DEFAULTS
    for flag, kind in parts.items():
        if f"{flag}s" not in own:
            text = f"one of: {', '.join(registry.names(kind))}"
            open_ = flag in OPEN and not (whole and full)
            text += f" (default: {OPEN[flag]})" if open_ and full else ""
            default = None if open_ else usual[flag]
            parser.add_argument(f"--{flag}", type=str if default else (str | None), default=default, help=text)
    numbers = {
        "validation": (0.2, "share of training videos to validate on"),
        "crops": (1, "1, or 5 or 10 overlapping crops of each picture"),
        "gate": (0.0, "don't look at clips that change, or whose pictures differ, by fewer gray levels"),
    }
    for flag, known in RUNNING.items():
        if flag in wanted:
            text = f"how a network is run, one of: {', '.join(known)}"
            parser.add_argument(f"--{flag}", type=str, default="auto", help=text)
    for flag, (value, text) in numbers.items():
        if flag in wanted:
            parser.add_argument(f"--{flag}", type=type(value), default=value, help=text)
    if "movers" in wanted:
        text = f"tell events by movers' boxes where cells are scored; one of: {', '.join(registry.names('proposals'))}"
        parser.add_argument("--movers", type=str | dict[str, Any] | None, default=None, help=text)
    training = full and (whole or "training" in config or any(a.startswith("--training.") for a in arguments))
    for flag, kind in parts.items():
        if full and (whole or (training and flag == "method")) and kind not in chosen.values():
            chosen[usual[flag]] = kind
    if whole and full:
        others = {name: registry.load("instances", name) for name in registry.load("methods", method).views[1:]}
        chosen |= {name: "instances" for name, part in others.items() if not hasattr(part, "follows")}
    sections = []
    for name, kind in chosen.items():
        part = registry.load(kind, name)
        parser.add_class_arguments(part.Config, name)
        sections.append(name)
        if kind == "methods" and training and "training" not in sections:
            parser.add_class_arguments(Training, "training")
            parser.set_defaults({f"training.{k}": v for k, v in vars(part.schedule).items()})
            sections.append("training")
    return sections


def _settings_files(arguments: Sequence[str]) -> dict[str, Any]:
    """What the files named by ``-c`` hold."""
    config: dict[str, Any] = {}
    for flag, value in pairwise(arguments):
        if flag in ("-c", "--config"):
            config |= read_yaml(value)
    return config


def _start_log(quiet: bool) -> None:
    from rich.console import Console
    from rich.logging import RichHandler

    log = logging.getLogger("wherewhen")
    told = RichHandler(console=Console(stderr=True), show_path=False, show_time=False)
    told.setLevel(logging.WARNING if quiet else logging.INFO)
    told.addFilter(Discreet())
    log.handlers = [told]
    log.setLevel(logging.INFO)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; the exit code is 0 only if everything that was asked for was done.

    1: it can't be done, 2: it can't be meant, 3: done but for the videos in quarantine, 130: stopped.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    for word in words:
        remember(word)
    with discreet():
        return _run(words)


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(_overview())
        return 0
    if words[0] == "--version":
        print(f"wherewhen {version('wherewhen')}")
        return 0
    verb, rest = words[0], words[1:]
    try:
        if verb not in VERBS:
            raise ConfigError(unknown("verb", verb, VERBS))
        command = import_module(f"wherewhen.commands.{verb}")
        options, settings = _parse(command, verb, rest)
        _start_log(bool(getattr(options, "quiet", False)))
        code: int = command.run(options, settings) if getattr(command, "RECIPE", False) else command.run(options)
        return code
    except WherewhenError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130

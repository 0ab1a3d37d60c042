"""Help of a verb: its options, then those that choose parts of a model, then the settings of the chosen parts."""

from __future__ import annotations

import inspect
import json
import shutil
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, fields
from typing import Any

from wherewhen.cli.arguments.described import Setting, choices, of_values
from wherewhen.cli.arguments.hints import PRINT, Known, usage
from wherewhen.cli.arguments.texts import metavar, place
from wherewhen.cli.needs import Fits, Needs, Sections, Told, shares_settings
from wherewhen.cli.verb import FLAGS, Verb
from wherewhen.core import registry
from wherewhen.core.config import CONSENT
from wherewhen.core.store import plain

WIDEST, NARROWEST = 110, 50  # columns of text
WIDEST_CHOICE = 24
COLUMN = 28  # of an option's name, at most

METAVARS = {
    "PATH": ("output", "labels", "prompts", "train_list", "test_list", "gt", "videos", "video", "path", "model"),
    "NAME": ("fold", "reader", "other_reader", "device", "backbone", "instances", "method", "localizer", "engine",
             "precision", "proposals", "weights", "ablate", "movers", "to", "from_", "crop_order", "layout"),
    "NAMES": ("methods", "backbones", "metrics", "kinds", "classes"),
    "FOLDERS": ("normal", "anomalous", "across"),
    "SECONDS": ("seconds", "every"),
    "ADDRESS": ("endpoint", "ray_address"),
}  # fmt: skip
"""Placeholders of values in help, where the type is not informative."""

Row = tuple[str, str]
Rules = tuple[Needs, Told]
NONE: Rules = ((), Told({}))


def text(command: Verb, known: Known, told: Told, width: int | None = None) -> str:
    """Help of a verb, with the settings of the parts that ``told`` chooses; as wide as the terminal.

    ``width``: another one, and then without these settings, as a page of the documentation shows it.
    """
    summary = command.description.split("\n\n")
    notes, rules = _notes(command.options), (command.needs, told)
    own = [one for name, one in known.options.items() if name not in FLAGS or name in _own(command)]
    hidden = {name for need in rules[0] if isinstance(need, Fits) and need.hidden for name in need.options}
    parts = [one for name, one in known.options.items() if name in FLAGS and name not in {*_own(command), *hidden}]
    blocks: list[tuple[str, list[Row]]] = [
        ("", [(place(one), one.text.rstrip(".")) for one in known.places]),
        ("options:", [*(_row(one, rules) for one in own), *_everywhere(command)]),
        ("model:", [_row(one, rules) for one in parts]),
        *(_sections(command, told) if width is None else ()),
    ]
    width = width or max(NARROWEST, min(shutil.get_terminal_size().columns, WIDEST))
    head = [f"usage: {usage(known)} [options]", "", *_wrapped(" ".join(summary[0].split()), width)]
    for paragraph in [*summary[1:], *notes]:
        head += ["", *_wrapped(" ".join(paragraph.split()), width)]
    filled = [(title, rows) for title, rows in blocks if rows]
    column = min(COLUMN, max(len(name) for _, rows in filled for name, _ in rows) + 2)
    body = [line for title, rows in filled for line in ["", *_wrapped(title, width), *_table(rows, column, width)]]
    return "\n".join([*head, *body]) + "\n"


def _own(command: Verb) -> Iterable[str]:
    return tuple(field.name for field in fields(command.options))


def _notes(options: type) -> list[str]:
    """What a verb's options say above their list, beyond their first sentence, which names them."""
    head = (inspect.getdoc(options) or "").split("\nArgs:")[0].split("\n\n")
    return [part for part in head[1:] if part.strip()]


def _everywhere(command: Verb) -> list[Row]:
    """What every verb takes."""
    chooses = any(isinstance(need, Sections) for need in command.needs)
    more = "; options that choose a part, such as --method NAME, add its settings" if chooses else ""
    return [
        ("-c, --config FILE", "YAML file with any of these settings; the command line takes precedence"),
        (PRINT, "print all settings as such a file and exit"),
        ("-h, --help", f"print this text and exit{more}"),
    ]


def _sections(command: Verb, told: Told) -> Iterator[tuple[str, list[Row]]]:
    """A block for each plug-in that is used, with the values that it has where nothing is said."""
    for need in command.needs:
        if isinstance(need, Sections):
            for name, made in need.used(told).items():
                if made is not None and name not in _followers():
                    yield _title(name, made), [_row(one) for one in of_values(made, f"{name}.") if _shown(one)]


def _followers() -> set[str]:
    """Builders whose settings are those of another one unless they are given."""
    return {name for name in registry.names("instances") if shares_settings(name)}


def _shown(one: Setting) -> bool:
    return one.name.split(".")[-1] != CONSENT or bool(one.text)


def _title(name: str, made: Any) -> str:
    """What kind of part has these settings, and its name."""
    kinds = {**registry.PARTS, "source of boxes": "proposals"}
    able = [flag for flag, kind in kinds.items() if name in registry.names(kind)]
    found = [flag for flag in able if registry.load(kinds[flag], name).Config is type(made)]
    return f"settings of {found[0]} {name}:" if found else f"settings of {name}:"


def _row(one: Setting, rules: Rules = NONE) -> Row:
    """An option as it is typed, and what it means with its default and what it needs."""
    told = one.text.strip().rstrip(".").replace("``", "")
    if one.switch:
        name = f"--[no-]{one.typed.removeprefix('--')}" if one.default else one.typed
        return name, _with_notes(told, "on" if one.default else "", rules, one.name)
    value = "" if one.default is None or one.default is MISSING else _value(one.default)
    if one.default is None and "." in one.name:
        value = "null"
    several = choices(one.kind)
    if len("|".join(several)) <= WIDEST_CHOICE:
        return f"{one.typed} {_metavar(one)}", _with_notes(told, value, rules, one.name)
    return f"{one.typed} NAME", _with_notes(f"{told}; one of: {', '.join(several)}", value, rules, one.name)


def _metavar(one: Setting) -> str:
    usual = metavar(one.kind)
    name = one.name.split(".")[-1]
    return next((word for word, names in METAVARS.items() if name in names and usual == "TEXT"), usual)


def _with_notes(text: str, default: str, rules: Rules, name: str) -> str:
    """A description with where the option applies, and its default unless it says so itself."""
    needs, told = rules
    rule = [need for need in needs if not isinstance(need, Sections) and name in need.options]
    notes = [need.note if isinstance(need, Fits) else need.note(told) for need in rule]
    notes = list(filter(None, dict.fromkeys(notes)))
    notes += [f"default: {default}"] if default and "default:" not in text.lower() else []
    return f"{text} ({'; '.join(notes)})" if notes else text


def _value(value: Any) -> str:
    """A default as it can be typed."""
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(plain(value))


def _wrapped(told: str, width: int) -> list[str]:
    return textwrap.wrap(told, width, break_on_hyphens=False)


def _table(rows: Iterable[Row], column: int, width: int) -> Iterator[str]:
    """Names on the left, what they mean on the right; a long name has a line of its own."""
    for name, told in rows:
        lines = _wrapped(" ".join(told.split()), width - column - 2) or [""]
        if len(name) + 2 > column:
            yield f"  {name}"
        else:
            yield f"  {name:<{column}}{lines.pop(0)}".rstrip()
        yield from (f"  {'':<{column}}{line}" for line in lines)

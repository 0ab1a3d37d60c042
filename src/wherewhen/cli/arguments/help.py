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
from wherewhen.cli.arguments.hints import PRINT, Accepted, usage
from wherewhen.cli.arguments.texts import metavar, place
from wherewhen.cli.needs import Arguments, Fits, Needs, Sections, shares_settings
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
Rules = tuple[Needs, Arguments]
NONE: Rules = ((), Arguments({}))


def text(command: Verb, accepted: Accepted, arguments: Arguments, width: int | None = None) -> str:
    """Help of a verb, with the settings of the parts that ``arguments`` choose; as wide as the terminal.

    ``width``: another width, without the settings of parts, as on the page of the documentation.
    """
    summary = command.description.split("\n\n")
    notes, rules = _notes(command.options), (command.needs, arguments)
    verb_settings = [
        setting for name, setting in accepted.options.items() if name not in FLAGS or name in _option_names(command)
    ]
    hidden = {name for need in rules[0] if isinstance(need, Fits) and need.hidden for name in need.options}
    parts = [
        setting
        for name, setting in accepted.options.items()
        if name in FLAGS and name not in {*_option_names(command), *hidden}
    ]
    blocks: list[tuple[str, list[Row]]] = [
        ("", [(place(setting), setting.text.rstrip(".")) for setting in accepted.places]),
        ("options:", [*(_row(setting, rules) for setting in verb_settings), *_everywhere(command)]),
        ("model:", [_row(setting, rules) for setting in parts]),
        *(_sections(command, arguments) if width is None else ()),
    ]
    width = width or max(NARROWEST, min(shutil.get_terminal_size().columns, WIDEST))
    head = [f"usage: {usage(accepted)} [options]", "", *_wrapped(" ".join(summary[0].split()), width)]
    for paragraph in [*summary[1:], *notes]:
        head += ["", *_wrapped(" ".join(paragraph.split()), width)]
    filled = [(title, rows) for title, rows in blocks if rows]
    column = min(COLUMN, max(len(name) for _, rows in filled for name, _ in rows) + 2)
    body = [line for title, rows in filled for line in ["", *_wrapped(title, width), *_table(rows, column, width)]]
    return "\n".join([*head, *body]) + "\n"


def _option_names(command: Verb) -> Iterable[str]:
    return tuple(field.name for field in fields(command.options))


def _notes(options: type) -> list[str]:
    """The paragraphs of the docstring of a verb's options between its first sentence and ``Args:``."""
    head = (inspect.getdoc(options) or "").split("\nArgs:")[0].split("\n\n")
    return [part for part in head[1:] if part.strip()]


def _everywhere(command: Verb) -> list[Row]:
    """The options of all verbs."""
    chooses = any(isinstance(need, Sections) for need in command.needs)
    more = "; options that choose a part, such as --method NAME, add its settings" if chooses else ""
    return [
        ("-c, --config FILE", "YAML file with any of these settings; the command line takes precedence"),
        (PRINT, "print all settings as such a file and exit"),
        ("-h, --help", f"print this text and exit{more}"),
    ]


def _sections(command: Verb, arguments: Arguments) -> Iterator[tuple[str, list[Row]]]:
    """A block for each plug-in that is used, with the default values of its settings."""
    for need in command.needs:
        if isinstance(need, Sections):
            for name, record in need.used(arguments).items():
                if record is not None and name not in _followers():
                    yield (
                        _title(name, record),
                        [_row(setting) for setting in of_values(record, f"{name}.") if _shown(setting)],
                    )


def _followers() -> set[str]:
    """Builders whose settings default to those of another builder."""
    return {name for name in registry.names("instances") if shares_settings(name)}


def _shown(setting: Setting) -> bool:
    return setting.name.split(".")[-1] != CONSENT or bool(setting.text)


def _title(name: str, record: Any) -> str:
    """The kind of the part with these settings, and its name."""
    kinds = {**registry.PARTS, "source of boxes": "proposals"}
    able = [flag for flag, kind in kinds.items() if name in registry.names(kind)]
    flags = [flag for flag in able if registry.load(kinds[flag], name).Config is type(record)]
    return f"settings of {flags[0]} {name}:" if flags else f"settings of {name}:"


def _row(setting: Setting, rules: Rules = NONE) -> Row:
    """An option as it is typed, and its description with its default and the options that it needs."""
    description = setting.text.strip().rstrip(".").replace("``", "")
    if setting.switch:
        name = f"--[no-]{setting.typed.removeprefix('--')}" if setting.default else setting.typed
        return name, _with_notes(description, "on" if setting.default else "", rules, setting.name)
    value = "" if setting.default is None or setting.default is MISSING else _value(setting.default)
    if setting.default is None and "." in setting.name:
        value = "null"
    several = choices(setting.kind)
    if len("|".join(several)) <= WIDEST_CHOICE:
        return f"{setting.typed} {_metavar(setting)}", _with_notes(description, value, rules, setting.name)
    return f"{setting.typed} NAME", _with_notes(
        f"{description}; one of: {', '.join(several)}", value, rules, setting.name
    )


def _metavar(setting: Setting) -> str:
    usual = metavar(setting.kind)
    name = setting.name.split(".")[-1]
    return next((word for word, names in METAVARS.items() if name in names and usual == "TEXT"), usual)


def _with_notes(text: str, default: str, rules: Rules, name: str) -> str:
    """A description with the options that the option needs, and its default unless the text names it."""
    needs, arguments = rules
    rule = [need for need in needs if not isinstance(need, Sections) and name in need.options]
    notes = [need.note if isinstance(need, Fits) else need.note(arguments) for need in rule]
    notes = list(filter(None, dict.fromkeys(notes)))
    notes += [f"default: {default}"] if default and "default:" not in text.lower() else []
    return f"{text} ({'; '.join(notes)})" if notes else text


def _value(value: Any) -> str:
    """A default as it can be typed."""
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(plain(value))


def _wrapped(paragraph: str, width: int) -> list[str]:
    return textwrap.wrap(paragraph, width, break_on_hyphens=False)


def _table(rows: Iterable[Row], column: int, width: int) -> Iterator[str]:
    """Names on the left, descriptions on the right; a long name has a separate line."""
    for name, description in rows:
        lines = _wrapped(" ".join(description.split()), width - column - 2) or [""]
        if len(name) + 2 > column:
            yield f"  {name}"
        else:
            yield f"  {name:<{column}}{lines.pop(0)}".rstrip()
        yield from (f"  {'':<{column}}{line}" for line in lines)

"""Write the pages that the code states: reference.md (plug-ins and settings) and commands.md (verbs and options)."""

from __future__ import annotations

import inspect
from dataclasses import MISSING, fields, is_dataclass
from importlib import import_module
from pathlib import Path

from wherewhen import cli
from wherewhen.cli.arguments import help, known_words, parts
from wherewhen.cli.needs import Told
from wherewhen.core import registry
from wherewhen.core.catalog import describe, in_words

TITLES = {
    "methods": "Methods",
    "backbones": "Backbones",
    "proposals": "Sources of boxes",
    "engines": "Engines",
    "instances": "Instance builders",
    "localize": "Localizers",
    "baselines": "Trivial rows",
    "metrics": "Metrics",
    "datasets": "Data sets",
    "formats": "Formats",
}


def settings(kind: str, name: str) -> list[str]:
    """The settings of a plug-in: what its record says, and a table of defaults."""
    record = getattr(registry.load(kind, name), "Config", None)
    if record is None or not is_dataclass(record):
        return []
    lines = ["", inspect.getdoc(record) or "", "", "| setting | type | default |", "|---|---|---|"]
    for field in fields(record):
        default = field.default if field.default is not MISSING else field.default_factory()  # type: ignore[misc]
        kind_of = field.type if isinstance(field.type, str) else field.type.__name__
        lines.append(f"| `{name}.{field.name}` | `{kind_of}` | `{default!r}` |".replace(" | None`", " or None`"))
    return lines


def page() -> str:
    """The whole page."""
    lines = ["# Reference", "", "Made by `make docs` from the code; don't edit it by hand."]
    for kind, title in TITLES.items():
        lines += ["", f"## {title}"]
        for entry in describe(kind):
            name = entry.pop("name")
            lines += ["", f"### `{name}`", "", entry.pop("title"), ""]
            lines += [f"- {key}: {in_words(value)}" for key, value in entry.items()]
            lines += settings(kind, name)
    return "\n".join(lines).rstrip() + "\n"


def commands() -> str:
    """The page of verbs: what each one does, and its options."""
    lines = ["# Commands", "", "Made by `make docs` from the code; don't edit it by hand.", ""]
    lines += [
        "What a verb works on is named by its place, options come in any order, and switches are `--flag` and",
        "`--no-flag`. `--json` prints the result on standard output; the log goes to standard error. `-c FILE` reads",
        "options and settings from YAML. `wherewhen VERB --help` prints also the [settings](reference.md) of the",
        "chosen method, backbone, instances and localizer, with defaults: `wherewhen train --method rtfm --help`.",
        "",
        "Exit codes: 0 done, 1 not possible, 2 wrong command line, 3 done except for the videos in `quarantine.json`,",
        "130 stopped, 141 standard output was closed.",
    ]
    for verb in cli.VERBS:
        command = import_module(f"wherewhen.cli.commands.{verb}")
        known = known_words(command, verb, parts.chosen(command, [], {}, whole=False))
        told = Told(vars(known), places=known.by_place)
        lines += ["", f"## {verb}", "", "```text", help.text(command, known, told, 100).rstrip(), "```"]
    return "\n".join(lines) + "\n"


PAGES = {"reference.md": page, "commands.md": commands}

if __name__ == "__main__":
    for name, made in PAGES.items():
        Path(__file__).with_name(name).write_text(made(), encoding="utf-8")

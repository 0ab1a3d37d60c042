"""Write the pages that follow from the code (settings, commands, Python API, contracts), and notebooks of tutorials."""

from __future__ import annotations

import inspect
import json
import posixpath
import re
import tomllib
from dataclasses import MISSING, fields, is_dataclass
from functools import partial
from pathlib import Path

import wherewhen
from wherewhen import cli
from wherewhen.cli.arguments import accepted_words, help, parts
from wherewhen.cli.arguments.described import descriptions
from wherewhen.cli.needs import Arguments
from wherewhen.core import registry
from wherewhen.core.catalog import describe, in_words
from wherewhen.core.contracts.methods import Training
from wherewhen.training.selection import AutoConfig

DOCS = Path(__file__).parent
TUTORIALS = tuple(sorted((DOCS / "tutorials").glob("*.md")))

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
    "sinks": "Sinks",
}


def rows(record: type, prefix: str, values: object = None) -> list[str]:
    """A row per field of a record of settings: dotted name, type, default, description; nested records follow.

    ``values``: a record with the defaults, where they are not those of the class.
    """
    texts, lines = descriptions(record), []
    for field in fields(record):
        default = field.default if field.default is not MISSING else field.default_factory()  # type: ignore[misc]
        default = default if values is None else getattr(values, field.name)
        kind_of = field.type if isinstance(field.type, str) else field.type.__name__
        shown = "see below" if is_dataclass(default) else f"`{default!r}`"
        cells = (f"`{prefix}.{field.name}`", f"`{kind_of}`", shown, texts.get(field.name, ""))
        lines.append("| " + " | ".join(cell.replace(" | ", " or ").replace("|", "\\|") for cell in cells) + " |")
        if is_dataclass(default):
            lines += rows(type(default), f"{prefix}.{field.name}", default)
    return lines


def settings(record: type | None, name: str) -> list[str]:
    """The settings of a plug-in: the introduction of its record, and a table with type, default and description."""
    if record is None or not is_dataclass(record):
        return []
    introduction = re.sub(r"\nArgs:\n(?:    .*\n?|\n(?=    ))*", "", inspect.getdoc(record) or "").strip()
    head = ["", introduction, "", "| setting | type | default | description |", "|---|---|---|---|"]
    return [*head, *rows(record, name)]


def page() -> str:
    """The page of plug-ins: a section per kind, a subsection per plug-in with its facts and settings."""
    lines = ["# Settings", "", "Generated from the code by `make docs`; do not edit.", ""]
    lines += [
        "All plug-ins with their settings. A setting is an option (`--cuboid_mil.dropout 0.5`), a value in a section",
        "of a YAML file (`-c FILE`), or an entry of `settings=` in Python.",
    ]
    for kind, title in TITLES.items():
        lines += ["", f"## {title}"]
        for entry in describe(kind):
            name = entry.pop("name")
            lines += ["", f"### `{name}`", "", entry.pop("title"), ""]
            lines += [f"- {key}: {in_words(value)}" for key, value in entry.items()]
            lines += settings(getattr(registry.load(kind, name), "Config", None), name)
    lines += ["", "## Training", *settings(Training, "training")]
    lines += ["", "## Choice of the method", *settings(AutoConfig, "auto")]
    return "\n".join(lines).rstrip() + "\n"


def commands() -> str:
    """The page of verbs: the help of each, with its options."""
    lines = ["# Commands", "", "Generated from the code by `make docs`; do not edit.", ""]
    lines += [
        "Inputs of a verb are positional, options have any order, and switches are `--flag` and `--no-flag`. `--json`",
        "prints the result on standard output; the log goes to standard error. `-c FILE` reads options and settings",
        "from YAML. `wherewhen VERB --help` also prints the [settings](reference.md) of the chosen method, backbone,",
        "instances and localizer, with defaults: `wherewhen train --method rtfm --help`.",
        "",
        "Exit codes: 0 success, 1 failure, 2 wrong command line, 3 success except for the videos in `quarantine.json`,",
        "130 interrupted, 141 standard output was closed.",
    ]
    for verb in cli.VERBS:
        command = cli.command_of(verb)
        accepted = accepted_words(command, verb, parts.chosen(command, [], {}, whole=False))
        arguments = Arguments(vars(accepted), places=accepted.by_place)
        lines += ["", f"## {verb}", "", "```text", help.text(command, accepted, arguments, 100).rstrip(), "```"]
    return "\n".join(lines) + "\n"


FIRST = ("train", "load", "detect", "Model", "Result", "Event", "HeatMap")
CONTRACTS = {
    "backbones": "Backbones",
    "instances": "Instance builders",
    "methods": "Methods",
    "localize": "Localizers",
    "proposals": "Sources of boxes",
    "engines": "Engines",
    "metrics": "Metrics",
    "datasets": "Data sets",
    "baselines": "Baselines",
    "formats": "Formats",
    "sinks": "Sinks",
    "classes": "Classes",
    "provenance": "Provenance",
}


def python_api() -> str:
    """The page of the public names of the package: functions, classes and errors, each rendered from its docstring."""
    names = sorted(wherewhen.__all__, key=lambda name: (FIRST.index(name) if name in FIRST else len(FIRST), name))
    public = {name: getattr(wherewhen, name) for name in names}
    functions = [value for value in public.values() if inspect.isfunction(value)]
    errors = [value for value in public.values() if inspect.isclass(value) and issubclass(value, Exception)]
    classes = [value for value in public.values() if value not in (*functions, *errors)]
    lines = ["# Python API", "", "Generated from the code by `make docs`; do not edit.", ""]
    lines += ["All names are imported from `wherewhen`: `wherewhen.train`, `wherewhen.Video`, ...", ""]
    for title, values in (("Functions", functions), ("Classes", classes), ("Errors", errors)):
        lines += [f"## {title}", ""]
        for value in values:
            lines += [f"::: {value.__module__}.{value.__qualname__}"]
            lines += ["    options:", "      inherited_members: true", ""] if value in classes else [""]
    return "\n".join(lines).rstrip() + "\n"


def contracts() -> str:
    """The page of the contracts of plug-ins, one section per kind."""
    lines = ["# Contracts of plug-ins", "", "Generated from the code by `make docs`; do not edit.", ""]
    lines += [
        "A plug-in is one file that ends with `PLUGIN = ...`; see [Add one file](../architecture.md#add-one-file).",
        "",
    ]
    for module, title in CONTRACTS.items():
        lines += [f"## {title}", "", f"::: wherewhen.core.contracts.{module}"]
        lines += ["    options:", "      show_root_heading: false", "      show_root_toc_entry: false", ""]
    return "\n".join(lines).rstrip() + "\n"


def cells(text: str) -> list[tuple[str, str]]:
    """The cells of a tutorial as kind and source: blocks of ``python`` and ``sh`` are code, all else is Markdown."""
    text = re.sub(r"^.*\(\w+\.ipynb\).*\n\n", "", text, flags=re.MULTILINE)
    parts = re.split(r"^```(python|sh)\n(.*?)^```\n", text, flags=re.DOTALL | re.MULTILINE)
    sources = [("markdown", parts[0])]
    for language, block, prose in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        command = re.sub(r"^(?=\S)", "!", block, flags=re.MULTILINE)
        sources += [("code", block if language == "python" else command), ("markdown", prose)]
    return [(kind, source.strip()) for kind, source in sources if source.strip()]


def notebook(page: Path) -> str:
    """A tutorial as Jupyter notebook (format 4.5): ids follow the order of cells, no outputs, links of the site."""
    project = tomllib.loads((DOCS.parent / "pyproject.toml").read_text("utf-8"))["project"]

    def address(link: re.Match[str]) -> str:
        return f"]({project['urls']['Documentation']}{posixpath.normpath(f'{page.parent.name}/{link[1]}')}.html"

    listed = []
    for number, (kind, source) in enumerate(cells(page.read_text("utf-8")), 1):
        text = re.sub(r"\]\((?!https?:)([\w./-]+)\.md", address, source) if kind == "markdown" else source
        cell = {"cell_type": kind, "id": f"cell-{number:02}", "metadata": {}, "source": text.splitlines(keepends=True)}
        listed.append(cell | ({"execution_count": None, "outputs": []} if kind == "code" else {}))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    content = {"cells": listed, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


PAGES = {"reference.md": page, "commands.md": commands, "api/index.md": python_api, "api/contracts.md": contracts}
PAGES |= {f"tutorials/{tutorial.stem}.ipynb": partial(notebook, tutorial) for tutorial in TUTORIALS}

if __name__ == "__main__":
    for name, made in PAGES.items():
        (DOCS / name).write_text(made(), encoding="utf-8")

"""Write docs/reference.md: every plug-in and every setting, as the code states them."""

from __future__ import annotations

import inspect
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path

from wherewhen import registry
from wherewhen.catalog import describe, in_words

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


if __name__ == "__main__":
    Path(__file__).with_name("reference.md").write_text(page(), encoding="utf-8")

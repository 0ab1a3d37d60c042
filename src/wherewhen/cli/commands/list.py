"""List the methods, backbones, engines, data sets, metrics and formats."""

from __future__ import annotations

from dataclasses import dataclass

from wherewhen.cli.verb import Verb
from wherewhen.core.console import print_json


@dataclass(frozen=True)
class Options:
    """Options of ``list``.

    Args:
        kind: backbones, baselines, datasets, engines, formats, instances, localize, methods, metrics or proposals;
            default: the names of all kinds.
        json: print the result as JSON instead of text.
    """

    kind: str | None = None
    json: bool = False


def run(options: Options) -> int:
    """Print each plug-in of a kind with the first line of its description."""
    from wherewhen.core import catalog, registry

    if options.kind is None:
        _overview({kind: registry.names(kind) for kind in registry.KINDS}, options.json)
        return 0
    entries = catalog.describe(options.kind)
    if options.json:
        print_json(entries)
        return 0
    if not entries:
        print(f"no {options.kind} yet")
    for entry in entries:
        print("  ".join([f"{entry.pop('name'):<20}", entry.pop("title")]))
        for key, value in entry.items():
            print(f"{'':<22}{key}: {catalog.in_words(value)}")
    return 0


def _overview(names_by_kind: dict[str, list[str]], as_json: bool) -> None:
    if as_json:
        print_json(names_by_kind)
        return
    for kind, names in names_by_kind.items():
        print(f"{kind:<11}{', '.join(names)}")
    print("\nwherewhen list KIND describes each of them")


VERB = Verb("help", Options, run, places=("kind",))

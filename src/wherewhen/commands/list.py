"""Show what there is: methods, backbones, engines, data sets, metrics, formats."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """What ``list`` is told.

    Args:
        kind: backbones, baselines, datasets, engines, formats, instances, localize, methods, metrics or proposals.
        json: print JSON.
    """

    kind: str
    json: bool = False


def run(options: Options) -> int:
    """Print each plug-in of a kind with the first line of what it says about itself."""
    import json

    from wherewhen import catalog

    entries = catalog.describe(options.kind)
    if options.json:
        print(json.dumps(entries, indent=1))
        return 0
    if not entries:
        print(f"no {options.kind} yet")
    for entry in entries:
        print("  ".join([f"{entry.pop('name'):<20}", entry.pop("title")]))
        for key, value in entry.items():
            print(f"{'':<22}{key}: {value}")
    return 0

"""Train and evaluate a published row as its paper states, and print expected beside measured numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from wherewhen.cli.needs import Need
from wherewhen.cli.verb import Verb
from wherewhen.core.console import print_json


@dataclass(frozen=True)
class Options:
    """Options of ``reproduce``.

    Args:
        name: the recipe (wherewhen reproduce --list).
        data: folder of the data set with its lists, annotations and videos.json, or a store of its features. Without
            --features, a recipe computes them from the videos there.
        list: print all recipes with what each needs and the published numbers.
        features: folder of the published features, or a store of them.
        seeds: number of seeds, from 0 on.
        protocol: validation selects the checkpoint on validation videos; published also trains on all training videos
            and adds the checkpoint selected on test videos, as the authors' codes do.
        ablations: also train the rows of the paper's ablations.
        output: folder for reproduction.json, bench.json, bench.md, report.html and imported features; default:
            runs/reproduce/NAME.
        device: auto, cpu or cuda.
        reader: name of the data set's reader (wherewhen list datasets); default: the recipe's.
        workers: number of processes, each for a seed; default: one per core, and one on a GPU.
        json: print the result as JSON instead of text.
        quiet: no progress bars, and only warnings and errors in the log.
    """

    name: str | None = None
    data: str | None = None
    list: bool = False
    features: str | None = None
    seeds: int = 3
    protocol: Literal["validation", "published"] = "validation"
    ablations: bool = False
    output: str | None = None
    device: str = "auto"
    reader: str | None = None
    workers: int | None = None
    json: bool = False
    quiet: bool = False


def run(options: Options) -> int:
    """Print the recipes, or reproduce one."""
    from wherewhen.api import recipes, reproduction
    from wherewhen.core.errors import ConfigError

    if options.list:
        if options.json:
            print_json({name: recipes.read(name) for name in recipes.names()})
        else:
            print("\n\n".join("\n".join(reproduction.lines_of(name)) for name in recipes.names()))
        return 0
    if options.name is None:
        raise ConfigError("reproduce needs a recipe: wherewhen reproduce NAME; --list shows all")
    recipe = recipes.read(options.name)
    if options.data is None:
        raise ConfigError(f"reproduce {options.name} needs the folder of the data set: {recipe.needs['data']}")
    result = reproduction.reproduce(
        options.name,
        options.data,
        options.features,
        seeds=options.seeds,
        protocol=options.protocol,
        ablations=options.ablations,
        output=options.output,
        device=options.device,
        reader=options.reader,
        workers=options.workers,
        quiet=options.quiet,
    )
    if options.json:
        print_json(result.as_json())
    else:
        print("\n".join(result.lines()))
        print(f"written: {options.output or f'runs/reproduce/{options.name}'}")
    return 0


VERB = Verb(
    "research",
    Options,
    run,
    places=("name", "data"),
    needs=(
        Need(
            ("name", "features", "seeds", "protocol", "ablations", "output", "device", "reader", "workers"),
            "list",
            False,
        ),
    ),
)

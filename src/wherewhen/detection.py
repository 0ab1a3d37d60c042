"""Detection over many videos: events, scores, overlays and timelines in one folder."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from wherewhen import outputs
from wherewhen.detector import sources_of
from wherewhen.errors import VideoError
from wherewhen.found import Found, write_tables
from wherewhen.model import Model
from wherewhen.progress import track
from wherewhen.runs import LOG, log_file
from wherewhen.spread import GIVEN_UP, Where, spread
from wherewhen.store import draft, sweep
from wherewhen.video.batch import Quarantine, survivors
from wherewhen.video.reader import Damaged, policy
from wherewhen.video.sources import Given, Source, parsed, stem
from wherewhen.zeroshot import ZeroShot

log = logging.getLogger("wherewhen")

TABLES = ("events.json", "scores.parquet", "scores.csv", "quarantine.json", LOG)
WORDS = ".json"  # of a file that says what a model of words was made from


def detect(
    model: Model | ZeroShot,
    sources: Given | Sequence[Given],
    output: str | Path,
    *,
    render: bool = True,
    where: Where | None = None,
    quiet: bool = False,
    damaged: Damaged = "keep",
) -> tuple[list[Found], Quarantine]:
    """Find what happens in videos, and write events, scores, overlays and timelines to the folder ``output``.

    ``model``: a trained one, or words alone. ``sources``: a file, folder, glob, camera or address, or a list of videos.
    A video that can't be read is set aside with its reason, and the rest goes on. ``where``: in which processes, or on
    which Ray cluster, each with one thread; here, with all threads, unless told. ``damaged``: keep reads a damaged
    recording as far as it goes, which is told in the log and in ``events.json``; set-aside sets it aside.
    """
    policy(damaged)
    folder = Path(output)
    quarantine = Quarantine(folder)
    if isinstance(sources, Sequence) and not isinstance(sources, str):
        places = [parsed(source) for source in sources]
    else:
        places = sources_of(sources)
    names = _names(places)
    pictures = (f"{name}{kind}" for name in names.values() for kind in (".mp4", ".png")) if render else ()

    def work(source: Source) -> Found:
        return _shown(replace(model.detect_one(source, damaged), id=names[source]), folder, render)

    with outputs.reading(places):
        outputs.check_folder(folder, [*TABLES, *pictures], "choose an --output that is empty, or holds results alone")
    with outputs.reading(places), log_file(folder):
        if where is None:
            todo = survivors(places, work, quarantine)
            found = [one for _, one in track(todo, "detecting", len(places), quiet=quiet)]
        else:
            found = _detect_elsewhere(model, places, quarantine, where, render, quiet, damaged)
        for one in found:
            if one.damage:
                log.warning("%s: not all of it was read: %s", one.id, one.damage)
        for path, reason in quarantine.reasons.items():
            log.warning("set aside %s: %s", path, reason)
        write_tables(folder, found)
    return found, quarantine


def _shown(one: Found, folder: Path, render: bool) -> Found:
    if render:
        one.render(folder / f"{one.id}.mp4")
        one.timeline(folder / f"{one.id}.png")
    return one


@dataclass(frozen=True)
class _Order:
    """One video to detect in, for a process of its own."""

    model: Path
    device: str
    trust: bool
    source: Source
    id: str
    folder: Path
    render: bool
    damaged: Damaged


@lru_cache(maxsize=1)
def _model_at(path: Path, device: str, trust: bool) -> Model | ZeroShot:
    return ZeroShot.load(path) if path.suffix == WORDS else Model.load(path, device=device, trust=trust)


def _detect_one(order: _Order) -> Found | str:
    """What was found, or why the video can't be read."""
    try:
        found = _model_at(order.model, order.device, order.trust).detect_one(order.source, order.damaged)
        return _shown(replace(found, id=order.id), order.folder, order.render)
    except VideoError as error:
        return error.cause


def _detect_elsewhere(
    model: Model | ZeroShot,
    sources: Sequence[Source],
    quarantine: Quarantine,
    where: Where,
    render: bool,
    quiet: bool,
    damaged: Damaged,
) -> list[Found]:
    folder = quarantine.file.parent.resolve()
    quarantine.write()
    sweep(folder)
    names = _names(sources)
    with draft(folder, "model", WORDS if isinstance(model, ZeroShot) else ".safetensors") as path:
        model.save(path)
        places = [source.absolute() if isinstance(source, Path) else source for source in sources]
        wanted = zip(sources, places, strict=True)
        trust = isinstance(model, Model) and model.recipe.trusted
        orders = [
            _Order(path, model.device, trust, place, names[source], folder, render, damaged) for source, place in wanted
        ]
        made = dict(track(spread(_detect_one, orders, where), "detecting", len(sources), quiet=quiet))
    kept = [(number, one) for number in sorted(made) if isinstance(one := made[number], Found)]
    found = [replace(one, path=sources[number]) for number, one in kept]
    for number in sorted(made):
        if not isinstance(cause := made[number], Found):
            quarantine.add(sources[number], cause or GIVEN_UP)
    return found


def _names(sources: Sequence[Source]) -> dict[Source, str]:
    """A file name for each source: its stem, with a number where two share one."""
    names: dict[Source, str] = {}
    taken: set[str] = set()
    for source in dict.fromkeys(sources):
        own = name = stem(source)
        number = 1
        while name in taken:
            number += 1
            name = f"{own}-{number}"
        taken.add(name)
        names[source] = name
    return names

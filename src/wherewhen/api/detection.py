"""Detection in many videos: results of each as they are computed, and tables of all in one folder."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from wherewhen.api import ids, tables
from wherewhen.api.ids import Place
from wherewhen.api.logs import LOG, log_file
from wherewhen.api.recording import Order, Outcome, can_be_painted, record, resumable
from wherewhen.api.results import DONE, FOLDER, PART, PICTURES, About, StoredResult, all_of, head, path_of, picture_of
from wherewhen.core import outputs
from wherewhen.core.errors import OutputError, StoreError, VideoError
from wherewhen.core.feature_file import content
from wherewhen.core.printable import fitted
from wherewhen.core.progress import track
from wherewhen.core.store import content_hash, draft, fingerprint, sweep
from wherewhen.extraction import frame_rates
from wherewhen.inference.detector import sources_of
from wherewhen.inference.model import Model
from wherewhen.inference.result import Result
from wherewhen.runtime.parallel import GIVEN_UP, Workers, spread
from wherewhen.text.zero_shot import ZeroShot
from wherewhen.video import devices
from wherewhen.video.batch import Quarantine
from wherewhen.video.reader import Damaged, policy
from wherewhen.video.sources import Source, parsed

log = logging.getLogger("wherewhen")

WORDS = ".json"  # of the file of a model from prompts
INSTEAD = "choose an --output that is empty, or holds results alone"


def detect(
    model: Model | ZeroShot,
    sources: Any,
    output: str | Path,
    *,
    render: bool = True,
    where: Workers | None = None,
    resume: bool = False,
    base: str | Path | None = None,
    quiet: bool = False,
    damaged: Damaged = "keep",
    hwaccel: str = "none",
) -> tuple[list[Result], Quarantine]:
    """Detect anomalies in videos, and write events, scores, overlays and timelines to the folder ``output``.

    Each video's results are written as soon as they are computed. Tables join those of all videos in the folder, of
    earlier runs too. Unreadable videos are listed in ``quarantine.json``; the run continues. Results hold no heat maps;
    those of `Model.detect` do.

    Args:
        model: a trained model, or text prompts.
        sources: a path, folder, glob, camera number, address, or a list of them.
        output: folder to write.
        render: write overlay videos and timelines.
        where: in which processes, or on which Ray cluster; None: in this process with all threads.
        resume: skip videos whose results are complete.
        base: folder that ids of videos are relative to; None: the folder that is searched, or the working directory.
        quiet: no progress bars.
        damaged: keep uses a damaged video as far as it can be read; set-aside lists it in ``quarantine.json``.
        hwaccel: what decodes: none (the processor), auto, or the name of a device.

    Returns:
        The results of the videos, and the quarantine with the reasons of those without a result.

    Raises:
        ConfigError: the device to decode with does not work.
        OutputError: files would be lost, or the folder holds results of one of the videos by another model.
    """
    policy(damaged)
    if where is None or not where.ray:  # machines of a cluster have their own devices
        devices.device(hwaccel)
    folder, all_sources = Path(output), list(_all(sources))
    home = Path(base) if base is not None else ids.base_of(sources) if isinstance(sources, str | Path) else None
    with outputs.reading(all_sources):
        earlier = _earlier(folder)
        plan = ids.places(all_sources, folder, home, earlier)
        outputs.check_folder(folder, _names(plan, render), INSTEAD)
        model_id = _fingerprint(model, folder)
        template = Order(plan[0], folder, model_id, render, damaged, hwaccel) if plan else None
        orders = [
            order for place in plan if template and (order := _order(replace(template, place=place), earlier, resume))
        ]
        quarantine = Quarantine(folder)
        quarantine.keep(all_sources)
        with log_file(folder), _tables(folder, quarantine):
            sweep(folder)
            quarantine.write()
            outcomes = _in_process(model, orders, quiet) if where is None else _in_workers(model, orders, where, quiet)
            for order, outcome in outcomes:
                _log_outcome(order, outcome, quarantine)
                if outcome.stopped:
                    raise KeyboardInterrupt
        stored_results = [(place, tables.finished(folder, place.id)) for place in plan]
    skipped = {quarantine.named(place.source) for place in plan} & quarantine.reasons.keys()
    results = [tables.result_of(result, place.source) for place, result in stored_results if result is not None
             if quarantine.named(place.source) not in skipped]  # fmt: skip
    with log_file(folder):
        if isinstance(model, Model):
            frame_rates.warn_of_edges((result.clock for result in results), model.backbone)
    return results, quarantine


def _all(sources: Any) -> Iterator[Source]:
    """All sources; a missing one of several is kept, so that it is quarantined and the others are processed."""
    if not isinstance(sources, list | tuple) or not all(isinstance(item, str | Path) for item in sources):
        yield from sources_of(sources)
        return
    for item in sources:
        try:
            yield from sources_of(item)
        except VideoError:
            yield parsed(item)


def _earlier(folder: Path) -> dict[str, About]:
    """The heads of the results in a folder, by id; complete results take precedence."""
    by_id: dict[str, About] = {}
    for path in all_of(folder):
        try:
            about = head(path)
        except StoreError as error:
            if path.name.endswith(DONE):
                log.warning("%s", error)
            continue
        by_id.setdefault(about.id, about)
    return by_id


def _names(plan: Sequence[Place], render: bool) -> Iterator[str]:
    """All files to write."""
    yield from (*tables.NAMES, "quarantine.json", LOG)
    for place in plan:
        yield from (f"{FOLDER}/{fitted(place.id)}{ending}" for ending in (DONE, PART))
        yield from (f"{fitted(place.id)}{kind}" for kind in PICTURES) if render else ()


def _order(order: Order, earlier: Mapping[str, About], resume: bool) -> Order | None:
    """The order for a video, None where its results are complete; OutputError for results of another model."""
    about, place = earlier.get(order.place.id), order.place
    if about is None:
        return order
    if about.model != order.model:
        file = path_of(order.output, place.id)
        raise OutputError(
            f"{order.output}: holds results of {place.id} by another model or other settings; choose another --output, "
            f"or remove them: {file}"
        )
    result = tables.finished(order.output, place.id)
    why = _why(order, result)
    if why is None and resume:
        log.info("%s: done already", place.id)
        return None
    if why is not None:
        log.info("%s: done again, %s", place.id, why)
    return replace(order, keep=result is not None and result.complete and _same(place.source, result))


def _why(order: Order, result: StoredResult | None) -> str | None:
    """Why the results of a video are not complete, None where they are."""
    if result is None or not result.complete:
        return "it was not finished"
    if not _same(order.place.source, result):
        return "its content changed"
    pictures = (picture_of(order.output, order.place.id, kind) for kind in PICTURES)
    if order.render and can_be_painted(order.place.source) and not all(map(outputs.is_output, pictures)):
        return "its overlay or timeline is missing"
    return None


def _same(source: Source, result: StoredResult) -> bool:
    try:
        return isinstance(source, Path) and content(source) == result.about.sha256
    except VideoError:
        return False


@contextmanager
def _tables(folder: Path, quarantine: Quarantine) -> Iterator[None]:
    """Join the tables afterwards, also after an interruption or an error, which is raised again."""
    try:
        yield
    except BaseException:
        try:
            tables.join(folder, quarantine.rows)
        except Exception as error:
            log.warning("the tables were not written (%s); --resume writes them", error)
        raise
    with resumable(folder):
        tables.join(folder, quarantine.rows)


def _log_outcome(order: Order, outcome: Outcome, quarantine: Quarantine) -> None:
    if outcome.cause is not None:
        quarantine.add(order.place.source, outcome.cause)
    for note in outcome.notes:
        log.warning("%s: %s", order.place.id, note)


def _in_process(model: Model | ZeroShot, orders: Sequence[Order], quiet: bool) -> Iterator[tuple[Order, Outcome]]:
    done = ((order, record(model, order)) for order in orders)
    yield from track(done, "detecting", len(orders), quiet=quiet or not orders)


def _in_workers(
    model: Model | ZeroShot, orders: Sequence[Order], where: Workers, quiet: bool
) -> Iterator[tuple[Order, Outcome]]:
    """Detect in other processes, which read the model from the folder and write the results there."""
    if not orders:
        return
    folder = orders[0].output.resolve()
    with draft(folder, "model", _ending(model)) as path:
        model.save(path)
        absolute = [replace(order, output=folder, place=_absolute(order.place)) for order in orders]
        work = partial(_record_by, path, model.device, isinstance(model, Model) and model.trusted)
        for number, outcome in track(spread(work, absolute, where), "detecting", len(orders), quiet=quiet):
            yield orders[number], outcome or Outcome(GIVEN_UP)


def _absolute(place: Place) -> Place:
    return replace(place, source=place.source.absolute()) if isinstance(place.source, Path) else place


def _record_by(path: Path, device: str, trust: bool, order: Order) -> Outcome:
    return record(_model_at(path, device, trust), order)


@lru_cache(maxsize=1)
def _model_at(path: Path, device: str, trust: bool) -> Model | ZeroShot:
    return ZeroShot.load(path) if path.suffix == WORDS else Model.load(path, device=device, trust=trust)


def _ending(model: Model | ZeroShot) -> str:
    return WORDS if isinstance(model, ZeroShot) else ".safetensors"


def _fingerprint(model: Model | ZeroShot, folder: Path) -> str:
    """A fingerprint of a model and its settings, except for its device."""
    if not hasattr(model, "save"):  # a user's model that can't be saved
        return fingerprint(type(model).__qualname__)
    with draft(folder, "model", _ending(model)) as path:
        model.save(path)
        if isinstance(model, Model):
            return content_hash(path)[:16]
        document = json.loads(path.read_text("utf-8"))
        return fingerprint({key: value for key, value in document.items() if key != "device"})

"""The choice of a method for a training run: features of all candidates in one reading, then their comparison."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from pathlib import Path

from wherewhen.core.feature_file import is_features
from wherewhen.core.store import fingerprint
from wherewhen.core.values import Bag, Video
from wherewhen.extraction import loading
from wherewhen.inference.model_config import ModelConfig
from wherewhen.runtime.devices import pick_device
from wherewhen.training import distributed
from wherewhen.training.fit import check_labels
from wherewhen.training.selection import Request, Selection, select
from wherewhen.video.batch import Quarantine

log = logging.getLogger("wherewhen")


def chosen(
    request: Request,
    videos: Sequence[Video],
    *,
    device: str = "auto",
    file: Path | None = None,
    resume: bool = False,
    validation: Collection[str] = (),
    quarantine: Quarantine | None = None,
    quiet: bool = False,
) -> Selection:
    """The method that cross-validation over these training videos chooses; the usual one where they are too few.

    Unreadable videos are listed in ``quarantine``; the other arguments are those of `selection.select`.
    """
    reason = request.too_few(videos)
    if reason is None and distributed.team().size > 1:
        reason = "methods are compared by one process only"
    if reason is None:
        device = pick_device(device)
        readable = _read(request, videos, device, quarantine, quiet)
        check_labels(readable)
        reason = request.too_few(readable)
    if reason is not None:
        return Selection(request.usual, f"the default; {reason}")
    groups: dict[str, Sequence[Bag]] = {}
    held = loading.HELD // len({_specs_key(config, device) for config in request.candidates.values()})

    def bags_of(config: ModelConfig) -> Sequence[Bag]:
        key = _specs_key(config, device)
        if key not in groups:
            groups[key] = loading.gathered(readable, config.training_specs(device), quiet=True, held=held)
        return groups[key]

    return select(request, bags_of, device=device, file=file, resume=resume, validation=validation, quiet=quiet)


def _specs_key(config: ModelConfig, device: str) -> str:
    return fingerprint(config.training_specs(device))


def _read(
    request: Request, videos: Sequence[Video], device: str, quarantine: Quarantine | None, quiet: bool
) -> list[Video]:
    """The readable videos, after the features of all candidates are in the cache; a store has its own."""
    configs = [request.usual] if is_features(videos[0].path) else [request.usual, *request.candidates.values()]
    specs = {fingerprint(spec): spec for config in configs for spec in config.training_specs(device).values()}
    return [bag.video for bag in loading.bags(videos, specs, quarantine=quarantine, quiet=quiet)]

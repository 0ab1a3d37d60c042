"""Export of a model's networks to a format that other libraries run, and its comparison with the model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from wherewhen.core.contracts import View
from wherewhen.core.errors import ConfigError
from wherewhen.core.extents import TICK
from wherewhen.core.values import Event, Instances, Prediction
from wherewhen.extraction import crops
from wherewhen.extraction.assembly import join_instances
from wherewhen.inference.exported import CLIPS, PARTS, Exported, inputs
from wherewhen.inference.scoring import join_predictions
from wherewhen.runtime import graphs
from wherewhen.runtime.batching import NONE
from wherewhen.runtime.graphs import Graph
from wherewhen.runtime.network import Network
from wherewhen.video.sources import Source, shown

TOLERANCE = 1e-3  # of scores from 0 to 1; fp32 of two libraries differs by 1e-6 to 1e-5
EXAMPLE = 6  # time steps that a method is recorded on
STEPS = (1, 2, 7, 300)  # time steps at which it is compared: also more than one piece of methods that cut videos
OTHER_GRID = (2, 5)
BATCH = 8  # pictures that a backbone gets at once


@dataclass(frozen=True)
class Parity:
    """How far an exported model is from its original.

    Largest absolute deviations: ``score`` of frame scores, ``heat`` of heat maps of ``videos``, ``sizes`` of the
    method's scores of drawn bags of other sizes. ``events``: how many the original found; ``changed``: how many of both
    have no equal in the other, with the same class, start and end. ``seconds`` of video were compared.
    """

    score: float
    heat: float
    sizes: float
    events: int
    changed: int
    videos: tuple[str, ...]
    seconds: float

    @property
    def largest(self) -> float:
        """The largest of the deviations."""
        return max(self.score, self.heat, self.sizes)


class Recorded(nn.Module):
    """A method as a module of arrays: three for each view, see `exported.inputs` -> ``(N, 1 + C)``."""

    def __init__(self, method: nn.Module, grids: Mapping[str, bool]) -> None:
        super().__init__()
        self.method, self.grids = method, dict(grids)
        self.eval()

    def forward(self, *arrays: torch.Tensor) -> torch.Tensor:
        """Scores and likelihoods of classes of the scored instances of one bag."""
        views, left = {}, iter(arrays)
        for name, is_grid in self.grids.items():
            features, extents, track = (next(left) for _ in PARTS)
            t, h, w = features.shape[:3] if is_grid else (1, 1, 1)
            if is_grid:
                features, extents, track = features.flatten(0, 2), extents.flatten(0, 2), track.flatten(0, 2)
            mask = torch.ones_like(features[None, :, 0], dtype=torch.bool)
            views[name] = View(features[None], extents[None], track[None], mask, ((t, h, w) if is_grid else None,))
        output = self.method(views)
        return torch.cat([output.scores[0, :, None], *(part[0] for part in _classes(output.extra))], 1)


def _classes(extra: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
    return [extra["classes"]] if "classes" in extra else []


def exported(model: Any, form: str, sources: Sequence[Source], tolerance: float = TOLERANCE) -> tuple[Any, Parity]:
    """The model with its networks in a format, and how far it is from the model on videos.

    Args:
        model: a trained model.
        form: a format, one of `graphs.FORMATS`.
        sources: videos that both are compared on; at least one.
        tolerance: largest absolute deviation that is accepted.

    Returns:
        The exported model, and its deviations.

    Raises:
        ConfigError: the model is an exported one, its method can't be exported, or a deviation is too large.
        EngineError: a library is missing, or has no operation for a part of a network.
    """
    graphs.check(form)
    if isinstance(model.method, Exported):
        raise ConfigError("this run is exported already; export the run that it was made from")
    if not 0 < tolerance < float("inf"):
        raise ConfigError(f"tolerance: expected a deviation above 0, got {tolerance}")
    with _on_processor(model) as plain:
        examples = _views(plain, sources[0])
        grids = {name: rows.shape is not None for name, rows in examples.items()}
        first = drawn_bag(examples, EXAMPLE)
        arrays = {name: torch.from_numpy(array) for name, array in inputs(first, grids).items()}
        axes = {name: array.ndim - (not name.endswith(PARTS[2])) for name, array in arrays.items()}
        graph = graphs.written(Recorded(plain.method, grids), arrays, axes, form)
        method = Exported(graph, grids, plain.method.reach, *_backbone(plain, form), trust=True)
        other = replace(plain, method=method)
        parity = _compared(plain, other, sources, _deviation(plain, method, examples))
    if not parity.largest <= tolerance:
        raise ConfigError(
            f"the exported model deviates by {parity.largest:.3g} from the original (scores {parity.score:.3g}, heat "
            f"maps {parity.heat:.3g}, bags of other sizes {parity.sizes:.3g}), and {tolerance:g} is allowed: nothing "
            "is written; use another --format, or accept it with a larger --tolerance"
        )
    return other, parity


@contextmanager
def _on_processor(model: Any) -> Iterator[Any]:
    """The model on the processor in plain fp32; it is back on its device afterwards."""
    device = model.device
    try:
        plain = replace(model, device="cpu")
        if isinstance(plain.backbone, Network):
            plain.running = NONE
        yield plain
    finally:
        model.method.to(device)


def _views(model: Any, source: Source) -> dict[str, Instances]:
    """The normalized views of a video, as the method gets them."""
    parts: dict[str, list[Instances]] = defaultdict(list)
    for name, part in model.instances(source)[0]:
        parts[name].append(part)
    if missing := [name for name in model.config.views if name not in parts]:
        raise ConfigError(f"{shown(source)}: has no {missing[0]}, which the export needs; choose another video")
    views = model.normalized({name: join_instances(parts[name]) for name in model.config.views})
    return crops.sequences(views, model.config.crops)[0] if model.config.crop_mode == "separate" else views


def drawn_bag(
    examples: Mapping[str, Instances], steps: int, grid: tuple[int, int] | None = None, empty: float = 0.0
) -> dict[str, Instances]:
    """Bags of so many time steps, of rows drawn from examples; ``grid``: other than theirs.

    ``empty``: share of instances that are all zeros. A step lasts as long as theirs.
    """
    views, rng = {}, np.random.default_rng(0)
    count = max(steps * rows.shape[1] * rows.shape[2] if rows.shape else steps for rows in examples.values())
    for name, rows in examples.items():
        shape = (steps, *(grid or rows.shape[1:])) if rows.shape else None
        if shape and rows.shape and rows.shape[1:] == (1, 1):
            shape = (steps, 1, 1)
        number = int(np.prod(shape)) if shape else min(count, steps)
        features = rows.features[rng.integers(len(rows.features), size=number)]
        features[rng.random(number) < empty] = 0
        extents = np.array(rows.extents[np.arange(number) % len(rows.extents)])
        length = float(np.median(rows.extents[:, 1] - rows.extents[:, 0]))
        extents[:, 0] = np.arange(number) // (number // steps) * length
        extents[:, 1] = extents[:, 0] + length
        track = np.arange(number) % 5 if (rows.track >= 0).any() else np.full(number, -1)
        views[name] = Instances(features, extents, track, shape)
    return views


def _deviation(model: Any, method: Exported, examples: Mapping[str, Instances]) -> float:
    """The largest deviation of a method from the exported one, over bags of other sizes."""
    any_size = model.config.views[model.config.scored] == "cells" and not model.config.settings["cells"].rows
    grids = [None, *([OTHER_GRID] if any_size and examples[model.config.scored].shape else [])]
    bags = [drawn_bag(examples, steps, grid, 0.1) for grid in grids for steps in STEPS]
    return max(largest(method.answers(bag), model.method_answers(bag)) for bag in bags)


def _backbone(model: Any, form: str) -> tuple[Graph | None, int]:
    """The backbone's graph and its number of clips at once; None where it is no network of its own."""
    backbone = model.backbone
    if not isinstance(backbone, Network):
        return None, 1
    size = backbone.clip.size or (64, 64)
    batch = max(1, BATCH // backbone.clip.frames)
    rng = np.random.default_rng(0)
    clips = rng.integers(0, 256, (batch, backbone.clip.frames, *size, 3), np.uint8)
    return graphs.written(backbone.module.eval(), {CLIPS: torch.from_numpy(clips)}, {CLIPS: 0}, form), batch


def _compared(model: Any, other: Any, sources: Sequence[Source], sizes: float) -> Parity:
    scores, heats, events, changed, seconds = [0.0], [0.0], 0, 0, 0.0
    for source in sources:
        before, after = (join_predictions(side.stream(source)) for side in (model, other))
        for values, kind in ((scores, "frames"), (heats, "heat")):
            values.append(largest(*(np.asarray(getattr(prediction, kind).values) for prediction in (before, after))))
        events += len(before.events)
        changed += _unequal(before, after) + _unequal(after, before)
        seconds += float(before.frames.edges[-1] - before.frames.edges[0]) if before.frames is not None else 0.0
    return Parity(max(scores), max(heats), sizes, events, changed, tuple(map(shown, sources)), seconds)


def largest(values: Any, others: Any) -> float:
    """The largest absolute difference; infinite where shapes differ, or a number is not finite.

    >>> largest(np.array([0.5, 1.0]), np.array([0.5, 0.75]))
    0.25
    """
    if values.shape != others.shape or not (np.isfinite(values).all() and np.isfinite(others).all()):
        return float("inf")
    return float(np.abs(values.astype(np.float64) - others).max(initial=0.0))


def _unequal(prediction: Prediction, other: Prediction) -> int:
    """How many events of a prediction have no equal in another one."""

    def same(a: Event, b: Event) -> bool:
        return a.category == b.category and abs(a.start - b.start) < TICK and abs(a.end - b.end) < TICK

    return sum(not any(same(event, equal) for equal in other.events) for event in prediction.events)

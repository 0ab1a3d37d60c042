"""Adaptation of a model to another camera from footage without labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy, deepcopy
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wherewhen.core.errors import DataError
from wherewhen.core.values import Bag, Features, Floats, Instances, Masks
from wherewhen.extraction.assembly import Part
from wherewhen.extraction.loading import BagSubset, LazyBags, MappedBags
from wherewhen.inference.adaptation import TAIL, Adaptation, Exceedance, far, surprise_of
from wherewhen.inference.camera_normalizer import CAMERA, AnyNormalizer, CameraNormalizer
from wherewhen.inference.frame_scores import frame_scores
from wherewhen.inference.model import Model
from wherewhen.inference.normal_time import BLOCK, NormalTime
from wherewhen.inference.normalizer import Normalizer
from wherewhen.inference.packing import view
from wherewhen.inference.running_normalizer import with_past
from wherewhen.training.batches import thinned
from wherewhen.training.fit import NORMALIZED, bank_of, statistics
from wherewhen.training.out_of_fold import block_rows

FOLDS = 3
LEAST = 30.0  # seconds of footage at least
PIECES = 6  # into which all footage is cut at least
PRIOR = 5.0  # seconds of footage that the old normalizer counts for
JUDGED = 20  # blocks from which on outliers among them can be recognized
OUTLIERS = 0.1  # share of the blocks that is excluded at most
TRIMMED = 0.05  # share of the cells that has no influence while outliers are looked for
FOOTAGE = "footage"  # the camera of an adapted model
EXPECTED = 0.02  # blocks as high as an outlier that are expected


@dataclass(frozen=True, repr=False)
class Adapted:
    """A model adapted to a camera, the footage in hours, and what was excluded of it.

    ``outliers``: id of the video, start and end in seconds, and raw score of each excluded block.
    ``unclear``: how many further blocks are outliers, beyond the share that can be excluded.
    """

    model: Model
    hours: float
    outliers: tuple[tuple[str, float, float, float], ...]
    unclear: int = 0


def adapted(model: Model, bags: Sequence[Bag], per_day: float) -> Adapted:
    """Adapt a model to the camera of unlabelled, mostly normal footage (bags, not normalized).

    Normalizers, bank, and what the method stores of normal videos are computed anew; weights stay. Calibration and
    threshold are from scores of each third of the footage by a model that was adapted to the other two. Blocks of 10
    seconds that score far above the others are excluded, and all is computed again without them.

    Args:
        model: the source model, which stays as it is.
        bags: the footage.
        per_day: wished number of false alarms a day, which chooses the threshold.

    Raises:
        DataError: too little footage, or nothing in it.
    """
    pieces = Pieces.of(bags)
    seconds = sum(pieces.lengths)
    if seconds < LEAST:
        raise DataError(f"too little footage: {seconds:.0f} s, expected at least {LEAST:.0f} s; hours are best")
    if len(pieces) < FOLDS:
        raise DataError(
            f"too few videos of footage: {len(pieces)}, expected at least {FOLDS}, as {model.config.instances} can't "
            "be divided in time; cut the recordings into several files"
        )
    scored = _cross_fitted(model, pieces, trim=TRIMMED)
    outliers, unclear = _outliers(scored.blocks)
    scored = _cross_fitted(model, pieces.without(outliers))
    result = _fitted_on(model, scored.pieces)
    result.adaptation = scored.adaptation
    result.normal_time = scored.normal_time
    result.threshold = result.normal_time.level(per_day)
    rows = tuple((bags[pieces.spans[block.piece][0]].video.id, *block[1:]) for block in outliers)
    return Adapted(result, seconds / 3600, rows, unclear)


Span = tuple[int, float, float]  # number of a bag, start and end in seconds


@dataclass(frozen=True)
class Pieces(LazyBags):
    """Parts of videos in time, as bags of their own, with label 0."""

    bags: Sequence[Bag]
    spans: Sequence[Span]

    @classmethod
    def of(cls, bags: Sequence[Bag]) -> Pieces:
        """Whole videos; of single grids the longer ones are cut, to at most a sixth of all but no less than 10 s."""
        starts = [_starts(bag) for bag in bags]
        ends = [_end(bag) for bag in bags]
        longest = max(sum(end - start[0] for start, end in zip(starts, ends, strict=True)) / PIECES, BLOCK)
        spans: list[Span] = []
        for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
            count = min(max(1, round((end - start[0]) / longest)), len(start))
            borders = start[np.arange(count) * len(start) // count]
            spans += [(number, *pair) for pair in pairwise([*borders.tolist(), end])]
        return cls(bags, spans)

    def __len__(self) -> int:
        return len(self.spans)

    @property
    def lengths(self) -> list[float]:
        """Seconds of each piece."""
        return [end - start for _, start, end in self.spans]

    def at(self, index: int) -> Bag:
        """One piece."""
        number, start, end = self.spans[index]
        bag = self.bags[number]
        views = {name: _between(instances, start, end) for name, instances in bag.views.items()}
        return replace(bag, video=replace(bag.video, label=0), views=views)

    def without(self, blocks: Sequence[Block]) -> Pieces:
        """The pieces without these blocks of time; videos that can't be cut stay whole."""
        spans: list[Span] = []
        for index, span in enumerate(self.spans):
            number, start, end = span
            cuts = [block for block in blocks if block.piece == index]
            starts = _starts(self.bags[number]) if cuts else np.empty(0)
            if len(starts) < 2:
                spans.append(span)
                continue
            edges = [start, *(edge for block in cuts for edge in (block.start, block.end)), end]
            for first, last in zip(edges[::2], edges[1::2], strict=True):
                if ((starts >= first) & (starts < last)).any():
                    spans.append((number, first, last))
        return Pieces(self.bags, spans)


class Block(NamedTuple):
    """Ten seconds of a piece: start and end in the video, and the highest raw frame score."""

    piece: int
    start: float
    end: float
    score: float


@dataclass(frozen=True)
class _CrossFitted:
    """Scores of pieces by models that were adapted to others; ``blocks`` in the order of pieces and time."""

    pieces: Pieces
    adaptation: Adaptation
    blocks: Sequence[Block]

    @property
    def normal_time(self) -> NormalTime:
        """The blocks as time that thresholds are chosen by."""
        maxima = np.array([block.score for block in self.blocks])
        return NormalTime(maxima, sum(block.end - block.start for block in self.blocks) / 3600)


def _cross_fitted(model: Model, pieces: Pieces, trim: float = 0.0) -> _CrossFitted:
    """Score each third of the pieces by a model that was adapted to the other two.

    ``trim``: share of the cells, those with the longest features and the highest values, that has no influence.
    """
    fold = thirds(pieces.lengths)
    models = [
        _fitted_on(model, BagSubset(pieces, np.flatnonzero(fold != number).tolist()), trim) for number in range(FOLDS)
    ]
    scores, distances, layout = list[Features](), list[Features](), list[Features]()
    for index, bag in enumerate(pieces):
        fitted = models[fold[index]]
        for instances, values in fitted.answered(_parts(fitted, bag)):
            held = instances.features.any(1)
            scores.append(values[held, 0])
            distances.append(far(instances, fitted.bank)[held])
            layout.append(_active(instances, held))
    if not sum(map(len, scores)):
        raise DataError("the footage is empty: nothing moves in it, so there is nothing normal to learn from")
    rarities = [Exceedance.of(np.concatenate(values), max(TAIL, trim)) for values in (scores, distances)]
    adaptation = Adaptation(rarities[0], rarities[1], _activity(layout))
    blocks: list[Block] = []
    for index, bag in enumerate(pieces):
        fitted = models[fold[index]]
        fitted.adaptation = adaptation
        times, values = frame_scores(fitted, fitted.normalized_bag(bag))
        blocks += [Block(index, *row) for row in block_rows(times, values)]
    return _CrossFitted(pieces, adaptation, blocks)


def thirds(lengths: Sequence[float]) -> NDArray[np.int64]:
    """The fold of each of consecutive pieces of these lengths: three stretches of time, about equally long.

    >>> thirds([10, 10, 10, 30, 20, 10]).tolist()
    [0, 0, 0, 1, 2, 2]
    """
    ends = np.cumsum(lengths)
    folds: NDArray[np.int64] = (FOLDS * (ends - np.asarray(lengths) / 2) / ends[-1]).astype(np.int64).clip(0, FOLDS - 1)
    if len(set(folds.tolist())) < FOLDS:
        return np.arange(len(lengths)) * FOLDS // len(lengths)
    return folds


def outlying(scores: Floats) -> Masks:
    """Which raw scores ``(B,)`` of blocks are far above all others.

    The surprise of blocks above the median is exponential in normal footage; its mean is estimated from those up to
    the 90 % quantile, so that up to a tenth of outliers doesn't change it. An outlier is so high that fewer than 0.02
    such blocks are expected. None of fewer than 20 blocks.
    """
    values = surprise_of(scores)
    if len(values) < JUDGED:
        return np.zeros(len(values), bool)
    middle, high = np.quantile(values, (0.5, 0.9))
    upper = values[values > middle]
    mean = float((np.minimum(upper, high) - middle).sum()) / max(1, int((upper <= high).sum()))
    expected = len(upper) * np.exp(-(values - middle) / max(mean, 1e-9))
    outliers: Masks = (values > high) & (expected < EXPECTED)
    return outliers


def _outliers(blocks: Sequence[Block]) -> tuple[list[Block], int]:
    """The outliers among blocks, at most a tenth of all, and how many more there are."""
    scores = np.array([block.score for block in blocks])
    chosen = np.flatnonzero(outlying(scores))
    most = int(OUTLIERS * len(blocks))
    highest = np.sort(chosen[np.argsort(-scores[chosen], kind="stable")][:most])
    return [blocks[number] for number in highest], len(chosen) - len(highest)


def _fitted_on(model: Model, pieces: Sequence[Bag], trim: float = 0.0) -> Model:
    """A copy of a model with normalizers, bank and the method's memory of these pieces.

    ``trim``: see `_cross_fitted`.
    """
    config, result = model.config, copy(model)
    if CAMERA in map(config.normalizer_of, config.views):
        result.cameras, result.camera = {FOOTAGE: []}, FOOTAGE
    result.normalizers = {name: _normalizer(model, pieces, name) for name in config.views}
    if trim > 0:
        pieces = _trimmed(pieces, result.normalizers[config.scored], config.scored, trim)
        result.normalizers = {name: _normalizer(model, pieces, name) for name in config.views}
    ready = MappedBags(pieces, result.normalized_bag)
    result.bank = bank_of(ready, config)
    result.adaptation = None
    if config.part("method").abilities.remembers_normal:
        result.method = deepcopy(model.method)
        result.method.remember(
            {name: view([bag.views[name]], model.device) for name in config.views} for bag in iter(ready)
        )
    return result


def _trimmed(pieces: Sequence[Bag], normalizer: AnyNormalizer, name: str, share: float) -> Sequence[Bag]:
    """The pieces with the cells of a view emptied that have the longest normalized features, this share of all."""

    at = normalizer.at(FOOTAGE)

    def lengths(bag: Bag) -> Floats:
        norms: Floats = np.linalg.norm(at(bag.views[name]).features.astype(np.float64), axis=1)
        return norms

    held = [values[values > 0] for values in map(lengths, pieces)]
    limit = np.quantile(np.concatenate(held), 1 - share) if sum(map(len, held)) else 0.0

    def trimmed(bag: Bag) -> Bag:
        cells = bag.views[name]
        features = np.where((lengths(bag) <= limit)[:, None], cells.features, np.float32(0))
        return replace(bag, views={**bag.views, name: replace(cells, features=features)})

    return MappedBags(pieces, trimmed)


def _normalizer(model: Model, pieces: Sequence[Bag], name: str) -> AnyNormalizer:
    """The normalizer of a view in the footage, toward the old one where it is short."""
    old, config = model.normalizers[name], model.config
    if config.normalizer_of(name) == "none":
        return old
    total, seconds, length = 0, 0.0, 0
    for bag in pieces:
        length = bag.views[name].features.shape[1]
        total += bag.views[name].features.size
        seconds += _end(bag) - float(_starts(bag)[0])
    rows = thinned((bag.views[name] for bag in pieces), total, NORMALIZED)
    before = old if isinstance(old, Normalizer) else old.trained
    fresh = statistics(rows, config, name, length).toward(before, PRIOR / (PRIOR + seconds))
    kind = config.normalizer_of(name)
    return CameraNormalizer(fresh, {FOOTAGE: fresh}) if kind == CAMERA else with_past(fresh, kind)


def _parts(model: Model, bag: Bag) -> Iterator[Part]:
    return (
        (name, instances) for name, instances in model.normalized_bag(bag).views.items() if name in model.config.views
    )


def _starts(bag: Bag) -> Floats:
    """Where a bag can be cut: starts of the time steps of its only view on a grid, else its own start alone."""
    instances = next(iter(bag.views.values()))
    if instances.shape is None or len(bag.views) > 1:
        return np.array([min(float(part.extents[:, 0].min()) for part in bag.views.values())])
    starts: Floats = instances.extents[:: instances.shape[1] * instances.shape[2], 0]
    return starts


def _end(bag: Bag) -> float:
    return max(float(instances.extents[:, 1].max()) for instances in bag.views.values())


def _between(instances: Instances, start: float, end: float) -> Instances:
    """The time steps of a grid that start in a span; instances without a grid unchanged."""
    if instances.shape is None:
        return instances
    steps, h, w = instances.shape
    starts = instances.extents[:: h * w, 0]
    first, last = np.searchsorted(starts, [start, end])
    if (first, last) == (0, steps):
        return instances
    rows = slice(first * h * w, last * h * w)
    detail = None if instances.detail is None else instances.detail[first:last]
    shape = (int(last - first), h, w)
    return Instances(instances.features[rows], instances.extents[rows], instances.track[rows], shape, detail)


def _active(instances: Instances, held: Masks) -> Features:
    """Which places of each time step of a grid are not empty ``(t, h, w)``; nothing without a grid."""
    if instances.shape is None:
        return np.empty((0, 0, 0), np.float32)
    return held.reshape(instances.shape).astype(np.float32)


def _activity(layout: Sequence[Features]) -> Features:
    """The share of time in which each place is not empty ``(h, w)``; empty where grids differ."""
    if len({part.shape[1:] for part in layout}) != 1 or not layout[0].size:
        return np.empty((0, 0), np.float32)
    activity: Features = np.concatenate(layout).mean(0)
    return activity

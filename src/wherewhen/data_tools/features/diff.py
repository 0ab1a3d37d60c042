"""Comparison of two sets of features of the same videos, clip by clip, with the probable cause of differences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wherewhen.core.values import Features
from wherewhen.data_tools.features.changes import EXACT, guesses, remaining
from wherewhen.data_tools.features.passports import RUN, fields_apart, ordered

SMALL = 0.1  # relative error that engines and precisions may make
LOOKED_AT = 8  # videos that causes are sought on

ENDS = ("tail", "length", "rounding")
LINKS: Mapping[str, tuple[str, ...]] = {
    "tail": ("tail",),
    "length": ("span", "video"),
    "shift": ("span",),
    "stride": ("stride",),
    "segments": ("segments", "cells.steps"),
    "rate": ("rate",),
    "averaged crops": ("averaged", "crops"),
    "one crop": ("crops",),
    "crop order": ("crop_order",),
    "scale": ("precision", "cells.l2"),
    "l2 normalization": ("cells.l2",),
    "relu": ("layer",),
    "channel order": ("layer",),
    "some channels": ("layer", "length"),
    "rounding": ("stored", "precision", "engine"),
}
"""Fields of passports that a change of the numbers has to do with."""


@dataclass(frozen=True, eq=False)
class Sheet:
    """The features of one video ``(T, P, D)``: T time steps (clips), P cells or crops; and the passport, if any."""

    values: Features
    passport: Mapping[str, Any] = field(default_factory=dict)


Sheets = Mapping[str, Callable[[], Sheet]]


@dataclass(frozen=True)
class Difference:
    """One video in two sets; ``only`` is "a" or "b" where the other lacks it.

    Over the clips that both have: the largest and the mean absolute error as shares of b's largest and mean absolute
    value, and the mean cosine of the features. None where sizes don't fit.
    """

    video: str
    only: str = ""
    clips_a: int = 0
    clips_b: int = 0
    max_error: float | None = None
    mean_error: float | None = None
    cosine: float | None = None

    def within(self, tolerance: float) -> bool:
        """Whether both are the same up to a largest relative error."""
        return not self.only and self.clips_a == self.clips_b and (self.max_error or 0.0) <= tolerance and self.fits

    @property
    def fits(self) -> bool:
        """Whether sizes fit."""
        return self.max_error is not None

    def plain(self) -> dict[str, Any]:
        """As a row of a table."""
        return dict(vars(self))


@dataclass(frozen=True)
class Cause:
    """Why features probably differ: a short name, and the evidence.

    ``left``: relative error (L2) that is left over once the cause is undone; None where only passports differ.
    """

    name: str
    told: str
    left: float | None = None


@dataclass(frozen=True)
class Verdict:
    """What a comparison found."""

    equal: bool
    rows: list[Difference]
    causes: list[Cause]

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {"equal": self.equal, "videos": [r.plain() for r in self.rows], "causes": [vars(c) for c in self.causes]}


def compare(a: Features, b: Features, video: str = "") -> Difference:
    """Errors over the clips that both have.

    >>> row = compare(np.ones((3, 1, 2), np.float32), np.full((2, 1, 2), 2, np.float32))
    >>> row.clips_a, row.clips_b, row.max_error, round(row.cosine or 0, 6)
    (3, 2, 0.5, 1.0)
    """
    if a.shape[1:] != b.shape[1:]:
        return Difference(video, "", len(a), len(b))
    count = min(len(a), len(b))
    x, y = a[:count].astype(np.float64), b[:count].astype(np.float64)
    apart = np.abs(x - y)
    sizes = (float(np.abs(y).max(initial=0)), float(np.abs(y).mean()) if y.size else 0.0)
    largest, mean = (
        error / size if size else (0.0 if error == 0 else float("inf"))
        for error, size in zip(
            (float(apart.max(initial=0)), float(apart.mean()) if x.size else 0.0), sizes, strict=True
        )
    )
    return Difference(video, "", len(a), len(b), largest, mean, cosine(x, y))


def cosine(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Mean cosine of features ``(..., D)``; two of zeros alone agree."""
    x, y = a.reshape(-1, a.shape[-1]).astype(np.float64), b.reshape(-1, b.shape[-1]).astype(np.float64)
    lengths = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    both_zero = np.asarray(~(x.any(1) | y.any(1)), np.float64)
    cosines = np.divide((x * y).sum(1), lengths, out=both_zero, where=lengths > 0)
    return min(1.0, float(cosines.mean())) if len(cosines) else 1.0


def verify(a: Sheets, b: Sheets, tolerance: float = EXACT) -> Verdict:
    """Compare every video, the most different first, and say why they probably differ."""
    rows = []
    for name in sorted({*a, *b}):
        if name in a and name in b:
            rows.append(compare(a[name]().values, b[name]().values, name))
        else:
            rows.append(Difference(name, "a" if name in a else "b"))
    rows.sort(key=lambda r: (bool(r.only), not r.fits, abs(r.clips_a - r.clips_b), r.max_error or 0), reverse=True)
    equal = bool(rows) and all(row.within(tolerance) for row in rows)
    shared = [row.video for row in rows if not row.only]
    why = [] if equal else causes([(a[name](), b[name]()) for name in shared[:LOOKED_AT]])
    return Verdict(equal, rows, why)


def causes(pairs: Sequence[tuple[Sheet, Sheet]]) -> list[Cause]:
    """Why two sets of features differ, the likeliest cause first.

    First what makes one of the other without rest, then partial changes that the passports support, then the
    other fields in which these differ, then the other changes.
    """
    if not pairs:
        return [Cause("no videos in common", "the sets share no video by name")]
    arrays = [(a.values.astype(np.float64), b.values.astype(np.float64)) for a, b in pairs]
    before = remaining(arrays)
    fields = fields_apart(*(pairs[0][k].passport for k in (0, 1)))
    exact, partial = _explained(arrays, before, fields)
    used = {key for cause in (*exact, *partial) for key in LINKS.get(cause.name, ())}
    supported = [cause for cause in partial if any(key in fields for key in LINKS.get(cause.name, ()))]
    first, last = ordered({key: words for key, words in fields.items() if key not in used}, before <= SMALL)
    ranked = [*exact, *supported, *(Cause(key, fields[key]) for key in first)]
    size = f"relative error {before:.2g} everywhere" if np.isfinite(before) else "sizes differ"
    if 0 < before <= SMALL and not exact and not any(key in RUN for key in first):
        text = f"{size}: as much as another engine, precision, decoder or way to resize makes"
        ranked.append(Cause("engine or decoder", text))
    ranked += [cause for cause in partial if cause not in supported]
    if not ranked and before > EXACT:
        text = f"{size}, and no change of the numbers explains it: other weights, another layer or other pictures "
        text += "(--video CLIP tries colors, crops, value ranges and rates)"
        ranked.append(Cause("other weights or pictures", text))
    return [*ranked, *(Cause(key, fields[key]) for key in last)]


def _explained(
    arrays: list[tuple[Any, Any]], before: float, fields: Mapping[str, str]
) -> tuple[list[Cause], list[Cause]]:
    """Changes that leave nothing over, and those that leave less than there was."""
    exact, partial = [], []
    for name, words, changed in guesses(arrays):
        left = remaining(changed)
        if left <= max(EXACT, 0.02 * min(before, 1.0)) and (left < 0.5 * before or name in ENDS):
            exact.append(Cause(name, words, left))
        elif left < 0.7 * min(before, 1.0):
            partial.append(Cause(name, f"{words}; leaves {left:.0%} of {_size(before)}", left))
    return _linked(_best(exact, ENDS), fields), _linked(_best(partial, ()), fields)


def _linked(candidates: list[Cause], fields: Mapping[str, str]) -> list[Cause]:
    """Causes with what the passports say to them."""
    linked = []
    for cause in candidates:
        words = [fields[key] for key in LINKS.get(cause.name, ()) if key in fields]
        linked.append(Cause(cause.name, "; ".join([cause.told, *words]), cause.left))
    return linked


def _best(candidates: list[Cause], simple: Sequence[str]) -> list[Cause]:
    """The best of each kind, the one that leaves least over first; simple ones first where they are as good."""
    best: dict[str, Cause] = {}
    for cause in candidates:
        if cause.name not in best or round(cause.left or 0, 4) < round(best[cause.name].left or 0, 4):
            best[cause.name] = cause
    return sorted(best.values(), key=lambda c: (c.name not in simple, round(c.left or 0, 4)))


def _size(before: float) -> str:
    return f"the relative error of {before:.2g}" if np.isfinite(before) else "what differs"

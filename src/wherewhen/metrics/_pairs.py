"""Pairs of predictions and ground truths, joined by video id."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from wherewhen.core.errors import DataError
from wherewhen.core.values import Prediction, Truth


def _listed(ids: Iterable[str]) -> str:
    names = sorted(ids)
    rest = len(names) - 5
    return ", ".join(map(repr, names[:5])) + (f" and {rest} more" if rest > 0 else "")


def paired(
    predictions: Mapping[str, Prediction], truths: Mapping[str, Truth], *parts: str
) -> list[tuple[str, Prediction, Truth]]:
    """``(id, prediction, truth)`` of every video, by id; DataError if the ids differ or a part is None.

    ``parts`` names the fields of a prediction that the caller reads.
    """
    if not truths:
        raise DataError("no ground truth given: there is nothing to evaluate")
    if missing := truths.keys() - predictions.keys():
        raise DataError(f"no prediction for {_listed(missing)}; every video of the truth needs one")
    if extra := predictions.keys() - truths.keys():
        raise DataError(f"predictions without truth: {_listed(extra)}; leave them out or add their truth")
    for part in parts:
        if lacking := [key for key in truths if getattr(predictions[key], part) is None]:
            raise DataError(f"this metric reads {part!r}, but the prediction has none for {_listed(lacking)}")
    return [(key, predictions[key], truths[key]) for key in sorted(truths)]


def where_defined(numbers: Mapping[str, Callable[[], float]]) -> dict[str, float]:
    """The numbers that the data define; those that raise DataError are absent from the answer."""
    defined: dict[str, float] = {}
    for name, number in numbers.items():
        try:
            defined[name] = number()
        except DataError:
            continue
    return defined

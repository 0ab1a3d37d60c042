"""Classes of anomalies, as names in labels and as numbers for methods."""

from __future__ import annotations

from dataclasses import dataclass

from wherewhen.core.contracts.backbones import TextImage

UNNAMED = "anomaly"  # the class of events in a video without a class name
JOIN = "+"  # between the names of several classes in one video


def classes_of(category: str | None) -> tuple[str, ...]:
    """The classes in a category, in alphabetical order.

    >>> classes_of("riot + fight"), classes_of(None)
    (('fight', 'riot'), ())
    """
    return tuple(sorted({name.strip() for name in (category or "").split(JOIN)} - {""}))


@dataclass(frozen=True, slots=True)
class Classes:
    """Classes that a method predicts: ``names`` of anomalies, in the order of labels from 1 on.

    ``reader``: the backbone of its features if it encodes text; None otherwise and for a model from disk. ``mixed``:
    labels after those of the names: several names in one video, joined by "+".

    >>> Classes(("fall", "fight"), mixed=("fall+fight",)).members
    ((1,), (2,), (1, 2))
    """

    names: tuple[str, ...] = (UNNAMED,)
    reader: TextImage | None = None
    mixed: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of labels from 1 on."""
        return (*self.names, *self.mixed)

    @property
    def members(self) -> tuple[tuple[int, ...], ...]:
        """For each label from 1 on the numbers of its classes, from 1 on."""
        mixed = (tuple(1 + self.names.index(name) for name in label.split(JOIN)) for label in self.mixed)
        return (*((k,) for k in range(1, 1 + len(self.names))), *mixed)

    @property
    def named(self) -> bool:
        """Whether there is any class name."""
        return self.names != (UNNAMED,)

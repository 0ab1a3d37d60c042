"""Contract of methods."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

from wherewhen.core.contracts.provenance import Provenance
from wherewhen.core.contracts.required import Required
from wherewhen.core.errors import ConfigError

if TYPE_CHECKING:
    import torch


CLIP = "clip"  # the setting ``bag`` of a method whose bags are single time steps


@dataclass(frozen=True)
class Training:
    """How a method is trained; a method class states its own defaults as ``schedule``.

    Args:
        steps: steps of the optimizer.
        bags: number of bags of each label per step, drawn without replacement while there are enough.
        optimizer: adam, adamw, adagrad or sgd.
        learning_rate: step size.
        milestones: shares of the steps after each of which the learning rate is divided by ten.
        cosine: share of the steps in which the learning rate falls to 0 as a half cosine, may be above 1; 0 for none.
        weight_decay: L2 penalty (decoupled for adamw).
        validate_every: steps between two validations, and between two checkpoints.
        precision: fp32, or bf16 for the matrix products of ``forward`` where the machine computes in it natively; the
            loss is always fp32. It never depends on the machine: the same settings give the same model everywhere.
    """

    steps: int = 1000
    bags: int = 30
    optimizer: Literal["adam", "adamw", "adagrad", "sgd"] = "adam"
    learning_rate: float = 1e-3
    milestones: tuple[float, ...] = ()
    weight_decay: float = 0.0
    validate_every: int = 50
    precision: Literal["fp32", "bf16"] = "fp32"
    cosine: float = 0.0

    def __post_init__(self) -> None:
        if min(self.steps, self.bags, self.validate_every) < 1:
            raise ConfigError(f"training: steps, bags and validate_every must be at least 1; got {self}")
        if not self.learning_rate > 0 or not self.weight_decay >= 0:
            raise ConfigError(f"training: learning_rate must be above 0 and weight_decay not below; got {self}")
        if not self.cosine >= 0:
            raise ConfigError(f"training: cosine is a share of the steps, 0 for none; got {self.cosine}")
        if not all(0 < share < 1 for share in self.milestones):
            raise ConfigError(f"training: milestones are shares of the steps between 0 and 1; got {self.milestones}")

    def rate(self, step: int) -> float:
        """The learning rate of a step.

        >>> schedule = Training(steps=10, learning_rate=1.0, milestones=(0.4, 0.8))
        >>> [schedule.rate(step) for step in (0, 3, 4, 7, 8, 9)]
        [1.0, 1.0, 0.1, 0.1, 0.01, 0.01]
        >>> Training(steps=10, learning_rate=1.0, cosine=0.8).rate(4)
        0.5
        """
        passed = sum(step >= share * self.steps for share in self.milestones)
        span = self.cosine * self.steps
        wave = (1 + math.cos(math.pi * min(step / span, 1))) / 2 if span else 1.0
        return self.learning_rate * wave / float(10**passed)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A state dict of the authors' code as weights of the method, and what it is for.

    Args:
        weights: tensors under the method's names.
        names: prefixes of the authors' names, each with the method's prefix; other names are the same.
        length: length of the features.
        settings: settings of the method that the authors published, and those that follow from the tensors.
        features: settings of the parts that make the published features, as in ``config.yaml``; without a backbone
            where this toolkit has none that makes them.
        absent: prefixes of the method's names that the authors' files don't have.
        encoded: prefixes of the method's names that it has only with a backbone that reads text.
        classes: names of the classes that it predicts with such a backbone, in its order.
    """

    weights: Mapping[str, torch.Tensor]
    names: Mapping[str, str]
    length: int
    settings: Mapping[str, Any]
    features: Mapping[str, Any]
    absent: tuple[str, ...] = ()
    encoded: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

    def published_name(self, name: str) -> str:
        """The authors' name of a tensor of the method.

        >>> Checkpoint({}, {"fc1.": "head.0."}, 8, {}, {}).published_name("head.0.weight")
        'fc1.weight'
        """
        pairs = ((old, new) for old, new in self.names.items() if name.startswith(new))
        return next((old + name.removeprefix(new) for old, new in pairs), name)


@dataclass(slots=True)
class View:
    """One view of a batch of bags as tensors: features ``(B, N, D)``, extents ``(B, N, 6)``, track and mask ``(B, N)``.

    ``shapes``: the grid ``(t, h, w)`` of each bag, None where it has none; padded rows come last and have mask False.
    """

    features: torch.Tensor
    extents: torch.Tensor
    track: torch.Tensor
    mask: torch.Tensor
    shapes: tuple[tuple[int, int, int] | None, ...]


@dataclass(slots=True)
class Output:
    """Output of a method: ``scores`` ``(B, N)`` in [0, 1] for the instances of its scored view, 0 where padded.

    ``extra``: named tensors that its loss needs, each with the bags as its first axis.
    """

    scores: torch.Tensor
    extra: dict[str, torch.Tensor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MethodAbilities:
    """Optional abilities of a method; the defaults are those of a method without any.

    Args:
        other_builders: builders whose instances it accepts in place of those that its first view is named after.
        predicts_classes: it predicts classes of anomalies. It is created with `Classes` as a third argument, its labels
            are 0 for normal and k for the k-th of `Classes.labels`, features of a backbone that reads text come
            unnormalized, and out of training the answer's ``extra`` has ``classes`` ``(B, N, C)``, the likelihood of
            each class for each instance.
        optional_views: views that only one value of one of its settings needs: ``{"windows": ("spatial", "windows")}``.
            They come after the others; without that value they are neither computed nor given.
        unnormalized_views: views whose features are not normalized.
        averages_time: it has a setting ``segments`` (int or None). Training bags on a grid with more time steps are
            averaged into so many spans of time, once before training.
        divides_time: it has a setting ``bag``. Where that is "clip", each time step of a training video on a grid is a
            bag of its own, with the label of the video, and none is averaged; batches are drawn from all of them.
        summarizes_steps: its ``summary`` makes one row of each time step of `Instances`. Training bags are summarized
            once before training; its ``forward`` takes both.
        remembers_normal: its ``remember`` gets the views of normal videos one by one, without labels, and stores in
            buffers what scores are compared with. It is called again to adapt a model to another camera.
        samples_instances: it has a setting ``instances`` and itself limits how many tubes of a bag it learns from.
            Training bags of other methods hold at most 200 tubes, chosen by the seed.
        feature_length: a length of features that it supports; None where it supports any. For tests.
        joins_crops: it has a setting ``joint``. If it is set, a training bag holds all crops of a video, as a grid with
            one column per crop, and the loss is of means over crops; else each crop is one training bag.
        reads_checkpoints: its ``checkpoint`` turns a state dict of the authors' code into a `Checkpoint`; a KeyError
            names a tensor that the file lacks.
        ablations: rows of ``bench --ablate``, each with the settings in which it differs: its own or, by its name,
            another part's: ``{"no window": {"window": False}, "coarse": {"cells": {"rows": 3}}}``.
    """

    other_builders: tuple[str, ...] = ()
    predicts_classes: bool = False
    optional_views: Mapping[str, tuple[str, object]] = field(default_factory=dict)
    unnormalized_views: tuple[str, ...] = ()
    averages_time: bool = False
    divides_time: bool = False
    summarizes_steps: bool = False
    remembers_normal: bool = False
    samples_instances: bool = False
    feature_length: int | None = None
    joins_crops: bool = False
    reads_checkpoints: bool = False
    ablations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def views(self, views: tuple[str, ...], settings: object) -> tuple[str, ...]:
        """Those of a method's ``views`` that its settings need."""
        unused = {view for view, (name, value) in self.optional_views.items() if getattr(settings, name) != value}
        return tuple(view for view in views if view not in unused)

    def required(self) -> Required:
        """Members and settings that a class with these abilities must have."""
        settings = ("segments",) * self.averages_time + ("bag",) * self.divides_time
        settings += ("instances",) * self.samples_instances + ("joint",) * self.joins_crops
        settings += tuple(setting for setting, _ in self.optional_views.values())
        optional = ("summary",) * self.summarizes_steps + ("remember",) * self.remembers_normal
        optional += ("checkpoint",) * self.reads_checkpoints
        return Required(("schedule", "source", "views", "presets", "forward", "loss", *optional), settings)


class Method(Protocol):
    """A trainable torch module over bags; the first of its ``views`` is scored, and its ``reach`` is in seconds.

    The builder of the same name makes a view. With several views, ``forward`` gets all of them.

    ``reach``: how much past and future a score depends on; None = the whole video. ``presets``: settings of other
    parts that it was published with, by plug-in name, used as defaults: ``{"cells": {"rows": 7}}``.
    """

    Config: ClassVar[type]
    schedule: ClassVar[Training]
    source: ClassVar[Provenance]
    views: ClassVar[tuple[str, ...]]
    presets: ClassVar[Mapping[str, Mapping[str, Any]]]
    abilities: ClassVar[MethodAbilities]
    reach: float | None

    def forward(self, bags: Mapping[str, View]) -> Output:
        """Scores; independent of labels and of the other bags of the batch."""

    def loss(self, output: Output, bags: Mapping[str, View], labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Named loss terms, to be summed; no term combines instances of two bags."""


@runtime_checkable
class StagedMethod(Protocol):
    """A method that also uses its training set as a whole: a bank of normal instances, pseudo-labels, alternation.

    Training is cut into ``stages`` equal parts; ``study`` is called before each, and before the first validation.
    """

    stages: int

    def study(self, stage: int, bags: Iterable[tuple[Mapping[str, View], torch.Tensor]]) -> None:
        """Process the training bags once, one by one with their labels ``(1,)``; results are kept in buffers.

        Sizes of buffers follow from settings and feature length, so that weights load without the data.
        """

"""What each kind of plug-in must offer; one contract test per kind holds every plug-in to it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

from wherewhen.config import CONSENT
from wherewhen.errors import ConfigError
from wherewhen.tracks import LinkConfig
from wherewhen.values import (
    Bag,
    Boxes,
    Dataset,
    Features,
    Frame,
    Grid,
    HeatMap,
    Instances,
    Pixels,
    Prediction,
    Truth,
    Video,
)

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where something comes from, as data: for lists, docs and checks."""

    title: str
    homepage: str = ""
    licence: str = ""
    citation: str = ""


@dataclass(frozen=True, slots=True)
class DatasetReader:
    """A data set described as data, and the two functions that read it.

    ``load(root)`` gives videos and folds; ``truth(root)`` gives what really happens, by video id, for evaluation.
    ``matches(root)`` tells whether a folder looks like this data set. ``counts``: what a complete copy holds.
    """

    source: Provenance
    matches: Callable[[Path], bool]
    load: Callable[[Path], Dataset]
    truth: Callable[[Path], dict[str, Truth]]
    split_rule: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Metric:
    """A family of named numbers: ``compute(predictions, truths) -> {name: value}`` over all videos of a test set.

    ``reads`` names the parts of a Prediction that it needs, ``needs`` what the truth must hold (names of
    ``metrics/_needs.py``, the most general first): where it does, ``compute`` gives numbers. ``lower_is_better``: the
    numbers that fall as things get better. A missing video id is an error, never a zero.
    """

    compute: Callable[..., dict[str, float]]
    names: tuple[str, ...]
    reads: tuple[str, ...]
    source: str
    lower_is_better: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ClipSpec:
    """How frames are cut into clips: ``frames`` per clip, a new clip every ``stride`` frames.

    ``rate``: frames per second after resampling by timestamps; None keeps the source's rate, and a source slower
    than ``rate`` keeps its own. ``width``: pictures wider than this are shrunk (aspect kept); None keeps them.
    ``size``: instead, every picture becomes exactly ``(height, width)``, its whole scene squeezed into it.
    ``tail``: frames left over at the end make a last clip that reaches ``back``, or are left out (``drop``).
    ``changes``: features tell what changes from picture to picture, so a clip tells of one time step less than it has
    pictures, and a stride of ``frames - 1`` overlaps by nothing.
    """

    frames: int
    stride: int
    rate: float | None = None
    width: int | None = None
    size: tuple[int, int] | None = None
    tail: Literal["back", "drop"] = "back"
    changes: bool = False


@dataclass(frozen=True, slots=True)
class Required:
    """What a plug-in class must have to be loaded: ``members`` of the class and ``settings`` of its ``Config``."""

    members: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BackboneAbilities:
    """What a backbone offers beyond the contract; the defaults are those of a backbone that offers nothing more.

    Args:
        takes_seconds: calls take the seconds between pictures ``(B, T - 1)`` as a second argument. Features measure
            change per second, so they do not depend on the rate of a source that shows enough pictures.
        usable_on_moving_crops: features of crops that follow a mover are meaningful. False where features measure
            change at a fixed place of the picture.
        settings_without_effect: settings that no feature depends on; passports of features leave them out.
        reads_text: it also encodes text, as a `TextImage`.
        runs_code_of: path and sha256 of the file whose code the backbone runs with the given plain settings; None
            where it runs none. Such a file is used only with the user's consent, given as its setting ``trust``.
    """

    takes_seconds: bool = False
    usable_on_moving_crops: bool = True
    settings_without_effect: tuple[str, ...] = ()
    reads_text: bool = False
    runs_code_of: Callable[[Mapping[str, Any]], tuple[str, str] | None] | None = None

    def required(self) -> Required:
        """What a class with these abilities must have."""
        members = ("encode", "tokens", "tower", "limit") if self.reads_text else ()
        return Required(members, (*self.settings_without_effect, *((CONSENT,) if self.runs_code_of else ())))


class Backbone(Protocol):
    """Pictures to features: uint8 ``(B, T, H, W, 3)`` RGB -> float32 ``(B, t, h, w, D)``; normalisation is inside."""

    Config: ClassVar[type]
    source: ClassVar[Provenance]
    abilities: ClassVar[BackboneAbilities]
    clip: ClipSpec

    def __init__(self, config: Any) -> None: ...

    def __call__(self, clips: Pixels) -> Features:
        """Features of a batch of clips."""


class TextTower(Protocol):
    """The frozen half of a text-image encoder that reads, where gradients are wanted: prompts can be learnt.

    A text is given as words or, where a vocabulary is not at hand, as token ids from its start to its end.
    ``width``: length of a token vector; ``length``: how many tokens a text has room for.
    """

    width: int
    length: int

    def between(
        self, texts: Sequence[str] | Sequence[Sequence[int]], learnt: torch.Tensor, prefix: int = 10, suffix: int = 10
    ) -> torch.Tensor:
        """Embeddings ``(N, D)``, not of unit length, of texts between rows of ``learnt`` ``(length, width)``.

        Gradients reach the rows that have a say. ValueError where texts and rows together are too long.
        """


@runtime_checkable
class TextImage(Protocol):
    """A backbone that also reads: words and pictures as vectors of one space, compared by cosine.

    Its settings include ``layer``: at ``embedding`` it gives one cell per picture, at ``patches`` a grid of cells in
    one pass, both in the space of words. A clip of one frame is a picture. ``limit``: how many tokens of a text it
    reads, None = all.
    """

    limit: ClassVar[int | None]

    def encode(self, texts: Sequence[str]) -> Features:
        """Unit vectors ``(N, D)`` of texts; an error in the user's words where it can't read one."""

    def tokens(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has, uncut."""

    def tower(self) -> TextTower:
        """What learnable prompts go through."""


UNNAMED = "anomaly"  # the class of what happens in a video that names none
JOIN = "+"  # between the names of several classes in one video


def classes_of(category: str | None) -> tuple[str, ...]:
    """The classes that a category names, in the order of the alphabet.

    >>> classes_of("riot + fight"), classes_of(None)
    (('fight', 'riot'), ())
    """
    return tuple(sorted({name.strip() for name in (category or "").split(JOIN)} - {""}))


@dataclass(frozen=True, slots=True)
class Classes:
    """What a method that tells classes apart is made for: ``names`` of what happens, in the order of labels from 1 on.

    ``reader``: the backbone of its features where that also reads, None otherwise and for a model from disk. ``mixed``:
    what else labels stand for, after the names: several of them in one video, joined by "+".

    >>> Classes(("fall", "fight"), mixed=("fall+fight",)).members
    ((1,), (2,), (1, 2))
    """

    names: tuple[str, ...] = (UNNAMED,)
    reader: TextImage | None = None
    mixed: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """What labels from 1 on stand for."""
        return (*self.names, *self.mixed)

    @property
    def members(self) -> tuple[tuple[int, ...], ...]:
        """For each label from 1 on the numbers of its classes, from 1 on."""
        mixed = (tuple(1 + self.names.index(name) for name in one.split(JOIN)) for one in self.mixed)
        return (*((k,) for k in range(1, 1 + len(self.names))), *mixed)

    @property
    def named(self) -> bool:
        """Whether anybody said what happens."""
        return self.names != (UNNAMED,)


@dataclass(frozen=True, slots=True)
class ProposerAbilities:
    """What a source of boxes offers beyond the contract; the defaults are those of one that offers nothing more.

    Args:
        by_video: it reads boxes that belong to a video from a file, as a `ByVideo`.
    """

    by_video: bool = False

    def required(self) -> Required:
        """What a class with these abilities must have."""
        return Required(("file_of",) if self.by_video else ())


class Proposer(Protocol):
    """Frames to the boxes in them, a stream to a stream: one `Boxes` for each frame, in order, none kept for later.

    ``clip`` says which frames it wants: one at a time (``frames`` 1), every ``stride``-th, at a rate and width. It may
    hold frames back for at most ``wait`` seconds. ``tracks``: its boxes bear track numbers; known from the first frame
    on. Nothing of one stream reaches the next.
    """

    Config: ClassVar[type]
    source: ClassVar[Provenance]
    abilities: ClassVar[ProposerAbilities]
    clip: ClipSpec
    wait: float
    tracks: bool

    def __init__(self, config: Any) -> None: ...

    def __call__(self, frames: Iterable[Frame]) -> Iterator[Boxes]:
        """The boxes of each frame."""


@runtime_checkable
class ByVideo(Protocol):
    """A source of boxes that reads what belongs to a video: it is made with the video as a second argument."""

    config: Any

    @classmethod
    def file_of(cls, config: Any, video: Video) -> Path:
        """The file or folder with the boxes of a video; VideoError, which names the places, where there is none."""


class Engine(Protocol):
    """Runs a network: made once for a module, an example batch and a precision, then called on batches of that shape.

    ``extra``: what of ``pip install "wherewhen[...]"`` it needs; empty where nothing. ``devices`` and ``precisions``
    say what it can do. ``clips`` are real ones: int8 is calibrated on them.
    """

    extra: ClassVar[str]
    precisions: ClassVar[tuple[str, ...]]
    devices: ClassVar[tuple[str, ...]]

    def __init__(self, network: torch.nn.Module, batch: int, clips: Pixels, precision: str, device: str) -> None: ...

    @classmethod
    def version(cls) -> str:
        """Of the library that runs the network; EngineError says how to install it where it is missing."""

    def __call__(self, clips: Pixels) -> Features:
        """Pixels ``(batch, T, H, W, 3)`` uint8 to features ``(batch, t, h, w, D)`` float32."""


class LocalizerConfig(Protocol):
    """Settings that every localizer has.

    ``alarm``: the calibrated score from which an alarm is on; no event has a lower score. ``longest_seconds``: an event
    that lasts longer is told in parts.
    """

    @property
    def alarm(self) -> float:
        """A score from 0 to 1."""

    @property
    def longest_seconds(self) -> float:
        """Seconds."""


@dataclass(frozen=True, slots=True)
class LocalizerAbilities:
    """What a localizer states of itself.

    Args:
        score_settings: settings that raw frame scores depend on. The threshold of a trained model is chosen with them,
            so they can't change after training.
    """

    score_settings: tuple[str, ...] = ()

    def required(self) -> Required:
        """What a class with these abilities must have."""
        return Required(settings=("alarm", "longest_seconds", *self.score_settings))


class Localizer(Protocol):
    """Heat maps that start in rising order to predictions, a time step at a time.

    ``threshold``: the raw frame score that becomes 0.5. ``raw`` gives smoothed maps with their frame scores before
    calibration.
    """

    Config: ClassVar[type]
    abilities: ClassVar[LocalizerAbilities]

    @property
    def config(self) -> LocalizerConfig:
        """Its settings."""

    def __init__(self, config: Any, threshold: float = 0.5) -> None: ...

    def raw(self, pieces: Iterable[HeatMap]) -> Iterator[tuple[Any, float]]:
        """Smoothed steps and their frame scores."""

    def __call__(self, pieces: Iterable[HeatMap]) -> Iterator[Prediction]:
        """One prediction per time step; an event comes with the step that closes it."""


@dataclass(frozen=True, slots=True)
class Sight:
    """Whose boxes a builder wants to see: a source of boxes with its settings, and how boxes become tracks."""

    proposals: str
    settings: Mapping[str, Any]
    tracks: LinkConfig


@dataclass(frozen=True, slots=True)
class Closeup:
    """How instances that move are looked at: their boxes, enlarged by a share ``margin`` of their size on each side.

    They are cut out of pictures at most ``width`` px wide (None = as they are), and the backbone looks at each.
    ``l2``: what it sees of an instance is scaled to unit length.
    """

    margin: float = 0.0
    width: int | None = None
    l2: bool = False


@dataclass(frozen=True, slots=True)
class BuilderAbilities:
    """What a builder states of itself; the defaults are those of a builder that stands alone.

    Args:
        shares_settings_with: name of the builder from whose instances it makes others. Settings that the user does not
            give are those given to that builder.
    """

    shares_settings_with: str | None = None

    def required(self) -> Required:
        """What a class with these abilities must have."""
        return Required(("sight", "closeup", "wait"))


class Builder(Protocol):
    """Grids of a stretch of video to instances of one view.

    ``sight``, ``closeup`` and ``wait`` follow from its settings. The class states them, as attributes or properties.
    """

    Config: ClassVar[type]
    abilities: ClassVar[BuilderAbilities]

    def __init__(self, config: Any) -> None: ...

    @property
    def sight(self) -> Sight | None:
        """The boxes that grids come with, tracked; None where it needs none."""

    @property
    def closeup(self) -> Closeup | None:
        """How its instances are cut out of the pictures; None where they are not.

        Its instances then have `Instances.paths`, and features of the crops stand before those that it gives.
        """

    @property
    def wait(self) -> float:
        """Seconds that it may hold grids back for boxes; 0 where it needs none."""

    def __call__(self, grids: Iterable[Grid]) -> Iterator[Instances]:
        """Instances, a stretch of video at a time, in time order."""


@dataclass(frozen=True)
class Training:
    """How a method is trained; a method class states its own defaults as ``schedule``.

    Args:
        steps: steps of the optimizer.
        bags: how many bags of each label one step sees, drawn without repeats as far as they last.
        optimizer: adam, adamw, adagrad or sgd.
        learning_rate: step size.
        weight_decay: L2 penalty (decoupled for adamw).
        validate_every: steps between two looks at the validation videos, and between two checkpoints.
        precision: fp32, or bf16 for the matrix products of ``forward`` where the machine computes in it natively; the
            loss is always fp32. No machine chooses for itself: the same settings give the same model everywhere.
    """

    steps: int = 1000
    bags: int = 30
    optimizer: Literal["adam", "adamw", "adagrad", "sgd"] = "adam"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    validate_every: int = 50
    precision: Literal["fp32", "bf16"] = "fp32"

    def __post_init__(self) -> None:
        if min(self.steps, self.bags, self.validate_every) < 1:
            raise ConfigError(f"training: steps, bags and validate_every must be at least 1; got {self}")
        if not self.learning_rate > 0 or not self.weight_decay >= 0:
            raise ConfigError(f"training: learning_rate must be above 0 and weight_decay not below; got {self}")


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
    """A method's answer: ``scores`` ``(B, N)`` in [0, 1] for the instances of its scored view, 0 where padded.

    ``extra``: named tensors that its loss needs, each with the bags as its first axis.
    """

    scores: torch.Tensor
    extra: dict[str, torch.Tensor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MethodAbilities:
    """What a method offers beyond the contract; the defaults are those of a method that offers nothing more.

    Args:
        other_builders: builders whose instances it takes in place of those that its first view is named after.
        predicts_classes: it predicts classes of anomalies. It is made with `Classes` as a third argument, its labels
            are 0 for normal and k for the k-th of `Classes.labels`, features of a backbone that reads text come
            unnormalized, and out of training the answer's ``extra`` has ``classes`` ``(B, N, C)``, the likelihood of
            each class for each instance.
        unnormalized_views: views whose features come as the backbone made them.
        averages_time: it has a setting ``segments`` (int or None). Training bags on a grid with more time steps are
            averaged into so many spans of time, once before training.
        samples_instances: it has a setting ``instances`` and itself limits how many tubes of a bag it learns from.
            Training bags of other methods hold at most 200 tubes, chosen by the seed.
        feature_length: a length of features that it works with; None where it works with any. For tests.
        ablations: rows of ``bench --ablate``, each with the settings in which it differs: its own or, by its name,
            another part's: ``{"no window": {"window": False}, "coarse": {"cells": {"rows": 3}}}``.
    """

    other_builders: tuple[str, ...] = ()
    predicts_classes: bool = False
    unnormalized_views: tuple[str, ...] = ()
    averages_time: bool = False
    samples_instances: bool = False
    feature_length: int | None = None
    ablations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def required(self) -> Required:
        """What a class with these abilities must have."""
        segments, instances = ("segments",) * self.averages_time, ("instances",) * self.samples_instances
        return Required(settings=segments + instances)


class Method(Protocol):
    """What learns: a torch module over bags. ``views`` it needs (the first one is scored) and ``reach`` in seconds.

    A view is made by the builder of that name. With several views, ``forward`` gets all of them.

    ``reach``: how much past and future a score depends on; None = the whole video. ``presets``: settings of other
    parts that it was published with, by plug-in name, taken where nothing else is said: ``{"cells": {"rows": 7}}``.
    """

    Config: ClassVar[type]
    schedule: ClassVar[Training]
    source: ClassVar[Provenance]
    views: ClassVar[tuple[str, ...]]
    presets: ClassVar[Mapping[str, Mapping[str, Any]]]
    abilities: ClassVar[MethodAbilities]
    reach: float | None

    def forward(self, bags: Mapping[str, View]) -> Output:
        """Scores; sees neither labels nor, across bags, the batch."""

    def loss(self, output: Output, bags: Mapping[str, View], labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Named terms to add up; no term joins two bags' instances."""


@runtime_checkable
class Student(Protocol):
    """A method that also looks at its training set as a whole: a normality to compare with, pseudo-labels, alternation.

    Training is cut into ``stages`` equal parts; ``study`` comes before each, and before validation ever does.
    """

    stages: int

    def study(self, stage: int, bags: Iterable[tuple[Mapping[str, View], torch.Tensor]]) -> None:
        """Look at the training bags once, one by one with their labels ``(1,)``; what it keeps are buffers.

        Buffers have the sizes that settings and feature length give, so that weights load without the data.
        """


@dataclass(frozen=True, slots=True)
class Baseline:
    """A trivial row of a table: what a method must beat.

    ``heat(bag, truth, bank, seed)`` sees the views ``cells`` (normalized) and ``difference`` of one video, and
    ``bank``: cells of normal training videos. Only the oracle looks at the truth. Its alarm is always on.
    ``settings``: what the row changes of the localizer's, such as a map that is taken as it is.

    ``needs``: what the truth must hold for the row to say anything, as for a `Metric`.

    A row for instances that move has ``scores(bag, truth, seed)`` instead, which gives ``(N,)`` in [0, 1] for the view
    ``movers``; where nothing moves, there is no such row.
    """

    heat: Callable[[Bag, Truth, Instances, int], HeatMap] | None
    description: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    scores: Callable[[Bag, Truth, int], Features] | None = None
    needs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.heat is None) == (self.scores is None):
            raise ValueError("a trivial row has either heat or scores")


@dataclass(frozen=True, slots=True)
class Format:
    """An outer format: ``write`` our values to a path, ``read`` them back; None where only one way exists."""

    source: Provenance
    suffix: str
    write: Callable[..., None] | None
    read: Callable[..., Any] | None


ABILITIES: Mapping[str, type[Any]] = {
    "backbones": BackboneAbilities,
    "instances": BuilderAbilities,
    "localize": LocalizerAbilities,
    "methods": MethodAbilities,
    "proposals": ProposerAbilities,
}
"""The record that a class of each kind of plug-in states as ``abilities``."""


def fault(kind: str, plugin: Any) -> str | None:
    """The first thing that a plug-in lacks to be one of its kind; None where it lacks nothing.

    >>> fault("methods", type("Mine", (), {}))
    'the class Mine has no abilities; add abilities: ClassVar[MethodAbilities] = MethodAbilities()'
    """
    if (record := ABILITIES.get(kind)) is None:
        return None
    if not isinstance(plugin, type):
        return f"expected a class as PLUGIN, got {type(plugin).__name__}"
    abilities, config = (
        inspect.getattr_static(plugin, "abilities", None),
        inspect.getattr_static(plugin, "Config", None),
    )
    name, wanted = plugin.__name__, record.__name__
    if abilities is None:
        return f"the class {name} has no abilities; add abilities: ClassVar[{wanted}] = {wanted}()"
    if not isinstance(abilities, record):
        return f"{name}.abilities: expected a wherewhen.contracts.{wanted}, got {type(abilities).__name__}"
    if not (isinstance(config, type) and is_dataclass(config)):
        return f"{name}.Config: expected a dataclass with its settings, got {config!r}"
    required: Required = abilities.required()
    if lacking := [member for member in required.members if not _states(plugin, member)]:
        return f"the class {name} has no {lacking[0]}, which {wanted} or its kind asks for"
    known = {setting.name for setting in fields(config)}
    if lacking := [setting for setting in required.settings if setting not in known]:
        return f"{config.__name__} has no setting {lacking[0]}, which {wanted} or its kind asks for"
    return None


def _states(plugin: type, member: str) -> bool:
    """Whether a class or a base of it has a member, or says by an annotation that its objects do."""
    return any(member in vars(cls) or member in inspect.get_annotations(cls) for cls in plugin.__mro__)

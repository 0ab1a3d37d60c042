"""A model: what it is made of (its recipe), how it looks at a stream, and how it lies on disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wherewhen import pipeline, registry
from wherewhen.config import build
from wherewhen.contracts import Backbone, Builder, Localizer, Training, View
from wherewhen.engine import attach
from wherewhen.errors import ConfigError, StoreError, unknown
from wherewhen.found import Found
from wherewhen.running import Running
from wherewhen.store import load, save
from wherewhen.values import Features, HeatMap, Instances, Prediction, Video
from wherewhen.video.sources import Source, shown

if TYPE_CHECKING:
    import torch

    from wherewhen.normalize import Normalizer


@dataclass(frozen=True)
class Recipe:
    """What a model is made of: a plug-in of each kind, and their settings by plug-in name.

    ``settings`` holds one typed record per chosen plug-in; ``training`` is the method's own unless told otherwise.
    ``engine`` and ``precision`` say how a backbone that is a network is run; ``auto`` measures once what is fastest.
    ``crops``: 1, or 5 or 10 overlapping ones of each picture. ``gate``: clips that don't change by so many gray levels,
    or hold no more contrast, are not looked at.
    """

    backbone: str
    instances: str
    method: str
    localizer: str
    settings: Mapping[str, Any]
    training: Training
    seed: int = 0
    validation: float = 0.2
    engine: str = "auto"
    precision: str = "auto"
    crops: int = 1
    gate: float = 0.0

    @classmethod
    def of(cls, values: Mapping[str, Any] | None = None) -> Recipe:
        """Make a recipe of plain values: ``{"method": "cuboid_mil", "cuboid_mil": {...}, "training": {...}}``.

        ConfigError names what is unknown or of the wrong type.

        >>> Recipe.of({"backbone": "motion"}).method
        'cuboid_mil'
        """
        given = dict(values or {})
        chosen = {kind: str(given.pop(kind, DEFAULTS[kind])) for kind in registry.PARTS}
        parts = {name: registry.load(registry.PARTS[kind], name) for kind, name in chosen.items()}
        method, views = chosen["method"], parts[chosen["method"]].views
        if chosen["instances"] not in views:
            raise ConfigError(f"method {method} needs the instances {', '.join(views)}; got {chosen['instances']}")
        training = {**vars(parts[method].schedule), **(given.pop("training", None) or {})}
        seed, validation = given.pop("seed", 0), given.pop("validation", 0.2)
        if not 0 <= validation < 1:
            raise ConfigError(
                f"validation: expected a share of the training videos from 0 to below 1, got {validation}"
            )
        run = {key: _one_of(key, given.pop(key, "auto"), known) for key, known in RUNNING.items()}
        crops, gate = int(given.pop("crops", 1)), float(given.pop("gate", 0.0))
        if crops not in pipeline.CROPS or not gate >= 0:
            raise ConfigError(f"expected crops 1, 5 or 10 and a gate of 0 or more gray levels; got {crops} and {gate}")
        known = [*chosen.values(), *registry.PARTS, *run, "crops", "gate", "training", "seed", "validation"]
        for name in given:
            if not any(name in registry.names(kind) for kind in registry.PARTS.values()):
                raise ConfigError(unknown("setting", name, known))
        presets = parts[method].presets
        settings = {
            name: build(part.Config, {**presets.get(name, {}), **(given.get(name) or {})}, name)
            for name, part in parts.items()
        }
        return cls(**chosen, settings=settings, training=build(Training, training, "training"), seed=int(seed),
                   validation=float(validation), crops=crops, gate=gate, **run)  # fmt: skip

    def plain(self) -> dict[str, Any]:
        """The same as plain values, every default spelled out: what ``config.yaml`` holds."""
        head = {"backbone": self.backbone, "instances": self.instances, "method": self.method}
        tail = {"localizer": self.localizer, "seed": self.seed, "validation": self.validation}
        run = {"engine": self.engine, "precision": self.precision, "crops": self.crops, "gate": self.gate}
        return {
            **head,
            **tail,
            **run,
            "training": vars(self.training),
            **{k: vars(v) for k, v in self.settings.items()},
        }

    def part(self, kind: str) -> Any:
        """The plug-in of a kind, not yet made."""
        return registry.load(registry.PARTS[kind], getattr(self, kind))

    def make(self, kind: str, *more: Any) -> Any:
        """The plug-in of a kind with its settings."""
        return self.part(kind)(self.settings[getattr(self, kind)], *more)


DEFAULTS = {"backbone": "motion", "instances": "cells", "method": "cuboid_mil", "localizer": "regions"}
RUNNING = {"engine": ("auto", *registry.names("engines")), "precision": ("auto", "fp32", "bf16", "int8")}


def _one_of(what: str, name: object, known: tuple[str, ...]) -> str:
    if name not in known:
        raise ConfigError(unknown(what, str(name), known))
    return str(name)


def view(sets: list[Instances], device: str | torch.device = "cpu") -> View:
    """Instances of several bags as one padded batch of tensors."""
    import torch

    longest = max(len(s.features) for s in sets)

    def padded(arrays: list[Any], dtype: torch.dtype) -> torch.Tensor:
        batch = torch.zeros((len(arrays), longest, *arrays[0].shape[1:]), dtype=dtype)
        for row, array in zip(batch, arrays, strict=True):
            row[: len(array)] = torch.from_numpy(np.array(array))
        return batch.to(device)

    return View(
        padded([s.features for s in sets], torch.float32),
        padded([s.extents for s in sets], torch.float32),
        padded([s.track for s in sets], torch.int64),
        padded([np.ones(len(s.features), bool) for s in sets], torch.bool),
        tuple(s.shape for s in sets),
    )


def pick_device(name: str) -> str:
    """``auto`` becomes cuda where there is one, else cpu."""
    import torch

    if name != "auto":
        try:
            torch.empty(0, device=name)
        except (RuntimeError, AssertionError) as error:
            raise ConfigError(f"device {name!r} can't be used here ({_short(error)}); take auto, cpu or cuda") from None
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"


def _short(error: Exception) -> str:
    """What a library says, without its list of everything that it knows and its advice for programmers."""
    told = (str(error).strip() or type(error).__name__).splitlines()[0]
    return "there is no such kind" if told.startswith("Expected one of") else told


@dataclass
class Model:
    """A trained model: pictures in, when and where out.

    ``threshold``: the raw frame score that becomes 0.5, chosen without test data. ``bank``: normalized cells of
    normal training videos, for comparison with what is normal. ``trained_on``: content hashes of the training videos.
    """

    recipe: Recipe
    normalizer: Normalizer
    method: Any
    threshold: float
    bank: Instances
    device: str = "cpu"
    trained_on: tuple[str, ...] = ()
    backbone: Backbone = field(init=False)
    builder: Builder = field(init=False)
    running: Running | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Make the parts that have no weights."""
        self.backbone = self.recipe.make("backbone")
        self.builder = self.recipe.make("instances")
        self.method = self.method.to(self.device).eval()

    def scores(self, cells: Instances) -> Features:
        """Raw scores ``(N,)`` in [0, 1] of normalized instances of one video."""
        import torch

        with torch.inference_mode():
            output = self.method({self.recipe.instances: view([cells], self.device)})
        scores: Features = output.scores[0].cpu().numpy()
        return scores

    def heat(self, parts: Iterable[Instances]) -> Iterator[HeatMap]:
        """Raw heat maps of instances as the backbone and builder give them."""
        normal = map(self.normalizer, parts)
        return pipeline.heat(pipeline.scored(normal, self.scores, self.method.reach))

    @property
    def localizer(self) -> Localizer:
        """The last stage, with this model's threshold."""
        made: Localizer = self.recipe.make("localizer", self.threshold)
        return made

    def stream(self, source: Video | str | Path) -> Iterator[Prediction]:
        """Predictions of a source that may never end, a time step at a time."""
        recipe = self.recipe
        if self.running is None:  # the engine that features for training were made with
            self.running = attach(self.backbone, recipe.engine, recipe.precision, self.device)
        return self.localizer(
            self.heat(pipeline.instances(source, self.backbone, self.builder, crops=recipe.crops, gate=recipe.gate))
        )

    def detect(self, source: Source) -> Found:
        """What happens in one video, when and where; VideoError if it can't be read."""
        from wherewhen.video import reader

        info = reader.probe(source)
        prediction = pipeline.together(self.stream(source))
        path = Path(shown(source))
        return Found(path.stem, path, prediction, reader.edges(source), (info.width, info.height))

    def save(self, path: str | Path) -> None:
        """Write everything but the settings as one safetensors file."""
        arrays = {f"method.{k}": v.cpu().numpy() for k, v in self.method.state_dict().items()}
        arrays |= {f"normalizer.{k}": v for k, v in self.normalizer.to_arrays().items()}
        arrays |= {"bank.features": self.bank.features, "bank.extents": self.bank.extents}
        save(
            path,
            arrays,
            {
                "recipe": self.recipe.plain(),
                "threshold": self.threshold,
                "dims": self.dims,
                "trained_on": self.trained_on,
            },
        )

    @property
    def dims(self) -> dict[str, int]:
        """Length of the features of each view."""
        return {self.recipe.instances: int(self.bank.features.shape[1])}

    @classmethod
    def load(cls, run: str | Path, which: str = "best", device: str = "auto") -> Model:
        """Open the model of a run folder: ``best`` (by validation) or ``last``; or the path of its weights file."""
        import torch

        from wherewhen.normalize import Normalizer

        path = Path(run)
        if path.is_dir():
            path = path / "weights" / f"{which}.safetensors"
        if not path.exists():
            raise StoreError(
                f"{run}: no model there (expected {path}); train one: wherewhen train CLIPS --output {run}"
            )
        arrays, passport = load(path)
        if "recipe" not in passport:
            raise StoreError(f"{path}: is not a model of this toolkit")

        def part(prefix: str) -> dict[str, Any]:
            return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}

        recipe = Recipe.of(passport["recipe"])
        method = recipe.make("method", passport["dims"])
        method.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in part("method.").items()})
        bank = Instances(arrays["bank.features"], arrays["bank.extents"])
        normalizer = Normalizer.from_arrays(part("normalizer."))
        return cls(
            recipe,
            normalizer,
            method,
            float(passport["threshold"]),
            bank,
            pick_device(device),
            tuple(passport.get("trained_on", ())),
        )

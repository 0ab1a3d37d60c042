"""Recipes: how a published row is reproduced, and the numbers to expect; one YAML file each in ``recipes``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from wherewhen.core import registry
from wherewhen.core.config import build, merged, read_yaml
from wherewhen.core.contracts import Metric, Training
from wherewhen.core.documents import read_json
from wherewhen.core.errors import ConfigError, unknown
from wherewhen.inference.model_config import ModelConfig

FOLDER = Path(__file__).parents[1] / "recipes"
MEASURED = FOLDER / "measured.json"
"""Processor seconds of a training step by recipe, as ``benchmarks/recipes.py`` measures them."""
HOURS = {"ucf_crime": 128.0, "xd_violence": 217.0, "shanghaitech": 317_398 / 24 / 3600}
"""Hours of video in a data set, as its authors state them (frames, for ShanghaiTech)."""
WHOLE = ("settings", "training")  # what a recipe states as a whole, whatever its base has
SCHEDULE = ("steps", "bags", "optimizer", "learning_rate")  # what a recipe states of the training


@dataclass(frozen=True)
class Paper:
    """The publication of a row: short title, address, and its table or comparison."""

    title: str
    address: str
    table: str


@dataclass(frozen=True)
class Data:
    """A data set: its reader (``wherewhen list datasets``) and the name of the fold."""

    reader: str
    fold: str


@dataclass(frozen=True)
class FeatureFiles:
    """Published features in the authors' layout, as ``wherewhen features import`` reads them.

    Args:
        network: the network that computed them.
        layer: the layer of the network.
        layout: how the files are arranged.
        length: numbers in a feature.
        crops: crops of each picture; 1 without crops.
        average: whether the mean of the crops is used in place of each; else each crop is one sequence, and scores are
            means over crops.
        test_crop: the only crop that is scored, counted from 1; 0 for all.
        frames: frames per feature; null where a video is divided into segments.
        rate: frames per second of the videos; null where a video is divided into segments.
        differs: what this toolkit does in another way with them, beside the recipe's.
    """

    network: str
    layer: str
    layout: Literal["rtfm", "deepmil", "vadclip", "xd5", "sultani"]
    length: int
    crops: int = 1
    average: bool = False
    test_crop: int = 0

    def size(self, reader: str) -> str:
        """The size of the features of a data set, in words with the arithmetic.

        >>> FeatureFiles("I3D", "pooled", "rtfm", 2048, 10, frames=16, rate=30).size("ucf_crime")
        '71 GB: 128 h at 30 / 16 features a second, x 10 crops x 2048 numbers x 4 bytes'
        """
        hours = HOURS.get(reader)
        if hours is None or not self.frames or not self.rate:
            return "size not measured"
        count = hours * 3600 * self.rate / self.frames * self.crops * self.length * 4
        per_second = f"{hours:.3g} h at {self.rate:g} / {self.frames} features a second"
        return f"{count / 1e9:.2g} GB: {per_second}, x {self.crops} crops x {self.length} numbers x 4 bytes"

    frames: int | None = None
    rate: float | None = None
    differs: tuple[str, ...] = ()


@dataclass(frozen=True)
class VideoFeatures:
    """Features that are computed from the videos.

    Args:
        backbone: name of the backbone.
        weights: its weights, in words.
        settings: settings of backbone, builder and crops.
        differs: what this toolkit does in another way with them, beside the recipe's.
    """

    backbone: str
    weights: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    differs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Expected:
    """A published number: the metric's name in this toolkit, the value (1 = 100 %), and where it was read.

    ``value``: None where the paper has the number and it was not available; ``source`` says so. ``row``: a trivial row
    or an ablation of the method (`wherewhen.api.ablations`) that has the number; empty for the method itself.

    >>> Expected("frame_auc", 0.869, "the paper").text, Expected("tiou_patch_raw", None, "not available").text
    ('0.8690', 'unknown')
    """

    metric: str
    value: float | None
    source: str
    row: str = ""

    @property
    def text(self) -> str:
        """The value to four digits, or unknown."""
        return "unknown" if self.value is None else f"{self.value:.4f}"


@dataclass(frozen=True)
class Recipe:
    """A published row.

    Args:
        title: the row, in words.
        paper: the publication.
        data: the data set and its fold.
        normalizer: what features are normalized by, as the setting of a model; none for published features.
        regions: settings of the localizer; published frame scores are not smoothed.
        method: name of the method.
        settings: all settings of the method that differ from its defaults.
        training: the published schedule.
        metrics: metric families to compute.
        expect: the published numbers, the main one first.
        unknown: what the publication does not state, and what is used.
        differs: what this toolkit does in another way.
        files: the published features.
        videos: the features that are computed from videos; of a recipe with both, where no published ones are given.
    """

    title: str
    paper: Paper
    data: Data
    normalizer: str
    regions: Mapping[str, Any]
    method: str
    settings: Mapping[str, Any]
    training: Training
    metrics: tuple[str, ...]
    expect: tuple[Expected, ...]
    unknown: tuple[str, ...]
    differs: tuple[str, ...]
    files: FeatureFiles | None = None
    videos: VideoFeatures | None = None

    def __post_init__(self) -> None:
        if self.files is None and self.videos is None:
            raise ConfigError("expected files (published features), videos, or both")
        registry.load("datasets", self.data.reader)
        families: list[Metric] = [registry.load("metrics", name) for name in self.metrics]
        names = [name for family in families for name in family.names]
        for expected in self.expect:
            if expected.metric not in names:
                raise ConfigError(unknown("metric of expect", expected.metric, names))
            if expected.row and expected.row not in self._rows:
                raise ConfigError(unknown("row of expect", expected.row, self._rows))
        if not self.expect:
            raise ConfigError("expect is empty; a recipe names at least one published number")
        for way in self.ways:
            ModelConfig.of(way.model())

    @property
    def ways(self) -> list[Recipe]:
        """The recipe from published features and from videos, as far as it has both.

        >>> [way.backbone for way in read("rtfm").ways]
        ['imported', 'i3d']
        """
        if self.files is None or self.videos is None:
            return [self]
        of_files = replace(self, videos=None, differs=(*self.differs, *self.files.differs))
        return [of_files, replace(self, files=None, differs=(*self.differs, *self.videos.differs))]

    @property
    def _rows(self) -> list[str]:
        """Names of the rows beside the method's own: trivial ones and ablations."""
        return [*registry.names("baselines"), *registry.load("methods", self.method).abilities.ablations]

    @property
    def ablations(self) -> list[str]:
        """Names of the ablations with published numbers."""
        trivial = registry.names("baselines")
        return list(dict.fromkeys(row.row for row in self.expect if row.row and row.row not in trivial))

    @property
    def backbone(self) -> str:
        """Name of the backbone; imported where the recipe has published features."""
        return "imported" if self.files or not self.videos else self.videos.backbone

    def model(self) -> dict[str, Any]:
        """Settings of the model, as in ``config.yaml``; those for published features where it has both."""
        features = {"backbone": self.backbone, **(self.videos.settings if self.videos and not self.files else {})}
        model = {"normalizer": self.normalizer, "localizer": "regions", "regions": dict(self.regions)}
        method = {"method": self.method, self.method: dict(self.settings), "training": dict(vars(self.training))}
        if self.files and self.files.crops > 1 and not self.files.average:
            features |= {"crops": self.files.crops, "crop_mode": "separate", "test_crop": self.files.test_crop}
        return {**features, **model, **method}

    @property
    def needs(self) -> dict[str, str]:
        """What the recipe needs: data, and features or videos and weights."""
        data = f"lists and annotations of {self.data.reader}"
        if self.files:
            crops = f", {self.files.crops} crops" if self.files.crops > 1 else ""
            features = f"{self.files.network} {self.files.layer}, {self.files.length} numbers{crops}"
            features += f", layout {self.files.layout}; {self.files.size(self.data.reader)}"
            videos = {"or": f"videos and {self.videos.weights}"} if self.videos else {}
            return {"data": f"{data}, frame counts", "features": features, **videos}
        assert self.videos is not None
        return {"data": f"{data}, videos", "weights": self.videos.weights}

    def time(self, seconds: float | None) -> str:
        """The time of training a seed with so many seconds per step, in words with the arithmetic."""
        if seconds is None:
            return "not measured"
        steps = self.training.steps
        each = f"{steps} steps of {seconds:.3g} s"
        return f"{steps * seconds / 3600:.1f} h per seed on one processor core, without evaluation: {each}"


def seconds_per_step(name: str) -> float | None:
    """Processor seconds of a training step of a recipe; None where they were not measured.

    >>> seconds_per_step("mgpr") is None
    True
    """
    measured: dict[str, float] = read_json(MEASURED)
    return measured.get(name)


def names() -> list[str]:
    """Names of all recipes."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read(name: str) -> Recipe:
    """The recipe of this name.

    >>> read("rtfm").expect[0].value
    0.843
    """
    if name not in names():
        raise ConfigError(unknown("recipe", name[:80], names()))
    return read_file(FOLDER / f"{name}.yaml")


def read_file(path: Path) -> Recipe:
    """A recipe in a file; ConfigError names a key that is unknown, missing or of another type.

    The key ``base`` names another recipe of the folder, whose values hold where the file has none; settings and
    training of a file replace those of its base as a whole.
    """
    values = _values(path)
    training = values.get("training")
    if isinstance(training, Mapping) and (lacking := [name for name in SCHEDULE if name not in training]):
        raise ConfigError(f"settings of recipe {path.stem}.training: {lacking[0]} is missing")
    return build(Recipe, values, f"recipe {path.stem}")


def _values(path: Path) -> dict[str, Any]:
    """The values of a file with those of its base."""
    values = read_yaml(path)
    if (base := values.pop("base", None)) is None:
        return values
    if base not in names():
        raise ConfigError(unknown("recipe", str(base)[:80], names()))
    of_base = {
        name: value for name, value in _values(FOLDER / f"{base}.yaml").items() if name not in {*WHOLE} & {*values}
    }
    return merged(of_base, values)

"""Text search in an archive: the moments and places whose pictures are closest to a text.

An archive is a store that ``wherewhen extract`` wrote with a backbone that encodes text. A few vectors represent each
second of a video: the mean of the whole picture, and the places that differ most from the mean of their place. So
small objects are found as well, and the index stays small. The map of a moment is read from the store itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from wherewhen.core import extents as ext
from wherewhen.core import registry
from wherewhen.core.errors import ConfigError, StoreError
from wherewhen.core.feature_file import inside, open_features
from wherewhen.core.store import fingerprinted
from wherewhen.core.values import Features, Floats, Instances, unit
from wherewhen.datasets._feature_store import read_index
from wherewhen.runtime.network import Network
from wherewhen.text import search_index, spatial
from wherewhen.text.encoders import encoders, settings_of

VERSION = 1  # of the entries of a video
FOLDER = "search"
CHUNK = 120.0  # seconds of a video that are read at once
TOUCH = 3.0  # seconds: results of one video closer than this are one moment


@dataclass(frozen=True)
class SearchConfig:
    """Settings of the index.

    Args:
        every: seconds of video per entry.
        parts: number of the most distinctive places of an entry that are indexed beside the whole picture.
    """

    every: float = 1.0
    parts: int = 3

    def __post_init__(self) -> None:
        if not self.every > 0 or not 0 <= self.parts <= 64:
            raise ConfigError(f"search: expected every above 0 and parts from 0 to 64; got {self}")


@dataclass(frozen=True)
class Moment:
    """An answer: video, seconds ``[start, end)``, cosine, and the place as a map ``(h, w)`` of cosines and a box.

    ``at``: when map and box hold best, in seconds.
    """

    video: str
    start: float
    end: float
    at: float
    score: float
    box: tuple[float, float, float, float]
    heat: Features = field(repr=False)

    def plain(self) -> dict[str, Any]:
        """The fields for JSON; the map rounded to three digits."""
        record = {"video": self.video, "start": self.start, "end": self.end, "at": self.at, "score": self.score}
        return record | {"box": list(self.box), "heat": np.round(self.heat.astype(float), 3).tolist()}


@dataclass
class Archive:
    """A store of features for text search. StoreError where it has none of a backbone that encodes text."""

    store: Path
    backbone: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    config: SearchConfig = field(default_factory=SearchConfig)
    quiet: bool = False

    def __post_init__(self) -> None:
        """Choose the features to search and load their encoder."""
        self.store = Path(self.store)
        index = read_index(self.store)
        self.videos = [str(row["id"]) for row in index["videos"]]
        self.look, spec = self._chosen(index["looks"])
        name = str(spec["backbone"])
        settings = {key: value for key, value in spec[name].items() if key != "weights"}
        try:
            config = settings_of(name, {**settings, **self.settings})
        except ConfigError as error:
            if "weights" in self.settings:
                raise
            message = f"{error}; name the weights of these features: --{name}.weights"
            raise StoreError(f"{self.store}: its features: {message}") from None
        plugin = registry.load("backbones", name)
        if issubclass(plugin, Network) and plugin.identity(config) != spec[name].get("weights"):
            raise StoreError(
                f"{self.store}: its features have other weights than {config.weights}; name the same ones: "
                f"--{name}.weights"
            )
        self.encoder = plugin(config)
        self._index: search_index.Index | None = None

    def _chosen(self, specs: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        names = encoders()
        if self.backbone is not None and self.backbone not in names:
            settings_of(self.backbone)  # raises: it doesn't encode text
        able = {
            name: spec
            for name, spec in specs.items()
            if spec.get("backbone") in ([self.backbone] if self.backbone else names)
            and spec[spec["backbone"]].get("layer", "patches") in ("patches", "patches_penultimate", "embedding")
        }
        if not able:
            backbones = self.backbone or " or ".join(names)
            raise StoreError(
                f"{self.store}: has no features of {backbones} in its text space; extract them: "
                f"wherewhen extract VIDEOS --output {self.store} --backbones {self.backbone or names[0]}"
            )
        return max(able.items(), key=lambda item: item[1][item[1]["backbone"]].get("layer") == "patches")

    def files(self) -> dict[str, Path]:
        """The existing feature files, by video id."""
        paths = {video: inside(self.store, self.look, video) for video in self.videos}
        return {video: path for video, path in paths.items() if path.exists()}

    def open(self) -> search_index.Index:
        """The index; new and changed videos of the store are added first, and missing ones removed."""
        if self._index is None:
            files = self.files()
            if not files:
                raise StoreError(f"{self.store}: holds no file of {self.look}")
            stamps = {video: (path.stat().st_size, path.stat().st_mtime_ns) for video, path in files.items()}
            home = self.store / FOLDER / fingerprinted(self.look, self.config)

            def vectors_of(video: str) -> search_index.Entries:
                return entries(files[video], self.config)

            self._index = search_index.opened(home, [VERSION, self.look, self.config], stamps, vectors_of, self.quiet)
        return self._index

    def find(self, text: str, count: int = 10) -> list[Moment]:
        """The moments nearest to a text, best first, at most one per video within a few seconds."""
        if count < 1:
            raise ConfigError(f"search: expected a count of 1 at least, got {count}")
        index, query = self.open(), self.encoder.encode([text])[0]
        limit = count * (1 + self.config.parts) * max(2, round(2 * TOUCH / self.config.every))
        neighbors = index.nearest(query, limit)
        rows = zip(neighbors.scores.tolist(), neighbors.videos, neighbors.spans.tolist(), strict=True)
        moments: list[tuple[str, float, float, float]] = []
        for score, video, (start, end) in sorted(rows, key=lambda row: (-row[0], *row[1:])):
            overlaps = (v == video and start < b + TOUCH and end > a - TOUCH for v, a, b, _ in moments)
            if len(moments) < count and not any(overlaps):
                moments.append((video, start, end, score))
        return [self._moment(query, *row) for row in moments]

    def _moment(self, query: Features, video: str, start: float, end: float, score: float) -> Moment:
        instances = open_features(inside(self.store, self.look, video)).between(start, end)
        heat, at = _heat(instances, query)
        place = spatial.box(spatial.stretched(heat), 0.6, "peak")
        x0, y0, x1, y1 = ext.WHOLE_PICTURE if place is None else place.tolist()
        return Moment(video, start, end, at, score, (x0, y0, x1, y1), heat)


def _heat(instances: Instances, query: Features) -> tuple[Features, float]:
    """The map of cosines at the time step with the highest one, and the middle of that step."""
    cosines = unit(instances.features) @ query
    best = instances.extents[int(cosines.argmax()), :2]
    if instances.shape is not None:
        steps = cosines.reshape(instances.shape)
        return np.asarray(steps[int(steps.max((1, 2)).argmax())], np.float32), float(best.mean())
    now = (instances.extents[:, :2] == best).all(1)
    return ext.mean_map(instances.extents[now], cosines[now][:, None], (24, 24))[..., 0], float(best.mean())


def entries(path: Path, config: SearchConfig) -> Iterator[tuple[Features, Floats]]:
    """Entries of a video: unit vectors ``(N, D)`` and rows ``(N, 6)``, times and places; a chunk at a time."""
    file = open_features(path)
    times = file.times
    first, last = float(times[:, 0].min()), float(times[:, 1].max())
    for start in np.arange(first, last, CHUNK):
        instances = file.between(float(start), float(start) + CHUNK)
        begun = (instances.extents[:, 0] >= start) & (instances.extents[:, 0] < start + CHUNK)
        pairs = list(_entries(unit(instances.features[begun]), instances.extents[begun], config))
        if pairs:
            yield np.stack([vector for vector, _ in pairs]), np.stack([row for _, row in pairs])


def _entries(cells: Features, extents: Floats, config: SearchConfig) -> Iterator[tuple[Features, Floats]]:
    """The whole picture and the distinctive places of each entry of a chunk."""
    if not len(cells):
        return
    _, place = np.unique(extents[:, 2:], axis=0, return_inverse=True)
    usual = unit(_means(cells, place.ravel()))[place.ravel()]
    oddness = 1 - np.einsum("nd,nd->n", cells, usual)
    entry = np.floor((extents[:, 0] - extents[0, 0]) / config.every + 1e-9).astype(int)
    for number in np.unique(entry):
        members = np.flatnonzero(entry == number)
        span = extents[members, 0].min(), extents[members, 1].max()
        yield unit(cells[members].mean(0)), np.array([*span, *ext.WHOLE_PICTURE])
        for row in _spread(members[np.argsort(-oddness[members], kind="stable")], place.ravel(), config.parts):
            yield cells[row], np.array([*span, *extents[row, 2:]])


def _spread(order: np.ndarray, place: np.ndarray, count: int) -> Sequence[int]:
    """The first ``count`` of an order, one per place."""
    _, first = np.unique(place[order], return_index=True)
    chosen: list[int] = order[np.sort(first)[:count]].tolist()
    return chosen


def _means(cells: Features, group: np.ndarray) -> Features:
    """The mean of each group's rows."""
    sums = np.zeros((int(group.max()) + 1, cells.shape[1]), np.float64)
    np.add.at(sums, group, cells)
    means: Features = (sums / np.bincount(group)[:, None]).astype(np.float32)
    return means

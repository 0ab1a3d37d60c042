"""The networks of an exported run: graphs in a format of another library, in the place of a method and a backbone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from wherewhen.core.array_files import Arrays
from wherewhen.core.config import mapping, typed
from wherewhen.core.errors import ConfigError, WherewhenError
from wherewhen.core.values import Features, Instances, Pixels
from wherewhen.inference.model_config import ModelConfig
from wherewhen.inference.model_file import Stored
from wherewhen.runtime import graphs
from wherewhen.runtime.batching import Batched
from wherewhen.runtime.graphs import Array, Graph
from wherewhen.runtime.network import Network

KEY = "exported"  # of the metadata; arrays of files are named "exported.NETWORK.ENDING"
CLIPS = "clips"  # the input of a backbone's graph
PARTS = ("features", "extents", "track")  # inputs of a method's graph, for each view


@dataclass(eq=False)
class Exported:
    """A method that another library runs; it can't be trained.

    ``grids``: the views, and whether each is a grid. ``reach``: see `Method`. ``backbone``: that of a backbone which is
    a network, for ``batch`` clips at once. ``trust``: consent to run code of the graphs.
    """

    graph: Graph
    grids: Mapping[str, bool]
    reach: float | None
    backbone: Graph | None = None
    batch: int = 1
    trust: bool = False

    def __post_init__(self) -> None:
        self.run = graphs.opened(self.graph, trust=self.trust)

    def to(self, device: object) -> Exported:
        """Itself: graphs run on the processor."""
        return self

    def eval(self) -> Exported:
        """Itself: graphs don't learn."""
        return self

    def answers(self, views: Mapping[str, Instances]) -> Features:
        """Scores and likelihoods of classes ``(N, 1 + C)`` of the scored instances of normalized views."""
        return np.asarray(self.run(inputs(views, self.grids)), np.float32)

    def backbone_of(self, config: ModelConfig) -> Any:
        """The backbone of a configuration: the exported network without its weights, or the backbone itself."""
        if self.backbone is None:
            return config.make("backbone")
        run = graphs.opened(self.backbone, trust=self.trust)
        return config.part("backbone").without_weights(
            config.settings[config.backbone], Batched(_Clips(run), self.batch)
        )

    def arrays(self) -> Arrays:
        """The bytes of all files, by name."""
        named = {"method": self.graph} | ({"backbone": self.backbone} if self.backbone else {})
        return {
            f"{KEY}.{name}{ending}": np.frombuffer(data, np.uint8)
            for name, graph in named.items()
            for ending, data in graph.files.items()
        }

    def plain(self) -> dict[str, Any]:
        """All but the bytes, for the metadata."""
        return {
            "format": self.graph.format,
            "version": self.graph.version,
            "grids": dict(self.grids),
            "reach": self.reach,
            "backbone": self.backbone is not None,
            "batch": self.batch,
        }


class _Clips:
    """A backbone's graph as an engine."""

    def __init__(self, run: graphs.Run) -> None:
        self.run = run

    def __call__(self, clips: Pixels) -> Features:
        return np.asarray(self.run({CLIPS: np.ascontiguousarray(clips)}), np.float32)


def inputs(views: Mapping[str, Instances], grids: Mapping[str, bool]) -> dict[str, Array]:
    """The inputs of a method's graph: of a grid ``(t, h, w, ...)``, else ``(N, ...)``.

    Instances without a grid where one is expected are one time step, as methods take them.
    """
    arrays: dict[str, Array] = {}
    for name, is_grid in grids.items():
        rows = views[name]
        count = len(rows.features)
        shape = (rows.shape or (1, 1, count)) if is_grid else (count,)
        values: tuple[Array, ...] = (rows.features, np.asarray(rows.extents, np.float32), rows.track)
        for part, array in zip(PARTS, values, strict=True):
            arrays[f"{name}_{part}"] = np.array(array).reshape(*shape, *array.shape[1:])
    return arrays


def stored(file: Stored, config: ModelConfig, trust: bool) -> Exported:
    """The networks in the file of an exported run; ConfigError where they hold code without consent."""
    try:
        values = mapping(file.exported, KEY)
        form, version = (typed(str, values.get(name), name) for name in ("format", "version"))
        grids = {name: typed(bool, value, "grids") for name, value in mapping(values.get("grids"), "grids").items()}
        reach = None if values.get("reach") is None else typed(float, values["reach"], "reach")
        batch = typed(int, values.get("batch"), "batch")
        has_backbone = typed(bool, values.get("backbone"), "backbone")
        if grids.keys() != config.views.keys() or batch < 1 or (reach is not None and reach < 0):
            raise ConfigError(f"grids, batch or reach are wrong: {grids}, {batch}, {reach}")
        if has_backbone and not (isinstance(plugin := config.part("backbone"), type) and issubclass(plugin, Network)):
            raise ConfigError(f"the backbone {config.backbone} is no network")
        names = tuple(f"{name}_{part}" for name in grids for part in PARTS)
        method = _graph(file, "method", form, names, version)
        backbone = _graph(file, "backbone", form, (CLIPS,), version) if has_backbone else None
    except WherewhenError as error:
        raise file.wrong(f"{KEY}: {error}") from None
    if form in graphs.CODE and not trust:
        raise ConfigError(
            f"{file.path}: this run was exported as {form}, which holds code that runs when it is opened. If you trust "
            "whoever made it: --trust (in Python: trust=True). Runs exported as onnx or openvino hold none"
        )
    return Exported(method, grids, reach, backbone, batch, trust)


def _graph(file: Stored, name: str, form: str, inputs: tuple[str, ...], version: str) -> Graph:
    part = file.part(f"{KEY}.{name}")
    return Graph(form, {ending: part[ending].tobytes() for ending in graphs.ENDINGS.get(form, ()) if ending in part},
                 inputs, version)  # fmt: skip

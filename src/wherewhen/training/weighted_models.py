"""Models of one training, which differ by their weights alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wherewhen.core.contracts import Classes
from wherewhen.core.values import Instances
from wherewhen.extraction.backgrounds import Background
from wherewhen.inference.camera_normalizer import AnyNormalizer
from wherewhen.inference.model import Model
from wherewhen.inference.model_config import ModelConfig

if TYPE_CHECKING:
    import torch

    Weights = Mapping[str, torch.Tensor]


@dataclass
class WeightedModels:
    """The parts that the models of a training share; ``threshold_of``: chooses the threshold, None leaves it 0.5."""

    config: ModelConfig
    normalizers: Mapping[str, AnyNormalizer]
    dims: Mapping[str, int]
    classes: Classes | None
    bank: Instances
    device: str
    cameras: Mapping[str, Sequence[Background]]
    threshold_of: Callable[[Model], float] | None
    finished: list[tuple[Weights, Model]] = field(default_factory=list)

    def plain(self, weights: Weights) -> Model:
        """The model with these weights and the threshold 0.5."""
        method = self.config.student(dict(self.dims), self.classes)
        method.load_state_dict(weights)
        named = self.classes.names if self.classes and self.classes.named else ()
        fields = (self.config, self.normalizers, method, 0.5, self.bank, self.device)
        model = Model(*fields, dims=self.dims, classes=named)
        model.cameras = self.cameras
        return model

    def finish(self, weights: Weights) -> Model:
        """The model with these weights and its threshold; the same weights give the same model, not another one."""
        import torch

        for others, model in self.finished:
            if all(torch.equal(value.cpu(), others[name].cpu()) for name, value in weights.items()):
                return model
        model = self.plain(weights)
        if self.threshold_of is not None:
            model.threshold = self.threshold_of(model)
        self.finished.append((weights, model))
        return model

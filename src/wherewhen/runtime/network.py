"""Backbones that are networks: weights, pictures of one size, a plain module that any engine can run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np

from wherewhen.core.contracts import BackboneAbilities, ClipSpec, Provenance, check_clips
from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Features, Pixels
from wherewhen.runtime import weights as files
from wherewhen.runtime.weights import RANDOM, Weights

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class NetworkConfig:
    """Settings that all networks share; each network gives its own defaults and adds its ``layer``.

    Args:
        weights: name of published weights, path of a file in the same format, or "random" (seeded noise).
        stride: a new clip every so many frames.
        rate: frames per second after resampling by timestamps; null keeps the source's.
        tail: frames left over at the end make a last clip that reaches back, or are dropped.
    """

    weights: str = RANDOM
    stride: int = 16
    rate: float | None = None
    tail: Literal["back", "drop"] = "back"

    def __post_init__(self) -> None:
        if self.stride < 1 or (self.rate is not None and not self.rate > 0):
            raise ConfigError(f"expected stride >= 1 and rate above 0 or null; got {self.stride} and {self.rate}")


class Network:
    """Base of networks: a subclass states how its module is built, how a checkpoint's names map, and its clips.

    The module takes uint8 ``(B, T, H, W, 3)`` tensors of ``clip.size`` and gives float ``(B, t, h, w, D)``;
    normalization is inside. It is plain torch, traceable by torch.fx, free of branches on values.
    ``run``: the plain module, or the engine that replaces it.
    """

    Config: ClassVar[type]
    source: ClassVar[Provenance]
    weights: ClassVar[tuple[Weights, ...]] = ()
    abilities: ClassVar[BackboneAbilities] = BackboneAbilities()
    clip: ClipSpec

    def __init__(self, config: Any) -> None:
        self.config = config
        self.clip = self.spec(config)
        self.run: Callable[[Pixels], Features] = self.plain
        self.module = files.seeded(lambda: self.build(config), random=config.weights == RANDOM)
        if config.weights != RANDOM:
            path = self.weights_file(config)
            files.fit(self.module, self.renamed(files.read(path)), path)

    @classmethod
    def without_weights(cls, config: Any, run: Callable[[Pixels], Features]) -> Self:
        """The backbone around another network of the same clips and features, such as an exported one."""
        backbone = cls.__new__(cls)
        backbone.config, backbone.clip, backbone.run = config, cls.spec(config), run
        return backbone

    @classmethod
    def spec(cls, config: Any) -> ClipSpec:
        """The clips that the network takes."""
        raise TypeError(f"{cls.__name__} has no clip specification")

    @classmethod
    def build(cls, config: Any) -> torch.nn.Module:
        """The module with random weights."""
        raise TypeError(f"{cls.__name__} has no method that builds its network")

    def renamed(self, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """A checkpoint's tensors under the module's own names."""
        return tensors

    @classmethod
    def identity(cls, config: Any) -> str:
        """sha256 of the weights' file, or their random seed: the entry of a passport."""
        if config.weights == RANDOM:
            return "random, seed 0"
        return files.checksum(cls.weights_file(config))

    @classmethod
    def check_libraries(cls) -> None:
        """ConfigError where a library that the module needs is not installed."""

    @classmethod
    def weights_file(cls, config: Any) -> Path:
        """The file of the weights; a missing library is an error before missing weights, which are a large download."""
        cls.check_libraries()
        return files.locate(config.weights, cls.weights)

    def __call__(self, clips: Pixels) -> Features:
        """Features of a batch of clips; other sizes are resized, short clips repeat their last frame."""
        return self.run(self.prepared(clips))

    def prepared(self, clips: Pixels) -> Pixels:
        """Clips of exactly the length and size that the module takes; ValueError unless uint8 ``(B, T, H, W, 3)``."""
        return fitted(clips, self.clip, type(self).__name__)

    def plain(self, clips: Pixels) -> Features:
        """Features of prepared clips by the plain module, fp32 on the processor: the reference for engines."""
        import torch

        with torch.inference_mode():
            features: Features = self.module(torch.from_numpy(clips)).float().numpy()
        return features


def clips_of(plugin: Any, settings: Any) -> ClipSpec | None:
    """The clips of a backbone that is a network, which states them without being built; None for any other."""
    return plugin.spec(settings) if isinstance(plugin, type) and issubclass(plugin, Network) else None


def fitted(clips: Pixels, spec: ClipSpec, name: str) -> Pixels:
    """Clips of the size of a spec; short ones repeat their last frame.

    ValueError, which names ``name``, unless they are uint8 ``(B, T, H, W, 3)``.

    >>> fitted(np.zeros((1, 2, 6, 8, 3), np.uint8), ClipSpec(4, 4, None, size=(3, 4)), "net").shape
    (1, 4, 3, 4, 3)
    """
    check_clips(clips, name)
    if (lacking := spec.frames - clips.shape[1]) > 0:
        clips = np.concatenate([clips, np.repeat(clips[:, -1:], lacking, 1)], 1)
    if spec.size is None or clips.shape[2:4] == spec.size:
        return clips
    height, width = spec.size
    return np.stack([np.stack([resized(frame, height, width) for frame in clip]) for clip in clips])


def resized(frame: Pixels, height: int, width: int) -> Pixels:
    """A picture of exactly this size: areas averaged where a side shrinks, bilinear where none does."""
    import cv2

    shrinks = frame.shape[0] > height or frame.shape[1] > width
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(np.ascontiguousarray(frame), (width, height), interpolation=interpolation)  # type: ignore[return-value]

"""Backbones joined by ``+``: the features of several for the same clips, on the grid and time steps of the first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import fields, make_dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from wherewhen.core.contracts import (
    Backbone,
    BackboneAbilities,
    ClipSpec,
    Provenance,
    StreamingBackbone,
    check_clips,
)
from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Features, Floats, Pixels

COLUMNS, MOST = 32, 128  # a backbone of more than MOST features is projected to COLUMNS
Record = Callable[[str, int, Callable[[int, int], Features]], Features]
FRAMES = 4  # default of ``frames`` of a later backbone that takes any number


class Joined:
    """Features of several backbones side by side: uint8 ``(B, T, H, W, 3)`` -> float32 ``(B, t, h, w, D)``.

    Clips, grid and time steps are those of the first; each later one gets as many frames of each clip as its own clips
    have, evenly spaced, and its grid is resampled (areas averaged, or linear where it is coarser). A backbone of more
    than 128 features is projected to 32 by a fixed matrix of random signs, which keeps distances approximately
    (Achlioptas, PODS 2001).
    """

    Config: ClassVar[type]
    source: ClassVar[Provenance]
    abilities: ClassVar[BackboneAbilities]
    plugins: ClassVar[Mapping[str, Any]]
    _record: Record | None = None

    def __init__(self, config: Any) -> None:
        self.config = config
        self.parts: dict[str, Backbone] = {name: plugin(getattr(config, name)) for name, plugin in self.plugins.items()}
        for name, part in self.parts.items():
            if isinstance(part, StreamingBackbone) and part.for_video() is not None:
                raise ConfigError(
                    f"backbone {'+'.join(self.parts)}: the network of {name} keeps states, so it needs every picture "
                    f"of a video once and in order and can't be joined: --backbone {name}"
                )
        first = next(iter(self.parts.values())).clip
        self.clip: ClipSpec = replace(first, whole=0) if first.whole else first

    def __call__(self, clips: Pixels, seconds: Floats | None = None) -> Features:
        """Features of a batch of clips; ``seconds`` ``(B, T - 1)`` between frames, for parts that take them."""
        check_clips(clips, "+".join(self.parts))
        first, *others = (self._part(name, clips, seconds) for name in self.parts)
        return np.concatenate([first, *(resampled(grid, first.shape[1:4]) for grid in others)], -1)

    def recorded(self, record: Record) -> Self:
        """The same backbone for the clips of one video in order.

        ``record``: name of a part, number of clips and a function that computes its features from one clip of them to
        another -> its features, reduced and on its own grid.
        """
        backbone = copy(self)
        backbone._record = record
        return backbone

    def _part(self, name: str, clips: Pixels, seconds: Floats | None) -> Features:
        def compute(start: int, end: int) -> Features:
            times = None if seconds is None else seconds[start:end]
            return reduced(self._features(self.parts[name], clips[start:end], times))

        return self._record(name, len(clips), compute) if self._record else compute(0, len(clips))

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """The number of features of each part."""
        black = np.zeros((1, self.clip.frames, *(self.clip.size or (64, 64)), 3), np.uint8)
        return tuple(reduced(self._features(part, black, None)).shape[-1] for part in self.parts.values())

    def _features(self, part: Any, clips: Pixels, seconds: Floats | None) -> Features:
        times = part.abilities.takes_seconds and seconds is not None
        if part.clip is not self.clip:
            chosen = spread(clips.shape[1], part.clip.frames, repeats=not part.abilities.takes_seconds)
            clips = clips[:, chosen]
            if times and seconds is not None:
                moments = np.pad(np.cumsum(seconds, 1), ((0, 0), (1, 0)))
                seconds = np.diff(moments[:, chosen], axis=1)
        features: Features = part(clips, seconds) if times else part(clips)
        return features


def joined(plugins: Mapping[str, Any]) -> type[Joined]:
    """The backbone that joins plug-ins, by their names; ConfigError where one can't be joined."""
    name = "+".join(plugins)
    if "imported" in plugins:
        raise ConfigError(f"backbone {name}: imported can't be joined, because it processes no clips")
    first = next(iter(plugins))
    settings = [
        (part, plugin.Config, plugin.Config() if part == first else _later(plugin)) for part, plugin in plugins.items()
    ]
    abilities = [plugin.abilities for plugin in plugins.values()]
    titles = ", ".join(plugin.source.title for plugin in plugins.values())
    members = {
        "Config": make_dataclass("JoinedConfig", settings, frozen=True),
        "source": Provenance(title=f"Joined backbones: {titles}"),
        "abilities": BackboneAbilities(
            takes_seconds=any(ability.takes_seconds for ability in abilities),
            usable_on_moving_crops=all(ability.usable_on_moving_crops for ability in abilities),
            joins=tuple(plugins),
        ),
        "plugins": dict(plugins),
        "__doc__": Joined.__doc__,
    }
    return type("Joined", (Joined,), members)


def _later(plugin: Any) -> Any:
    """Default settings of a later backbone: few frames, where their number is a setting."""
    frames = any(setting.name == "frames" for setting in fields(plugin.Config))
    return plugin.Config(frames=FRAMES) if frames and not plugin.abilities.takes_seconds else plugin.Config()


def spread(count: int, number: int, *, repeats: bool = True) -> NDArray[np.int64]:
    """Indices of ``wanted`` of ``count`` frames, evenly spaced and each in the middle of its share.

    ``repeats``: frames are repeated where there are fewer; otherwise all are used.

    >>> spread(9, 3).tolist(), spread(2, 4).tolist(), spread(2, 4, repeats=False).tolist()
    ([1, 4, 7], [0, 0, 1, 1], [0, 1])
    """
    size = number if repeats else min(number, count)
    indices: NDArray[np.int64] = ((np.arange(size) + 0.5) * count / size).astype(np.int64)
    return indices


def reduced(features: Features) -> Features:
    """Features ``(..., D)``; more than 128 are projected to 32 by random signs."""
    length = features.shape[-1]
    return features if length <= MOST else features @ _signs(length)


@lru_cache(maxsize=8)
def _signs(length: int) -> NDArray[np.float32]:
    """A fixed projection ``(length, COLUMNS)``; the stream of RandomState never changes."""
    signs = np.random.RandomState(0).randint(0, 2, (length, MOST))[:, :COLUMNS] * 2 - 1
    matrix: NDArray[np.float32] = (signs / np.sqrt(COLUMNS)).astype(np.float32)
    return matrix


def resampled(grid: Features, sizes: tuple[int, ...]) -> Features:
    """A grid ``(B, t, h, w, D)`` with other numbers of steps, rows and columns.

    >>> resampled(np.arange(4, dtype=np.float32).reshape(1, 4, 1, 1, 1), (2, 1, 1)).ravel().tolist()
    [0.5, 2.5]
    """
    for axis, size in enumerate(sizes, 1):
        if size != grid.shape[axis]:
            mixed = np.tensordot(_weights(grid.shape[axis], size), grid, (1, axis))
            grid = np.ascontiguousarray(np.moveaxis(mixed, 0, axis))
    return grid


@lru_cache(maxsize=64)
def _weights(source: int, target: int) -> NDArray[np.float32]:
    """Weights ``(target, source)`` whose rows add up to 1: shares of area, or linear between centers."""
    if target < source:
        borders = np.arange(target + 1)[:, None] * source / target
        cells = np.arange(source)
        shares = np.minimum(borders[1:], cells + 1) - np.maximum(borders[:-1], cells)
        weights = np.maximum(shares, 0)
    else:
        centers = ((np.arange(target) + 0.5) * source / target - 0.5).clip(0, source - 1)
        weights = np.maximum(1 - np.abs(centers[:, None] - np.arange(source)), 0)
    rows: NDArray[np.float32] = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    return rows

"""The choice of an engine and its deviation from the plain module, and batches of clips."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np

from wherewhen.core.contracts import Engine
from wherewhen.core.values import Features, Pixels

NO_ENGINE = "none"
BOUNDS = {"fp32": (1e-3, 0.999999), "bf16": (0.15, 0.99), "int8": (0.15, 0.99)}
"""Largest relative error and smallest cosine to plain fp32 at which a precision is accepted."""
AUTO_BOUNDS = (0.06, 0.998)
"""The same for engines that are chosen automatically; int8 is never one of them."""


@dataclass(frozen=True)
class EngineChoice:
    """The engine that runs a backbone, and how far its features are from the plain fp32 module's on real clips.

    ``relative``: L2 norm of the difference over that of the features. ``cosine``: between both. ``batch``: how many
    clips at once are best. ``calibration``: the clips that int8 was calibrated on.
    """

    engine: str
    precision: str
    version: str = ""
    device: str = "cpu"
    batch: int = 1
    relative: float = 0.0
    cosine: float = 1.0
    calibration: str = ""

    @property
    def plain(self) -> dict[str, Any]:
        """Its part of a passport: all that features depend on."""
        if self.engine == NO_ENGINE:
            return {"engine": NO_ENGINE}
        facts = {"engine": self.engine, "precision": self.precision, "device": self.device}
        facts |= {"calibration": self.calibration} if self.calibration else {}
        return {**facts, "deviation": {"relative": self.relative, "cosine": self.cosine}}

    def within(self, bounds: tuple[float, float]) -> bool:
        """Whether features stay close enough to plain fp32."""
        return self.relative <= bounds[0] and self.cosine >= bounds[1]


NONE = EngineChoice(NO_ENGINE, "fp32")


class Batched:
    """An engine that is made for batches of one size, called with any."""

    def __init__(self, runner: Callable[[Pixels], Features], size: int) -> None:
        self.runner, self.size = runner, size

    def __call__(self, clips: Pixels) -> Features:
        """Features of any number of clips; the last batch is padded, and the padding removed."""
        features = []
        for start in range(0, len(clips), self.size):
            part = clips[start : start + self.size]
            full = np.concatenate([part, np.repeat(part[-1:], self.size - len(part), 0)])
            features.append(self.runner(np.ascontiguousarray(full))[: len(part)])
        return features[0] if len(features) == 1 else np.concatenate(features)


Request = tuple[Pixels, Future[Features]]


class SharedBatcher:
    """An engine that several threads call: one of them runs it for all that wait, up to ``size`` clips at once.

    So batches are filled over videos. The order is first in, first out; where a joint batch fails, each is run alone,
    and an error reaches only its own caller.
    """

    def __init__(self, run: Engine, size: int) -> None:
        self.run, self.size = run, size
        self._waiting: deque[Request] = deque()
        self._lock = Lock()

    def __call__(self, clips: Pixels) -> Features:
        """Features of these clips, after those of earlier callers."""
        future: Future[Features] = Future()
        self._waiting.append((clips, future))
        with self._lock:
            while not future.done():  # only the holder of the lock takes from the queue, so this request is still in it
                self._answer(self._next())
        return future.result()

    def _next(self) -> list[Request]:
        """The oldest request, and those after it that fit into its batch."""
        group = [self._waiting.popleft()]
        shape, count = group[0][0].shape[1:], len(group[0][0])
        while self._waiting:
            clips = self._waiting[0][0]
            count += len(clips)
            if clips.shape[1:] != shape or count > self.size:
                break
            group.append(self._waiting.popleft())
        return group

    def _answer(self, group: Sequence[Request]) -> None:
        inputs = [clips for clips, _ in group]
        try:
            features = self.run(inputs[0] if len(inputs) == 1 else np.concatenate(inputs))
        except BaseException as error:
            if len(group) == 1:
                group[0][1].set_exception(error)
            else:
                for request in group:
                    self._answer([request])
            return
        for (_, future), part in zip(
            group, np.split(features, np.cumsum([len(clips) for clips in inputs])[:-1]), strict=True
        ):
            future.set_result(part)


def deviation(plain: Features, other: Features) -> tuple[float, float]:
    """Relative L2 error and cosine between features.

    >>> deviation(np.float32([[3, 4]]), np.float32([[3, 4]]))
    (0.0, 1.0)
    """
    if plain.shape != other.shape or not np.isfinite(other).all():
        return float("inf"), -1.0
    a, b = plain.astype(np.float64).ravel(), other.astype(np.float64).ravel()
    size, length = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    if size == 0 or length == 0:
        return (0.0, 1.0) if size == length else (float("inf"), 0.0)
    return float(np.linalg.norm(a - b)) / size, min(1.0, float(a @ b) / (size * length))

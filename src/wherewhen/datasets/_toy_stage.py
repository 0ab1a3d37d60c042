"""A clip of the toy that is being filled: its scene, its actors, and where and how fast one walks in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from wherewhen.core.values import Floats
from wherewhen.datasets import _toy_body as body
from wherewhen.datasets._toy_scene import Scene
from wherewhen.datasets._toy_script import Actor, Ride, Script

OUT = 1.2
"""How far beyond the picture's side, in meters, movers come from and go to."""


@dataclass(slots=True)
class Stage:
    """A clip being filled: ``frames`` pictures of a scene at ``rate`` per second, and who is in them."""

    scene: Scene
    rng: np.random.Generator
    rate: float
    frames: int
    actors: list[Actor] = field(default_factory=list)
    tracks: int = 0

    def number(self) -> int:
        """A new track number."""
        self.tracks += 1
        return self.tracks - 1

    def lane(self, band: str) -> float:
        """A depth in meters at which one can walk in a band."""
        low, high = self.scene.bands[band]
        return float(self.rng.uniform(low + 0.45, high - 0.45))

    def ends(self, z: float, out: float = OUT) -> tuple[float, float]:
        """x in meters just beyond the left and the right side of the picture."""
        low, high = self.scene.camera.reach(z)
        return low - out, high + out

    def middle(self, z: float, share: float = 0.6) -> float:
        """Some x in the middle ``share`` of the picture."""
        low, high = self.scene.camera.reach(z)
        return float(self.rng.uniform(low + (1 - share) / 2 * (high - low), high - (1 - share) / 2 * (high - low)))

    def way(self, band: str) -> int:
        """The direction in which one walks there: the stream's, or any."""
        return self.scene.way if band == "stream" else int(self.rng.choice([-1, 1]))

    def pace(self) -> float:
        """An ordinary speed in meters per second."""
        return float(self.rng.uniform(1.0, 1.5))

    def enter(self, z: float, way: int) -> Script:
        """A script that begins beyond the side from which one goes in direction ``way``."""
        low, high = self.ends(z)
        return Script(self.rate, (low if way > 0 else high, z), 0.0 if way > 0 else np.pi)

    def leave(self, script: Script, way: int, speed: float, z: float | None = None) -> None:
        """Walk straight out of the picture in direction ``way``."""
        z = script.at[1] if z is None else z
        script.go((self.ends(z)[way > 0], z), speed)

    def play(self, script: Script, moment: float, done: int, ride: Ride | None = None) -> Actor:
        """Someone who plays a script whose frame ``done`` falls on ``moment`` seconds of the clip."""
        appearance = body.look(self.rng)
        first = round(moment * self.rate) - done
        return script.play(appearance, first, self.number(), float(self.rng.uniform(0, 6.28)), ride)

    def clear(self, spots: Floats, first: int, room: float = 0.6) -> bool:
        """Whether no other actor is within ``room`` meters of the way ``(n, 2)``."""
        for other in self.actors:
            low, high = max(first, other.first), min(first + len(spots), other.first + len(other.spots))
            if low < high:
                gap = spots[low - first : high - first] - other.spots[low - other.first : high - other.first]
                if (np.hypot(gap[:, 0], gap[:, 1]) < room).any():
                    return False
        return True

    def add(self, attempt: Callable[[], list[Actor]], tries: int = 10, must: bool = True) -> None:
        """Add what an act gives, tried anew while someone is in its way; without room only if it ``must`` happen."""
        for k in range(tries):
            actors = self._crop(attempt())
            if all(self.clear(a.spots, a.first) for a in actors) or (must and k == tries - 1):
                self.actors += actors
                return

    def add_anomaly(self, attempt: Callable[[], list[Actor]], least: float, most: float) -> None:
        """Add an anomaly that shows for ``least`` to ``most`` seconds, or the best of many attempts."""
        best: tuple[float, list[Actor]] = (np.inf, [])
        for _ in range(30):
            actors = self._crop(attempt())
            shown = self.shown(actors) / self.rate
            off = max(least - shown, shown - most, 0.0) + (not shown) * 1e3
            if off < best[0]:
                best = (off, actors)
            if not off and all(self.clear(a.spots, a.first) for a in actors):
                best = (0.0, actors)
                break
        self.actors += best[1]

    def _crop(self, actors: list[Actor]) -> list[Actor]:
        return [part for part in (actor.crop(self.frames) for actor in actors) if part]

    def shown(self, actors: list[Actor]) -> int:
        """In how many frames the middle of something anomalous is in the picture and nothing stands before it."""
        camera = self.scene.camera
        visible = np.zeros(self.frames, bool)
        for actor in actors:
            hot = np.flatnonzero(actor.hot)
            where, far = camera.project(actor.points[hot].mean(1))
            column, row = where.astype(int).T
            inside = (column >= 0) & (column < camera.width) & (row >= 0) & (row < camera.height)
            hot, column, row, far = hot[inside], column[inside], row[inside], far[inside]
            visible[actor.first + hot[self.scene.occluder_depth[row, column] > far]] = True
        return int(visible.sum())

"""Still objects in the colors of the palette, in every clip, so that color alone is no sign of an anomaly."""

from __future__ import annotations

import numpy as np

from wherewhen.datasets import _toy_body as body
from wherewhen.datasets._toy_palette import PALETTE
from wherewhen.datasets._toy_scene import Scene
from wherewhen.datasets._toy_script import Actor

ROOM = 0.6  # meters to the way of whoever moves
TRIES = 30


def standing(scene: Scene, rng: np.random.Generator, frames: int, count: int, actors: list[Actor]) -> list[Actor]:
    """So many blocks, each of some color of the palette, out of the way of the actors where there is room."""
    ways = np.concatenate([np.empty((0, 2)), *(actor.spots for actor in actors)])
    first = 1 + max((actor.track for actor in actors), default=-1)
    blocks: list[Actor] = []
    for track in range(first, first + count):
        spot = _spot(scene, rng, ways)
        ways = np.concatenate([ways, spot[None]])
        size = (rng.uniform(0.4, 0.9), rng.uniform(0.5, 1.3), rng.uniform(0.4, 0.7))
        corners = body.block(size, 0.0) + np.array([spot[0], 0.0, spot[1]])
        color = list(PALETTE.values())[int(rng.integers(len(PALETTE)))]
        points = np.broadcast_to(corners, (frames, *corners.shape))
        still = np.broadcast_to(spot, (frames, 2))
        blocks.append(Actor(track, 0, points, body.faces(0, color), np.zeros(frames, bool), still))
    return blocks


def _spot(scene: Scene, rng: np.random.Generator, ways: np.ndarray) -> np.ndarray:
    """A place on the ground, x and z in meters."""
    spot = np.zeros(2)
    for _ in range(TRIES):
        front, back = list(scene.bands.values())[int(rng.integers(len(scene.bands)))]
        z = rng.uniform(front + 0.3, back - 0.3)
        low, high = scene.camera.reach(z)
        spot = np.array([rng.uniform(low + 0.5, high - 0.5), z])
        if not len(ways) or np.hypot(*(ways - spot).T).min() > ROOM:
            break
    return spot

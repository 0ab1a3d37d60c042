"""Textures of the toy's ground and wall: stone, grass, asphalt, bricks and windows as functions of place."""

from __future__ import annotations

import cv2
import numpy as np

from wherewhen.core.values import Floats, Masks


class Noise:
    """Smooth noise of mean 0 and deviation about 1 that repeats every 64 units."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.table = rng.standard_normal((64, 64)).astype(np.float32)

    def __call__(self, x: Floats, y: Floats, octaves: int = 4) -> Floats:
        """Noise at places of any shape; each octave is twice as fine and 0.6 as strong."""
        total = np.zeros(np.broadcast(x, y).shape, np.float32)
        for k in range(octaves):
            u = np.broadcast_to((x * 2**k + 7.3 * k) % 63, total.shape).astype(np.float32)
            v = np.broadcast_to((y * 2**k + 3.1 * k) % 63, total.shape).astype(np.float32)
            total += 0.6**k * cv2.remap(self.table, u, v, cv2.INTER_LINEAR)
        return total.astype(np.float64)


def _fade(size: float, footprint: Floats) -> Floats:
    """How much of a detail of ``size`` meters survives where a pixel covers ``footprint`` meters."""
    return (size / np.maximum(footprint, 1e-6) / 2).clip(0, 1)


def _joints(at: Floats, pitch: float, width: float, footprint: Floats) -> Floats:
    """1 on lines ``width`` meters wide every ``pitch`` meters, softened to what a pixel resolves."""
    off = np.abs((at + pitch / 2) % pitch - pitch / 2)
    soft = np.maximum(footprint, width / 2)
    return (1 - off / soft).clip(0, 1) * _fade(width * 2, footprint)


def ground(
    rng: np.random.Generator,
    noise: Noise,
    x: Floats,
    z: Floats,
    footprint: Floats,
    bands: dict[str, tuple[float, float]],
    wall: float,
    way: int,
) -> Floats:
    """Colors ``(..., 3)`` of the ground at world ``x``, ``z``; ``footprint``: depth that a pixel covers, in meters."""
    tones = {
        "stream": rng.choice([[128, 124, 118], [112, 110, 108], [138, 122, 110]]) * rng.uniform(0.9, 1.08),
        "plaza": rng.choice([[150, 144, 132], [136, 134, 132], [152, 132, 112]]) * rng.uniform(0.88, 1.05),
        "lawn": rng.choice([[88, 104, 66], [98, 108, 70], [80, 96, 62]]) * rng.uniform(0.85, 1.1),
    }
    tile = float(rng.choice([0.6, 0.9, 1.2]))
    asphalt = np.array([84.0, 84, 86]) * rng.uniform(0.85, 1.15)
    fine, coarse = noise(x * 3.1, z * 3.1), noise(x * 0.35 + 9, z * 0.35)
    grain = fine * _fade(0.25, footprint)
    color = np.broadcast_to(asphalt, (*x.shape, 3)) * (1 + 0.05 * grain + 0.04 * coarse)[..., None]
    for name, (z0, z1) in bands.items():
        band = (z >= z0 - 0.18) & (z < z1 + 0.17)
        tone = tones[name] * _cover(name, noise, x, z, footprint, tile, grain, coarse)[..., None]
        if name == "stream":
            painted = _arrows(x, z, z0, z1, way) * (0.75 + 0.12 * fine).clip(0.3, 1)
            tone = tone * (1 - 0.7 * painted[..., None]) + 0.7 * painted[..., None] * 215
        color = np.where(band[..., None], tone, color)
    for z0, z1 in bands.values():
        for edge in (z0 - 0.18, z1 + 0.17):
            kerb = (1 - np.abs(z - edge) / np.maximum(0.14, footprint / 2)).clip(0, 1) ** 0.5
            color = color * (1 - 0.7 * kerb[..., None]) + 0.7 * kerb[..., None] * (150 + 8 * coarse[..., None])
    # Less light reaches the foot of the wall.
    close = 1 - 0.35 * np.exp(-np.abs(wall - z) / 0.8)
    shaded: Floats = color * close[..., None]
    return shaded


def _cover(
    name: str, noise: Noise, x: Floats, z: Floats, footprint: Floats, tile: float, grain: Floats, coarse: Floats
) -> Floats:
    """How bright the surface of a band is, about 1."""
    if name == "lawn":
        blades = noise(x * 9, z * 4, 2) * _fade(0.2, footprint)
        return 1 + 0.09 * coarse + 0.09 * grain + 0.08 * blades
    if name == "plaza":
        row = np.floor(z / tile)
        slab = noise(np.floor(x / tile + row % 2 * 0.5) * 3.7, row * 5.1, 1)
        lines = np.maximum(_joints(x + row % 2 * tile / 2, tile, 0.03, footprint), _joints(z, tile, 0.03, footprint))
        return 1 + 0.035 * slab + 0.05 * coarse + 0.04 * grain - 0.3 * lines
    cracks = _joints(x + 0.1 * coarse, 3.0, 0.025, footprint)
    return 1 + 0.06 * coarse + 0.06 * grain - 0.28 * cracks


def _arrows(x: Floats, z: Floats, z0: float, z1: float, way: int) -> Masks:
    """Arrows every 6 meters along the middle of the walkway."""
    along = ((x * way + 3) % 6) - 3
    across = np.abs(z - (z0 + z1) / 2)
    shaft = (np.abs(along + 0.4) < 0.7) & (across < 0.13)
    head = (along >= 0.3) & (along < 1.1) & (across < (1.1 - along) * 0.55)
    painted: Masks = shaft | head
    return painted


def facade(rng: np.random.Generator, noise: Noise, x: Floats, y: Floats, footprint: Floats) -> Floats:
    """Colors ``(..., 3)`` of the wall at world ``x`` and height ``y``."""
    tone = rng.choice([[142, 96, 78], [158, 150, 136], [126, 128, 132], [168, 148, 112]]) * rng.uniform(0.85, 1.05)
    stain = noise(x * 0.4, y * 0.4 + 5)
    row = np.floor(y / 0.25)
    bricks = np.maximum(
        _joints(y, 0.25, 0.03, footprint), _joints(x + row % 2 * 0.3, 0.6, 0.03, footprint) * _fade(0.1, footprint)
    )
    color = tone * (1 + 0.05 * stain + 0.04 * noise(x * 4, y * 4, 2) - 0.25 * bricks)[..., None]
    pitch, wide, sill, tall = rng.uniform(2.6, 3.6), rng.uniform(1.1, 1.6), rng.uniform(0.9, 1.3), rng.uniform(1.3, 1.7)
    u, v = (x + rng.uniform(0, 3)) % pitch - pitch / 2, y % 3.3 - sill
    frame = (np.abs(u) < wide / 2 + 0.09) & (v > -0.09) & (v < tall + 0.09)
    glass = (np.abs(u) < wide / 2) & (np.abs(u) > 0.03) & (v > 0) & (v < tall)
    sky = np.array([70.0, 80, 92]) + 26 * (v / tall)[..., None] + 10 * noise(x * 0.7, y * 0.2, 2)[..., None]
    color = np.where(frame[..., None], np.array([196.0, 194, 188]), color)
    color = np.where(glass[..., None], sky, color)
    plinth = y < 0.45
    painted: Floats = np.where(plinth[..., None], tone * 0.55 * (1 + 0.05 * stain)[..., None], color)
    return painted

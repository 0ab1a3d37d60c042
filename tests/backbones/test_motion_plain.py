"""Motion, which is fast, against a plain and slow reading of what its numbers are."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from wherewhen.backbones.motion import NAMES, Motion, MotionConfig
from wherewhen.core.values import Features, Pixels

Doubles = NDArray[np.float64]

SPEEDS = (0.5, 1, 2, 4, 8)


def walkers(height: int, width: int, seed: int, *, pan: float = 0, lamp: int = 0, noise: int = 3) -> Pixels:
    """Two patches that cross a soft background, maybe with a moving camera or a lamp: ``(1, 9, H, W, 3)``."""
    rng = np.random.default_rng(seed)
    ground = cv2.GaussianBlur(rng.integers(0, 255, (height + 40, width + 40, 3), np.uint8), (0, 0), 2)
    ground = cv2.normalize(ground, None, 40, 180, cv2.NORM_MINMAX)
    patches = rng.integers(0, 255, (2, 20, 14, 3), np.uint8)
    pictures = []
    for k in range(9):
        shift = np.array([[1, 0, -20 + pan * k], [0, 1, -20]], np.float32)
        picture = cv2.warpAffine(ground, shift, (width, height), borderMode=cv2.BORDER_REFLECT)
        for number, patch in enumerate(patches):
            x, y = round(width * 0.3 + (3 - 5 * number) * k), round(height * (0.2 + 0.4 * number))
            part = picture[y : y + 20, max(x, 0) : max(x, 0) + 14]
            part[:] = patch[: part.shape[0], : part.shape[1]]
        loud = picture.astype(int) + rng.integers(0, noise + 1, picture.shape) + (lamp if k > 4 else 0)
        pictures.append(loud.clip(0, 255).astype(np.uint8))
    return np.stack(pictures)[None]


def plain_camera(flow: Doubles) -> Doubles | None:
    """The affine flow that most places follow: least squares, weighted anew four times."""
    height, width = flow.shape[:2]
    step = max(4, max(height, width) // 20)
    where = [(y, x) for y in range(step // 2, height, step) for x in range(step // 2, width, step)]
    vectors = np.array([flow[y, x] for y, x in where])
    if np.mean([np.hypot(*vector) < 0.3 for vector in vectors]) >= 0.5:
        return None
    rows = np.array([[x / width, y / height, 1] for y, x in where])
    scale = np.array([1 / width, 1 / height, 1])
    model = np.zeros((2, 3))
    model[:, 2] = [sorted(component)[len(where) // 2] for component in vectors.T]
    for _ in range(4 if len(where) >= 6 else 0):
        rest = np.hypot(*(vectors - rows @ (model / scale).T).T)
        reach = max(4.685 * 1.4826 * sorted(rest)[len(rest) // 2], 1.2)
        root = np.where(rest < reach, 1 - (rest / reach) ** 2, 0)  # of the weight
        tilted = np.vstack([rows * root[:, None], 1e-3 * np.eye(3)])  # a ridge of 1e-6
        aims = np.vstack([vectors * root[:, None], np.zeros((3, 2))])
        model = np.linalg.lstsq(tilted, aims, rcond=None)[0].T * scale
    still = len(where) >= 6 and all(np.hypot(*(row @ (model / scale).T)) < 0.3 for row in rows)
    return None if still else model


def plain_pair(first: Pixels, second: Pixels, flow: cv2.DISOpticalFlow, settings: MotionConfig) -> dict[str, Doubles]:
    """What each pixel says, at full size and in double precision."""
    found = flow.calc(first, second, None).astype(np.float64)  # type: ignore[call-overload]
    after = second
    model = plain_camera(found) if settings.camera else None
    height, width = first.shape
    if model is not None:
        matrix = model.astype(np.float32) + np.eye(2, 3, dtype=np.float32)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        after = cv2.warpAffine(second, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        x, y = np.meshgrid(np.arange(width), np.arange(height))
        found = found - np.stack([a * x + b * y + c for a, b, c in model], 2)
    change = after.astype(float) - first
    sample = sorted(change[::4, ::4].ravel())
    wide = np.pad(np.abs(change - sample[len(sample) // 2]), 1, "reflect")
    change = sum(wide[dy : dy + height, dx : dx + width] for dy in range(3) for dx in range(3)) / 9
    square = (found**2).sum(2)
    share = square / (square + 0.25) * change**2 / (change**2 + 36)
    gray = np.pad(first.astype(float), 1, "reflect")
    u, v = (found[::2, ::2, k] * share[::2, ::2] for k in (0, 1))
    half = {"change": change[::2, ::2] * share[::2, ::2] / 255, "share": share[::2, ::2], "u": u, "v": v}
    half |= {"speed": np.hypot(u, v), "square": u**2 + v**2, "fourth": (u**2 + v**2) ** 2}
    half |= {"right": u.clip(0), "left": (-u).clip(0), "down": v.clip(0), "up": (-v).clip(0)}
    half |= {f"faster_{least:g}": half["share"] * (np.hypot(u, v) > least) for least in SPEEDS}
    slopes = [slope[::2, ::2] * half["share"] / 255 for slope in sobel(gray)]
    for degrees in (0, 45, 90, 135):
        turn = np.radians(degrees)
        half[f"edge_{degrees}"] = np.abs(slopes[0] * np.cos(turn) + slopes[1] * np.sin(turn))
    half["shear"] = sum(np.abs(slope) / 8 for field in (u, v) for slope in sobel(np.pad(field, 1, "reflect")))
    return half


def sobel(wide: Doubles) -> tuple[Doubles, Doubles]:
    """Slopes to the right and down of a picture with a border of one pixel."""
    rows, columns = wide[:-2] + 2 * wide[1:-1] + wide[2:], wide[:, :-2] + 2 * wide[:, 1:-1] + wide[:, 2:]
    return rows[:, 2:] - rows[:, :-2], columns[2:] - columns[:-2]


def plain(clips: Pixels, settings: MotionConfig) -> Features:
    """Numbers of one clip, a cell at a time; pictures of at least 32 px a side."""
    height, width = clips.shape[2:4]
    grays = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in clips[0]]
    flow = cv2.DISOpticalFlow.create(getattr(cv2, f"DISOPTICAL_FLOW_PRESET_{settings.flow.upper()}"))
    moving = [k for k in range(len(grays) - 1) if (clips[0][k] != clips[0][k + 1]).any()]
    maps = {k: plain_pair(grays[k], grays[k + 1], flow, settings) for k in moving}
    rows, columns = (max(round(size / settings.cell), 1) for size in (height, width))
    pairs = len(grays) - 1
    edges = np.linspace(0, pairs, settings.steps + 1).round().astype(int)
    found = np.zeros((settings.steps, rows, columns, len(NAMES)))
    for row in range(rows):
        inside_y = samples(height, rows, row, settings.window)
        for column in range(columns):
            window = np.ix_(inside_y, samples(width, columns, column, settings.window))
            each = {k: numbers({name: values[window].mean() for name, values in maps[k].items()}) for k in moving}
            for step, (a, b) in enumerate(pairwise(edges)):
                nearest = [min(moving, key=lambda k, pair=pair: abs(k - pair)) for pair in range(a, b)]
                found[step, row, column] = np.mean([each[k] for k in nearest], 0)
    found[found[..., NAMES.index("foreground")] < 0.03] = 0
    return found.astype(np.float32)


def samples(size: int, cells: int, number: int, window: int) -> list[int]:
    """Which of every second pixel lie in the window of a cell."""
    center, reach = (number + 0.5) * size / cells, max(window, size / cells) / 2
    return [k for k in range(-(-size // 2)) if abs(2 * k + 0.5 - center) <= reach]


def numbers(mean: dict[str, float]) -> list[float]:
    """A cell's numbers from the means of its window."""
    speeds = mean["speed"], mean["square"], mean["fourth"]
    roots = [
        "right",
        "left",
        "down",
        "up",
        *(f"faster_{s:g}" for s in SPEEDS),
        *(f"edge_{k}" for k in (0, 45, 90, 135)),
    ]
    spread = max(speeds[1] - mean["u"] ** 2 - mean["v"] ** 2, 0) ** 0.5
    tail = [speeds[0], speeds[1] ** 0.5, speeds[2] ** 0.25, spread, mean["shear"], mean["change"], mean["share"]]
    return [mean[name] ** 0.5 for name in roots] + tail + [speeds[0] / (mean["share"] + 0.02)]


SCENES = {
    "a camera at rest": walkers(120, 160, 0),
    "no noise": walkers(120, 160, 1, noise=0),
    "a camera that pans": walkers(120, 160, 2, pan=2.3),
    "a lamp": walkers(120, 160, 3, lamp=20),
    "odd sides": walkers(123, 157, 4),
    "a size that the flow takes whole": walkers(61, 83, 5),
    "as it comes": walkers(240, 320, 6),
}


@pytest.mark.parametrize("scene", SCENES)
def test_the_fast_way_gives_the_numbers_of_the_plain_one(scene: str) -> None:
    check(SCENES[scene], MotionConfig())


@pytest.mark.parametrize(
    "settings",
    [
        {"camera": False},
        {"cell": 20, "window": 20},
        {"cell": 9, "window": 33, "steps": 8},
        {"flow": "fast"},
        {"flow": "medium", "steps": 1},
    ],
)
def test_the_fast_way_gives_the_numbers_of_the_plain_one_whatever_is_set(settings: dict[str, object]) -> None:
    check(walkers(120, 160, 7, pan=1.7), MotionConfig(**settings))  # type: ignore[arg-type]


def test_repeated_pictures_are_as_in_the_plain_way() -> None:
    check(SCENES["a camera at rest"][:, [0, 0, 1, 2, 2, 2, 3, 4, 4]], MotionConfig(steps=3))


def check(clips: Pixels, settings: MotionConfig) -> None:
    wanted, backbone = plain(clips, settings), Motion(settings)
    backbone(walkers(61, 83, 8))  # what came before must not matter
    found = backbone(clips)[0]
    np.testing.assert_array_equal(found.any(-1), wanted.any(-1))
    assert wanted.any()
    # the spread is the root of a difference of nearly equal means
    loose = np.array([1e-3 if name == "spread" else 2e-5 for name in NAMES])
    assert (np.abs(found - wanted) <= loose * wanted.max((0, 1, 2)) + 1e-7).all()

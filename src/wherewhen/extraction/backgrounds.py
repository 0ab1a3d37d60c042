"""Backgrounds of videos: the still part of their pictures, by which videos of one camera are recognized.

A background is the median of up to 9 small gray pictures that are spread over a video, so what moves is not in it. Two
backgrounds are compared by the directions of their gradients, not by brightness. Measured on real clips: 0.6 to 1 on
one fixed camera, below 0.25 on different cameras, in between where a camera moves.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from wherewhen.core.array_files import load, save
from wherewhen.core.errors import StoreError, VideoError
from wherewhen.core.feature_file import content
from wherewhen.core.store import Spare, cache_folder
from wherewhen.core.values import Floats, Pixels
from wherewhen.video.key_pictures import key_pictures
from wherewhen.video.reader import Reading, reading

log = logging.getLogger(__name__)

VERSION = 1  # raise it when backgrounds change, so that cached ones are computed again
SIZE = (48, 64)  # height and width of a background
PICTURES = 9  # of a video
FEWEST = 5  # key frames that make a background; with fewer the first pictures are decoded
FIRST = 300  # pictures that are decoded at most where key frames are too few
AGREE = 0.35  # least agreement of two backgrounds of one camera
NOISE = 4.0  # gray levels: gradients well below count little
PLAIN = 0.05  # mean strength of gradients below which a background shows nothing, such as a black picture
SHAPE = 1.02  # most by which width / height of two backgrounds of one camera differ
BLOCK = 1024  # backgrounds that are compared at a time


@dataclass(frozen=True, slots=True)
class Background:
    """The still part of a video: gray ``picture`` uint8 ``(48, 64)``, and width / height of the video's pictures."""

    picture: Pixels
    shape: float


def background(path: Path, cache: Path | None = None) -> Background:
    """The background of a video file or a folder of pictures, cached by content; VideoError if it can't be read."""
    file = (cache or cache_folder() / "backgrounds") / f"v{VERSION}" / f"{content(path)[:32]}.safetensors"
    if file.exists():
        try:
            arrays, passport = load(file)
            return Background(arrays["picture"].reshape(SIZE), float(passport["shape"]))
        except (StoreError, KeyError, ValueError, TypeError) as error:
            log.warning("recomputed: %s", error)
    measured = _measured(path)
    with Spare(file):
        save(file, {"picture": measured.picture}, {"shape": measured.shape}, ours=True)
    return measured


def _measured(path: Path) -> Background:
    with reading(path) as video:
        info = video.info
        pictures = _key_pictures(path)
        if len(pictures) < FEWEST:
            pictures = _first_pictures(video)
    gray = np.stack([picture.astype(np.float32).mean(2) for picture in pictures])
    return Background(np.median(gray, 0).round().astype(np.uint8), info.width / info.height)


def _key_pictures(path: Path) -> list[Pixels]:
    """Pictures at key frames; none of a folder, nor of a file that is damaged at one of them."""
    try:
        return [] if path.is_dir() else key_pictures(path, PICTURES, SIZE)
    except VideoError:
        return []


def _first_pictures(video: Reading) -> list[Pixels]:
    """Pictures spread over the first 300 of a video, or over all of a shorter one."""
    count = min(video.info.frames or FIRST, FIRST)
    seconds = count / video.info.rate
    frames = video.frames(span=(0.0, seconds), rate=PICTURES / seconds, size=SIZE)
    return [frame.image for frame in islice(frames, PICTURES)]


def directions(backgrounds: Sequence[Background]) -> Floats:
    """Unit rows ``(N, 5704)`` of the directions of gradients; zero for a background that shows nothing.

    The agreement of two backgrounds is the product of their rows, from -1 to 1.
    """
    gray = np.stack([still.picture for still in backgrounds]).astype(np.float32)
    gradients = np.stack([gray[:, 1:-1, 2:] - gray[:, 1:-1, :-2], gray[:, 2:, 1:-1] - gray[:, :-2, 1:-1]], 1)
    strength = np.sqrt((gradients**2).sum(1, keepdims=True))
    rows = (gradients / (strength + NOISE)).reshape(len(gray), -1)
    rows[(strength / (strength + NOISE)).mean((1, 2, 3)) < PLAIN] = 0
    units: Floats = rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-6)
    return units


def agreement(first: Background, second: Background) -> float:
    """Agreement of two backgrounds, from -1 to 1; -1 for pictures of different shapes."""
    ratio = first.shape / second.shape
    if not 1 / SHAPE <= ratio <= SHAPE:
        return -1.0
    rows = directions([first, second])
    return float(rows[0] @ rows[1])


def same_camera(backgrounds: Sequence[Background]) -> list[int]:
    """The number of the camera of each background, from 0 in order of first use.

    Backgrounds that agree by at least 0.35, in pictures of one shape, are of one camera, and so are those that agree
    with a third one of that camera.
    """
    if not backgrounds:
        return []
    rows, shapes = directions(backgrounds), np.array([still.shape for still in backgrounds])
    roots = list(range(len(backgrounds)))

    def root(number: int) -> int:
        while roots[number] != number:
            roots[number] = number = roots[roots[number]]
        return number

    for start in range(0, len(rows), BLOCK):
        part = slice(start, start + BLOCK)
        ratio = shapes[part, None] / shapes[None]
        alike = (rows[part] @ rows.T >= AGREE) & (ratio <= SHAPE) & (ratio >= 1 / SHAPE)
        for a, b in np.argwhere(alike).tolist():
            first, second = sorted((root(start + a), root(b)))
            roots[second] = first
    numbers: dict[int, int] = {}
    return [numbers.setdefault(root(number), len(numbers)) for number in range(len(roots))]

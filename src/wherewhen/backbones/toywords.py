"""A toy text-image encoder: its concepts are colors, and each kind of anomaly of the toy data set has one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from wherewhen.core.contracts import BackboneAbilities, ClipSpec, Provenance, check_clips
from wherewhen.core.errors import ConfigError, unknown
from wherewhen.core.values import Features, Pixels

if TYPE_CHECKING:
    import torch

HUES = {"red": 0, "orange": 30, "yellow": 53, "lime": 106, "cyan": 183, "blue": 233, "magenta": 309}
"""Vivid concepts by their hue in degrees; two dull ones, gray and grass, come after them."""

CONCEPTS = (*HUES, "gray", "grass")
VIVID, BRIGHT, DULL = 0.5, 0.35, 0.1  # shares of full saturation and value
HALF = 0.005  # share of a region: this much of a vivid color has half the weight of all of it
GROUND = 0.5  # weight of dull concepts

MEANINGS = {
    "red": "red running runner runs run sprinting",
    "orange": "orange abandoned bag suitcase luggage left",
    "yellow": "yellow wheels bicycle bike cyclist skateboard skater cart riding rider",
    "lime": "lime intrusion intruder trespassing trespasser",
    "cyan": "cyan turquoise fall falling fallen falls",
    "blue": "blue wrong_way wrong way backwards",
    "magenta": "magenta pink fight fighting fighters brawl",
    "gray": "gray grey ground road street pavement wall building plaza walkway pedestrian pedestrians walking normal",
    "grass": "grass lawn tree trees leaves",
}
"""Words of each concept."""

ANYTHING = {"anomaly", "anomalous", "unusual", "odd"}
"""Words for all vivid concepts at once."""

_IGNORED = """a an the of on in at by to and with is are his her their someone somebody something person people
man woman two picture photo scene who that wearing dressed over across lying gone going"""
IGNORED = frozenset(_IGNORED.split())
"""Words without effect."""

VOCABULARY = {word: [CONCEPTS.index(concept)] for concept, words in MEANINGS.items() for word in words.split()}
VOCABULARY |= {word: list(range(len(HUES))) for word in ANYTHING}


@dataclass(frozen=True)
class ToyWordsConfig:
    """Settings of `ToyWords`.

    Args:
        layer: patches are rows x columns cells, embedding is one vector per picture.
        frames: frames per clip, of which the middle one is used.
        stride: a new clip every so many frames.
        rate: frames per second after resampling by timestamps; null keeps the source's.
        rows: cells from top to bottom.
        columns: cells from left to right.
    """

    layer: Literal["embedding", "patches"] = "patches"
    frames: int = 4
    stride: int = 4
    rate: float | None = 12.5
    rows: int = 12
    columns: int = 16

    def __post_init__(self) -> None:
        if min(self.frames, self.stride, self.rows, self.columns) < 1 or (self.rate is not None and not self.rate > 0):
            raise ConfigError(
                f"toywords: frames, stride, rows, columns must be at least 1 and rate above 0; got {self}"
            )


class ToyWords:
    """Shares of colors, not a network: uint8 ``(B, T, H, W, 3)`` -> float32 unit vectors ``(B, 1, h, w, 9)``.

    It replaces CLIP where its weights are missing, for demonstrations and tests of prompts, zero-shot and search. It
    encodes colors only: ``running`` means red, because in the toy world with ``palette`` a runner wears red. On real
    videos it finds red objects.

    >>> ToyWords(ToyWordsConfig()).encode(["a person running", "something red"]).argmax(1).tolist()
    [0, 0]
    """

    Config: ClassVar[type] = ToyWordsConfig
    source: ClassVar[Provenance] = Provenance(title="A toy of colors and words")
    abilities: ClassVar[BackboneAbilities] = BackboneAbilities(reads_text=True, prompts="toy")
    limit: ClassVar[int | None] = None

    def __init__(self, config: ToyWordsConfig) -> None:
        self.config = config
        self.clip = ClipSpec(config.frames, config.stride, config.rate)

    def __call__(self, clips: Pixels) -> Features:
        """Features of a batch of clips; ValueError unless uint8 ``(B, T, H, W, 3)``."""
        check_clips(clips, "toywords")
        middle = (clips.shape[1] - 1) // 2
        whole = self.config.layer == "embedding"
        size = (1, 1) if whole else (self.config.rows, self.config.columns)
        return np.stack([_vectors(clip[middle], *size) for clip in clips])[:, None]

    def encode(self, texts: Sequence[str]) -> Features:
        """Unit vectors ``(N, 9)``: the concepts that a text names; ConfigError for an unknown word."""
        counts = np.stack([_bag(text) for text in texts]) if len(texts) else np.empty((0, len(CONCEPTS)), np.float32)
        unit: Features = counts / np.linalg.norm(counts, axis=1, keepdims=True)
        return unit

    def tokens(self, texts: Sequence[str]) -> list[int]:
        """Number of words of each text."""
        return [len(_words(text)) for text in texts]

    def tower(self) -> ToyTower:
        """The text encoder of learnable prompts."""
        return ToyTower()


class ToyTower:
    """Texts between learned rows: the concepts of the words, and the mean of the rows before and after them."""

    width, length = len(CONCEPTS), 77

    def between(
        self, texts: Sequence[str] | Sequence[Sequence[int]], learnt: torch.Tensor, prefix: int = 10, suffix: int = 10
    ) -> torch.Tensor:
        """Embeddings ``(N, 9)``; a token id is the number of a concept. The same rows serve every text."""
        import torch

        if tuple(learnt.shape) != (self.length, self.width) or prefix + suffix + 2 > self.length:
            raise ValueError(f"expected learned rows ({self.length}, {self.width}), got {tuple(learnt.shape)}")
        bags = [_bag(text) if isinstance(text, str) else np.eye(len(CONCEPTS))[list(text)].sum(0) for text in texts]
        words = torch.as_tensor(np.stack(bags), dtype=learnt.dtype, device=learnt.device)
        rows = learnt[1 : 1 + prefix + suffix]
        return words + rows.mean(0) if len(rows) else words


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z_]+", text.lower())


def _bag(text: str) -> Features:
    """Number of words of a text for each concept ``(9,)``."""
    counts = np.zeros(len(CONCEPTS), np.float32)
    for word in _words(text):
        if word in VOCABULARY:
            counts[VOCABULARY[word]] += 1
        elif word not in IGNORED:
            raise ConfigError(f"toywords: {unknown('word', word, VOCABULARY)} (in {text!r})")
    if not counts.any():
        raise ConfigError(f"toywords: no word of {text!r} is known. Known words: {', '.join(sorted(VOCABULARY))}")
    return counts


@lru_cache(1)
def _nearest() -> Pixels:
    """The nearest vivid concept of each of OpenCV's 180 hues."""
    hues = np.array(list(HUES.values()))
    apart = np.abs(np.arange(180)[:, None] * 2 - hues)
    nearest: Pixels = np.minimum(apart, 360 - apart).argmin(1).astype(np.uint8)
    nearest.flags.writeable = False
    return nearest


def _vectors(picture: Pixels, rows: int, columns: int) -> Features:
    """Unit vectors ``(rows, columns, 9)`` of equal parts of a picture."""
    import cv2

    hsv = np.asarray(cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2HSV))
    hue, saturation, value = (hsv[..., k] for k in range(3))
    vivid = (saturation > 255 * VIVID) & (value > 255 * BRIGHT)
    grass = ~vivid & (saturation > 255 * DULL) & (hue > 30) & (hue < 80)
    kinds = np.where(vivid, _nearest()[hue], np.where(grass, len(HUES) + 1, len(HUES)))
    planes = [(kinds == k).astype(np.float32) for k in range(len(CONCEPTS))]
    shares = np.stack([cv2.resize(p, (columns, rows), interpolation=cv2.INTER_AREA) for p in planes], -1)
    shares = shares.reshape(rows, columns, -1)
    bright = shares[..., : len(HUES)]
    mixed = np.concatenate([bright / (bright + HALF), GROUND * shares[..., len(HUES) :]], -1)
    unit: Features = (mixed / np.linalg.norm(mixed, axis=-1, keepdims=True)).astype(np.float32)
    return unit


PLUGIN = ToyWords

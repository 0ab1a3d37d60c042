from __future__ import annotations

import colorsys

import numpy as np
import pytest

from wherewhen.backbones.toywords import BRIGHT, CONCEPTS, DULL, GROUND, HALF, HUES, VIVID, ToyWords, ToyWordsConfig
from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Features, Pixels
from wherewhen.datasets._toy_palette import PALETTE
from wherewhen.datasets.toy import KINDS


def by_hand(part: Pixels) -> Features:
    """One pixel after the other."""
    counts = dict.fromkeys(CONCEPTS, 0)
    for r, g, b in part.reshape(-1, 3) / 255:
        hue, saturation, value = colorsys.rgb_to_hsv(r, g, b)
        if saturation > VIVID and value > BRIGHT:
            away = {name: abs((360 * hue - center + 180) % 360 - 180) for name, center in HUES.items()}
            counts[min(away, key=lambda name: away[name])] += 1
        else:
            counts["grass" if saturation > DULL and 60 < 360 * hue < 160 else "gray"] += 1
    total = sum(counts.values())
    shares = [counts[name] / total for name in CONCEPTS]
    vector = np.array([s / (s + HALF) for s in shares[: len(HUES)]] + [GROUND * s for s in shares[len(HUES) :]])
    return vector / np.linalg.norm(vector)


def test_what_it_sees_is_counted() -> None:
    colors = [(235, 25, 25), (20, 215, 225), (90, 90, 90), (70, 100, 60), (240, 215, 20), (30, 30, 60)]
    numbers = np.random.default_rng(0).integers(0, len(colors), (12, 16))
    picture = np.array(colors, np.uint8)[numbers]
    found = ToyWords(ToyWordsConfig(rows=3, columns=2))(picture[None, None])[0, 0]
    for row in range(3):
        for column in range(2):
            part = picture[4 * row : 4 * row + 4, 8 * column : 8 * column + 8]
            np.testing.assert_allclose(found[row, column], by_hand(part), atol=1e-5)
    whole = ToyWords(ToyWordsConfig(layer="embedding"))(picture[None, None])[0, 0, 0, 0]
    np.testing.assert_allclose(whole, by_hand(picture), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_a_word_for_the_color_that_it_wears(kind: str) -> None:
    toy = ToyWords(ToyWordsConfig(layer="embedding"))
    picture = np.full((1, 1, 40, 40, 3), 100, np.uint8)
    picture[..., 10:20, 10:20, :] = PALETTE[kind]
    similarity = toy.encode([*KINDS, "a picture of the road"]) @ toy(picture)[0, 0, 0, 0]
    assert similarity.argmax() == KINDS.index(kind)


def test_the_middle_frame_is_seen() -> None:
    clip = np.full((1, 4, 24, 32, 3), 100, np.uint8)
    clip[:, 1] = PALETTE["running"]
    assert ToyWords(ToyWordsConfig(layer="embedding"))(clip).argmax() == CONCEPTS.index("red")


def test_words_it_does_not_know_are_told_with_those_it_does() -> None:
    toy = ToyWords(ToyWordsConfig())
    with pytest.raises(ConfigError, match=r"unknown word 'runing'; did you mean 'running'\? Known: abandoned, "):
        toy.encode(["a person runing"])
    with pytest.raises(ConfigError, match="no word of 'a person' is known"):
        toy.encode(["a person"])
    assert toy.tokens(["a person running"]) == [3]
    assert toy.encode([]).shape == (0, len(CONCEPTS))

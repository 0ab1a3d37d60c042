import itertools
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wherewhen.core import registry
from wherewhen.data_tools.check import Eyes
from wherewhen.data_tools.near_duplicates import alike, fingerprint

SHARED = Path(os.environ.get("WHEREWHEN_SHARED", Path(__file__).parents[2] / "../shared"))


def test_fingerprints_forget_the_background_and_survive_coding():
    rng = np.random.default_rng(1)
    background = rng.integers(0, 200, (48, 64, 3))

    def film(seed, noise=0):
        moves = np.random.default_rng(seed)
        for _ in range(8):
            picture = background + (rng.normal(0, noise, background.shape) if noise else 0)
            x, y = moves.integers(0, 48), moves.integers(0, 36)
            picture[y : y + 12, x : x + 16] = 255
            yield picture.clip(0, 255).astype(np.uint8)

    one, again, other = fingerprint(film(1)), fingerprint(film(1, noise=6)), fingerprint(film(2))
    assert alike(one, again) == 1.0
    assert alike(one, other) < 0.3
    assert np.allclose(np.linalg.norm(one, axis=1), 1)
    still = fingerprint([background.astype(np.uint8)] * 5)
    assert len(still) == 0 and alike(still, one) == 0.0
    assert len(fingerprint([])) == 0


def test_real_clips_of_one_camera_are_told_apart_and_a_copy_is_found():
    root = SHARED / "data" / "avenue6"
    if not root.is_dir():
        pytest.skip(f"needs the real clips in {root} (WHEREWHEN_SHARED)")
    eyes = Eyes.open()
    videos = {v.id: v for v in registry.load("datasets", "native").load(root).videos}
    names = ("Test17", "Test19", "Test20")
    prints = {name: fingerprint(eyes.sample(videos[name])) for name in names}
    for one, other in itertools.permutations(names, 2):
        assert alike(prints[one], prints[other]) < 0.1
    part = fingerprint(eyes.sample(replace(videos["Test20"], span=(2.0, 9.0))))
    assert alike(part, prints["Test20"]) > 0.5

"""Why two sets of features differ: each cause is planted, and must be named first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherewhen.core.values import Features
from wherewhen.data_tools.features.diff import Cause, Sheet, causes, compare, verify

Change = Callable[[Features], Features]


def walk(seed: int, steps: int = 40, places: int = 1, length: int = 12) -> Features:
    """Features as of a film: they drift, some channels are seldom active, places resemble each other."""
    rng = np.random.default_rng(seed)
    drift = np.cumsum(rng.normal(size=(steps, 1, length)), 0) + rng.normal(size=(1, 1, length)) * 4
    return (drift + rng.normal(size=(steps, places, length))).astype(np.float32)


def sheets(seed: int = 0, places: int = 1, **passport: Any) -> list[Sheet]:
    return [Sheet(walk(seed + k, 40 + 3 * k, places), passport) for k in range(3)]


def after(change: Change, places: int = 1, passport: dict[str, Any] | None = None) -> list[Cause]:
    """Causes of what a change does to b."""
    return causes([(a, Sheet(change(a.values), passport or {})) for a in sheets(places=places)])


ORDER = np.random.default_rng(7).permutation(12)
CROPS = np.array([4, 0, 1, 2, 3])


def segments(values: Features) -> Features:
    """Means over 8 equal spans, one by one."""
    steps = len(values)
    return np.stack([values[[t for t in range(steps) if t * 8 // steps == k]].mean(0) for k in range(8)])


def rounded(values: Features) -> Features:
    """bfloat16 by torch."""
    import torch

    return torch.from_numpy(values.copy()).bfloat16().float().numpy()


def resampled(values: Features) -> Features:
    """The same course with 25 clips for every 30, each between its neighbors."""
    count = round(len(values) * 25 / 30)
    at = (np.arange(count) + 0.5) * len(values) / count - 0.5
    flat = values.reshape(len(values), -1)
    mixed = np.stack([np.interp(at, np.arange(len(values)), c) for c in flat.T], 1)
    return mixed.astype(np.float32).reshape(count, 1, -1)


def noise(values: Features, mean: float, spread: float) -> Features:
    return np.random.default_rng(len(values)).normal(mean, spread, values.shape).astype(np.float32)


PLANTED: dict[str, tuple[Change, int]] = {
    "tail": (lambda v: v[:-1], 1),
    "length": (lambda v: v[:-15], 1),
    "shift": (lambda v: v[2:], 1),
    "stride": (lambda v: v[::2], 1),
    "segments": (segments, 1),
    "rate": (resampled, 1),
    "crop order": (lambda v: v[:, CROPS], 5),
    "averaged crops": (lambda v: v.mean(1, keepdims=True), 5),
    "one crop": (lambda v: v[:, 3:4], 5),
    "scale": (lambda v: v * np.float32(255), 1),
    "l2 normalization": (lambda v: v / np.linalg.norm(v, axis=-1, keepdims=True), 1),
    "relu": (lambda v: np.maximum(v, 0), 1),
    "channel order": (lambda v: v[..., ORDER], 1),
    "some channels": (lambda v: v[..., 4:10], 1),
    "rounding": (rounded, 1),
    "engine or decoder": (lambda v: v * noise(v, 1, 0.01), 1),
    "other weights or pictures": (lambda v: noise(v, 0, 1.0), 1),
}


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_planted_is_named_first(name: str) -> None:
    change, places = PLANTED[name]
    first = after(change, places)[0]
    assert first.name == name, after(change, places)


@pytest.mark.parametrize("name", sorted(set(PLANTED) - {"engine or decoder", "other weights or pictures"}))
def test_it_is_named_whichever_side_was_changed(name: str) -> None:
    change, places = PLANTED[name]
    turned = causes([(Sheet(change(a.values)), a) for a in sheets(places=places)])
    assert turned[0].name == name, turned


def test_another_last_clip_is_the_tail() -> None:
    def change(values: Features) -> Features:
        values = values.copy()
        values[-1] += 1
        return values

    (cause, *_) = after(change)
    assert cause.name == "tail" and "as many clips" in cause.told


def test_the_evidence_says_how() -> None:
    assert "0-1 and 0-255" in after(PLANTED["scale"][0])[0].told
    assert str(CROPS.tolist()) in after(PLANTED["crop order"][0], 5)[0].told
    assert "one in 2 clips of a" in after(PLANTED["stride"][0])[0].told
    assert "bfloat16" in after(PLANTED["rounding"][0])[0].told
    assert "40 and 39" in after(PLANTED["tail"][0])[0].told


MADE = {
    "backbone": "i3d", "crops": 1, "engine": "torch", "precision": "fp32", "cells": {"l2": False},
    "i3d": {"layer": "pooled", "weights": "aaaa", "rate": None, "stride": 16, "tail": "back"},
}  # fmt: skip
ABOUT = {"clip": {"frames": 16, "stride": 16, "rate": None, "tail": "back"}, "decoder": "one"}


def passport(**other: Any) -> dict[str, Any]:
    """A passport of ours with some other fields of the network."""
    own = {k: v for k, v in other.items() if k in MADE["i3d"]}  # type: ignore[operator]
    made = {**MADE, **{k: v for k, v in other.items() if k in MADE}, "i3d": {**MADE["i3d"], **own}}  # type: ignore[dict-item]
    return {"made": made, "about": {**ABOUT, **{k: v for k, v in other.items() if k in ABOUT}}}


def with_passports(change: Change, **other: Any) -> list[Cause]:
    return causes([(Sheet(a.values, passport()), Sheet(change(a.values), passport(**other))) for a in sheets()])


@pytest.mark.parametrize(
    ("field", "value"),
    [("weights", "bbbb"), ("layer", "mixed_4f"), ("crops", 10), ("rate", 25.0), ("stride", 8), ("tail", "drop")],
)
def test_fields_of_passports_are_named_first_where_numbers_tell_nothing(field: str, value: Any) -> None:
    found = with_passports(PLANTED["other weights or pictures"][0], **{field: value, "decoder": "other"})
    assert found[0].name == field and str(value) in found[0].told
    assert found[-1].name == "decoder", "a decoder hardly ever matters"


@pytest.mark.parametrize(("field", "value"), [("engine", "openvino"), ("precision", "bf16")])
def test_small_errors_speak_for_how_it_was_run(field: str, value: str) -> None:
    noise = PLANTED["engine or decoder"][0]
    assert with_passports(noise, **{field: value, "weights": "bbbb"})[0].name == field
    large = with_passports(PLANTED["other weights or pictures"][0], **{field: value, "weights": "bbbb"})
    assert [c.name for c in large] == ["weights", field]


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [("tail", "tail", "drop"), ("stride", "stride", 32), ("rate", "rate", 25.0), ("rounding", "precision", "bf16")],
)
def test_passports_join_what_numbers_say(name: str, field: str, value: Any) -> None:
    first = with_passports(PLANTED[name][0], **{field: value, "weights": "bbbb"})[0]
    assert first.name == name and f"the passports differ in {field}" in first.told


def test_unknown_is_no_difference() -> None:
    told: dict[str, Any] = {"backbone": "unknown", "frames": None, "rate": None, "crop_order": "unknown"}
    other = {"made": {"backbone": "imported", "crops": 1, "imported": told}}
    change = PLANTED["other weights or pictures"][0]
    found = causes([(Sheet(a.values, passport()), Sheet(change(a.values), other)) for a in sheets()])
    assert [c.name for c in found] == ["other weights or pictures"]
    told |= {"backbone": "c3d", "stride": 8}
    found = causes([(Sheet(a.values, passport()), Sheet(change(a.values), other)) for a in sheets()])
    assert [c.name for c in found] == ["backbone", "stride"]


@given(st.integers(0, 99), st.integers(1, 4), st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_numbers_of_a_comparison(seed: int, places: int, cut: int) -> None:
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(6, places, 3)).astype(np.float32)
    b = (a + 0.1 * rng.normal(size=a.shape)).astype(np.float32)[:-cut]
    row = compare(a, b)
    errors = [abs(float(x) - float(y)) for x, y in zip(a[:-cut].ravel(), b.ravel(), strict=True)]
    sizes = [abs(float(y)) for y in b.ravel()]
    pairs = zip(a[:-cut].reshape(-1, 3).astype(float), b.reshape(-1, 3).astype(float), strict=True)
    cosines = [x @ y / (np.sqrt(x @ x) * np.sqrt(y @ y)) for x, y in pairs]
    assert (row.clips_a, row.clips_b) == (6, 6 - cut)
    assert row.max_error == pytest.approx(max(errors) / max(sizes))
    assert row.mean_error == pytest.approx(sum(errors) / sum(sizes))
    assert row.cosine == pytest.approx(sum(cosines) / len(cosines))


def test_equal_sets_are_equal_and_lonely_videos_are_not() -> None:
    one = {str(k): (lambda sheet=sheet: sheet) for k, sheet in enumerate(sheets())}
    same = verify(one, dict(one))
    assert same.equal and not same.causes and [r.cosine for r in same.rows] == [pytest.approx(1)] * 3
    fewer = verify(one, {"0": one["0"]})
    assert not fewer.equal and [r.only for r in fewer.rows].count("a") == 2
    assert verify(one, {"x": one["0"]}).causes[0].name == "no videos in common"
    slightly = {"0": lambda: Sheet(one["0"]().values * np.float32(1 + 5e-4))}
    assert verify({"0": one["0"]}, slightly).equal and not verify({"0": one["0"]}, slightly, 1e-5).equal


def test_features_of_zeros_are_no_trouble() -> None:
    zeros = Sheet(np.zeros((5, 2, 3), np.float32))
    assert compare(zeros.values, zeros.values).cosine == 1.0
    assert causes([(zeros, Sheet(np.ones((5, 2, 3), np.float32)))])[0].name == "other weights or pictures"

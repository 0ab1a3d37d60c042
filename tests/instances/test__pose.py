"""Features of joints: known motions give known numbers, in heights and seconds; unsure joints give none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherewhen.core.values import Floats
from wherewhen.instances._pose import FAR, NAMES, Poses, pose

STANDING = np.array(
    [(0, -45), (-2, -47), (2, -47), (-4, -46), (4, -46), (-10, -35), (10, -35), (-12, -18), (12, -18), (-12, -2),
     (12, -2), (-7, 0), (7, 0), (-7, 22), (7, 22), (-7, 44), (7, 44)], np.float64)  # fmt: skip
"""A person of 100 px around the origin, arms and legs almost straight."""
HALF = np.array([20, 50])


def person(places: Floats, times: Floats, center: Floats | None = None, confidence: float = 0.9) -> Poses:
    """Joints ``(n, 17, 2)`` relative to a center ``(n, 2)``, with a box of 40 x 100 px around it."""
    middle = np.full((len(times), 2), 200.0) if center is None else center
    boxes = np.concatenate([middle - HALF, middle + HALF], 1)
    joints = np.concatenate([places + middle[:, None], np.full((*places.shape[:2], 1), confidence)], 2)
    return Poses(times, boxes, joints)


def named(poses: Poses, *others: Poses, confidence: float = 0.2) -> dict[str, float]:
    return dict(zip(NAMES, pose(poses, others, confidence).tolist(), strict=True))


def still(count: int = 20, rate: float = 10.0) -> tuple[Floats, Floats]:
    return np.tile(STANDING, (count, 1, 1)), np.arange(count) / rate


@given(rate=st.sampled_from([5.0, 10.0, 25.0]), scale=st.floats(0.2, 5), x=st.floats(-500, 500))
def test_speeds_are_in_heights_per_second(rate: float, scale: float, x: float) -> None:
    """The right hand moves by 80 px a second, whatever the rate, the size and the place of the person."""
    places, times = still(round(2 * rate), rate)
    places[:, 10, 0] += 80 * times
    mover = person(places, times)
    joints = mover.joints.copy()
    joints[..., :2] = joints[..., :2] * scale + x
    features = named(Poses(times, mover.boxes * scale + x, joints))
    height = max(1.0, 100 * scale)
    np.testing.assert_allclose(features["wrist_fastest"], 80 * scale / height, rtol=1e-3)
    np.testing.assert_allclose(features["wrist_speed"], 40 * scale / height, rtol=1e-3)
    assert max(features[name] for name in ("ankle_speed", "head_speed", "body_speed", "knee_bend_rate")) < 1e-6
    assert features["wrist_acceleration"] < 1e-3 and features["arms"] == features["legs"] == features["trunk"] == 1


def test_who_walks_moves_the_body_and_not_the_limbs() -> None:
    places, times = still()
    features = named(person(places, times, np.stack([200 + 150 * times, np.full(20, 200.0)], 1)))
    np.testing.assert_allclose([features["body_speed"], features["body_fastest"]], 1.5, rtol=1e-5)
    assert max(features[name] for name in NAMES if name.endswith(("_speed", "_rate")) and name != "body_speed") < 1e-5


def test_angles() -> None:
    places, times = still()
    straight = named(person(places, times))
    assert straight["lean"] == 0 and straight["elbow_bend"] < 0.2 and straight["arm_raise"] < 0.2
    raised = places.copy()
    raised[:, [7, 9], 1] = [[-52, -68]]
    np.testing.assert_allclose(named(person(raised, times))["arm_raise"], np.pi / 2, rtol=1e-5)  # one up, one down
    lying = places[..., ::-1] * [1, -1]
    np.testing.assert_allclose(named(person(lying, times))["lean"], np.pi / 2, rtol=1e-5)
    falling = np.stack([STANDING @ np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]]) for a in times / 2])
    np.testing.assert_allclose(named(person(falling, times))["lean_rate"], 0.5, rtol=1e-4)


@given(rate=st.sampled_from([8.0, 12.5]), gap=st.floats(41, 250))
def test_two_people(rate: float, gap: float) -> None:
    """One stands, one comes nearer by 60 px a second for two seconds, from ``gap`` + 120 px to ``gap``."""
    places, times = still(round(2 * rate) + 1, rate)
    coming = np.stack([200 + gap + 120 - 60 * times, np.full(len(times), 200.0)], 1)
    features = named(person(places, times), person(places, times, coming))
    np.testing.assert_allclose(features["closing"], 0.6, rtol=1e-4)
    np.testing.assert_allclose(features["distance"], min(3, (gap + 60) / 100), rtol=1e-3)
    assert gap / 100 <= features["nearest"] <= gap / 100 + 0.15 and features["partner"] == 1
    np.testing.assert_allclose(features["contact"], features["nearest"] - 0.24, atol=1e-5)
    assert features["contact"] <= features["reach"]
    later = person(places, times + 100)
    alone = named(person(places, times), later)
    assert [alone[name] for name in ("distance", "nearest", "reach", "contact")] == [FAR] * 4
    assert alone["closing"] == alone["partner"] == 0


def test_a_union_and_its_members_are_not_two_people() -> None:
    places, times = still()
    mover = person(places, times)
    union = Poses(times, mover.boxes + np.array([-5, -5, 60, 5]), mover.joints)
    assert named(mover, union)["distance"] == named(union, mover)["distance"] == FAR


def test_unsure_joints_are_left_out() -> None:
    """Wild joints of low confidence change nothing but the shares; with none there is nothing to say of limbs."""
    rng = np.random.default_rng(0)
    places, times = still()
    mover = person(places, times)
    wild = mover.joints.copy()
    wild[:, [9, 10], :2] += rng.normal(0, 100, (20, 2, 2))
    wild[:, [9, 10], 2] = 0.1
    features = named(Poses(times, mover.boxes, wild))
    assert features["arms"] == features["wrist_speed"] == features["wrist_acceleration"] == 0
    assert features["legs"] == features["trunk"] == 1 and features["ankle_speed"] < 1e-6
    assert named(Poses(times, mover.boxes, wild), confidence=0.05)["wrist_speed"] > 1
    noise = np.concatenate([rng.normal(200, 100, (20, 17, 2)), np.full((20, 17, 1), 0.1)], 2)
    features = named(Poses(times, mover.boxes, noise), person(places, times, np.full((20, 2), 240.0)))
    assert features.pop("confidence") == pytest.approx(0.1) and features.pop("reach") == features.pop("contact") == FAR
    np.testing.assert_allclose([features.pop("distance"), features.pop("nearest")], 0.4 * 2**0.5, rtol=1e-5)
    assert not any(features.values())


@given(count=st.integers(0, 6), confidence=st.floats(0, 1), seed=st.integers(0, 50))
def test_any_joints_give_finite_numbers(count: int, confidence: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    movers = []
    for _ in range(3):
        boxes = rng.uniform(0, 300, (count, 2, 2))
        joints = np.concatenate([rng.uniform(-99, 400, (count, 17, 2)), rng.uniform(0, 1, (count, 17, 1))], 2)
        times = np.sort(rng.choice(10, count, replace=False)) / 10
        movers.append(Poses(times, np.concatenate([boxes.min(1), boxes.max(1)], 1), joints))
    features = pose(movers[0], movers[1:], confidence)
    assert features.shape == (len(NAMES),) and features.dtype == np.float32 and np.isfinite(features).all()
    assert count or not features.any()

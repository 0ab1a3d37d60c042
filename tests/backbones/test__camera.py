from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from wherewhen.backbones._camera import camera_motions, places


def field(model: np.ndarray, height: int = 96, width: int = 128) -> np.ndarray:
    ys, xs = np.mgrid[:height, :width]
    return (np.stack([xs, ys, np.ones_like(xs)], -1) @ model.T).astype(np.float32)


def camera_motion(flow: np.ndarray) -> np.ndarray | None:
    """The camera's motion in one whole flow."""
    height, width = flow.shape[:2]
    return camera_motions(flow.transpose(2, 0, 1)[None, :, *np.ix_(*places(height, width))], height, width)[0]


@settings(deadline=None, max_examples=30)
@given(st.tuples(*[st.floats(-5, 5)] * 2), st.tuples(*[st.floats(-0.02, 0.02)] * 4))
def test_finds_the_affine_motion_under_noise_and_a_mover(shift: tuple[float, ...], bend: tuple[float, ...]) -> None:
    model = np.array([[bend[0], bend[1], shift[0]], [bend[2], bend[3], shift[1]]])
    flow = field(model) + np.random.default_rng(0).normal(0, 0.05, (96, 128, 2)).astype(np.float32)
    flow[20:60, 20:70] += 12
    found = camera_motion(flow)
    moved = np.hypot(*np.moveaxis(field(model), -1, 0))
    if found is None:
        assert (moved < 0.5).mean() > 0.4
    elif (moved > 0.5).mean() > 0.7:
        assert np.abs(field(found) - field(model)).max() < 0.5


def test_a_resting_camera_is_left_alone_whatever_moves() -> None:
    flow = np.zeros((96, 128, 2), np.float32)
    flow[:, :60] = 7
    assert camera_motion(flow) is None


def test_a_picture_with_few_points_gets_a_shift() -> None:
    found = camera_motion(np.full((8, 16, 2), 3, np.float32))
    assert found is not None
    np.testing.assert_allclose(found, [[0, 0, 3], [0, 0, 3]], atol=1e-4)


def test_cameras_are_found_together_as_each_alone() -> None:
    rng = np.random.default_rng(1)
    ys, xs = np.meshgrid(*places(120, 160), indexing="ij")
    still = rng.normal(0, 0.05, (2, *ys.shape))
    turned = np.stack([0.02 * ys - 1, -0.02 * xs + 2]) + rng.normal(0, 0.1, still.shape)
    panned = still + np.array([3, -1])[:, None, None]
    panned[:, : len(ys) // 3] += 9
    found = camera_motions(np.stack([still, turned, panned]).astype(np.float32), 120, 160)
    assert found[0] is None
    np.testing.assert_allclose(found[1], [[0, 0.02, -1], [-0.02, 0, 2]], atol=0.06)
    np.testing.assert_allclose(found[2] @ [80, 60, 1], [3, -1], atol=0.05)
    for vectors, model in zip((turned, panned), found[1:], strict=True):
        alone = camera_motions(vectors[None].astype(np.float32), 120, 160)[0]
        np.testing.assert_allclose(model, alone, rtol=1e-5, atol=1e-7)

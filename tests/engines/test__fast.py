"""Faster layers against the ordinary ones."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from wherewhen.engines import _fast as fast
from wherewhen.engines import _graph as graph
from wherewhen.engines.openvino import converted

axis = st.tuples(st.integers(3, 9), st.integers(1, 4), st.integers(1, 3), st.integers(0, 1), st.integers(0, 2))


@settings(deadline=None, max_examples=60)
@given(axes=st.lists(axis, min_size=2, max_size=3), seed=st.integers(0, 99))
def test_a_pool_in_slices_is_the_pool(axes: list[tuple[int, int, int, int, int]], seed: int) -> None:
    size, kernel, stride, before, after = (list(part) for part in zip(*axes, strict=True))
    before = [min(b, k - 1) for b, k in zip(before, kernel, strict=True)]
    after = [min(a, k - 1) for a, k in zip(after, kernel, strict=True)]
    if any(n + b + a < k for n, b, a, k in zip(size, before, after, kernel, strict=True)):
        return
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(seed))
    around = [n for pair in reversed(list(zip(before, after, strict=True))) for n in pair]
    for zero in (False, True):
        values = x.abs() if zero else x
        pool = F.max_pool3d if len(size) == 3 else F.max_pool2d
        plain = pool(F.pad(values, around, value=0.0 if zero else -torch.inf), kernel, stride)
        layer = fast.SlicedPool(kernel, stride, list(zip(before, after, strict=True)), list(plain.shape[2:]), zero)
        kept = values.clone()
        assert torch.equal(layer(values), plain)
        assert torch.equal(values, kept)


@given(axes=st.lists(axis, min_size=2, max_size=3), seed=st.integers(0, 99))
def test_a_pool_of_bf16_without_negative_numbers_is_the_pool(axes: list[tuple[int, ...]], seed: int) -> None:
    size, kernel, stride, before, _ = (list(part) for part in zip(*axes, strict=True))
    kernel = [min(k, n) for k, n in zip(kernel, size, strict=True)]
    pads = [min(b, k // 2) for b, k in zip(before, kernel, strict=True)]
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(seed)).relu().bfloat16()
    plain = (F.max_pool3d if len(size) == 3 else F.max_pool2d)(x.float(), kernel, stride, pads)
    around = [(pad, pad) for pad in pads]
    layer = fast.SlicedPool(kernel, stride, around, list(plain.shape[2:]), zero=False, positive=True)
    assert torch.equal(layer(x).float(), plain)
    unknown = x.masked_fill(x > 1, float("nan")) * -1.0 * -1.0
    unknown.view(torch.int16)[unknown.isnan()] = -1  # bits of a usual one
    pool = F.max_pool3d if len(size) == 3 else F.max_pool2d
    assert torch.equal(layer(unknown).isnan(), pool(unknown.float(), kernel, stride, pads).isnan())


needs_packing = pytest.mark.skipif(not fast.can_pack(torch.float32), reason="this torch has no oneDNN")


@needs_packing
@settings(deadline=None, max_examples=30)
@given(
    kernel=st.lists(st.integers(1, 7), min_size=2, max_size=3),
    stride=st.integers(1, 4),
    before=st.integers(0, 3),
    after=st.integers(0, 3),
    size=st.integers(9, 14),
    value=st.sampled_from([0.0, 127.5]),
)
def test_a_convolution_on_blocks_is_the_convolution(
    kernel: list[int], stride: int, before: int, after: int, size: int, value: float
) -> None:
    torch.manual_seed(0)
    axes = len(kernel)
    x = torch.randint(0, 256, (2, 3, *[size] * axes), dtype=torch.uint8)
    weight, bias = torch.randn(5, 3, *kernel) * 0.1, torch.randn(5)
    strides = [max(1, stride - k) for k in range(axes)]
    conv = F.conv3d if axes == 3 else F.conv2d
    plain = conv(F.pad(x.float(), [before, after] * axes, value=value), weight, bias, strides)
    with torch.inference_mode():
        layer = fast.BlockConv(weight, bias, strides, [(before, after)] * axes, value, list(x.shape), "none")
        made = layer(x)
    torch.testing.assert_close(made, plain, rtol=1e-4, atol=1e-3)


@needs_packing
@pytest.mark.parametrize("after", ["none", "relu", "gelu", "sigmoid", "swish"])
@pytest.mark.parametrize("axes", [2, 3])
def test_a_packed_convolution_does_its_activation_too(axes: int, after: str) -> None:
    torch.manual_seed(0)
    x, weight, bias = torch.randn(1, 8, *[9] * axes), torch.randn(16, 4, *[3] * axes), torch.randn(16)
    how = ([1] * axes, [2] * axes, [1] * axes, 2)
    conv = F.conv3d if axes == 3 else F.conv2d
    plain = conv(x, weight, bias, how[1], how[0], how[2], how[3])
    known: dict[str, Any] = {"none": lambda y: y, "relu": F.relu, "gelu": F.gelu, "sigmoid": torch.sigmoid,
                             "swish": F.silu}  # fmt: skip
    with torch.inference_mode():
        made = fast.PackedConv(weight, bias, how, list(x.shape), after)(x)
    torch.testing.assert_close(made, known[after](plain), rtol=1e-5, atol=1e-4)


@needs_packing
def test_a_quick_network_is_the_same_network(toy: Any, draw: Any) -> None:
    clips = torch.from_numpy(draw(1, toy.clip.frames))
    with torch.inference_mode():
        module = fast.quicken(graph.folded(toy.module, clips.numpy()), torch.float32)
        made, plain = module(clips), toy.module(clips)
    assert float((made - plain).norm() / plain.norm()) < 1e-5
    kinds = [type(layer).__name__ for layer in module.children() if type(layer).__module__ == fast.__name__]
    expected = ["PackedConv"] * 5 + ["SlicedPool"] * 3 if toy.config.kind == "space" else ["PackedConv"]
    assert sorted(kinds) == expected
    left = {str(node.target) for node in module.graph.nodes}
    assert not any("relu" in name or "max_pool" in name or "conv" in name for name in left)


@needs_packing
def test_the_stem_on_blocks_is_the_stem(make_toy: Any, draw: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """bf16 takes this way; here in fp32, so that nothing but the way differs."""
    toy, clips = make_toy(), draw(1, 8)
    module = graph.exported(toy.module, clips)
    graph.fold_norms(module)
    graph.fold_pads(module)
    graph.fold_scaling(module)
    real = fast._blocks
    used = []

    def pack(module: Any, node: Any, weight: Any, bias: Any, precision: Any) -> None:
        if weight.shape[1] == 3:
            used.append(node)
            real(module, node, weight, bias, [2, 2, 2], [0, 0, 0], "none")

    monkeypatch.setattr(fast, "_pack", pack)
    with torch.inference_mode():
        made = fast.quicken(graph.done(module), torch.float32)(torch.from_numpy(clips))
        plain = toy.module(torch.from_numpy(clips))
    assert len(used) == 1
    assert float((made - plain).norm() / plain.norm()) < 2e-5


def test_the_stem_on_blocks_for_other_programs_is_the_stem(make_toy: Any, draw: Any) -> None:
    toy, clips = make_toy(), draw(1, 8)
    module = graph.exported(toy.module, clips)
    graph.fold_norms(module)
    graph.fold_pads(module)
    graph.fold_scaling(module)
    with torch.inference_mode():
        made = fast.blocked(graph.done(module))(torch.from_numpy(clips))
        plain = toy.module(torch.from_numpy(clips))
    assert float((made - plain).norm() / plain.norm()) < 2e-5
    [layer] = [part for part in module.modules() if isinstance(part, fast.PlainConv)]
    assert layer.weight.shape == (16, 24, 4, 4, 4)


def test_openvino_reads_the_stem_on_blocks(make_toy: Any, draw: Any) -> None:
    """The engine takes this way in bf16 on processors with tiles; here in fp32, on any."""
    openvino = pytest.importorskip("openvino")
    toy, clips = make_toy(), draw(1, 8)
    module = fast.blocked(graph.folded(toy.module, clips, torch.bfloat16))
    model = converted(openvino, module, clips)
    run = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    with torch.inference_mode():
        expected = module(torch.from_numpy(clips))
    torch.testing.assert_close(torch.from_numpy(run(clips)[0]), expected, rtol=1e-3, atol=1e-3)


def test_lowered_is_bf16_all_through(toy: Any, draw: Any) -> None:
    clips = torch.from_numpy(draw(1, toy.clip.frames))
    with torch.inference_mode():
        module = fast.lowered(graph.folded(toy.module, clips.numpy(), torch.bfloat16))
        made, plain = module(clips), toy.module(clips)
    assert made.dtype == torch.bfloat16
    assert all(t.dtype != torch.float32 for t in module.state_dict().values())
    assert 1e-4 < float((made.float() - plain).norm() / plain.norm()) < 0.05


@needs_packing
def test_packed_products_are_the_products(make_toy: Any, draw: Any) -> None:
    """bf16 takes this way; here in fp32, so that nothing but the way differs."""
    toy, clips = make_toy("look"), draw(1, 2)
    module = graph.folded(toy.module, clips)
    with torch.inference_mode():
        fast.pack_products(module, torch.float32)
        made = graph.done(module)(torch.from_numpy(clips))
        plain = toy.module(torch.from_numpy(clips))
    assert float((made - plain).norm() / plain.norm()) < 1e-5
    layers = [layer for layer in module.children() if isinstance(layer, fast.PackedLinear)]
    assert sorted(layer.after for layer in layers) == ["gelu", "none", "none", "none"]

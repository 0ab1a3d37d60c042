"""Faster forms of torch layers on processors: reordered weights, pooling in slices."""

from __future__ import annotations

import math
import warnings
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.fx import GraphModule, Node

from wherewhen.engines._graph import (
    CONVOLUTIONS,
    POOLS,
    RELUS,
    argument,
    aten,
    constant,
    convolutions,
    done,
    nonnegative,
    numbers,
    padded_by,
    shape,
)

ACTIVATIONS: dict[Any, str] = {
    **dict.fromkeys(RELUS, "relu"), aten.gelu.default: "gelu", aten.sigmoid.default: "sigmoid",
    aten.silu.default: "swish", aten.silu_.default: "swish",
}  # fmt: skip


def last(axes: int) -> torch.memory_format:
    """The layout with channels last for pictures or clips."""
    return torch.channels_last if axes == 2 else torch.channels_last_3d


def channels_last(module: GraphModule) -> GraphModule:
    """The same graph, the weights of its convolutions with channels last in memory."""
    for node, weight, _ in convolutions(module):
        if weight.ndim in (4, 5):
            put = weight.contiguous(memory_format=last(weight.ndim - 2))
            target = str(node.args[1].target)  # type: ignore[union-attr]
            owner, _, leaf = target.rpartition(".")
            held = module.get_submodule(owner)
            value = nn.Parameter(put, requires_grad=False) if leaf in held._parameters else put
            setattr(held, leaf, value)
    return module


@lru_cache
def can_pack(precision: torch.dtype) -> bool:
    """Whether this processor and torch run packed layers, tried on a small one of each kind."""
    try:
        if precision == torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
            return False
        x, weight, bias = torch.ones(1, 8, 3, 3), torch.ones(4, 8, 1, 1), torch.ones(4)
        x, weight, bias = (t.to(precision) for t in (x, weight, bias))
        with torch.inference_mode():
            conv = PackedConv(weight, bias, ([0, 0], [1, 1], [1, 1], 1), list(x.shape), "relu")(x)
            linear = PackedLinear(weight.view(4, 8), bias, 9, "none")(x.flatten(2).transpose(1, 2))
        return bool((conv == 9).all()) and bool((linear == 9).all())
    except (AttributeError, RuntimeError, TypeError):
        return False


class PackedConv(nn.Module):
    """A convolution with its weights in the processor's own order, and the activation after it in the same pass."""

    def __init__(
        self, weight: Tensor, bias: Tensor | None, geometry: tuple[Any, ...], size: list[int], after: str
    ) -> None:
        super().__init__()
        self.axes = weight.ndim - 2
        self.padding, self.stride, self.dilation, self.groups = geometry
        self.bias, self.after = bias, after
        pack: Any = getattr(torch._C._nn, f"mkldnn_reorder_conv{self.axes}d_weight")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.packed = pack(weight.contiguous().to_mkldnn(), *geometry[:3], self.groups, size)

    def forward(self, x: Tensor) -> Tensor:
        """Features ``(B, C, ...)`` to features, channels last in memory."""
        x = x.contiguous(memory_format=last(self.axes))
        geometry = (self.padding, self.stride, self.dilation, self.groups)
        features: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, self.packed, self.bias, *geometry, self.after, [], "none" if self.after == "gelu" else ""
        )
        return features


class PlainConv(nn.Module):
    """A convolution with stride 1 and without padding."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight, self.bias = weight.contiguous(), bias

    def forward(self, x: Tensor) -> Tensor:
        """Features ``(B, C, ...)`` to features."""
        return (F.conv2d if self.weight.ndim == 4 else F.conv3d)(x, self.weight, self.bias)


class PackedLinear(nn.Module):
    """A product with a matrix in the processor's own order, and the activation after it in the same pass."""

    def __init__(self, weight: Tensor, bias: Tensor | None, rows: int, after: str) -> None:
        super().__init__()
        self.bias, self.after = bias, after
        self.packed = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), rows)

    def forward(self, x: Tensor) -> Tensor:
        """Features ``(..., K)`` to ``(..., N)``."""
        algorithm = "none" if self.after == "gelu" else ""
        features: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, self.after, [], algorithm)
        return features


class SlicedPool(nn.Module):
    """A max pool, one axis after the other, as the largest of shifted slices: exact, and much faster on processors.

    ``pads``: padding before and after each axis; ignored, or zero with ``zero``. ``positive``: no number is below zero,
    so that those in bf16 are compared as whole numbers, whose order is the same.
    """

    def __init__(self, kernel: list[int], stride: list[int], pads: list[tuple[int, int]], out: list[int], zero: bool,
                 positive: bool = False) -> None:  # fmt: skip
        super().__init__()
        self.steps = list(zip(kernel, stride, pads, out, strict=True))
        self.zero, self.positive = zero or positive, positive

    def forward(self, x: Tensor) -> Tensor:
        """Features ``(B, C, ...)`` to features with fewer or as many places."""
        if self.positive and x.dtype == torch.bfloat16:
            whole = x.view(torch.int16) & 0x7FFF  # without a sign, also of what is no number
            return self._along_axes(whole).view(x.dtype)
        return self._along_axes(x)

    def _along_axes(self, x: Tensor) -> Tensor:
        first = x.ndim - len(self.steps)
        for number, (kernel, stride, (before, _), count) in enumerate(self.steps):
            if kernel > 1 or stride > 1 or before:
                x = self._pooled(x, first + number, kernel, stride, before, count)
        return x

    def _pooled(self, x: Tensor, axis: int, kernel: int, stride: int, before: int, count: int) -> Tensor:
        length, pooled = x.shape[axis], None
        ranges = []
        for offset in range(kernel):
            low = max(0, -(-(before - offset) // stride))
            high = min(count, (length - 1 + before - offset) // stride + 1)
            ranges.append((low, high, low * stride + offset - before))
        order = sorted(ranges, key=lambda r: r[0] - r[1])
        for low, high, start in order:
            if high <= low:
                continue
            part = x.narrow(axis, start, (high - low - 1) * stride + 1)
            if stride > 1:
                part = part[(slice(None),) * axis + (slice(None, None, stride),)]
            if pooled is None:
                pooled = self._begun(x, part, axis, low, high, count)
                continue
            place = pooled.narrow(axis, low, high - low)
            torch.maximum(place, part, out=place)
        assert pooled is not None
        return pooled

    def _begun(self, x: Tensor, part: Tensor, axis: int, low: int, high: int, count: int) -> Tensor:
        """The slice that covers most; the rest is filled with the lower bound."""
        size = [*x.shape[:axis], count, *x.shape[axis + 1 :]]
        pooled = torch.empty(size, dtype=x.dtype, device=x.device, memory_format=last(x.ndim - 2))
        if high - low < count:
            pooled.narrow(axis, 0, low).fill_(0 if self.zero else -torch.inf)
            pooled.narrow(axis, high, count - high).fill_(0 if self.zero else -torch.inf)
        pooled.narrow(axis, low, high - low).copy_(part)
        return pooled


class BlockConv(nn.Module):
    """A convolution of few channels with a stride, as one of many channels without: blocks of pixels become channels.

    Exact: a 7x7x7 kernel with stride 2 on 3 channels is a 4x4x4 kernel on 24. ``after``: its activation, in the same
    pass; None: a plain convolution, which other programs read.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, stride: list[int], pads: list[tuple[int, int]],
                 value: float, size: list[int], after: str | None) -> None:  # fmt: skip
        super().__init__()
        axes, kernel = weight.ndim - 2, list(weight.shape[2:])
        self.stride, self.value = stride, value
        taps = [-(-k // s) for k, s in zip(kernel, stride, strict=True)]
        out = [(n + a + b - k) // s + 1 for n, (a, b), k, s in zip(size[2:], pads, kernel, stride, strict=True)]
        self.pads = [(a, s * (o + t - 1) - n - a)
                     for n, (a, _), s, o, t in zip(size[2:], pads, stride, out, taps, strict=True)]  # fmt: skip
        grown = F.pad(weight, [n for k, s, t in reversed(list(zip(kernel, stride, taps, strict=True)))
                               for n in (0, s * t - k)])  # fmt: skip
        split = grown.reshape(*weight.shape[:2], *[n for t, s in zip(taps, stride, strict=True) for n in (t, s)])
        order = [0, *range(3, 3 + 2 * axes, 2), 1, *range(2, 2 + 2 * axes, 2)]
        blocks = split.permute(order).reshape(len(weight), -1, *taps)
        ones = [1] * axes
        self.inner = [o + t - 1 for o, t in zip(out, taps, strict=True)]
        geometry = ([0] * axes, ones, ones, 1)
        self.conv: nn.Module = (
            PlainConv(blocks, bias) if after is None
            else PackedConv(blocks, bias, geometry, [size[0], blocks.shape[1], *self.inner], after)
        )  # fmt: skip
        self.kind = weight.dtype

    def forward(self, x: Tensor) -> Tensor:
        """Features ``(B, C, ...)``, of whole numbers or not, to features, channels last in memory."""
        pads = self.pads
        if any(a % s or b % s for (a, b), s in zip(pads, self.stride, strict=True)):
            x = F.pad(x.to(self.kind), [n for pair in reversed(pads) for n in pair], value=self.value)
            pads = [(0, 0)] * len(pads)
        x = x.movedim(1, -1)
        lengths = [n // s for n, s in zip(x.shape[1:-1], self.stride, strict=True)]
        split = x.reshape(len(x), *[n for t, s in zip(lengths, self.stride, strict=True) for n in (t, s)], x.shape[-1])
        axes = len(lengths)
        order = [0, *range(1, 1 + 2 * axes, 2), *range(2, 2 + 2 * axes, 2), 1 + 2 * axes]
        x = split.permute(order).reshape(len(x), *lengths, -1).to(self.kind)
        if any(a or b for a, b in pads):
            around = [(a // s, b // s) for (a, b), s in zip(pads, self.stride, strict=True)]
            x = F.pad(x, [0, 0, *[n for pair in reversed(around) for n in pair]], value=self.value)
        features: Tensor = self.conv(x.movedim(-1, 1))
        return features


def quicken(module: GraphModule, precision: torch.dtype) -> GraphModule:
    """Put faster layers into a folded graph: pools in slices, packed convolutions, the first one on blocks."""
    pools = [node for node in module.graph.nodes if POOLS.get(node.target, 0) > 1]
    for node, positive in [(node, nonnegative(node.args[0])) for node in pools]:
        _slice(module, node, positive)
    if can_pack(precision):
        for node, weight, bias in convolutions(module):
            _pack(module, node, weight.to(precision), None if bias is None else bias.to(precision), precision)
        if precision == torch.bfloat16:  # in fp32 torch's own product is the faster one
            pack_products(module, precision)
    return done(module)


def blocked(module: GraphModule) -> GraphModule:
    """Put plain convolutions on blocks into a folded graph, where there are few channels and a stride."""
    for node, weight, bias in convolutions(module):
        axes = CONVOLUTIONS[node.target]
        padding, stride = argument(node, 4, 0), numbers(argument(node, 3, 1), axes)
        if not isinstance(padding, str) and _has_blocks(node, weight, stride):
            _blocks(module, node, weight, bias, stride, numbers(padding, axes), None)
    return done(module)


def _has_blocks(node: Node, weight: Tensor, stride: list[int]) -> bool:
    """Whether a convolution has so few channels and such a stride that blocks of pixels serve it better."""
    axes = weight.ndim - 2
    dilation, groups = numbers(argument(node, 5, 1), axes), argument(node, 6, 1)
    return axes > 1 and weight.shape[1] <= 4 and max(stride) > 1 and dilation == [1] * axes and groups == 1


def pack_products(module: GraphModule, precision: torch.dtype) -> None:
    """Packed layers in the place of products with constant matrices."""
    for node in list(module.graph.nodes):
        if node.target is not aten.linear.default:
            continue
        weight, bias = constant(module, node.args[1]), constant(module, argument(node, 2, None))
        if weight is None or (bias is None and argument(node, 2, None) is not None):
            continue
        after = _after(node)
        rows = math.prod(shape(node)[:-1])
        layer = PackedLinear(weight.to(precision), None if bias is None else bias.to(precision), rows, after)
        _place(module, node, node.args[0], layer)


def _after(node: Node) -> str:
    """The activation that is the only user of a node; the node replaces it. "none" where there is none."""
    users = list(node.users)
    if len(users) != 1 or users[0].target not in ACTIVATIONS or len(users[0].args) != 1 or users[0].kwargs:
        return "none"
    users[0].replace_all_uses_with(node)
    return ACTIVATIONS[users[0].target]


def _slice(module: GraphModule, node: Node, positive: bool) -> None:
    axes = POOLS[node.target]
    kernel = numbers(node.args[1], axes)
    stride = numbers(argument(node, 2, None) or kernel, axes)
    padding = numbers(argument(node, 3, 0), axes)
    if any(n != 1 for n in numbers(argument(node, 4, 1), axes)):
        return
    source: Any = node.args[0]
    pads, zero = [(n, n) for n in padding], False
    if source.target is aten.pad.default and not any(padding) and positive:
        padded = padded_by(source, axes)
        if padded and padded[1] == 0:
            pads, zero, source = padded[0], True, source.args[0]
    pool = SlicedPool(kernel, stride, pads, list(shape(node)[-axes:]), zero, positive)
    _place(module, node, source, pool)


def _pack(module: GraphModule, node: Node, weight: Tensor, bias: Tensor | None, precision: torch.dtype) -> None:
    axes = CONVOLUTIONS[node.target]
    padding = argument(node, 4, 0)
    if axes == 1 or isinstance(padding, str):
        return
    padding = numbers(padding, axes)
    stride, dilation = numbers(argument(node, 3, 1), axes), numbers(argument(node, 5, 1), axes)
    groups, source, size = argument(node, 6, 1), node.args[0], list(shape(node.args[0]))  # type: ignore[arg-type]
    after = _after(node)
    # in fp32 the blocks' zeros cost more than they gain
    if precision == torch.bfloat16 and _has_blocks(node, weight, stride):
        _blocks(module, node, weight, bias, stride, padding, after)
        return
    layer = PackedConv(weight, bias, (padding, stride, dilation, groups), size, after)
    _place(module, node, source, layer)


def _blocks(module: GraphModule, node: Node, weight: Tensor, bias: Tensor | None, stride: list[int],
            padding: list[int], after: str | None) -> None:  # fmt: skip
    source: Any = node.args[0]
    pads, value = [(n, n) for n in padding], 0.0
    if source.target is aten.pad.default and not any(padding):
        padded = padded_by(source, len(stride))
        if padded:
            (pads, value), source = padded, source.args[0]
    _place(module, node, source, BlockConv(weight, bias, stride, pads, value, list(shape(source)), after))


def _place(module: GraphModule, node: Node, source: Any, layer: nn.Module) -> None:
    """Replace a node by a layer."""
    name = f"_layer_{sum(1 for _ in module.children())}"
    module.add_module(name, layer)
    with module.graph.inserting_before(node):
        call = module.graph.call_module(name, (source,))
    call.meta = dict(node.meta)
    node.replace_all_uses_with(call)


def lowered(module: GraphModule) -> GraphModule:
    """The graph with bf16 in the place of fp32, constants as well."""
    for node in module.graph.nodes:
        node.args = torch.fx.node.map_aggregate(node.args, _lower)
        node.kwargs = torch.fx.node.map_aggregate(node.kwargs, _lower)
    for owner in module.modules():
        for name, value in list(owner.named_buffers(recurse=False)):
            if value.dtype == torch.float32:
                setattr(owner, name, value.bfloat16())
        for name, weight in list(owner.named_parameters(recurse=False)):
            if weight.dtype == torch.float32:
                setattr(owner, name, nn.Parameter(weight.bfloat16(), requires_grad=False))
    module.recompile()
    return module


def _lower(value: Any) -> Any:
    return torch.bfloat16 if value is torch.float32 else value

"""A network as a graph of fixed shapes, and exact simplifications: the same numbers in fewer steps."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from wherewhen.core.values import Pixels

aten = torch.ops.aten
CONVOLUTIONS: dict[Any, int] = {aten.conv1d.default: 1, aten.conv2d.default: 2, aten.conv3d.default: 3}
POOLS: dict[Any, int] = {aten.max_pool1d.default: 1, aten.max_pool2d.default: 2, aten.max_pool3d.default: 3}
RELUS = (aten.relu.default, aten.relu_.default)
ARITHMETIC = (
    aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor,
    aten.add_.Tensor, aten.sub_.Tensor, aten.mul_.Tensor, aten.div_.Tensor,
)  # fmt: skip
MIDDLE = 128.0  # of pixels
LEAST_FACTOR = 1e-3  # of a gate that weights can take
CASTS = (aten.to.dtype, aten._to_copy.default)
MOVES = (
    aten.permute.default, aten.transpose.int, aten.view.default, aten.reshape.default, aten.flatten.using_ints,
    aten.unsqueeze.default, aten.squeeze.dim, aten.flip.default, aten.slice.Tensor, aten.select.int,
    aten.contiguous.default, aten.clone.default, aten.movedim.int, aten.movedim.intlist, aten.index.Tensor,
    aten.index_select.default, *CASTS,
)  # fmt: skip
"""Operations that reorder pixels or change their type, without arithmetic."""


def exported(network: torch.nn.Module, clips: Pixels) -> GraphModule:
    """The network as a graph of plain tensor operations for batches shaped as ``clips``."""
    example = torch.from_numpy(clips.copy())
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(network, (example,), strict=False)
        module = program.module()
    assert isinstance(module, GraphModule)
    for node in list(module.graph.nodes):
        checks = node.op == "call_module" and "guards" in str(node.target)
        if checks or node.target is aten._assert_tensor_metadata.default:
            module.graph.erase_node(node)
    return done(module)


def done(module: GraphModule) -> GraphModule:
    """The graph after changes, without unused parts."""
    module.graph.eliminate_dead_code()
    module.delete_all_unused_submodules()
    module.recompile()
    used = {str(node.target) for node in module.graph.nodes if node.op == "get_attr"}
    for name in [*dict(module.named_parameters()), *dict(module.named_buffers())]:
        owner, _, leaf = name.rpartition(".")
        if name not in used:
            delattr(module.get_submodule(owner), leaf)
    return module


def constant(module: GraphModule, node: Any) -> Tensor | None:
    """The tensor of a node that is a weight or another constant; None for other nodes."""
    if not isinstance(node, Node) or node.op != "get_attr":
        return None
    value: Any = module
    for part in str(node.target).split("."):
        value = getattr(value, part)
    return value.detach() if isinstance(value, Tensor) else None


def put(module: GraphModule, before: Node, name: str, value: Tensor) -> Node:
    """A new constant of the graph, made before a node."""
    name_of_buffer = f"_{name}_{sum(1 for _ in module.buffers())}"
    module.register_buffer(name_of_buffer, value)
    with module.graph.inserting_before(before):
        return module.graph.get_attr(name_of_buffer)


def shape(node: Node) -> tuple[int, ...]:
    """The shape of a node's output."""
    return tuple(int(n) for n in node.meta["val"].shape)


def argument(node: Node, place: int, default: Any) -> Any:
    """An argument of a node by its position, or its default."""
    return node.args[place] if len(node.args) > place else default


def numbers(value: Any, count: int) -> list[int]:
    """One number per axis."""
    values = [value] if isinstance(value, int) else list(value)
    return values * count if len(values) == 1 else values


def convolutions(module: GraphModule) -> Iterator[tuple[Node, Tensor, Tensor | None]]:
    """Every convolution with constant weights: node, weight, bias."""
    for node in list(module.graph.nodes):
        if node.op == "call_function" and node.target in CONVOLUTIONS and not node.kwargs:
            weight = constant(module, node.args[1])
            if weight is not None:
                yield node, weight, constant(module, argument(node, 2, None))


def reweigh(module: GraphModule, node: Node, weight: Tensor, bias: Tensor) -> None:
    """Replace the weights of a convolution or product."""
    rest = node.args[3:]
    node.args = (node.args[0], put(module, node, "weight", weight), put(module, node, "bias", bias), *rest)


def fold_norms(module: GraphModule) -> None:
    """Batch normalization right after a convolution becomes part of its weights."""
    for node, weight, bias in convolutions(module):
        users = list(node.users)
        if len(users) != 1 or users[0].target is not aten.batch_norm.default or users[0].args[5]:
            continue
        norm = users[0]
        scale, shift, mean, variance = (constant(module, norm.args[k]) for k in range(1, 5))
        if mean is None or variance is None:
            continue
        factor = torch.rsqrt(variance.double() + float(norm.args[7]))  # type: ignore[arg-type]
        factor = factor if scale is None else factor * scale
        offset = (0 if bias is None else bias) - mean.double()
        folded = offset * factor + (0 if shift is None else shift)
        wider = weight.double() * factor.view(-1, *[1] * (weight.ndim - 1))
        reweigh(module, node, wider.float(), folded.float())
        norm.replace_all_uses_with(node)


def fold_pads(module: GraphModule) -> None:
    """Explicit zero padding, equal on both sides, becomes padding of the convolution; empty padding is removed."""
    for node in list(module.graph.nodes):
        if node.target is aten.pad.default and not any(node.args[1]):
            node.replace_all_uses_with(node.args[0])
    for node, _, _ in convolutions(module):
        axes = CONVOLUTIONS[node.target]
        before = node.args[0]
        if not isinstance(before, Node) or before.target is not aten.pad.default or padded_by(before, axes) is None:
            continue
        pads, value = padded_by(before, axes) or ([], 0.0)
        padding_of_node = argument(node, 4, 0)
        if value or isinstance(padding_of_node, str) or any(a != b for a, b in pads):
            continue
        stride = argument(node, 3, [1] * axes)
        padding = [a + b for (a, _), b in zip(pads, numbers(padding_of_node, axes), strict=True)]
        node.args = (before.args[0], node.args[1], argument(node, 2, None), stride, padding, *node.args[5:])


def fold_gates(module: GraphModule) -> None:
    """``x * sigmoid(c x)`` between two products becomes ``silu``: their weights take ``c`` and ``1 / c``."""
    for sigmoid in [node for node in module.graph.nodes if node.target is aten.sigmoid.default]:
        scaled, [gate, *others] = sigmoid.args[0], sigmoid.users
        if others or (scaled.target, gate.target) != (aten.mul.Tensor, aten.mul.Tensor):
            continue
        (x, factor), after = scaled.args, next(iter(gate.users))
        first, second = _product(module, x), _product(module, after)
        is_gate = (
            gate.args == (x, sigmoid)
            and isinstance(factor, float)
            and abs(factor) > LEAST_FACTOR
            and after.args[0] is gate
        )
        if not is_gate or first is None or second is None or len(gate.users) > 1 or set(x.users) != {scaled, gate}:
            continue
        reweigh(module, x, factor * first[0], factor * first[1])
        reweigh(module, after, second[0] / factor, second[1])
        with module.graph.inserting_before(gate):
            silu = module.graph.call_function(aten.silu.default, (x,))
        silu.meta = dict(gate.meta)
        gate.replace_all_uses_with(silu)


def _product(module: GraphModule, node: Any) -> tuple[Tensor, Tensor] | None:
    """The constant weight and bias of a product; None for another node."""
    if not isinstance(node, Node) or node.target is not aten.linear.default or node.kwargs:
        return None
    weight, bias = constant(module, node.args[1]), constant(module, argument(node, 2, None))
    return None if weight is None or bias is None else (weight, bias)


def padded_by(node: Node, axes: int) -> tuple[list[tuple[int, int]], float] | None:
    """The padding of a node before and after each of the last ``axes`` axes, and its value."""
    flat: Any = list(node.args[1])  # type: ignore[arg-type]
    mode, value = argument(node, 2, "constant"), argument(node, 3, None)
    if mode != "constant" or any(flat[2 * axes :]):
        return None
    flat = (flat + [0] * 2 * axes)[: 2 * axes]
    return list(zip(flat[-2::-2], flat[-1::-2], strict=True)), float(value or 0)


def chain(node: Node) -> list[Node] | None:
    """The nodes from the pixels to a node, where each only moves or scales the output of the one before; else None."""
    steps = [node]
    while steps[0].op != "placeholder":
        first = steps[0]
        inputs = [a for a in first.all_input_nodes if a.op != "get_attr"]
        is_simple = first.target in MOVES or first.target in ARITHMETIC or first.target is aten.pad.default
        if len(inputs) != 1 or not is_simple or (first.target in ARITHMETIC and first.args[0] is not inputs[0]):
            return None
        steps.insert(0, inputs[0])
    return steps


def fold_scaling(module: GraphModule, rounded: torch.dtype = torch.float32) -> None:
    """Mean and spread of the pixels become part of the first convolution, which then takes pixels less `MIDDLE`.

    These are whole numbers, which bf16 represents exactly, and its bias stays small, so that rounding it costs little.
    Padding becomes the value that scales to zero; it must be the same for all channels. ``rounded``: the type
    that weights will have, so that their rounding doesn't shift the mean.
    """
    for node, weight, bias in convolutions(module):
        steps = chain(node.args[0])  # type: ignore[arg-type]
        axes, groups = CONVOLUTIONS[node.target], argument(node, 6, 1)
        padding = argument(node, 4, 0)
        if not steps or groups != 1 or isinstance(padding, str) or not any(s.target in ARITHMETIC for s in steps):
            continue
        affine = _affine(module, steps)
        if affine is None:
            continue
        scale, shift = affine[0], affine[1] + MIDDLE * affine[0]
        blank = -shift / scale
        by_hand = [s for s in steps if s.target is aten.pad.default]
        padded = bool(by_hand) or any(numbers(padding, axes))
        if padded and (len(by_hand) > 1 or (by_hand and _not_last(by_hand[0], steps, axes))):
            continue
        if padded and float((blank - blank[0]).abs().max()) > 1e-4:
            continue
        spread = [1, -1, *[1] * axes]
        folded = (weight.double() * scale.view(spread)).to(rounded).double()
        offset = (folded * (shift / scale).view(spread)).flatten(1).sum(1)
        _take_raw(module, node, steps, float(blank[0]))
        reweigh(module, node, folded.float(), (offset + (0 if bias is None else bias)).float())


def _not_last(pad: Node, steps: list[Node], axes: int) -> bool:
    """Whether something other than zeros is padded, or it is scaled or moved afterwards."""
    padded = padded_by(pad, axes)
    return padded is None or padded[1] != 0 or steps[-1] is not pad


def _take_raw(module: GraphModule, node: Node, steps: list[Node], blank: float) -> None:
    """Leave out the scaling before a convolution, and pad with the value that it scales to zero."""
    axes = CONVOLUTIONS[node.target]
    pads = [0] * 2 * axes
    padding = numbers(argument(node, 4, 0), axes)
    for k in range(axes):
        pads[2 * (axes - 1 - k)] = pads[2 * (axes - 1 - k) + 1] = padding[k]
    source = steps[0]
    with module.graph.inserting_before(node):
        for step in steps[1:]:
            if step.target is aten.pad.default:
                pads = [a + b for a, b in zip(pads, [*step.args[1], *[0] * len(pads)], strict=False)]  # type: ignore[misc]
            elif step.target not in ARITHMETIC:
                copied = module.graph.node_copy(step, lambda n, s=source: s if n.op != "get_attr" else n)  # type: ignore[misc]
                copied.meta = {"val": step.meta["val"]}
                source = copied
        kind = torch.empty(shape(source), device="meta")
        if source.meta["val"].dtype == torch.uint8:
            source = module.graph.call_function(aten.to.dtype, (source, torch.float32))
            source.meta = {"val": kind}
        source = module.graph.call_function(aten.sub.Tensor, (source, MIDDLE))
        source.meta = {"val": kind}
        if any(pads):
            before = source
            source = module.graph.call_function(aten.pad.default, (source, pads, "constant", blank))
            grown = list(shape(before))
            for k in range(axes):
                grown[-1 - k] += pads[2 * k] + pads[2 * k + 1]
            source.meta = {"val": torch.empty(grown, device="meta")}
    node.args = (source, *node.args[1:3], argument(node, 3, [1] * axes), [0] * axes, *node.args[5:])


def _affine(module: GraphModule, steps: list[Node]) -> tuple[Tensor, Tensor] | None:
    """Scale and shift of each channel from pixels to a convolution, measured on constant pictures."""
    size = shape(steps[0])

    def response(value: int) -> Tensor | None:
        values: Tensor = torch.full(size, value, dtype=torch.uint8)
        for step in steps[1:]:
            if step.target is aten.pad.default:
                continue
            arguments = [values if a is step.args[0] else _value(module, a) for a in step.args]
            values = step.target(*arguments, **step.kwargs).clone()  # type: ignore[operator]
        flat = values.double().transpose(0, 1).flatten(1)
        return flat[:, 0] if bool((flat == flat[:, :1]).all()) else None

    shift, full = response(0), response(255)
    if shift is None or full is None or bool((full == shift).any()):
        return None
    return (full - shift) / 255, shift


def _value(module: GraphModule, argument: Any) -> Any:
    if isinstance(argument, Node):
        return constant(module, argument)
    if isinstance(argument, (list, tuple)):
        return [_value(module, item) for item in argument]
    return argument


def nonnegative(node: Node) -> bool:
    """Whether a node's numbers are surely not below zero."""
    if node.target in RELUS:
        return True
    if node.target in POOLS or node.target is aten.pad.default:
        return nonnegative(node.args[0])  # type: ignore[arg-type]
    if node.target is aten.cat.default:
        return all(nonnegative(n) for n in node.args[0])  # type: ignore[union-attr, arg-type]
    return False


def folded(network: torch.nn.Module, clips: Pixels, precision: torch.dtype = torch.float32) -> GraphModule:
    """The network with all that is constant multiplied out; exact but for rounding.

    The scaling of pixels goes into the weights for bf16 only, which represents pixels exactly; in fp32 it would save
    a hundredth of the time and cost a digit.
    """
    module = exported(network, clips)
    fold_norms(module)
    fold_pads(module)
    fold_gates(module)
    if precision == torch.bfloat16:
        fold_scaling(module, precision)
    return done(module)

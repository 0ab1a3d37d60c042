"""Bags of grid cells as dense tensors: one lane per cell, along time; and back."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from wherewhen.core.contracts import View
from wherewhen.methods._recorded import recorded

FEW = 8  # up to this share of cells, 1 / FEW, is copied to be looked at again
LONG = 64  # numbers in a feature from which on the highest and the lowest are found faster than those that are not 0


@dataclass(slots=True)
class Lanes:
    """A batch of bags as ``features`` ``(B, T, P, D)`` with T time steps of P cells each, and ``held`` ``(B, T, P)``.

    ``held``: the cell is present and not all zeros; other cells hold zeros. ``steps`` ``(B, T)``: the step is present.
    ``size``: height and width of the grid in cells, P = height * width.
    """

    features: Tensor
    held: Tensor
    steps: Tensor
    size: tuple[int, int]


def lanes(view: View) -> Lanes:
    """The cells of a view, lane by lane; instances without a grid are one step, smaller grids are padded.

    >>> view = View(torch.ones(1, 6, 2), torch.zeros(1, 6, 6), torch.zeros(1, 6), torch.ones(1, 6).bool(), ((3, 1, 2),))
    >>> lanes(view).features.shape
    torch.Size([1, 3, 2, 2])
    """
    if recorded():
        t, height, wide = view.shapes[0] or (1, 1, view.features.shape[1])
        features = view.features.reshape(1, t, height * wide, view.features.shape[2])
        steps = torch.ones(1, t, dtype=torch.bool, device=features.device)
        return Lanes(features, nonzero(features), steps, (height, wide))
    batch, _, dims = view.features.shape
    if (shape := _one_shape(view)) is not None:
        features = view.features.reshape(batch, shape[0], shape[1] * shape[2], dims)
        return Lanes(features, nonzero(features), view.mask.new_ones(batch, shape[0]), shape[1:])
    where, t, size = _places(view)
    cells = size[0] * size[1]
    features = view.features.new_zeros(batch, t * cells + 1, dims)  # the last row takes the padding
    features.scatter_(1, where[..., None].expand_as(view.features), view.features * view.mask[..., None])
    features = features[:, :-1].reshape(batch, t, cells, dims)
    present = torch.zeros(batch, t * cells + 1, dtype=torch.bool, device=where.device).scatter_(1, where, view.mask)
    steps = present[:, :-1].reshape(batch, t, cells).any(-1)
    return Lanes(features, nonzero(features), steps, size)


def flat(scores: Tensor, view: View) -> Tensor:
    """Scores ``(B, T, P)`` of lanes as scores ``(B, N)`` of the view, 0 where masked or where a cell is all zeros."""
    held = view.mask & nonzero(view.features)
    if recorded() or _one_shape(view) is not None:
        return torch.where(held, scores.reshape(held.shape), 0.0)
    where, t, size = _places(view)
    values = scores.reshape(len(scores), -1).gather(1, where.clamp(max=t * size[0] * size[1] - 1))
    return torch.where(held, values, torch.zeros_like(values))


def nonzero(features: Tensor) -> Tensor:
    """Whether any number of features ``(..., D)`` is not 0: ``(...)``.

    >>> nonzero(torch.tensor([[0.0, -1.0], [0.0, 0.0]])).tolist()
    [True, False]
    """
    if recorded() or features.shape[-1] < LONG:
        return (features != 0).any(-1)
    held = features[..., 0] != 0  # the first number alone often tells it for most
    unsure = ~held
    if int(unsure.sum()) > held.numel() / FEW:
        return _nonzero(features)
    held[unsure] = _nonzero(features[unsure])
    return held


def _nonzero(features: Tensor) -> Tensor:
    return (features.amax(-1) != 0) | (features.amin(-1) != 0)


def _one_shape(view: View) -> tuple[int, int, int] | None:
    """The grid that all bags of a view are, without padding; None where they differ."""
    shape = view.shapes[0]
    if shape is None or any(other != shape for other in view.shapes) or not bool(view.mask.all()):
        return None
    return shape if math.prod(shape) == view.mask.shape[1] else None


def segments(whole: Lanes, count: int | None) -> tuple[Lanes, Tensor]:
    """Averages of held cells over ``count`` equal spans of each bag's time, and the span of each step ``(B, T)``.

    Bags that are not longer stay as they are; None keeps all. (Sultani et al., CVPR 2018: 32 segments.)
    """
    batch, t, cells, dims = whole.features.shape
    length = whole.steps.sum(1, keepdim=True).clamp(min=1)
    spans = length.clamp(max=count or t)
    step = torch.arange(t, device=length.device).expand(batch, t)
    where = torch.minimum(step * spans // length, spans - 1)
    if not count or t <= count:
        return whole, step
    weights = whole.held.to(whole.features.dtype)
    zeros = whole.features.new_zeros
    members = zeros(batch, count, cells).scatter_add_(1, where[..., None].expand_as(weights), weights)
    index = where[..., None, None].expand_as(whole.features)
    sums = zeros(batch, count, cells, dims).scatter_add_(1, index, whole.features * weights[..., None])
    present = torch.arange(count, device=length.device) < spans
    return Lanes(sums / members.clamp(min=1)[..., None], members > 0, present, whole.size), where


def spread(scores: Tensor, where: Tensor) -> Tensor:
    """Scores ``(B, S, P)`` of segments for each of their steps ``(B, T, P)``; undoes `segments`."""
    return scores.gather(1, where[..., None].expand(*where.shape, scores.shape[-1]))


def width(published: int, dims: int) -> int:
    """Width of a layer: the published one, less where features are far shorter than the published ones.

    >>> width(512, 2048), width(512, 21)
    (512, 96)
    """
    return min(published, -(-4 * dims // 32) * 32)


def _places(view: View) -> tuple[Tensor, int, tuple[int, int]]:
    """Row of each instance among the T * P of its bag (T * P where masked), T and the grid's size."""
    counts = view.mask.sum(1).tolist()
    shapes = [shape or (1, 1, max(1, int(n))) for shape, n in zip(view.shapes, counts, strict=True)]
    t = max(shape[0] for shape in shapes)
    height, wide = (max(shape[axis] for shape in shapes) for axis in (1, 2))
    device = view.mask.device
    _, own_height, own_wide = torch.tensor(shapes, device=device).T[..., None]
    row = torch.arange(view.mask.shape[1], device=device)
    step, cell = row // (own_height * own_wide), row % (own_height * own_wide)
    place = (step * height + cell // own_wide) * wide + cell % own_wide
    return torch.where(view.mask, place, t * height * wide), t, (height, wide)

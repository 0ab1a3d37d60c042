"""A branch of a network over bags: relations between instances, then a small head that scores each."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wherewhen.core.contracts import View
from wherewhen.methods._dropout import LockedDropout
from wherewhen.methods._graphs import GraphConvolution, balanced, both, proximity, similarity
from wherewhen.methods._recorded import unrecordable
from wherewhen.methods._sequences import queries

STEEP = 4.0  # the prior's logit at twice its length, where training starts
NOTHING = -20.0  # logit of absent instances


class Attention(nn.Module):
    """Several heads of scaled dot products and the values themselves: equations 1 to 3 of Wu et al., IJCAI 2021.

    There is no output layer, no norm and no position: the paper mentions none.
    """

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(size, size, bias=False) for _ in range(3))

    def forward(self, rows: Tensor, held: Tensor, guests: Tensor | None = None) -> Tensor:
        """Related features ``(B, N, C)`` of a bag's held instances ``(B, N)``, or of ``guests`` ``(B, G, C)``.

        A guest attends to the bag's own instances and to itself, never to other guests.
        """
        attending = rows if guests is None else guests
        query, key, value = (
            self._by_head(layer(x)) for layer, x in zip(self._layers, (attending, rows, rows), strict=True)
        )
        if guests is not None:
            guest_key, guest_value = self._by_head(self.key(guests)), self._by_head(self.value(guests))
        parts = []
        for part in queries(attending.shape[1], attending.shape[0] * self.heads):
            scaled = query[:, :, part] / query.shape[-1] ** 0.5
            logits = (scaled @ key.transpose(2, 3)).masked_fill(~held[:, None, None], -torch.inf)
            if guests is None:
                parts.append(torch.softmax(logits, -1).nan_to_num(0.0) @ value)
                continue
            itself = (scaled * guest_key[:, :, part]).sum(-1, keepdim=True)
            weights = torch.softmax(torch.cat([logits, itself], -1), -1)
            parts.append(weights[..., :-1] @ value + weights[..., -1:] * guest_value[:, :, part])
        return torch.cat(parts, 2).transpose(1, 2).flatten(2) + attending

    @property
    def _layers(self) -> tuple[nn.Module, nn.Module, nn.Module]:
        return self.query, self.key, self.value

    def _by_head(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)


class Graph(nn.Module):
    """Graph convolutions in place of attention: by proximity in time and by similarity (Zhong et al., CVPR 2019)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.near, self.alike = GraphConvolution(size, size), GraphConvolution(size, size)

    def forward(self, rows: Tensor, held: Tensor, times: Tensor) -> Tensor:
        """Related features ``(B, N, C)``; ``times`` ``(B, N)``: 1 apart is the usual length of an instance."""
        close = balanced(proximity(times[..., None]).to(rows.dtype) * both(held))
        similar = balanced(similarity(rows, held))
        return rows + (F.relu(self.near(rows, close)) + F.relu(self.alike(rows, similar))) / 2


class Branch(nn.Module):
    """Instances ``(B, N, D)`` to logits ``(B, N)``: a first layer where sizes differ, a relation, a head.

    ``relation``: attention, graph or none. Head: ``hidden`` (ReLU), ``middle`` (linear), 1 (Sultani et al., CVPR 2018).
    ``prior``: length of features, in roots of their mean square, where the score starts at 0.5; longer ones above.
    ``locked``: dropout has one mask for each bag, not one for each instance.
    """

    def __init__(
        self,
        dims: int,
        size: int,
        relation: str,
        heads: int,
        hidden: int,
        middle: int,
        drop: float,
        prior: float | None = None,
        locked: bool = True,
    ) -> None:
        super().__init__()
        self.prior = prior
        self.enter = nn.Identity() if dims == size else nn.Linear(dims, size)
        self.relation: nn.Module | None = None
        if relation != "none":
            self.relation = Attention(size, heads) if relation == "attention" else Graph(size)
        self.layers = nn.ModuleList([nn.Linear(size, hidden), nn.Linear(hidden, middle), nn.Linear(middle, 1)])
        for layer in self.layers:
            nn.init.xavier_normal_(layer.weight)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        self.drop = LockedDropout(drop, locked=locked)
        if prior is not None:  # the learned part starts small compared with the prior
            self.steep = nn.Parameter(torch.tensor(STEEP))
            self.layers[-1].weight.data.mul_(0.1)  # type: ignore[operator]

    def forward(self, view: View) -> Tensor:
        """Logits of a bag's own instances, `NOTHING` where none is held."""
        held, rows = holds(view), self.enter(view.features)
        if isinstance(self.relation, Attention):
            rows = self.relation(rows, held)
        elif self.relation is not None:
            rows = self.relation(rows, held, middles(view, held))
        return self._head(rows, view.features).masked_fill(~held, NOTHING)

    def guests(self, guests: View, view: View) -> Tensor:
        """Logits ``(B, G)`` of other instances, each alone related to the bag's own ones."""
        held, present = holds(view), holds(guests)
        rows, guest_rows = self.enter(view.features), self.enter(guests.features)
        if isinstance(self.relation, Attention):
            guest_rows = self.relation(rows, held, guest_rows)
        elif self.relation is not None:
            guest_rows = self._one_by_one(rows, held, guest_rows, view, guests)
        return self._head(guest_rows, guests.features).masked_fill(~present, NOTHING)

    def _one_by_one(self, rows: Tensor, held: Tensor, guest_rows: Tensor, view: View, guests: View) -> Tensor:
        """A graph has no queries: each guest becomes the last node of the bag's graph in turn."""
        unrecordable("mgpr", "relation: graph", "it makes a graph for each instance of a video in turn")
        assert self.relation is not None
        times, parts = middles(view, held), []
        late = _in_lengths(guests, view, held)
        nodes_held = torch.cat([held, torch.ones_like(held[:, :1])], 1)
        for k in range(guest_rows.shape[1]):
            nodes = torch.cat([rows, guest_rows[:, k : k + 1]], 1)
            parts.append(self.relation(nodes, nodes_held, torch.cat([times, late[:, k : k + 1]], 1))[:, -1])
        return torch.stack(parts, 1)

    def _head(self, rows: Tensor, features: Tensor) -> Tensor:
        first, second, last = self.layers
        rows = self.drop(torch.relu(first(rows)))
        logits: Tensor = last(self.drop(second(rows))).squeeze(-1).float()
        if self.prior is None:
            return logits
        lengths = torch.linalg.vector_norm(features.float(), dim=-1) / features.shape[-1] ** 0.5
        with_prior: Tensor = logits + self.steep * (lengths / self.prior - 1)
        return with_prior


def holds(view: View) -> Tensor:
    """Whether instances ``(B, N)`` are present and not all zeros."""
    return view.mask & (view.features != 0).any(-1)


def middles(view: View, held: Tensor) -> Tensor:
    """Middle times of instances ``(B, N)``, in mean lengths of the bag's instances."""
    return _in_lengths(view, view, held)


def _in_lengths(rows: View, view: View, held: Tensor) -> Tensor:
    lengths = (view.extents[..., 1] - view.extents[..., 0]) * held
    usual = lengths.sum(1) / held.sum(1).clamp(min=1)
    return rows.extents[..., :2].mean(-1) / usual.clamp(min=1e-6)[:, None]


def subset(view: View, chosen: Tensor) -> View:
    """The chosen rows ``(B, K)`` of a view; they have no grid."""

    def gathered(values: Tensor) -> Tensor:
        index = chosen if values.ndim == 2 else chosen[..., None].expand(*chosen.shape, values.shape[-1])
        return values.gather(1, index)

    features, extents, track, mask = (gathered(part) for part in (view.features, view.extents, view.track, view.mask))
    return View(features, extents, track, mask, (None,) * len(view.shapes))


def random_rows(view: View, count: int | None) -> Tensor | None:
    """Rows ``(B, count)`` of a random subset of each bag's instances; None where all are few enough."""
    if not count or view.mask.shape[1] <= count:
        return None
    drawn = torch.rand(view.mask.shape, device=view.mask.device).masked_fill(~view.mask, -1.0)
    return drawn.topk(count, 1).indices.sort(1).values

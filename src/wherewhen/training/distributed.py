"""Distributed training under torchrun: each process has a share of a step's bags, the loss is that of all."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from wherewhen.core.contracts import Output, View
from wherewhen.core.errors import ConfigError

if TYPE_CHECKING:
    import torch

DAYS = 30  # that the other processes wait while the first one reads videos


@dataclass(frozen=True)
class Team:
    """The processes that train together; ``rank`` 0 leads and is the only one that writes."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes."""
        return self.rank == 0

    def share(self, views: Mapping[str, View], count: int) -> tuple[dict[str, View], int]:
        """The bags of a batch that this process answers for, and how many: the same number in every process.

        The last ones may be the first one of all again. Behind them come bags that only keep the batch's size: where
        the largest grid is in the share of another process, so that all outputs have the same size.
        """
        each = -(-count // self.size)
        indices = [k if k < count else 0 for k in range(self.rank * each, (self.rank + 1) * each)]
        more: list[int] = []
        for view in views.values():
            sizes = [shape or (1, 1, int(rows)) for shape, rows in zip(view.shapes, view.mask.sum(1), strict=True)]
            for axis in range(3):
                largest = max(range(count), key=lambda k, axis=axis, sizes=sizes: sizes[k][axis])  # type: ignore[misc]
                if all(sizes[k][axis] < sizes[largest][axis] for k in indices + more):
                    more.append(largest)
        return rows(views, indices + more), each

    def whole(self, output: Output, each: int, count: int) -> Output:
        """What the methods of all processes answer for ``each`` bags, one after another, the first ``count`` of it.

        Gradients flow through this process's own part alone, ``size`` times as strong: after `average` they are those
        of one process with the whole batch, also of parameters that the loss reads directly. ConfigError where an
        answer is not one of bags.
        """
        bags = len(output.scores)
        for name, value in output.extra.items():
            if not value.ndim or len(value) != bags:
                raise ConfigError(f"this method trains in one process only: {name!r} of its answer has no axis of bags")

        def joined(local: torch.Tensor) -> torch.Tensor:
            return self._joined(local[:each])[:count]

        return Output(joined(output.scores), {name: joined(output.extra[name]) for name in sorted(output.extra)})

    def _joined(self, local: torch.Tensor) -> torch.Tensor:
        import torch

        plain = local.detach().to(torch.uint8 if local.dtype == torch.bool else local.dtype).contiguous()
        parts = [torch.empty_like(plain) for _ in range(self.size)]
        torch.distributed.all_gather(parts, plain)
        parts = [part.to(local.dtype) for part in parts]
        parts[self.rank] = _stronger(local, self.size)
        return torch.cat(parts)

    def average(self, method: Any) -> None:
        """The mean of every parameter's gradient over all processes; None where no process has one."""
        import torch

        learns = [p for p in method.parameters() if p.requires_grad]
        if not learns:
            return
        has = torch.tensor([float(p.grad is not None) for p in learns], device=learns[0].device)
        grads = [(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in learns]
        flat = torch.cat([has, *grads])
        torch.distributed.all_reduce(flat)
        parts = torch.split(flat[len(learns) :] / self.size, [p.numel() for p in learns])
        for parameter, someone, mean in zip(learns, flat[: len(learns)].tolist(), parts, strict=True):
            parameter.grad = mean.view_as(parameter) if someone else None


ALONE = Team()


def _stronger(tensor: torch.Tensor, times: int) -> torch.Tensor:
    """The same tensor, through which gradients come out ``times`` as strong."""
    alias = tensor.view_as(tensor)
    if alias.requires_grad:
        alias.register_hook(lambda gradient: gradient * times)  # type: ignore[no-untyped-call]
    return alias


def team() -> Team:
    """The processes that train together: those of `started`, or this one alone."""
    import torch

    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return ALONE
    return Team(torch.distributed.get_rank(), torch.distributed.get_world_size())


def rows(views: Mapping[str, View], indices: list[int]) -> dict[str, View]:
    """Some bags of a batch; nothing is copied where they are consecutive."""

    def select(tensor: torch.Tensor) -> torch.Tensor:
        straight = indices == list(range(indices[0], indices[0] + len(indices)))
        return tensor[indices[0] : indices[0] + len(indices)] if straight else tensor[indices]

    return {
        name: View(
            select(view.features),
            select(view.extents),
            select(view.track),
            select(view.mask),
            tuple(view.shapes[k] for k in indices),
        )
        for name, view in views.items()
    }


@contextmanager
def started(device: str = "auto") -> Iterator[tuple[Team, str]]:
    """The process group of a process under torchrun, and its device; a group of one for any other process.

    gloo on processors, nccl on GPUs, one GPU per process. ConfigError where accelerate is missing.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield ALONE, device
        return
    try:
        from accelerate import PartialState  # type: ignore[import-untyped]
    except ImportError:
        raise ConfigError('training in several processes needs: pip install "wherewhen[distributed]"') from None
    state = PartialState(cpu=device == "cpu", timeout=timedelta(days=DAYS))
    try:
        yield team(), str(state.device)
    finally:
        state.destroy_process_group()


def tell(value: Any) -> Any:
    """The value of the first process, in every process."""
    import torch

    if team().size == 1:
        return value
    objects = [value]
    torch.distributed.broadcast_object_list(objects, src=0)
    return objects[0]

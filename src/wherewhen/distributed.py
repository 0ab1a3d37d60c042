"""Training in several processes that torchrun started: each takes its share of a step's bags, the loss is of all."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from wherewhen.contracts import Output, View
from wherewhen.errors import ConfigError

if TYPE_CHECKING:
    import torch

DAYS = 30  # that the others wait while the first one looks at videos


@dataclass(frozen=True)
class Team:
    """The processes that train together; ``rank`` 0 leads and is the only one that writes."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes."""
        return self.rank == 0

    def share(self, count: int) -> tuple[int, int, int]:
        """This process's part of ``count`` bags as ``(first, last, padded)``: all parts of ``padded`` are equal.

        >>> Team(1, 2).share(5)
        (3, 6, 6)
        """
        each = -(-count // self.size)
        return self.rank * each, (self.rank + 1) * each, self.size * each

    def whole(self, output: Output, count: int) -> Output:
        """What the methods of all processes answer, one after another, the first ``count`` bags of it.

        Gradients flow through this process's own part alone, ``size`` times as strong: after `average` they are those
        of one process with the whole batch, also of parameters that the loss reads directly.
        """
        bags = len(output.scores)
        names = {k: v for k, v in output.extra.items() if v.ndim and len(v) == bags}
        joined = self._joined({"": output.scores, **names})
        extra = {**output.extra, **{k: joined[k][:count] for k in names}}
        return Output(joined[""][:count], extra)

    def _joined(self, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        import torch
        from torch.nn.functional import pad

        told: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(told, {k: tuple(v.shape) for k, v in tensors.items()})
        joined = {}
        for name, own in tensors.items():
            sizes = [max(axis) for axis in zip(*(shapes[name] for shapes in told), strict=True)]
            more = [
                room for size, now in zip(sizes[::-1], reversed(own.shape), strict=True) for room in (0, size - now)
            ]
            here = pad(own, more)
            plain = here.detach().to(torch.uint8 if here.dtype == torch.bool else here.dtype).contiguous()
            parts = [torch.empty_like(plain) for _ in range(self.size)]
            torch.distributed.all_gather(parts, plain)
            parts = [part.to(here.dtype) for part in parts]
            parts[self.rank] = _stronger(here, self.size)
            joined[name] = torch.cat(parts)
        return joined

    def average(self, method: Any) -> None:
        """The mean of every parameter's gradient over all processes; one that nobody has stays None."""
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


def rows(views: Mapping[str, View], first: int, last: int) -> dict[str, View]:
    """Some bags of a batch, nothing copied."""
    return {
        name: View(
            view.features[first:last],
            view.extents[first:last],
            view.track[first:last],
            view.mask[first:last],
            view.shapes[first:last],
        )
        for name, view in views.items()
    }


@contextmanager
def started(device: str = "auto") -> Iterator[tuple[Team, str]]:
    """The team of a process that torchrun started, and its device; any other process is a team of its own.

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
    """What the leader says, to everyone; the others may say anything."""
    import torch

    if team().size == 1:
        return value
    said = [value]
    torch.distributed.broadcast_object_list(said, src=0)
    return said[0]

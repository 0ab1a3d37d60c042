"""Fast dropout: one mask per bag, shared by all its instances."""

from __future__ import annotations

from torch import Tensor, nn


class LockedDropout(nn.Module):
    """Drops whole channels of a bag: one draw per bag and channel, the same for all of its instances.

    ``(B, ..., D)`` -> the same shape; ``channels`` is the axis of D (1 for convolutions). On a processor the random
    numbers of ordinary dropout can take three times the rest of a step; here there are only ``B * D`` of them. Rows
    ``(R, D)`` have no instances to share a mask: there it is ordinary dropout. (Gal and Ghahramani, NeurIPS 2016.)
    ``locked``: false for ordinary dropout everywhere, one draw for each number.

    >>> import torch
    >>> values = LockedDropout(0.5).train()(torch.ones(4, 10, 8))
    >>> bool((values == values[:, :1]).all()), sorted(set(values.flatten().tolist())) in ([0.0, 2.0], [0.0], [2.0])
    (True, True)
    """

    def __init__(self, share: float, channels: int = -1, locked: bool = True) -> None:
        super().__init__()
        if not 0 <= share < 1:
            raise ValueError(f"dropout: expected a share in [0, 1), got {share}")
        self.share, self.channels, self.locked = share, channels, locked

    def forward(self, values: Tensor) -> Tensor:
        """The remaining values, scaled up so that the mean stays; in evaluation all values."""
        if not self.training or not self.share:
            return values
        if not self.locked:
            return nn.functional.dropout(values, self.share)
        shape = [1] * values.ndim
        shape[0], shape[self.channels] = values.shape[0], values.shape[self.channels]
        return values * values.new_empty(shape).bernoulli_(1 - self.share).div_(1 - self.share)

    def extra_repr(self) -> str:
        """The settings in the module's text."""
        return f"{self.share}, channels={self.channels}, locked={self.locked}"

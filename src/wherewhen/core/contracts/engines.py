"""Contract of engines."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

from wherewhen.core.values import Features, Pixels

if TYPE_CHECKING:
    import torch


class Engine(Protocol):
    """Runs a network: created for a module, an example batch and a precision, then called on batches of that shape.

    ``extra``: the extra of ``pip install "wherewhen[...]"`` that it needs, or empty. ``devices`` and ``precisions``:
    those that it supports. ``clips`` are real ones: int8 is calibrated on them.
    """

    extra: ClassVar[str]
    precisions: ClassVar[tuple[str, ...]]
    devices: ClassVar[tuple[str, ...]]

    def __init__(self, network: torch.nn.Module, batch: int, clips: Pixels, precision: str, device: str) -> None: ...

    @classmethod
    def version(cls) -> str:
        """Version of the library that runs the network; EngineError with the install command where it is missing."""

    def __call__(self, clips: Pixels) -> Features:
        """Pixels ``(batch, T, H, W, 3)`` uint8 to features ``(batch, t, h, w, D)`` float32."""

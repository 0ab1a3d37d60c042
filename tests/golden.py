"""Numbers of published implementations on seeded weights and inputs, and how near ours come to them.

Tests take it as the fixture ``golden``: ``golden("x3d_s")`` is a ``Golden``, or the test is skipped. The fixture
``publish`` adds the weights in a file as their authors write it: ``publish("x3d_s", "X3D_S.pyth")``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Array = NDArray[Any]
TOLERANCE = 2e-5  # of max|a - b| / max|b|; the references themselves vary by 1e-6 between kernels


@dataclass(frozen=True)
class Golden:
    """One fixture: ``spec`` as it was written down, ``outputs`` as stored (some are subsampled)."""

    folder: Path

    @cached_property
    def spec(self) -> dict[str, Any]:
        return json.loads((self.folder / "spec.json").read_text())

    @cached_property
    def outputs(self) -> dict[str, Array]:
        with np.load(self.folder / "out.npz", allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}

    @property
    def tensors(self) -> dict[str, torch.Tensor]:
        """The seeded state dict under its official names, made anew at each call."""
        import torch

        rows = enumerate(self.spec["parameters"])
        return {name: torch.from_numpy(_weight(k, shape, rule)) for k, (name, shape, _, rule) in rows}

    def input(self, *shape: int) -> Array:
        """The ordinary input of a shape, by default of the one that the spec names."""
        shape = shape or tuple(self.spec["input"]["shape"])
        return (np.random.default_rng(7).standard_normal(shape) * 0.5).astype(np.float32)

    def blocks(self, lengths: Sequence[int] = (), shape: Sequence[int] = ()) -> Array:
        """An input ``(B, T, D)`` that is correlated within blocks of 8 steps; rows end after their lengths in zeros."""
        bags, steps, width = shape or self.spec["input"]["shape"]
        rng = np.random.default_rng(7)
        noise = rng.standard_normal((bags, steps, width))
        block = rng.standard_normal((bags, -(-steps // 8), width))
        values = (0.5 * noise + 0.8 * np.repeat(block, 8, axis=1)[:, :steps]).astype(np.float32)
        for row, length in zip(values, lengths or self.spec["input"].get("lengths", [steps] * bags), strict=True):
            row[length:] = 0
        return values

    def deviation(self, name: str, output: Any) -> float:
        """``max|output - stored| / max|stored|`` of a whole output in the reference's layout."""
        entry = self.spec["outputs"][name]
        output = np.asarray(output.detach() if hasattr(output, "detach") else output)
        assert list(output.shape) == entry["shape"], f"{name}: expected the shape {entry['shape']}, got {output.shape}"
        if entry["stored"] == "subsample":
            stored, output = self.outputs[entry["stored_as"]], output.ravel()[:: entry["stride"]]
        else:
            stored = self.outputs[name]
        reference = stored.astype(np.float64)
        return float(np.abs(output - reference).max() / np.abs(reference).max())

    def close(self, name: str, output: Any, tolerance: float = TOLERANCE) -> None:
        """Assert that a whole output is the reference's."""
        assert (off := self.deviation(name, output)) <= tolerance, f"{self.folder.name}: {name} is off by {off:.1e}"


@dataclass(frozen=True)
class Published:
    """Golden numbers of a network, with its weights in memory and in a file of the official format."""

    golden: Golden
    tensors: dict[str, torch.Tensor]
    path: Path


def _weight(index: int, shape: Sequence[int], rule: str) -> Array:
    if rule == "int0":
        return np.zeros(shape, np.int64)
    noise = np.asarray(np.random.default_rng([20261120, index]).standard_normal(shape))
    if rule == "one_plus":
        return np.asarray(1 + 0.1 * np.abs(noise), np.float32)
    scale = {"w": 0.05, "w02": 0.02, "b": 0.01, "bn_mean": 0.1}
    factor = np.sqrt(2 / np.prod(shape[1:])) if rule == "he" else scale[rule]
    return np.asarray(noise * factor, np.float32)

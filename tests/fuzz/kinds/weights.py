"""Files of weights that others published: tensors by name, or an error; nothing in them is ever run."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from random import Random

import mutate_arrays
import mutate_bytes
from case import Kind, Wrong, applied


def seeds(corpus: Path) -> None:
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    tensors = {"a.weight": torch.randn(4, 3), "a.bias": torch.randn(4)}
    torch.save(tensors, corpus / "plain.pth")
    torch.save({"state_dict": {f"module.{k}": v for k, v in tensors.items()}, "epoch": 3}, corpus / "inner.pth")
    torch.save(tensors, corpus / "old.pth", _use_new_zipfile_serialization=False)
    save_file(tensors, corpus / "one.safetensors")


def dangerous(rng: Random, data: bytes) -> bytes:
    """A pickle that would end the process if it were opened, or one nested very deep."""
    if rng.random() < 0.5:
        return pickle.dumps({"a": mutate_arrays.Danger()})
    depth = rng.choice((1000, 100_000))
    return b"\x80\x02" + b"]" * depth + b"a" * (depth - 1) + b"."


def mutated(rng: Random, name: str, data: bytes) -> bytes:
    if name.endswith(".safetensors"):
        return mutate_arrays.mutated(rng, name, data)
    return applied(rng, (*mutate_bytes.FAULTS, dangerous), data)


def judge(file: Path, corpus: Path) -> None:
    import torch

    from wherewhen.runtime import weights

    found = weights.read(file)
    if not all(isinstance(one, torch.Tensor) for one in found.values()):
        raise Wrong("something else than tensors")
    for one in found.values():
        torch.save(one.clone(), io.BytesIO())


KIND = Kind(seeds, mutated, judge)

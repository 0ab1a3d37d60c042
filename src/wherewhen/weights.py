"""Weights that somebody published: what is known of them, where they lie, and how they are read without unpickling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wherewhen.errors import StoreError
from wherewhen.store import cache_folder

if TYPE_CHECKING:
    import torch

RANDOM = "random"  # no weights: seeded noise, for measuring speed and trying things out


@dataclass(frozen=True)
class Weights:
    """A published file of weights.

    Args:
        name: what users call it: ``i3d_kinetics400``.
        address: where it can be downloaded; empty where its authors give no lasting one.
        licence: of the weights.
        trained_on: data that they were learnt from.
        sha256: of the file; empty where nobody published it, then it is recorded at the first download.
        homepage: of the authors' project.
        file: its name on disk; the end of the address unless told otherwise.
    """

    name: str
    address: str
    licence: str
    trained_on: str
    sha256: str = ""
    homepage: str = ""
    file: str = ""

    @property
    def path(self) -> Path:
        """Where it lies once it was fetched."""
        return cache_folder() / "weights" / self.name / (self.file or self.address.rsplit("/", 1)[-1])


def locate(wanted: str, known: tuple[Weights, ...]) -> Path:
    """The file of weights that are named or given by path; StoreError says how to get them."""
    for weights in known:
        if weights.name == wanted:
            if weights.path.exists():
                return weights.path
            raise StoreError(
                f"the weights {wanted} are not on this machine (expected {weights.path}); "
                f"fetch them: wherewhen weights get {wanted}"
            )
    path = Path(wanted)
    if path.is_file():
        return path
    names = ", ".join([*(weights.name for weights in known), RANDOM])
    raise StoreError(f"weights {wanted!r}: neither a file nor one of {names}")


def read(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint by name: safetensors, or torch's own format without its pickled objects."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, RuntimeError, ValueError, EOFError) as error:
        raise StoreError(f"{path}: not a readable file of weights ({error})") from None
    except Exception as error:  # the unpickler of torch has errors of many kinds
        raise StoreError(f"{path}: holds more than tensors, so it is not opened ({error})") from None
    while isinstance(found, Mapping) and not any(isinstance(v, torch.Tensor) for v in found.values()):
        inner = [found[key] for key in ("state_dict", "model_state", "model", "state_dict_ema") if key in found]
        if not inner:
            break
        found = inner[0]
    if not isinstance(found, Mapping):
        raise StoreError(f"{path}: expected tensors by name, found {type(found).__name__}")
    return {str(name).removeprefix("module."): v for name, v in found.items() if isinstance(v, torch.Tensor)}


def fit(module: torch.nn.Module, tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Put tensors into a module, every name and shape just right; StoreError tells what doesn't fit."""
    own = module.state_dict()
    missing = sorted(own.keys() - tensors.keys())
    foreign = sorted(tensors.keys() - own.keys())
    wrong = sorted(k for k in own.keys() & tensors.keys() if own[k].shape != tensors[k].shape)
    if missing or foreign or wrong:
        told = [
            f"{len(names)} {what} (first: {names[0]})"
            for what, names in (("missing", missing), ("unknown", foreign), ("of another shape", wrong))
            if names
        ]
        raise StoreError(f"{path}: these weights are not for {type(module).__name__}: {', '.join(told)}")
    module.load_state_dict(dict(tensors))

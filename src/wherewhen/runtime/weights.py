"""Published weights: their metadata, their place on disk, and reading without unpickling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from wherewhen.core import registry
from wherewhen.core.documents import json_of
from wherewhen.core.errors import ConfigError, StoreError, unknown
from wherewhen.core.store import Spare, cache_folder, content_hash, write_json

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
        file: its name on disk; the end of the address by default.
        beside: addresses of small files that belong to it, such as a vocabulary; they come and lie with it.
    """

    name: str
    address: str
    licence: str
    trained_on: str
    sha256: str = ""
    homepage: str = ""
    file: str = ""
    beside: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[Weights, ...]:
        """Every file to fetch: this one alone, then those beside it, whose checksums are noted when they come."""
        small = (replace(self, address=address, sha256="", file="", beside=()) for address in self.beside)
        return (replace(self, beside=()), *small)

    @property
    def path(self) -> Path:
        """Where it lies once it was fetched."""
        return cache_folder() / "weights" / self.name / (self.file or self.address.rsplit("/", 1)[-1])

    @property
    def record(self) -> Path:
        """The file beside it that holds the checksum that it had when it came."""
        return self.path.with_name(self.path.name + ".json")

    @property
    def recorded(self) -> str:
        """The checksum that it had when it came; empty where nobody noted it."""
        return str(_note(self.record).get("sha256", ""))

    def note(self, sha256: str) -> None:
        """Keep the checksum of the file that lies there now."""
        size, changed = _stamp(self.path)
        with Spare(self.record):
            write_json(self.record, {"sha256": sha256, "size": size, "changed": changed, "address": self.address})

    def check(self, thorough: bool = False) -> str:
        """The file's checksum; StoreError if it isn't the published one, or the one noted when it came.

        A file whose size and time are as noted is not read again unless ``thorough``. What was put there by hand is
        noted now.
        """
        note, stamp = _note(self.record), _stamp(self.path)
        expected = self.sha256 or str(note.get("sha256", ""))
        same = stamp == (note.get("size"), note.get("changed")) and note.get("sha256") == expected
        if same and not thorough:
            return expected
        found = content_hash(self.path) if thorough else checksum(self.path)
        if expected and found != expected:
            raise StoreError(
                f"{self.path}: not the weights {self.name}: sha256 {found}, expected {expected}; "
                f"delete it and fetch them again: wherewhen weights get {self.name}"
            )
        self.note(found)
        return found


@runtime_checkable
class Published(Protocol):
    """A backbone class that states the published weights that it takes."""

    weights: tuple[Weights, ...]


def _note(path: Path) -> dict[str, Any]:
    try:
        found = json_of(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _stamp(path: Path) -> tuple[int, int]:
    known = path.stat()
    return known.st_size, known.st_mtime_ns


def checksum(path: Path) -> str:
    """sha256 of a file, read again only when its size or time changes."""
    return _checksum(str(path.resolve()), *_stamp(path))


@lru_cache(maxsize=256)
def _checksum(path: str, size: int, changed: int) -> str:
    return content_hash(path)


def published() -> dict[str, tuple[str, Weights]]:
    """All weights that backbones know, by name, each with the backbone that they are for."""
    known = {}
    for backbone in registry.names("backbones"):
        plugin = registry.load("backbones", backbone)
        for weights in plugin.weights if isinstance(plugin, Published) else ():
            known[weights.name] = (backbone, weights)
    return known


def named(name: str) -> Weights:
    """Published weights by name; ConfigError names the nearest ones."""
    known = published()
    if name not in known:
        raise ConfigError(unknown("weights", name, known))
    return known[name][1]


def locate(wanted: str, known: tuple[Weights, ...]) -> Path:
    """The file of weights that are named or given by path; StoreError says how to get them."""
    for weights in known:
        if weights.name == wanted:
            if weights.path.exists():
                weights.check()
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

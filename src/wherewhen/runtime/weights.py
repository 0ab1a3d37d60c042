"""Published weights: their metadata, their place on disk, and reading without unpickling."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from wherewhen.core import registry
from wherewhen.core.documents import json_of
from wherewhen.core.errors import ConfigError, StoreError, unknown
from wherewhen.core.store import Spare, cache_folder, content_hash, write_json

if TYPE_CHECKING:
    import torch

Module = TypeVar("Module", bound="torch.nn.Module")

WRAPPERS = ("state_dict", "model_state", "model_state_dict", "model", "net", "state_dict_ema")
"""Keys below which checkpoints hold their tensors, beside other values."""
RANDOM = "random"  # no weights: seeded noise, for speed measurements and trials


@dataclass(frozen=True)
class Weights:
    """A published file of weights.

    Args:
        name: its public name: ``i3d_kinetics400``.
        address: where it can be downloaded; empty where its authors give no lasting one.
        licence: of the weights.
        trained_on: data that they were learnt from.
        sha256: of the file; empty where it is not published; it is recorded at the first download then.
        homepage: of the authors' project.
        file: its name on disk; the end of the address by default.
        beside: addresses of small files that belong to it, such as a vocabulary, downloaded and stored with it.
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
        """Every file to fetch: this one, then those beside it, whose checksums are recorded at the download."""
        small = (replace(self, address=address, sha256="", file="", beside=()) for address in self.beside)
        return (replace(self, beside=()), *small)

    @property
    def path(self) -> Path:
        """Its path after the download."""
        return cache_folder() / "weights" / self.name / (self.file or self.address.rsplit("/", 1)[-1])

    @property
    def record(self) -> Path:
        """The file beside it with the checksum at the download."""
        return self.path.with_name(self.path.name + ".json")

    @property
    def recorded(self) -> str:
        """The checksum at the download; empty where there is no record."""
        return str(_note(self.record).get("sha256", ""))

    def note(self, sha256: str) -> None:
        """Record the checksum of the present file."""
        size, changed = _stamp(self.path)
        with Spare(self.record):
            write_json(self.record, {"sha256": sha256, "size": size, "changed": changed, "address": self.address})

    def check(self, thorough: bool = False) -> str:
        """The file's checksum; StoreError if it isn't the published or recorded one.

        A file with the recorded size and time is not read again unless ``thorough``. A file without a record gets one.
        """
        note, stamp = _note(self.record), _stamp(self.path)
        expected = self.sha256 or str(note.get("sha256", ""))
        same = stamp == (note.get("size"), note.get("changed")) and note.get("sha256") == expected
        if same and not thorough:
            return expected
        actual = content_hash(self.path) if thorough else checksum(self.path)
        if expected and actual != expected:
            raise StoreError(
                f"{self.path}: not the weights {self.name}: sha256 {actual}, expected {expected}; "
                f"delete it and fetch them again: wherewhen weights get {self.name}"
            )
        self.note(actual)
        return actual


@runtime_checkable
class Published(Protocol):
    """A backbone class that states the published weights that it takes."""

    weights: tuple[Weights, ...]


def _note(path: Path) -> dict[str, Any]:
    try:
        note = json_of(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def checksum(path: Path) -> str:
    """sha256 of a file, read again only when its size or time changes."""
    return _checksum(str(path.resolve()), *_stamp(path))


@lru_cache(maxsize=256)
def _checksum(path: str, size: int, changed: int) -> str:
    return content_hash(path)


def published() -> dict[str, tuple[str, Weights]]:
    """All weights that backbones publish, by name, each with the backbone that they are for."""
    by_name = {}
    for backbone in registry.names("backbones"):
        plugin = registry.load("backbones", backbone)
        for weights in plugin.weights if isinstance(plugin, Published) else ():
            by_name[weights.name] = (backbone, weights)
    return by_name


def named(name: str) -> Weights:
    """Published weights by name; ConfigError names the nearest ones."""
    by_name = published()
    if name not in by_name:
        raise ConfigError(unknown("weights", name, by_name))
    return by_name[name][1]


def locate(name: str, choices: tuple[Weights, ...]) -> Path:
    """The file of weights by name or path; StoreError, with the command to download them, where it is missing."""
    for weights in choices:
        if weights.name == name:
            if weights.path.exists():
                weights.check()
                return weights.path
            raise StoreError(
                f"the weights {name} are not on this machine (expected {weights.path}); "
                f"fetch them: wherewhen weights get {name}"
            )
    path = Path(name)
    if path.is_file():
        return path
    names = ", ".join([*(weights.name for weights in choices), RANDOM])
    raise StoreError(f"weights {name!r}: neither a file nor one of {names}")


def read(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint by name: safetensors, or torch's own format without its pickled objects."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, RuntimeError, ValueError, EOFError) as error:
        raise StoreError(f"{path}: not a readable file of weights ({error})") from None
    except Exception as error:  # the unpickler of torch has errors of many kinds
        raise StoreError(f"{path}: holds more than tensors, so it is not opened ({error})") from None
    while isinstance(content, Mapping) and not any(isinstance(v, torch.Tensor) for v in content.values()):
        inner = [content[key] for key in WRAPPERS if key in content]
        if not inner:
            break
        content = inner[0]
    if not isinstance(content, Mapping):
        raise StoreError(f"{path}: expected tensors by name, found {type(content).__name__}")
    return {str(name).removeprefix("module."): v for name, v in content.items() if isinstance(v, torch.Tensor)}


def seeded(build: Callable[[], Module], *, random: bool) -> Module:
    """The module that ``build`` returns, in evaluation mode, with weights of seed 0.

    Without ``random`` its weights have no meaning yet: a checkpoint replaces them, and to draw them takes seconds.
    """
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    drawn = {torch.ops.aten.normal_.default, torch.ops.aten.uniform_.default}

    class Undrawn(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return args[0] if operator in drawn else operator(*args, **(kwargs or {}))

    with torch.random.fork_rng(devices=[]), nullcontext() if random else Undrawn():  # type: ignore[no-untyped-call]
        torch.manual_seed(0)
        return build().eval().requires_grad_(False)


def fit(module: torch.nn.Module, tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Put tensors into a module, StoreError where names or shapes differ."""
    own_tensors = module.state_dict()
    missing = sorted(own_tensors.keys() - tensors.keys())
    foreign = sorted(tensors.keys() - own_tensors.keys())
    wrong = sorted(k for k in own_tensors.keys() & tensors.keys() if own_tensors[k].shape != tensors[k].shape)
    if missing or foreign or wrong:
        faults = [
            f"{len(names)} {fault} (first: {names[0]})"
            for fault, names in (("missing", missing), ("unknown", foreign), ("of another shape", wrong))
            if names
        ]
        raise StoreError(f"{path}: these weights are not for {type(module).__name__}: {', '.join(faults)}")
    module.load_state_dict(dict(tensors))

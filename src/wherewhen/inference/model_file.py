"""The file of a model: written with a digest, and checked completely before use."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wherewhen.core.array_files import Arrays, load, save
from wherewhen.core.config import from_file, typed
from wherewhen.core.errors import StoreError, WherewhenError
from wherewhen.core.store import plain
from wherewhen.core.values import Instances
from wherewhen.inference.normalizer import Normalizer

if TYPE_CHECKING:
    import torch

DIGEST = "digest"
METHOD, BANK = "method.", "bank."


def write(path: str | Path, arrays: Arrays, told: Mapping[str, Any]) -> None:
    """Write what a model is made of; StoreError where a weight is not finite, as after a training that diverged."""
    _check_finite(path, arrays)
    passport = plain(told)
    save(path, arrays, {**passport, DIGEST: digest(arrays, passport)})


def digest(arrays: Arrays, passport: Mapping[str, Any]) -> str:
    """sha256 of all names, shapes, numbers and words."""
    found = hashlib.sha256(json.dumps(passport, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        found.update(f"{name} {array.dtype.str} {array.shape}".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def _check_finite(path: str | Path, arrays: Arrays) -> None:
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all() and not name.endswith(".limit"):
            count = int((~np.isfinite(array)).sum())
            raise StoreError(
                f"{path}: {count} of the {array.size} numbers of {name} are not finite, so it would find nothing; "
                "train again, with a smaller --training.learning_rate if training itself led to this"
            )


@dataclass(frozen=True, eq=False)
class Stored:
    """What a model's file holds, with the right types. ``config`` holds plain values, without consent."""

    path: Path
    arrays: Arrays
    config: Mapping[str, Any]
    threshold: float
    dims: Mapping[str, int]
    classes: tuple[str, ...]
    trained_on: tuple[str, ...]

    def wrong(self, told: object) -> StoreError:
        """An error about this file."""
        return StoreError(
            f"{self.path}: can't be used as a model: {told}. Train it again, or use a complete copy of it"
        )

    def part(self, prefix: str) -> Arrays:
        """The arrays whose names begin so, without the beginning."""
        return {key.removeprefix(prefix): one for key, one in self.arrays.items() if key.startswith(prefix)}

    def bank(self, length: int) -> Instances:
        """Scored instances of normal training videos, with features of this length."""
        try:
            made = Instances(self.arrays["bank.features"], self.arrays["bank.extents"])
        except KeyError as error:
            raise self.wrong(f"it lacks {error}") from None
        except ValueError as error:
            raise self.wrong(f"bank: {error}") from None
        if made.features.shape[1] != length:
            raise self.wrong(f"bank.features have length {made.features.shape[1]}, expected {length} (its dims)")
        return made

    def normalizer(self, prefix: str, length: int) -> Normalizer:
        """The normalizer whose arrays begin so, for features of this length."""
        try:
            return Normalizer.from_arrays(self.part(prefix), length)
        except KeyError as error:
            raise self.wrong(f"it lacks {prefix}{str(error)[1:-1]}") from None
        except ValueError as error:
            raise self.wrong(f"{prefix}{error}") from None

    def put(self, method: torch.nn.Module) -> None:
        """Put the weights into a method: every name, shape and type of number as its own."""
        import torch

        own, given = _fixed(method), self.part(METHOD)
        known = set(method.state_dict())
        foreign = {name for name in given if name not in known and not name.startswith(_growing(method))}
        for told, names in (("it lacks", own.keys() - given.keys()), ("unknown are", foreign)):
            if names:
                listed = ", ".join(METHOD + name for name in sorted(names)[:3])
                raise self.wrong(f"{told} {listed}{' ...' if len(names) > 3 else ''} ({type(method).__name__})")
        try:
            method.load_state_dict({name: torch.from_numpy(np.array(one)) for name, one in given.items()})
        except (RuntimeError, TypeError) as error:
            raise self.wrong(" ".join(str(error).split())[:300]) from None
        for name, one in method.state_dict().items():
            if str(one.dtype) != f"torch.{given[name].dtype}":
                raise self.wrong(
                    f"{METHOD}{name}: expected {one.dtype}, found {given[name].dtype}".replace("torch.", "")
                )

    def fits(self, method: torch.nn.Module) -> None:
        """StoreError where weights have not the shapes of a method, which may be one without memory of its own."""
        given = self.part(METHOD)
        for name, one in _fixed(method).items():
            if name in given and tuple(given[name].shape) != tuple(one.shape):
                raise self.wrong(f"{METHOD}{name}: expected {tuple(one.shape)}, found {given[name].shape}")


def _growing(method: torch.nn.Module) -> tuple[str, ...]:
    """Names of the parts that take their shapes from the weights, with a dot behind."""
    from torch.nn import Module

    plain = Module._load_from_state_dict
    return tuple(f"{name}." for name, one in method.named_modules() if type(one)._load_from_state_dict is not plain)


def _fixed(method: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The weights whose shapes follow from settings."""
    growing = _growing(method)
    return {name: one for name, one in method.state_dict().items() if not name.startswith(growing)}


def read(path: Path) -> Stored:
    """The parts of a model's file; StoreError names the file and what is wrong with it."""
    arrays, passport = load(path, advice="expected the weights of a model; use a complete copy of it, or train again")
    if "config" not in passport:
        raise StoreError(f"{path}: is not a model of this toolkit: it has no configuration")
    expected = passport.pop(DIGEST, None)
    if expected is not None and expected != digest(arrays, passport):
        raise StoreError(f"{path}: damaged or edited: the digest of its numbers differs from the stored one")
    told = {name: passport.get(name) for name in ("config", "threshold", "dims")}
    try:
        config, threshold, dims = (typed(kind, told[name], name) for name, kind in _KINDS.items())
        classes, trained_on = (typed(tuple[str, ...], passport.get(name) or [], name) for name in _LISTS)
    except WherewhenError as error:
        raise StoreError(f"{path}: can't be used as a model: {error}") from None
    made = Stored(path, arrays, from_file(config), threshold, dims, classes, trained_on)
    if not 0 <= threshold <= 1:
        raise made.wrong(f"threshold: expected a score from 0 to 1, found {threshold}")
    if not dims or not all(isinstance(size, int) and 0 < size < 2**20 for size in dims.values()):
        raise made.wrong(f"dims: expected the length of the features of each view, found {str(dims)[:80]}")
    _check_finite(path, arrays)
    return made


_KINDS: Mapping[str, Any] = {"config": dict[str, Any], "threshold": float, "dims": dict[str, Any]}
_LISTS = ("classes", "trained_on")

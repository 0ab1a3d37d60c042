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
from wherewhen.extraction.backgrounds import SIZE, Background
from wherewhen.inference.adaptation import Adaptation
from wherewhen.inference.camera_normalizer import CAMERA, AnyNormalizer, CameraNormalizer
from wherewhen.inference.normal_time import NormalTime
from wherewhen.inference.normalizer import Normalizer
from wherewhen.inference.running_normalizer import BOTH, with_past

if TYPE_CHECKING:
    import torch

DIGEST = "digest"
METHOD, BANK = "method.", "bank."


def write(path: str | Path, arrays: Arrays, values: Mapping[str, Any]) -> None:
    """Write a model's arrays and values; StoreError where a weight is not finite, as after diverged training."""
    _check_finite(path, arrays)
    metadata = plain(values)
    save(path, arrays, {**metadata, DIGEST: digest(arrays, metadata)})


def digest(arrays: Arrays, metadata: Mapping[str, Any]) -> str:
    """sha256 of all names, shapes, numbers and texts."""
    hasher = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        hasher.update(f"{name} {array.dtype.str} {array.shape}".encode())
        hasher.update(np.ascontiguousarray(array).data)
    return hasher.hexdigest()


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
    """The content of a model's file, with checked types. ``config`` holds plain values, without consent."""

    path: Path
    arrays: Arrays
    config: Mapping[str, Any]
    threshold: float
    dims: Mapping[str, int]
    classes: tuple[str, ...]
    trained_on: tuple[str, ...]
    cameras: tuple[str, ...] = ()
    camera: str = ""
    exported: Mapping[str, Any] | None = None

    def wrong(self, reason: object) -> StoreError:
        """An error about this file."""
        return StoreError(
            f"{self.path}: can't be used as a model: {reason}. Train it again, or use a complete copy of it"
        )

    def part(self, prefix: str) -> Arrays:
        """The arrays whose names begin with a prefix, by the rest of the name."""
        return {key.removeprefix(prefix): array for key, array in self.arrays.items() if key.startswith(prefix)}

    def bank(self, length: int) -> Instances:
        """Scored instances of normal training videos, with features of this length."""
        try:
            bank = Instances(self.arrays["bank.features"], self.arrays["bank.extents"])
        except KeyError as error:
            raise self.wrong(f"it lacks {error}") from None
        except ValueError as error:
            raise self.wrong(f"bank: {error}") from None
        if bank.features.shape[1] != length:
            raise self.wrong(f"bank.features have length {bank.features.shape[1]}, expected {length} (its dims)")
        return bank

    def normal_time(self) -> NormalTime | None:
        """Normal training videos scored out of fold; None where training did not do so."""
        arrays = self.part("normal.")
        if not arrays:
            return None
        maxima, hours = (np.asarray(arrays.get(name, ())) for name in ("maxima", "hours"))
        ok = (
            maxima.ndim == 1
            and len(maxima)
            and hours.shape == (1,)
            and all(a.dtype.kind == "f" for a in (maxima, hours))
        )
        if not ok or not hours[0] > 0 or not ((maxima >= 0) & (maxima <= 1)).all():
            raise self.wrong("normal: expected maxima from 0 to 1 and their hours")
        return NormalTime(maxima.astype(np.float64), float(hours[0]))

    def adaptation(self) -> Adaptation | None:
        """How scores of another camera are calibrated; None for a model that was not adapted."""
        arrays = self.part("adaptation.")
        if not arrays:
            return None
        try:
            return Adaptation.from_arrays(arrays)
        except KeyError as error:
            raise self.wrong(f"it lacks adaptation.{str(error)[1:-1]}") from None
        except ValueError as error:
            raise self.wrong(f"adaptation.{error}") from None

    def backgrounds(self) -> dict[str, list[Background]]:
        """Backgrounds of each camera that has statistics of its own, to recognize it by."""
        cameras: dict[str, list[Background]] = {name: [] for name in self.cameras}
        if not cameras:
            return cameras
        pictures, shapes, numbers = (self.arrays.get(f"cameras.{name}") for name in ("pictures", "shapes", "numbers"))
        if pictures is None or shapes is None or numbers is None:
            raise self.wrong("it lacks cameras.pictures, shapes or numbers")
        count = len(numbers)
        ok = pictures.dtype == np.uint8 and pictures.shape == (count, *SIZE) and shapes.shape == (count,)
        if not ok or numbers.dtype.kind != "i" or not ((numbers >= 0) & (numbers < len(cameras))).all():
            raise self.wrong(f"cameras: expected gray pictures (N, {SIZE[0]}, {SIZE[1]}) and the camera of each")
        for picture, shape, number in zip(pictures, shapes.tolist(), numbers.tolist(), strict=True):
            cameras[self.cameras[number]].append(Background(picture, shape))
        return cameras

    def normalizer(self, prefix: str, length: int, kind: str) -> AnyNormalizer:
        """The normalizer of a kind whose arrays have this prefix, which gives features of this length."""
        try:
            arrays = self.part(prefix)
            beside = len(arrays["mean"]) if kind == BOTH else 0
            trained = Normalizer.from_arrays(arrays, length - beside)
            if kind != CAMERA:
                return with_past(trained, kind)
            cameras = [self.part(f"{prefix}{CAMERA}{number}.") for number in range(len(self.cameras))]
            parts = [Normalizer.from_arrays(part, length) for part in cameras]
            if any(part.mean.shape != trained.mean.shape for part in parts):
                raise ValueError(f"{CAMERA}: expected means {trained.mean.shape}")
            return CameraNormalizer(trained, dict(zip(self.cameras, parts, strict=True)))
        except KeyError as error:
            raise self.wrong(f"it lacks {prefix}{str(error)[1:-1]}") from None
        except ValueError as error:
            raise self.wrong(f"{prefix}{error}") from None

    def put(self, method: torch.nn.Module) -> None:
        """Load the weights into a method; StoreError for a name, shape or type that differs."""
        import torch

        fixed, weights = _fixed(method), self.part(METHOD)
        all_names = set(method.state_dict())
        foreign = {name for name in weights if name not in all_names and not name.startswith(_growing(method))}
        for fault, names in (("it lacks", fixed.keys() - weights.keys()), ("unknown are", foreign)):
            if names:
                listed = ", ".join(METHOD + name for name in sorted(names)[:3])
                raise self.wrong(f"{fault} {listed}{' ...' if len(names) > 3 else ''} ({type(method).__name__})")
        try:
            method.load_state_dict({name: torch.from_numpy(np.array(weight)) for name, weight in weights.items()})
        except (RuntimeError, TypeError) as error:
            raise self.wrong(" ".join(str(error).split())[:300]) from None
        for name, weight in method.state_dict().items():
            if str(weight.dtype) != f"torch.{weights[name].dtype}":
                raise self.wrong(
                    f"{METHOD}{name}: expected {weight.dtype}, found {weights[name].dtype}".replace("torch.", "")
                )

    def fits(self, method: torch.nn.Module) -> None:
        """StoreError where weights don't have the shapes of a method, which may be on the meta device."""
        weights = self.part(METHOD)
        for name, weight in _fixed(method).items():
            if name in weights and tuple(weights[name].shape) != tuple(weight.shape):
                raise self.wrong(f"{METHOD}{name}: expected {tuple(weight.shape)}, found {weights[name].shape}")


def _growing(method: torch.nn.Module) -> tuple[str, ...]:
    """Names of the parts that take their shapes from the weights, each with a dot at the end."""
    from torch.nn import Module

    plain = Module._load_from_state_dict
    return tuple(
        f"{name}." for name, module in method.named_modules() if type(module)._load_from_state_dict is not plain
    )


def _fixed(method: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The weights whose shapes follow from settings."""
    growing = _growing(method)
    return {name: weight for name, weight in method.state_dict().items() if not name.startswith(growing)}


def read(path: Path) -> Stored:
    """The parts of a model's file; StoreError names the file and what is wrong with it."""
    arrays, metadata = load(path, advice="expected the weights of a model; use a complete copy of it, or train again")
    if "config" not in metadata:
        raise StoreError(f"{path}: is not a model of this toolkit: it has no configuration")
    expected = metadata.pop(DIGEST, None)
    if expected is not None and expected != digest(arrays, metadata):
        raise StoreError(f"{path}: damaged or edited: the digest of its numbers differs from the stored one")
    values = {name: metadata.get(name) for name in ("config", "threshold", "dims")}
    try:
        config, threshold, dims = (typed(kind, values[name], name) for name, kind in _KINDS.items())
        classes, trained_on, cameras = (typed(tuple[str, ...], metadata.get(name) or [], name) for name in _LISTS)
        camera = typed(str, metadata.get("camera") or "", "camera")
        exported = typed(dict[str, Any], metadata["exported"], "exported") if metadata.get("exported") else None
    except WherewhenError as error:
        raise StoreError(f"{path}: can't be used as a model: {error}") from None
    stored = Stored(path, arrays, from_file(config), threshold, dims, classes, trained_on, cameras, camera, exported)
    if not 0 <= threshold <= 1:
        raise stored.wrong(f"threshold: expected a score from 0 to 1, found {threshold}")
    if not dims or not all(isinstance(size, int) and 0 < size < 2**20 for size in dims.values()):
        raise stored.wrong(f"dims: expected the length of the features of each view, found {str(dims)[:80]}")
    _check_finite(path, arrays)
    return stored


_KINDS: Mapping[str, Any] = {"config": dict[str, Any], "threshold": float, "dims": dict[str, Any]}
_LISTS = ("classes", "trained_on", "cameras")

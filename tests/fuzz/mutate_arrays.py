"""Faults of files of arrays: safetensors with their passport, npy and npz."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
import zlib
from random import Random
from typing import Any

import mutate_bytes
import mutate_text
import numpy as np
from case import Fault, applied
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]
SAFE = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "u1", "BOOL": "?", "I8": "i1"}


def opened(data: bytes) -> tuple[dict[str, Any], Arrays]:
    """The head of a safetensors file and its arrays; ValueError where it is none."""
    size = int.from_bytes(data[:8], "little")
    if not 2 <= size <= len(data) - 8:
        raise ValueError("no head")
    head = json.loads(data[8 : 8 + size])
    body, arrays = data[8 + size :], {}
    for name, told in head.items():
        if name != "__metadata__":
            first, last = told["data_offsets"]
            arrays[name] = np.frombuffer(body[first:last], SAFE[told["dtype"]]).reshape(told["shape"]).copy()
    return head, arrays


def closed(metadata: Any, arrays: Arrays) -> bytes:
    """A safetensors file."""
    kinds = {np.dtype(kind): name for name, kind in SAFE.items()}
    head: dict[str, Any] = {"__metadata__": metadata} if metadata is not None else {}
    body = b""
    for name, array in sorted(arrays.items(), key=lambda pair: (-pair[1].itemsize, pair[0])):
        raw = np.ascontiguousarray(array).tobytes()
        head[name] = {
            "dtype": kinds[array.dtype], "shape": list(array.shape), "data_offsets": [len(body), len(body) + len(raw)],
        }  # fmt: skip
        body += raw
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + body


def values(rng: Random, array: NDArray[Any]) -> NDArray[Any]:
    """The same array with wrong values, or with another shape or type of numbers."""
    made = array.copy()
    flat = made.reshape(-1)
    bad = (np.nan, np.inf, -np.inf, 0.0, -1.0, 1e30, -1e30, 1e-40)
    choice = rng.randrange(8)
    if choice < 3 and flat.size:
        value = rng.choice(bad)
        value = value if made.dtype.kind == "f" else rng.choice((0, 1, 2, 100))
        with np.errstate(all="ignore"):
            flat[rng.randrange(flat.size) if choice < 2 else slice(None)] = value
        return made
    if choice == 3 and made.dtype.kind == "f":
        with np.errstate(all="ignore"):
            return made.astype(rng.choice((np.float16, np.float32, np.float64)))
    if choice == 4:
        with np.errstate(all="ignore"):
            return made.astype(rng.choice((np.int64, np.uint8)))
    if choice == 5 and made.ndim:
        return made[: rng.randrange(len(made) + 1)]
    if choice == 6:
        return made.reshape(rng.choice(((-1,), (1, *made.shape), (*made.shape, 1)))) if made.size else made
    return np.concatenate([made, made]) if made.ndim else made.reshape(1)


def _arrays(rng: Random, arrays: Arrays) -> Arrays:
    """The same arrays with one missing, called otherwise, changed or in the place of another."""
    if not arrays:
        return arrays
    names = sorted(arrays)
    one, other = rng.choice(names), rng.choice(names)
    match rng.randrange(6):
        case 0:
            del arrays[one]
        case 1:
            arrays[rng.choice((f"{one}x", "x", one.upper()))] = arrays.pop(one)
        case 2:
            arrays[one], arrays[other] = arrays[other], arrays[one]
        case _:
            arrays[one] = values(rng, arrays[one])
    return arrays


def _passport(rng: Random, metadata: Any) -> Any:
    if not isinstance(metadata, dict) or rng.random() < 0.1:
        return rng.choice((None, {}, {"passport": "null"}, {"passport": "["}))
    told = metadata.get("passport", "{}")
    if rng.random() < 0.8:
        return {"passport": json.dumps(mutate_text.tree(rng, json.loads(told)))}
    return {"passport": applied(rng, mutate_text.JSON[:-6], told.encode()).decode("utf-8", "replace")}


def safetensors(rng: Random, data: bytes) -> bytes:
    """Arrays or passport have a fault, or the head lies about what follows."""
    try:
        head, arrays = opened(data)
        metadata = head.get("__metadata__")
        match rng.randrange(5):
            case 0 | 1:
                return closed(metadata, _arrays(rng, arrays))
            case 2 | 3:
                return closed(_passport(rng, metadata), arrays)
            case _:
                size = int.from_bytes(data[:8], "little")
                text = json.dumps(mutate_text.tree(rng, head)).encode()
                return len(text).to_bytes(8, "little") + text + data[8 + size :]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return mutate_bytes.flip(rng, data)


class Danger:
    """What a pickle would run if it were opened."""

    def __reduce__(self) -> Any:
        import os

        return os._exit, (77,)


def npy(rng: Random, data: bytes) -> bytes:
    """An npy file with wrong values, shape or head; or one that holds pickled objects."""
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError, SyntaxError, MemoryError, OverflowError, TypeError):
        return mutate_bytes.flip(rng, data)
    out = io.BytesIO()
    match rng.randrange(6):
        case 0:
            return pickle.dumps(Danger())
        case 1:
            np.save(out, np.array([Danger()], object), allow_pickle=True)
        case 2:
            head = data[:128].replace(b"'<f4'", rng.choice((b"'<f8'", b"'|O'", b"'<U9'", b"'<c8'", b"'V4'")))
            return head + data[128:]
        case 3:
            shape = str(tuple(rng.choice((0, 1, -1, 3, 10**6, 2**40)) for _ in range(rng.randint(0, 4)))).encode()
            start, end = data.find(b"("), data.find(b")") + 1
            return data[:start] + shape.ljust(end - start) + data[end:]
        case _:
            np.save(out, values(rng, array))
    return out.getvalue()


def npz(rng: Random, data: bytes) -> bytes:
    """A packed folder of npy files, one with a fault, missing or called otherwise."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as source:
            parts = {name: source.read(name) for name in source.namelist()}
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, EOFError, ValueError, KeyError, zlib.error):
        return mutate_bytes.flip(rng, data)
    one = rng.choice(sorted(parts))
    match rng.randrange(4):
        case 0:
            del parts[one]
        case 1:
            parts[f"x{one}"] = parts.pop(one)
        case _:
            parts[one] = npy(rng, parts[one])
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        for name, part in parts.items():
            target.writestr(name, part)
    return out.getvalue()


def mutated(rng: Random, name: str, data: bytes) -> bytes:
    """Faults of any file, and those of the format that its name tells."""
    own: dict[str, Fault] = {"safetensors": safetensors, "npy": npy, "npz": npz}
    fault = own.get(name.rpartition(".")[2])
    return applied(rng, (*mutate_bytes.FAULTS, *([fault] * 24 if fault else mutate_text.TABLE)), data, 2)

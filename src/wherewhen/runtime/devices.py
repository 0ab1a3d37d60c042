"""Devices of this machine, and measurements of engines on it."""

from __future__ import annotations

import os
import platform
from functools import lru_cache
from pathlib import Path
from typing import Any

from wherewhen.core.documents import json_of
from wherewhen.core.errors import ConfigError, first_line
from wherewhen.core.store import Spare, cache_folder, content_hash, fingerprint, locked, write_json
from wherewhen.runtime.hardware import processor

ISA_LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
"""Variables that keep oneDNN from some instruction sets."""


def has_bf16(device: str) -> bool:
    """Whether a device computes in bf16 natively, so that it can be faster."""
    import torch

    if kind_of(device) == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    try:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    except (AttributeError, RuntimeError):
        return False


def has_tiles() -> bool:
    """Whether this processor multiplies bf16 in tiles (AMX), and oneDNN is not kept from it by its own variables."""
    limits = [os.environ.get(name, "ALL").upper() for name in ISA_LIMITS]
    may_use = all(limit in ("ALL", "DEFAULT") or "AMX" in limit for limit in limits)
    return may_use and "amx_bf16" in processor()["instruction_sets"]


def kind_of(device: str) -> str:
    """``cuda`` of ``cuda:1``."""
    return device.split(":", maxsplit=1)[0]


def pick_device(name: str) -> str:
    """``auto`` becomes cuda where there is one, else cpu; ConfigError for a device that can't be used here."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = first_line(error)
        raise ConfigError(f"device {name!r} can't be used here ({reason}); use auto, cpu or cuda") from None
    return name


@lru_cache(maxsize=64)
def source_hash(path: str) -> str:
    """sha256 of a source file."""
    return content_hash(path)


@lru_cache
def machine() -> dict[str, Any]:
    """The facts that speed and rounding of engines depend on: processor, cores, GPU and versions of libraries."""
    from importlib import metadata

    import torch

    versions = {}
    for name in ("torch", "openvino", "nncf", "onnxruntime"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = ""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    return {"processor": _processor(), "cores": os.cpu_count(), "gpu": gpu, **versions}


def _processor() -> str:
    """Name of the processor, and a fingerprint of its instruction sets."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts = dict(reversed([[part.strip() for part in line.split(":", 1)] for line in lines if ":" in line]))
    flags = sorted(facts.get("flags", facts.get("Features", "")).split())
    return f"{facts.get('model name', platform.machine())} {fingerprint(flags)}"


def _path() -> Path:
    return cache_folder() / "engines.json"


def recall(key: str) -> dict[str, Any] | None:
    """The measurement under a key, None where there is none."""
    entry = _entries().get(key)
    return entry if isinstance(entry, dict) else None


def remember(entries: dict[str, dict[str, Any]]) -> None:
    """Keep measurements by key, with the machine; entries that other processes add meanwhile stay."""
    dated = {key: {**value, "machine": machine()} for key, value in entries.items()}
    with Spare(_path()), locked(_path()):
        write_json(_path(), {**_entries(), **dated})


def _entries() -> dict[str, Any]:
    try:
        entries = json_of(_path().read_bytes())
    except (OSError, ValueError):
        return {}
    return entries if isinstance(entries, dict) else {}

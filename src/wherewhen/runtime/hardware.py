"""The hardware of this machine: processor, instruction sets, cores, memory, GPUs, disks. Nothing is measured."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

SETS = (
    "sse4_2", "avx", "avx2", "f16c", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "avx_vnni",
    "amx_tile", "amx_bf16", "amx_int8", "asimd", "asimddp", "sve", "bf16", "i8mm",
)  # fmt: skip
"""Instruction sets that the speed of networks depends on, as Linux names them."""


def processor() -> dict[str, Any]:
    """Name and instruction sets of the processor, cores of the machine and of this process, threads of torch."""
    facts = cpuinfo()
    flags = set(facts.get("flags", facts.get("Features", "")).lower().replace(".", "_").split())
    return {
        "name": facts.get("model name") or platform.processor() or platform.machine(),
        "architecture": platform.machine(),
        "instruction_sets": [name for name in SETS if name in flags],
        "cores": os.cpu_count(),
        "usable_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }


def described() -> str:
    """Processor, instruction sets and cores in a line, for the head of a table of measurements."""
    facts = processor()
    sets = ", ".join(facts["instruction_sets"]) or "instruction sets unknown"
    return f"{facts['name']} ({sets}), {facts['usable_cores']} cores"


def cpuinfo() -> dict[str, str]:
    """The system's facts about the first processor, by name; empty where there are none."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return _of_macos() if platform.system() == "Darwin" else {}
    return dict(reversed([[part.strip() for part in line.split(":", 1)] for line in lines if ":" in line]))


def _of_macos() -> dict[str, str]:
    names = {"model name": "machdep.cpu.brand_string", "flags": "machdep.cpu.leaf7_features"}
    return {name: text for name, key in names.items() if (text := _output("sysctl", "-n", key))}


def _output(*command: str) -> str:
    """The output of a system command; empty where it is missing or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=1, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def memory() -> dict[str, int | None]:
    """Bytes of memory: in all, available now, and the limit of this container; None where unknown."""
    lines = _read(Path("/proc/meminfo")).splitlines()
    sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.endswith(" kB")}
    limits = (_read(Path("/sys/fs/cgroup") / name) for name in ("memory.max", "memory/memory.limit_in_bytes"))
    limit = next((int(text) for text in limits if text.isdigit() and int(text) < 2**60), None)
    return {"total": sizes.get("MemTotal") or _pages(), "available": sizes.get("MemAvailable"), "limit": limit}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError):
        return ""


def _pages() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def gpus() -> list[dict[str, Any]]:
    """The GPUs that torch can use: name, bytes of memory, compute capability."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    properties = [torch.cuda.get_device_properties(number) for number in range(count)]
    return [
        {"name": gpu.name, "memory": gpu.total_memory, "capability": f"{gpu.major}.{gpu.minor}"} for gpu in properties
    ]


def unused_gpu() -> str:
    """The driver of an NVIDIA GPU that the system has, where torch can't use it; empty where there is none."""
    driver = _read(Path("/proc/driver/nvidia/version"))
    return driver.splitlines()[0] if driver and not gpus() else ""


def folder(path: Path, seconds: float = 0.5) -> dict[str, Any]:
    """A folder: files and bytes in it, and bytes that are free on its disk.

    ``complete`` is false where counting takes longer than ``seconds``; files and bytes are then those counted so far.
    """
    files = size = 0
    end = monotonic() + seconds
    for size_of_file in _files(path):
        files, size = files + 1, size + size_of_file
        if monotonic() > end:
            break
    else:
        end = float("inf")
    existing = next((each for each in (path, *path.absolute().parents) if each.exists()), Path("/"))
    return {
        "path": str(path),
        "exists": path.exists(),
        "files": files,
        "bytes": size,
        "complete": end == float("inf"),
        "free": shutil.disk_usage(existing).free,
        "writable": os.access(existing, os.W_OK),
    }


def _files(path: Path) -> Iterator[int]:
    """Sizes of all files in a folder; unreadable files are left out."""
    for base, _, names in os.walk(path):
        for name in names:
            try:
                yield (Path(base) / name).lstat().st_size
            except OSError:
                continue

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from wherewhen.runtime import hardware


def test_a_folder_is_counted_as_far_as_the_time_allows(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.bin").write_bytes(bytes(100))
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    whole, part = hardware.folder(tmp_path), hardware.folder(tmp_path, seconds=-1)
    assert whole["files"] == 4 and whole["bytes"] >= 300 and whole["complete"]
    assert part["files"] == 1 and not part["complete"]
    missing = hardware.folder(tmp_path / "a" / "b")
    assert missing["files"] == 0 and not missing["exists"] and missing["free"] > 0


def test_a_system_that_says_nothing_gives_what_python_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.read_text

    def closed(path: Path, *args: Any, **more: Any) -> str:
        if path.parts[:2] in (("/", "proc"), ("/", "sys")):
            raise FileNotFoundError(path)
        return real(path, *args, **more)

    monkeypatch.setattr(Path, "read_text", closed)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    found, memory = hardware.processor(), hardware.memory()
    assert found["name"] and found["instruction_sets"] == [] and found["usable_cores"] == os.cpu_count()
    assert memory["total"] and memory["available"] is None and memory["limit"] is None
    assert hardware.unused_gpu() == ""


def test_instruction_sets_are_named_as_linux_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = {"model name": "A processor", "flags": "fpu sse4_2 avx2 avx512_bf16 amx_tile other"}
    monkeypatch.setattr(hardware, "cpuinfo", lambda: facts)
    found = hardware.processor()
    assert found["name"] == "A processor" and found["instruction_sets"] == ["sse4_2", "avx2", "avx512_bf16", "amx_tile"]


def test_the_head_of_a_table_names_the_processor_and_its_cores() -> None:
    facts = hardware.processor()
    assert hardware.described().startswith(f"{facts['name']} (")
    assert hardware.described().endswith(f", {facts['usable_cores']} cores")
    assert all(name in hardware.described() for name in facts["instruction_sets"])

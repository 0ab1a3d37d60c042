"""Plug-ins of other packages stand beside ours, by their entry points."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from wherewhen.core import registry
from wherewhen.core.errors import ConfigError


def test_another_package_adds_a_plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    about = tmp_path / "theirs-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[wherewhen.metrics]\ntheir_metric = their_module:PLUGIN\n")
    (tmp_path / "their_module.py").write_text("PLUGIN = 'theirs'\n")
    before = registry.names("metrics")
    with pytest.raises(ConfigError, match="unknown metric 'their_metric'"):
        registry.load("metrics", "their_metric")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    assert registry.names("metrics") == sorted([*before, "their_metric"])
    assert registry.load("metrics", "their_metric") == "theirs"
    assert registry.names("methods") == sorted(set(registry.names("methods")))


def test_files_that_begin_with_a_line_are_no_plug_ins() -> None:
    assert not [name for kind in registry.KINDS for name in registry.names(kind) if name.startswith("_")]
    with pytest.raises(ConfigError, match="unknown kind of plug-in 'metods'; did you mean 'methods'"):
        registry.names("metods")

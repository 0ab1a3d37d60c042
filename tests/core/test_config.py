from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherewhen.core import config, documents
from wherewhen.core.errors import ConfigError


@dataclass(frozen=True)
class Inner:
    steps: int = 3


@dataclass(frozen=True)
class Settings:
    size: tuple[int, int] | None = None
    rate: float = 12.5
    inner: Inner = Inner()


def test_records_make_the_round_trip_through_yaml(tmp_path: Path) -> None:
    record = Settings((7, 7), 10.0, Inner(5))
    config.write_yaml(tmp_path / "c.yaml", {"cells": record})
    assert config.build(Settings, config.read_yaml(tmp_path / "c.yaml")["cells"], "cells") == record


@dataclass(frozen=True)
class Outer:
    settings: Settings = Settings(rate=5.0, inner=Inner(9))


def test_what_is_not_given_of_an_inner_record_is_what_the_outer_one_has() -> None:
    found = config.build(Outer, {"settings": {"size": [1, 2], "inner": {}}}, "outer").settings
    assert found == Settings((1, 2), 5.0, Inner(9))


def test_nothing_given_is_the_default() -> None:
    assert config.build(Settings, None, "cells") == Settings()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sise": 1}, "unknown setting of cells 'sise'; did you mean 'size'"),
        ({"inner": {"stepps": 1}}, "setting of cells.inner 'stepps'; did you mean 'steps'"),
        ({"rate": "fast"}, "rate"),
        ({"size": [1, 2, 3]}, "size"),
    ],
)
def test_wrong_settings_are_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config.build(Settings, values, "cells")


@pytest.mark.parametrize("text", ["- a\n", "a: [", ""])
def test_files_that_hold_no_settings_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"c\.yaml"):
        config.read_yaml(tmp_path / "c.yaml")
    with pytest.raises(ConfigError, match="no such settings file"):
        config.read_yaml(tmp_path / "none.yaml")


def test_consent_never_comes_out_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        "trust: true\nfile: {path: net.pt, trust: true}\nimported: {settings: {trust: yes}}"
    )
    assert config.read_yaml(tmp_path / "c.yaml") == {"file": {"path": "net.pt"}, "imported": {"settings": {}}}


@dataclass(frozen=True)
class Loose:
    own: dict[str, Any] = field(default_factory=dict)
    either: str | dict[str, Any] | None = None
    some: tuple[str, ...] = ()
    kind: Literal["back", "drop"] = "back"
    on: bool = False


@pytest.mark.parametrize(
    ("record", "values", "told"),
    [
        (Settings, {"inner": 5}, "settings of x.inner: expected 'name: value' pairs, got 5"),
        (Settings, {"inner": "/etc/passwd"}, "settings of x.inner: expected 'name: value' pairs, got '/etc/passwd'"),
        (Settings, [1], "settings of x: expected 'name: value' pairs, got a list of 1"),
        (Settings, {"rate": float("nan")}, "rate: expected a finite number"),
        (Settings, {"rate": float("inf")}, "rate: expected a finite number"),
        (Settings, {"rate": 10**5000}, "rate: expected a finite number, got a larger one"),
        (Settings, {"rate": True}, "rate: expected a number, got True"),
        (Settings, {"inner": {"steps": 3.5}}, "x.inner: steps: expected a whole number, got 3.5"),
        (Settings, {"inner": {"steps": 10**5000}}, "steps: expected a whole number of sensible size"),
        (Settings, {"inner": {"steps": None}}, "steps: expected a whole number, got None"),
        (Settings, {"size": [1, "a"]}, "size: expected a whole number, got 'a'"),
        (Loose, {"own": "/etc/passwd"}, "own: expected 'name: value' pairs"),
        (Loose, {"either": 5}, "either: expected text or 'name: value' pairs or null, got 5"),
        (Loose, {"some": "abc"}, "some: expected a list, got 'abc'"),
        (Loose, {"some": [1]}, "some: expected text, got 1"),
        (Loose, {"kind": "front"}, "kind: expected one of back, drop, got 'front'"),
        (Loose, {"on": "yes"}, "on: expected true or false"),
        (Loose, {"some": "x" * 10_000}, r"xxx\.\.\."),
        (Loose, {"o" * 10_000: 1}, "unknown setting of x 'ooo"),
    ],
)
def test_values_of_a_wrong_type_are_named_and_cut_short(record: Any, values: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        config.build(record, values, "x")
    assert len(str(caught.value)) < 300


def test_a_value_is_never_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A class that a value names is not even imported."""
    (tmp_path / "evil.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    named = {"class_path": "evil.Thing", "init_args": {}}
    assert config.build(Loose, {"own": {"x": named}, "either": named}, "x").own == {"x": named}
    assert "evil" not in sys.modules


words = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), max_size=8)
numbers = st.integers(-(2**62), 2**62) | st.floats(allow_nan=False, allow_infinity=False)
plain = st.recursive(
    st.none() | st.booleans() | numbers | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(words, plain, max_size=4))
@settings(max_examples=100, deadline=None)
def test_what_is_written_is_what_is_read(values: dict[str, Any]) -> None:
    assert documents.yaml_of(documents.yaml_text(values)) == values
    assert documents.json_of(json.dumps(values)) == values

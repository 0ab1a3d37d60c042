from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from wherewhen import config
from wherewhen.errors import ConfigError


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

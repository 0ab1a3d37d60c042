"""A camera uses the model that was promoted in place of its own, and changes to it while it runs."""

from __future__ import annotations

import logging
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any

import pytest

from wherewhen import cli
from wherewhen.live import champions, service
from wherewhen.live.champions import CHANGED, champion, stop_when_replaced
from wherewhen.live.database import Database
from wherewhen.review import runs


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """A run, and one that learned from it; the store below ``live`` knows both."""
    folders = tmp_path / "yard", tmp_path / "yard-2"
    for folder in folders:
        (folder / "weights").mkdir(parents=True)
        (folder / "weights" / "best.safetensors").write_bytes(folder.name.encode())
    better = {"promoted": True, "reason": "2 false alarms instead of 6"}
    with Database(tmp_path / "live") as database:
        runs.record(database, runs.sha_of(folders[0]), folders[1], better, [], 1.0)
    return folders


def test_control_promotes_and_rolls_back(
    pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, (first, second) = tmp_path / "live", pair
    assert champion(store, str(first)) == str(first)
    assert cli.main(["control", "promote", str(second), str(store)]) == 0
    assert "2 false alarms instead of 6" in capsys.readouterr().out
    assert champion(store, str(first)) == str(second)
    assert cli.main(["control", "rollback", str(second), str(store)]) == 0
    assert champion(store, str(first)) == str(first)
    assert cli.main(["control", "rollback", str(second), str(store)]) == 2
    assert "nothing to roll back" in capsys.readouterr().err


def test_a_running_camera_ends_for_the_new_model(
    pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(champions, "EVERY", 0.01)
    store, (first, second) = tmp_path / "live", pair
    stop, replaced = Event(), Event()
    watcher = Thread(target=stop_when_replaced, args=("yard", store, str(first), str(first), stop, replaced))
    watcher.start()
    assert not stop.wait(0.1), "nothing changed"
    with Database(store) as database:
        runs.promote(database, str(second), 2.0)
    watcher.join(10)
    assert stop.is_set() and replaced.is_set()


def test_a_process_that_ended_for_a_new_model_is_started_at_once_and_has_not_died(
    caplog: pytest.LogCaptureFixture,
) -> None:
    child: Any = SimpleNamespace(finished=False, process=SimpleNamespace(is_alive=lambda: False, exitcode=CHANGED))
    fresh: Any = SimpleNamespace(starts=0)
    with caplog.at_level(logging.ERROR, "wherewhen"):
        assert service._supervised("yard", child, lambda: fresh, None) is fresh  # type: ignore[arg-type]
    assert not caplog.records

"""What actors of a Ray cluster are given; that they watch is in tests/live/test_machines.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from wherewhen import cli
from wherewhen.core.config import build
from wherewhen.core.errors import ConfigError
from wherewhen.live.settings import WatchConfig
from wherewhen.server.actors import Task, tasks

SETTINGS: dict[str, Any] = {
    "model": "runs/yard", "hub": {"url": "http://10.0.0.2:5000"}, "store": {"path": "live", "bytes": "2GB", "days": 3},
    "sinks": {"mqtt": {"host": "10.0.0.9"}}, "server": {"host": "127.0.0.1", "port": 5000},
    "cameras": {"yard": "rtsp://10.0.0.5/1", "gate": {"url": "rtsp://10.0.0.6/1", "budget": {"per_day": 2}}},
}  # fmt: skip


def made(settings: dict[str, Any]) -> dict[str, Task]:
    return tasks(settings, build(WatchConfig, settings, "watch"), "cpu", True, "text")


def test_each_camera_has_its_store_a_share_of_its_size_and_a_free_port() -> None:
    every = made(SETTINGS)
    assert list(every) == ["yard", "gate"]
    configs = {name: build(WatchConfig, task.settings, name) for name, task in every.items()}
    for name, config in configs.items():
        assert list(config.of_cameras) == [name]
        assert (config.store.path, config.store.size, config.store.days) == (f"live/cameras/{name}", 10**9, 3)
        assert config.server is not None and config.server.port == 0
        assert config.of_hub.url == "http://10.0.0.2:5000" and not config.sinks
    assert configs["gate"].of_cameras["gate"].budget is not None
    assert every["yard"].folder == str(Path.cwd())


def test_tasks_are_known_by_their_settings() -> None:
    first, again, other = made(SETTINGS), made(SETTINGS), made({**SETTINGS, "model": "runs/yard-2"})
    assert first["yard"].key == again["yard"].key != other["yard"].key
    assert first["yard"].key != first["gate"].key


def test_actors_need_a_hub(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match="add hub"):
        made({name: value for name, value in SETTINGS.items() if name != "hub"})
    file = tmp_path / "cameras.yaml"
    file.write_text("model: run\ncameras: {yard: rtsp://10.0.0.5/1}\n")
    assert cli.main(["watch", str(file), "--distributed", "ray"]) == 2
    assert "--hub URL" in capsys.readouterr().err
    assert cli.main(["watch", str(file), "--distributed", "ray", "--shard", "1/2"]) == 2
    assert "Ray chooses the machine" in capsys.readouterr().err

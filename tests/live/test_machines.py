"""A hub and a machine as processes, killed in turn while alerts are open: every alert is sent once."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from wherewhen.live.database import Database
from wherewhen.video.writer import Writer

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

TOKEN = "machines-0123456789"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def film(path: Path) -> None:
    """A minute of a spot before a wall."""
    with Writer(path, 12.5) as writer:
        for index in range(750):
            picture = np.full((48, 64, 3), 90, np.uint8)
            picture[8:24, index % 56 : index % 56 + 8] = 200
            writer.write(picture)


def camera_process(service: int) -> int:
    """The process of the camera of a service."""
    children = Path(f"/proc/{service}/task/{service}/children").read_text().split()
    (child,) = [int(one) for one in children if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()]
    return child


class Scene:
    """A hub and a machine as processes, with one camera that has an alert from its first to its last picture."""

    def __init__(self, folder: Path, model: Path) -> None:
        film(folder / "gate.mp4")
        self.folder, self.log = folder, (folder / "log").open("ab")
        self._lines, self._started = folder / "alerts.jsonl", list[subprocess.Popen[bytes]]()
        port, self._file = free_port(), folder / "cameras.yaml"
        alerts = "alerts: {threshold: 1.0e-9, cooldown_seconds: 0}"
        self._file.write_text(
            f"model: {model}\nhub: {{url: 'http://127.0.0.1:{port}', name: east}}\n"
            f"sinks: {{file: {{path: {self._lines}}}}}\nserver: {{port: {free_port()}}}\n"
            f"cameras: {{gate: {{url: {folder / 'gate.mp4'}, {alerts}}}}}\n"
        )
        self._hub = ("hub", str(self._file), "--output", str(folder / "hub"), "--port", str(port))

    def hub(self) -> subprocess.Popen[bytes]:
        return self._start(*self._hub)

    def machine(self, *words: str) -> subprocess.Popen[bytes]:
        return self._start("watch", str(self._file), "--output", str(self.folder / "east"), "--device", "cpu", *words)

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "wherewhen", *words]
        self._started.append(subprocess.Popen(command, stderr=self.log, env={**os.environ, "HUB_TOKEN": TOKEN}))
        return self._started[-1]

    @property
    def changes(self) -> list[tuple[str, str]]:
        """Kind and id of what the hub sent."""
        plain = [json.loads(line) for line in self._lines.read_text().splitlines()] if self._lines.exists() else []
        return [(one["type"], one["after"]["id"]) for one in plain if one["type"] in ("new", "end")]

    def wait_for(self, count: int) -> None:
        end = time.monotonic() + 240
        while len(self.changes) < count:
            assert time.monotonic() < end, (self.changes, (self.folder / "log").read_text())
            time.sleep(0.1)

    def finish(self, machine: subprocess.Popen[bytes], hub: subprocess.Popen[bytes], alerts: int) -> list[str]:
        """End both; the ids of so many alerts, each of which the hub sent once, and then its end."""
        machine.terminate()
        assert machine.wait(60) == 0
        self.wait_for(2 * alerts)
        hub.terminate()
        assert hub.wait(60) == 0
        ids = [id for kind, id in self.changes if kind == "new"]
        assert self.changes == [(kind, id) for id in ids for kind in ("new", "end")]
        assert len(set(ids)) == alerts
        assert TOKEN not in (self.folder / "log").read_text()
        return ids

    def close(self) -> None:
        for process in self._started:
            process.kill()
            process.wait()
        self.log.close()


@pytest.fixture
def scene(yard: Path, tmp_path: Path) -> Iterator[Scene]:
    one = Scene(tmp_path, yard)
    yield one
    one.close()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="processes are found in /proc")
def test_hub_camera_and_machine_are_killed_and_every_alert_is_sent_once(scene: Scene, tmp_path: Path) -> None:
    hub, machine = scene.hub(), scene.machine("--shard", "1/1")
    scene.wait_for(1)
    hub.kill()
    hub.wait()
    os.kill(camera_process(machine.pid), signal.SIGKILL)  # the next process ends the alert, and begins another one
    with Database(tmp_path / "east") as waiting:
        end = time.monotonic() + 60
        while len(waiting.rows("SELECT 1 FROM outbox WHERE key LIKE '%:new' OR key LIKE '%:end'")) < 2:
            assert time.monotonic() < end
            time.sleep(0.1)
    hub = scene.hub()
    scene.wait_for(3)
    machine.kill()
    machine.wait()
    machine = scene.machine("--shard", "1/1")
    scene.wait_for(5)
    ids = scene.finish(machine, hub, alerts=3)
    with Database(tmp_path / "hub") as database:
        rows = database.rows("SELECT id, t1 IS NOT NULL, snapshot, machine IS NOT NULL FROM item ORDER BY t0")
        states = database.rows("SELECT state, cause FROM camera")
    assert [(id, ended, remote) for id, ended, _, remote in rows] == [(id, 1, 1) for id in ids]
    assert all((tmp_path / "hub" / name).is_file() for _, _, name, _ in rows)
    assert states == [("offline", "machine east gave it up")]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="processes are found in /proc")
def test_an_actor_of_ray_is_killed_and_every_alert_is_sent_once(scene: Scene, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    hub, machine = scene.hub(), scene.machine("--distributed", "ray")
    scene.wait_for(1)
    with Database(tmp_path / "east" / "cameras" / "gate") as store:
        ((process,),) = store.rows("SELECT pid FROM service")
    os.kill(process, signal.SIGKILL)  # the next one ends the alert, and begins another one
    scene.wait_for(3)
    scene.finish(machine, hub, alerts=2)
    assert len(set(re.findall(r"gate: watched by process (\d+)", (tmp_path / "log").read_text()))) == 2
    with Database(tmp_path / "hub") as database:
        assert database.rows("SELECT state, cause FROM camera") == [("offline", "machine east/gate gave it up")]

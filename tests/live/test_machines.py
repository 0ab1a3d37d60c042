"""A hub and a machine as processes, killed in turn while alerts are open: every alert is sent once."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
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


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="processes are found in /proc")
def test_hub_camera_and_machine_are_killed_and_every_alert_is_sent_once(yard: Path, tmp_path: Path) -> None:
    film(tmp_path / "gate.mp4")
    hub_port, machine_port, lines = free_port(), free_port(), tmp_path / "alerts.jsonl"
    file = tmp_path / "cameras.yaml"
    file.write_text(
        f"model: {yard}\nhub: {{url: 'http://127.0.0.1:{hub_port}', name: east}}\nsinks: {{file: {{path: {lines}}}}}\n"
        f"server: {{port: {machine_port}}}\n"
        f"cameras: {{gate: {{url: {tmp_path / 'gate.mp4'}, alerts: {{threshold: 1.0e-9, cooldown_seconds: 0}}}}}}\n"
    )
    log = (tmp_path / "log").open("ab")

    def start(*words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "wherewhen", *words]
        return subprocess.Popen(command, stderr=log, env={**os.environ, "HUB_TOKEN": TOKEN})

    hub_words = ("hub", str(file), "--output", str(tmp_path / "hub"), "--port", str(hub_port))
    machine_words = ("watch", str(file), "--shard", "1/1", "--output", str(tmp_path / "east"), "--device", "cpu")

    def changes() -> list[tuple[str, str]]:
        plain = [json.loads(line) for line in lines.read_text().splitlines()] if lines.exists() else []
        return [(one["type"], one["after"]["id"]) for one in plain if one["type"] in ("new", "end")]

    def wait_for(count: int) -> None:
        end = time.monotonic() + 120
        while len(changes()) < count:
            assert time.monotonic() < end, (changes(), (tmp_path / "log").read_text())
            time.sleep(0.1)

    hub, machine = start(*hub_words), start(*machine_words)
    try:
        wait_for(1)
        hub.kill()
        hub.wait()
        os.kill(camera_process(machine.pid), signal.SIGKILL)  # the next process ends the alert, and begins another one
        with Database(tmp_path / "east") as waiting:
            end = time.monotonic() + 60
            while len(waiting.rows("SELECT 1 FROM outbox WHERE key LIKE '%:new' OR key LIKE '%:end'")) < 2:
                assert time.monotonic() < end
                time.sleep(0.1)
        hub = start(*hub_words)
        wait_for(3)
        machine.kill()
        machine.wait()
        machine = start(*machine_words)
        wait_for(5)
        machine.terminate()
        assert machine.wait(60) == 0
        wait_for(6)
        hub.terminate()
        assert hub.wait(60) == 0
    finally:
        for process in (hub, machine):
            process.kill()
            process.wait()
        log.close()
    ids = [id for kind, id in changes() if kind == "new"]
    assert changes() == [(kind, id) for id in ids for kind in ("new", "end")]
    assert len(set(ids)) == 3
    assert TOKEN not in (tmp_path / "log").read_text()
    with Database(tmp_path / "hub") as database:
        rows = database.rows("SELECT id, t1 IS NOT NULL, snapshot, machine IS NOT NULL FROM item ORDER BY t0")
        states = database.rows("SELECT state, cause FROM camera")
    assert [(id, ended, remote) for id, ended, _, remote in rows] == [(id, 1, 1) for id in ids]
    assert all((tmp_path / "hub" / name).is_file() for _, _, name, _ in rows)
    assert states == [("offline", "machine east gave it up")]

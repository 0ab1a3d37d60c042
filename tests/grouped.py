"""Machines and their hub in one process: a hub that answers over HTTP, and machines that do one thing at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

START = 1_790_000_000.0
TOKEN = "machines-0123456789"


def jpeg() -> bytes:
    from PIL import Image

    data = BytesIO()
    Image.new("RGB", (640, 360), (90, 120, 60)).save(data, "JPEG")
    return data.getvalue()


class Clock:
    """The time of day of all machines, moved by hand."""

    def __init__(self) -> None:
        self.now = START

    def time(self) -> float:
        return self.now


class HubHere:
    """A hub in a folder, whose server can be stopped and started again."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        from wherewhen.live.database import Database
        from wherewhen.live.presence import Presence

        self.folder, self.clock = folder, clock
        self.database = Database(folder)
        self.presence = Presence(self.database, {"yard": {}, "gate": {}}, ["kept"], watches=False)
        self._stack = ExitStack()
        self.port = 0
        self.start()

    def start(self) -> None:
        from wherewhen.live.hub import Group, Hub
        from wherewhen.live.settings import ServerConfig
        from wherewhen.server.web_server import serving

        self.hub = Hub(self.folder, ["kept"], ["kept"], self.clock.now)
        group = Group(TOKEN, self.hub)
        self.port = self._stack.enter_context(serving(self.folder, ServerConfig(port=self.port), group))
        self.url = f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self._stack.close()

    def close(self) -> None:
        self.stop()
        self.presence.close()

    @property
    def sent(self) -> list[tuple[str, str]]:
        """Id and kind of the messages of alerts for its sinks, in order."""
        rows = self.database.rows("SELECT message_json FROM outbox WHERE key NOT LIKE '%:state' ORDER BY id")
        plain = [json.loads(text) for (text,) in rows]
        return [(one["id"], one["kind"]) for one in plain]

    @property
    def states(self) -> list[tuple[str, str | None]]:
        rows = self.database.rows("SELECT message_json FROM outbox WHERE key LIKE '%:state' ORDER BY id")
        return [(json.loads(text)["after"]["state"], json.loads(text)["after"]["cause"]) for (text,) in rows]


class MachineHere:
    """A machine with the camera yard: what it does is told step by step."""

    def __init__(self, folder: Path, hub: HubHere, name: str, address: str = "") -> None:
        from wherewhen.live import member
        from wherewhen.live.database import Database
        from wherewhen.live.remote import Remote
        from wherewhen.sinks.hub import Hub, HubConfig

        self.folder, self.hub, self.name = folder, hub, name
        self.database = Database(folder)
        member.mirror(self.database, True)
        member.wait_for_hub(self.database, ["yard"])
        facts = json.dumps({"yard": {"per_day": 2.0, "model": "ab"}})
        self.database.write("INSERT OR REPLACE INTO service VALUES (1, 1, ?, ?, NULL, ?)", START, START, facts)
        self.sink = Hub(HubConfig(hub.url, TOKEN, name, address))
        self.sink.started(["yard"], self.database.store)
        self._remote = Remote(self.sink, self.database)
        self.state("ok")

    def state(self, state: str, cause: str | None = None) -> None:
        now = self.hub.clock.now
        status = json.dumps({"score": 0.25, "threshold": 0.5, "rate": 12.5, "latency": 1.0, "dropped": 0, "at": now})
        row = ("yard", state, cause, now, now, status)
        self.database.write("INSERT OR REPLACE INTO camera VALUES (?, ?, ?, ?, ?, ?)", *row)

    def beat(self) -> None:
        """Report, and do what the hub asks; then changes of the state go on, as far as the hub answers."""
        from wherewhen.core.contracts.sinks import Undelivered

        self._remote._next = 0.0
        self._remote()
        for number, message, _ in self.database.waiting("hub", float("inf"), 1000):
            if message.id.startswith("row:camera:"):
                with suppress(Undelivered):
                    self.sink.send(message)
                    self.database.sent(number)

    @property
    def holder(self) -> str | None:
        """The machine that has the camera, as this one sees it; None: this one."""
        rows = self.database.rows("SELECT holder FROM standby WHERE camera = 'yard'")
        return rows[0][0] if rows else None

    def alert(self, id: str, *kinds: str, clip: bytes | None = None) -> None:
        """What a camera's process writes when an alert begins (new) and ends (end), at the present time."""
        from wherewhen.core.contracts.sinks import Message
        from wherewhen.core.store import write_atomic

        now = self.hub.clock.now
        for kind in kinds:
            name = f"snapshots/yard/{id}.jpg"
            if kind == "new":
                write_atomic(self.folder / name, jpeg())
                columns = "id, camera, t0, severity, score, threshold, zones_json, box_json, snapshot, state, alerted"
                row = (id, "yard", now, "alert", 0.9, 0.5, '["door"]', "[0, 0, 1, 1]", name, "ok", now)
                marks = ", ".join("?" * len(row))
                self.database.write(f"INSERT INTO item({columns}) VALUES ({marks})", *row)
            if kind == "end":
                file = f"clips/yard/{id}.mp4" if clip is not None else None
                if clip is not None and file is not None:
                    write_atomic(self.folder / file, clip)
                self.database.write("UPDATE item SET t1 = ?, clip = ? WHERE id = ?", now, file, id)
            ((start,),) = self.database.rows("SELECT t0 FROM item WHERE id = ?", id)
            message = Message(id, kind, "yard", {"start_time": start}, at=now)  # type: ignore[arg-type]
            self.database.post(["hub"], f"{id}:{kind}", message, name)

    def deliver(self, *, lose_answers: bool = False) -> None:
        """Send what waits; with lost answers it stays, and is sent again."""
        for number, message, _ in self.database.waiting("hub", float("inf"), 1000):
            self.sink.send(message)
            if not lose_answers:
                self.database.sent(number)

    def close(self) -> None:
        self.sink.close()
        self.database.close()


class Group:
    """A hub and machines by name."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock = folder, Clock()
        self.hub = HubHere(folder / "hub", self.clock)
        self.machines: list[MachineHere] = []

    def machine(self, name: str, **more: Any) -> MachineHere:
        one = MachineHere(self.folder / f"{name}-{len(self.machines)}", self.hub, name, **more)
        self.machines.append(one)
        return one

    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    def close(self) -> None:
        for machine in self.machines:
            machine.close()
        self.hub.close()


@contextmanager
def grouped(folder: Path) -> Iterator[Group]:
    """A group whose members share one clock."""
    one = Group(folder)
    with pytest.MonkeyPatch.context() as patch:
        for module in ("server.machines", "sinks.hub", "live.remote"):
            clock = SimpleNamespace(time=one.clock.time, monotonic=one.clock.time)
            patch.setattr(f"wherewhen.{module}.time", clock)
        try:
            yield one
        finally:
            one.close()

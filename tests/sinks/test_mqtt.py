"""Messages at a broker that comes, goes and comes back."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest

from wherewhen.core.contracts.sinks import Message, Undelivered
from wherewhen.core.errors import ConfigError
from wherewhen.live.database import Database
from wherewhen.live.outbox import Outbox
from wherewhen.sinks.mqtt import Mqtt, MqttConfig, discovery
from wherewhen.video.writer import Writer

paho = pytest.importorskip("paho.mqtt.client")
BROKER = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
needs_broker = pytest.mark.skipif(BROKER is None, reason="no mosquitto: apt-get install mosquitto")

ALERT = Message("1.5-abc", "new", "yard", {"id": "1.5-abc", "score": 0.9}, snapshot=b"jpeg", at=5.0)


class Broker:
    """A mosquitto on a free port of this machine, and what it passes on to a subscriber."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.file = folder / "mosquitto.conf"
        self.file.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
        self.received: list[tuple[str, bytes]] = []
        self.start()
        self.listener = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self.listener.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self.subscribed = Event()
        self.listener.on_subscribe = lambda *_: self.subscribed.set()
        self.listener.on_message = lambda _client, _data, one: self.received.append((one.topic, one.payload))
        self.listener.reconnect_delay_set(1, 1)
        self.listener.connect("127.0.0.1", self.port)
        self.listener.loop_start()
        assert self.subscribed.wait(10)

    def start(self) -> None:
        assert BROKER is not None
        self.process = subprocess.Popen([BROKER, "-c", self.file], stderr=subprocess.DEVNULL)
        end = time.monotonic() + 10
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)

    def stop(self) -> None:
        self.subscribed.clear()
        self.process.terminate()
        self.process.wait(10)

    def kill(self) -> None:
        self.subscribed.clear()
        self.process.kill()
        self.process.wait(10)

    def wait_for(self, topic: str, count: int = 1) -> list[bytes]:
        end = time.monotonic() + 10
        while time.monotonic() < end:
            payloads = [payload for name, payload in self.received if name == topic]
            if len(payloads) >= count:
                return payloads
            time.sleep(0.02)
        raise AssertionError(f"{topic}: {self.received}")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    one = Broker(tmp_path)
    yield one
    one.listener.loop_stop()
    one.listener.disconnect()
    one.listener.on_subscribe = one.listener.on_message = None  # free to be collected at once
    one.stop()


@needs_broker
def test_an_alert_is_in_the_topics_of_frigate(broker: Broker) -> None:
    sink = Mqtt(MqttConfig(port=broker.port, host="127.0.0.1"))
    sink.started(["yard"], "ab")
    sink.send(ALERT)
    sink.send(Message("s", "state", "yard", {"state": "dark", "cause": None}))
    sink.send(Message("1.5-abc", "end", "yard", {"id": "1.5-abc"}, {"id": "1.5-abc"}))
    sink.stopped()
    sink.close()
    assert [payload.decode() for payload in broker.wait_for("wherewhen/available", 2)][-1] == "stopped"
    events = [json.loads(payload) for payload in broker.wait_for("wherewhen/events", 2)]
    assert [event["type"] for event in events] == ["new", "end"]
    assert events[0]["after"] == events[0]["before"] == {"id": "1.5-abc", "score": 0.9}
    assert broker.wait_for("wherewhen/yard/alert", 2) == [b"ON", b"OFF"]
    assert broker.wait_for("wherewhen/yard/snapshot") == [b"jpeg"]
    assert broker.wait_for("wherewhen/yard/state") == [b"dark"]
    assert json.loads(broker.wait_for("wherewhen/yard/event")[0])["event_type"] == "anomaly"
    assert json.loads(broker.wait_for(discovery("yard", sink.config)[0])[0])["device"]["name"] == "yard"


@needs_broker
def test_a_broker_that_was_away_gets_every_message_once(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wherewhen.sinks.mqtt.TIMEOUT", 0.5)
    sink = Mqtt(MqttConfig(port=broker.port, host="127.0.0.1"))
    sink.started(["yard"], "ab")
    broker.stop()
    end = time.monotonic() + 10
    while sink._connected.is_set() and time.monotonic() < end:
        time.sleep(0.02)
    with pytest.raises(Undelivered):
        sink.send(ALERT)
    broker.start()
    assert broker.subscribed.wait(20)
    broker.received.clear()
    end, sent = time.monotonic() + 20, False
    while not sent and time.monotonic() < end:
        try:
            sink.send(ALERT)
            sent = True
        except Undelivered:
            time.sleep(0.1)
    sink.close()
    assert sent
    assert len(broker.wait_for("wherewhen/events")) == 1


@needs_broker
def test_users_control_cameras_and_see_what_holds(broker: Broker, tmp_path: Path) -> None:
    """Through the broker, the outbox and the database: what is asked, what is refused, and what is shown."""
    database = Database(tmp_path)
    database.write("INSERT INTO control(camera, layout) VALUES ('yard', '{}')")
    status = json.dumps({"score": 0.25, "rate": 12.5, "frames": 7, "budget": {"per_day": 1.0}})
    database.write("INSERT INTO camera VALUES ('yard', 'ok', NULL, 0, ?, ?)", time.time(), status)
    columns = "id, camera, t0, t1, severity, score, threshold, zones_json, state"
    database.write(f"INSERT INTO item({columns}) VALUES ('a1', 'yard', 5, 9, 'alert', 0.9, 0.8, '[]', 'ok')")
    broker.listener.publish("wherewhen/yard/enabled/set", "OFF", qos=1, retain=True).wait_for_publish(5)
    config = MqttConfig(port=broker.port, host="127.0.0.1")
    outbox = Outbox(tmp_path, {"mqtt": lambda: Mqtt(config)}, ["yard"])
    assert broker.wait_for("wherewhen/yard/enabled/state") == [b"ON"], "a retained command is not done"
    assert broker.wait_for("wherewhen/yard/notifications/suspended") == [b"0"]
    assert float(broker.wait_for("wherewhen/yard/score")[0]) == 0.25
    row = json.loads(broker.wait_for("wherewhen/stats")[0])["cameras"]["yard"]
    assert (row["camera_fps"], row["state"], row["budget"]) == (12.5, "ok", {"per_day": 1.0})
    for topic, payload in (
        ("yard/enabled/set", "MAYBE"), ("yrd/enabled/set", "OFF"), ("yard/verdict/set", '{"id": "a1"'),
        ("yard/verdict/set", '{"id": "a1", "verdict": "false"}'), ("yard/rebaseline/set", "PRESS"),
        ("yard/notifications/suspend", "30"), ("yard/enabled/set", "OFF"),
    ):  # fmt: skip
        broker.listener.publish(f"wherewhen/{topic}", payload, qos=1).wait_for_publish(5)
    assert broker.wait_for("wherewhen/yard/enabled/state", 2)[-1] == b"OFF"
    until = float(broker.wait_for("wherewhen/yard/notifications/suspended", 2)[-1])
    assert until == pytest.approx(time.time() + 1800, abs=30)
    assert database.rows("SELECT enabled, accepting FROM control") == [(0, 1)]
    assert database.rows("SELECT item, verdict FROM verdict") == [("a1", "false")]
    outbox.close()
    database.close()


def test_home_assistant_learns_of_a_camera() -> None:
    topic, payload = discovery("yard", MqttConfig(prefix="cams", client_id="w"))
    assert topic == "homeassistant/device/w_yard/config"
    components: dict[str, Any] = payload["components"]
    assert components["alert"]["state_topic"] == "cams/yard/alert"
    assert components["enabled"]["command_topic"] == "cams/yard/enabled/set"
    assert components["rebaseline"]["command_topic"] == "cams/yard/rebaseline/set"
    assert len({component["unique_id"] for component in components.values()}) == len(components)
    assert payload["availability_topic"] == "cams/available"


def test_settings_that_no_broker_takes_are_errors() -> None:
    for settings in ({"port": 0}, {"prefix": "a/#"}, {"prefix": ""}):
        with pytest.raises(ConfigError, match=r"mqtt\."):
            MqttConfig(**settings)  # type: ignore[arg-type]


RECORDING = 40.0  # seconds


def recorded(path: Path) -> None:
    """A wall and a spot."""
    with Writer(path, 12.5) as writer:
        for index in range(round(RECORDING * 12.5)):
            picture = np.full((48, 64, 3), 90, np.uint8)
            picture[8:24, index % 56 : index % 56 + 8] = (180, 120, 60)
            writer.write(picture)


def camera_of(service: subprocess.Popen[bytes]) -> int:
    """The process of the only camera of a service, once it is there."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for child in Path(f"/proc/{service.pid}/task/{service.pid}/children").read_text().split():
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                return int(child)
        time.sleep(0.05)
    raise AssertionError("no process of a camera")


@needs_broker
def test_a_connection_that_breaks_within_a_message_doubles_nothing(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wherewhen.sinks.mqtt.TIMEOUT", 0.5)
    sink = Mqtt(MqttConfig(port=broker.port, host="127.0.0.1", discovery=""))
    sink.started(["yard"], "ab")
    broker.wait_for("wherewhen/available")
    os.kill(broker.process.pid, signal.SIGSTOP)  # it takes what comes, and answers nothing
    for _ in range(3):
        with pytest.raises(Undelivered, match="no answer"):
            sink.send(ALERT)
    os.kill(broker.process.pid, signal.SIGCONT)
    monkeypatch.setattr("wherewhen.sinks.mqtt.TIMEOUT", 10.0)
    sink.send(ALERT)
    sink.close()
    broker.wait_for("wherewhen/yard/event")
    assert len(broker.wait_for("wherewhen/events")) == 1


@needs_broker
@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="processes are found in /proc")
def test_every_alert_arrives_once_though_all_that_takes_part_is_killed(
    broker: Broker, yard: Path, tmp_path: Path
) -> None:
    """Broker, camera and service are killed in turn, each while an alert is open."""
    recorded(tmp_path / "gate.mp4")
    file = tmp_path / "cameras.yaml"
    file.write_text(
        f"model: {yard}\nstore: {{path: {tmp_path / 'live'}}}\n"
        f"sinks: {{mqtt: {{host: 127.0.0.1, port: {broker.port}}}}}\n"
        f"cameras: {{gate: {{url: {tmp_path / 'gate.mp4'}, alerts: {{threshold: 1.0e-9, cooldown_seconds: 0}}}}}}\n"
    )
    words = [sys.executable, "-m", "wherewhen", "watch", str(file), "--device", "cpu"]
    changes: list[tuple[str, str]] = []

    def wait_for(count: int) -> None:
        end = time.monotonic() + 120
        while len(changes) < count:
            assert time.monotonic() < end, (changes, (tmp_path / "log").read_text())
            events = [json.loads(payload) for name, payload in tuple(broker.received) if name == "wherewhen/events"]
            changes[:] = [(one["type"], one["after"]["id"]) for one in events if one["type"] != "update"]
            time.sleep(0.05)

    with (tmp_path / "log").open("wb") as log:
        service = subprocess.Popen(words, stderr=log)
        wait_for(1)
        broker.kill()
        os.kill(camera_of(service), signal.SIGKILL)  # the next process ends the alert, and begins another one
        outbox = Database(tmp_path / "live")
        end = time.monotonic() + 120
        while len(outbox.rows("SELECT 1 FROM outbox WHERE key LIKE '%:new' OR key LIKE '%:end'")) < 2:
            assert time.monotonic() < end
            time.sleep(0.05)
        os.kill(service.pid, signal.SIGSTOP)  # until the listener is there again
        broker.start()
        assert broker.subscribed.wait(20)
        os.kill(service.pid, signal.SIGCONT)
        wait_for(3)
        child = camera_of(service)
        service.kill()
        service.wait()
        again = subprocess.Popen(words, stderr=log)
        wait_for(5)
        again.terminate()
        began = time.monotonic()
        assert again.wait(60) == 0
        assert time.monotonic() - began < 15
        wait_for(6)
    assert not Path(f"/proc/{child}").exists()
    ids = [id for kind, id in changes if kind == "new"]
    assert changes == [(kind, id) for id in ids for kind in ("new", "end")]
    assert len(set(ids)) == 3
    assert outbox.rows("SELECT key FROM outbox") == []
    assert {id for (id,) in outbox.rows("SELECT id FROM item WHERE severity = 'alert' AND t1 IS NOT NULL")} == set(ids)
    outbox.close()
    assert broker.wait_for("wherewhen/available")[-1] == b"stopped"

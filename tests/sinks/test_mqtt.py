"""Messages at a broker that comes, goes and comes back."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from wherewhen.core.contracts.sinks import Message, Undelivered
from wherewhen.core.errors import ConfigError
from wherewhen.sinks.mqtt import Mqtt, MqttConfig, discovery

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
    sink.started(["yard"])
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
    sink.started(["yard"])
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


def test_home_assistant_learns_of_a_camera() -> None:
    topic, payload = discovery("yard", MqttConfig(prefix="cams", client_id="w"))
    assert topic == "homeassistant/device/w_yard/config"
    components: dict[str, Any] = payload["components"]
    assert components["alert"]["state_topic"] == "cams/yard/alert"
    assert len({component["unique_id"] for component in components.values()}) == len(components)
    assert payload["availability_topic"] == "cams/available"


def test_settings_that_no_broker_takes_are_errors() -> None:
    for settings in ({"port": 0}, {"prefix": "a/#"}, {"prefix": ""}):
        with pytest.raises(ConfigError, match=r"mqtt\."):
            MqttConfig(**settings)  # type: ignore[arg-type]

"""Alerts and states of cameras to an MQTT broker, in Frigate's topics and fields, with Home Assistant discovery."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Condition, Event
from typing import Any, ClassVar

from wherewhen.core.contracts.sinks import Message, Obey, SinkAbilities, Standing, Undelivered
from wherewhen.core.documents import json_of
from wherewhen.core.errors import ConfigError
from wherewhen.core.secret_text import filled

TIMEOUT = 10.0
STATS = 60.0  # seconds between two messages with the state of all cameras
LONGEST = 4096  # bytes of a command
COMMANDS = {
    "enabled/set": "enabled", "notifications/suspend": "suspend", "rebaseline/set": "rebaseline",
    "verdict/set": "verdict",
}  # fmt: skip
"""Commands by their topics below that of a camera."""


@dataclass(frozen=True)
class MqttConfig:
    """Settings of the broker.

    Args:
        host: name or number of the broker.
        port: 1883, or 8883 with TLS.
        prefix: first part of all topics.
        username: of the broker; empty: none.
        password: ${NAME} is a variable of the environment, ${file:PATH} the first line of a file.
        tls: encrypt the connection, and check the certificate of the broker.
        client_id: name at the broker, unique there.
        discovery: prefix of Home Assistant's discovery; empty: none.
    """

    host: str = "localhost"
    port: int = 1883
    prefix: str = "wherewhen"
    username: str = ""
    password: str = ""
    tls: bool = False
    client_id: str = "wherewhen"
    discovery: str = "homeassistant"

    def __post_init__(self) -> None:
        if not 0 < self.port < 65536:
            raise ConfigError(f"mqtt.port: expected a number from 1 to 65535, got {self.port}")
        if not self.prefix or set(self.prefix) & set("+#"):
            raise ConfigError(f"mqtt.prefix: expected text without + and #, got {self.prefix!r}")


class Mqtt:
    """Publishes with quality of service 1, and waits for the broker's answer.

    Topics below the prefix: ``available`` (online, stopped, offline by last will; retained), ``events`` and
    ``reviews``, ``stats`` once a minute; for each camera ``<camera>/state`` (retained), ``/alert`` (ON or OFF,
    retained), ``/review_status``, ``/event``, ``/snapshot``, ``/score`` once a second, ``/enabled/state`` and
    ``/notifications/suspended`` (retained). It subscribes to the topics of `COMMANDS`; retained commands are ignored,
    since a broker repeats them.
    """

    Config: ClassVar[type] = MqttConfig
    abilities: ClassVar[SinkAbilities] = SinkAbilities(states=True, runs=True, controls=True)

    def __init__(self, config: MqttConfig) -> None:
        try:
            from paho.mqtt import client as paho
            from paho.mqtt.enums import CallbackAPIVersion
        except ImportError:
            raise ConfigError('mqtt: this sink needs pip install "wherewhen[live]"') from None
        self.config, self._cameras = config, list[str]()
        self._connected = Event()
        self._obey: Obey = _ignored
        self._shown: dict[str, str] = {}  # retained topics that show what holds
        self._next_stats = 0.0
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=config.client_id)
        if config.username:
            self._client.username_pw_set(config.username, filled(config.password) or None)
        if config.tls:
            self._client.tls_set()
        self._client.will_set(self._topic("available"), "offline", qos=1, retain=True)
        self._client.reconnect_delay_set(1, 30)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = lambda *_: self._connected.clear()
        self._client.on_message = self._on_message
        self._client.on_publish = self._on_publish
        self._refused = ""
        self._numbers: dict[tuple[str, str | bytes], int] = {}  # of what the present message published
        self._answers, self._answered = deque[int](maxlen=1000), Condition()

    def started(self, cameras: list[str], store: str) -> None:
        """Connect, and announce the service and its cameras, now and after each connection."""
        self._cameras = cameras
        self._client.connect_async(self.config.host, self.config.port, keepalive=20)
        self._client.loop_start()

    def stopped(self) -> None:
        """Say that the service ended as intended."""
        if self._connected.is_set():
            self._publish("available", "stopped", retain=True)

    def send(self, message: Message) -> None:
        """Publish one message in all its topics; tried again, in those that it is not in yet."""
        if not self._connected.wait(TIMEOUT):
            cause = self._refused or "no connection"
            raise Undelivered(f"mqtt {self.config.host}:{self.config.port}: {cause}")
        self._publish_all(message)
        self._numbers.clear()

    def _publish_all(self, message: Message) -> None:
        camera, after = message.camera, message.after
        if message.kind == "state":
            self._publish(f"{camera}/state", after["state"], retain=True)
            return
        envelope = {"type": message.kind, "before": message.before or after, "after": after}
        for topic in ("events", "reviews"):
            self._publish(topic, json.dumps(envelope))
        if message.snapshot is not None and message.kind == "new":
            self._publish(f"{camera}/snapshot", message.snapshot)
        self._publish(f"{camera}/alert", "OFF" if message.kind == "end" else "ON", retain=True)
        self._publish(f"{camera}/review_status", "NONE" if message.kind == "end" else "ALERT")
        if message.kind == "new":
            self._publish(f"{camera}/event", json.dumps({"event_type": "anomaly", **after}))

    def listen(self, obey: Obey) -> None:
        """Call ``obey`` for each command."""
        self._obey = obey

    def show(self, cameras: Mapping[str, Standing]) -> None:
        """Publish scores, what changed, and once a minute the state of all cameras; without waiting for answers."""
        if not self._connected.is_set():
            return
        for camera, standing in cameras.items():
            if standing.score is not None:
                self._client.publish(self._topic(f"{camera}/score"), f"{standing.score:.4f}")
            shown = {"enabled/state": "ON" if standing.enabled else "OFF",
                     "notifications/suspended": f"{standing.suspended:.0f}"}  # fmt: skip
            for name, payload in shown.items():
                topic = self._topic(f"{camera}/{name}")
                if self._shown.get(topic) != payload:
                    self._client.publish(topic, payload, qos=1, retain=True)
                    self._shown[topic] = payload
        if time.monotonic() >= self._next_stats:
            self._next_stats = time.monotonic() + STATS
            self._client.publish(self._topic("stats"), json.dumps(stats(cameras)))

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()
        for name in (
            "on_connect",
            "on_disconnect",
            "on_message",
            "on_publish",
        ):  # the client is freed with this, its sockets closed
            setattr(self._client, name, None)

    def _topic(self, name: str) -> str:
        return f"{self.config.prefix}/{name}"

    def _publish(self, name: str, payload: str | bytes, retain: bool = False) -> None:
        """Publish, and wait for the broker's answer; what it did not answer is sent again by the client, not here."""
        if (name, payload) not in self._numbers:
            if not self._connected.is_set():
                raise Undelivered(f"mqtt {self.config.host}: the connection broke")
            sent = self._client.publish(self._topic(name), payload, qos=1, retain=retain)
            self._numbers[name, payload] = sent.mid
        end = time.monotonic() + TIMEOUT
        with self._answered:
            while self._numbers[name, payload] not in self._answers:
                if not self._answered.wait(end - time.monotonic()):
                    raise Undelivered(f"mqtt {self.config.host}: no answer within {TIMEOUT:.0f} s")

    def _on_publish(self, _client: Any, _data: Any, number: int, *_: Any) -> None:
        with self._answered:
            self._answers.append(number)
            self._answered.notify_all()

    def _on_connect(self, client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._refused = str(reason).lower()
            return
        self._refused = ""
        client.publish(self._topic("available"), "online", qos=1, retain=True)
        self._shown.clear()
        self._next_stats = 0.0
        client.subscribe([(self._topic(f"+/{topic}"), 1) for topic in COMMANDS])
        if self.config.discovery:
            client.subscribe(f"{self.config.discovery}/status", qos=1)
            self._announce()
        self._connected.set()

    def _announce(self) -> None:
        """Tell Home Assistant of each camera; the thread of the connection must not wait for the broker's answer."""
        for camera in self._cameras:
            topic, payload = discovery(camera, self.config)
            self._client.publish(topic, json.dumps(payload), qos=1, retain=True)

    def _on_message(self, _client: Any, _data: Any, message: Any) -> None:
        """A command; or Home Assistant started, and its devices are announced again."""
        if message.topic == f"{self.config.discovery}/status":
            if message.payload == b"online":
                self._announce()
            return
        camera, _, topic = message.topic.removeprefix(f"{self.config.prefix}/").partition("/")
        if topic in COMMANDS and not message.retain:
            self._obey(camera, COMMANDS[topic], _value(message.payload[:LONGEST]))


def _ignored(camera: str, name: str, value: Any) -> None:
    """What commands do before somebody listens."""


def _value(payload: bytes) -> Any:
    """What a message has: JSON, or else text."""
    text = payload.decode("utf-8", "replace")
    try:
        return json_of(text)
    except ValueError:
        return text


def stats(cameras: Mapping[str, Standing]) -> dict[str, Any]:
    """The state of all cameras, by name: Frigate's ``camera_fps``, and the toolkit's own fields."""
    names = ("frames", "dropped", "reconnects", "alerts", "latency", "threshold", "budget")
    return {
        "cameras": {
            name: {"camera_fps": round(standing.status.get("rate", 0.0), 2), "state": standing.state,
                   **{key: standing.status[key] for key in names if key in standing.status}}
            for name, standing in cameras.items()
        },
        "service": {"last_updated": int(time.time())},
    }  # fmt: skip


def discovery(camera: str, config: MqttConfig) -> tuple[str, dict[str, Any]]:
    """Topic and payload by which Home Assistant learns of a camera: a device with its alert, state and picture.

    >>> discovery("yard", MqttConfig())[0]
    'homeassistant/device/wherewhen_yard/config'
    """
    device, base = f"{config.client_id}_{camera}", f"{config.prefix}/{camera}"
    components: dict[str, dict[str, Any]] = {
        "alert": {"p": "binary_sensor", "device_class": "motion", "name": "Anomaly", "state_topic": f"{base}/alert"},
        "state": {"p": "sensor", "name": "State", "state_topic": f"{base}/state"},
        "snapshot": {"p": "image", "name": "Last anomaly", "image_topic": f"{base}/snapshot"},
        "event": {"p": "event", "name": "Anomalies", "state_topic": f"{base}/event", "event_types": ["anomaly"]},
        "score": {"p": "sensor", "name": "Score", "state_topic": f"{base}/score", "expire_after": 30},
        "enabled": {"p": "switch", "name": "Watched", "state_topic": f"{base}/enabled/state",
                    "command_topic": f"{base}/enabled/set"},
        "suspend": {"p": "number", "name": "No alerts for", "command_topic": f"{base}/notifications/suspend", "min": 0,
                    "max": 1440, "unit_of_measurement": "min"},
        "rebaseline": {"p": "button", "name": "Accept view", "command_topic": f"{base}/rebaseline/set"},
    }  # fmt: skip
    for name, component in components.items():
        component["unique_id"] = f"{device}_{name}"
    return f"{config.discovery}/device/{device}/config", {
        "device": {"identifiers": [device], "name": camera, "manufacturer": "wherewhen"},
        "origin": {"name": "wherewhen"},
        "availability_topic": f"{config.prefix}/available",
        "components": components,
    }


PLUGIN = Mqtt

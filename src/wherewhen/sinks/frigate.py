"""Alerts as events of Frigate, with its recordings, through its HTTP API."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import quote

from wherewhen.core.contracts.sinks import Message, SinkAbilities, Undelivered
from wherewhen.core.errors import ConfigError
from wherewhen.core.secret_text import filled
from wherewhen.sinks._http import Server, check_url

APART = 60.0  # seconds between the beginnings of an alert and of Frigate's event about it, at most
TRIES = 5  # to end an event that Frigate has not stored yet
MOST = 1000  # alerts whose events are remembered


@dataclass(frozen=True)
class FrigateConfig:
    """Settings of Frigate.

    Args:
        url: address of Frigate, such as http://frigate:5000; ${NAME} is a variable of the environment.
        token: of a user with the role admin, for port 8971; empty: none, for the internal port 5000.
        cameras: names of cameras in Frigate, by their names here; others have one name in both.
        label: of the events.
        before_seconds: time before an alert that its event has, at least.
    """

    url: str = ""
    token: str = ""
    cameras: Mapping[str, str] = field(default_factory=dict)
    label: str = "anomaly"
    before_seconds: float = 5.0

    def __post_init__(self) -> None:
        check_url("frigate.url", self.url)
        if not self.label:
            raise ConfigError("frigate.label: expected a word")
        if not self.before_seconds >= 0:
            raise ConfigError(f"frigate.before_seconds: expected seconds from 0 on, got {self.before_seconds}")


class Frigate:
    """Creates an event of Frigate when an alert begins, and ends it when the alert ends (Frigate 0.16 or newer).

    Frigate's events begin when they are created: ``pre_capture`` shifts them back to the alert; versions without it
    shift them by their own setting. An event that was created before this service started is searched by its time.
    """

    Config: ClassVar[type] = FrigateConfig
    abilities: ClassVar[SinkAbilities] = SinkAbilities()

    def __init__(self, config: FrigateConfig) -> None:
        self.config = config
        self._server = Server("frigate", config.url)
        token = filled(config.token)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._events: dict[str, str] = {}  # Frigate's names of events by those of alerts
        self._unclear: set[str] = set()  # alerts about whose event no answer came
        self._tries = 0

    def send(self, message: Message) -> None:
        """Create or end an event."""
        if message.kind == "new":
            self._create(message)
        elif message.kind == "end":
            self._end(message)

    def close(self) -> None:
        """Close the connection."""
        self._server.close()

    def _create(self, message: Message) -> None:
        if message.id in self._unclear and (event := self._search(message)):
            self._events[message.id] = event
            return
        camera = self._camera(message)
        self._unclear.add(message.id)
        answer = self._request("POST", f"/{quote(camera)}/{quote(self.config.label)}/create", json=self._event(message))
        self._unclear.discard(message.id)
        self._server.check(
            answer, f": has it a camera {camera}? Otherwise set frigate.cameras: {{{message.camera}: NAME}}"
        )
        with self._understood():
            self._events[message.id] = str(answer.json()["event_id"])
        while len(self._events) > MOST:
            del self._events[next(iter(self._events))]

    def _end(self, message: Message) -> None:
        event = self._events.get(message.id) or self._search(message)
        if event is None:
            raise Undelivered(f"{self._server.shown} has no event in progress for this alert", final=True)
        path = f"/{quote(event)}/end"
        answer = self._request("PUT", path, json={"end_time": message.after["end_time"]})
        if answer.status_code == 400:  # it began after the end of the alert, by its own clock
            answer = self._request("PUT", path, json={"end_time": None})
        if answer.status_code == 404 and self._tries < TRIES:
            self._tries += 1
            raise Undelivered(f"{self._server.shown} has not stored the event yet", 2.0)
        self._tries = 0
        self._server.check(answer)
        self._events.pop(message.id, None)

    def _search(self, message: Message) -> str | None:
        """Frigate's name of the event about an alert, of those in progress; None without one."""
        words = {"cameras": self._camera(message), "labels": self.config.label, "in_progress": 1, "limit": 100}
        answer = self._request("GET", "", params=words)
        self._server.check(answer)
        begin = message.after["start_time"] - self.config.before_seconds
        with self._understood():
            events = [event for event in answer.json() if event["end_time"] is None]
            apart = {abs(event["start_time"] - begin): str(event["id"]) for event in events}
        nearest = min(apart, default=math.inf)
        return apart[nearest] if nearest <= APART else None

    @contextmanager
    def _understood(self) -> Iterator[None]:
        """Undelivered for an answer that is none of Frigate's."""
        try:
            yield
        except (ValueError, KeyError, TypeError):
            raise Undelivered(f"{self._server.shown} answers otherwise than Frigate does") from None

    def _event(self, message: Message) -> dict[str, Any]:
        """The settings of an event: it has no end yet, and begins before the alert."""
        after = message.after
        x0, y0, x1, y1 = after["wherewhen"]["box_rel"]
        box = {"box": [x0, y0, round(x1 - x0, 4), round(y1 - y0, 4)], "score": round(100 * after["top_score"])}
        late = max(0.0, time.time() - after["start_time"])
        return {
            "sub_label": None, "score": round(after["top_score"], 4), "duration": None, "include_recording": True,
            "draw": {"boxes": [box]}, "pre_capture": math.ceil(late + self.config.before_seconds),
        }  # fmt: skip

    def _request(self, method: str, path: str, **options: Any) -> Any:
        return self._server.request(method, f"/api/events{path}", headers=self._headers, **options)

    def _camera(self, message: Message) -> str:
        return self.config.cameras.get(message.camera, message.camera)


PLUGIN = Frigate

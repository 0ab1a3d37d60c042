"""Alerts, states and minutes of cameras to the hub of several machines, and its orders back."""

from __future__ import annotations

import base64
import logging
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar
from urllib.parse import quote

from wherewhen.core.contracts.sinks import Message, Obey, SinkAbilities, Standing, Undelivered
from wherewhen.core.errors import ConfigError
from wherewhen.core.printable import printable
from wherewhen.core.secret_text import SHORTEST, filled
from wherewhen.sinks._http import Server, check_url

log = logging.getLogger("wherewhen")

HINTS = {
    401: ": hub.token is not that of the hub", 404: ": it is no hub, which `wherewhen hub` starts",
    421: ": add the name in hub.url to server.hosts there",
}  # fmt: skip
"""What to do about answers, by their code."""


@dataclass(frozen=True)
class HubConfig:
    """Settings of the hub.

    Args:
        url: address of the web server of the hub; the hub itself needs none.
        token: of all machines, 16 characters or more; ${NAME} is a variable of the environment, ${file:PATH} the first
            line of a file.
        name: of this machine; empty: its host name.
        address: of the web server of this machine, where the hub gets clips, such as http://10.0.0.7:5000; empty: the
            port of server, at the address from which this machine calls.
    """

    url: str = ""
    token: str = "${HUB_TOKEN}"
    name: str = ""
    address: str = ""

    def __post_init__(self) -> None:
        for name, url in (("url", self.url), ("address", self.address)):
            if url and not url.startswith(":"):  # a port alone: see address
                check_url(f"hub.{name}", url)

    @property
    def secret(self) -> str:
        """The token; ConfigError for a short one."""
        token = filled(self.token)
        if len(token) < SHORTEST:
            raise ConfigError(f"hub.token: expected at least {SHORTEST} characters, got {len(token)}")
        return token


class Hub:
    """Posts each message as JSON; once a second it reports what holds of each camera, and does what the answer asks.

    Orders to a camera are *restore* (what the hub has of its past, where this machine is to watch it from now on) and
    *follow* (who watches it, and what users asked of it).
    """

    Config: ClassVar[type] = HubConfig
    abilities: ClassVar[SinkAbilities] = SinkAbilities(runs=True, controls=True, rows=True)

    def __init__(self, config: HubConfig) -> None:
        if not config.url:
            raise ConfigError("hub.url: add the address of the hub, or --hub http://10.0.0.2:5000")
        self.config, self._server = config, Server("hub", config.url)
        self._headers = {"Authorization": f"Bearer {config.secret}"}
        self._machine = {"name": config.name or socket.gethostname(), "address": config.address}
        self._obey: Obey = _ignored
        self._orders: dict[str, Any] = {}
        self._reported: dict[str, Any] = {}
        self._failing = False

    def started(self, cameras: list[str], store: str) -> None:
        """Messages are from this store from now on."""
        self._machine["id"] = store

    def stopped(self) -> None:
        """Give the cameras up."""
        self._ask("POST", "beat", json={**self._report({}), "stopped": True})

    def send(self, message: Message) -> None:
        """Post one message. The hub has the picture of an alert from its row."""
        plain = {**asdict(message), "snapshot": None}
        picture = message.snapshot if message.kind == "row" else None
        text = None if picture is None else base64.b64encode(picture).decode()
        self._ask("POST", "messages", json={"machine": self._machine, "message": plain, "snapshot": text})

    def listen(self, obey: Obey) -> None:
        """Call ``obey`` for each order."""
        self._obey = obey

    def show(self, cameras: Mapping[str, Standing]) -> None:
        """Report what holds of each camera, and do what the hub asks."""
        try:
            answer = self._ask("POST", "beat", json=self._report(cameras))
            for camera, orders in answer["cameras"].items():
                before = self._orders.get(camera)
                if orders["holder"] is None and (before is None or before["holder"] is not None):
                    path = f"cameras/{quote(camera, safe='')}?after={cameras[camera].minute}"
                    self._obey(camera, "restore", self._ask("GET", path))
                if orders != before:
                    self._obey(camera, "follow", orders)
                    self._orders[camera] = orders
        except Undelivered as error:
            if not self._failing:
                log.warning("hub: %s; cameras are watched on, and messages wait", error.cause)
            self._failing = True
        else:
            if self._failing:
                log.info("hub: %s answers again", self._server.shown)
            self._failing = False

    def close(self) -> None:
        """Close the connection."""
        self._server.close()

    def _report(self, cameras: Mapping[str, Standing]) -> dict[str, Any]:
        now = time.time()
        plain = {
            name: {
                "state": standing.state, "cause": standing.cause, "for": now - standing.since,
                "silent": now - standing.at, "status": dict(standing.status), "facts": dict(standing.facts),
                "judged": standing.judged, "waits": standing.waits,
            }
            for name, standing in cameras.items()
        }  # fmt: skip
        return {"machine": self._machine, "now": now, "cameras": plain}

    def _ask(self, method: str, path: str, **options: Any) -> Any:
        """The answer of the hub as JSON; Undelivered without one, which is final where it can't store the message."""
        answer = self._server.request(method, f"/api/hub/{path}", headers=self._headers, **options)
        if 400 <= answer.status_code < 500 and answer.status_code not in (400, 413, 422, 429):
            hint = HINTS.get(answer.status_code, "")
            raise Undelivered(f"{self._server.shown} answers {answer.status_code}{hint}")
        self._server.check(answer, _reason(answer))
        try:
            return answer.json()
        except ValueError:
            raise Undelivered(f"{self._server.shown} answers something else than a hub") from None


def _reason(answer: Any) -> str:
    """Why the hub refuses, in its own words; empty where it states no reason."""
    try:
        reason = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        return ""
    return f": {printable(str(reason)[:300])}"


def _ignored(camera: str, name: str, value: Any) -> None:
    """What orders do before somebody listens."""


PLUGIN = Hub

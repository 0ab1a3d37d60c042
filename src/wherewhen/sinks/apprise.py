"""Alerts as notifications of the services that Apprise knows: Telegram, Pushover, ntfy, mail and a hundred others."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from wherewhen.core.contracts.sinks import Message, SinkAbilities, Undelivered
from wherewhen.core.errors import ConfigError
from wherewhen.core.secret_text import filled


@dataclass(frozen=True)
class AppriseConfig:
    """Settings of notifications.

    Args:
        urls: addresses of services as Apprise writes them, such as "ntfy://${NTFY_TOPIC}"; ${NAME} is a variable of the
            environment, ${file:PATH} the first line of a file.
        end: notify of the end of an alert too.
        snapshot: attach the picture of the alert, where the service takes one.
    """

    urls: tuple[str, ...] = ()
    end: bool = False
    snapshot: bool = True

    def __post_init__(self) -> None:
        if not self.urls:
            raise ConfigError('apprise.urls: expected at least one address, such as ["ntfy://${NTFY_TOPIC}"]')


class Apprise:
    """Notifies each service of the beginning of an alert; one that fails is tried again, the others are not."""

    Config: ClassVar[type] = AppriseConfig
    abilities: ClassVar[SinkAbilities] = SinkAbilities()

    def __init__(self, config: AppriseConfig) -> None:
        try:
            import apprise
        except ImportError:
            raise ConfigError('apprise: this sink needs pip install "wherewhen[apprise]"') from None
        logging.getLogger("apprise").setLevel(logging.CRITICAL)  # its lines may hold addresses with secrets
        self.config = config
        self._services: list[tuple[str, Any]] = []
        for url in config.urls:
            service = apprise.Apprise()
            name = f"apprise {url.partition('://')[0][:20]}://"
            if not service.add(filled(url, is_address=True)):
                raise ConfigError(f"{name}: Apprise does not know this service, or its address lacks a part")
            self._services.append((name, service))
        self._notified: tuple[str, set[int]] = ("", set())  # the present message, and services that have it

    def send(self, message: Message) -> None:
        """Notify all services that were not notified of this message."""
        if message.kind != "new" and not (message.kind == "end" and self.config.end):
            return
        key = f"{message.id}:{message.kind}"
        if self._notified[0] != key:
            self._notified = (key, set())
        title, body = texts(message)
        failed = [
            name
            for number, (name, service) in enumerate(self._services)
            if number not in self._notified[1] and not self._notify(number, service, title, body, message.snapshot)
        ]
        if failed:
            raise Undelivered(f"{', '.join(failed)}: not accepted")

    def close(self) -> None:
        """Nothing is held."""

    def _notify(self, number: int, service: Any, title: str, body: str, snapshot: bytes | None) -> bool:
        from apprise.attachment.memory import AttachMemory

        picture: Any = None
        if self.config.snapshot and snapshot is not None:
            attach: Any = AttachMemory
            picture = attach(content=snapshot, name="alert.jpg", mimetype="image/jpeg")
        if service.notify(title=title, body=body, attach=picture):
            self._notified[1].add(number)
            return True
        return False


def texts(message: Message) -> tuple[str, str]:
    """Title and text of a notification.

    >>> texts(Message("1", "new", "yard", {"start_time": 0.0, "top_score": 0.9, "entered_zones": ["gate"]}))[0]
    'Anomaly at yard'
    """
    after = message.after
    since = datetime.fromtimestamp(after["start_time"]).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
    zones = f" in {', '.join(after['entered_zones'])}" if after["entered_zones"] else ""
    if message.kind == "new":
        return f"Anomaly at {message.camera}", f"Since {since}{zones}, score {after['top_score']:.2f}"
    seconds = after["end_time"] - after["start_time"]
    return f"Anomaly at {message.camera} ended", f"{since}{zones}, {seconds:.0f} s, score {after['top_score']:.2f}"


PLUGIN = Apprise

"""Alerts as CloudEvents to a web address."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from wherewhen.core.contracts.sinks import Message, SinkAbilities
from wherewhen.core.secret_text import filled
from wherewhen.sinks._http import Server, check_url

ENDINGS = {"new": "started", "update": "updated", "end": "ended"}


@dataclass(frozen=True)
class WebhookConfig:
    """Settings of the webhook.

    Args:
        url: address that the events are posted to; ${NAME} is a variable of the environment.
        secret: key of the signature in the header ``X-Wherewhen-Signature``; none without one.
        snapshot: put the picture of the alert into the event.
    """

    url: str = ""
    secret: str = ""
    snapshot: bool = False

    def __post_init__(self) -> None:
        check_url("webhook.url", self.url)


class Webhook:
    """Posts structured CloudEvents 1.0 (``application/cloudevents+json``).

    Types are ``io.wherewhen.alert.started``, ``.updated`` and ``.ended``. Redirects are not followed. 410 Gone and
    other refusals (4xx) end the message, 429 and 503 are tried again after ``Retry-After``, everything else later. The
    standard requires HTTPS.
    """

    Config: ClassVar[type] = WebhookConfig
    abilities: ClassVar[SinkAbilities] = SinkAbilities()

    def __init__(self, config: WebhookConfig) -> None:
        self.config, self._secret = config, filled(config.secret)
        self._server = Server("webhook", config.url)

    def send(self, message: Message) -> None:
        """Post one event."""
        body = json.dumps(event(message, self.config.snapshot), allow_nan=False).encode()
        headers = {"Content-Type": "application/cloudevents+json; charset=UTF-8"}
        if self._secret:
            headers["X-Wherewhen-Signature"] = signature(body, self._secret)
        self._server.check(self._server.request("POST", content=body, headers=headers))

    def close(self) -> None:
        """Close the connection."""
        self._server.close()


def event(message: Message, snapshot: bool) -> dict[str, Any]:
    """The message as a structured CloudEvent."""
    data: dict[str, Any] = {"before": message.before or None, "after": message.after}
    if snapshot and message.snapshot is not None:
        data["snapshot"] = base64.b64encode(message.snapshot).decode()
    return {
        "specversion": "1.0", "id": f"{message.id}:{message.kind}:{message.at:.3f}",
        "source": f"/cameras/{message.camera}", "type": f"io.wherewhen.alert.{ENDINGS[message.kind]}",
        "subject": message.id, "time": datetime.fromtimestamp(message.at, UTC).isoformat(timespec="milliseconds"),
        "datacontenttype": "application/json", "data": data,
    }  # fmt: skip


def signature(body: bytes, secret: str) -> str:
    """The signature of a body: ``sha256=`` and HMAC-SHA256 in hexadecimal digits.

    >>> signature(b"{}", "key")[:20]
    'sha256=a777724d943eb'
    """
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


PLUGIN = Webhook

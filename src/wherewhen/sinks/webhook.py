"""Alerts as CloudEvents to a web address."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar

from wherewhen.core.addresses import Address
from wherewhen.core.contracts.sinks import Message, SinkAbilities, Undelivered
from wherewhen.core.errors import ConfigError
from wherewhen.core.secret_text import filled

ENDINGS = {"new": "started", "update": "updated", "end": "ended"}
TIMEOUT = 10.0


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
        if not self.url.startswith(("http://", "https://", "${")):
            raise ConfigError("webhook.url: expected an address such as https://example.org/hook")


class Webhook:
    """Posts structured CloudEvents 1.0 (``application/cloudevents+json``).

    Types are ``io.wherewhen.alert.started``, ``.updated`` and ``.ended``. Redirects are not followed. 410 Gone and
    other refusals (4xx) end the message, 429 and 503 are tried again after ``Retry-After``, everything else later. The
    standard requires HTTPS.
    """

    Config: ClassVar[type] = WebhookConfig
    abilities: ClassVar[SinkAbilities] = SinkAbilities()

    def __init__(self, config: WebhookConfig) -> None:
        try:
            import httpx
        except ImportError:
            raise ConfigError('webhook: this sink needs pip install "wherewhen[live]"') from None
        self.config = config
        self._url, self._secret = filled(config.url, is_address=True), filled(config.secret)
        self._shown = Address(self._url)
        self._client = httpx.Client(timeout=TIMEOUT, follow_redirects=False)

    def send(self, message: Message) -> None:
        """Post one event."""
        import httpx

        body = json.dumps(event(message, self.config.snapshot), allow_nan=False).encode()
        headers = {"Content-Type": "application/cloudevents+json; charset=UTF-8"}
        if self._secret:
            headers["X-Wherewhen-Signature"] = signature(body, self._secret)
        try:
            answer = self._client.post(self._url, content=body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Undelivered(f"{self._shown}: {type(error).__name__}") from None
        if answer.is_success:
            return
        cause = f"{self._shown} answers {answer.status_code}"
        if answer.status_code in (429, 503):
            raise Undelivered(cause, _wait(answer.headers.get("Retry-After")))
        raise Undelivered(cause, final=400 <= answer.status_code < 500 and answer.status_code not in (401, 403, 408))

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


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


def _wait(header: str | None) -> float | None:
    """Seconds of a header Retry-After, which is a number or a date; None where it is neither."""
    if header is None:
        return None
    if header.strip().isdigit():
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


PLUGIN = Webhook

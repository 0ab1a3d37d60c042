"""CloudEvents against a server that answers as servers do."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest

from wherewhen.core.contracts.sinks import Message, Undelivered
from wherewhen.core.errors import ConfigError
from wherewhen.sinks.webhook import Webhook, WebhookConfig

pytest.importorskip("httpx")

ALERT = Message("1.5-abc", "new", "yard", {"id": "1.5-abc", "score": 0.9}, snapshot=b"jpeg", at=1_790_000_000.25)


def sent(server: Any, *answers: tuple[int, dict[str, str]], **settings: Any) -> Undelivered | None:
    for code, headers in answers:
        server.answer(code, **headers)
    sink = Webhook(WebhookConfig(f"{server.address}/hook?key=hidden", **settings))
    try:
        sink.send(ALERT)
    except Undelivered as error:
        return error
    finally:
        sink.close()
    return None


def test_an_alert_is_a_structured_cloudevent_with_a_signature(server: Any) -> None:
    assert sent(server, secret="key") is None
    line, headers, body = server.requests[0]
    event = json.loads(body)
    assert line == "POST /hook?key=hidden"
    assert headers["Content-Type"].startswith("application/cloudevents+json")
    assert headers["X-Wherewhen-Signature"] == "sha256=" + hmac.new(b"key", body, hashlib.sha256).hexdigest()
    assert {name: event[name] for name in ("specversion", "type", "source", "subject", "time")} == {
        "specversion": "1.0", "type": "io.wherewhen.alert.started", "source": "/cameras/yard", "subject": "1.5-abc",
        "time": "2026-09-21T14:13:20.250+00:00",
    }  # fmt: skip
    assert event["data"] == {"before": None, "after": {"id": "1.5-abc", "score": 0.9}}


@pytest.mark.parametrize(
    ("answer", "final", "wait"),
    [
        ((410, {}), True, None),
        ((400, {}), True, None),
        ((429, {"Retry-After": "7"}), False, 7.0),
        ((503, {"Retry-After": "Mon, 01 Jan 2001 00:00:00 GMT"}), False, 0.0),
        ((500, {}), False, None),
        ((401, {}), False, None),
        ((302, {"Location": "/other"}), False, None),
    ],
)
def test_answers_decide_whether_and_when_it_is_tried_again(
    server: Any, answer: tuple[int, dict[str, str]], final: bool, wait: float | None
) -> None:
    error = sent(server, answer)
    assert error is not None
    assert (error.final, error.wait) == (final, wait)
    assert len(server.requests) == 1  # no redirect is followed
    assert "hidden" not in error.cause


def test_no_server_is_tried_again_and_tells_no_secret() -> None:
    sink = Webhook(WebhookConfig("http://me:secret@127.0.0.1:9/hook"))
    with pytest.raises(Undelivered) as caught:
        sink.send(ALERT)
    sink.close()
    assert not caught.value.final
    assert "secret" not in caught.value.cause


def test_secrets_come_from_the_environment(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", server.address)
    sink = Webhook(WebhookConfig("${HOOK}", snapshot=True))
    sink.send(ALERT)
    sink.close()
    assert server.requests[0].json["data"]["snapshot"] == "anBlZw=="
    with pytest.raises(ConfigError, match="NOT_THERE"):
        Webhook(WebhookConfig("${NOT_THERE}"))

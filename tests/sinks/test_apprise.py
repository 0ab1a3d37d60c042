"""Notifications by Apprise, against a server in place of a service."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from wherewhen.core.contracts.sinks import Message, Undelivered
from wherewhen.core.errors import ConfigError
from wherewhen.sinks.apprise import Apprise, AppriseConfig

pytest.importorskip("apprise")
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")  # which Apprise imports

Make = Callable[..., Message]


def address(server: Any, name: str = "hook") -> str:
    """The address of Apprise's own JSON notification to a server."""
    return f"{server.address.replace('http', 'json')}/{name}?key=hidden"


def test_the_beginning_of_an_alert_is_a_notification_with_its_picture(server: Any, alert: Make) -> None:
    sink = Apprise(AppriseConfig((address(server),)))
    for kind in ("new", "update", "end"):
        sink.send(alert(kind))
    sink.close()
    (request,) = server.requests
    body = json.loads(request.body)
    assert body["title"] == "Anomaly at yard"
    assert "in gate, score 0.90" in body["message"]
    assert body["attachments"][0]["base64"] == "anBlZw=="


def test_the_end_too_if_wanted(server: Any, alert: Make) -> None:
    sink = Apprise(AppriseConfig((address(server),), end=True, snapshot=False))
    for kind in ("new", "end"):
        sink.send(alert(kind))
    assert [request.json["title"] for request in server.requests] == ["Anomaly at yard", "Anomaly at yard ended"]
    assert "4 s" in server.requests[1].json["message"]
    assert not server.requests[0].json["attachments"]


def test_only_services_that_failed_are_tried_again(
    server: Any, alert: Make, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK", "hidden")
    second = address(server, "second").replace("127", "me:${HOOK}@127")
    sink = Apprise(AppriseConfig((address(server, "first"), second, address(server, "third"))))
    server.answer(200)
    server.answer(500)
    with caplog.at_level(logging.DEBUG), pytest.raises(Undelivered) as caught:
        sink.send(alert())
    sink.send(alert())
    names = [request.line.split("?")[0].rpartition("/")[2] for request in server.requests]
    assert names == ["first", "second", "third", "second"]
    assert (caught.value.cause, caught.value.final) == ("apprise json://: not accepted", False)
    assert "hidden" not in caplog.text


def test_other_settings_are_errors_without_secrets() -> None:
    with pytest.raises(ConfigError, match=r"apprise\.urls"):
        AppriseConfig()
    with pytest.raises(ConfigError, match="does not know") as caught:
        Apprise(AppriseConfig(("pigeon://hidden@loft",)))
    assert "hidden" not in str(caught.value)

"""Events of Frigate against a server that answers as Frigate does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from wherewhen.core.contracts.sinks import Message, Undelivered
from wherewhen.core.errors import ConfigError
from wherewhen.sinks.frigate import Frigate, FrigateConfig

pytest.importorskip("httpx")

CREATED = {"success": True, "message": "Successfully created event.", "event_id": "1790000001.5-xyz"}
Make = Callable[..., Message]


def test_an_alert_is_an_event_from_before_it_to_its_end(server: Any, alert: Make) -> None:
    start = time.time() - 20.0
    sink = Frigate(FrigateConfig(server.address, token="s3cret", cameras={"yard": "back yard"}, before_seconds=3.0))
    server.answer(200, CREATED)
    for kind in ("new", "update", "end"):
        sink.send(alert(kind, start))
    sink.close()
    create, end = server.requests
    assert create.line == "POST /api/events/back%20yard/anomaly/create"
    assert create.headers["Authorization"] == "Bearer s3cret"
    assert create.json["pre_capture"] >= 23  # Frigate's events begin when they are created
    assert create.json["duration"] is None  # until its end is sent
    assert (create.json["score"], create.json["include_recording"]) == (0.9, True)
    assert create.json["draw"] == {"boxes": [{"box": [0.1, 0.2, 0.4, 0.4], "score": 90}]}
    assert end.line == "PUT /api/events/1790000001.5-xyz/end"
    assert end.json == {"end_time": start + 4}


def test_an_event_of_an_earlier_run_is_found_by_its_time(server: Any, alert: Make) -> None:
    message = alert("end")
    begin = message.after["start_time"]
    events = [
        {"id": "other", "start_time": begin - 50.0, "end_time": None},
        {"id": "ours", "start_time": begin - 5.5, "end_time": None},
        {"id": "over", "start_time": begin - 5.0, "end_time": begin},
    ]
    server.answer(200, events)
    sink = Frigate(FrigateConfig(server.address))
    sink.send(message)
    assert [request.line.partition("?")[0] for request in server.requests] == [
        "GET /api/events", "PUT /api/events/ours/end"
    ]  # fmt: skip
    assert "cameras=yard&labels=anomaly&in_progress=1" in server.requests[0].line
    server.answer(200, [{"id": "far", "start_time": begin - 500.0, "end_time": None}])
    with pytest.raises(Undelivered, match="no event in progress") as caught:
        sink.send(message)
    sink.close()
    assert caught.value.final


def test_an_event_that_may_have_been_created_is_not_created_again(
    server: Any, alert: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = alert("new")
    sink = Frigate(FrigateConfig(server.address))
    server.http.RequestHandlerClass.do_POST, answer = lambda handler: None, server.http.RequestHandlerClass.do_POST
    with pytest.raises(Undelivered):  # the connection is closed without an answer
        sink.send(message)
    server.http.RequestHandlerClass.do_POST = answer
    server.answer(200, [{"id": "ours", "start_time": message.after["start_time"] - 5, "end_time": None}])
    sink.send(message)
    sink.send(alert("end"))
    sink.close()
    assert server.requests[-1].line == "PUT /api/events/ours/end"
    assert not [request for request in server.requests if "create" in request.line]


def test_an_event_that_is_not_stored_yet_is_ended_later(server: Any, alert: Make) -> None:
    sink = Frigate(FrigateConfig(server.address))
    server.answer(200, CREATED)
    sink.send(alert("new"))
    server.answer(404)
    with pytest.raises(Undelivered, match="not stored") as caught:
        sink.send(alert("end"))
    assert (caught.value.final, caught.value.wait) == (False, 2.0)
    server.answer(400)  # by its own clock the event began after that
    sink.send(alert("end"))
    sink.close()
    assert server.requests[-1].json == {"end_time": None}


@pytest.mark.parametrize(
    ("code", "final", "hint"),
    [(404, True, "frigate.cameras"), (500, False, "500"), (401, False, "401"), (200, False, "")],
)
def test_refusals_are_final_and_failures_are_tried_again(
    server: Any, alert: Make, code: int, final: bool, hint: str
) -> None:
    sink = Frigate(FrigateConfig(f"{server.address}/?key=hidden".replace("127", "me:hidden@127"), token="hidden"))
    server.answer(code, [])
    with pytest.raises(Undelivered) as caught:
        sink.send(alert("new"))
    sink.close()
    assert caught.value.final is final
    assert hint in caught.value.cause
    assert "hidden" not in caught.value.cause


def test_other_settings_are_errors() -> None:
    for settings in (
        {},
        {"url": "frigate:5000"},
        {"url": "http://f", "label": ""},
        {"url": "http://f", "before_seconds": -1},
    ):
        with pytest.raises(ConfigError, match="frigate"):
            FrigateConfig(**settings)

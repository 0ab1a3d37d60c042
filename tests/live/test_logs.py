"""Lines of the log as JSON: fields to select by, and no secret in any of them."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from io import StringIO

import pytest

from wherewhen.core.addresses import Address
from wherewhen.live.logs import fields, handler


@pytest.fixture
def written() -> Iterator[StringIO]:
    log, lines, text = logging.getLogger("wherewhen.test_logs"), handler("json"), StringIO()
    assert isinstance(lines, logging.StreamHandler)
    lines.setStream(text)
    log.addHandler(lines)
    log.setLevel(logging.INFO)
    log.propagate = False
    yield text
    log.handlers.clear()


def test_a_line_is_an_object_with_the_fields_of_the_event(written: StringIO) -> None:
    log = logging.getLogger("wherewhen.test_logs")
    log.warning("%s: opened again in %.0f s", "yard", 2.4, extra=fields("yard", "reconnect", "no route"))
    log.info("ready\nnow")
    first, second = map(json.loads, written.getvalue().splitlines())
    moment = time.strptime(first.pop("time"), "%Y-%m-%dT%H:%M:%S.%fZ")
    assert abs(time.mktime(moment) - time.mktime(time.gmtime())) < 60
    assert first == {"level": "warning", "camera": "yard", "event": "reconnect", "cause": "no route",
                     "message": "yard: opened again in 2 s"}  # fmt: skip
    assert (second["camera"], second["event"], second["message"]) == (None, None, "ready\nnow")


def test_no_field_has_a_secret(written: StringIO) -> None:
    Address("rtsp://me:PQsecret@door/1?key=KQtoken")
    log = logging.getLogger("wherewhen.test_logs")
    cause = "can't open rtsp://me:PQsecret@door/1?key=KQtoken\x1b[31m"
    log.error("yard: %s", cause, extra=fields("yard", "offline", cause))
    try:
        raise ValueError(cause)
    except ValueError:
        log.exception("failed")
    first, second = map(json.loads, written.getvalue().splitlines())
    assert "PQsecret" not in written.getvalue() and "KQtoken" not in written.getvalue()
    assert "rtsp://door/1" in first["cause"] and "\x1b" not in first["cause"] + first["message"]
    assert "ValueError" in second["trace"]


def test_text_has_time_level_and_message(capsys: pytest.CaptureFixture[str]) -> None:
    lines = handler("text")
    lines.emit(logging.makeLogRecord({"levelname": "INFO", "msg": "yard: ok", "event": "ok"}))
    assert capsys.readouterr().err.endswith(" INFO yard: ok\n")

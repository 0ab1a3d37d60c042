"""ONVIF metadata: numbers of a document, files, and a server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherewhen.core.contracts.sinks import Message, Undelivered
from wherewhen.core.errors import ConfigError
from wherewhen.live.alerts import Alert
from wherewhen.sinks.onvif import Onvif, OnvifConfig, document

NAMES = {"tt": "http://www.onvif.org/ver10/schema"}
Make = Callable[..., Message]


def test_a_document_has_the_elements_of_the_schema_in_its_order(alert: Make) -> None:
    tree = ElementTree.fromstring(document(alert("new")))
    tags = [element.tag.partition("}")[2] for element in tree.iter()]
    assert tags == [
        "MetadataStream", "VideoAnalytics", "Frame", "Object", "Appearance", "Shape", "BoundingBox", "CenterOfGravity",
        "Class", "Type",
    ]  # fmt: skip
    frame, box, kind = (tree.find(f".//tt:{name}", NAMES) for name in ("Frame", "BoundingBox", "Type"))
    assert frame is not None
    assert box is not None
    assert kind is not None
    assert frame.attrib["UtcTime"] == "2026-09-21T14:13:23.250Z"
    assert (kind.text, kind.attrib) == ("anomaly", {"Likelihood": "0.8000"})
    assert {side: float(value) for side, value in box.attrib.items()} == {
        "left": -0.8, "top": 0.6, "right": 0.0, "bottom": -0.2
    }  # fmt: skip


def test_an_alert_is_one_object_until_it_is_deleted(alert: Make) -> None:
    new, update, end = (ElementTree.fromstring(document(alert(kind))) for kind in ("new", "update", "end"))
    number = new.find(".//tt:Object", NAMES).attrib["ObjectId"]  # type: ignore[union-attr]
    assert 0 <= int(number) < 2**31
    assert update.find(".//tt:Object", NAMES).attrib["ObjectId"] == number  # type: ignore[union-attr]
    assert end.find(".//tt:ObjectTree/tt:Delete", NAMES).attrib == {"ObjectId": number}  # type: ignore[union-attr]
    assert end.find(".//tt:Object", NAMES) is None


sides = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted)


@given(x=sides, y=sides)
def test_boxes_stay_in_the_picture_with_y_up(x: list[float], y: list[float]) -> None:
    one = Alert("1.5-abc", "yard", 1.5, 2.0, 0.8, 0.9, (x[0], y[0], x[1], y[1]), "alert", 0.5)
    tree = ElementTree.fromstring(document(Message(one.id, "new", "yard", one.plain((640, 480)))))
    box = {side: float(value) for side, value in tree.find(".//tt:BoundingBox", NAMES).attrib.items()}  # type: ignore[union-attr]
    assert -1 <= box["left"] <= box["right"] <= 1
    assert -1 <= box["bottom"] <= box["top"] <= 1
    center = tree.find(".//tt:CenterOfGravity", NAMES).attrib  # type: ignore[union-attr]
    assert float(center["x"]) == pytest.approx((box["left"] + box["right"]) / 2, abs=2e-4)
    assert float(center["y"]) == pytest.approx((box["top"] + box["bottom"]) / 2, abs=2e-4)


def test_documents_are_lines_of_a_file_for_each_camera(alert: Make, tmp_path: Path) -> None:
    sink = Onvif(OnvifConfig(path=str(tmp_path / "{camera}.xml")))
    for kind in ("new", "end"):
        sink.send(alert(kind))
    sink.close()
    lines = (tmp_path / "yard.xml").read_bytes().splitlines()
    assert lines == [document(alert(kind)) for kind in ("new", "end")]
    (tmp_path / "blocked").write_text("mine")
    sink = Onvif(OnvifConfig(path=str(tmp_path / "blocked" / "x.xml")))
    with pytest.raises(Undelivered):
        sink.send(alert())


def test_documents_are_posted(alert: Make, server: Any) -> None:
    pytest.importorskip("httpx")
    sink = Onvif(OnvifConfig(url=f"{server.address}/{{camera}}?key=hidden"))
    server.answer(503, **{"Retry-After": "9"})
    with pytest.raises(Undelivered) as caught:
        sink.send(alert())
    sink.send(alert())
    sink.close()
    assert (caught.value.final, caught.value.wait) == (False, 9.0)
    assert "hidden" not in caught.value.cause
    assert [request.line for request in server.requests] == ["POST /yard?key=hidden"] * 2
    assert server.requests[1].headers["Content-Type"] == "application/vnd.onvif.metadata"
    assert server.requests[1].body == document(alert())


def test_somewhere_to_write_is_needed() -> None:
    for settings in ({}, {"url": "ftp://x"}):
        with pytest.raises(ConfigError, match="onvif"):
            OnvifConfig(**settings)

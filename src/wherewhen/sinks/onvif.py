"""Alerts as ONVIF scene descriptions: documents of a metadata stream, in files or posted to a web address."""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar
from xml.etree.ElementTree import Element, SubElement, register_namespace, tostring

from wherewhen.core import outputs
from wherewhen.core.contracts.sinks import Message, SinkAbilities, Undelivered
from wherewhen.core.errors import ConfigError, OutputError
from wherewhen.sinks._http import Server, check_url

SCHEMA = "http://www.onvif.org/ver10/schema"
TYPE = "application/vnd.onvif.metadata"

register_namespace("tt", SCHEMA)


@dataclass(frozen=True)
class OnvifConfig:
    """Settings of ONVIF metadata: a file, an address, or both.

    Args:
        path: file to append to, a document a line; {camera} is the name of the camera; empty: none.
        url: address that documents are posted to; {camera} is the name of the camera, ${NAME} a variable of the
            environment; empty: none.
    """

    path: str = ""
    url: str = ""

    def __post_init__(self) -> None:
        if not self.path and not self.url:
            raise ConfigError("onvif: expected a path or an url, such as path: metadata/{camera}.xml")
        if self.url:
            check_url("onvif.url", self.url)


class Onvif:
    """Writes a document ``tt:MetadataStream`` (ONVIF Analytics Service Specification) for each message.

    An alert is one object with its box from its beginning on, which is deleted at its end.
    """

    Config: ClassVar[type] = OnvifConfig
    abilities: ClassVar[SinkAbilities] = SinkAbilities()

    def __init__(self, config: OnvifConfig) -> None:
        self.config = config
        self._servers: dict[str, Server] = {}
        if config.url:
            self._server("camera")  # a wrong address is an error at the start

    def send(self, message: Message) -> None:
        """Write a document."""
        text = document(message)
        if self.config.url:
            server = self._server(message.camera)
            server.check(server.request("POST", content=text, headers={"Content-Type": TYPE}))
        if self.config.path:
            path = self.config.path.replace("{camera}", message.camera)
            try:
                with outputs.grow(path).open("ab") as file:
                    file.write(text + b"\n")
                    file.flush()
                    os.fsync(file.fileno())
            except (OSError, OutputError) as error:
                raise Undelivered(f"{path}: {error}") from None

    def close(self) -> None:
        """Close the connections."""
        for server in self._servers.values():
            server.close()

    def _server(self, camera: str) -> Server:
        url = self.config.url.replace("{camera}", camera)
        if url not in self._servers:
            self._servers[url] = Server("onvif", url)
        return self._servers[url]


def document(message: Message) -> bytes:
    """An alert as a document of a metadata stream: UTC, a box from -1 to 1 with y up, class and likelihood."""
    after = message.after
    stream = Element(_tag("MetadataStream"))
    at = datetime.fromtimestamp(after["frame_time"], UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    frame = _add(_add(stream, "VideoAnalytics"), "Frame", UtcTime=at, Source=f"wherewhen/{message.camera}")
    number = str(zlib.crc32(message.id.encode()) >> 1)  # ONVIF's are whole numbers
    if message.kind == "end":
        _add(_add(frame, "ObjectTree"), "Delete", ObjectId=number)
        return tostring(stream)
    x0, y0, x1, y1 = after["wherewhen"]["box_rel"]
    sides = {"left": 2 * x0 - 1, "top": 1 - 2 * y0, "right": 2 * x1 - 1, "bottom": 1 - 2 * y1}
    appearance = _add(_add(frame, "Object", ObjectId=number), "Appearance")
    shape = _add(appearance, "Shape")
    _add(shape, "BoundingBox", **sides)
    _add(shape, "CenterOfGravity", x=x0 + x1 - 1, y=1 - y0 - y1)
    _add(_add(appearance, "Class"), "Type", Likelihood=after["score"]).text = after["label"]
    return tostring(stream)


def _add(parent: Element, name: str, **values: Any) -> Element:
    """An element below another one, with numbers of four digits."""
    texts = {key: f"{value:.4f}" if isinstance(value, float) else str(value) for key, value in values.items()}
    return SubElement(parent, _tag(name), texts)


def _tag(name: str) -> str:
    return f"{{{SCHEMA}}}{name}"


PLUGIN = Onvif

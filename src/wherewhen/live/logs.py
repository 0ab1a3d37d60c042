"""The log of the service: lines of text, or of JSON with fields that programs select by."""

from __future__ import annotations

import json
import logging
import time
from typing import Literal

from wherewhen.core.addresses import masked
from wherewhen.core.console import Discreet
from wherewhen.core.printable import legible

LogFormat = Literal["text", "json"]
FIELDS = ("camera", "event", "cause")


def fields(camera: str | None, event: str, cause: str | None = None) -> dict[str, str | None]:
    """The argument ``extra`` of a log call: the camera or None, a name of what happened, and why.

    >>> fields("yard", "offline", "no route")
    {'camera': 'yard', 'event': 'offline', 'cause': 'no route'}
    """
    return dict(zip(FIELDS, (camera, event, cause), strict=True))


class JsonLines(logging.Formatter):
    """A JSON object a line: ``time`` (UTC), ``level``, ``camera``, ``event``, ``cause``, ``message``; no secrets.

    ``camera``, ``event`` and ``cause`` are null where a message has none. ``trace`` is the traceback of an error.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, str | None] = {"time": f"{moment}.{int(record.msecs):03d}Z", "level": record.levelname.lower()}
        line |= {name: _clean(getattr(record, name, None)) for name in FIELDS}
        line["message"] = record.getMessage()
        if record.exc_info or record.exc_text:
            line["trace"] = masked(record.exc_text or self.formatException(record.exc_info))  # type: ignore[arg-type]
        return json.dumps(line)


def handler(log_format: LogFormat) -> logging.Handler:
    """A handler for standard error."""
    lines = logging.StreamHandler()
    lines.addFilter(Discreet())
    text = logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    lines.setFormatter(JsonLines() if log_format == "json" else text)
    return lines


def use(log_format: LogFormat, *, quiet: bool = False) -> None:
    """Write the log in a format from now on; text is what the command line does anyway."""
    if log_format == "json":
        lines = handler("json")
        lines.setLevel(logging.WARNING if quiet else logging.INFO)
        logging.getLogger("wherewhen").handlers = [lines]


def _clean(value: object) -> str | None:
    return None if value is None else legible(masked(str(value)))

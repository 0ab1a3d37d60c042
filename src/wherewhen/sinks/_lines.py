"""Messages as lines of JSON."""

from __future__ import annotations

import json

from wherewhen.core.contracts.sinks import Message


def line(message: Message) -> str:
    """A message as a line of JSON without its snapshot."""
    fields = {"type": message.kind, "camera": message.camera, "before": message.before or None, "after": message.after}
    return json.dumps(fields, allow_nan=False)

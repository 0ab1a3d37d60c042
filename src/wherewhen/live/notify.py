"""Messages to systemd, which starts the service and watches over it (sd_notify)."""

from __future__ import annotations

import os
import socket
from contextlib import suppress


def notify(state: str) -> None:
    """Tell systemd a state, such as ``READY=1`` or ``WATCHDOG=1``; nothing where it did not start this process."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as wire, suppress(OSError):  # systemd may have gone
        wire.sendto(state.encode(), f"\0{address[1:]}" if address.startswith("@") else address)

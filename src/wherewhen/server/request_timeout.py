"""A limit of the time in which the head of a request must come. Read where uvicorn is installed."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD = 10.0  # seconds


class TimedProtocol(H11Protocol):
    """HTTP/1.1 on one connection, which is closed where no whole head of a request comes for 10 to 20 s.

    uvicorn limits only the time between two requests, so that a client could hold any number of connections.
    """

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to count the time."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop counting."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._timer = self.loop.call_later(HEAD, self._check, self.cycle)

    def _check(self, earlier: Any) -> None:
        """Close the connection if no request began since the last check, and none is being answered."""
        is_idle = self.cycle is None or self.cycle.response_complete
        if is_idle and self.cycle is earlier:
            self.transport.close()
        elif not self.transport.is_closing():
            self._wait()

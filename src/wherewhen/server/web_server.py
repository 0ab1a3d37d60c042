"""The web server beside the service: in a thread, on a socket that is opened first."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

from wherewhen.core.database import OF_STORE
from wherewhen.core.errors import ConfigError, os_reason
from wherewhen.live.hub import Group, Hub
from wherewhen.live.settings import ServerConfig, WatchConfig
from wherewhen.review.grouping import grouping
from wherewhen.review.opened import Review
from wherewhen.server.app import create
from wherewhen.server.guard import App, Guard, Receive, Send, split

log = logging.getLogger("wherewhen")

MACHINES = "/api/hub/"  # paths of the routes between machines
GRACE = 2  # seconds that answers have at the end


def group_of(config: WatchConfig, hub: Hub | None = None) -> Group | None:
    """The group of machines that settings state; None without one. ``hub``: the hub, if it is here."""
    return None if config.hub is None else Group(config.of_hub.secret, hub)


def checked(config: ServerConfig | None, group: Group | None = None) -> list[str]:
    """A line about the server; none without one. The errors are those of a start, but for the port."""
    if config is None:
        return []
    _guarded(Path(), config, group)
    return [f"server http://{config.host}:{config.port}/{' with a token' if config.token else ''}"]


def _guarded(folder: Path, config: ServerConfig, group: Group | None) -> App:
    """The application for a store; routes between machines need their token, and all others that of the server."""
    app = create(folder, group)
    guarded = Guard(app, config.secret, config.hosts)
    return guarded if group is None else split(MACHINES, Guard(app, group.token, config.hosts), guarded)


@contextmanager
def serving(folder: Path, config: ServerConfig, group: Group | None = None) -> Iterator[int]:
    """Serve the store in a folder inside the block; gives the port. ConfigError where it can't listen there.

    Look-alikes among its alerts are grouped meanwhile.

    ``group``: of a machine among several.
    """
    app = _guarded(folder, config, group)
    with answering(app, config.host, config.port) as port, grouping(Review(folder / OF_STORE, is_live=True)):
        host = config.host if config.host != "localhost" else "127.0.0.1"
        log.info("status page: http://%s:%d/", f"[{host}]" if ":" in host else host, port)
        yield port


@contextmanager
def with_server(config: WatchConfig) -> Iterator[WatchConfig]:
    """Serve the store of a service inside the block, where its settings have a server; gives them with its port."""
    if config.server is None:
        yield config
        return
    with serving(Path(config.store.path), config.server, group_of(config)) as port:
        yield replace(config, server=replace(config.server, port=port))


@contextmanager
def answering(app: App, host: str, port: int) -> Iterator[int]:
    """Run an application inside the block; gives the port. ConfigError where it can't listen there."""
    listening = _listening(host, port)
    import uvicorn

    from wherewhen.server.request_timeout import TimedProtocol

    settings = uvicorn.Config(
        _ending(app, lambda: server.should_exit), http=TimedProtocol, lifespan="off", ws="none", log_config=None,
        access_log=False, server_header=False, proxy_headers=False, timeout_graceful_shutdown=GRACE,
    )  # fmt: skip
    errors = logging.getLogger("uvicorn.error")
    errors.parent, errors.level = log, logging.WARNING
    server = uvicorn.Server(settings)
    port = listening.getsockname()[1]

    def served() -> None:
        with listening:  # closed by this thread alone: until it ends, the server waits on it
            server.run([listening])

    thread = Thread(target=served, name="server", daemon=True)
    thread.start()
    try:
        yield port
    finally:
        server.should_exit = True
        thread.join(GRACE + 3)
        if thread.is_alive():
            log.warning("server: an answer at port %d has not ended; it ends with the process", port)


def _ending(app: App, is_over: Callable[[], bool]) -> App:
    """An application whose answers without an end can see, as ``request.scope["is_over"]``, when the server ends."""

    async def with_end(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        await app({**scope, "is_over": is_over}, receive, send)

    return with_end


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigError(f"server: can't listen at {host} port {port}: {os_reason(error)}") from None

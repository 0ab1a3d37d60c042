"""The web server beside the service: in a thread, on a socket that is opened first."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

from wherewhen.core.errors import ConfigError, os_reason
from wherewhen.live.settings import ServerConfig
from wherewhen.server.app import create
from wherewhen.server.guard import Guard

log = logging.getLogger("wherewhen")

GRACE = 2  # seconds that answers have at the end


def checked(config: ServerConfig | None) -> list[str]:
    """A line about the server; none without one. The errors are those of a start, but for the port."""
    if config is None:
        return []
    Guard(create(Path()), config.secret, config.hosts)
    return [f"server http://{config.host}:{config.port}/{' with a token' if config.token else ''}"]


@contextmanager
def serving(folder: Path, config: ServerConfig) -> Iterator[int]:
    """Serve the store in a folder inside the block; gives the port. ConfigError where it can't listen there."""
    with answering(Guard(create(folder), config.secret, config.hosts), config.host, config.port) as port:
        host = config.host if config.host != "localhost" else "127.0.0.1"
        log.info("status page: http://%s:%d/", f"[{host}]" if ":" in host else host, port)
        yield port


@contextmanager
def answering(app: Guard, host: str, port: int) -> Iterator[int]:
    """Run an application inside the block; gives the port. ConfigError where it can't listen there."""
    listening = _listening(host, port)
    import uvicorn

    settings = uvicorn.Config(
        app, lifespan="off", ws="none", log_config=None, access_log=False, server_header=False, proxy_headers=False,
        timeout_graceful_shutdown=GRACE,
    )  # fmt: skip
    errors = logging.getLogger("uvicorn.error")
    errors.parent, errors.level = log, logging.WARNING
    server = uvicorn.Server(settings)
    thread = Thread(target=server.run, args=([listening],), name="server", daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(GRACE + 3)
        listening.close()


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigError(f"server: can't listen at {host} port {port}: {os_reason(error)}") from None

"""Bring the cameras of several machines together: one page, and one sender of alerts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from wherewhen.cli.needs import Need
from wherewhen.cli.verb import Verb


@dataclass(frozen=True)
class Options:
    """Options of ``hub``.

    Args:
        source: file of cameras (.yaml), as watch takes it on the other machines; hub, server, sinks and store are read.
        output: folder of the database and of pictures; default: that of the file (store.path), else live.
        port: of the web server; default: that of the file (server.port).
        check: read the settings, create sinks, print them, and end.
        log_format: of the log on standard error: text, or json for an object a line.
        json: print what was checked as JSON instead of text.
        quiet: only warnings and errors in the log.
    """

    source: str
    output: str | None = None
    port: int | None = None
    check: bool = False
    log_format: Literal["text", "json"] = "text"
    json: bool = False
    quiet: bool = False


def run(options: Options) -> int:
    """Receive and send until the hub is interrupted."""
    import time
    from pathlib import Path

    from wherewhen.core.config import build, read_yaml
    from wherewhen.core.console import print_lines
    from wherewhen.core.errors import ConfigError
    from wherewhen.live import logs, running, sinks
    from wherewhen.live.hub import Hub
    from wherewhen.live.settings import WatchConfig, with_options
    from wherewhen.runtime.interrupts import until_interrupted
    from wherewhen.server.web_server import checked, group_of, serving

    values = {"hub": {}, **read_yaml(options.source)}
    settings = with_options(values, store=options.output, port=options.port)
    config = build(WatchConfig, settings, options.source)
    if config.server is None:
        raise ConfigError(
            "hub: other machines call it: add server: {host: 0.0.0.0, port: 5000, token: ${SERVER_TOKEN}}"
        )
    if options.check:
        lines = [*sinks.check(sinks.makers(config, at_hub=True)), *checked(config.server, group_of(config))]
        print_lines("checked", lines, as_json=options.json)
        return 0
    logs.use(options.log_format, quiet=options.quiet)
    folder, names = Path(config.store.path), list(config.of_sinks)
    with until_interrupted() as stop, running.claimed(folder):
        hub = Hub(folder, names, sinks.with_states(names), time.time())
        with serving(folder, config.server, group_of(config, hub)):
            running.run_hub(config, hub, stop)
    return 0


VERB = Verb(
    "start",
    Options,
    run,
    needs=(
        Need(("json",), "check", True, "alerts are lines of JSON already"),
        Need(("log_format",), "check", False, "nothing is logged"),
    ),
)

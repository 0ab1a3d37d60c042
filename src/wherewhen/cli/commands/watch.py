"""Watch cameras, and send alerts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from wherewhen.cli.needs import Need
from wherewhen.cli.verb import Verb


@dataclass(frozen=True)
class Options:
    """Options of ``watch``.

    Args:
        source: file of cameras (.yaml), or the address of one camera, its number, or a recording to replay.
        model: run folder of a trained, adapted or calibrated model; default: that of the file, else runs/latest.
        output: folder of the database and of pictures; default: that of the file (store.path), else live.
        alarms_per_day: false alarms a day of each camera, at most; default: the budget in the file, else the threshold
            of the model.
        speed: of a replay of recordings; 1 is real time.
        port: of the web server with the status page, 127.0.0.1 unless the file names a host; default: that of the file
            (server.port), else no server.
        check: read the settings, load models and sinks, print them, and end.
        device: auto, cpu or cuda.
        log_format: of the log on standard error: text, or json for an object a line.
        json: print what was checked as JSON instead of text.
        quiet: only warnings and errors in the log.
    """

    source: str
    model: str | None = None
    output: str | None = None
    alarms_per_day: float | None = None
    speed: float | None = None
    port: int | None = None
    check: bool = False
    device: str = "auto"
    log_format: Literal["text", "json"] = "text"
    json: bool = False
    quiet: bool = False


def run(options: Options) -> int:
    """Watch until the service is interrupted, or until the replayed recordings end."""
    import logging
    from contextlib import nullcontext
    from pathlib import Path

    from wherewhen.core.config import build, read_yaml
    from wherewhen.core.console import print_json
    from wherewhen.live import logs, service
    from wherewhen.live.settings import WatchConfig, with_options
    from wherewhen.runtime.interrupts import until_interrupted
    from wherewhen.server.running import checked, serving

    path = Path(options.source)
    is_file = path.suffix.lower() in (".yaml", ".yml")
    values = read_yaml(path) if is_file else {"cameras": {"camera": options.source}}
    settings = with_options(values, options.model, options.output, options.speed, options.port, options.alarms_per_day)
    config = build(WatchConfig, settings, str(path) if is_file else "watch")
    if options.check:
        lines = [*service.check(config, options.device), *checked(config.server)]
        if options.json:
            print_json({"checked": lines})
        else:
            print("\n".join(lines))
        return 0
    if options.log_format == "json":
        log_handler = logs.handler("json")
        log_handler.setLevel(logging.WARNING if options.quiet else logging.INFO)
        logging.getLogger("wherewhen").handlers = [log_handler]
    server = serving(Path(config.store.path), config.server) if config.server else nullcontext()
    with until_interrupted() as stop, server:
        service.watch(config, stop, device=options.device, quiet=options.quiet, log_format=options.log_format)
    return 0


VERB = Verb(
    "start",
    Options,
    run,
    addresses=("source",),
    needs=(
        Need(("json",), "check", True, "alerts are lines of JSON already"),
        Need(("log_format",), "check", False, "nothing is logged"),
    ),
)

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
        shard: which of several machines this is, such as 1/3, with its share of the cameras.
        hub: address of the machine that gets all alerts and sends them; its token is ${HUB_TOKEN}, or hub.token of the
            file.
        port: of the web server with the status page, 127.0.0.1 unless the file names a host; default: that of the file
            (server.port), else no server.
        distributed: an actor for each camera on a Ray cluster; alerts go to a hub.
        ray_address: address of a running Ray cluster; default: one on this machine.
        check: read the settings, load models and sinks, print them, and end.
        hwaccel: what decodes videos of all cameras: none is the processor, auto the first device that works, else the
            processor; or a device by name, such as cuda, qsv and vaapi; default: that of the file, else none.
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
    shard: str | None = None
    hub: str | None = None
    port: int | None = None
    distributed: Literal["ray"] | None = None
    ray_address: str | None = None
    check: bool = False
    hwaccel: str | None = None
    device: str = "auto"
    log_format: Literal["text", "json"] = "text"
    json: bool = False
    quiet: bool = False


def run(options: Options) -> int:
    """Watch until the service is interrupted, or until the replayed recordings end."""
    from pathlib import Path

    from wherewhen.core.config import build, read_yaml
    from wherewhen.core.console import print_lines
    from wherewhen.core.errors import ConfigError
    from wherewhen.live import logs, service
    from wherewhen.live.settings import WatchConfig, with_options
    from wherewhen.runtime.interrupts import until_interrupted
    from wherewhen.server import actors
    from wherewhen.server.web_server import checked, group_of, with_server

    path = Path(options.source)
    is_file = path.suffix.lower() in (".yaml", ".yml")
    values = read_yaml(path) if is_file else {"cameras": {"camera": options.source}}
    settings = with_options(
        values, options.model, options.output, options.speed, options.port, options.alarms_per_day, options.hub,
        options.shard, options.hwaccel,
    )  # fmt: skip
    config = build(WatchConfig, settings, str(path) if is_file else "watch")
    if not config.cameras:
        raise ConfigError(f"{path}: it has no cameras; wherewhen hub {path} starts a hub")
    group = group_of(config)
    if options.check:
        lines = [*service.check(config, options.device), *checked(config.server, group)]
        print_lines("checked", lines, as_json=options.json)
        return 0
    logs.use(options.log_format, quiet=options.quiet)
    if options.distributed:
        tasks = actors.tasks(settings, config, options.device, options.quiet, options.log_format)
        with actors.cluster(options.ray_address) as ray, until_interrupted() as stop:
            actors.watch(ray, tasks, config.of_hub.url, stop)
        return 0
    with until_interrupted() as stop, with_server(config) as served:
        service.watch(served, stop, device=options.device, quiet=options.quiet, log_format=options.log_format)
    return 0


VERB = Verb(
    "start",
    Options,
    run,
    addresses=("source", "hub", "ray_address"),
    needs=(
        Need(("json",), "check", True, "alerts are lines of JSON already"),
        Need(("log_format",), "check", False, "nothing is logged"),
        Need(("ray_address",), "distributed"),
        Need(("shard",), "distributed", False, "Ray chooses the machine of each camera"),
        Need(("port",), "distributed", False, "each camera takes a free port"),
    ),
)

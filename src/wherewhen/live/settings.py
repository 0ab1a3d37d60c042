"""The file of ``wherewhen watch``: model, sinks, store and cameras."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from wherewhen.core import registry
from wherewhen.core.config import build, mapping, merged, read_yaml
from wherewhen.core.errors import ConfigError
from wherewhen.core.secret_text import SHORTEST, filled
from wherewhen.live import zones
from wherewhen.live.alert_files import ClipConfig
from wherewhen.live.alerts import AlertConfig
from wherewhen.live.budgeting import BudgetConfig
from wherewhen.live.picture_state import StateConfig
from wherewhen.live.retention import StoreConfig
from wherewhen.live.schedule import Period
from wherewhen.live.sharding import Shard
from wherewhen.live.zones import Polygon
from wherewhen.video.sources import Access, Source, parsed

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class CameraConfig:
    """A camera.

    Args:
        url: address (rtsp, http, ...), number of a camera of this machine, or a file or folder that is replayed;
            ${NAME} is a variable of the environment, ${file:PATH} the first line of a file.
        model: run folder; null: that of all cameras.
        zones: polygons by name, points in fractions of the picture.
        alert_zones: zones in which an alert must have been; none: anywhere.
        masks: polygons that are painted gray, so that nothing moves in them.
        schedule: times in which alerts are sent, such as "mon-fri 18:00-08:00"; none: always.
        speed: of a replay; 1 is real time.
        silence_seconds: a camera that is silent for so long, or doesn't answer, is opened again.
        transport: of RTSP: tcp, or udp for a camera that offers nothing else.
        hwaccel: what decodes: none (the processor), auto, or the name of a device.
        latency_seconds: pictures that wait longer are dropped, the whole queue at a time.
        alerts: when an alert begins and ends.
        budget: false alarms a day, which choose threshold and duration; null: those of the model and of alerts.
        states: limits of the states of the camera.
        clips: what is stored of alerts as video.
    """

    url: str
    model: str | None = None
    zones: Mapping[str, Any] = field(default_factory=dict)
    alert_zones: tuple[str, ...] = ()
    masks: tuple[list[Any], ...] = ()
    schedule: tuple[str, ...] = ()
    speed: float = 1.0
    silence_seconds: float = 15.0
    transport: Literal["tcp", "udp"] = "tcp"
    hwaccel: str = "none"
    latency_seconds: float = 10.0
    alerts: AlertConfig = AlertConfig()  # noqa: RUF009 (frozen)
    budget: BudgetConfig | None = None
    states: StateConfig = StateConfig()  # noqa: RUF009 (frozen)
    clips: ClipConfig = ClipConfig()  # noqa: RUF009 (frozen)

    def __post_init__(self) -> None:
        for name, value in (
            ("speed", self.speed),
            ("latency_seconds", self.latency_seconds),
            ("silence_seconds", self.silence_seconds),
        ):
            if not value > 0:
                raise ConfigError(f"{name}: expected a number above 0, got {value}")
        if unknown := [name for name in self.alert_zones if name not in self.zones]:
            raise ConfigError(f"alert_zones: there is no zone {unknown[0]!r}; zones: {', '.join(self.zones) or 'none'}")
        if self.budget is not None:
            self.budget.alerts(self.alerts)
        _ = self.polygons, self.covered, self.periods, self.access

    @property
    def polygons(self) -> dict[str, Polygon]:
        """The zones, checked."""
        return {name: zones.check(f"zones.{name}", polygon) for name, polygon in self.zones.items()}

    @property
    def covered(self) -> tuple[Polygon, ...]:
        """The masks, checked."""
        return tuple(zones.check("masks", polygon) for polygon in self.masks)

    @property
    def periods(self) -> tuple[Period, ...]:
        """The schedule, checked."""
        return tuple(Period.of(text) for text in self.schedule)

    @property
    def layout(self) -> str:
        """Zones and masks as JSON."""
        return json.dumps({"zones": self.polygons, "alert_zones": self.alert_zones, "masks": self.covered})

    @property
    def access(self) -> Access:
        """How it is read."""
        return Access(self.silence_seconds, self.transport, self.hwaccel)

    @property
    def source(self) -> Source:
        """What is opened, with its secrets."""
        return parsed(filled(self.url, is_address=True))


@dataclass(frozen=True)
class ServerConfig:
    """The web server of the service.

    Args:
        host: number or name at which it listens; another one than 127.0.0.1 needs a token.
        port: number of the port; 0: a free one.
        token: what each request must bring, 16 characters or more; empty: nothing. ${NAME} is a variable of the
            environment, ${file:PATH} the first line of a file.
        hosts: names besides localhost by which it is called, such as that of a proxy.
    """

    host: str = "127.0.0.1"
    port: int = 5000
    token: str = ""
    hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.port < 65536:
            raise ConfigError(f"server.port: expected a number from 0 to 65535, got {self.port}")
        if self.host not in LOOPBACK and not self.token:
            raise ConfigError(
                f"server.host: {self.host} can be reached from other machines, which needs a token: add "
                "token: ${SERVER_TOKEN}, or leave host out"
            )

    @property
    def secret(self) -> str:
        """The token; ConfigError for a short one."""
        token = filled(self.token)
        if self.token and len(token) < SHORTEST:
            raise ConfigError(f"server.token: expected at least {SHORTEST} characters, got {len(token)}")
        return token


@dataclass(frozen=True)
class WatchConfig:
    """Settings of ``wherewhen watch``.

    Args:
        cameras: cameras by name; a text is the address of one.
        model: run folder of the model of all cameras.
        sinks: where alerts are sent: settings by name of the sink.
        store: where alerts are kept.
        server: the web server; null: none.
        budget: of all cameras; a camera's own budget changes single settings of it.
        hub: the machine that gets all alerts and sends them, in place of the sinks; null: this one sends its own.
        shard: which of several machines this is, such as 1/3, with its share of the cameras; empty: all cameras.
    """

    cameras: Mapping[str, Any] = field(default_factory=dict)
    model: str | None = None
    sinks: Mapping[str, Any] = field(default_factory=lambda: {"stdout": {}})
    store: StoreConfig = StoreConfig()  # noqa: RUF009 (frozen)
    server: ServerConfig | None = None
    budget: BudgetConfig | None = None
    hub: Mapping[str, Any] | None = None
    shard: str = ""

    def __post_init__(self) -> None:
        if not self.cameras and self.hub is None:
            raise ConfigError("cameras: expected at least one, such as {yard: {url: rtsp://10.0.0.5/1}}")
        for name in map(str, self.cameras):
            if not NAME.fullmatch(name):
                raise ConfigError(f"cameras: {name[:80]!r} is no name: expected letters, digits, - and _, at most 64")
        _ = self.of_cameras, self.of_sinks, self.of_hub, self.store.size

    @property
    def of_cameras(self) -> dict[str, CameraConfig]:
        """The settings of each camera of this machine."""
        records = {}
        for name, values in self.cameras.items():
            section = f"cameras.{name}"
            plain: dict[str, Any] = {"url": str(values)} if isinstance(values, str | int) else mapping(values, section)
            if self.budget is not None and plain.get("budget", {}) is not None:
                plain["budget"] = {**asdict(self.budget), **mapping(plain.get("budget"), f"{section}.budget")}
            records[str(name)] = build(CameraConfig, {"model": self.model, **plain}, section)
            if records[str(name)].model is None:
                raise ConfigError(f"{section}: no model; add 'model: RUN' to it, or for all cameras")
        shard = Shard.of(self.shard) if self.shard else None
        return {name: record for name, record in records.items() if shard is None or name in shard}

    @property
    def of_sinks(self) -> dict[str, Any]:
        """The settings of each sink."""
        return {name: _of_sink(name, values) for name, values in self.sinks.items()}

    @property
    def of_hub(self) -> Any:
        """The settings of the sink that sends to the hub; None without one."""
        return None if self.hub is None else _of_sink("hub", self.hub)


def _of_sink(name: str, values: Any) -> Any:
    return build(registry.load("sinks", name).Config, values, name)


def read(path: str | Path) -> WatchConfig:
    """The settings in a file; ConfigError names what is wrong."""
    return build(WatchConfig, read_yaml(path), str(path))


def with_options(
    values: Mapping[str, Any], model: str | None = None, store: str | None = None, speed: float | None = None,
    port: int | None = None, alarms_per_day: float | None = None, hub: str | None = None, shard: str | None = None,
    hwaccel: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Settings with those of the command line, which take precedence; the model is ``runs/latest`` without another."""
    options = (("model", model), ("speed", speed), ("hwaccel", hwaccel))
    changes: dict[str, Any] = {name: value for name, value in options if value is not None}
    if alarms_per_day is not None:
        changes["budget"] = {"per_day": alarms_per_day}
    cameras = {
        name: merged(camera if isinstance(camera, Mapping) else {"url": str(camera)}, changes)
        for name, camera in mapping(values.get("cameras"), "cameras").items()
    }
    folder = {"store": {**mapping(values.get("store"), "store"), "path": store}} if store is not None else {}
    server = {"server": {**mapping(values.get("server"), "server"), "port": port}} if port is not None else {}
    machines: dict[str, Any] = {} if hub is None else {"hub": {**mapping(values.get("hub"), "hub"), "url": hub}}
    machines |= {} if shard is None else {"shard": shard}
    return {"model": "runs/latest", **values, "cameras": cameras, **folder, **server, **machines}

"""The sinks of a service, as its settings name them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial

from wherewhen.core import registry
from wherewhen.core.contracts.sinks import Sink
from wherewhen.live.settings import WatchConfig


def makers(config: WatchConfig, *, at_hub: bool = False) -> dict[str, Callable[[], Sink]]:
    """Functions that create the sinks, by name; of a machine that has a hub elsewhere that one alone."""
    if at_hub or (hub := config.of_hub) is None:
        return {name: partial(registry.load("sinks", name), settings) for name, settings in config.of_sinks.items()}
    port = f":{config.server.port}" if config.server else ""
    return {"hub": partial(registry.load("sinks", "hub"), replace(hub, address=hub.address or port))}


def with_states(sinks: Iterable[str]) -> list[str]:
    """Names of the sinks that get states of cameras."""
    return [name for name in sinks if registry.load("sinks", name).abilities.states]


def check(sinks: Mapping[str, Callable[[], Sink]]) -> list[str]:
    """Create every sink; a line about each."""
    for make in sinks.values():
        make().close()
    return [f"sink {name}" for name in sinks]

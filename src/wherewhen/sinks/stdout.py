"""Alerts as lines of JSON on the standard output."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import ClassVar

from wherewhen.core.contracts.sinks import Message, SinkAbilities
from wherewhen.sinks._lines import line


@dataclass(frozen=True)
class StdoutConfig:
    """Settings of the standard output: none."""


class Stdout:
    """Writes a line of JSON for each message: ``type``, ``camera``, ``before`` and ``after``."""

    Config: ClassVar[type] = StdoutConfig
    abilities: ClassVar[SinkAbilities] = SinkAbilities(states=True)

    def __init__(self, config: StdoutConfig) -> None:
        self.config = config

    def send(self, message: Message) -> None:
        """Write a line."""
        print(line(message), file=sys.stdout, flush=True)

    def close(self) -> None:
        """Nothing is held."""


PLUGIN = Stdout

"""Alerts as lines of JSON in a file that grows."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import ClassVar

from wherewhen.core import outputs
from wherewhen.core.contracts.sinks import Message, SinkAbilities, Undelivered
from wherewhen.core.errors import OutputError
from wherewhen.sinks._lines import line


@dataclass(frozen=True)
class FileConfig:
    """Settings of the file.

    Args:
        path: file to append to.
    """

    path: str = "alerts.jsonl"


class File:
    """Appends a line of JSON for each message, as the sink ``stdout`` writes it, and waits until it is on the disk."""

    Config: ClassVar[type] = FileConfig
    abilities: ClassVar[SinkAbilities] = SinkAbilities(states=True)

    def __init__(self, config: FileConfig) -> None:
        self.config = config

    def send(self, message: Message) -> None:
        """Append a line."""
        try:
            with outputs.grow(self.config.path).open("a", encoding="utf-8") as file:
                file.write(line(message) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except (OSError, OutputError) as error:
            raise Undelivered(f"{self.config.path}: {error}") from None

    def close(self) -> None:
        """Nothing is held."""


PLUGIN = File

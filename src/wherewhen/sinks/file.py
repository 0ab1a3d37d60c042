"""Alerts as lines of JSON in a file that grows."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import BinaryIO, ClassVar

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
    """Appends a line of JSON for each message, as the sink ``stdout`` writes it, and waits until it is on the disk.

    A line that a process wrote before it died, whole or in part, is not written again, but completed.
    """

    Config: ClassVar[type] = FileConfig
    abilities: ClassVar[SinkAbilities] = SinkAbilities(states=True)

    def __init__(self, config: FileConfig) -> None:
        self.config = config
        self._is_known = False  # whether the end of the file is a line that this object wrote

    def send(self, message: Message) -> None:
        """Append a line."""
        text = f"{line(message)}\n".encode()
        is_known, self._is_known = self._is_known, False
        try:
            with outputs.grow(self.config.path).open("a+b") as file:
                file.write(text if is_known else _missing(file, text))
                file.flush()
                os.fsync(file.fileno())
        except (OSError, OutputError) as error:
            raise Undelivered(f"{self.config.path}: {error}") from None
        self._is_known = True

    def close(self) -> None:
        """Nothing is held."""


def _missing(file: BinaryIO, text: bytes) -> bytes:
    """What a file lacks to end with a line."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - len(text) - 1))
    end = file.read()
    if end in (text, b"\n" + text):
        return b""
    _, newline, torn = end.rpartition(b"\n")
    if not newline and size > len(end):
        return b"\n" + text
    return text.removeprefix(torn) if text.startswith(torn) else b"\n" + text


PLUGIN = File

"""Alerts as lines of JSON in a file that grows."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import BinaryIO, ClassVar

from wherewhen.core import outputs
from wherewhen.core.contracts.sinks import Message, SinkAbilities, Undelivered
from wherewhen.core.errors import OutputError
from wherewhen.sinks._lines import line

LAST = 2**16  # bytes at the end of the file in which lines of earlier processes are looked for


@dataclass(frozen=True)
class FileConfig:
    """Settings of the file.

    Args:
        path: file to append to.
    """

    path: str = "alerts.jsonl"


class File:
    """Appends a line of JSON for each message, as the sink ``stdout`` writes it, and waits until it is on the disk.

    Lines that a process wrote before it died are not written again, and one that it wrote in part is completed.
    """

    Config: ClassVar[type] = FileConfig
    abilities: ClassVar[SinkAbilities] = SinkAbilities(states=True)

    def __init__(self, config: FileConfig) -> None:
        self.config = config
        self._earlier: set[bytes] | None = None  # last lines of earlier processes; None: not read

    def send(self, message: Message) -> None:
        """Append a line."""
        text = f"{line(message)}\n".encode()
        try:
            with outputs.grow(self.config.path).open("a+b") as file:
                if self._earlier is None:
                    self._earlier = set(_end(file, LAST).splitlines(keepends=True))
                if text in self._earlier:
                    return
                self._earlier = set()  # what was sent before has come to its end
                file.write(_lacking(file, text))
                file.flush()
                os.fsync(file.fileno())
        except (OSError, OutputError) as error:
            raise Undelivered(f"{self.config.path}: {error}") from None

    def close(self) -> None:
        """Nothing is held."""


def _end(file: BinaryIO, count: int) -> bytes:
    """So many bytes at the end of a file."""
    file.seek(max(0, file.seek(0, os.SEEK_END) - count))
    return file.read()


def _lacking(file: BinaryIO, text: bytes) -> bytes:
    """What a file lacks to end with a line: a part of it may be there, or a part of another one."""
    torn = _end(file, len(text)).rpartition(b"\n")[2]
    return text.removeprefix(torn) if text.startswith(torn) else b"\n" + text


PLUGIN = File

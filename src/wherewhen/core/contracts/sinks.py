"""Contract of sinks: where alerts of cameras are sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

from wherewhen.core.contracts.required import Required

Kind = Literal["new", "update", "end", "state", "row"]


@dataclass(frozen=True, slots=True)
class SinkAbilities:
    """Optional abilities of a sink; the defaults are those of one without any.

    Args:
        states: it takes messages about the state of a camera too.
        runs: it is told when the service starts and ends, as a `Running`.
        controls: it takes commands of users, and shows what holds, as a `Controlling`.
        rows: it takes changed rows of the store too, which are messages of the kind *row*.
    """

    states: bool = False
    runs: bool = False
    controls: bool = False
    rows: bool = False

    def required(self) -> Required:
        """Members and settings that a class with these abilities must have."""
        return Required(
            (*(("started", "stopped") if self.runs else ()), *(("listen", "show") if self.controls else ()))
        )


@dataclass(frozen=True, slots=True)
class Message:
    """A message about a camera: the beginning, a change or the end of an alert, the camera's new state, or a row.

    ``id``: of the alert, or of the message about a state or row; ``id`` and ``kind`` together are unique, except for
    updates. ``before`` and ``after``: the alert as plain values, see docs/live.md; ``after`` alone for a state.
    ``snapshot``: a JPEG, where there is one. ``at``: seconds since 1970.
    """

    id: str
    kind: Kind
    camera: str
    after: dict[str, Any]
    before: dict[str, Any] = field(default_factory=dict)
    snapshot: bytes | None = None
    at: float = 0.0


class Undelivered(Exception):
    """A message could not be sent: it is tried again after ``wait`` seconds, or never where the sink refuses it."""

    def __init__(self, cause: str, wait: float | None = None, *, final: bool = False) -> None:
        super().__init__(cause)
        self.cause, self.wait, self.final = cause, wait, final


class Sink(Protocol):
    """Sends messages one after another; `Undelivered` where one could not be sent, which is then tried again.

    A message may be sent twice, where the service ends before it is known that it arrived.
    """

    Config: ClassVar[type]
    abilities: ClassVar[SinkAbilities]

    def __init__(self, config: Any) -> None: ...

    def send(self, message: Message) -> None:
        """Send a message; it has arrived when this returns."""

    def close(self) -> None:
        """Free what the sink holds."""


class Running(Protocol):
    """A sink that tells others whether the service runs."""

    def started(self, cameras: list[str], store: str) -> None:
        """The service starts, with these cameras; ``store``: the id of its store, which never changes."""

    def stopped(self) -> None:
        """The service ends."""


Obey = Callable[[str, str, Any], None]
"""Does what a message asks of a camera: its name, the command, and its value; a wrong one is in the log."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What holds of a camera now.

    ``score``: the newest one, None where nothing is scored. ``suspended``: end of its silence in seconds since 1970, 0
    where alerts are sent. ``status``: further values for readers. ``cause``: of the state, which holds since ``since``;
    ``at``: its last sign of life. ``facts``: what stays the same. ``minute``: start of its newest minute, ``judged``:
    time of its newest verdict; 0 without one. ``waits``: a change of its state waits to be sent to the hub.
    """

    state: str
    score: float | None
    enabled: bool
    suspended: float
    status: Mapping[str, Any]
    cause: str | None = None
    since: float = 0.0
    at: float = 0.0
    facts: Mapping[str, Any] = field(default_factory=dict)
    minute: float = 0.0
    judged: float = 0.0
    waits: bool = False


class Controlling(Protocol):
    """A sink through which users control cameras."""

    def listen(self, obey: Obey) -> None:
        """Call ``obey`` for each command, in any thread."""

    def show(self, cameras: Mapping[str, Standing]) -> None:
        """What holds of each camera; called about once a second, and never tried again."""

"""The state of the service as text for terminals."""

from __future__ import annotations

import time

from wherewhen.core.printable import printable
from wherewhen.live.overview import CameraView, Overview

UNITS = ((86400, "d"), (3600, "h"), (60, "min"))


def lines(service: Overview) -> list[str]:
    """A line about the service, and one for each camera; then what else is wrong."""
    width = max((len(camera.name) for camera in service.cameras), default=0)
    cameras = [f"{camera.name:<{width}}  {about(camera, service.now)}" for camera in service.cameras]
    return [headline(service), *cameras, *troubles(service)]


def troubles(service: Overview) -> list[str]:
    """Lines about what is wrong beside the cameras."""
    return [*silent_machines(service), *refused_messages(service), *lost_verdicts(service)]


def refused_messages(service: Overview) -> list[str]:
    """A line about the messages that each sink refused."""
    return [
        f"{refused.messages} messages that {refused.sink} refused are kept unsent, the last "
        f"{ago(service.now - refused.at)} ago: "
        f"{printable(refused.cause)}; to send them again: wherewhen control resend {refused.sink}"
        for refused in service.refused
    ]


def silent_machines(service: Overview) -> list[str]:
    """A line about each machine that says nothing."""
    return [
        f"machine {machine.name}: no sign of life for {ago(service.now - machine.at)}"
        for machine in service.machines
        if not machine.up
    ]


def lost_verdicts(service: Overview) -> list[str]:
    """A line about verdicts that no model can learn from any more."""
    if service.lost is None:
        return []
    count, last = service.lost.verdicts, ago(service.now - service.lost.at)
    return [
        f"clips of {count} judged alerts were removed for lack of room before a model learned from them, the last "
        f"{last} ago: learn more often, or raise store.bytes"
    ]


def headline(service: Overview) -> str:
    """Whether the service runs, since when, and what waits to be sent."""
    if service.running:
        text = f"running for {ago(service.now - service.started)}"
    elif service.stopped is not None:
        text = f"stopped {ago(service.now - service.stopped)} ago ({moment(service.stopped)})"
    else:
        text = f"not running: no sign of life for {ago(service.now - service.at)}"
    waiting = [f"{count} for {sink}" for sink, count in service.outbox.items()]
    return f"{text}; messages that wait: {', '.join(waiting)}" if waiting else text


def about(camera: CameraView, now: float) -> str:
    """A camera on one line: state, pictures a second, latency, drops, score, budget, last alert."""
    status = camera.status
    parts = [printable(camera.fault or camera.words), f"for {ago(now - camera.since)}"]
    if status and camera.state != "offline":
        parts += [
            f"{status['rate']:.1f} pictures/s", f"latency {status['latency']:.1f} s", f"{status['dropped']} dropped",
            f"score {status['score']:.2f} of {status['threshold']:.2f}",
        ]  # fmt: skip
    of_limit = f" of {camera.limit:g}" if camera.limit is not None else ""
    parts.append(f"alerts today {camera.used_today}{of_limit}")
    if camera.last_alert is not None:
        parts.append(f"last {moment(camera.last_alert.start)}")
    if (text := learning(camera)) is not None:
        parts.append(text)
    if machine := camera.facts.get("machine"):
        parts.append(f"on {printable(machine)}")
    return ", ".join(parts)


def learning(camera: CameraView) -> str | None:
    """What is missing until a camera with a budget sends alerts; None where it sends them."""
    if camera.budget.get("held") != "learning":
        return None
    return f"learning: {camera.budget['missing_hours']:.1f} more hours until alerts are sent"


def moment(at: float) -> str:
    """A moment in local time.

    >>> len(moment(1_790_000_000.0))
    19
    """
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def ago(seconds: float) -> str:
    """A length of time in its largest unit.

    >>> [ago(seconds) for seconds in (3.2, 150, 90_000)]
    ['3 s', '2 min', '1 d']
    """
    for size, unit in UNITS:
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"

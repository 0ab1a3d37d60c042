"""The state of the service as text for terminals."""

from __future__ import annotations

import time

from wherewhen.core.printable import printable
from wherewhen.live.overview import CameraView, Overview

UNITS = ((86400, "d"), (3600, "h"), (60, "min"))


def lines(service: Overview) -> list[str]:
    """A line about the service, and one for each camera."""
    width = max(len(camera.name) for camera in service.cameras)
    return [headline(service), *(f"{camera.name:<{width}}  {about(camera, service.now)}" for camera in service.cameras)]


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
    state = "finished" if camera.finished else "ok" if camera.fault is None else camera.fault
    parts = [printable(state), f"for {ago(now - camera.since)}"]
    if status and camera.state != "offline":
        parts += [
            f"{status['rate']:.1f} pictures/s", f"latency {status['latency']:.1f} s", f"{status['dropped']} dropped",
            f"score {status['score']:.2f} of {status['threshold']:.2f}",
        ]  # fmt: skip
    most = limit(camera)
    parts.append(f"alerts today {camera.used_today}" + (f" of {most:g}" if most is not None else ""))
    if (standing := status.get("budget")) and standing["held"]:
        parts.append(f"learning: {standing['missing_hours']:.1f} more hours until alerts are sent")
    if camera.last_alert is not None:
        parts.append(f"last {moment(camera.last_alert.start)}")
    return ", ".join(parts)


def limit(camera: CameraView) -> float | None:
    """The number of alerts a day that is allowed for, by the budget or the cap; None without one."""
    limits = [float(camera.facts[name]) for name in ("per_day", "a_day") if camera.facts.get(name) is not None]
    return min(limits, default=None)


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

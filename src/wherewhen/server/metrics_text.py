"""The measurements of the service in the text format of Prometheus (version 0.0.4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from wherewhen.live.overview import CameraView, Overview
from wherewhen.live.picture_state import State

TYPE = "text/plain; version=0.0.4; charset=utf-8"
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def metrics(service: Overview, verdicts: Mapping[tuple[str, str], int]) -> str:
    """All measurements; ``verdicts``: their number by camera and verdict. Counters are those since a camera's start."""
    lines = _Lines()
    cameras = service.cameras
    lines.family("camera_up", "gauge", "Whether pictures of the camera are scored.")
    for camera in cameras:
        lines.add("camera_up", int(_is_up(camera)), camera=camera.name)
    lines.family("camera_state", "gauge", "1 for the state of the camera, 0 for the others.")
    for camera in cameras:
        for state in get_args(State):
            lines.add("camera_state", int(camera.state == state), camera=camera.name, state=state)
    for name, kind, text, values in _of_each():
        lines.family(name, kind, text)
        for camera in cameras:
            for labels, value in values(camera):
                lines.add(name, value, camera=camera.name, **labels)
    lines.family("verdicts_total", "counter", "Verdicts of people about alerts.")
    for (camera_name, verdict), count in sorted(verdicts.items()):
        lines.add("verdicts_total", count, camera=camera_name, verdict=verdict)
    lines.family("outbox_messages", "gauge", "Messages that wait to be sent.")
    for sink, count in service.outbox.items():
        lines.add("outbox_messages", count, sink=sink)
    lines.family("refused_messages", "gauge", "Messages that a sink refused, which are kept.")
    for refused in service.refused:
        lines.add("refused_messages", refused.messages, sink=refused.sink)
    lines.family("storage_free_bytes", "gauge", "Free bytes of the disk of the store.")
    lines.add("storage_free_bytes", service.free_bytes)
    lines.family("machine_up", "gauge", "Whether a machine of the hub gives signs of life.")
    for machine in service.machines:
        lines.add("machine_up", int(machine.up), machine=machine.name)
    lines.family("machine_clock_offset_seconds", "gauge", "Clock of a machine minus that of the hub.")
    for machine in service.machines:
        lines.add("machine_clock_offset_seconds", -machine.skew, machine=machine.name)
    lines.family("latency_seconds", "histogram", "Seconds from a picture to its score.")
    for camera in cameras:
        lines.histogram("latency_seconds", camera.status.get("latencies"), camera=camera.name)
    lines.family("stage_seconds", "histogram", "Seconds of a step of time: read, queue, score, alert.")
    for camera in cameras:
        for stage, record in camera.status.get("stages", {}).items():
            lines.histogram("stage_seconds", record, camera=camera.name, stage=stage)
    return lines.text


def _is_up(camera: CameraView) -> bool:
    """Whether its pictures are scored: not offline, and the service runs."""
    return camera.state != "offline" and (camera.fault is None or camera.fault.startswith(camera.state))


def _of_each() -> Iterator[tuple[str, str, str, Any]]:
    """Name, kind and description of measurements, and a function that gives labels and values of a camera."""

    def budget(name: str) -> Any:
        return lambda camera: [({}, camera.budget[name])] if camera.budget.get(name) is not None else []

    def status(name: str) -> Any:
        return lambda camera: [({}, camera.status[name])] if name in camera.status else []

    def counts(label: str, of: Any) -> Any:
        return lambda camera: [({label: key}, count) for key, count in of(camera.status).items()]

    yield "clock_offset_seconds", "gauge", "Drift of the clock of the stream since it was opened.", status("drift")
    yield "score", "gauge", "The newest score.", status("score")
    yield "threshold", "gauge", "Score at which an alert begins.", status("threshold")
    yield "budget_alerts_per_day", "gauge", "False alarms a day, at most.", budget("per_day")
    yield "false_alarm_upper_bound_per_day", "gauge", "95 % bound of false alarms a day.", budget("upper")
    yield (
        "model_info", "gauge", "1; the label is the SHA-256 of the weights.",
        lambda camera: [({"sha": camera.facts["model"]}, 1)] if camera.facts.get("model") else [],
    )  # fmt: skip
    yield "frames_received_total", "counter", "Pictures that were read.", status("frames")
    yield (
        "frames_dropped_total", "counter", "Pictures that were not scored.",
        counts("reason", lambda status: {"latency": status["dropped"]} if status else {}),
    )  # fmt: skip
    yield "reconnects_total", "counter", "How often the stream broke or could not be opened.", status("reconnects")
    yield (
        "alerts_total", "counter", "Alerts that were sent, and weaker events that were stored.",
        counts("severity", lambda status: {"alert": status["alerts"], "detection": status["detections"]}
               if status else {}),
    )  # fmt: skip
    yield "audits_total", "counter", "Random quiet clips that were stored for review.", status("audits")
    yield (
        "alerts_suppressed_total", "counter", "Alerts that were not sent.",
        counts("reason", lambda status: status.get("suppressed", {})),
    )  # fmt: skip


class _Lines:
    """Lines of the text format."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    @property
    def text(self) -> str:
        return "\n".join(self._lines) + "\n"

    def family(self, name: str, kind: str, description: str) -> None:
        self._lines += [f"# HELP wherewhen_{name} {description}", f"# TYPE wherewhen_{name} {kind}"]

    def add(self, name: str, value: float, **labels: str) -> None:
        pairs = ",".join(f'{label}="{text.translate(_ESCAPES)}"' for label, text in labels.items())
        self._lines.append(f"wherewhen_{name}{{{pairs}}} {value!r}" if pairs else f"wherewhen_{name} {value!r}")

    def histogram(self, name: str, record: Mapping[str, Any] | None, **labels: str) -> None:
        """A record of `wherewhen.live.histogram.Histogram`; its counts become those of all values up to a bound."""
        if record is None:
            return
        total = 0
        for bound, count in zip([*record["bounds"], "+Inf"], record["counts"], strict=True):
            total += count
            self.add(f"{name}_bucket", total, **labels, le=str(bound))
        self.add(f"{name}_sum", float(record["total"]), **labels)
        self.add(f"{name}_count", total, **labels)

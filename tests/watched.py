"""A store as ``wherewhen watch`` leaves it, written by hand."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

NOW = 1_790_000_000.0
FACTS = {"replayed": False, "model": "ab" * 32, "a_day": None, "per_day": 2.0, "upper": 2.5}


class WatchedStore:
    """Rows of a service with cameras; times in seconds since 1970."""

    def __init__(self, folder: Path) -> None:
        from wherewhen.live.database import Database

        self.folder = folder
        self.database = Database(folder)

    def service(self, at: float = NOW, stopped: float | None = None, *cameras: str) -> None:
        facts = json.dumps(dict.fromkeys(cameras or ("gate",), FACTS))
        self._replace("service", id=1, pid=7, started=at - 600, at=at, stopped=stopped, cameras_json=facts)

    def camera(
        self, state: str = "ok", cause: str | None = None, at: float = NOW, name: str = "gate", **more: Any
    ) -> None:
        from wherewhen.live.camera import Status

        status = Status(frames=300, dropped=4, rate=12.5, latency=1.25, score=0.4, threshold=0.8, at=at, **more)
        status.reconnects, status.alerts, status.detections, status.suppressed = 3, 2, 5, {"zone": 1, "cooldown": 2}
        for latency in (0.1, 1.25, 70.0):
            status.latencies.add(latency)
        status.stages["score"].add(0.02)
        text = json.dumps(asdict(status))
        self._replace("camera", name=name, state=state, cause=cause, since=at - 90, at=at, status_json=text)

    def alert(self, id: str, start: float, severity: str = "alert", *, camera: str = "gate", end: float | None = 2.0,
              zones: str = "[]", snapshot: bytes | None = None, clip: bytes | None = None,
              suppressed: str | None = None) -> None:  # fmt: skip
        files = {"snapshot": ("jpg", snapshot), "clip": ("mp4", clip)}
        names = {kind: f"{kind}s/{camera}/{id}.{suffix}" for kind, (suffix, data) in files.items() if data is not None}
        for kind, name in names.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_bytes(files[kind][1] or b"")
        end = None if end is None else start + end
        box = json.dumps([0.25, 0.5, 0.5, 0.75])
        self._replace("item", id=id, camera=camera, t0=start, t1=end, severity=severity, score=0.9, threshold=0.8,
                      suppressed=suppressed, box_json=box, zones_json=zones, state="ok",
                      alerted=start if severity == "alert" else None, **names)  # fmt: skip

    def _replace(self, table: str, **row: object) -> None:
        marks = ", ".join("?" * len(row))
        self.database.write(f"INSERT OR REPLACE INTO {table}({', '.join(row)}) VALUES ({marks})", *row.values())

"""Databases to review, written by hand, and requests to a server of them."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from wherewhen.core.database import Tables
from wherewhen.review.opened import Review

FPS, SIZE = 10, (48, 64)


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Requests to a server, one connection each."""

    def __init__(self, port: int) -> None:
        self.port = port

    def __call__(self, path: str, method: str = "GET", plain: Any = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            body = plain if isinstance(plain, bytes) else None if plain is None else json.dumps(plain).encode()
            if body is not None:
                named.setdefault("Content-Type", "application/json")
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def judge(self, *verdicts: dict[str, Any]) -> Answer:
        return self("/api/v1/verdicts", "POST", {"verdicts": list(verdicts)})


@contextmanager
def served(review: Review, **guard: Any) -> Iterator[Client]:
    from wherewhen.server.app import create_review
    from wherewhen.server.guard import Guard
    from wherewhen.server.web_server import answering

    with answering(Guard(create_review(review), **guard), "127.0.0.1", 0) as port:
        yield Client(port)


def write_video(path: Path, seconds: float = 6.0) -> Path:
    """Pictures that become brighter by 4 each tenth of a second."""
    from wherewhen.video.writer import Writer

    path.parent.mkdir(parents=True, exist_ok=True)
    with Writer(path, FPS) as writer:
        for number in range(round(seconds * FPS)):
            writer.write(np.full((*SIZE, 3), min(4 * number, 255), np.uint8))
    return path


def add_video(tables: Tables, id: str, path: str, seconds: float = 6.0) -> None:
    """A video with scores that rise from 0 to 1, every tenth of a second."""
    scores = np.linspace(0, 1, round(seconds * FPS), dtype="<f4").tobytes()
    tables.write("INSERT INTO video VALUES (?, ?, 0, ?, 64, 48, 10, 0.1, ?)", id, path, seconds, scores)


def add_item(tables: Tables, id: str, **values: Any) -> None:
    """An event of 2 s to 3.5 s of a video, unless it is an alert of a camera (``clock="wall"``)."""
    row = {
        "id": id, "camera": "yard", "t0": 2.0, "t1": 3.5, "severity": "detection", "score": 0.9, "threshold": 0.5,
        "box_json": "[0.25, 0.5, 0.75, 1.0]", "zones_json": "[]", "state": "ok", "clock": "video", **values,
    }  # fmt: skip
    tables.write(f"INSERT INTO item({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", *row.values())

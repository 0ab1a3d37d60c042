"""The review page in a browser: a store with drawn clips, its server, and windows that note what goes wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reviewed import add_item, add_video
from watched import WatchedStore

from wherewhen.core.database import OF_STORE, Tables

CHROMIUM = Path("/usr/bin/chromium")
OPTIONS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
           "--disable-sync"]  # fmt: skip
SHAPES = {"wide": (96, 54), "four": (64, 48), "tall": (48, 96)}  # width and height of the drawn clips
BOX = (0.5, 0.25, 0.75, 0.5)
SECONDS, FPS = 5, 10
EPOCH = 1_790_000_000.0
TALL_PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
READ = "() => document.querySelector('.line') || /left|No /.test(document.querySelector('.list')?.textContent)"
SENT = "() => !Object.keys(localStorage).some(name => name.includes(':waiting:'))"


@contextmanager
def browsers() -> Iterator[Any]:
    """Chromium; the test is skipped where it, or playwright, is absent."""
    if not CHROMIUM.exists():
        pytest.skip(f"no browser at {CHROMIUM}: install Debian's chromium to run this test")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=OPTIONS)
        yield browser
        browser.close()


@contextmanager
def answering_at(folder: Path, port: int = 0) -> Iterator[int]:
    """The server of a store; gives its port."""
    from wherewhen.server.app import create
    from wherewhen.server.guard import Guard
    from wherewhen.server.web_server import answering

    with answering(Guard(create(folder)), "127.0.0.1", port) as port:
        yield port


class Drawn:
    """A store with one drawn clip of each shape, which all items of it show."""

    def __init__(self, folder: Path) -> None:
        from wherewhen.video.writer import Writer

        self.folder, self.file = folder, folder / OF_STORE
        for name, (width, height) in SHAPES.items():
            with Writer(folder / f"{name}.mp4", FPS) as writer:
                for number in range(SECONDS * FPS):
                    writer.write(drawn(width, height, number))
        watched = WatchedStore(folder)
        watched.service(EPOCH, None, "gate")
        watched.camera(at=EPOCH)
        layout = json.dumps({"zones": {"door": [[0, 0], [1, 0], [1, 1]]}})
        watched.database.write("INSERT INTO control(camera, layout) VALUES ('gate', ?)", layout)
        watched.database.close()

    def fill(self, *items: dict[str, Any], count: int = 0, **values: Any) -> None:
        """These items alone, and ``count`` others, ``i0`` first; each of its own camera unless ``values`` say more."""
        more = [{"id": f"i{n}", "camera": f"cam{n}", "priority": -n / 1000, **values} for n in range(count)]
        with Tables(self.file) as tables, tables.transaction():
            for table in ("item", "verdict", "video", "run", "fact"):
                tables.write(f"DELETE FROM {table}")
            for number, item in enumerate([*items, *more]):
                add_item(tables, **alert(number, **item))

    def add_video(self, id: str, name: str) -> None:
        """A video with scores, for items with ``clock="video"``."""
        with Tables(self.file) as tables:
            add_video(tables, id, name, SECONDS)

    def rows(self, query: str, *values: Any) -> list[Any]:
        with Tables(self.file) as tables:
            return tables.rows(query, *values)

    @property
    def verdicts(self) -> list[tuple[str, str]]:
        """Items and verdicts that hold, in the order in which they were given."""
        return self.rows("SELECT item, verdict FROM verdict WHERE undone_at IS NULL ORDER BY id")

    @property
    def open(self) -> int:
        return int(self.rows("SELECT COUNT(*) FROM item WHERE review = 'open'")[0][0])


def drawn(width: int, height: int, number: int) -> Any:
    """A grey picture with a bright box; the brightness tells its number."""
    picture = np.full((height, width, 3), 40 + 2 * number, np.uint8)
    x0, y0, x1, y1 = (round(side * (width, height)[n % 2]) for n, side in enumerate(BOX))
    picture[y0:y1, x0:x1] = 220, 60, 40
    return picture


def alert(number: int, **values: Any) -> dict[str, Any]:
    """The row of an alert of a camera, one a minute, with a clip as it is stored."""
    start = EPOCH + 60 * number
    return {
        "t0": start, "t1": start + 1.5, "clock": "wall", "clip": "four.mp4", "clip_t0": start - 2, "severity": "alert",
        "box_json": json.dumps(BOX), **values,
    }  # fmt: skip


class Window:
    """One window of a browser with the page open, and all that it complains about."""

    def __init__(self, browser: Any, port: int, *, context: Any = None, allowed: Sequence[str] = (), **options: Any):
        self.allowed = ("/budget", *allowed)  # cameras that are not watched any more have none
        self.context = context or browser.new_context(**{"viewport": {"width": 1366, "height": 768}, **options})
        self.page = self.context.new_page()
        self.page.set_default_timeout(20_000)
        self.complaints: list[str] = []
        self.requests: list[tuple[str, str]] = []
        self.page.on("console", lambda message: self._note(message.type, f"{message.text} {message.location['url']}"))
        self.page.on("pageerror", lambda error: self._note("error", str(error)))
        self.page.on("response", self._answered)
        self.page.on("request", lambda request: self.requests.append((request.method, request.url)))
        self.page.goto(f"http://127.0.0.1:{port}/review")
        self.page.wait_for_function(READ)

    def _answered(self, answer: Any) -> None:
        if answer.status >= 500:
            self.complaints.append(f"{answer.status} {answer.url}")

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not any(part in text for part in self.allowed):
            self.complaints.append(f"{kind}: {text}")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def sees(self, selector: str, text: str) -> None:
        """Wait until an element has a text."""
        self.page.wait_for_function(
            "([selector, text]) => [...document.querySelectorAll(selector)].some(e => e.textContent.trim() === text)",
            arg=[selector, text],
        )

    def counts(self, open: int, judged: int) -> None:
        """Wait until the tabs show these numbers."""
        self.sees(".tabs button:nth-child(1) .count", f"{open:,}")
        self.sees(".tabs button:nth-child(2) .count", f"{judged:,}")

    def is_sent(self) -> None:
        """Wait until nothing waits for the server any more."""
        self.page.wait_for_function(SENT)

    def plays(self) -> None:
        """Wait until a picture of the selected clip is shown."""
        self.page.wait_for_function(
            "() => { const v = document.querySelector('video.shown'); return v && v.readyState >= 2 && v.videoWidth }"
        )

    def text(self, selector: str) -> str:
        return str(self.page.locator(selector).first.text_content()).strip()

    def posts(self, path: str) -> int:
        """How many requests that change something went to a path."""
        return sum(method == "POST" and url.endswith(path) for method, url in self.requests)

    def close(self) -> None:
        self.context.close()

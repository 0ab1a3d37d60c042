"""The HTML page of a report: self-contained, without scripts or external files."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from wherewhen.core.config import flat
from wherewhen.core.store import write_atomic
from wherewhen.core.values import Pixels
from wherewhen.visualization.render.curves import clock
from wherewhen.visualization.report.records import Curve, EventCard, Picture, ReportData
from wherewhen.visualization.report.shapes import polyline, timeline
from wherewhen.visualization.report.table import pivot

OPEN_VIDEOS = 8
VIDEOS_PER_FOLD = 50
OPEN_SETTINGS = 24
WIDEST_PICTURE = 960
MOST_EVENTS = 200  # of a gallery, the highest scores: each brings a picture


def report(run: ReportData, path: str | Path) -> Path:
    """Write the results of a run as one self-contained HTML file, atomically.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     "<h1" in report(ReportData("A run"), Path(folder) / "report.html").read_text()
    True
    """
    # File names may hold bytes that are no text; the page is written with replacement characters.
    write_atomic(path, render(run).encode("utf-8", "replace"))
    return Path(path)


def render(run: ReportData) -> str:
    """The page as text; every word of ``run`` is escaped by the template."""
    from jinja2 import Environment, StrictUndefined

    source = (files("wherewhen.visualization.report") / "page.html.jinja").read_text("utf-8")
    page = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    page.filters["jpeg"] = jpeg
    videos = [timeline(result) for result in run.videos]
    folds = [videos[at : at + VIDEOS_PER_FOLD] for at in range(OPEN_VIDEOS, len(videos), VIDEOS_PER_FOLD)]
    groups = settings(run.settings)
    return page.from_string(source).render(
        run=run,
        table=pivot(run),
        charts=_charts(run),
        gallery=_gallery(run.events),
        open_videos=videos[:OPEN_VIDEOS],
        folds=folds,
        groups=groups,
        settings_open=sum(len(pairs) for _, pairs in groups) <= OPEN_SETTINGS,
        threshold_y=round(100 * (1 - min(max(run.threshold, 0), 1)), 1),
        any_truth=any(result.truth is not None for result in run.videos),
        any_events=any(result.prediction.events for result in run.videos),
    )


def jpeg(picture: Picture) -> dict[str, Any]:
    """A picture as a data URI with its size in pixels, at most 960 wide."""
    height, width = picture.image.shape[:2]
    if width > WIDEST_PICTURE:
        height, width = max(1, round(height * WIDEST_PICTURE / width)), WIDEST_PICTURE
    data = b64encode(jpeg_bytes(picture.image, WIDEST_PICTURE)).decode()
    return {"uri": f"data:image/jpeg;base64,{data}", "width": width, "height": height}


def jpeg_bytes(image: Pixels, widest: int) -> bytes:
    """A uint8 RGB picture ``(H, W, 3)`` as JPEG, made smaller if it is wider than ``widest`` pixels."""
    import cv2

    height, width = image.shape[:2]
    if width > widest:
        size = (widest, max(1, round(height * widest / width)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    done, data = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 87])
    if not done:
        raise ValueError(f"a picture of {width}x{height} pixels can't be packed as JPEG")
    return data.tobytes()


def _gallery(events: Sequence[EventCard]) -> list[dict[str, Any]]:
    """The events with the highest scores, best first, as the template shows them."""
    best = sorted(events, key=lambda event: (-event.score, event.video, event.start))[:MOST_EVENTS]
    return [
        {
            "video": event.video,
            "times": f"{clock(event.start, 1)} – {clock(event.end, 1)}",
            "score": f"{event.score:.2f}",
            "category": event.category,
            "uri": f"data:image/jpeg;base64,{b64encode(event.jpeg).decode()}" if event.jpeg else "",
            "link": quote(event.link, errors="surrogateescape") + f"#t={event.start:.1f}" if event.link else "",
        }
        for event in best
    ]


def settings(nested: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Nested settings as groups of dotted names and values, one group per top-level record.

    >>> settings({"seed": 1, "train": {"lr": 0.1, "on": {"gpu": False}}})
    [('', [('seed', '1')]), ('train', [('lr', '0.1'), ('on.gpu', 'false')])]
    """
    plain = [(str(key), _word(value)) for key, value in nested.items() if not isinstance(value, Mapping) or not value]
    groups = [("", plain)] if plain else []
    for key, value in nested.items():
        if isinstance(value, Mapping) and value:
            groups.append((str(key), [(name, _word(item)) for name, item in flat(value).items()]))
    return groups


def _word(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _charts(run: ReportData) -> list[dict[str, Any]]:
    kinds: Sequence[tuple[str, str, str, Sequence[Curve]]] = (
        ("ROC curve", "False positive rate", "True positive rate", run.roc),
        ("Precision and recall", "Recall", "Precision", run.pr),
    )
    return [
        {
            "title": title,
            "x": x,
            "y": y,
            "chance": title == "ROC curve",
            "lines": [(c.name, polyline(c)) for c in lines],
        }
        for title, x, y, lines in kinds
        if lines
    ]

from __future__ import annotations

import re
from base64 import b64decode
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest

from wherewhen.core.outputs import MANIFEST
from wherewhen.core.values import Event, HeatMap, Prediction, Truth
from wherewhen.visualization.report import Curve, EventCard, Example, Facts, Picture, ReportData, VideoResult, report
from wherewhen.visualization.report.page import MOST_EVENTS, OPEN_VIDEOS, jpeg, render, settings

EVIL = """<script>alert('x')</script>"><img src=x onerror=alert(1)> ${7*7} {{ 7*7 }} & "quoted" 'single'"""
VOID = {"meta", "link", "img", "br", "wbr", "hr", "path", "rect", "line"}


class Page(HTMLParser):
    """Tags, attributes and text of a page; fails where a tag is not closed in turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def image(seed: int = 0, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    return cv2.resize(np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8), size[::-1])


def full(word: str = "Test001", videos: int = 3) -> ReportData:
    event = Event([[1, 2, 0, 0, 1, 1]], 0.9, word)
    prediction = Prediction(HeatMap([0.1, 0.9, 0.2], [0, 1, 2, 3]), events=(event,))
    truth = Truth([0, 1, 2, 3], [[1, 2]])
    line = Curve(word, [0, 0.2, 1], [0, 0.8, 1])
    example = Example(word, word, (Picture(image(), word),))
    return ReportData(
        title=word,
        subtitle=word,
        notes=[word],
        rows=[
            {"method": word, "backbone": word, "metric": word, "mean": 0.5, "std": 0.1, "n": 3},
            {"method": "central_box", "metric": word, "mean": 0.6, "n": 3},
        ],
        trivial=frozenset({"central_box"}),
        roc=[line],
        pr=[line],
        best=[example],
        worst=[example],
        events=[EventCard(word, 1, 2, 0.9, word, b64decode(jpeg(example.pictures[0])["uri"].split(",")[1]), word)],
        videos=[VideoResult(f"{word} {n}", prediction, truth) for n in range(videos)],
        quarantine=[(word, word)],
        settings={word: {word: word}, "seed": 0},
        environment=word,
    )


@pytest.mark.parametrize("data", [ReportData("A run"), full(), full(EVIL), full("\udce9\u202e\x01 監視.mp4")])
def test_any_report_is_sound_and_asks_for_nothing_outside(data: ReportData, tmp_path: Path) -> None:
    text = report(data, tmp_path / "new" / "report.html").read_text("utf-8")
    page = Page(text)
    assert text.lstrip().startswith("<!doctype html>")
    for tag, attributes in page.tags:
        assert tag not in {"script", "iframe", "object", "base", "form"}
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            value = attributes.get(name) or "#"
            assert value.startswith(("#", "data:")) or (tag == "a" and not urlsplit(value).scheme and value[0] != "/")
    assert "url(#above)" in text or not data.videos
    assert not re.findall(r"@import|url\((?!#above\))", text)


def test_hostile_names_are_shown_as_they_are() -> None:
    page = Page(render(full(EVIL)))
    assert page.text.count(EVIL) >= 12
    assert [a["alt"] for a in page.all("img")] == [f"{EVIL}: {EVIL}"] * 2 + [f"{EVIL} in {EVIL} at 0:01.0 – 0:02.0"]
    assert any(EVIL in (a.get("aria-label") or "") for a in page.all("svg"))


def test_a_section_is_there_if_its_data_is() -> None:
    ids = ["results", "curves", "best", "worst", "events", "videos", "quarantine", "settings"]
    assert [a["id"] for a in Page(render(full())).all("section")] == ids
    assert Page(render(ReportData("A run"))).all("section") == []
    for field, section in [("roc", "curves"), ("quarantine", "quarantine"), ("settings", "settings")]:
        only: Any = {field: getattr(full(), field)}
        assert [a["id"] for a in Page(render(ReportData("A run", **only))).all("section")] == [section]


def test_every_link_on_the_page_leads_somewhere() -> None:
    page = Page(render(full()))
    known = {attributes.get("id") for _, attributes in page.tags}
    links = [a["href"] for a in page.all("a") if a["href"] not in gallery(page)]
    assert len(links) == 8
    assert all(link is not None and link[1:] in known for link in links)
    assert len(known - {None}) == len([1 for _, attributes in page.tags if "id" in attributes])


def test_it_can_be_read_without_eyes() -> None:
    page = Page(render(full()))
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    assert all(a.get("scope") for a in page.all("th"))
    assert all(a.get("alt") for a in page.all("img"))
    assert all(a.get("aria-label") or a.get("aria-hidden") for a in page.all("svg"))
    assert page.all("html") == [{"lang": "en"}]


@pytest.mark.parametrize(("count", "folds"), [(1, 0), (OPEN_VIDEOS, 0), (OPEN_VIDEOS + 1, 1), (500, 10)])
def test_a_long_list_of_videos_is_folded(count: int, folds: int) -> None:
    text = render(ReportData("A run", videos=full(videos=count).videos))
    page = Page(text)
    assert len(page.all("details")) == folds
    assert all("open" not in a for a in page.all("details"))
    assert sum(a.get("class") == "line" for a in page.all("svg")) == count
    assert len(text) < 30_000 + 2_000 * count


def test_the_best_is_bold_and_a_trivial_row_that_wins_is_flagged() -> None:
    rows = [{"method": m, "metric": "auc", "mean": v} for m, v in [("good", 0.9), ("bad", 0.5), ("box", 0.95)]]
    text = render(ReportData("A run", rows=rows, trivial=frozenset({"box"})))
    assert re.findall(r"<strong[^>]*>([\d.]+)", text) == ["0.900"]
    assert re.search(r"▲ </span>0\.950", text) and "no method is better" in text
    assert "▲" not in render(ReportData("A run", rows=rows[:2]))


def test_a_picture_comes_back_nearly_as_it_was() -> None:
    packed = jpeg(Picture(image(size=(90, 120)), "a"))
    back = cv2.imdecode(np.frombuffer(b64decode(packed["uri"].split(",")[1]), np.uint8), cv2.IMREAD_COLOR)
    assert back is not None and (packed["width"], packed["height"]) == (120, 90)
    assert np.abs(back[..., ::-1].astype(int) - image(size=(90, 120))).mean() < 6


def test_a_large_picture_is_shrunk() -> None:
    packed = jpeg(Picture(image(size=(2160, 3840)), "a"))
    assert (packed["width"], packed["height"]) == (960, 540)


def test_settings_keep_every_leaf() -> None:
    nested = {"a": {"b": {"c": 1, "d": []}, "e": None}, "f": True, "g": {}, "h": Path("x/y"), "i": "text"}
    assert settings(nested) == [
        ("", [("f", "true"), ("g", "{}"), ("h", '"x/y"'), ("i", "text")]),
        ("a", [("b.c", "1"), ("b.d", "[]"), ("e", "null")]),
    ]


def test_a_failed_write_leaves_the_old_page(tmp_path: Path) -> None:
    path = report(ReportData("old"), tmp_path / "report.html")
    with pytest.raises(ValueError, match="lacks"):
        report(ReportData("new", rows=[{"method": "a"}]), path)
    assert "old" in path.read_text() and {*tmp_path.iterdir()} == {path, tmp_path / MANIFEST}


@pytest.mark.parametrize(
    ("x", "y"), [([0, 1], [0]), ([], []), ([0, np.nan], [0, 1]), ([0, 1.5], [0, 1]), ([[0]], [[1]])]
)
def test_a_curve_outside_its_square_is_refused(x: list[float], y: list[float]) -> None:
    with pytest.raises(ValueError, match="curve roc"):
        Curve("roc", x, y)


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4), (0, 4, 3)])
def test_a_picture_of_another_kind_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        Picture(np.zeros(shape, np.uint8), "a")


def gallery(page: Page) -> list[str]:
    """The links of the events, in the order of the page."""
    return [str(link["href"]) for link in page.all("a") if "#t=" in str(link["href"])]


def test_events_stand_in_a_gallery_best_first_with_links_to_their_time() -> None:
    cards = [EventCard("a", 3, 4, 0.6, link="a.mp4"), EventCard("b c", 61.04, 62, 0.9, "running", b"jpeg", "b c#.mp4")]
    page = Page(render(ReportData("Detection", events=cards)))
    assert gallery(page) == ["b%20c%23.mp4#t=61.0", "a.mp4#t=3.0"]
    assert [(image["src"], image["alt"]) for image in page.all("img")] == [
        ("data:image/jpeg;base64,anBlZw==", "running in b c at 1:01.0 – 1:02.0")
    ]
    assert "no picture" in page.text


def test_a_gallery_has_room_for_the_highest_scores_and_says_so() -> None:
    cards = [EventCard(f"v{k}", 0, 1, k / 1000, link="x.mp4") for k in range(MOST_EVENTS + 5)]
    page = Page(render(ReportData("Detection", events=cards)))
    assert len(gallery(page)) == MOST_EVENTS
    assert f"{MOST_EVENTS + 5}, the {MOST_EVENTS} with the highest scores are shown" in page.text
    assert "v0" not in page.text.split()


def test_a_link_can_run_nothing() -> None:
    page = Page(render(ReportData("Detection", events=[EventCard("a", 0, 1, 0.5, link="javascript:alert(1)")])))
    assert gallery(page) == ["javascript%3Aalert%281%29#t=0.0"]


def test_facts_are_a_small_table() -> None:
    facts = Facts("Check", ("anomalous", "normal"), [("videos", "2", "3"), ("wrong", "<a>", "none")], "a note & more")
    page = render(ReportData("x", facts=[facts, facts]))
    assert '<h2 id="facts-title">Check</h2>' in page and "<td>&lt;a&gt;</td>" in page and "a note &amp; more" in page
    assert '<h2 id="facts-2-title">Check</h2>' in page
    assert 'id="facts"' not in render(ReportData("x"))
    with pytest.raises(ValueError, match="every row needs a name and 2 values"):
        Facts("Check", ("a", "b"), [("videos", "2")])

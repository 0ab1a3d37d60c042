"""The page as a browser shows it: phone, desktop, dark, paper; the network is cut."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsed import browsers

from wherewhen.core.values import Event, HeatMap, Prediction, Truth
from wherewhen.visualization.report import Curve, Example, Picture, ReportData, VideoResult, report

LONG = "a_name_without_any_blank_" * 8
EVIL = "<script>document.title = 'broken'</script><img src='http://example.invalid/x.png'>.mp4"


def data() -> ReportData:
    event = Event([[1, 2, 0, 0, 1, 1]], 0.9)
    prediction = Prediction(HeatMap(np.linspace(0, 1, 40), np.arange(41) / 10), events=(event,))
    truth = Truth(np.arange(41) / 10, [[1, 2]])
    metrics = ["frame_auc", "frame_auc_anomalous", "pixel_auc", "rbdc", "tbdc", "tiou", "video_auc", "frame_ap"]
    picture = Picture(np.full((240, 360, 3), (200, 40, 40), np.uint8), f"frame 3 of {LONG}")
    return ReportData(
        title="Ten weak splits",
        subtitle=LONG,
        notes=[LONG, EVIL],
        rows=[
            {"method": m, "backbone": "motion", "metric": k, "mean": v, "std": 0.01, "n": 10}
            for m, v in [("cuboid_mil", 0.9), (LONG, 0.8), ("central_box", 0.3)]
            for k in metrics
        ],
        trivial=frozenset({"central_box"}),
        roc=[Curve(LONG, [0, 0.1, 1], [0, 0.9, 1])],
        pr=[Curve("cuboid_mil", [0, 0.9, 1], [1, 0.9, 0.3])],
        best=[Example("best.mp4", LONG, (picture, picture))],
        worst=[Example(LONG, "", (picture,))],
        videos=[VideoResult(name, prediction, truth) for name in (EVIL, LONG, *(f"video {n}" for n in range(498)))],
        quarantine=[(LONG, LONG), (EVIL, "no video stream")],
        settings={"train": {LONG: LONG, "lr": 0.001}, "seed": 0},
        environment=LONG,
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browsers() as browser:
        yield browser


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    return report(data(), tmp_path_factory.mktemp("report") / "report.html").as_uri()


class Visit:
    """One open page and all that it asked for or complained about."""

    def __init__(self, browser: Any, address: str, width: int, **options: Any) -> None:
        self.context = browser.new_context(viewport={"width": width, "height": 844}, offline=True, **options)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(address)
        self.page.wait_for_function("[...document.images].every(i => i.complete && i.naturalWidth)")

    def style(self, selector: str, name: str) -> str:
        return str(self.page.eval_on_selector(selector, f"e => getComputedStyle(e).getPropertyValue('{name}')"))


@pytest.fixture(
    scope="module",
    params=[(390, "light"), (390, "dark"), (1280, "light"), (320, "light")],
    ids=lambda p: f"{p[0]}-{p[1]}",
)
def visit(browser: Any, address: str, request: pytest.FixtureRequest) -> Iterator[Visit]:
    width, scheme = request.param
    visit = Visit(browser, address, width, color_scheme=scheme)
    yield visit
    visit.context.close()


def test_it_asks_for_nothing_and_complains_of_nothing(visit: Visit, address: str) -> None:
    assert [url for url in visit.requests if not url.startswith("data:")] == [address]
    assert visit.complaints == []
    assert visit.page.title() == "Ten weak splits"


def test_nothing_is_wider_than_the_screen(visit: Visit) -> None:
    visit.page.eval_on_selector_all(
        "details", "all => all.slice(0, 2).concat(all.slice(-2)).forEach(d => d.open = true)"
    )
    assert visit.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    outside = """() => [...document.querySelectorAll('main *, header *, footer *')]
        .filter(e => !e.closest('.scroll, svg') && e.getBoundingClientRect().right > innerWidth + 0.5)
        .map(e => e.outerHTML)"""
    assert visit.page.evaluate(outside) == []


def test_the_table_scrolls_in_its_own_box(browser: Any, address: str) -> None:
    visit = Visit(browser, address, 390)
    assert visit.page.eval_on_selector(".scroll", "e => e.scrollWidth > e.clientWidth && e.clientWidth <= innerWidth")
    visit.page.eval_on_selector(".scroll", "e => e.scrollLeft = 200")
    assert visit.page.eval_on_selector(
        ".results tbody th",
        "e => Math.abs(e.getBoundingClientRect().left - e.closest('.scroll').getBoundingClientRect().left) < 3",
    )
    visit.context.close()


def test_what_matters_is_to_be_seen(visit: Visit) -> None:
    for text in ("Ten weak splits", "cuboid_mil", "0.900", "± 0.010", "best.mp4", "threshold 0.50", "no video stream"):
        assert visit.page.get_by_text(text).first.is_visible()
    for title in ("Results", "Curves", "Best videos", "Worst videos", "Quarantine", "Settings"):
        assert visit.page.get_by_role("heading", name=title).is_visible()
    assert visit.page.locator("#videos h3").filter(has_text="<script>").first.is_visible()


def test_far_videos_are_one_touch_away(browser: Any, address: str) -> None:
    visit = Visit(browser, address, 390)
    last = visit.page.locator("#videos article").last
    assert not last.is_visible()
    visit.page.locator("#videos summary").last.click()
    assert last.is_visible()
    visit.context.close()


def test_words_stand_out_from_their_ground_in_both_schemes(visit: Visit) -> None:
    for selector in (
        "body",
        "p.sub",
        ".foot",
        ".tag.hot",
        "figcaption",
        ".results tbody.trivial td.number",
        "footer",
        ".times",
    ):
        ink = luminance(visit.style(selector, "color"))
        ground = luminance(visit.page.eval_on_selector(selector, GROUND))
        assert (max(ink, ground) + 0.05) / (min(ink, ground) + 0.05) >= 4.5, selector


def test_dark_and_light_differ_and_paper_is_white(browser: Any, address: str) -> None:
    grounds = []
    for scheme in ("light", "dark"):
        visit = Visit(browser, address, 1280, color_scheme=scheme)
        grounds.append(luminance(visit.style("body", "background-color")))
        visit.page.emulate_media(media="print")
        assert luminance(visit.style("body", "background-color")) == pytest.approx(1)
        assert luminance(visit.style("body", "color")) == 0
        visit.context.close()
    assert grounds[0] > 0.9 and grounds[1] < 0.05


def test_it_prints(browser: Any, address: str, tmp_path: Path) -> None:
    visit = Visit(browser, address, 1280)
    visit.page.pdf(path=str(tmp_path / "report.pdf"), format="A4")
    pdf = (tmp_path / "report.pdf").read_bytes()
    assert pdf.startswith(b"%PDF") and 2 <= pdf.count(b"/Type /Page\n") <= 20
    visit.context.close()


GROUND = """e => { for (; e; e = e.parentElement) {
    const color = getComputedStyle(e).backgroundColor;
    if (!color.startsWith('rgba')) return color;
} }"""


def luminance(color: str) -> float:
    """The relative luminance of an ``rgb(...)`` color, as WCAG 2 defines it."""
    parts = np.array([float(n) for n in color.strip("rgba()").split(",")[:3]]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])

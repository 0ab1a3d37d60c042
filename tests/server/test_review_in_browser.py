"""The built review page in a browser: keys, touch, boxes, lost servers, two windows, names of attackers, access."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

from browsed import TALL_PHONE, Drawn, Window, answering_at, browsers

HOSTILE = "<script>document.title='broken'</script><img src=x onerror=\"document.title='broken'\">'/\u202egnp.exe"
Open = Callable[..., Window]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browsers() as browser:
        yield browser


@pytest.fixture(scope="module")
def store(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    return Drawn(tmp_path_factory.mktemp("live"))


@pytest.fixture(scope="module")
def port(store: Drawn) -> Iterator[int]:
    with answering_at(store.folder) as port:
        yield port


@pytest.fixture
def window(browser: Any, port: int) -> Iterator[Open]:
    """Opens windows; in the end none of them has complained."""
    with ExitStack() as stack:
        windows: list[Window] = []

        def opened(**options: Any) -> Window:
            windows.append(Window(browser, port, **options))
            stack.callback(windows[-1].close)
            return windows[-1]

        yield opened
        assert [one.complaints for one in windows] == [[]] * len(windows)


def test_verdict_keys_judge_and_show_the_next_clip(store: Drawn, window: Open) -> None:
    store.fill(count=6)
    one = window()
    one.sees(".title .name", "cam0")
    one.press("a")
    one.sees(".title .name", "cam1")
    one.press("x", "u", "j", "ArrowDown", "k", "Shift+A")
    one.is_sent()
    assert store.verdicts == [("i0", "true"), ("i1", "false"), ("i2", "unsure"), ("i4", "true")]
    one.counts(2, 4)
    one.sees(".title .name", "cam5")
    assert store.rows("SELECT COUNT(*) FROM verdict WHERE seconds >= 0 AND user IS NULL") == [(4,)]


def test_space_pauses_brackets_trim_and_digits_choose_a_class(store: Drawn, window: Open) -> None:
    store.fill({"id": "a", "class": "fall"}, {"id": "b", "class": "run"})
    one = window()
    one.plays()
    video = "document.querySelector('video.shown')"
    assert one.page.evaluate(f"{video}.playbackRate") == 2
    one.page.wait_for_function(f"() => !{video}.paused")
    one.press(" ")
    one.page.wait_for_function(f"() => {video}.paused")
    one.page.evaluate(f"{video}.currentTime = 2.5")
    one.press("[")
    one.page.evaluate(f"{video}.currentTime = 3")
    one.press("]", "2", "a")
    one.is_sent()
    ((start, end, category),) = store.rows("SELECT t0 - 1790000000, t1 - 1790000000, class FROM verdict")
    assert (start, end, category) == (pytest.approx(0.5), pytest.approx(1.0), "run")
    one.page.wait_for_function(f"() => !{video}.paused")
    one.press("h")
    one.sees(".said p", "this clip has no heat map")


def test_with_the_list_of_keys_open_no_key_judges(store: Drawn, window: Open) -> None:
    store.fill(count=3)
    one = window()
    one.press("?", "a", "x", "u", "w", "z", "j", "Shift+X", "1")
    assert one.text("dialog h2") == "Keys"
    one.press("?")
    one.page.wait_for_selector("dialog", state="detached")
    one.press("?", "x", "Escape", "a")
    one.is_sent()
    assert store.verdicts == [("i0", "true")]


@pytest.mark.parametrize("shape", ["wide", "four", "tall"])
def test_boxes_and_places_are_where_the_picture_is(shape: str, store: Drawn, window: Open) -> None:
    store.fill(count=2, clip=f"{shape}.mp4")
    one = window()
    one.plays()
    (x, y, width, height), (bx, by, bw, bh) = boxes(one)
    drawn_shape = one.page.evaluate("(v => v.videoWidth / v.videoHeight)(document.querySelector('video.shown'))")
    assert width / height == pytest.approx(drawn_shape, rel=0.01), "no bars within the frame"
    assert ((bx - x) / width, (by - y) / height) == pytest.approx((0.5, 0.25), abs=0.01)
    assert (bw / width, bh / height) == pytest.approx((0.25, 0.25), abs=0.02)
    one.press("w")
    one.page.mouse.click(x + 0.25 * width, y + 0.75 * height)
    one.plays()
    one.press("w")
    (x, y, width, height), _ = boxes(one)
    one.page.mouse.move(x + 0.125 * width, y + 0.5 * height)
    one.page.mouse.down()
    one.page.mouse.move(x + 0.375 * width, y + 0.875 * height, steps=3)
    one.page.mouse.up()
    one.is_sent()
    rows = store.rows("SELECT verdict, box_json FROM verdict ORDER BY id")
    assert [verdict for verdict, _ in rows] == ["wrong_place"] * 2
    clicked, drawn = (json.loads(text) for _, text in rows)
    assert clicked == pytest.approx([0.125, 0.625, 0.375, 0.875], abs=0.02), "as large as the box that was shown"
    assert drawn == pytest.approx([0.125, 0.5, 0.375, 0.875], abs=0.02)


def boxes(one: Window) -> list[list[float]]:
    """Left, top, width and height of the picture and of the box on it, in pixels."""
    rectangle = "s => (r => [r.x, r.y, r.width, r.height])(document.querySelector(s).getBoundingClientRect())"
    return [one.page.evaluate(rectangle, name) for name in ("video.shown", ".box.shown")]


def test_the_curve_is_drawn_and_a_missed_event_is_dragged_on_it(store: Drawn, window: Open) -> None:
    store.fill({"id": "v", "clock": "video", "video": "four", "t0": 2.0, "t1": 3.5, "clip": None, "clip_t0": None})
    store.add_video("four", "four.mp4")
    one = window()
    one.plays()
    trace = one.page.locator(".axes .trace")
    trace.wait_for(state="attached")
    left, top, width, height = one.page.evaluate(
        "(r => [r.x, r.y, r.width, r.height])(document.querySelector('.trace').getBoundingClientRect())"
    )
    assert height > 50, "the scores rise from 0 to 1"
    assert trace.evaluate("e => getComputedStyle(e).stroke") not in ("none", "rgb(0, 0, 0)")
    one.page.mouse.move(left + 0.2 * width, top + 30)
    one.page.mouse.down()
    one.page.mouse.move(left + 0.3 * width, top + 30, steps=4)
    one.page.mouse.up()
    assert one.text(".confirm").startswith("missed: 0:01")
    one.press("Enter")
    one.is_sent()
    end = one.page.evaluate("fetch('/api/v1/items/v/curve').then(r => r.json()).then(c => c.end)")
    ((start, stop),) = store.rows("SELECT t0, t1 FROM verdict WHERE verdict = 'missed'")
    assert (start, stop) == (pytest.approx(0.2 * end, abs=0.05), pytest.approx(0.3 * end, abs=0.05))
    one.counts(1, 1)
    one.press("z")
    one.counts(1, 0)
    one.press("m", "Escape", "m", "Enter")
    one.counts(1, 1)
    assert store.verdicts[0][1] == "missed" and len(store.verdicts) == 1


def test_a_group_is_judged_and_undone_in_one_request_each(store: Drawn, window: Open) -> None:
    store.fill({"id": "last", "priority": -9}, count=400, camera="yard", cluster=7, cluster_size=400)
    one = window()
    one.press("Shift+X", "a")  # the second one is about what comes after the group
    one.sees(".title", "no item is selected")
    one.is_sent()
    assert store.verdicts == [*((f"i{n}", "false") for n in range(400)), ("last", "true")]
    assert one.posts("/verdicts") <= 2
    one.counts(store.open, 401)
    one.press("z", "z")
    one.is_sent()
    assert one.posts("/verdicts/undo") == 2 and store.verdicts == []
    one.counts(store.open, 0)
    assert store.open > 401, "some were put into the queue a second time"


def test_undo_has_no_end_and_survives_a_reload(store: Drawn, window: Open) -> None:
    store.fill(count=12)
    one = window()
    one.press(*"axuaxuaxuaxu")
    one.counts(0, 12)
    one.is_sent()
    one.page.evaluate("sessionStorage.clear()")  # a new window knows only what the server has
    one.page.reload()
    one.counts(0, 12)
    one.press(*"zzz")
    one.counts(3, 9)
    one.press("a")
    one.counts(2, 10)
    one.page.reload()
    one.counts(2, 10)
    one.press(*"z" * 15)
    one.counts(12, 0)
    one.sees(".said p", "nothing to undo")
    one.is_sent()
    assert store.verdicts == []


def test_names_of_attackers_are_text_and_ids_may_hold_anything(store: Drawn, window: Open) -> None:
    ids = ["a/b", "a/b/curve x", HOSTILE, "50%/2,5?#&+"]
    store.fill(*({"id": id, "camera": HOSTILE, "class": HOSTILE, "zones_json": json.dumps([HOSTILE])} for id in ids))
    one = window()
    for _ in ids:
        one.plays()
        one.press("x")
    one.is_sent()
    assert {item for item, _ in store.verdicts} == set(ids)
    one.counts(0, 4)
    assert one.page.title() == "wherewhen: review"
    assert one.text(".latest .name bdi") == HOSTILE and one.page.locator("img[src=x]").count() == 0
    one.press("z")
    one.sees(".title .name", HOSTILE)


def test_swipes_on_a_phone(store: Drawn, window: Open) -> None:
    store.fill(count=4)
    one = window(**TALL_PHONE)
    touch = one.context.new_cdp_session(one.page)

    def swipe(x: float, y: float) -> None:
        one.plays()
        left, top, width, height = one.page.evaluate(
            "(r => [r.x, r.y, r.width, r.height])(document.querySelector('.frame').getBoundingClientRect())"
        )
        start = left + width / 2, top + height / 2
        for kind, part in (("touchStart", 0), ("touchMove", 0.4), ("touchMove", 1)):
            point = {"x": start[0] + part * x, "y": start[1] + part * y}
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    one.page.locator(".verdicts .true").tap()
    one.sees(".title .name", "cam1")
    swipe(40, 0)  # too short
    swipe(130, 0)
    one.sees(".title .name", "cam2")
    swipe(-130, 10)
    one.sees(".title .name", "cam3")
    swipe(5, -120)
    one.counts(0, 4)
    one.is_sent()
    assert store.verdicts == [("i0", "true"), ("i1", "true"), ("i2", "false"), ("i3", "unsure")]
    assert one.page.evaluate("document.documentElement.scrollWidth <= innerWidth")

"""The built review page in a browser: keys, touch, boxes, lost servers, two windows, names of attackers, access."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

from browsed import TALL_PHONE, Drawn, Window, alert, answering_at, browsers
from reviewed import add_item

from wherewhen.core.database import Tables
from wherewhen.review import runs
from wherewhen.review.heat import packed

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
    one.sees(".size", "400 look-alikes")
    one.page.wait_for_function("() => document.querySelectorAll('.line').length === 2")  # all pages are read
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

    one.page.locator(".drawer").tap()
    one.page.wait_for_selector(".queue.open")
    x, y = one.page.evaluate(
        "(r => [r.right - 5, r.y + 9])(document.querySelector('.verdicts .true').getBoundingClientRect())"
    )
    one.page.touchscreen.tap(x, y)  # beside the queue, which is over the page: no verdict
    one.page.wait_for_selector(".queue.open", state="detached")
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


def test_verdicts_wait_in_the_browser_while_the_server_is_away(browser: Any, store: Drawn) -> None:
    store.fill(count=8)
    with ExitStack() as stack:
        port = stack.enter_context(answering_at(store.folder))
        one = Window(browser, port, allowed=("ERR_", "net::"))
        one.press("a")
        one.is_sent()
        stack.close()  # the server is gone
        one.press("x", "u", "z", "x")
        one.counts(5, 3)
        one.page.wait_for_function("() => /wait/.test(document.querySelector('.link').textContent)")
        assert "no answer" in one.text(".link")
        assert [verdict for _, verdict in store.verdicts] == ["true"]
        again = one.context.new_page()  # a second window of this browser, which has what the first one has not sent
        with answering_at(store.folder, port):
            again.goto(f"http://127.0.0.1:{port}/review")
            one.is_sent()
            one.page.wait_for_function("() => document.querySelector('.link').textContent === ''")
            one.counts(5, 3)
            one.press("a")
            one.is_sent()
        assert store.verdicts == [("i0", "true"), ("i1", "false"), ("i2", "false"), ("i3", "true")]
        assert store.rows("SELECT COUNT(*), COUNT(DISTINCT key) FROM verdict") == [(5, 5)]
        one.close()
        assert one.complaints == []


def test_an_answer_that_is_lost_and_a_reload_double_nothing(store: Drawn, window: Open) -> None:
    store.fill(count=6)
    one = window(allowed=("ERR_FAILED",))
    lost: list[str] = []

    def lose(route: Any) -> None:
        route.fetch()  # the server has stored it
        lost.append(route.request.url)
        route.abort()

    one.page.route("**/api/v1/verdicts", lose)
    one.press("a", "x", "u")
    one.page.wait_for_function("() => /wait/.test(document.querySelector('.link').textContent)")
    one.page.reload()
    one.counts(3, 3)
    one.page.unroute("**/api/v1/verdicts")
    one.press("a")
    one.is_sent()
    assert lost and [item for item, _ in store.verdicts] == ["i0", "i1", "i2", "i3"]
    assert store.rows("SELECT COUNT(*) FROM verdict") == [(4,)]
    one.press(*"zzzz")
    one.counts(6, 0)


def test_two_windows_see_the_verdicts_of_each_other(browser: Any, store: Drawn, window: Open) -> None:
    store.fill(count=4)
    one, other = window(), window()
    one.press("a")
    other.sees(".title .mark", "true")
    other.counts(3, 1)
    other.press("x")
    one.counts(3, 1)
    one.sees(".latest .mark", "false")
    assert store.verdicts == [("i0", "true"), ("i0", "false")], "both are stored, and the later one holds"
    other.press("z")
    one.sees(".latest .mark", "true")
    assert store.rows("SELECT verdict FROM item WHERE id = 'i0'") == [("true",)]


def test_an_item_without_its_clip_is_refused_in_a_sentence(store: Drawn, window: Open) -> None:
    store.fill({"id": "gone", "camera": "gone", "clip": "gone.mp4", "review": "expired", "priority": 1}, count=3)
    one = window(allowed=("409", "404"))
    one.press("a")
    one.page.locator(".tabs button", has_text="expired").click()
    one.sees(".gone", "The clip has expired.")
    one.press("x")
    one.page.wait_for_function("() => /its video is gone/.test(document.querySelector('.said').textContent)")
    one.is_sent()
    assert store.verdicts == [("i0", "true")]
    one.sees(".tabs button:nth-child(4) .count", "1")


def test_ten_thousand_items_are_a_list_of_few_elements(store: Drawn, window: Open) -> None:
    store.fill()
    columns = "id, camera, t0, t1, severity, score, threshold, zones_json, state, clip, priority"
    values = "'n' || i, 'cam', 1790000000 + i, 1790000002 + i, 'alert', 0.9, 0.5, '[]', 'ok', 'four.mp4', -i"
    store.rows(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999) "
        f"INSERT INTO item({columns}) SELECT {values} FROM n"
    )
    one = window()
    elements = "() => document.querySelectorAll('*').length"
    one.counts(10_000, 0)
    assert one.page.evaluate(elements) < 700
    bottom = "() => (list => (list.scrollTop = list.scrollHeight))(document.querySelector('.list'))"
    for _ in range(3):
        height = one.page.evaluate(bottom)
        one.page.wait_for_function("(height) => document.querySelector('.list').scrollHeight > height", arg=height)
    assert one.page.evaluate(elements) < 700
    one.press(*["j"] * 30)
    one.page.wait_for_function("() => document.querySelector('.line.chosen')?.getAttribute('aria-posinset') === '31'")
    one.press("x")
    one.counts(9_999, 1)
    one.is_sent()
    assert store.verdicts == [("n30", "false")]


def test_filters_keep_exact_numbers_and_leave_the_keys_to_the_clip(store: Drawn, window: Open) -> None:
    store.fill({"id": "a", "camera": "gate", "priority": 2}, {"id": "b", "camera": "gate", "priority": 1}, count=3)
    one = window()
    one.press("x")
    one.page.locator("select[aria-label=camera]").select_option("gate")
    one.counts(1, 1)
    one.press("a")
    one.counts(0, 2)
    one.page.locator("select[aria-label=camera]").select_option("")
    one.counts(3, 2)
    one.is_sent()
    assert store.verdicts == [("a", "false"), ("b", "true")]


SHOWN_OR_ANNOUNCED = (
    "(lines) => document.querySelector('.arrived') || document.querySelectorAll('.line').length === lines"
)


def test_an_alert_that_comes_while_the_page_is_open_is_announced(store: Drawn, window: Open) -> None:
    store.fill(count=3)
    one = window()
    one.counts(3, 0)
    with Tables(store.file) as tables:
        add_item(tables, **alert(99, id="new", camera="gate"))
    one.counts(4, 0)
    one.page.wait_for_function(SHOWN_OR_ANNOUNCED, arg=4)  # shown where the queue was just being read
    if (announced := one.page.locator(".arrived", has_text="1 new: show")).count():
        announced.click()
    one.page.wait_for_function("() => document.querySelectorAll('.line').length === 4")


def test_an_alert_that_comes_while_the_queue_is_read_is_shown_or_announced(store: Drawn, window: Open) -> None:
    store.fill(count=3, camera="gate")
    one = window()
    one.counts(3, 0)
    one.page.route("**/api/v1/verdicts", lambda route: one.page.wait_for_timeout(600) or route.continue_())
    one.press("x")
    one.page.locator("select[aria-label=camera]").select_option("gate")  # read before the server has the verdict
    with Tables(store.file) as tables:
        add_item(tables, **alert(99, id="new", camera="gate"))
    one.counts(3, 1)
    one.page.wait_for_function(SHOWN_OR_ANNOUNCED, arg=3)
    one.page.unroute_all(behavior="wait")


def test_a_camera_is_snoozed_and_a_group_unfolded(store: Drawn, window: Open) -> None:
    store.fill(count=3, camera="gate", cluster=3, cluster_size=3, zones_json='["door"]')
    one = window()
    lines = one.page.locator(".line")
    assert lines.count() == 1
    one.press("g")
    one.page.wait_for_function("() => document.querySelectorAll('.line').length === 3")
    one.press("s")
    one.press("a")  # no verdict while the dialog asks
    one.page.locator("dialog select").select_option("door")
    one.page.locator("dialog button", has_text="1 h").click()
    one.sees(".said p", "door is snoozed for 60 min")
    assert store.rows("SELECT camera, zone FROM snooze") == [("gate", "door")] and store.verdicts == []


def test_heat_is_drawn_over_the_clip(store: Drawn, window: Open) -> None:
    store.fill({"id": "hot", "heat": packed(np.float32([[0, 0.2], [0.9, 1]])), "priority": 1}, count=1)
    one = window()
    one.plays()
    one.press("h")
    one.page.wait_for_function("() => document.querySelector('img.heat')?.naturalWidth > 0")
    (x, y, width, height), _ = boxes(one)
    heat = one.page.evaluate(
        "(r => [r.x, r.y, r.width, r.height])(document.querySelector('.heat').getBoundingClientRect())"
    )
    assert heat == pytest.approx([x, y, width, height], abs=1)
    one.press("j")
    one.sees(".gone.low", "No heat map.")
    one.press("k", "h")
    one.page.wait_for_selector("img.heat", state="detached")


def test_a_theme_is_chosen_and_remembered(store: Drawn, window: Open) -> None:
    store.fill(count=1)
    one = window(color_scheme="light")
    colour = "() => getComputedStyle(document.body).backgroundColor"
    button = one.page.locator("button[aria-label^=theme]")
    light = one.page.evaluate(colour)
    button.click()
    assert one.page.evaluate(colour) != light
    one.page.reload()
    one.sees(".title .name", "cam0")
    assert one.page.evaluate(colour) != light and button.get_attribute("aria-label") == "theme: dark"
    one.page.emulate_media(color_scheme="dark")
    button.click()
    assert one.page.evaluate(colour) == light, "light, whatever the system has"
    button.click()
    assert one.page.evaluate(colour) != light, "the system's"


def test_models_are_trained_promoted_and_rolled_back(
    store: Drawn, window: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.fill(count=2)
    counts = {"false_alarms": 1, "false": 6, "events_found": 3, "confirmed": 4}
    with Tables(store.file) as tables:
        for number, name in enumerate(("yard", "yard-2", "yard-3")):
            (tmp_path / name / "weights").mkdir(parents=True)
            (tmp_path / name / "weights" / "best.safetensors").write_bytes(name.encode())
            if number:
                reason = "1 false alarm instead of 4" if number == 1 else "it loses 1 confirmed event"
                figures = {"champion": {**counts, "false_alarms": 4}, "challenger": counts}
                held_out = {"promoted": number == 1, "reason": reason, **figures}
                runs.record(tables, runs.sha_of(tmp_path / "yard"), tmp_path / name, held_out, [], float(number))
        tables.write("INSERT INTO fact VALUES ('model', ?)", json.dumps(str(tmp_path / "yard")))
    monkeypatch.setattr("sys.executable", "/bin/false")  # the process that trains fails
    one = window()
    one.page.locator("header button", has_text="models").click()
    better, worse = (one.page.locator(f"section[aria-label={name}]") for name in ("yard-2", "yard-3"))
    better.locator("button", has_text="promote").click()
    better.locator("button", has_text="roll back").wait_for()
    assert "1 of 6" in str(better.text_content()) and "4 of 6" in str(better.text_content())
    assert "it loses 1 confirmed event" in str(worse.text_content()) and worse.locator("button").count() == 0
    with Tables(store.file) as tables:
        assert runs.current(tables, tmp_path / "yard") == tmp_path / "yard-2"
    better.locator("button", has_text="roll back").click()
    better.locator("button", has_text="promote").wait_for()
    one.page.locator("dialog button", has_text="retrain").click()
    one.page.wait_for_function(
        "() => /not trained: it ended with code 1/.test(document.querySelector('dialog').textContent)"
    )
    one.press("x", "Escape")
    one.page.wait_for_selector("dialog", state="detached")
    assert store.verdicts == []


def test_time_from_a_key_to_the_next_clip(store: Drawn, window: Open, record_property: Any) -> None:
    """Measured and printed; how long it takes depends on the machine."""
    store.fill(count=14)
    one = window()
    measures = "() => performance.getEntriesByName('next-clip').map(entry => entry.duration)"
    for number in range(12):
        one.plays()
        one.press("x")
        one.page.wait_for_function(f"(n) => ({measures})().length > n", arg=number)
    times = sorted(one.page.evaluate(measures))
    median = times[len(times) // 2]
    record_property("next_clip_ms", median)
    print(f"from the key to the next clip: median {median:.0f} ms, longest {times[-1]:.0f} ms")
    assert all(time > 0 for time in times)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_the_page_has_no_findings_of_axe(size: str, scheme: str, store: Drawn, window: Open) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    store.fill({"id": "a", "class": "fall", "camera": "gate"}, count=3, cluster=4, cluster_size=3)
    one = window(color_scheme=scheme, **(TALL_PHONE if size == "phone" else {}))
    one.plays()
    findings: dict[str, list[str]] = {}

    def look(name: str) -> None:
        found = axe.Axe().run(one.page).response["violations"]
        findings[name] = [f"{f['id']}: {node['html'][:120]}" for f in found for node in f["nodes"]]

    one.press("a")
    one.is_sent()
    one.plays()
    look("page")
    for button in ("models",) if size == "phone" else ("models", "keys", "snooze"):
        one.page.locator("button", has_text=button).first.click()
        one.page.wait_for_selector("dialog[open]")
        look(button)
        one.press("Escape")
        one.page.wait_for_selector("dialog", state="detached")
    one.press("m")
    look("missed")
    assert {name: found for name, found in findings.items() if found} == {}


def test_nothing_is_wider_than_its_column(store: Drawn, window: Open) -> None:
    store.fill(count=3)
    one = window()
    for width in (390, 859, 860, 1000, 1179, 1180, 1366):
        one.page.set_viewport_size({"width": width, "height": 768})
        beyond = one.page.evaluate(
            "() => [...document.querySelectorAll('.middle *')].filter(part => part.getBoundingClientRect().right"
            " > document.querySelector('.middle').getBoundingClientRect().right + 1).map(part => part.className)"
        )
        assert beyond == [], width

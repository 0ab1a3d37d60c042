"""The API of the review over HTTP: pages of items, clips, verdicts, undo, missed events, changes."""

from __future__ import annotations

import io
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reviewed import FPS, Client, add_item, add_video, served, write_video

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

from wherewhen.core.database import Tables
from wherewhen.review.heat import packed
from wherewhen.review.judged import VERDICTS, judged_items
from wherewhen.review.opened import Review
from wherewhen.video import reader

HOSTILE = "<script>alert('x')</script>\"'; DROP TABLE item; --\u202e"


@pytest.fixture(scope="module")
def review(tmp_path_factory: pytest.TempPathFactory) -> Review:
    """Ten events of a video, events of a second one, and one with hostile names."""
    folder = tmp_path_factory.mktemp("out")
    write_video(folder / "walk.mp4")
    (folder.parent / "secret.mp4").write_bytes(b"secret")
    with Tables(folder / "review.db") as tables:
        add_video(tables, "walk", "walk.mp4")
        add_video(tables, "gone", "gone.mp4")
        for number in range(10):
            more = {"score": number / 10, "priority": (number * 7 % 10) / 10, "place": -number, "cluster": number % 2}
            add_item(tables, f"w{number}", video="walk", feature=np.eye(10, dtype="<f4")[number].tobytes(), **more)
        add_item(tables, "g", video="gone", camera="gate", score=2.0, priority=2.0, place=2.0)
        more = {"zones_json": json.dumps([HOSTILE]), "priority": -1.0, "score": -1.0, "t0": -20.0}
        add_item(tables, HOSTILE, camera=HOSTILE, clock="wall", video=None, clip="../secret.mp4", **more)
    return Review(folder / "review.db")


@pytest.fixture(scope="module")
def client(review: Review) -> Iterator[Client]:
    with served(review) as client:
        yield client


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[tuple[Review, Client]]:
    """Three events of a video."""
    write_video(tmp_path / "walk.mp4", 4.0)
    with Tables(tmp_path / "review.db") as tables:
        add_video(tables, "walk", "walk.mp4", 4.0)
        for id in "abc":
            add_item(tables, id, video="walk")
    review = Review(tmp_path / "review.db")
    with served(review) as client:
        yield review, client


@pytest.mark.parametrize(
    ("sort", "first"),
    [("uncertain", ["g", "w7", "w4", "w1"]), ("score", ["g", "w9", "w8", "w7"]), ("time", ["g", "w0", "w1"])],
)  # fmt: skip
@pytest.mark.parametrize("limit", [1, 5, 100])
def test_pages_hold_each_item_once_in_order(sort: str, first: list[str], limit: int, client: Client) -> None:
    ids, cursor = [], ""
    while cursor is not None:
        answer = client(f"/api/v1/review?sort={sort}&limit={limit}&cursor={cursor}").json
        assert len(answer["items"]) <= limit and answer["total"] == 12
        ids += [item["id"] for item in answer["items"]]
        cursor = answer["cursor"]
    assert ids[: len(first)] == first
    assert len(ids) == len(set(ids)) == 12


def test_pages_are_filtered(client: Client) -> None:
    assert [one["id"] for one in client("/api/v1/review?camera=gate").json["items"]] == ["g"]
    assert client("/api/v1/review?cluster=1").json["total"] == 5
    assert client("/api/v1/review?source=audit").json["items"] == []
    listed = client("/api/v1/review?ids=w3,nothing,w1").json["items"]
    assert [one["id"] for one in listed] == ["w3", "w1"]
    assert client("/api/v1/review?camera=gate").json["counts"] == {"open": 1, "judged": 0, "used": 0, "expired": 0}


@pytest.mark.parametrize(
    "query",
    ["sort=worst", "state=none", "cursor=%22", "cursor=WzFd", "limit=0", "limit=1001", "cluster=x", "cluster=1e99"],
)  # fmt: skip
def test_wrong_queries_are_answered_with_a_sentence(query: str, client: Client) -> None:
    answer = client(f"/api/v1/review?{query}")
    assert answer.status == 422 and isinstance(answer.json["detail"], str)


def test_an_item_of_a_video_has_the_times_of_its_clip(client: Client, tmp_path: Path) -> None:
    item = client("/api/v1/items/w3").json
    assert item["box"] == [0.25, 0.5, 0.5, 0.5]
    assert item["clip"] == {"start": 2.0, "end": 3.5, "offset": 0.0}
    answer = client("/api/v1/items/w3/clip.mp4")
    assert answer.status == 200 and answer.headers["content-type"] == "video/mp4"
    assert answer.headers["cache-control"] == "private, max-age=3600"
    (tmp_path / "clip.mp4").write_bytes(answer.body)
    assert reader.probe(tmp_path / "clip.mp4").codec == "h264"
    frames = list(reader.frames(tmp_path / "clip.mp4"))
    assert [frame.start for frame in frames] == pytest.approx([number / FPS for number in range(55)], abs=2e-3)
    assert [frame.image.mean() for frame in frames] == pytest.approx([4 * number for number in range(55)], abs=3)


def test_clips_are_read_in_parts(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = client("/api/v1/items/w3/clip.mp4").body
    part = client("/api/v1/items/w3/clip.mp4", Range="bytes=100-109")
    assert (part.status, part.body) == (206, whole[100:110])
    assert part.headers["content-range"] == f"bytes 100-109/{len(whole)}"
    assert client("/api/v1/items/w3/clip.mp4", Range="bytes=99999999-").status == 416
    monkeypatch.setattr("wherewhen.server.review_routes.PART", 64)
    part = client("/api/v1/items/w3/clip.mp4", Range="bytes=0-")
    assert part.headers["content-range"] == f"bytes 0-63/{len(whole)}" and part.body == whole[:64]


def test_a_thumbnail_shows_the_middle_of_the_event(client: Client) -> None:
    from PIL import Image

    answer = client("/api/v1/items/w3/thumb.webp")
    assert answer.headers["content-type"] == "image/webp"
    picture = np.asarray(Image.open(io.BytesIO(answer.body)).convert("RGB"))
    assert picture[:10, :10].mean() == pytest.approx(4 * 27, abs=6)


def test_what_is_gone_is_told(client: Client) -> None:
    assert client("/api/v1/items/g").json["has_clip"] is False
    for name in ("clip.mp4", "thumb.webp", "heat.webp"):
        assert client(f"/api/v1/items/g/{name}").status == 404
        assert client(f"/api/v1/items/none/{name}").status == 404
    assert client("/api/v1/items/none").json["detail"] == "there is no such item"


def test_a_heat_map_lies_over_the_clip(fresh: tuple[Review, Client]) -> None:
    from PIL import Image

    review, client = fresh
    with Tables(review.file) as tables:
        add_item(tables, "hot", video="walk", heat=packed(np.eye(4, dtype=np.float32)))
    assert [client(f"/api/v1/items/{id}").json["has_heat"] for id in ("hot", "a")] == [True, False]
    answer = client("/api/v1/items/hot/heat.webp")
    assert answer.status == 200 and answer.headers["content-type"] == "image/webp"
    image = Image.open(io.BytesIO(answer.body))
    assert (image.mode, image.size) == ("RGBA", (480, 360)), "as wide as high as the video"
    assert client("/api/v1/items/a/heat.webp").json["detail"] == "this item has no heat map"


def test_the_curve_is_that_of_the_video(client: Client) -> None:
    curve = client("/api/v1/items/w3/curve").json
    assert curve["times"] == pytest.approx([number / 10 for number in range(60)])
    assert curve["scores"] == pytest.approx(np.linspace(0, 1, 60).tolist(), abs=1e-3)
    assert curve["threshold"] == 0.5


def test_neighbours_are_the_nearest_judged_items(fresh: tuple[Review, Client]) -> None:
    review, client = fresh
    with Tables(review.file) as tables:
        for number in range(7):
            add_item(tables, f"n{number}", video="walk", feature=np.float32([number, 0]).tobytes())
    keys = [{"key": f"k{n}", "item": f"n{n}", "verdict": "false" if n % 2 else "true"} for n in range(1, 7)]
    assert client.judge(*keys).status == 200
    near = client("/api/v1/items/n0/neighbours").json
    assert {name: [one["id"] for one in listed] for name, listed in near.items()} == {
        "true": ["n2", "n4", "n6"], "false": ["n1", "n3", "n5"]
    }  # fmt: skip


def test_verdicts_are_stored_once_and_undone(fresh: tuple[Review, Client]) -> None:
    _, client = fresh
    one = {"key": "k1", "item": "a", "verdict": "wrong_place", "start": 2.5, "box": [0.1, 0.2, 0, 0], "seconds": 1.5}
    first = client.judge(one).json
    assert client.judge(one).json["verdicts"] == first["verdicts"]
    (verdict,) = first["verdicts"]
    assert verdict["box"] == pytest.approx([0.1, 0.2, 0, 0]) and (verdict["start"], verdict["end"]) == (2.5, 3.5)
    assert first["items"][0]["state"] == "judged" and first["items"][0]["verdict"] == verdict
    assert client("/api/v1/review").json["counts"] == {"open": 2, "judged": 1, "used": 0, "expired": 0}
    assert [one["id"] for one in client("/api/v1/verdicts?limit=5").json["verdicts"]] == [verdict["id"]]
    for _ in range(2):
        (item,) = client(f"/api/v1/verdicts/{verdict['id']}", "DELETE").json["items"]
        assert (item["state"], item["verdict"]) == ("open", None)
    assert client("/api/v1/verdicts/999", "DELETE").status == 404
    assert client("/api/v1/verdicts/99999999999999999999999", "DELETE").status == 404
    assert client("/api/v1/stats").json["judged"] == 0


def test_many_verdicts_are_undone_at_once_by_their_keys(fresh: tuple[Review, Client]) -> None:
    _, client = fresh
    client.judge(*({"key": f"k{id}", "item": id, "verdict": "false"} for id in "abc"))
    missed = client("/api/v1/missed", "POST", {"key": "m", "item": "a", "start": 0.5, "end": 1}).json["item"]["id"]
    for _ in range(2):
        answer = client("/api/v1/verdicts/undo", "POST", {"keys": ["kc", "unknown", "ka", "m"]}).json
        assert [(item["id"], item["state"]) for item in answer["items"]] == [("c", "open"), ("a", "open")]
        assert answer["gone"] == [missed]
    assert client("/api/v1/review").json["counts"] == {"open": 2, "judged": 1, "used": 0, "expired": 0}
    for keys in (["k"] * 1001, "kb", [7], ["\ud800"]):
        assert client("/api/v1/verdicts/undo", "POST", {"keys": keys}).status == 422
    assert client("/api/v1/review").json["counts"]["judged"] == 1


def test_an_id_may_hold_a_slash(client: Client) -> None:
    id = quote(HOSTILE, safe="")
    assert client(f"/api/v1/items/{id}").json["id"] == HOSTILE and "/" in HOSTILE
    assert client(f"/api/v1/items/{id}/curve").status == 200
    assert client(f"/api/v1/items/{id}/clip.mp4").status == 404, "its clip is outside of the folder"
    assert client("/api/v1/items/w3%2Fx").status == 404


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": "maybe"}, {"key": ""}, {"key": "k" * 65}, {"start": 3, "end": 2}, {"seconds": -1}, {"start": 1e400},
        {"box": [0, 0, 1]}, {"box": [0.5, 0, 0.6, 1]}, {"box": [float("nan")] * 4}, {"note": "n" * 2001}, {"item": 7},
        {"category": "\ud800"}, {"key": None}, {"box": "all"},
    ],
)  # fmt: skip
def test_wrong_verdicts_are_refused_in_a_sentence(change: dict[str, Any], fresh: tuple[Review, Client]) -> None:
    _, client = fresh
    answer = client.judge(
        {"key": "k0", "item": "b", "verdict": "true"}, {"key": "k", "item": "a", "verdict": "true", **change}
    )
    assert answer.status == 422 and isinstance(answer.json["detail"], str)
    assert client("/api/v1/stats").json["judged"] == 0, "all or none"


def test_an_item_that_is_gone_is_a_conflict(fresh: tuple[Review, Client]) -> None:
    review, client = fresh
    assert client.judge({"key": "k", "item": "nothing", "verdict": "true"}).status == 409
    assert client.judge({"key": "k0", "item": "a", "verdict": "true"}).status == 200
    (review.folder / "walk.mp4").unlink()
    assert review.expire() == 2
    answer = client.judge({"key": "k1", "item": "b", "verdict": "true"})
    assert answer.status == 409 and "gone" in answer.json["detail"]
    assert client.judge({"key": "k0", "item": "a", "verdict": "true"}).status == 200, "that one is stored already"
    assert client("/api/v1/review?state=expired").json["total"] == 2
    write_video(review.folder / "walk.mp4", 4.0)
    assert review.expire() == 2 and client("/api/v1/review").json["total"] == 2


def test_a_missed_event_is_an_item_of_its_own(fresh: tuple[Review, Client]) -> None:
    review, client = fresh
    body = {"key": "m1", "item": "a", "start": 0.5, "end": 1.25, "box": [0, 0, 0.5, 0.5], "category": "fall"}
    first = client("/api/v1/missed", "POST", body).json
    assert client("/api/v1/missed", "POST", body).json == first
    assert (first["item"]["source"], first["item"]["start"], first["item"]["end"]) == ("missed", 0.5, 1.25)
    assert first["item"]["has_clip"] and first["item"]["state"] == "judged"
    (item,) = judged_items(review.file)
    assert (item.verdict, item.start, item.end, item.box, item.category) == (
        "missed",
        0.5,
        1.25,
        (0, 0, 0.5, 0.5),
        "fall",
    )
    assert client(f"/api/v1/verdicts/{first['verdict']['id']}", "DELETE").json == {"items": []}
    assert client("/api/v1/review?state=all").json["total"] == 3
    assert client("/api/v1/missed", "POST", {**body, "key": "m2", "end": 0.5}).status == 422
    assert client("/api/v1/missed", "POST", {**body, "key": "m3", "item": "nothing"}).status == 409
    assert client("/api/v1/missed", "POST", body).status == 409, "it was withdrawn"


def test_changes_of_any_process_are_streamed(fresh: tuple[Review, Client], monkeypatch: pytest.MonkeyPatch) -> None:
    review, client = fresh
    monkeypatch.setattr("wherewhen.server.changes.INTERVAL", 0.02)
    with socket.create_connection(("127.0.0.1", client.port), timeout=5) as wire:
        wire.sendall(b"GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        text = b""
        while b": changes" not in text:
            text += wire.recv(4096)
        client.judge({"key": "k", "item": "b", "verdict": "true"})
        while b"event: items" not in text or not text.endswith(b"\r\n"):
            text += wire.recv(4096)
        assert b'data: {"ids": ["b"]}' in text
        with Tables(review.file) as other:
            add_item(other, "later", video="walk")
        while b'"later"' not in text:
            text += wire.recv(4096)


def test_facts(client: Client, fresh: tuple[Review, Client]) -> None:
    facts = client("/api/v1/info").json
    assert facts["cameras"] == sorted(["gate", "yard", HOSTILE]) and facts["live"] is False
    assert facts["store"] == client("/api/v1/info").json["store"] != fresh[1]("/api/v1/info").json["store"] != ""
    assert client("/api/v1/snooze", "POST", {"camera": "yard", "minutes": 5}).status == 409
    assert client("/api/v1/cameras/yard/budget").status == 404


KEYS = st.integers(0, 11)
STEP = st.one_of(
    st.tuples(st.just("judge"), KEYS, st.sampled_from("abc"), st.sampled_from(VERDICTS)),
    st.tuples(st.just("undo"), KEYS),
    st.tuples(st.just("missed"), KEYS, st.sampled_from("abc")),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(STEP, max_size=30))
def test_no_verdict_is_lost_or_doubled(tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[Any, ...]]) -> None:
    """Two windows send verdicts, some of them again, and undo those of each other: an account by hand agrees."""
    from wherewhen.review import verdicts
    from wherewhen.review.verdicts import Judgement

    file = tmp_path_factory.mktemp("out") / "review.db"
    stored: dict[str, tuple[int, str, str]] = {}
    undone: set[int] = set()
    with Tables(file) as one, Tables(file) as other:
        for id in "abc":
            add_item(one, id)
        for number, (kind, key, *rest) in enumerate(steps):
            window, name = (one, other)[number % 2], f"{kind[0]}{key}"
            if kind == "judge":
                (row,) = verdicts.store(window, [Judgement(name, *rest)], None, number)
                assert stored.setdefault(name, (row, *rest))[0] == row
            elif kind == "missed":
                given = Judgement(name, rest[0], "missed", 0.5, 1.5)
                id, row = verdicts.add_missed(window, given, None, number)
                assert stored.setdefault(name, (row, id, "missed"))[:2] == (row, id)
            elif stored:
                row = sorted(stored.values())[key % len(stored)][0]
                assert verdicts.undo(window, row, number) is not None
                undone.add(row)
        holding = {id: verdict for row, id, verdict in sorted(stored.values()) if row not in undone}
        rows = other.rows("SELECT id, item, verdict, undone_at IS NOT NULL FROM verdict ORDER BY id")
        assert rows == [(*one, one[0] in undone) for one in sorted(stored.values())]
        states = dict(other.rows("SELECT id, verdict FROM item WHERE review = 'judged' AND repeat_of IS NULL"))
        assert states == holding
        left = {id for (id,) in other.rows("SELECT id FROM item WHERE review = 'open' AND repeat_of IS NULL")}
        assert left == {id for id in "abc" if id not in holding}


def test_one_verdict_in_twenty_makes_an_item_be_shown_again(tmp_path: Path) -> None:
    from wherewhen.review import verdicts
    from wherewhen.review.verdicts import Judgement

    with Tables(tmp_path / "review.db") as tables:
        for number in range(100):
            add_item(tables, f"i{number}", priority=number / 100)
        add_item(tables, "running", t1=None)
        for number in range(60):
            verdicts.store(tables, [Judgement(f"k{number}", f"i{number}", "false")], "eve", number)
        again = tables.rows("SELECT id, repeat_of, verdict, review FROM item WHERE repeat_of IS NOT NULL")
        assert len({original for _, original, *_ in again}) == 3
        assert all((verdict, state) == (None, "open") for *_, verdict, state in again)
        for number, (id, *_) in enumerate(again):
            verdicts.store(tables, [Judgement(f"r{number}", id, "true" if number else "false")], "eve", 99)
        assert verdicts.shown_twice(tables) == (3, 1)
        assert verdicts.statistics(tables)["judged"] == 60, "an item counts once"


def test_statistics(fresh: tuple[Review, Client]) -> None:
    review, client = fresh
    with Tables(review.file) as tables:
        for number in range(20):
            add_item(tables, f"q{number}", video="walk", source="audit")
    given = [
        {"key": f"q{n}", "item": f"q{n}", "verdict": "true" if n == 3 else "false", "seconds": n} for n in range(20)
    ]
    assert client.judge(*given).status == 200
    answer = client("/api/v1/stats").json
    assert answer["judged"] == 20 and answer["median_seconds"] == 9.5
    assert answer["by_verdict"] == {"true": 1, "false": 19}
    misses = answer["misses"]
    assert (misses["audited"], misses["missed"]) == (20, 1)
    # Clopper and Pearson's interval for 1 of 20
    assert (misses["low"], misses["high"]) == pytest.approx((0.0013, 0.2487), abs=2e-4)


def test_ten_thousand_items_are_paged_in_milliseconds(tmp_path: Path) -> None:
    with Tables(tmp_path / "review.db") as tables:
        values = "'x' || i, 'cam' || (i % 9), i, i + 2, 'detection', i * 7919 % 10007 / 10007.0, 0.5, '[]', 'ok'"
        columns = "id, camera, t0, t1, severity, score, threshold, zones_json, state, clock, priority"
        tables.write(
            "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999) "
            f"INSERT INTO item({columns}) SELECT {values}, 'video', i * 31 % 997 / 997.0 FROM n"
        )
    review = Review(tmp_path / "review.db")
    from wherewhen.review import items

    for query in (items.Query(), items.Query(sort="score", camera="cam3"), items.Query("all", sort="time")):
        seconds, count, cursor = [], 0, ""
        with review.reading() as connection:
            while cursor is not None and count < 1000:
                began = time.thread_time()
                answer = items.page(connection, tmp_path, items.Query(**{**vars(query), "cursor": cursor}))
                seconds.append(time.thread_time() - began)
                count, cursor = count + len(answer["items"]), answer["cursor"]
        assert count >= 1000
        assert np.median(seconds) < 0.1, "a tenth of a second of a processor"

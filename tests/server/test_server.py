"""The web server over HTTP: who is answered, health, measurements, the status page, and Frigate's reads."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from reviewed import Client, write_video
from watched import WatchedStore

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

from wherewhen.core.errors import ConfigError
from wherewhen.live.presence import Presence
from wherewhen.live.service import _Running, _supervised
from wherewhen.live.settings import ServerConfig, WatchConfig, with_options
from wherewhen.server import web_server
from wherewhen.server.guard import Guard
from wherewhen.server.web_server import answering, checked, serving

TOKEN = "KQ-0123456789/+abc"
JPEG = b"\xff\xd8\xff\xe0 a picture \xff\xd9"
HOSTILE = '<script>alert("x")</script>'
CLIP = bytes(range(256)) * 4


@contextmanager
def served(folder: Path, **settings: Any) -> Iterator[Client]:
    with serving(folder, ServerConfig(port=0, **settings)) as port:
        yield Client(port)


@pytest.fixture(scope="module")
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, stack: ExitStack) -> WatchedStore:
    """Cameras gate and yard, four events, and fields of the database that nobody would write but an attacker."""
    one = WatchedStore(tmp_path_factory.mktemp("live"))
    stack.callback(one.database.close)
    now = time.time() + 600  # that they are new does not depend on how fast these tests are
    one.service(now, None, "gate", "yard")
    one.camera(at=now)
    one.camera("offline", HOSTILE, now, "yard")
    one.alert("1.5-aaa", 1000.0, snapshot=JPEG, clip=CLIP, zones='["door"]')
    one.alert("2.5-bbb", 2000.0, "detection", camera="yard", suppressed="zone")
    one.alert("3.5-ccc", 3000.0, end=None, camera="yard", snapshot=JPEG)
    one.alert(HOSTILE, now, zones=json.dumps([HOSTILE]))
    columns = "camera, t0, t1, severity, score, threshold, box_json, zones_json, state, clip, snapshot"
    for source in ("again", "missed", "audit"):  # what only people are shown, or marked
        added = f"(id, source, repeat_of, {columns}) SELECT ?, ?, ?, {columns}"
        original = ("again", "alert", "1.5-aaa") if source == "again" else (source, source, None)
        one.database.write(f"INSERT INTO item{added} FROM item WHERE id = '1.5-aaa'", *original)
    verdict = "INSERT INTO verdict(item, camera, verdict, t0, t1, at) VALUES ('1.5-aaa', 'gate', 'false', 0, 1, 2)"
    one.database.write(verdict)
    one.database.write("INSERT INTO outbox(sink, key, message_json) VALUES ('mqtt', 'k', '{}')")
    (one.folder.parent / "secret.mp4").write_bytes(b"secret")
    return one


@pytest.fixture(scope="module")
def client(store: WatchedStore, stack: ExitStack) -> Client:
    return stack.enter_context(served(store.folder))


@pytest.fixture(scope="module")
def guarded(store: WatchedStore, stack: ExitStack) -> Client:
    return stack.enter_context(served(store.folder, token=TOKEN, hosts=("cameras.lan",)))


ROUTES = ("/", "/cameras", "/healthz", "/metrics", "/status.css", "/status.js", "/openapi.json", "/api/version",
          "/api/events", "/api/review", "/api/events/1.5-aaa", "/api/events/1.5-aaa/snapshot.jpg")  # fmt: skip


@pytest.mark.parametrize("path", ROUTES)
def test_no_route_answers_without_the_token_or_to_a_foreign_name(path: str, client: Client, guarded: Client) -> None:
    assert guarded(path).status == 401
    assert guarded(path, Authorization=f"Bearer {TOKEN[:-1]}").status == 401
    right = guarded(path, Authorization=f"Bearer {TOKEN}")
    assert right.status in (200, 503)
    assert client(path, Host="attacker.example").status == 421
    answer = client(path)
    assert answer.status == right.status
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert "default-src 'self'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:5000", 200), ("127.0.0.1", 200), ("[::1]:80", 200), ("10.0.0.7:5000", 200), ("", 421),
     ("cameras.lan:80", 421), ("localhost.attacker.example", 421), ("127.0.0.1.attacker.example:80", 421)],
)  # fmt: skip
def test_hosts_that_are_served(host: str, status: int, client: Client, guarded: Client) -> None:
    assert client("/api/version", Host=host).status == status
    if host == "cameras.lan:80":
        assert guarded("/api/version", Host=host, Authorization=f"Bearer {TOKEN}").status == 200


def test_a_foreign_origin_is_refused(client: Client) -> None:
    body = b'{"ids": ["1.5-aaa"]}'
    for origin in ("http://attacker.example", "null", f"http://127.0.0.1:{client.port + 1}"):
        assert client("/api/reviews/viewed", "POST", body, Origin=origin).status == 403
    assert not any(item["has_been_reviewed"] for item in client("/api/review").json)
    ours = f"http://127.0.0.1:{client.port}"
    assert client("/api/version", Origin=ours).status == 200


def test_a_page_opened_with_the_token_is_opened_without_it_from_then_on(guarded: Client) -> None:
    from urllib.parse import quote

    first = guarded(f"/?token={quote(TOKEN, safe='')}")
    assert (first.status, first.headers["location"]) == (303, "/")
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    assert guarded("/", Cookie=cookie.partition(";")[0]).status == 200
    assert guarded("/?token=wrong").status == 401
    assert guarded("/", Cookie="wherewhen=wrong; a=\x7f").status == 401


def test_bodies_have_a_size_and_come_in_time(client: Client, store: WatchedStore) -> None:
    assert client("/api/reviews/viewed", "POST", b"x" * 70_000).status == 413
    assert client("/api/reviews/viewed", "POST", None, Content_Length="-1").status in (400, 411)
    assert client("/api/reviews/viewed", "POST", b"{nonsense").status == 422
    assert client("/api/reviews/viewed", "POST", json.dumps({"ids": ["x"] * 1001}).encode()).status == 422
    chunked = Guard(lambda *_: pytest.fail("not reached")).refusal(
        "POST", {"host": "localhost", "transfer-encoding": "chunked"}, ""
    )
    assert chunked is not None and chunked.status == 411


def test_a_body_that_does_not_come_is_given_up(store: WatchedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wherewhen.server.guard.PATIENCE", 0.2)
    with served(store.folder) as client, socket.create_connection(("127.0.0.1", client.port), timeout=5) as wire:
        wire.sendall(b"POST /api/reviews/viewed HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n")
        assert wire.recv(100).split()[1] == b"408", "clients try it again, which they don't after 400"
        assert client("/api/version").status == 200


@pytest.mark.parametrize("id", ["..", "%2e%2e", "..%2f..%2fsecret", "%2e%2e%2f%2e%2e%2fsecret", "1.5-aaa%00", "%ff"])
def test_no_path_leaves_the_store(id: str, client: Client) -> None:
    for name in ("clip.mp4", "snapshot.jpg", "thumbnail.jpg"):
        answer = client(f"/api/events/{id}/{name}")
        assert answer.status == 404 and b"secret" not in answer.body


def test_fields_of_the_database_lead_out_of_the_store_neither(client: Client, store: WatchedStore) -> None:
    store.alert("1.5-out", 10.0)
    store.database.write("UPDATE item SET snapshot = '../secret.mp4', clip = '../secret.mp4' WHERE t0 = 10")
    (event,) = client("/api/events?before=11").json
    assert (event["has_snapshot"], event["has_clip"]) == (False, False)
    assert client("/api/events/1.5-out/clip.mp4").status == 404
    store.database.write("UPDATE item SET clip = ? WHERE t0 = 10", str(store.folder.parent / "secret.mp4"))
    assert client("/api/events/1.5-out/clip.mp4").status == 404
    store.database.write("DELETE FROM item WHERE t0 = 10")


def test_a_page_shows_texts_and_runs_none(client: Client) -> None:
    for path in ("/", "/cameras"):
        text = client(path).body.decode()
        assert "<script>alert" not in text and "&lt;script&gt;alert" in text
    assert len(re.findall(r"<script", client("/").body.decode())) == 1


def test_health_is_503_with_reasons(client: Client, tmp_path: Path) -> None:
    answer = client("/healthz")
    assert answer.status == 503
    assert [(one["name"], one["ok"]) for one in answer.json["cameras"]] == [("gate", True), ("yard", False)]
    assert answer.json["cameras"][1]["fault"].startswith("offline: ")
    with served(tmp_path) as empty:
        answer = empty("/healthz")
        assert answer.status == 503 and "no store" in answer.json["detail"]


def test_health_when_the_process_of_a_camera_dies(tmp_path: Path) -> None:
    store = WatchedStore(tmp_path)
    presence = Presence(store.database, {}, [])
    store.service(time.time())
    store.camera(at=time.time())
    dead: Any = SimpleNamespace(is_alive=lambda: False, exitcode=-9)
    with served(tmp_path) as client:
        assert client("/healthz").status == 200
        _supervised("gate", _Running(dead, None), lambda: pytest.fail("too early"), presence)
        answer = client("/healthz")
        assert answer.status == 503
        assert answer.json["cameras"][0]["fault"] == "offline: its process ended with code -9"
        assert b'wherewhen_camera_up{camera="gate"} 0\n' in client("/metrics").body
        store.camera("offline", "finished", time.time())
        assert client("/healthz").status == 200
    presence.close()


NAMES = {
    "camera_up", "camera_state", "clock_offset_seconds", "score", "threshold", "budget_alerts_per_day",
    "false_alarm_upper_bound_per_day", "outbox_messages", "refused_messages", "storage_free_bytes", "model_info",
    "frames_received_total", "frames_dropped_total", "reconnects_total", "alerts_total", "audits_total",
    "alerts_suppressed_total", "verdicts_total", "latency_seconds", "stage_seconds", "machine_up",
    "machine_clock_offset_seconds",
}  # fmt: skip
"""The names that dashboards rely on."""


def test_measurements_are_read_by_the_parser_of_prometheus(client: Client) -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    answer = client("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {one.name: one for one in parser.text_string_to_metric_families(answer.body.decode())}
    names = {f"{one.name}_total" if one.type == "counter" else one.name for one in families.values()}
    assert names == {f"wherewhen_{name}" for name in NAMES}
    values = {
        (sample.name.removeprefix("wherewhen_"), *sorted(sample.labels.items())): sample.value
        for one in families.values() for sample in one.samples
    }  # fmt: skip
    gate = ("camera", "gate")
    expected = {
        ("camera_up", gate): 1, ("camera_up", ("camera", "yard")): 0, ("camera_state", gate, ("state", "ok")): 1,
        ("camera_state", gate, ("state", "frozen")): 0, ("score", gate): 0.4, ("threshold", gate): 0.8,
        ("budget_alerts_per_day", gate): 2, ("false_alarm_upper_bound_per_day", gate): 2.5,
        ("frames_received_total", gate): 300, ("frames_dropped_total", gate, ("reason", "latency")): 4,
        ("reconnects_total", gate): 3, ("alerts_total", gate, ("severity", "alert")): 2,
        ("alerts_total", gate, ("severity", "detection")): 5, ("model_info", gate, ("sha", "ab" * 32)): 1,
        ("alerts_suppressed_total", gate, ("reason", "cooldown")): 2, ("outbox_messages", ("sink", "mqtt")): 1,
        ("latency_seconds_count", gate): 3, ("latency_seconds_sum", gate): pytest.approx(71.35),
        ("latency_seconds_bucket", gate, ("le", "0.25")): 1, ("latency_seconds_bucket", gate, ("le", "2.0")): 2,
        ("latency_seconds_bucket", gate, ("le", "60.0")): 2, ("latency_seconds_bucket", gate, ("le", "+Inf")): 3,
        ("verdicts_total", gate, ("verdict", "false")): 1,
        ("stage_seconds_count", gate, ("stage", "score")): 1,
    }  # fmt: skip
    assert {key: values[key] for key in expected} == expected


def test_events_have_the_fields_of_frigate(client: Client) -> None:
    event = client("/api/events/1.5-aaa").json
    assert event["label"] == "anomaly" and event["camera"] == "gate" and event["zones"] == ["door"]
    assert (event["start_time"], event["end_time"], event["top_score"]) == (1000.0, 1002.0, 0.9)
    assert event["data"]["box"] == [0.25, 0.5, 0.25, 0.25]
    assert event["has_clip"] and event["has_snapshot"]
    assert client("/api/events/2.5-bbb").json["wherewhen"]["suppressed"] == "zone"
    assert [client(f"/api/events/{id}").status for id in ("9", "again", "missed", "audit")] == [404] * 4
    assert client("/api/version").body.decode().startswith("0.16.0-wherewhen-")


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("limit=2", [HOSTILE, "3.5-ccc"]),
        ("limit=0", []),
        ("before=4000", ["3.5-ccc", "2.5-bbb", "1.5-aaa"]),
        ("before=4000&cameras=yard", ["3.5-ccc", "2.5-bbb"]),
        ("before=4000&camera=gate,yard&after=1500", ["3.5-ccc", "2.5-bbb"]),
        ("zones=door", ["1.5-aaa"]),
        ("has_clip=1", ["1.5-aaa"]),
        ("has_snapshot=1", ["3.5-ccc", "1.5-aaa"]),
        ("in_progress=1", ["3.5-ccc"]),
        ("labels=person", []),
        ("min_score=0.95", []),
        ("cameras=gate'%20OR%201=1--", []),
    ],
)
def test_events_are_those_that_a_query_asks_for(query: str, ids: list[str], client: Client) -> None:
    assert [one["id"] for one in client(f"/api/events?{query}").json] == ids


def test_clips_are_read_in_parts(client: Client) -> None:
    whole = client("/api/events/1.5-aaa/clip.mp4")
    assert (whole.status, whole.headers["content-type"], whole.body) == (200, "video/mp4", CLIP)
    part = client("/api/events/1.5-aaa/clip.mp4", Range="bytes=100-109")
    assert (part.status, part.body) == (206, CLIP[100:110])
    assert part.headers["content-range"] == f"bytes 100-109/{len(CLIP)}"
    assert client("/api/events/1.5-aaa/clip.mp4", Range="bytes=9999-").status == 416
    assert client("/api/events/2.5-bbb/clip.mp4").status == 404
    for name in ("snapshot.jpg", "thumbnail.jpg"):
        picture = client(f"/api/events/1.5-aaa/{name}")
        assert (picture.headers["content-type"], picture.body) == ("image/jpeg", JPEG)


def test_reviews_are_events_of_the_model_alone(client: Client) -> None:
    assert [one["id"] for one in client("/api/review?before=4000").json] == ["3.5-ccc", "2.5-bbb", "1.5-aaa"]
    body = json.dumps({"ids": ["again", "missed", "audit"]}).encode()
    answer = client("/api/reviews/viewed", "POST", body, Content_Type="application/json")
    assert answer.json["message"].startswith("0 ")


def test_reviews_are_marked_as_viewed_and_back(client: Client) -> None:
    def viewed() -> list[str]:
        return [one["id"] for one in client("/api/review?before=4000").json if one["has_been_reviewed"]]

    body = json.dumps({"ids": ["1.5-aaa", "no such", "1.5-aaa'; DROP TABLE item; --"]}).encode()
    answer = client("/api/reviews/viewed", "POST", body, Content_Type="application/json")
    assert answer.json["success"] is True and answer.json["message"].startswith("1 ")
    assert viewed() == ["1.5-aaa"]
    assert [one["id"] for one in client("/api/review?reviewed=1").json] == ["1.5-aaa"]
    item = client("/api/review?cameras=yard&severity=detection").json[0]
    assert item["data"]["detections"] == [item["id"]] == ["2.5-bbb"] and item["severity"] == "detection"
    back = json.dumps({"ids": ["1.5-aaa"], "reviewed": False}).encode()
    assert client("/api/reviews/viewed", "POST", back, Content_Type="application/json").status == 200
    assert viewed() == []


def test_alerts_of_a_running_service_are_grouped_and_sorted_as_they_come(tmp_path: Path) -> None:
    store = WatchedStore(tmp_path)
    clip = write_video(tmp_path / "alert.mp4").read_bytes()

    def queue(client: Client, count: int) -> list[dict[str, Any]]:
        """The queue, once so many alerts are in groups."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            items: list[dict[str, Any]] = client("/api/v1/review?sort=uncertain").json["items"]
            if sum(item["cluster"] is not None for item in items) == count:
                return items
            time.sleep(0.05)
        pytest.fail(f"no {count} alerts in groups after a minute")

    with closing(store.database), served(tmp_path) as client:
        store.alert("1.5-far", 1000.0, clip=clip)
        store.alert("2.5-near", 9000.0, clip=clip)
        store.database.write("UPDATE item SET score = 0.81 WHERE id = '2.5-near'")
        first = queue(client, 2)
        assert {item["cluster_size"] for item in first} == {2}
        store.alert("3.5-other", 90000.0, camera="yard", clip=clip)
        store.alert("4.5-bare", 190000.0)  # has no clip, and is sorted with the others
        queue(client, 3)
        end, ids = time.monotonic() + 60, []
        # nearest to its threshold first; look-alikes of it last
        while ids[-1:] != ["1.5-far"] and time.monotonic() < end:
            ids = [item["id"] for item in client("/api/v1/review?sort=uncertain").json["items"]]
        assert ids == ["2.5-near", "3.5-other", "4.5-bare", "1.5-far"]


def test_another_host_needs_a_token() -> None:
    with pytest.raises(ConfigError, match="needs a token"):
        ServerConfig(host="0.0.0.0")
    with pytest.raises(ConfigError, match="at least 16 characters, got 5"):
        _ = ServerConfig(host="0.0.0.0", token="short").secret
    assert ServerConfig(host="0.0.0.0", token=TOKEN).secret == TOKEN
    with pytest.raises(ConfigError, match="from 0 to 65535"):
        ServerConfig(port=70_000)


def test_a_check_of_the_settings_reads_the_token_and_shows_it_not(monkeypatch: pytest.MonkeyPatch) -> None:
    config = ServerConfig(host="0.0.0.0", token="${KQ_TOKEN}")
    with pytest.raises(ConfigError, match="KQ_TOKEN"):
        checked(config)
    monkeypatch.setenv("KQ_TOKEN", TOKEN)
    assert checked(config) == ["server http://0.0.0.0:5000/ with a token"]
    assert checked(None) == []


def test_a_port_that_is_taken_is_an_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with (
            pytest.raises(ConfigError, match=f"can't listen at 127.0.0.1 port {port}"),
            serving(tmp_path, ServerConfig(port=port)),
        ):
            pass


def test_the_port_of_the_command_line_starts_a_server() -> None:
    values = {"cameras": {"gate": {"url": "0", "model": "m"}}, "server": {"token": TOKEN}}
    assert with_options(values, port=7000)["server"] == {"token": TOKEN, "port": 7000}
    assert WatchConfig(cameras=values["cameras"]).server is None


def test_a_server_that_an_answer_holds_beyond_its_time_ends_in_good_order(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked, go_on, broken = threading.Event(), threading.Event(), []
    before = threading.enumerate()

    async def holding(*args: object) -> None:
        asked.set()
        go_on.wait(30)  # the loop of the server can't notice the end meanwhile

    monkeypatch.setattr(web_server, "GRACE", -2.9)
    monkeypatch.setattr(threading, "excepthook", broken.append)
    with answering(holding, "127.0.0.1", 0) as port:
        [thread] = [one for one in threading.enumerate() if one.name == "server" and one not in before]
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert asked.wait(30)
    assert f"an answer at port {port} has not ended" in caplog.text
    go_on.set()
    thread.join(30)
    assert not thread.is_alive()
    assert not broken
    with socket.create_server(("127.0.0.1", port)):  # it is free again
        pass

"""Routes between machines over HTTP: who is answered, and clips that the hub gets from the machine that has them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from grouped import TOKEN, Group, MachineHere, grouped

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from wherewhen.core.errors import ConfigError
from wherewhen.live import hub
from wherewhen.live.hub import Machine
from wherewhen.live.settings import ServerConfig
from wherewhen.server.web_server import serving
from wherewhen.video.reader import probe

PEOPLE = "people-0123456789"
ALERT = "1790000000.000001-aaa"
CLIP = bytes(range(256)) * 40
ROUTES = (("POST", "/api/hub/beat"), ("POST", "/api/hub/messages"), ("GET", "/api/hub/cameras/yard"),
          ("GET", f"/api/hub/files/{ALERT}"))  # fmt: skip


def asked(url: str, method: str = "GET", token: str = "", **more: Any) -> Any:
    import httpx

    headers = {**({"authorization": f"Bearer {token}"} if token else {}), **more.pop("headers", {})}
    return httpx.request(method, url, headers=headers, timeout=10, trust_env=False, **more)


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Group]:
    with grouped(tmp_path) as one:
        yield one


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def with_clip(group: Group, stack: ExitStack, clip: bytes = CLIP) -> tuple[MachineHere, ExitStack]:
    """A machine with its web server, which has the clip of an alert; and what stops the server."""
    folder, served = group.folder / "a-0", stack.enter_context(ExitStack())
    group.folder.joinpath("a-0").mkdir()
    port = served.enter_context(serving(folder, ServerConfig(port=0, token=PEOPLE), hub.Group(TOKEN)))
    a = group.machine("a", address=f":{port}")
    a.beat()
    a.alert(ALERT, "new", "end", clip=clip)
    a.deliver()
    return a, served


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_routes_between_machines_need_their_token_and_no_other(
    method: str, path: str, tmp_path: Path, group: Group
) -> None:
    with serving(tmp_path / "other", ServerConfig(port=0, token=PEOPLE), hub.Group(TOKEN, group.hub.hub)) as port:
        url = f"http://127.0.0.1:{port}"
        for token in ("", PEOPLE, TOKEN[:-1]):
            assert asked(url + path, method, token).status_code == 401
        assert asked(f"{url}{path}", method, TOKEN).status_code != 401
        assert asked(f"{url}/api/version", token=TOKEN).status_code == 401
        assert asked(f"{url}/api/hub/../version", token=TOKEN).status_code in (401, 404)
        assert asked(f"{url}/api/version", token=PEOPLE).status_code == 200


def test_a_service_without_a_group_has_none_of_these_routes(tmp_path: Path) -> None:
    with serving(tmp_path, ServerConfig(port=0)) as port:
        assert {asked(f"http://127.0.0.1:{port}{path}", method).status_code for method, path in ROUTES} == {404}


def test_a_machine_is_no_hub(tmp_path: Path) -> None:
    with serving(tmp_path, ServerConfig(port=0), hub.Group(TOKEN)) as port:
        assert asked(f"http://127.0.0.1:{port}/api/hub/beat", "POST", TOKEN, json={}).status_code == 404


def test_the_hub_forwards_clips_also_in_parts(group: Group, stack: ExitStack) -> None:
    _, served = with_clip(group, stack)
    url = f"{group.hub.url}/api/events/{ALERT}"
    event = asked(url).json()
    assert event["has_clip"] and event["has_snapshot"]
    whole = asked(f"{url}/clip.mp4")
    assert (whole.status_code, whole.headers["content-type"], whole.content) == (200, "video/mp4", CLIP)
    part = asked(f"{url}/clip.mp4", headers={"range": "bytes=100-299"})
    assert (part.status_code, part.content) == (206, CLIP[100:300])
    assert part.headers["content-range"] == f"bytes 100-299/{len(CLIP)}"
    assert asked(f"{url}/clip.mp4", headers={"range": "bytes=99999-"}).status_code == 416
    item = f"{group.hub.url}/api/v1/items/{ALERT}"
    assert asked(item).json()["has_clip"] and asked(item).json()["has_thumb"]
    assert asked(f"{item}/thumb.webp").headers["content-type"] == "image/webp"
    assert asked(f"{item}/clip.mp4").content == CLIP, "no video, which can't be encoded"
    assert not (group.hub.folder / "clips").exists(), "the clip stays where it is"
    served.close()
    assert asked(f"{url}/clip.mp4").status_code == asked(f"{item}/clip.mp4").status_code == 502
    assert asked(f"{group.hub.url}/api/events/9.000001-x/clip.mp4").status_code == 404


def test_the_review_at_the_hub_gets_clips_that_browsers_play(group: Group, stack: ExitStack, tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "clip.mp4"), "w") as file:
        stream = file.add_stream("mpeg4", 10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(5):
            file.mux(stream.encode(av.VideoFrame(64, 48, "rgb24")))
        file.mux(stream.encode())
    with_clip(group, stack, (tmp_path / "clip.mp4").read_bytes())
    for path, codec in ((f"events/{ALERT}", "mpeg4"), (f"v1/items/{ALERT}", "h264")):
        (tmp_path / "got.mp4").write_bytes(asked(f"{group.hub.url}/api/{path}/clip.mp4").content)
        assert probe(tmp_path / "got.mp4").codec == codec
    part = asked(f"{group.hub.url}/api/v1/items/{ALERT}/clip.mp4", headers={"range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, b"ftyp")


def test_no_request_chooses_where_the_hub_asks(group: Group, stack: ExitStack) -> None:
    a, _ = with_clip(group, stack)
    group.hub.database.write("UPDATE machine SET address = ''")
    assert asked(f"{group.hub.url}/api/events/{ALERT}/clip.mp4").status_code == 404
    report = {"machine": {"id": a.database.store, "name": "a", "address": "http://127.0.0.1:1"}, "cameras": {}}
    assert asked(f"{group.hub.url}/api/hub/beat", "POST", json=report).status_code == 401
    assert group.hub.database.rows("SELECT address FROM machine") == [("",)]


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "http://a/b?c", "http://me:pw@a", "gopher://a", "http://a b"]
)
def test_an_address_is_that_of_a_web_server_and_nothing_more(address: str) -> None:
    with pytest.raises(ConfigError, match="HOST:PORT"):
        Machine.of({"id": "x", "name": "a", "address": address}, "10.0.0.7")


def test_a_port_alone_is_at_the_address_from_which_the_machine_calls() -> None:
    plain = {"id": "x", "name": "a", "address": ":5000"}
    assert Machine.of(plain, "10.0.0.7").address == "http://10.0.0.7:5000"
    assert Machine.of(plain, "fe80::1").address == "http://[fe80::1]:5000"


def test_bodies_have_a_size(group: Group) -> None:
    url = f"{group.hub.url}/api/hub/messages"
    assert asked(url, "POST", TOKEN, content=b"x" * (4 * 2**20 + 1)).status_code == 413
    assert asked(url, "POST", TOKEN, content=b"{}").status_code == 422

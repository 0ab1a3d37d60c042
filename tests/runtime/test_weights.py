"""Published weights: fetched whole or not at all, checked whenever they are opened."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from wherewhen import cli
from wherewhen.core import registry
from wherewhen.core.errors import ConfigError, StoreError
from wherewhen.runtime import downloads, weights
from wherewhen.runtime.weights import Weights

DATA = bytes(range(256)) * 9000  # more than two blocks
SHA = hashlib.sha256(DATA).hexdigest()


@dataclass
class Server:
    """A web server with one file. ``cuts``: after so many bytes an answer breaks off, one entry per request."""

    address: str = ""
    data: bytes = DATA
    tag: str = '"one"'
    cuts: list[int] = field(default_factory=list)
    ranges: list[str | None] = field(default_factory=list)
    code: int = 200

    def answer(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        self.ranges.append(handler.headers.get("Range"))
        if self.code != 200:
            handler.send_error(self.code)
            return
        start = 0
        if handler.headers.get("Range") and handler.headers.get("If-Range") == self.tag:
            start = int(handler.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        if start >= len(self.data):
            handler.send_error(416)
            return
        handler.send_response(206 if start else 200)
        handler.send_header("ETag", self.tag)
        handler.send_header("Content-Length", str(len(self.data) - start))
        handler.end_headers()
        cut = self.cuts.pop(0) if self.cuts else None
        handler.wfile.write(self.data[start:] if cut is None else self.data[start : start + cut])


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.answer(self)

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        made.address = f"http://127.0.0.1:{running.server_port}/net.pt"
        yield made
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHEREWHEN_CACHE", str(tmp_path / "cache"))
    for name in (downloads.MIRROR, downloads.OFFLINE, "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def wanted(server: Server) -> Weights:
    return Weights("net", server.address, "MIT", "toys", SHA)


def left(wanted: Weights) -> set[str]:
    return {path.name for path in wanted.path.parent.iterdir()}


def test_what_comes_is_checked_and_put_in_its_place(server: Server, wanted: Weights) -> None:
    heard: list[tuple[int, int | None]] = []
    path = downloads.fetch(wanted, lambda done, total: heard.append((done, total)))
    assert path == wanted.path and path.read_bytes() == DATA
    assert heard[-1] == (len(DATA), len(DATA)) and heard == sorted(heard)
    assert left(wanted) == {"net.pt", "net.pt.json"}
    assert downloads.fetch(wanted) == path
    assert len(server.ranges) == 1, "what is here is not fetched again"


def test_a_broken_connection_is_gone_on_with(server: Server, wanted: Weights) -> None:
    server.cuts = [1_500_000, 300_000]
    assert downloads.fetch(wanted).read_bytes() == DATA
    assert server.ranges == [None, "bytes=1500000-", "bytes=1800000-"]


def test_what_a_broken_run_left_the_next_one_takes_up(server: Server, wanted: Weights) -> None:
    server.cuts = [1000, 1000, 1000]
    with pytest.raises(StoreError, match=r"broke after 3000 of .* 3000 bytes are kept; run it again to continue"):
        downloads.fetch(wanted)
    assert not wanted.path.exists()
    assert downloads.fetch(wanted).read_bytes() == DATA
    assert server.ranges[-1] == "bytes=3000-"


def test_parts_of_two_versions_are_never_joined(server: Server, wanted: Weights) -> None:
    server.cuts = [1000, 1000, 1000]
    with pytest.raises(StoreError):
        downloads.fetch(wanted)
    server.data, server.tag = DATA[::-1], '"two"'
    other = replace(wanted, sha256="")
    assert downloads.fetch(other).read_bytes() == DATA[::-1]


def test_a_part_that_is_longer_than_the_source_is_begun_anew(server: Server, wanted: Weights) -> None:
    wanted.path.parent.mkdir(parents=True)
    part = wanted.path.with_name(".net.pt.part")
    part.write_bytes(DATA * 2)
    part.with_name(part.name + ".tag").write_text(server.tag)
    assert downloads.fetch(wanted).read_bytes() == DATA


def test_other_bytes_than_published_are_thrown_away(server: Server, wanted: Weights) -> None:
    server.data = DATA + b"!"
    with pytest.raises(StoreError, match=f"not the weights net: sha256 .*, expected {SHA}; nothing was kept"):
        downloads.fetch(wanted)
    assert left(wanted) == set()


def test_a_source_that_refuses_is_told_at_once(server: Server, wanted: Weights) -> None:
    server.code = 404
    with pytest.raises(StoreError, match=r"net: can't be fetched from http.*\(Not Found\).*put the file at"):
        downloads.fetch(wanted)
    assert len(server.ranges) == 1, "asking again would not help"
    server.code = 503
    with pytest.raises(StoreError, match="Service Unavailable"):
        downloads.fetch(wanted)
    assert len(server.ranges) == 1 + downloads.TRIES


def test_a_checksum_that_nobody_published_is_noted_and_held_ever_after(wanted: Weights) -> None:
    unknown = replace(wanted, sha256="")
    path = downloads.fetch(unknown)
    assert unknown.recorded == SHA
    path.write_bytes(DATA[:-1] + b"!")
    with pytest.raises(StoreError, match=rf"sha256 .*, expected {SHA}; delete it and fetch them again"):
        weights.locate("net", (unknown,))


def test_loading_reads_the_file_again_only_when_it_changed(wanted: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    path = downloads.fetch(wanted)
    reads: list[Path] = []
    real = weights.content_hash
    monkeypatch.setattr(weights, "content_hash", lambda p: reads.append(p) or real(p))
    assert weights.locate("net", (wanted,)) == path
    assert not reads
    path.write_bytes(DATA)  # the same content at another time
    assert weights.locate("net", (wanted,)) == path
    assert weights.locate("net", (wanted,)) == path
    assert len(reads) == 1
    path.write_bytes(DATA[1:])
    with pytest.raises(StoreError, match="not the weights net"):
        weights.locate("net", (wanted,))


def test_a_file_put_there_by_hand_is_checked_too(wanted: Weights) -> None:
    wanted.path.parent.mkdir(parents=True)
    wanted.path.write_bytes(DATA)
    assert weights.locate("net", (wanted,)) == wanted.path
    assert json.loads(wanted.record.read_text())["sha256"] == SHA
    other = replace(wanted, name="other")
    other.path.parent.mkdir(parents=True)
    other.path.write_bytes(b"something else")
    with pytest.raises(StoreError, match="not the weights other"):
        weights.locate("other", (other,))


@pytest.mark.parametrize("form", ["{}", "file://{}", "{}/"])
def test_a_mirror_is_a_folder(wanted: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    (tmp_path / "mirror" / "net").mkdir(parents=True)
    (tmp_path / "mirror" / "net" / "net.pt").write_bytes(DATA)
    monkeypatch.setenv(downloads.MIRROR, form.format(tmp_path / "mirror"))
    monkeypatch.setenv(downloads.OFFLINE, "1")
    assert downloads.fetch(replace(wanted, address="http://nobody.invalid/net.pt")).read_bytes() == DATA


def test_a_mirror_is_a_prefix(server: Server, wanted: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(downloads.MIRROR, server.address.removesuffix("/net.pt"))
    elsewhere = replace(wanted, address="http://nobody.invalid/deep/net.pt")
    assert downloads.source(elsewhere) == server.address.removesuffix("net.pt") + "net/net.pt"
    assert downloads.fetch(elsewhere).read_bytes() == DATA


def test_offline_asks_nobody(server: Server, wanted: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(downloads.OFFLINE, "1")
    with pytest.raises(StoreError, match=rf"WHEREWHEN_OFFLINE is set.*put the file at {wanted.path}"):
        downloads.fetch(wanted)
    assert not server.ranges
    monkeypatch.setenv(downloads.OFFLINE, "0")
    assert downloads.fetch(wanted).exists()


def test_weights_without_an_address_are_put_there_by_hand() -> None:
    with pytest.raises(StoreError, match="its authors give no permanent address; see https://here"):
        downloads.fetch(Weights("lone", "", "MIT", "toys", homepage="https://here", file="net.pt"))


def test_missing_and_unknown_weights_say_what_to_do(wanted: Weights) -> None:
    with pytest.raises(StoreError, match=r"not on this machine.*wherewhen weights get net"):
        weights.locate("net", (wanted,))
    with pytest.raises(StoreError, match=r"weights 'nett': neither a file nor one of net, random"):
        weights.locate("nett", (wanted,))
    with pytest.raises(ConfigError, match=r"did you mean 'i3d_kinetics400'"):
        weights.named("i3d_kinetics40")


def test_every_backbones_weights_have_their_own_name_and_file() -> None:
    known = weights.published()
    stated = [w for b in registry.names("backbones") for w in getattr(registry.load("backbones", b), "weights", ())]
    assert len(known) == len(stated) > 5
    assert all(w.licence and w.trained_on and w.path.name for w in stated)


def test_what_belongs_beside_comes_along(server: Server, wanted: Weights) -> None:
    whole = replace(wanted, beside=(server.address.replace("net.pt", "words.json"),))
    downloads.fetch(wanted)
    assert downloads.fetch(whole) == wanted.path, "what came before is not fetched again"
    assert left(wanted) == {"net.pt", "net.pt.json", "words.json", "words.json.json"}
    assert len(server.ranges) == 2
    assert [part.recorded for part in whole.parts] == [SHA, SHA]


# --- the verb


@pytest.fixture
def known(wanted: Weights, monkeypatch: pytest.MonkeyPatch) -> Weights:
    monkeypatch.setattr(weights, "published", lambda: {"net": ("toy", wanted)})
    return wanted


def test_the_verb_lists_gets_and_verifies(known: Weights, capsys: pytest.CaptureFixture[str]) -> None:
    def told(*words: str) -> tuple[int, str, str]:
        code = cli.main(["weights", *words])
        return code, *capsys.readouterr()

    code, out, _ = told("list", "--json")
    row = json.loads(out)[0]
    assert code == 0 and (row["state"], row["checksum"], row["backbone"]) == ("missing", "published", "toy")
    assert told("verify", "net")[0] == 1
    code, out, _ = told("get", "net", "--quiet")
    assert code == 0 and str(known.path) in out and SHA in out
    _, out, _ = told("list")
    assert "here" in out and "licence: MIT" in out and known.address in out and "2.2 MiB" in out
    code, out, _ = told("verify", "--json")
    assert code == 0 and json.loads(out) == [{"name": "net", "result": "right", "sha256": SHA}]
    known.path.write_bytes(b"rotten")
    code, out, _ = told("verify", "toy")
    assert code == 1 and "not the weights net" in out


def test_the_verb_looks_after_what_lies_beside(
    wanted: Weights, server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = replace(wanted, beside=(server.address.replace("net.pt", "words.json"),))
    monkeypatch.setattr(weights, "published", lambda: {"net": ("toy", whole)})

    def told(*words: str) -> list[dict[str, str]]:
        cli.main(["weights", *words, "--json"])
        rows: list[dict[str, str]] = json.loads(capsys.readouterr().out)
        return rows

    downloads.fetch(wanted)
    assert told("list")[0]["state"] == "here in part"
    assert [row["result"] for row in told("verify", "net")] == ["right", "missing"]
    downloads.fetch(whole)
    assert told("list")[0]["state"] == "here"
    assert [(row["name"], row["result"]) for row in told("verify")] == [("net", "right"), ("net/words.json", "right")]


def test_the_verb_wants_a_name_that_is_known(known: Weights, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["weights", "get"]) == 2
    assert "weights get needs a name: net" in capsys.readouterr().err
    assert cli.main(["weights", "get", "nett"]) == 2
    assert "did you mean 'net'" in capsys.readouterr().err


def test_the_verb_fails_where_the_download_does(
    known: Weights, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    server.code = 404
    assert cli.main(["weights", "get", "net", "--quiet"]) == 1
    assert "can't be fetched" in capsys.readouterr().err


def test_two_downloads_of_one_file_do_not_share_a_part(server: Server, wanted: Weights) -> None:
    """The second one waits for the first, and takes what it fetched."""
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: downloads.fetch(wanted), range(4)))
    assert set(found) == {wanted.path} and wanted.path.read_bytes() == DATA
    assert len(server.ranges) == 1 and left(wanted) == {"net.pt", "net.pt.json"}


def test_who_waits_goes_on_where_the_other_failed(server: Server, wanted: Weights) -> None:
    server.cuts = [1000, 1000, 1000]
    with ThreadPoolExecutor(2) as pool:
        tries = [pool.submit(downloads.fetch, wanted) for _ in range(2)]
        errors = [one.exception() for one in tries]
    assert [type(error) for error in errors if error] == [StoreError]
    assert wanted.path.read_bytes() == DATA and server.ranges[-1] == "bytes=3000-"


def test_without_locks_each_download_has_a_file_of_its_own(
    server: Server, wanted: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "_locked", lambda held, part: False)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: downloads.fetch(wanted), range(3)))
    assert wanted.path.read_bytes() == DATA and left(wanted) == {"net.pt", "net.pt.json"}


def test_a_mirror_with_a_password_is_asked_and_not_shown(server: Server, wanted: Weights, monkeypatch: Any) -> None:
    told: list[str | None] = []
    honest = server.answer
    monkeypatch.setattr(server, "answer", lambda h: (told.append(h.headers.get("Authorization")), honest(h)))
    prefix = server.address.removesuffix("/net.pt").replace("http://", "http://me:PQ%2Fsecret@")
    monkeypatch.setenv(downloads.MIRROR, f"{prefix}/x?key=KQ9")
    assert downloads.fetch(wanted).read_bytes() == DATA
    assert told == ["Basic " + base64.b64encode(b"me:PQ/secret").decode()]
    wanted.path.unlink()
    server.code = 404
    with pytest.raises(StoreError, match="can't be fetched") as error:
        downloads.fetch(wanted)
    assert "secret" not in str(error.value) and "KQ9" not in str(error.value)
    assert "secret" not in wanted.record.read_text()


def test_weights_that_a_checkpoint_replaces_are_not_drawn() -> None:
    before = torch.random.get_rng_state()
    first, second = (weights.seeded(lambda: torch.nn.Linear(64, 64), random=True) for _ in range(2))
    assert torch.equal(first.weight, second.weight) and 0 < float(first.weight.std()) < 1
    assert not first.training and not first.weight.requires_grad

    drawn: list[object] = []

    class Watched(TorchDispatchMode):  # type: ignore[no-untyped-call]
        """Lists each operator that runs."""

        def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            drawn.append(operator)
            return operator(*args, **(kwargs or {}))

    with Watched():
        filled = weights.seeded(lambda: torch.nn.Linear(64, 64), random=False)
    assert drawn and not {torch.ops.aten.normal_.default, torch.ops.aten.uniform_.default} & set(drawn)
    weights.fit(filled, dict(first.state_dict()), Path("a.safetensors"))
    assert torch.equal(filled.weight, first.weight)
    assert torch.equal(torch.random.get_rng_state(), before)

"""An address opens with its secrets and is shown without them."""

from __future__ import annotations

import copy
import logging
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherewhen.core.addresses import Address, address_in, masked, remember
from wherewhen.core.errors import DataError, VideoError

SCHEMES = (
    *("ftp", "ftps", "sftp", "rtsp", "rtspt", "rtsps", "rtmp", "rtmps", "rtmpt", "mms", "mmst", "mmsh"),
    *("srt", "udp", "rtp", "tcp", "http", "https", "xyz", "RTSP", "Http"),
)


def tokens(letter: str) -> st.SearchStrategy[str]:
    """Words that nothing else holds: what is searched for in whatever is shown."""
    return st.text("abcdefghij", min_size=4, max_size=6).map(lambda text: f"{letter}Q{text}")


def joined(letter: str, marks: str) -> st.SearchStrategy[tuple[str, list[str]]]:
    """A secret out of such words with marks between, and the words."""
    parts = st.lists(st.tuples(tokens(letter), st.sampled_from(marks)), min_size=1, max_size=3)
    return parts.map(lambda rows: ("".join(word + mark for word, mark in rows)[:-1], [word for word, _ in rows]))


@st.composite
def urls(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A URL as people type them, and the words of it that are secret."""
    scheme = draw(st.sampled_from(SCHEMES))
    secret, words = draw(joined("P", "/@#?%:;&=+!\\ $*[]|'\"~^é"))
    user, own = draw(joined("U", ".-_+é"))
    host = draw(st.sampled_from(["127.0.0.1", "localhost:1", "[::1]:1", "door.example:554"]))
    path = draw(st.sampled_from(["", "/", "/1", "/live/x.ts", "/a%20b/c.mp4", "/Streaming/Channels/101"]))
    query, more = draw(st.just(("", [])) | joined("K", "=&/@?#%;"))
    mark = draw(st.sampled_from("?#"))
    url = f"{scheme}://{user}:{secret}@{host}{path}{mark + query if query else ''}"
    around = draw(st.sampled_from(["", " ", "\t", "\n", "'", '"']))
    return around + url + around, [*words, *own, *more]


@given(urls())
def test_no_word_of_a_secret_is_shown(made: tuple[str, list[str]]) -> None:
    url, words = made
    where = address_in(url)
    assert where is not None
    told = [str(where), repr(where), f"{where:>90}", f"{[where]}", where.name, where.stem]
    told += [str(VideoError(where, f"can't open {url}")), str(DataError(f"{url}: no such folder"))]
    told += [masked(f"{kind}: {url!r}") for kind in ("tcp", "usage: detect")]
    told += [logging.LogRecord("", 20, "", 0, "%s", (where,), None).getMessage()]
    for word in words:
        assert word in where.url and not [text for text in told if word in text]


@given(urls())
def test_an_address_opens_what_was_typed(made: tuple[str, list[str]]) -> None:
    where = Address(made[0])
    scheme, _, rest = made[0].strip(" \t\n'\"").partition("://")
    assert where.url == f"{scheme.lower().replace('rtspt', 'rtsp')}://{rest}"
    assert {where: 1}[pickle.loads(pickle.dumps(where))] == 1 and copy.deepcopy(where).url == where.url
    assert not isinstance(where, str) and where != where.url and where != Address(where.url + "x")


@pytest.mark.parametrize(
    ("url", "shown", "name", "stem"),
    [
        ("http://me:pw@host:80/a/b.ts?token=9#part", "http://host:80/a/b.ts", "b.ts", "b"),
        ("rtsp://me:p/w@door/1", "rtsp://***@door/1", "1", "1"),
        ("rtsp://me:p?w@door/1", "rtsp://***", "address", "address"),
        ("rtsp://me%3Apw%40door/1", "rtsp://***", "address", "address"),
        ("rtsp://door/user=admin_password=x_channel=1", "rtsp://door/***", "door", "door"),
        ("srt://door:9000?passphrase=x", "srt://door:9000", "door-9000", "door-9000"),
        ("http://h/a%3Ftoken=9/b.mp4", "http://h/***/b.mp4", "b.mp4", "b"),
        ("udp://@:1234", "udp://:1234", "1234", "1234"),
        ("rtsp://10.0.0.5", "rtsp://10.0.0.5", "10.0.0.5", "10.0.0.5"),
        ("http://[::1]:80/x.mp4", "http://[::1]:80/x.mp4", "x.mp4", "x"),
    ],
)
def test_what_is_left_names_the_place(url: str, shown: str, name: str, stem: str) -> None:
    where = Address(url)
    assert (str(where), where.name, where.stem) == (shown, name, stem)


def test_what_can_not_be_meant_is_told_before_anything_is_asked() -> None:
    assert Address("rtsp://me:a/b@door/1").fault and Address("http:///x").fault
    assert not any(Address(url).fault for url in ("udp://@:1234", "http://h", "rtsp://me:a%2Fb@door:554/1", "srt://:9"))


@pytest.mark.parametrize("text", ["a.mp4", "C://a.mp4", "x://y", "rtsp:/door", "a/b://c", "://", ""])
def test_other_text_is_no_address(text: str) -> None:
    assert address_in(text) is None


def test_known_and_unknown_addresses_are_masked_in_foreign_text() -> None:
    remember("--source=http://door/x?token=KQfirst")
    assert masked("GET /x?token=KQfirst failed") == "GET /x failed"
    assert masked("see ftp://me:a/b@door/1 and https://t0ken@door/") == "see ftp://***@door/1 and https://***@door/"
    for harmless in ("https://www.example.org/@user/x", "mail me@example.org", "at 10:00 in x/y@c.mp4", "a: /b@c"):
        assert masked(harmless) == harmless


def test_a_secret_is_hidden_in_the_repr_of_a_text_with_both_kinds_of_quotes() -> None:
    url = '"ftp://user:pass\'word@127.0.0.1"'
    assert address_in(url) is not None
    assert "word" not in masked(f"tcp: {url!r}") and "pass" not in masked(f"tcp: {url!r}")

"""Names of files come back from their printed form, and the printed form passes everywhere."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from wherewhen.core.printable import original, printable

NAMES = st.binary(max_size=40).map(os.fsdecode) | st.text(alphabet="a\\x09e\n\x85\udce9🎥", max_size=12)


@given(NAMES)
def test_every_name_is_printed_and_comes_back(name: str) -> None:
    told = printable(name)
    told.encode("utf-8")
    assert len(told.splitlines()) <= 1 and "\x1b" not in told
    assert original(told) == name


@given(NAMES, NAMES)
def test_two_names_stay_two(one: str, other: str) -> None:
    assert (printable(one) == printable(other)) == (one == other)


def test_plain_names_stay_as_they_are() -> None:
    for name in ("a.mp4", "Café 🎥.mp4", "a\\b", "x y", "2024-01-01T10:00:00.mp4"):
        assert printable(name) == name
    assert printable("a\\x41") == "a\\x5cx41" and printable("\ud800") == "\\xed\\xa0\\x80"

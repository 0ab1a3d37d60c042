from __future__ import annotations

from dataclasses import MISSING, dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherewhen.cli.arguments.described import Setting, settings_of
from wherewhen.cli.arguments.texts import of_text
from wherewhen.cli.arguments.words import Accepted, values
from wherewhen.core.errors import ConfigError


@dataclass(frozen=True)
class Inner:
    """Settings inside.

    Args:
        deep, deeper: two at once.
    """

    deep: int = 1
    deeper: int | None = None


@dataclass(frozen=True)
class Part:
    """Settings.

    Args:
        size: of it.
        on: or off,
            on two lines.
    """

    size: tuple[int, int] = (1, 2)
    on: bool = False
    inner: Inner = Inner()
    boxes: dict[str, Any] = field(default_factory=dict)


OPTIONS = {
    "output": Setting("output", str | None, None),
    "dry_run": Setting("dry_run", bool, False),
    "from_": Setting("from_", str, "x"),
    "rate": Setting("rate", float | None, None),
    "which": Setting("which", Literal["best", "last"], "best"),
    "movers": Setting("movers", str | dict[str, Any] | None, None),
}
KNOWN = Accepted("verb", (Setting("data", str, MISSING), Setting("other", str, None)), OPTIONS, {"part": Part})


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("a", {"data": "a"}),
        ("a b --output=c", {"data": "a", "other": "b", "output": "c"}),
        ("--output c a --dry-run b", {"data": "a", "other": "b", "output": "c", "dry_run": True}),
        ("--no-dry-run --dry_run --no-dry-run", {"dry_run": False}),
        ("--from y --rate 1e-3 --which last", {"from_": "y", "rate": 0.001, "which": "last"}),
        ("--rate null --rate=-2", {"rate": -2.0}),
        ("--part.size [3,4] --part.on", {"part": {"size": (3, 4), "on": True}}),
        ("--no-part.on --part.inner.deep 5", {"part": {"on": False, "inner": {"deep": 5}}}),
        ("--part.boxes.any 0.5 --part.boxes.path a/b", {"part": {"boxes": {"any": 0.5, "path": "a/b"}}}),
        ('--part={"on":true} --part.size=[5,6]', {"part": {"on": True, "size": (5, 6)}}),
        ("--movers motion", {"movers": "motion"}),
        ("--movers.boxes.rate 6", {"movers": {"boxes": {"rate": 6}}}),
        ("--output null", {"output": "null"}),
        ("--rate -.5 -5", {"rate": -0.5, "data": "-5"}),
    ],
)
def test_words_become_typed_values(line: str, found: dict[str, Any]) -> None:
    assert values(line.split(), KNOWN) == found


@pytest.mark.parametrize(
    "word", ["--part.size=[1]", "--part.size=1", "--part.inner.deep=x", "--part.in.deep=1", "--part.size.x=1", "-x"]
)
def test_what_means_nothing_is_refused(word: str) -> None:
    with pytest.raises(ConfigError):
        values([word], KNOWN)


@given(
    st.lists(st.text(max_size=12) | st.sampled_from(["--output", "--part.size", "--no-dry-run", "--rate", "{", "-"]))
)
def test_any_words_give_values_or_an_error_of_ours(words: list[str]) -> None:
    try:
        found = values(words, KNOWN)
    except ConfigError:
        return
    assert set(found) <= {*OPTIONS, "data", "other", "part"}


@given(st.integers(-(2**60), 2**60), st.floats(allow_nan=False, allow_infinity=False), st.text())
def test_values_come_back_as_they_were_written(whole: int, number: float, text: str) -> None:
    assert of_text(int, str(whole), "x") == whole
    assert of_text(float | None, repr(number), "x") == number
    assert of_text(str, text, "x") == text


def test_descriptions_stand_below_their_names() -> None:
    told = {one.name: one.text for one in (*settings_of(Part), *settings_of(Inner))}
    assert told["on"] == "or off, on two lines." and told["deep"] == told["deeper"] == "two at once."

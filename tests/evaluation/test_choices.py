"""The tables of candidates: a row for each, whether it was compared or not."""

from __future__ import annotations

from typing import Any

import pytest

from wherewhen.evaluation import choices

CANDIDATES: list[dict[str, Any]] = [
    {"method": "pooled", "vauc": 0.8756, "seconds": 12.4, "note": "", "chosen": True},
    {"method": "rtfm", "vauc": 0.7, "seconds": 31.0, "note": "", "chosen": False},
    {"method": "mgpr", "vauc": None, "seconds": 0.0, "note": "scores tracked objects", "chosen": False},
]
PLAIN: dict[str, Any] = {
    "method": "pooled",
    "reason": "AUC 0.876",
    "videos": {"normal": 50, "anomalous": 60},
    "candidates": CANDIDATES,
}
PLACE: dict[str, Any] = {"row": "auto", "backbone": "motion", "fold": "f1", "seed": 2}


def test_every_candidate_is_a_row_with_its_seconds_and_result() -> None:
    facts = choices.table(PLAIN)
    assert facts is not None and facts.title == "Choice of the method" and "110 training videos" in facts.note
    assert facts.rows == [
        ("pooled", "0.876 (0.79 to 0.93)", "12", "chosen"),
        ("rtfm", "0.700 (0.59 to 0.79)", "31", ""),
        ("mgpr", "", "", "scores tracked objects"),
    ]


@pytest.mark.parametrize(
    ("fold", "place"), [("f1", "auto on motion, fold f1, seed 2"), (None, "auto on motion, seed 2")]
)
def test_markdown_names_the_training_and_its_choice(fold: str | None, place: str) -> None:
    text = choices.markdown({**PLACE, "fold": fold, **PLAIN})
    assert text.splitlines() == [
        f"{place}: pooled (AUC 0.876)",
        "",
        "| method | AUC of videos | seconds | result |",
        "|---|---:|---:|---|",
        "| pooled | 0.876 (0.79 to 0.93) | 12 | chosen |",
        "| rtfm | 0.700 (0.59 to 0.79) | 31 |  |",
        "| mgpr |  |  | scores tracked objects |",
    ]


def test_where_nothing_was_compared_there_is_no_table() -> None:
    few = {**PLACE, **PLAIN, "candidates": [], "reason": "too few"}
    assert choices.table(few) is None
    assert choices.line(PLAIN) == "pooled (AUC 0.876)"
    assert choices.markdown(few) == "auto on motion, fold f1, seed 2: pooled (too few)"

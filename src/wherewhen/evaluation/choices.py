"""Tables of the candidates that training videos were compared by (``--method auto``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wherewhen.evaluation.statistics import auc_interval
from wherewhen.visualization.report import Facts

TITLE = "Choice of the method"
COLUMNS = ("AUC of videos", "seconds", "result")


def table(choice: Mapping[str, Any]) -> Facts | None:
    """The candidates of a choice, as `Selection.plain` states it; None where none were compared.

    A choice of a benchmark names its ``row``, ``backbone``, ``fold`` and ``seed`` too.
    """
    if not choice["candidates"]:
        return None
    counts = choice["videos"]
    rows = [(row["method"], *_cells(row, counts)) for row in choice["candidates"]]
    note = (
        f"AUC of the highest scores of {sum(counts.values())} training videos, each by a model that was not trained on "
        "its fold, with its 95 % interval. The chosen one was selected by these numbers, so its own is slightly too "
        "high."
    )
    return Facts(": ".join(filter(None, (TITLE, place(choice)))), COLUMNS, rows, note)


def place(choice: Mapping[str, Any]) -> str:
    """Which training of a benchmark made a choice; empty for that of a single training.

    >>> place({"row": "auto", "backbone": "motion", "fold": "f0", "seed": 0})
    'auto on motion, fold f0, seed 0'
    """
    if "row" not in choice:
        return ""
    fold = f"fold {choice['fold']}, " if choice["fold"] is not None else ""
    return f"{choice['row']} on {choice['backbone']}, {fold}seed {choice['seed']}"


def line(choice: Mapping[str, Any]) -> str:
    """A choice in words."""
    return ": ".join(filter(None, (place(choice), f"{choice['method']} ({choice['reason']})")))


def markdown(choice: Mapping[str, Any]) -> str:
    """A choice in words, and the table of its candidates."""
    facts = table(choice)
    if facts is None:
        return line(choice)
    head = ["| method | " + " | ".join(facts.columns) + " |", "|---|---:|---:|---|"]
    return "\n".join([line(choice), "", *head, *("| " + " | ".join(row) + " |" for row in facts.rows)])


def _cells(row: Mapping[str, Any], counts: Mapping[str, int]) -> tuple[str, str, str]:
    seconds = f"{row['seconds']:.0f}" if row["seconds"] else ""
    if row["vauc"] is None:
        return "", seconds, row["note"]
    low, high = auc_interval(row["vauc"], counts["anomalous"], counts["normal"])
    auc = f"{row['vauc']:.3f} ({low:.2f} to {high:.2f})"
    return auc, seconds, row["note"] or ("chosen" if row["chosen"] else "")

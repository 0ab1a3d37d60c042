"""Results as a table: a row per method, a column per metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from wherewhen.visualization.report.records import ReportData


@dataclass(frozen=True, slots=True)
class Cell:
    """A number as text. ``best``: no other method is better. ``unbeaten``: a trivial row that no method exceeds."""

    mean: str = "–"
    spread: str = ""
    best: bool = False
    unbeaten: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One method on one backbone."""

    method: str
    backbone: str
    trivial: bool
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """``metrics``: a name and whether lower is better, one per column. ``runs``: how many runs are behind a number."""

    metrics: tuple[tuple[str, bool], ...]
    rows: tuple[Row, ...]
    runs: str

    @property
    def backbones(self) -> bool:
        """Whether any row names one."""
        return any(row.backbone for row in self.rows)

    @property
    def unbeaten(self) -> bool:
        """Whether a trivial row is ahead somewhere."""
        return any(cell.unbeaten for row in self.rows for cell in row.cells)


def pivot(data: ReportData) -> Table | None:
    """The table of ``data.rows``, methods first and trivial rows last; None without rows.

    Raises ValueError where a row lacks its method, metric or mean, or repeats a number.

    >>> pivot(ReportData("", rows=[{"method": "a", "metric": "auc", "mean": 0.5}])).rows[0].cells[0].mean
    '0.500'
    """
    if not data.rows:
        return None
    numbers: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for row in data.rows:
        missing = {"method", "metric", "mean"} - set(row)
        if missing:
            raise ValueError(f"report: a result lacks {', '.join(sorted(missing))}: {dict(row)}")
        line = numbers.setdefault((str(row["method"]), str(row.get("backbone") or "")), {})
        if str(row["metric"]) in line:
            raise ValueError(f"report: two results for {row['method']}, {row.get('backbone')}, {row['metric']}")
        line[str(row["metric"])] = row
    metrics = tuple(dict.fromkeys(str(row["metric"]) for row in data.rows))
    keys = sorted(numbers, key=lambda key: key[0] in data.trivial)
    columns = [_column([numbers[key].get(m) for key in keys], keys, m, data) for m in metrics]
    rows = tuple(
        Row(*key, key[0] in data.trivial, tuple(column[number] for column in columns))
        for number, key in enumerate(keys)
    )
    return Table(tuple((m, m in data.lower_is_better) for m in metrics), rows, _runs(data.rows))


def _column(
    results: Sequence[Mapping[str, Any] | None], keys: Sequence[tuple[str, str]], metric: str, data: ReportData
) -> list[Cell]:
    means = [float("nan") if row is None or row["mean"] is None else float(row["mean"]) for row in results]
    finite = [mean for mean in means if isfinite(mean)]
    size = max((abs(mean) for mean in finite), default=0)
    digits = 3 if size < 2 else 2 if size < 20 else 1
    sign = -1 if metric in data.lower_is_better else 1
    # Rounded as they are shown: two equal numbers must not differ in weight.
    ranks = [sign * round(mean, digits) for mean in means]
    trivial = [method in data.trivial for method, _ in keys]
    serious = [rank for rank, plain in zip(ranks, trivial, strict=True) if isfinite(rank) and not plain]
    top = max(serious, default=None)
    several = len(serious) > 1
    cells = []
    for row, mean, rank, plain in zip(results, means, ranks, trivial, strict=True):
        if row is None or not isfinite(mean):
            cells.append(Cell())
            continue
        best = several and not plain and rank == top
        unbeaten = plain and top is not None and rank >= top
        cells.append(Cell(f"{mean:,.{digits}f}", _spread(row.get("std"), digits), best, unbeaten))
    return cells


def _spread(std: object, digits: int) -> str:
    if not isinstance(std, (int, float)) or not isfinite(std):
        return ""
    return f"± {std:,.{digits}f}"


def _runs(rows: Sequence[Mapping[str, Any]]) -> str:
    counts = sorted({int(row["n"]) for row in rows if row.get("n") is not None})
    if not counts or counts == [1]:
        return ""
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"

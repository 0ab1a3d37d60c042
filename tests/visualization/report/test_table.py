from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherewhen.visualization.report import ReportData
from wherewhen.visualization.report.table import Table, pivot


def row(method: str, metric: str, mean: float | None, **more: Any) -> dict[str, Any]:
    return {"method": method, "metric": metric, "mean": mean, **more}


def table(*rows: dict[str, Any], **more: Any) -> Table:
    found = pivot(ReportData("", rows=rows, **more))
    assert found is not None
    return found


def test_rows_are_methods_and_columns_are_metrics_in_the_order_given() -> None:
    found = table(
        row("b", "auc", 0.5),
        row("zero", "auc", 0.1),
        row("a", "auc", 0.7),
        row("a", "ap", 0.3),
        trivial=frozenset({"zero"}),
    )
    assert [(r.method, r.trivial) for r in found.rows] == [("b", False), ("a", False), ("zero", True)]
    assert found.metrics == (("auc", False), ("ap", False))
    assert [[c.mean for c in r.cells] for r in found.rows] == [["0.500", "–"], ["0.700", "0.300"], ["0.100", "–"]]


def test_a_method_on_two_backbones_is_two_rows() -> None:
    found = table(row("a", "auc", 0.5, backbone="x"), row("a", "auc", 0.6, backbone="y"))
    assert [r.backbone for r in found.rows] == ["x", "y"] and found.backbones
    assert not table(row("a", "auc", 0.5)).backbones


@given(
    st.lists(st.one_of(st.none(), st.floats(0, 1), st.just(math.nan)), min_size=1, max_size=8),
    st.booleans(),
    st.integers(0, 255),
)
def test_the_best_are_those_that_no_other_method_exceeds(means: list[float | None], lower: bool, mask: int) -> None:
    names = [f"m{number}" for number in range(len(means))]
    trivial = frozenset(name for number, name in enumerate(names) if mask >> number & 1)
    found = table(
        *(row(n, "x", m) for n, m in zip(names, means, strict=True)),
        trivial=trivial,
        lower_is_better=frozenset({"x"}) if lower else frozenset(),
    )
    cells = {r.method: r.cells[0] for r in found.rows}
    known = {n: float(f"{m:.3f}") for n, m in zip(names, means, strict=True) if m is not None and not math.isnan(m)}
    serious = {n: m for n, m in known.items() if n not in trivial}
    for name in names:
        if name not in known:
            assert cells[name].mean == "–" and not cells[name].best and not cells[name].unbeaten
            continue
        better = [m for m in serious.values() if (m < known[name] if lower else m > known[name])]
        assert cells[name].best == (name in serious and len(serious) > 1 and not better)
        assert cells[name].unbeaten == (name in trivial and bool(serious) and not better)


@pytest.mark.parametrize(
    ("mean", "std", "text", "spread"),
    [(0.98765, 0.0123, "0.988", "± 0.012"), (12.3456, 1.0, "12.35", "± 1.00"), (98.765, 1.23, "98.8", "± 1.2"),
     (12345.6, None, "12,345.6", ""), (0.5, math.nan, "0.500", "")],
)  # fmt: skip
def test_numbers_have_as_many_digits_as_they_need(mean: float, std: float | None, text: str, spread: str) -> None:
    cell = table(row("a", "m", mean, std=std)).rows[0].cells[0]
    assert (cell.mean, cell.spread) == (text, spread)


@pytest.mark.parametrize(("counts", "text"), [([1, 1], ""), ([10, 10], "10"), ([3, 10], "3 to 10"), ([None, None], "")])
def test_it_says_how_many_runs_there_are(counts: list[int | None], text: str) -> None:
    assert table(*(row(f"m{i}", "auc", 0.5, n=n) for i, n in enumerate(counts))).runs == text


def test_unusable_rows_are_named() -> None:
    with pytest.raises(ValueError, match="lacks mean, metric"):
        table({"method": "a"})
    with pytest.raises(ValueError, match="two results for a"):
        table(row("a", "auc", 0.5), row("a", "auc", 0.6))
    assert pivot(ReportData("")) is None

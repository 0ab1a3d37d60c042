"""Tables of what was found."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from wherewhen.found import Found, score_rows, write_scores, write_tables
from wherewhen.values import HeatMap, Prediction

EDGES = [0.0, 1.0, 2.0]


def told(name: str, scores: list[float], classes: dict[str, list[float]]) -> Found:
    """A video of four frames, half a second each, on two time steps."""
    by_class = {key: HeatMap(values, EDGES) for key, values in classes.items()}
    return Found(name, Path(name), Prediction(HeatMap(scores, EDGES), classes=by_class), np.arange(5) / 2, (8, 6))


def test_each_class_has_a_column_beside_the_score(tmp_path: Path) -> None:
    """Also one that is called as another column; a video that doesn't know a class leaves it open."""
    one = told("a", [0.5, 1.0], {"video": [0.25, 0.75], "car accident": [0.25, 0.25]})
    other = told("b", [0.125, 0.0], {"video": [0.125, 0.0]})
    assert one.class_scores["video"].tolist() == [0.25, 0.25, 0.75, 0.75]
    write_tables(tmp_path, [one, other])
    table = pq.read_table(tmp_path / "scores.parquet").to_pydict()
    assert list(table) == ["video", "frame", "start", "end", "score", "score_video", "score_car accident"]
    assert table["video"] == ["a"] * 4 + ["b"] * 4 and table["score"][1:3] == [0.5, 1.0]
    assert table["score_video"] == [0.25, 0.25, 0.75, 0.75, 0.125, 0.125, 0.0, 0.0]
    assert table["score_car accident"] == [0.25] * 4 + [None] * 4
    head, *rows = csv.reader((tmp_path / "scores.csv").read_text().splitlines())
    assert head == list(table)
    assert rows[2] == ["a", "2", "1", "1.5", "1.000000", "0.750000", "0.250000"]
    assert rows[4] == ["b", "0", "0", "0.5", "0.125000", "0.125000", ""]


def test_without_classes_tables_are_as_ever(tmp_path: Path) -> None:
    plain = told("a", [0.5, 1.0], {})
    assert plain.class_scores == {} and list(score_rows([plain])) == ["video", "frame", "start", "end", "score"]
    write_scores(tmp_path / "plain.parquet", {"a": plain.prediction})
    assert pq.read_table(tmp_path / "plain.parquet").column_names == ["video", "start", "end", "score"]


def test_time_steps_of_a_run_hold_classes_too(tmp_path: Path) -> None:
    known = {"a": told("a", [0.5, 1.0], {"x": [0.5, 0.25]}).prediction, "b": told("b", [0.0, 0.0], {}).prediction}
    write_scores(tmp_path / "scores.parquet", known)
    table = pq.read_table(tmp_path / "scores.parquet").to_pydict()
    assert table["score_x"] == [0.5, 0.25, None, None] and table["end"] == [1.0, 2.0, 1.0, 2.0]

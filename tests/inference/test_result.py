"""Tables of what was found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from wherewhen.api.tables import write_scores
from wherewhen.core.values import HeatMap, Prediction
from wherewhen.inference.result import Result, score_rows

EDGES = [0.0, 1.0, 2.0]


def told(name: str, scores: list[float], classes: dict[str, list[float]]) -> Result:
    """A video of four frames, half a second each, on two time steps."""
    by_class = {key: HeatMap(values, EDGES) for key, values in classes.items()}
    return Result(name, Path(name), Prediction(HeatMap(scores, EDGES), classes=by_class), np.arange(5) / 2, (8, 6))


def test_a_video_that_does_not_know_a_class_leaves_it_open() -> None:
    one, other = told("a", [0.5, 1.0], {"video": [0.25, 0.75]}), told("b", [0.0, 0.0], {})
    rows = score_rows([one, other])
    assert list(rows) == ["video", "frame", "start", "end", "score", "score_video"]
    assert rows["score_video"] == [0.25, 0.25, 0.75, 0.75, None, None, None, None]
    assert list(score_rows([other], ["x"]))[-1] == "score_x"


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

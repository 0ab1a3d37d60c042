"""Labels that a model contradicts become items of a review, and what is judged of them goes its usual ways."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from wherewhen import cli
from wherewhen.api import review_sources, verdict_files
from wherewhen.api.label_review import LONGEST_SPAN, doubt_of
from wherewhen.core.database import Tables
from wherewhen.core.values import Event, HeatMap, Prediction, Video
from wherewhen.inference.result import Result
from wherewhen.review import items
from wherewhen.review.verdicts import Judgement, store


def test_wrong_labels_become_items(yard: Path, clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    for path in clips.rglob("*.mp4"):
        shutil.copy(path, data)
    rows = ("n0.mp4,1,fall", "n1.mp4,0,", "a0.mp4,0,", "a1.mp4,1,")
    (data / "labels.csv").write_text("\n".join(("path,label,class", *rows)))
    words = ["data", "check", str(data), "--no-read-videos", "--model", str(yard), "--device", "cpu", "--json"]
    assert cli.main([*words, "--review", str(out)]) == 0
    printed = capsys.readouterr()
    findings = [row for row in json.loads(printed.out) if row["kind"] == "label-doubtful"]
    assert {row["video"]: row["message"].partition(",")[0] for row in findings} == {
        "a0": "labelled normal", "n0": "labelled anomalous"
    }  # fmt: skip
    assert f"2 labels to check: wherewhen review {out}" in printed.err

    review = review_sources.opened(out)
    with review.reading() as connection:
        listed = items.page(connection, review.folder, items.Query())["items"]
    by_video = {item["video"]: item for item in listed}
    normal, silent = by_video["a0"], by_video["n0"]
    assert len(listed) == 2 and all(item["source"] == "label" and item["has_clip"] for item in listed)
    assert (normal["label"], normal["category"]) == ("normal", None) and normal["score"] >= normal["threshold"]
    assert (silent["label"], silent["category"]) == ("anomalous", "fall") and silent["score"] < silent["threshold"]
    assert (silent["start"], silent["end"]) == pytest.approx((0, 2.0), abs=0.01)
    assert review.models() == [str(yard)]

    with Tables(review.file) as tables:
        given = [Judgement("1", normal["id"], "true"), Judgement("2", silent["id"], "false")]
        store(tables, given, None, 1.0)
    assert cli.main([*words, "--review", str(out)]) == 0, "detection is resumed, and verdicts stay"
    videos = verdict_files.labelled(verdict_files.judged_items(out))
    assert {video.path.stem: video.label for video in videos} == {"a0": 1, "n0": 0}

    (out / "results").rename(tmp_path / "results")
    Tables(tmp_path / "review.db").close()
    assert cli.main([*words, "--review", str(tmp_path)]) == 2
    assert "holds another review" in capsys.readouterr().err


def result(scores: list[float], *events: Event) -> Result:
    edges = np.arange(len(scores) + 1, dtype=np.float64)
    prediction = Prediction(HeatMap(np.array(scores, np.float32), edges), events=events)
    return Result("a", Path("a.mp4"), prediction, edges, (64, 48))


def test_a_span_of_a_file_is_judged_by_its_own_scores() -> None:
    event = Event(np.array([[6, 8, 0, 0, 0.5, 1]]), 0.9)
    scored = result([0.1, 0.2, 0.1, 0.1, 0.1, 0.1, 0.9, 0.8], event)
    assert doubt_of(Video("a", Path("a.mp4"), 0, span=(0, 4)), scored) is None
    assert doubt_of(Video("a", Path("a.mp4"), 1, span=(4, 8)), scored) is None
    doubt = doubt_of(Video("a", Path("a.mp4"), 0, span=(4, 8)), scored)
    assert doubt is not None and (doubt.span.start, doubt.span.end, doubt.span.box) == (6, 8, (0, 0, 0.5, 1))
    assert str(doubt) == "labelled normal, and its highest score is 0.90 near 7.0 s"
    doubt = doubt_of(Video("a", Path("a.mp4"), 1, "fall", span=(0, 4)), scored)
    assert doubt is not None and (doubt.span.start, doubt.span.end, doubt.span.score) == (0, 4, pytest.approx(0.2))


def test_without_an_event_the_scores_themselves_are_shown() -> None:
    doubt = doubt_of(Video("a", Path("a.mp4"), 0), result([0.1, 0.6, 0.7, 0.2, 0.6]))
    assert doubt is not None and (doubt.span.start, doubt.span.end, doubt.span.score) == (1, 3, pytest.approx(0.7))


def test_of_a_long_video_the_part_with_the_highest_score_is_shown() -> None:
    for peak, start in ((0, 0.0), (150, 150.5 - LONGEST_SPAN / 2), (299, 300 - LONGEST_SPAN)):
        scores = [0.1] * 300
        scores[peak] = 0.4
        doubt = doubt_of(Video("a", Path("a.mp4"), 1), result(scores))
        assert doubt is not None and (doubt.span.start, doubt.span.end) == (start, start + LONGEST_SPAN)

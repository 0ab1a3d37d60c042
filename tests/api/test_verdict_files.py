"""Verdicts as files of other tools: what our readers read of them equals the verdicts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reviewed import FPS, SIZE, add_item, add_video, write_video

from wherewhen import cli, datasets
from wherewhen.api import verdict_files
from wherewhen.core import registry
from wherewhen.core.database import Tables
from wherewhen.core.errors import ConfigError, DataError, StoreError
from wherewhen.core.values import Event
from wherewhen.formats import Annotated, Clock
from wherewhen.review.judged import Judged
from wherewhen.review.verdicts import Judgement, store

WHOLE = (0.0, 0.0, 1.0, 1.0)
SHOWN = (0.25, 0.5, 0.75, 1.0)
EVENTS = {
    "yard/walk": [
        (0.5, 1.5, 0.0, "normal", SHOWN), (2.0, 3.5, 1.0, "fall", SHOWN), (4.0, 5.0, 1.0, None, (0.5, 0.0, 1.0, 0.5)),
    ],
    "yard/other": [(1.0, 2.0, 1.0, None, WHOLE), (2.0, 3.0, 1.0, "fight", WHOLE)],
}  # fmt: skip
"""Seconds, score, class and place of each judged span, by video."""
FORMATS = ("cvat", "coco", "label_studio", "fiftyone", "events")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two videos of a folder ``archive``, and what was judged of them in ``out``: six verdicts, one is unsure."""
    root = tmp_path_factory.mktemp("work")
    (root / "out").mkdir()
    with Tables(root / "out" / "review.db") as tables:
        for name in ("walk", "other"):
            write_video(root / "archive" / "yard" / f"{name}.mp4")
            add_video(tables, f"yard/{name}", f"../archive/yard/{name}.mp4")
        spans = {"a": (2.0, 3.5), "b": (0.5, 1.5), "c": (4.0, 5.0), "d": (1.0, 2.0), "e": (2.0, 3.0), "f": (4.0, 5.0)}
        for id, (start, end) in spans.items():
            add_item(tables, id, video="yard/walk" if id in "abc" else "yard/other", t0=start, t1=end)
        tables.write("UPDATE item SET box_json = NULL WHERE id = 'e'")
        given = [
            Judgement("1", "a", "true", category="fall"), Judgement("2", "b", "false", category="fall"),
            Judgement("3", "c", "wrong_place", box=(0.5, 0.0, 0.5, 0.5)), Judgement("4", "d", "wrong_place"),
            Judgement("5", "e", "true", category="fight"), Judgement("6", "f", "unsure"),
        ]  # fmt: skip
        store(tables, given, "eve", 1.0)
    return root


def clocks() -> dict[str, Clock]:
    return {name: Clock.steady(60, FPS, SIZE[1], SIZE[0], f"{name[5:]}.mp4") for name in EVENTS}


def tracks(video: Annotated) -> list[tuple[float, float, float, str | None, tuple[float, ...]]]:
    """Seconds, score, class and place of each track."""
    boxes = video.boxes
    rows = []
    for track in np.unique(boxes.track).tolist():
        mine = boxes.extents[boxes.track == track]
        assert (mine[:, 2:] == mine[0, 2:]).all()
        place = tuple(mine[0, 2:].round(6).tolist())
        seconds = round(float(mine[:, 0].min()), 6), round(float(mine[:, 1].max()), 6)
        rows.append((*seconds, float(boxes.values[boxes.track == track][0]), video.names.get(track), place))
    return sorted(rows)


def spans(events: tuple[Event, ...]) -> list[tuple[float, float, float, str | None, tuple[float, ...]]]:
    return sorted(
        (round(e.start, 6), round(e.end, 6), e.score, e.category, tuple(e.extents[0, 2:].tolist())) for e in events
    )


@pytest.mark.parametrize("form", FORMATS)
def test_a_reader_reads_the_verdicts(form: str, results: Path, tmp_path: Path) -> None:
    plugin = registry.load("formats", form)
    target = tmp_path / f"verdicts{plugin.suffix}"
    assert cli.main(["convert", str(results / "out"), "--from", "verdicts", "--to", form, "--output", str(target)]) == 0
    read = {video.id: video for video in plugin.read(target, clocks())}
    assert read.keys() == EVENTS.keys()
    for name, expected in EVENTS.items():
        if form != "events":
            assert tracks(read[name]) == expected
        else:
            assert spans(read[name].events) == expected
        if form in ("label_studio", "fiftyone"):
            assert spans(read[name].events) == [(*row[:4], WHOLE) for row in expected]


def test_activitynet_has_times_and_classes(results: Path, tmp_path: Path) -> None:
    verdict_files.export(results / "out", "activitynet", tmp_path / "a.json")
    read = registry.load("formats", "activitynet").read(tmp_path / "a.json", clocks())
    for video in read:
        assert [(e.start, e.end, e.category) for e in video.events] == [
            (start, end, category) for start, end, _, category, _ in EVENTS[video.id]
        ]


def test_a_table_of_labels_is_what_train_reads(
    results: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ["convert", str(results / "out"), "--from", "verdicts", "--to", "labels"]
    right = results / "archive" / "yard" / "labels.csv"
    assert cli.main([*words, "--output", str(tmp_path / "labels.csv")]) == 2
    assert f"write --output {right}" in capsys.readouterr().err
    assert cli.main([*words, "--output", str(right.with_name("verdicts.csv"))]) == 2
    assert "called labels.csv" in capsys.readouterr().err
    assert cli.main([*words, "--output", str(right.parent)]) == 0
    assert capsys.readouterr().out == f"written: {right.parent} (2 videos, 5 verdicts; 1 unsure left out)\n"
    videos = datasets.reader_of(right.parent).load(right.parent).videos
    assert [(v.path.name, v.label, v.category, v.span) for v in videos] == [
        ("other.mp4", 1, None, (0.0, 4.0)),
        ("other.mp4", 1, "fight", (0.0, 5.0)),
        ("walk.mp4", 0, None, (0.0, 1.5)),
        ("walk.mp4", 1, "fall", (1.5, 5.5)),
        ("walk.mp4", 1, None, (2.0, 7.0)),
    ]
    right.write_text("mine")
    assert cli.main([*words, "--output", str(right)]) == 1 and right.read_text() == "mine"
    right.unlink()


def test_clips_of_cameras_have_times_of_their_own(tmp_path: Path) -> None:
    write_video(tmp_path / "clips" / "1790.mp4")
    with Tables(tmp_path / "live.db") as tables:
        add_item(
            tables, "1790", clock="wall", t0=1005.0, t1=1006.0, clip="clips/1790.mp4", clip_t0=1003.0, camera="gate"
        )
        store(tables, [Judgement("1", "1790", "true")], None, 1.0)
    exported = verdict_files.export(tmp_path, "events", tmp_path / "events.json")
    assert exported == verdict_files.Exported(1, 1, 0)
    (video,) = registry.load("formats", "events").read(tmp_path / "events.json")
    assert (video.id, video.file) == ("clips/1790", "1790.mp4")
    assert spans(video.events) == [(2.0, 3.0, 1.0, None, SHOWN)]
    name, content = verdict_files.packed(tmp_path, "labels")
    assert (name, content.decode()) == ("labels.csv", "path,label,class,camera,start,end\n1790.mp4,1,,gate,0,5\n")


def test_links_keep_their_names_in_a_table(tmp_path: Path) -> None:
    write_video(tmp_path / "elsewhere" / "1790.mp4", 1.0)
    (tmp_path / "archive" / "yard").mkdir(parents=True)
    (tmp_path / "archive" / "yard" / "walk.mp4").symlink_to(tmp_path / "elsewhere" / "1790.mp4")
    with Tables(tmp_path / "out" / "review.db") as tables:
        add_video(tables, "yard/walk", "../archive/yard/walk.mp4", 1.0)
        add_item(tables, "a", video="yard/walk", t0=0.2, t1=0.5)
        store(tables, [Judgement("1", "a", "missed")], None, 1.0)
    verdict_files.export(tmp_path / "out", "labels", tmp_path / "archive" / "labels.csv")
    assert (tmp_path / "archive" / "labels.csv").read_text().splitlines()[1] == "yard/walk.mp4,1,,0.2,0.5"


def test_what_cannot_be_exported_is_an_error(results: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="mot has no labels"):
        verdict_files.export(results / "out", "mot", tmp_path)
    with pytest.raises(ConfigError, match=r"unknown format 'coca'.*did you mean 'coco'"):
        verdict_files.export(results / "out", "coca", tmp_path)
    with pytest.raises(StoreError, match="no verdicts there"):
        verdict_files.export(tmp_path, "coco", tmp_path / "x.json")
    write_video(tmp_path / "walk.mp4", 1.0)
    with Tables(tmp_path / "review.db") as tables:
        add_video(tables, "walk", "walk.mp4")
        add_item(tables, "a", video="walk")
    with pytest.raises(DataError, match="no verdicts to export yet"):
        verdict_files.export(tmp_path, "coco", tmp_path / "x.json")


SPAN = st.tuples(st.integers(0, 40), st.integers(1, 12), st.sampled_from(("true", "false", "wrong_place", "missed")))


@given(st.lists(SPAN, min_size=1, max_size=8))
def test_no_moment_has_both_labels_and_no_event_is_lost(rows: list[tuple[int, int, str]]) -> None:
    items = [
        Judged(
            str(n),
            "yard",
            verdict,
            Path("/a.mp4"),
            start,
            start + length,
            None,
            None,
            None,
            None,
            "alert",
            1.0,
            "a",
            "a",
        )
        for n, (start, length, verdict) in enumerate(rows)
    ]
    videos = verdict_files.labelled(items)
    spans = {label: [v.span for v in videos if v.label == label and v.span] for label in (0, 1)}
    for start, end in spans[0]:
        assert all(until <= start or since >= end for since, until in spans[1])
    for item in items:
        if item.verdict != "false":
            assert any(since <= item.start and until >= item.end for since, until in spans[1])

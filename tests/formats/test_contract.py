"""What every format keeps: whole pixels and frames exactly, fractions closely, and its nerve when files are bad."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wherewhen.core import extents as ext
from wherewhen.core import registry
from wherewhen.core.contracts import Format
from wherewhen.core.errors import DataError
from wherewhen.core.outputs import MANIFEST
from wherewhen.core.values import Event, Scores
from wherewhen.formats import Annotated, Clock

Strategy = Callable[..., st.SearchStrategy[Annotated]]
QUICK = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# What a format (with options) carries: boxes?, track numbers?, scores?, names?, events?
CASES: list[tuple[str, dict[str, str], str]] = [
    ("rbdc", {"kind": "anomalies"}, "boxes scores"),
    ("rbdc", {"kind": "tracks"}, "boxes tracks all-tracked"),
    ("mot", {"kind": "results"}, "boxes tracks scores"),
    ("mot", {"kind": "det"}, "boxes scores"),
    ("mot", {"kind": "gt"}, "boxes tracks names all-tracked"),
    ("coco", {}, "boxes tracks scores names"),
    ("cvat", {}, "boxes tracks scores names fresh-tracks"),
    ("label_studio", {"kind": "predictions"}, "boxes tracks scores names events event-scores"),
    ("label_studio", {"kind": "annotations"}, "boxes tracks scores names events event-scores"),
    ("fiftyone", {}, "boxes tracks scores names events event-scores"),
    ("activitynet", {"kind": "results"}, "events event-scores"),
    ("activitynet", {"kind": "database"}, "events"),
    ("events", {}, "events event-scores chains"),
]
JSON = ("coco", "label_studio", "activitynet", "events")


def plugin(name: str) -> Format:
    found = registry.load("formats", name)
    assert isinstance(found, Format)
    return found


def place(folder: Path, name: str) -> Path:
    return folder / f"out{plugin(name).suffix}"


def read_options(name: str, options: dict[str, str]) -> dict[str, str]:
    return {} if name == "activitynet" else options


def round_trip(folder: Path, name: str, options: dict[str, str], videos: list[Annotated]) -> list[Annotated]:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    form = plugin(name)
    assert form.write is not None and form.read is not None
    form.write(place(folder, name), videos, **options)
    clocks = {video.id: video.clock for video in videos}
    found: list[Annotated] = form.read(place(folder, name), clocks, **read_options(name, options))
    return found


def rows(video: Annotated, carries: str, used: set[int]) -> list[tuple[Any, ...]]:
    """Boxes as sorted tuples, as far as a format carries them."""
    frames = ext.frames_of(video.boxes.extents, video.clock.edges)
    pixels = ext.to_pixels(video.boxes.extents, video.clock.width, video.clock.height).round(6)
    answer = []
    for (first, last), box, track, score in zip(
        frames.tolist(), pixels.tolist(), video.boxes.track.tolist(), video.boxes.values.tolist(), strict=True
    ):
        assert last == first + 1
        number = track if "tracks" in carries and track in used else -1
        answer.append((first, *box, number, score if " scores" in carries else 1.0))
    return sorted(answer)


def test_every_format_is_tested() -> None:
    assert {name for name, _, _ in CASES} == set(registry.names("formats"))


@pytest.mark.parametrize(("name", "options", "carries"), CASES)
@QUICK
@given(data=st.data())
def test_whole_pixels_and_frames_survive(
    tmp_path_factory: pytest.TempPathFactory,
    videos: Strategy,
    name: str,
    options: dict[str, str],
    carries: str,
    data: st.DataObject,
) -> None:
    low = 0 if "all-tracked" in carries else -1
    given_videos = [data.draw(videos("a", low)), data.draw(videos("b/ü 1.2", low))]
    found = round_trip(tmp_path_factory.getbasetemp() / f"trip-{name}", name, options, given_videos)
    assert sorted(video.id for video in found) == ["a", "b/ü 1.2"]
    back = {video.id: video for video in found}
    for video in given_videos:
        other = back[video.id]
        assert other.clock is video.clock or name == "events"
        used = {track for track in video.boxes.track.tolist() if track >= 0}
        assert rows(other, carries, used) == (rows(video, carries, used) if "boxes" in carries else [])
        assert dict(other.names) == ({t: n for t, n in video.names.items() if t in used} if "names" in carries else {})
        if "fresh-tracks" in carries:
            fresh = [track for track in other.boxes.track.tolist() if track not in used]
            assert len(fresh) == len(set(fresh)) == int((video.boxes.track < 0).sum())
        expected = video.events if " events" in f" {carries}" else ()
        assert len(other.events) == len(expected)
        for mine, theirs in zip(expected, other.events, strict=True):
            assert (theirs.start, theirs.end) == (mine.start, mine.end)
            assert theirs.category == mine.category
            assert theirs.score == (mine.score if "event-scores" in carries else 1.0)
            if "chains" in carries:
                assert theirs.extents.tolist() == mine.extents.tolist()


@pytest.mark.parametrize(("name", "options", "carries"), [case for case in CASES if "boxes" in case[2]])
@QUICK
@given(data=st.data())
def test_fractions_survive_within_a_thousandth_of_a_pixel_and_rows_spread_over_their_frames(
    tmp_path_factory: pytest.TempPathFactory, name: str, options: dict[str, str], carries: str, data: st.DataObject
) -> None:
    clock = Clock.steady(data.draw(st.integers(1, 9)), 10, data.draw(st.integers(1, 999)), 480)
    unit = st.floats(0, 1)
    extents, expected = [], []
    for track in range(data.draw(st.integers(0, 4))):
        x, y = sorted(data.draw(st.tuples(unit, unit))), sorted(data.draw(st.tuples(unit, unit)))
        t = sorted(data.draw(st.tuples(*[st.floats(0, clock.duration)] * 2)))
        extents.append([*t, x[0], y[0], x[1], y[1]])
        middles = (clock.edges[:-1] + clock.edges[1:]) / 2
        inside = [f for f, middle in enumerate(middles) if t[0] <= middle < t[1]]
        if not inside:
            around = (t[0] + t[1]) / 2
            inside = [max([f for f in range(clock.frames) if clock.edges[f] <= around])]
        expected += [(f, track, [x[0] * clock.width, y[0] * 480, x[1] * clock.width, y[1] * 480]) for f in inside]
    boxes = Scores(np.array(extents).reshape(-1, 6), np.ones(len(extents)), np.arange(len(extents)))
    found = round_trip(tmp_path_factory.getbasetemp() / f"frac-{name}", name, options, [Annotated("a", clock, boxes)])
    back = found[0].boxes if found else Scores(np.empty((0, 6)), np.empty(0))
    frames = ext.frames_of(back.extents, clock.edges)[:, 0]
    pixels = ext.to_pixels(back.extents, clock.width, 480)
    assert len(frames) == len(expected)
    if "tracks" in carries:
        order = np.lexsort((frames, back.track))
        assert [(f, t) for f, t in zip(frames[order], back.track[order], strict=True)] == [
            (f, t) for f, t, _ in expected
        ]
        if expected:
            np.testing.assert_allclose(pixels[order], [box for _, _, box in expected], atol=1e-3)


def paths_of(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value in a JSON document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [here, *[path for key, item in inner for path in paths_of(item, (*here, key))]]


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.sampled_from([0, -1, 1, 2, 10**400, 1e308, -1e308, 5e-324, 0.5]),
    st.text(max_size=5),
    st.just([]),
    st.just({}),
    st.lists(st.floats(-2, 2), max_size=5),
)


@pytest.fixture(scope="session")
def sample() -> Annotated:
    clock = Clock.steady(6, 25, 64, 48, "a.mp4")
    boxes = ext.from_pixels(
        [[1, 2, 30, 40], [2, 3, 31, 41], [0, 0, 9, 9]], [[0, 0.04], [0.12, 0.16], [0, 0.04]], 64, 48
    )
    events = (Event(np.array([[0.04, 0.08, 0, 0, 0.5, 0.5], [0.08, 0.12, 0, 0, 0.5, 0.5]]), 0.5, "fall"),)
    return Annotated("a", clock, Scores(boxes, [0.9, 0.8, 0.1], [3, 3, -1]), events, {3: "fall"})


@pytest.mark.parametrize("name", [*JSON, "fiftyone"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_broken_json_file_is_read_or_refused_in_words(
    tmp_path_factory: pytest.TempPathFactory, sample: Annotated, name: str, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp() / f"broken-{name}"
    form = plugin(name)
    assert form.write is not None and form.read is not None
    target = place(folder, name)
    shutil.rmtree(folder, ignore_errors=True)
    form.write(target, [sample])
    file = data.draw(st.sampled_from(sorted(target.rglob("*.json")))) if target.is_dir() else target
    document = json.loads(file.read_text())
    broken = copy.deepcopy(document)
    path = data.draw(st.sampled_from(paths_of(document)))
    if not path:
        broken = data.draw(ODD)
    else:
        owner = broken
        for key in path[:-1]:
            owner = owner[key]
        if data.draw(st.booleans()):
            del owner[path[-1]]
        else:
            owner[path[-1]] = data.draw(ODD)
    file.write_text(json.dumps(broken))
    for clocks in ({"a": sample.clock}, {}):
        try:
            found = form.read(target, clocks)
        except DataError as error:
            assert str(target) in str(error)
        else:
            assert all(isinstance(video, Annotated) for video in found)


@pytest.mark.parametrize("name", JSON)
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not a JSON file"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"[" * 200_000, "nested more than"),
        (b'{"version": NaN}', "NaN"),
        (b'{"version": 1' + b"0" * 5000 + b"}", "whole number of 5001 digits"),
        (b"3", "expected"),
        (b'"text"', "expected"),
    ],
)
def test_what_is_no_such_json_is_refused(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    file = tmp_path / "bad.json"
    file.write_bytes(content)
    read = plugin(name).read
    assert read is not None
    with pytest.raises(DataError, match=says) as caught:
        read(file, {})
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("name", registry.names("formats"))
def test_a_missing_path_is_refused(tmp_path: Path, name: str) -> None:
    read = plugin(name).read
    assert read is not None
    with pytest.raises(DataError, match="nothing-here"):
        read(tmp_path / "nothing-here", {})


@pytest.mark.parametrize(
    ("name", "kind"), [("rbdc", "anomalies"), ("rbdc", "tracks"), *[("mot", k) for k in ("gt", "det")]]
)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_broken_text_is_read_or_refused_in_words(
    tmp_path_factory: pytest.TempPathFactory, name: str, kind: str, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp() / f"text-{name}-{kind}"
    file = folder / (f"a/{kind}/{kind}.txt" if name == "mot" else "a.txt")
    file.parent.mkdir(parents=True, exist_ok=True)
    cell = st.one_of(
        st.sampled_from(["nan", "inf", "-1", "0", "1e400", "1e30", "", "x", "1", "2", "3.5", "7"]), st.text(max_size=3)
    )
    lines = data.draw(st.lists(st.lists(cell, min_size=5, max_size=10).map(",".join), max_size=3))
    file.write_text("\n".join(lines), encoding="utf-8", errors="replace")
    form = plugin(name)
    assert form.read is not None
    try:
        found = form.read(folder, {"a": Clock.steady(5, 25, 64, 48)}, kind=kind)
    except DataError as error:
        assert str(file) in str(error)
    else:
        assert [video.id for video in found] == ["a"]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_broken_cvat_file_is_read_or_refused_in_words(
    tmp_path_factory: pytest.TempPathFactory, sample: Annotated, data: st.DataObject
) -> None:
    file = tmp_path_factory.getbasetemp() / "broken.xml"
    form = plugin("cvat")
    assert form.write is not None and form.read is not None
    file.unlink(missing_ok=True)
    form.write(file, [sample])
    tree = ElementTree.parse(file)
    element = data.draw(st.sampled_from(list(tree.iter())))
    if element.attrib:
        key = data.draw(st.sampled_from(sorted(element.attrib)))
        element.set(key, data.draw(st.sampled_from(["", "nan", "-1", "1e400", "1e30", "5", "6", "0.5", "x", "1"])))
        if data.draw(st.booleans()):
            del element.attrib[key]
    else:
        element.tag = data.draw(st.sampled_from(["image", "track", "box", "annotations"]))
        element.text = data.draw(st.sampled_from(["", "a", "nan"]))
    tree.write(file)
    try:
        found = form.read(file, {"a": sample.clock})
    except DataError as error:
        assert str(file) in str(error)
    else:
        assert len(found) == 1


@pytest.mark.parametrize("name", ["coco", "events"])
def test_our_own_files_bring_their_clocks(tmp_path: Path, sample: Annotated, name: str) -> None:
    form = plugin(name)
    assert form.write is not None and form.read is not None
    form.write(tmp_path / "x.json", [sample])
    (back,) = form.read(tmp_path / "x.json")
    np.testing.assert_allclose(back.clock.edges, sample.clock.edges, atol=1e-12)
    assert (back.clock.width, back.clock.height) == (64, 48)


@pytest.mark.parametrize("name", ["rbdc", "mot", "cvat", "label_studio", "fiftyone", "activitynet"])
def test_a_file_without_times_asks_for_a_clock(tmp_path: Path, sample: Annotated, name: str) -> None:
    form = plugin(name)
    assert form.write is not None and form.read is not None
    target = place(tmp_path, name)
    form.write(target, [sample])
    with pytest.raises(DataError, match=r"give a clock for it; did you mean 'aa'\?"):
        form.read(target, {"aa": sample.clock})


@pytest.mark.parametrize(("name", "options"), [(name, options) for name, options, _ in CASES if options])
def test_an_unknown_kind_suggests_the_nearest(
    tmp_path: Path, sample: Annotated, name: str, options: dict[str, str]
) -> None:
    form = plugin(name)
    assert form.write is not None
    with pytest.raises(DataError, match=f"did you mean '{options['kind']}'"):
        form.write(place(tmp_path, name), [sample], kind=options["kind"] + "x")


@pytest.mark.parametrize("name", registry.names("formats"))
def test_nothing_is_left_behind_but_the_files(tmp_path: Path, sample: Annotated, name: str) -> None:
    form = plugin(name)
    assert form.write is not None
    form.write(place(tmp_path, name), [sample])
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    hidden = {file.name for file in files if file.name.startswith(".")}
    assert len(files) > 1 and hidden == {MANIFEST}
    assert (form.source.title and form.source.homepage.startswith("http")) or name == "events"

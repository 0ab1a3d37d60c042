"""Scripts of measurements: they run on small data sets, and their tables are complete."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wherewhen.core import extents as ext
from wherewhen.core.values import Dataset, Fold, Truth, Video
from wherewhen.datasets import native
from wherewhen.video.writer import Writer

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
RATE, FRAMES, SIZE = 12.5, 138, (64, 48)  # clips of 11 seconds
HAPPENS = range(60, 100)


def _clip(folder: Path, name: str, label: int, camera: str) -> tuple[Video, Truth]:
    """A clip in which a spot creeps from side to side, and another one is fast in some frames if the label is 1."""
    with Writer(folder / f"{name}.mp4", RATE) as writer:
        for frame in range(FRAMES):
            picture = np.full((SIZE[1], SIZE[0], 3), 90, np.uint8)
            spots = [(26, frame), *([(8, 4 * frame)] if label and frame in HAPPENS else [])]
            for row, place in spots:
                left = place % (SIZE[0] - 8)
                picture[row : row + 10, left : left + 8] = 180
            writer.write(picture)
    frames = HAPPENS if label else range(0)
    boxes = [(4 * k % (SIZE[0] - 8), 8, 4 * k % (SIZE[0] - 8) + 8, 18) for k in frames]
    rows = ext.from_pixels(boxes, [(k / RATE, (k + 1) / RATE) for k in frames], *SIZE)
    spans = np.array([[HAPPENS[0], HAPPENS[-1] + 1]]) / RATE if label else np.empty((0, 2))
    truth = Truth(np.arange(FRAMES + 1) / RATE, spans, rows, np.zeros(len(rows), np.int64))
    return Video(name, folder / f"{name}.mp4", label, camera=camera), truth


@pytest.fixture(scope="module")
def cameras(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cameras to train on and one that is not trained on, with enough normal clips to adapt to it."""
    folder, made = tmp_path_factory.mktemp("clips"), []
    for camera, labels in (("a", (0, 0, 1)), ("b", (0, 0, 1)), ("c", (0, 0, 0, 0, 0, 0, 1))):
        made += [_clip(folder, f"{camera}{k}", label, camera) for k, label in enumerate(labels)]
    videos = tuple(video for video, _ in made)
    old, new = (tuple(v for v in videos if (v.camera == "c") == is_new) for is_new in (False, True))
    root = tmp_path_factory.mktemp("data") / "cameras"
    truths = {video.id: truth for video, truth in made}
    native.write(root, Dataset("cameras", videos, (Fold("unseen", old, new),)), truths, dict.fromkeys(truths, SIZE))
    return root


@pytest.fixture
def adapt(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    """Runs ``benchmarks/adapt.py`` with trainings of a few steps; the lines that it prints."""
    script = runpy.run_path(str(BENCHMARKS / "adapt.py"))
    fit = script["fit"]

    def short(bags: Any, config: Any, **more: Any) -> Any:
        return fit(bags, replace(config, training=replace(config.training, steps=2)), **more)

    def run(*words: object) -> list[str]:
        monkeypatch.setitem(script["main"].__globals__, "fit", short)
        monkeypatch.setattr(sys, "argv", ["adapt.py", *map(str, words)])
        script["main"]()
        return capsys.readouterr().out.splitlines()

    return run


TRIVIAL = ["motion_only", "normality_knn", "mean_prior", "central_box", "chance"]


def test_cameras_that_were_not_trained_on_are_beside_every_trivial_row(
    cameras: Path, adapt: Callable[..., list[str]]
) -> None:
    lines = adapt(cameras, "--methods", "auto")
    rows = [line.split(" | ") for line in lines if line.startswith("| ")]
    assert [row[0].strip("| ") for row in rows] == ["row", "auto", "auto, adapted", *TRIVIAL]
    assert all(0 <= float(cell.strip("| ")) <= 1 for row in rows[1:] for cell in row[1:])
    assert "cameras: c" in lines and any("are too few to compare methods" in line for line in lines)


def test_a_model_of_another_data_set_is_adapted_to_each_fold(cameras: Path, adapt: Callable[..., list[str]]) -> None:
    lines = adapt(cameras, "--source", cameras, "--methods", "cuboid_mil")
    assert "cameras: unseen" in lines and sum(line.startswith("| cuboid_mil") for line in lines) == 2


def test_simulated_cameras_keep_their_budget(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["budget.py", "simulated", "--cameras", "30", "--per-day", "200"])
    runpy.run_path(str(BENCHMARKS / "budget.py"), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("30 cameras at their first promise (22 minutes), 200 alarms a day")
    within = float(lines[1].split(": ")[1].split("%")[0])
    assert within > 80
    sent, alone = (float(words.split()[0]) for words in lines[2].split(": ")[1].split(", "))
    assert sent <= alone <= 200


@pytest.mark.parametrize(
    ("ended", "counts"),
    [
        ("a b c a k a b c c", (6, 0, 0)),  # killed in the second event of an hour, which ends with the process
        ("a b c a a b c c", (6, 0, 0)),
        ("a b c a k a c c", (6, 1, 0)),
        ("a b c a k a b c d c", (6, 0, 1)),
    ],
)
def test_the_soak_tells_lost_alerts_from_those_of_hours_that_were_cut(ended: str, counts: tuple[int, int, int]) -> None:
    script = runpy.run_path(str(BENCHMARKS / "soak.py"))
    alerts = {name: (float(number), 0.5) for number, name in enumerate("abcdk")}
    expected = {"day": [alerts[name] for name in "abc"], "night": [alerts["c"]]}
    hours = ["day", "day", "killed", "day", "night"]
    assert script["compared"](hours, expected, [alerts[name] for name in ended.split()]) == counts


def test_verdicts_of_a_simulated_reviewer_have_a_row_for_each_order(
    cameras: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = runpy.run_path(str(BENCHMARKS / "review.py"))
    fit = script["fit"]

    def short(bags: Any, config: Any, **more: Any) -> Any:
        return fit(bags, replace(config, training=replace(config.training, steps=2)), **more)

    monkeypatch.setitem(script["main"].__globals__, "fit", short)
    words = ["--stream", cameras, "--test", cameras, "--method", "cuboid_mil", "--verdicts", "8", "--seeds", "0"]
    monkeypatch.setattr(sys, "argv", ["review.py", str(cameras), *map(str, words), "--orders", "score,ours", "--hits"])
    script["main"]()
    lines = capsys.readouterr().out.splitlines()
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    rows = {row[0]: row for row in table[2:]}
    orders = [f"{order}{more}" for order in ("score", "ours") for more in ("", ", kept")]
    assert set(rows) == {"champion", *orders}
    assert {"auc_anomalous", "hit", "promoted", "ratio"} <= set(table[0])
    assert all(all(cell for cell in rows[order]) for order in orders)


def test_the_ratio_of_equal_rates_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    ratio = runpy.run_path(str(BENCHMARKS / "review.py"))["_ratio"]
    rates = [{"fa": 10.0}, {"fa": 30.0}]
    assert ratio(rates, rates) == "1.00 (1.00 to 1.00)"
    assert ratio(rates[:1], [{"fa": 4.5}]) == "0.50"


def test_streams_are_measured_part_by_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = runpy.run_path(str(BENCHMARKS / "streams.py"))
    small = {"small": ("libx264", (160, 96), {"preset": "ultrafast", "bf": "0"})}
    monkeypatch.setitem(script["main"].__globals__, "VIDEOS", small)
    monkeypatch.setitem(script["main"].__globals__, "real_time", _one_camera(script))
    plain = {name: {**settings, "engine": "torch"} for name, settings in script["BACKBONES"].items()}
    plain |= {name: script["BACKBONES"][name] for name in plain if name.startswith("motion")}
    monkeypatch.setitem(script["main"].__globals__, "BACKBONES", plain)
    monkeypatch.setattr(sys, "argv", ["streams.py", "--seconds", "8", "--rounds", "1", "--only", "small"])
    script["main"]()
    *_, first, second, third, last = capsys.readouterr().out.splitlines()
    for line, parts in ((first, 5), (second, 5), (third, 4)):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        spent = [float(cell) for cell in cells[2:7] if cell]
        assert len(spent) == parts
        assert float(cells[1]) > 0
        assert float(cells[7]) == pytest.approx(sum(spent), abs=3)
    assert last.startswith("8 cameras, small: a picture waited")


def _one_camera(script: dict[str, Any]) -> Callable[..., str]:
    """One camera in this process in place of eight processes."""

    def real_time(video: Path, run: Path, cameras: int) -> str:
        waited, spent, seconds, memory = script["watched"](video, run)
        assert 0 <= waited < seconds
        assert seconds >= 7.5
        assert 0 < spent < seconds + 1
        assert memory > 50 or sys.platform != "linux"
        return f"{cameras} cameras, {video.stem}: a picture waited {waited:.2f} s"

    return real_time


def test_starts_are_compared_with_an_empty_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = runpy.run_path(str(BENCHMARKS / "start.py"))
    kept = ("python -c pass", "wherewhen --help", "wherewhen detect --no-render")
    works_of = script["works_of"]
    monkeypatch.setitem(script["main"].__globals__, "LENGTH", 7)
    monkeypatch.setitem(script["main"].__globals__, "works_of", lambda *at: {k: works_of(*at)[k] for k in kept})
    monkeypatch.setattr(sys, "argv", ["start.py", "--rounds", "1"])
    script["main"]()
    lines = capsys.readouterr().out.splitlines()
    rows = {cells[1].strip(): [float(cell) for cell in cells[2:5]] for cells in (line.split("|") for line in lines[3:])}
    nothing, overview, detect, again = rows.values()
    assert nothing[2] == 1
    assert nothing[0] < overview[0] < detect[0]
    assert again[0] < detect[0]

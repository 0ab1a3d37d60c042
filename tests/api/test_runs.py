"""Runs: what each leaves in its folder, what it refuses, and how it goes on."""

from __future__ import annotations

import html
import json
import math
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import wherewhen
from wherewhen import cli, datasets
from wherewhen.api import evaluation, runs
from wherewhen.core import registry
from wherewhen.core.config import read_yaml
from wherewhen.core.errors import ConfigError, DataError, StoreError
from wherewhen.core.outputs import MANIFEST
from wherewhen.datasets import native
from wherewhen.extraction import loading
from wherewhen.inference.model import Model
from wherewhen.inference.model_config import ModelConfig
from wherewhen.training import fit
from wherewhen.video import reader

SETTINGS: dict[str, Any] = {"training": {"steps": 20}, "seed": 3}


@pytest.fixture(scope="module")
def run(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished training run."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    runs.train(clips, folder, settings=SETTINGS, device="cpu", quiet=True)
    return folder


@pytest.fixture(scope="module")
def model(run: Path) -> Model:
    return Model.load(run, device="cpu")


def kept(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.name != MANIFEST}


def test_a_training_run_leaves_what_it_promises(run: Path) -> None:
    promised = {"config.yaml", "metrics.json", "weights", "scores.parquet", "events.json", "report.html", "log.txt"}
    assert kept(run) == promised | {"training.csv", "tensorboard", "data.json"}
    assert kept(run / "weights") == {"best.safetensors", "last.safetensors"}
    assert (run.parent / "latest").resolve() == run.resolve()
    assert ModelConfig.of(read_yaml(run / "config.yaml")) == ModelConfig.of(SETTINGS)
    numbers = json.loads((run / "metrics.json").read_text())
    assert numbers["videos"] == 4 and numbers["quarantined"] == 0
    assert [row["step"] for row in numbers["history"]] == [20]
    assert set(numbers["video_scores"]) == {"normal/n0", "normal/n1", "anomalous/a0", "anomalous/a1"}
    assert "learning from 4 videos" in (run / "log.txt").read_text()
    text = (run / "report.html").read_text()
    assert "anomalous/a0" in text and "http://" not in text.replace("http://www.w3.org", "")


def test_a_training_says_what_to_expect(run: Path, clips: Path, tmp_path: Path) -> None:
    told = json.loads((run / "metrics.json").read_text())["sanity"]
    assert (told["how"], told["parts"]) == ("out of fold", 2)
    assert told["anomalous"]["videos"] == told["normal"]["videos"] == 2 and len(told["scores"]) == 4
    assert told["motion"] is not None and told["low"] <= told["vauc"] <= told["high"]
    page = html.unescape((run / "report.html").read_text())
    assert "with an alarm" in page and "each by a model that was not trained on it" in page
    assert all(warning in page for warning in told["warnings"])
    runs.train(clips, tmp_path / "run", settings=SETTINGS, device="cpu", check=False, quiet=True)
    other = json.loads((tmp_path / "run" / "metrics.json").read_text())["sanity"]
    assert other["how"] == "in sample" and "no estimate" in other["line"]
    weights = "weights/best.safetensors"
    assert (tmp_path / "run" / weights).read_bytes() == (run / weights).read_bytes(), "checking teaches nothing"


def test_one_anomalous_clip_validates_nothing(clips: Path, tmp_path: Path) -> None:
    root = tmp_path / "clips"
    for name in ("normal/n0", "normal/n1", "anomalous/a0"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        os.link(clips / f"{name}.mp4", root / f"{name}.mp4")
    runs.train(root, tmp_path / "run", settings=SETTINGS, device="cpu", quiet=True)
    told = json.loads((tmp_path / "run" / "metrics.json").read_text())["sanity"]
    assert told["how"] == "in sample"
    assert told["warnings"] == ["all anomalous videos are from one file, so validation is not possible"]


def test_frame_scores_are_a_table(run: Path) -> None:
    table = pq.read_table(run / "scores.parquet").to_pydict()
    assert list(table) == ["video", "start", "end", "score"]
    assert set(table["video"]) == {"normal/n0", "normal/n1", "anomalous/a0", "anomalous/a1"}
    assert all(0 <= score <= 1 for score in table["score"])
    ends = dict(zip(table["video"], table["end"], strict=True))
    assert all(math.isclose(end, 2.0) for end in ends.values())


def test_the_model_in_the_folder_is_the_one_that_was_given(clips: Path, tmp_path: Path) -> None:
    given_back = runs.train(clips, tmp_path / "run", settings=SETTINGS, device="cpu", quiet=True)
    loaded = Model.load(tmp_path / "run", device="cpu")
    assert (loaded.threshold, loaded.config) == (given_back.threshold, given_back.config)
    one, other = (m.detect(clips / "anomalous" / "a1.mp4").scores for m in (given_back, loaded))
    np.testing.assert_array_equal(one, other)
    Model.load(tmp_path / "run", "last", device="cpu")
    with pytest.raises(StoreError, match="no model there"):
        Model.load(tmp_path / "run", "lost", device="cpu")


def test_the_same_seed_gives_the_same_run(run: Path, clips: Path, tmp_path: Path) -> None:
    runs.train(clips, tmp_path / "again", settings=SETTINGS, device="cpu", quiet=True)
    for name in ("metrics.json", "config.yaml", "training.csv", "events.json", "weights/best.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (run / name).read_bytes(), name


def test_features_that_memory_does_not_hold_are_read_anew_to_the_same_run(
    run: Path, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "HELD", 1000)
    given = []
    monkeypatch.setattr(runs, "fit", lambda bags, *rest, **more: given.append(bags) or fit.fit(bags, *rest, **more))
    runs.train(clips, tmp_path / "again", settings=SETTINGS, device="cpu", quiet=True)
    assert isinstance(given[0], loading.StoredBags) and len(given[0]) == 4
    for name in ("metrics.json", "training.csv", "events.json", "weights/best.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (run / name).read_bytes(), name


def test_a_run_is_never_overwritten(run: Path, clips: Path) -> None:
    before = (run / "config.yaml").read_bytes()
    with pytest.raises(ConfigError, match="holds a run already; add --resume"):
        runs.train(clips, run, settings=SETTINGS, device="cpu", quiet=True)
    with pytest.raises(ConfigError, match=r"other settings \(seed was 3, is 4\)"):
        runs.train(clips, run, settings={**SETTINGS, "seed": 4}, device="cpu", resume=True, quiet=True)
    assert (run / "config.yaml").read_bytes() == before


def test_resuming_a_finished_run_changes_nothing(run: Path, clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    monkeypatch.setattr(runs, "fit", None)
    again = runs.train(clips, run, settings=SETTINGS, device="cpu", resume=True, quiet=True)
    assert again.threshold == Model.load(run, device="cpu").threshold
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("place", ["training_results.write", "fit"])
def test_a_run_that_was_stopped_goes_on_to_the_same_end(
    place: str, run: Path, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped before or after learning: the files at the end are those of a run that was let alone."""

    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(f"wherewhen.api.runs.{place}", stop)
        runs.train(clips, tmp_path / "run", settings=SETTINGS, device="cpu", quiet=True)
    runs.train(clips, tmp_path / "run", settings=SETTINGS, device="cpu", resume=True, quiet=True)
    for name in ("metrics.json", "config.yaml", "training.csv", "weights/best.safetensors", "weights/last.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (run / name).read_bytes(), name
    assert kept(tmp_path / "run" / "weights") == {"best.safetensors", "last.safetensors"}


def test_a_wrong_folder_leaves_no_run_behind(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        runs.train(tmp_path / "nowhere", tmp_path / "run", settings=SETTINGS, device="cpu", quiet=True)
    assert kept(tmp_path) == set()


def test_broken_videos_are_set_aside_and_told(clips: Path, tmp_path: Path) -> None:
    root = tmp_path / "clips"
    for source in clips.rglob("*.mp4"):
        (root / source.parent.name).mkdir(parents=True, exist_ok=True)
        (root / source.parent.name / source.name).symlink_to(source)
    (root / "normal" / "bad.mp4").write_bytes(b"no video at all")
    runs.train(root, tmp_path / "run", settings=SETTINGS, device="cpu", quiet=True)
    (entry,) = json.loads((tmp_path / "run" / "quarantine.json").read_text())
    assert entry["path"].endswith("normal/bad.mp4") and entry["reason"]
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["quarantined"] == 1
    assert "bad" in (tmp_path / "run" / "log.txt").read_text()
    assert "bad.mp4" in (tmp_path / "run" / "report.html").read_text()


def test_one_fold_is_learnt_from_alone(natives: Path, tmp_path: Path) -> None:
    runs.train(natives, tmp_path / "run", fold="second", settings=SETTINGS, device="cpu", quiet=True)
    numbers = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert set(numbers["video_scores"]) == {"n1", "a1"}
    with pytest.raises(ConfigError, match=r"unknown fold 'third'\. Known: all, first, second"):
        runs.train(natives, tmp_path / "other", fold="third", settings=SETTINGS, device="cpu", quiet=True)


def test_static_normal_videos_can_be_learnt_from(tmp_path: Path) -> None:
    """A camera in front of a wall: nothing ever moves in the normal clips."""
    from wherewhen.video.writer import Writer

    for label, moves in (("normal", 0), ("anomalous", 3)):
        (tmp_path / label).mkdir()
        for number in range(2):
            with Writer(tmp_path / label / f"{number}.mp4", 12.5) as writer:
                for index in range(20):
                    picture = np.full((48, 64, 3), 90, np.uint8)
                    picture[10:20, index * moves : index * moves + 9] = 220 if moves else 90
                    writer.write(picture)
    model = runs.train(tmp_path, tmp_path / "run", settings=SETTINGS, device="cpu", quiet=True)
    assert np.isfinite(model.detect(tmp_path / "anomalous" / "0.mp4").scores).all()


# --- judging


def test_judging_leaves_numbers_beside_trivial_rows(model: Model, natives: Path, tmp_path: Path) -> None:
    table, quarantine, *_ = evaluation.evaluate(model, natives, tmp_path / "judged", fold="first", quiet=True)
    assert kept(tmp_path / "judged") == {
        "metrics.json", "scores.parquet", "events.json", "report.html", "log.txt", "quarantine.json"
    }  # fmt: skip
    assert not quarantine.reasons
    assert {row.method for row in table} == {"cuboid_mil", *registry.names("baselines")} - {
        "random_tube",
        "tube_oracle",
    }
    numbers = json.loads((tmp_path / "judged" / "metrics.json").read_text())
    assert (numbers["dataset"], numbers["fold"]) == ("yard", "first")
    assert len(numbers["rows"]) == len(table)
    assert set(json.loads((tmp_path / "judged" / "events.json").read_text())["videos"]) == {"n1", "a1"}
    by_name = {(row.method, row.metric): row.mean for row in table}
    assert by_name["grid_oracle", "frame_auc"] > 0.95
    assert by_name["full_frame", "frame_auc"] == 0.5
    assert by_name["motion_only", "frame_auc"] > 0.65
    with pytest.raises(ConfigError, match="unknown fold"):
        evaluation.evaluate(model, natives, tmp_path / "other", fold="third", quiet=True)


def test_labels_alone_say_which_video_and_not_when(model: Model, clips: Path, tmp_path: Path) -> None:
    made = evaluation.evaluate(model, clips, tmp_path / "judged", quiet=True)
    assert {row.metric for row in made.table} == {"vauc", "vap"} and made.families == ("video",)
    assert "frame, pixel, tiou, pointing: skipped, the truth has labels of whole videos but no times" in made.notes[0]
    page = (tmp_path / "judged" / "report.html").read_text()
    assert "labels of whole videos but no times" in page and "times unknown" in page
    with pytest.raises(DataError, match="can't be measured by frame"):
        evaluation.evaluate(model, clips, tmp_path / "none", families=("video", "frame"), quiet=True)
    assert not (tmp_path / "none").exists()


def changed(natives: Path, root: Path, clips: dict[str, dict[str, Any]]) -> Path:
    """The data set with another truth: of each clip that is named what of it changes; others are left out."""
    shutil.copytree(natives, root, copy_function=os.link)
    known = json.loads((root / "gt.json").read_text())
    for name in ("gt.json", "splits.json"):
        (root / name).unlink()
    shutil.rmtree(root / "masks", ignore_errors=True)
    told = {name: {k: v for k, v in {**known[name], **new}.items() if v is not None} for name, new in clips.items()}
    (root / "gt.json").write_text(json.dumps(told))
    return root


TIMES = {"boxes": None, "tracks": None}


@pytest.mark.parametrize(
    ("told", "families", "note"),
    [
        ({"a0": TIMES, "n0": {}}, {"frame", "video"}, "pixel, tiou, pointing: skipped, the truth has times but no"),
        ({"a0": {}}, {"frame", "pixel", "tiou", "pointing"}, "video: skipped, no video is normal"),
        ({"n0": {}, "n1": {}}, {"delay"}, "frame, video, pixel, tiou, pointing: skipped, no video is anomalous"),
        ({"n0": {}}, {"delay"}, "no video is anomalous"),
        (
            {name: {**TIMES, "segments_0based_halfopen": [[0, 25]]} for name in ("a0", "a1")} | {"n0": {}},
            {"frame", "video"},
            "every anomalous video is anomalous from its first to its last frame",
        ),
        ({"a1": {**TIMES, "segments_0based_halfopen": [[0, 25]]}}, {"delay"}, "no frame is normal"),
    ],
)
def test_whatever_the_truth_holds_is_measured(
    model: Model, natives: Path, tmp_path: Path, told: dict[str, Any], families: set[str], note: str
) -> None:
    made = evaluation.evaluate(model, changed(natives, tmp_path / "yard", told), tmp_path / "judged", quiet=True)
    assert set(made.families) == families and any(note in one for one in made.notes)
    numbers = json.loads((tmp_path / "judged" / "metrics.json").read_text())
    assert len(numbers["rows"]) == len(made.table) > 0 and set(made.notes) <= set(numbers["notes"])
    for family in families:
        names = set(registry.load("metrics", family).names)
        assert names & {row.metric for row in made.table if row.method == "cuboid_mil"}
    boxed = any(one is not TIMES and name[0] == "a" and "boxes" not in one for name, one in told.items())
    assert ("grid_oracle" in {row.method for row in made.table}) == boxed
    assert note in html.unescape((tmp_path / "judged" / "report.html").read_text())


def test_truth_of_a_part_judges_that_part(
    model: Model, natives: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = native.PLUGIN
    some = replace(real, truth=lambda root: {k: v for k, v in real.truth(root).items() if k != "n1"})
    monkeypatch.setattr(datasets, "reader_of", lambda root, name=None, folders=None: some)
    made = evaluation.evaluate(model, natives, tmp_path / "judged", quiet=True)
    assert "left out, no truth is known: n1" in made.notes
    assert set(json.loads((tmp_path / "judged" / "events.json").read_text())["videos"]) == {"n0", "a0", "a1"}


def test_judging_on_training_videos_is_called_what_it_is(
    natives: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = runs.train(natives, tmp_path / "run", fold="first", settings=SETTINGS, device="cpu", quiet=True)
    assert len(model.trained_on) == 2
    assert Model.load(tmp_path / "run").trained_on == model.trained_on
    with caplog.at_level("WARNING", "wherewhen"):
        evaluation.evaluate(model, natives, tmp_path / "all", quiet=True)
    assert "2 of these 4 videos were trained on" in caplog.text
    assert "the figures are too high" in (tmp_path / "all" / "report.html").read_text()
    caplog.clear()
    evaluation.evaluate(model, natives, tmp_path / "part", fold="first", quiet=True)
    assert "trained on" not in caplog.text


# --- folders


def test_next_folder_is_one_that_is_not_there(tmp_path: Path) -> None:
    for name in ("train", "train-2", "train-3"):
        assert runs.next_folder(tmp_path, "train").name == name
        (tmp_path / name).mkdir()


def test_latest_points_to_the_last_run_and_spares_a_folder_of_that_name(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").touch()
        runs.point_latest(tmp_path / name)
        assert (tmp_path / "latest").resolve().name == name
    (tmp_path / "latest").unlink()
    (tmp_path / "latest").mkdir()
    runs.point_latest(tmp_path / "one")
    assert not (tmp_path / "latest").is_symlink()
    (tmp_path / "latest").rmdir()
    (tmp_path / "recordings").mkdir()
    (tmp_path / "latest").symlink_to("recordings")  # somebody's own link
    runs.point_latest(tmp_path / "one")
    assert (tmp_path / "latest").resolve().name == "recordings"


# --- the few lines of Python in the readme


def test_python_in_four_lines(clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):  # the second time nothing hides the function
        model = wherewhen.train(str(clips), settings=SETTINGS, device="cpu", quiet=True)
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"train", "train-2", "latest"}
    assert wherewhen.Model.load("runs/latest", device="cpu").threshold == model.threshold
    found = model.detect(str(clips / "anomalous" / "a1.mp4"))
    assert isinstance(found, wherewhen.Result) and found.id == "a1" and found.size == (64, 48)
    assert found.scores.shape == (25,) and 0 <= found.scores.min() <= found.scores.max() <= 1
    assert found.heatmap(1.0).ndim == 2
    assert all(isinstance(event, wherewhen.Event) for event in found.events)
    for event in found.events:
        during = (found.clock[:-1] < event.end) & (found.clock[1:] > event.start)
        assert found.scores[during].max() >= 0.5
    film = found.render(tmp_path / "out.mp4")
    assert sum(1 for _ in reader.frames(film)) == 25
    assert found.timeline(tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


# --- which videos are learned from, and which are judged


def test_a_column_split_says_what_is_learned_validated_and_judged(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "yard"
    shutil.copytree(clips, root)
    for label in ("normal", "anomalous"):
        video = next((root / label).glob("*0.mp4"))
        for number in (5, 6):
            (video.parent / f"{label[0]}{number}.mp4").write_bytes(video.read_bytes() + bytes(number))
    parts = {"0": "train", "1": "test", "5": "train", "6": "val"}
    rows = [
        f"{path.parent.name}/{path.name},{int(path.parent.name == 'anomalous')},{parts[path.stem[1]]}"
        for path in sorted(root.glob("*/*.mp4"))
    ]
    (root / "labels.csv").write_text("\n".join(["path,label,split", *rows]))
    told = []
    real = fit.split_videos
    monkeypatch.setattr(fit, "split_videos", lambda *args: told.append(real(*args)) or real(*args))
    settings = {"training": {"steps": 6, "bags": 2, "validate_every": 2}}
    model = runs.train(root, tmp_path / "run", settings=settings, device="cpu", quiet=True)
    learned, held = ([v.id for v in part] for part in told[0])
    assert learned == ["anomalous/a0", "anomalous/a5", "normal/n0", "normal/n5"]
    assert held == ["anomalous/a6", "normal/n6"]
    numbers = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert numbers["videos"] == 6 and "validation_vauc" in numbers
    log = (tmp_path / "run" / "log.txt").read_text()
    assert "fold split: 6 videos to train on, 2 of them to choose the model by" in log
    assert len(model.trained_on) == 6

    again = runs.train(root, tmp_path / "all", settings=settings, fold="all", device="cpu", quiet=True)
    assert len(again.trained_on) == 8


def test_folders_of_ones_own_names_train_from_the_command_line(clips: Path, tmp_path: Path) -> None:
    root = tmp_path / "yard"
    shutil.copytree(clips / "normal", root / "noFight")
    shutil.copytree(clips / "anomalous", root / "Fight")
    words = ["train", str(root), "--output", str(tmp_path / "run"), "--training.steps", "3", "--quiet"]
    assert cli.main(words) == 1
    assert cli.main([*words, "--normal", "noFight", "--anomalous", "Fight"]) == 0
    config = (tmp_path / "run" / "metrics.json").read_text()
    assert json.loads(config)["videos"] == 4

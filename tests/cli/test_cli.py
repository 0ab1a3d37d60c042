"""The command line, from the words that a user types to what is printed, written and returned."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from wherewhen import cli
from wherewhen.core import registry
from wherewhen.inference.model import Model
from wherewhen.inference.model_config import ModelConfig

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is written without being told where lands in a folder of the test's own."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line: exit code, what was printed, and what was told on the side."""

    def command(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = cli.main([str(word) for word in words])
        except SystemExit as stop:  # help texts end this way
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return command


@pytest.fixture(scope="module")
def trained(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model by the command line."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    words = ["train", clips, "--output", folder, "--training.steps", 20, "--seed", 3, "--device", "cpu", "--quiet"]
    assert cli.main([str(word) for word in words]) == 0
    return folder


# --- train


def test_train_says_what_comes_next_and_what_it_was_told_for_nothing(clips: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "own.yaml").write_text("tubes: {part: 1.28}")  # a file may hold settings of several methods
    words = ["--training.steps=2", "-c", tmp_path / "own.yaml", "--device", "cpu", "--quiet"]
    code, out, err = run("train", clips, "--output", tmp_path / "run", *words)
    assert code == 0 and "settings of tubes have no effect" in " ".join(err.split())
    assert f"wherewhen detect VIDEO --model {tmp_path / 'run'}" in out
    assert (
        "of 2 normal training videos would alarm, out of fold: each by a model that was not trained on it; AUC" in out
    )
    assert (tmp_path / "run" / "weights" / "best.safetensors").exists()


def test_what_is_not_given_stays_the_methods_own(trained: Path) -> None:
    config = Model.load(trained, device="cpu").config
    expected = ModelConfig.of({"training": {"steps": 20}, "seed": 3})
    assert config == expected
    assert expected.training != ModelConfig.of().training
    assert yaml.safe_load((trained / "config.yaml").read_text()) == json.loads(json.dumps(config.plain()))


def test_settings_come_by_dots_and_files_and_dots_win(clips: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "own.yaml").write_text("seed: 5\ntraining: {steps: 3}\ncuboid_mil: {hidden: 7, dropout: 0.25}\n")
    words = ["-c", tmp_path / "own.yaml", "--cuboid_mil.hidden", 9, "--regions.top=2", "--validation", 0.5]
    code, _, _ = run("train", clips, "--output", tmp_path / "run", *words, "--device", "cpu", "--quiet")
    assert code == 0
    settings = {"cuboid_mil": {"hidden": 9, "dropout": 0.25}, "regions": {"top": 2}}
    expected = ModelConfig.of({**settings, "seed": 5, "training": {"steps": 3}, "validation": 0.5})
    assert ModelConfig.of(yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())) == expected


def test_printed_settings_of_tubes_hold_for_all_their_views(clips: Path, run: Run) -> None:
    """Where they were printed as well, those of ``tube_frames`` would stay as they were when ``tubes`` are changed."""
    words = ["--method", "mgpr", "--tubes.shape.multivariate", "--tubes.boxes.rate", "6"]
    code, out, _ = run("train", clips, *words, "--print-config")
    told = yaml.safe_load(out)
    assert code == 0 and told["tubes"]["boxes"] == {"rate": 6} and "tube_frames" not in told and "videolets" in told
    kept = ("method", "instances", "tubes", "videolets", "mgpr")
    settings = ModelConfig.of({key: told[key] for key in kept}).settings
    assert settings["tube_frames"] == settings["tubes"] and settings["tubes"].shape.multivariate


def test_print_config_prints_every_setting_and_can_be_read_back(
    clips: Path, trained: Path, tmp_path: Path, run: Run
) -> None:
    words = ["--method", "cuboid_mil", "--training.steps", 20, "--seed", 3, "--print-config"]
    code, out, _ = run("train", clips, *words)
    assert code == 0
    told = yaml.safe_load(out)
    config = ModelConfig.of({"training": {"steps": 20}, "seed": 3})
    assert {key: told[key] for key in config.plain()} == json.loads(json.dumps(config.plain()))
    (tmp_path / "all.yaml").write_text(out)
    words = ["--output", tmp_path / "run", "-c", tmp_path / "all.yaml", "--device", "cpu", "--quiet"]
    assert run("train", clips, *words)[0] == 0, "a file after a flag does not take its place"
    same = "weights/best.safetensors"
    assert (tmp_path / "run" / same).read_bytes() == (trained / same).read_bytes()


def test_print_config_leaves_open_what_follows_from_the_chosen_method(clips: Path, run: Run) -> None:
    code, out, _ = run("train", clips, "--cells.rows", 3, "--gclnc.width", 4, "--print-config")
    printed = yaml.safe_load(out)
    assert code == 0 and printed["method"] == "auto" and printed["auto"]["minutes"] == 10
    assert printed["cells"] == {"rows": 3} and "training" not in printed and "cuboid_mil" not in printed
    assert printed["motion"] and printed["regions"]
    code, out, _ = run("train", clips, "--training.steps", 2, "--print-config")
    assert yaml.safe_load(out)["training"] == {"steps": 2}


def test_a_run_folder_is_the_config_of_the_next_run(clips: Path, trained: Path, tmp_path: Path, run: Run) -> None:
    words = ["-c", trained / "config.yaml", "--output", tmp_path / "run", "--device", "cpu", "--quiet"]
    assert run("train", clips, *words)[0] == 0
    assert (tmp_path / "run/config.yaml").read_bytes() == (trained / "config.yaml").read_bytes()


def test_resume_asks_for_the_same_settings(clips: Path, trained: Path, run: Run) -> None:
    code, _, err = run("train", clips, "--output", trained, "--device", "cpu")
    assert code == 2 and "holds a run already; add --resume" in err
    code, _, err = run("train", clips, "--output", trained, "--device", "cpu", "--resume")
    assert code == 2 and "training.steps was 20" in err and f"-c {trained / 'config.yaml'}" in err
    before = {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()}
    words = ["-c", trained / "config.yaml", "--resume", "--device", "cpu", "--quiet"]
    assert run("train", clips, "--output", trained, *words)[0] == 0
    assert {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()} == before


def test_a_broken_video_gives_exit_code_3_and_the_rest_is_done(clips: Path, tmp_path: Path, run: Run) -> None:
    for source in clips.rglob("*.mp4"):
        (tmp_path / "in" / source.parent.name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / source.parent.name / source.name).symlink_to(source)
    (tmp_path / "in/anomalous/bad.mp4").write_bytes(b"not a video")
    words = ["--output", tmp_path / "run", "--training.steps", 2, "--device", "cpu", "--quiet"]
    code, _, err = run("train", tmp_path / "in", *words)
    assert code == 3 and "bad" in err
    code, out, _ = run("detect", tmp_path / "in", "--model", tmp_path / "run", "--output", tmp_path / "found",
                       "--no-render", "--device", "cpu", "--quiet")  # fmt: skip
    assert code == 3 and out.count(" events") == 4
    assert [row["path"] for row in json.loads((tmp_path / "found/quarantine.json").read_text())] == [
        "../in/anomalous/bad.mp4"
    ]
    assert len(json.loads((tmp_path / "found/events.json").read_text())["videos"]) == 4
    (tmp_path / "in/anomalous/bad.mp4").unlink()
    words[1] = tmp_path / "whole"
    assert run("train", tmp_path / "in", *words)[0] == 0


# --- detect and evaluate


def test_detect_prints_events_and_writes_them(clips: Path, trained: Path, tmp_path: Path, run: Run) -> None:
    words = ["--model", trained, "--output", tmp_path / "found", "--device", "cpu", "--quiet"]
    code, out, _ = run("detect", clips / "anomalous", *words)
    assert code == 0
    assert f"written: {tmp_path / 'found'}" in out
    written = json.loads((tmp_path / "found/events.json").read_text())
    for name in ("a0", "a1"):
        assert f"{name}: {len(written['videos'][name]['events'])} events" in out
        assert (tmp_path / "found" / f"{name}.mp4").stat().st_size > 0
        assert (tmp_path / "found" / f"{name}.png").stat().st_size > 0
    words[3] = tmp_path / "json"
    code, out, _ = run("detect", clips / "anomalous/*.mp4", *words, "--json", "--no-render", "--which", "last")
    assert code == 0
    assert set(json.loads(out)["videos"]) == {"a0", "a1"}
    assert not list((tmp_path / "json").glob("*.mp4"))


def test_sensitivity_can_be_changed_after_training(clips: Path, trained: Path, tmp_path: Path, run: Run) -> None:
    words = ["detect", clips / "anomalous/a1.mp4", "--model", trained, "--no-render", "--json"]
    _, usual, _ = run(*words, "--output", tmp_path / "usual")
    top = max(float(line.split(",")[-1]) for line in (tmp_path / "usual/scores.csv").read_text().split()[1:])
    events = {}
    for name, more in {
        "deaf": ["--threshold", min(top + 0.001, 1)],
        "keen": ["--threshold", 0.05, "--regions.cooldown_seconds", 60],
        "back": ["--threshold=0.5"],
    }.items():
        code, out, _ = run(*words, "--output", tmp_path / name, *more)
        assert code == 0
        events[name] = json.loads(out)["videos"]["a1"]["events"]
        assert (tmp_path / name / "scores.csv").read_text() == (tmp_path / "usual/scores.csv").read_text()
    assert events["deaf"] == [] or top == 1
    assert len(events["keen"]) >= 1 and all(event["score"] >= 0.05 for event in events["keen"])
    assert events["back"] == json.loads(usual)["videos"]["a1"]["events"]
    code, _, err = run(*words, "--output", tmp_path / "no", "--threshold", 1.5)
    assert code == 2 and "threshold: expected a score from 0 to 1 (as trained: 0.5), got 1.5" in err
    code, _, err = run(*words, "--output", tmp_path / "no", "--regions.top", 5)
    assert code == 2 and "regions.top: the threshold was chosen with 3; train with it" in err


def test_detect_says_what_it_can_not_do(clips: Path, trained: Path, tmp_path: Path, run: Run) -> None:
    code, _, err = run("detect", clips, "--model", tmp_path / "none", "--output", tmp_path / "found")
    assert code == 1 and "no model there" in err and "wherewhen train" in err
    code, _, err = run("detect", tmp_path / "none.mp4", "--model", trained, "--output", tmp_path / "found")
    assert code == 1 and "there is no such file or folder" in err
    assert not (tmp_path / "found").exists()


def test_evaluate_prints_a_table_with_trivial_rows(natives: Path, trained: Path, tmp_path: Path, run: Run) -> None:
    words = ["--fold", "first", "--metrics", "frame,pointing", "--output", tmp_path / "judged", "--device", "cpu"]
    code, out, _ = run("evaluate", natives, "--model", trained, *words)
    assert code == 0
    assert "| method | backbone | frame_auc |" in out
    for name in ["cuboid_mil", *registry.names("baselines")]:
        assert (f"| {name} | motion |" in out) == ("tube" not in name)
    code, told, _ = run("evaluate", natives, "--model", trained, *words, "--json", "--quiet")
    rows = json.loads(told)["rows"]
    assert code == 0 and rows == json.loads((tmp_path / "judged/metrics.json").read_text())["rows"]
    assert {"report.html", "scores.parquet", "events.json", "log.txt"} <= {
        p.name for p in (tmp_path / "judged").iterdir()
    }
    code, _, err = run("evaluate", natives, "--model", trained, "--metrics", "fraem")
    assert code == 2 and "did you mean 'frame'" in err


def test_bench_writes_table_and_report(natives: Path, tmp_path: Path, run: Run) -> None:
    words = ["--training.steps", 2, "--metrics", "frame", "--workers", 1, "--quiet"]
    code, out, _ = run("bench", natives, *words, "--output", tmp_path / "out")
    assert code == 0
    assert "| cuboid_mil | motion |" in out and "| central_box | motion |" in out
    code, told, _ = run("bench", natives, *words, "--json")
    made = json.loads(told)
    assert made["folds"] == 2 and {row["n"] for row in made["rows"] if row["metric"] == "frame_auc"} == {2}
    assert (
        made["configs"][0]["training"]
        == json.loads(json.dumps(ModelConfig.of({"training": {"steps": 2}}).plain()))["training"]
    )
    assert {"bench.json", "bench.md", "report.html"} <= {path.name for path in (tmp_path / "out").iterdir()}


# --- list, toy


@pytest.mark.parametrize("kind", registry.KINDS)
def test_list_shows_every_plugin(kind: str, run: Run) -> None:
    code, out, _ = run("list", kind)
    assert code == 0
    lines = {line.split()[0] for line in out.splitlines() if line and not line.startswith(" ")}
    assert lines == (set(registry.names(kind)) or {"no"})
    code, out, _ = run("list", kind, "--json")
    rows = json.loads(out)
    assert code == 0 and [row["name"] for row in rows] == registry.names(kind)
    assert all(row["title"] and "\n" not in row["title"] for row in rows)


def test_toy_draws_a_data_set_that_can_be_read(tmp_path: Path, run: Run) -> None:
    sizes = ["--normal-clips", 1, "--anomalous-clips", 1, "--seconds", 4, "--width", 64, "--height", 48, "--rate", 5]
    code, out, _ = run("toy", "--output", tmp_path / "toy", *sizes, "--kinds", "wheels", "--quiet")
    assert code == 0 and "written" in out
    videos = registry.load("datasets", "native").load(tmp_path / "toy").videos
    assert sorted(str(video.category) for video in videos) == ["None", "wheels"]
    code, _, err = run("toy", "--output", tmp_path / "toy", *sizes, "--quiet")
    assert code == 1 and str(tmp_path / "toy") in err


# --- what can't be meant


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["trian"], "unknown verb 'trian'; did you mean 'train'?"),
        (["train", "x", "--outptu", "y"], "unknown option '--outptu'; did you mean '--output'?"),
        (["extract", "x", "--backbone", "pixels"], "unknown option '--backbone'; did you mean '--backbones'?"),
        (["train", "x", "--training.stepps", "2"], "did you mean '--training.steps'?"),
        (["train", "x", "--cuboid_mil.hiden=2"], "did you mean '--cuboid_mil.hidden'?"),
        (["train", "x", "--cuboid_mill.hidden", "2"], "did you mean '--cuboid_mil'?"),
        (["train", "x", "--method", "cuboid_mill"], "unknown method 'cuboid_mill'; did you mean 'cuboid_mil'?"),
        (["train", "x", "--method", "mgpr", "--tubes.box.rate", "6"], "did you mean '--tubes"),
        (["train", "x", "--method", "mgpr", "--tubes.boxes.rat", "6"], "unknown setting of motion 'rat'; did you mean"),
        (["train", "x", "--movers.proposals", "motion", "--movers.boxs.rate", "6"], "did you mean 'boxes'?"),
        (["train", "x", "--training.steps", "many"], "training.steps"),
        (["train", "x", "--training.steps", "0"], "steps, bags and validate_every must be at least 1"),
        (["train", "x", "--seed", "x"], "seed"),
        (["train", "x", "--validation", "1.5"], "share of the training videos"),
        (["train"], "train needs DATA: folder with normal/"),
        (["detect"], "detect needs SOURCE: video file, folder"),
        (["features"], "features needs verify|import"),
        (["list", "method"], "did you mean 'methods'?"),
        (["train", "x", "-c", "none.yaml"], "none.yaml: no such settings file"),
    ],
)
def test_words_that_can_not_be_meant_are_told(words: list[str], told: str, run: Run, tmp_path: Path) -> None:
    code, out, err = run(*words)
    assert code == 2 and told in err and out == ""
    assert err.startswith("error: ") and "Traceback" not in err
    assert not list((tmp_path / "here").iterdir())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("cuboid_mil: {hiden: 3}", "hiden"),
        ("trainig: {steps: 3}", "trainig"),
        ("training: {stepps: 3}", "stepps"),
        ("- 1", "expected settings"),
        ("training: 5", "settings of training: expected 'name: value' pairs, got 5"),
        ("motion: [1]", "settings of motion: expected 'name: value' pairs, got a list of 1"),
        ("1: 2", "unknown setting of train '1'"),
        ("seed: x", "seed: expected a whole number, got 'x'"),
        ("seed: 1.5", "seed: expected a whole number, got 1.5"),
        ("quiet: maybe", "quiet: expected true or false"),
        ("validation: .nan", "not finite"),
        ("movers: 3", "movers: expected text or 'name: value' pairs"),
        ("method: [a]", "method: expected text"),
        ("config: /etc/passwd", "unknown setting of train 'config'"),
        ("cuboid_mil: /etc/passwd", "settings of cuboid_mil: expected 'name: value' pairs, got '/etc/passwd'"),
        ("movers: {proposals: motion, tracks: /etc/passwd}", "tracks: expected 'name: value' pairs, got '/etc/passwd'"),
        ("movers: {proposals: motion, boxes: {rate: {class_path: antigravity.x}}}", "rate: expected"),
        ("a: &a [b]\nb: *a", "line 2: an alias"),
        ("seed: 1\nseed: 2", "'seed' is repeated"),
        ("training.steps: 5\ntraining: 7", "settings of training"),
    ],
)
def test_files_that_can_not_be_meant_are_told(text: str, told: str, clips: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "wrong.yaml").write_text(text)
    code, _, err = run("train", clips, "-c", tmp_path / "wrong.yaml", "--output", tmp_path / "run")
    assert code == 2 and told in err
    assert not (tmp_path / "run").exists()


def test_a_settings_file_may_say_what_the_command_line_would(clips: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "all.yaml").write_text(f"data: {clips}\noutput: {tmp_path / 'run'}\ntraining.steps: 2\nquiet: true")
    assert run("train", "-c", tmp_path / "all.yaml", "--device", "cpu")[0] == 0
    assert Model.load(tmp_path / "run", device="cpu").config.training.steps == 2
    for words in (["-c"], ["--config"], ["-c", tmp_path]):
        assert run("train", clips, *words)[0] == 2


def test_no_settings_file_gives_consent(clips: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.jit, "load", lambda *args, **more: pytest.fail("code was run"))
    (tmp_path / "net.pt").write_bytes(b"code")
    text = f"backbone: file\nfile: {{path: {tmp_path / 'net.pt'}, trust: true}}\ntrust: true"
    (tmp_path / "own.yaml").write_text(text)
    for verb in ("train", "extract", "bench"):
        told = run(verb, clips, "-c", tmp_path / "own.yaml", "--output", tmp_path / "out", "--quiet")
        assert told[0] != 0 and "Traceback" not in told[2]


def test_a_section_is_no_option(clips: Path, run: Run) -> None:
    code, _, err = run("train", clips, "--motion.rate", "5", "--motion", "/etc/passwd")
    assert code == 2 and "name one of its settings: --motion.NAME VALUE" in err


def test_other_failures_have_exit_code_1(tmp_path: Path, run: Run) -> None:
    code, _, err = run("train", tmp_path / "nowhere", "--output", tmp_path / "run")
    assert code == 1 and err.strip() == f"error: {tmp_path / 'nowhere'}: no such folder"


def test_stopping_is_no_crash(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(kind: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("wherewhen.core.catalog.describe", stop)
    code, _, err = run("list", "methods")
    assert code == 130 and err == "stopped\n"


class Torch(RuntimeError):
    """As torch says it."""


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "No space", "/out/a.json"), "/out/a.json: the disk is full; make room"),
        (PermissionError(errno.EACCES, "denied", "/out"), "/out: no permission; choose another place"),
        (OSError(errno.EROFS, "ro", "/out"), "/out: the disk is read-only"),
        (OSError(errno.EMFILE, "many", "a.mp4"), "a.mp4: too many files are open in this process; raise the limit"),
        (OSError(errno.ENAMETOOLONG, "long", "x" * 9), "xxxxxxxxx: the name is too long"),
        (OSError(errno.EREMOTEIO, "Remote I/O error", "a"), "a: Remote I/O error"),
        (OSError(errno.ENOSPC, "No space"), "the disk is full"),
        (MemoryError(), "not enough memory; use fewer --workers"),
        (Torch("DefaultCPUAllocator: can't allocate memory: you tried 9 bytes"), "not enough memory (DefaultCPU"),
        (RecursionError("maximum"), "nested too deeply"),
        (UnicodeDecodeError("utf-8", b"x\xff", 1, 2, "invalid start byte"), "characters that can't be read"),
    ],
)
def test_trouble_of_the_system_is_one_line(
    error: Exception, told: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(kind: str) -> None:
        raise error

    monkeypatch.setattr("wherewhen.core.catalog.describe", fail)
    code, out, err = run("list", "methods")
    assert code == 1 and out == "" and err.startswith("error: ") and told in err and err.count("\n") == 1
    monkeypatch.setenv("WHEREWHEN_DEBUG", "1")
    code, _, err = run("list", "methods")
    assert code == 1 and "Traceback" in err and told in err.splitlines()[-1]


def test_a_fault_of_our_own_is_not_hidden(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wherewhen.core.catalog.describe", lambda kind: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run("list", "methods")


@pytest.mark.parametrize("words", [["list", "methods"], ["weights", "list"], ["train", "x", "--print-config"]])
@pytest.mark.parametrize(("sink", "told"), [("pipe", ""), ("/dev/full", "standard output: the disk is full")])
def test_a_reader_that_goes_away_ends_it_quietly(words: list[str], sink: str, told: str) -> None:
    command = [sys.executable, "-m", "wherewhen", *words]
    if sink == "pipe":
        read, write = os.pipe()
        os.close(read)
    else:
        write = os.open(sink, os.O_WRONLY)
    ended = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert ended.returncode == (141 if sink == "pipe" else 1), ended.stderr
    assert (ended.stderr == "" if not told else told in ended.stderr) and ended.stderr.count("\n") <= 1


def test_outputs_that_can_not_be_written_are_told(clips: Path, trained: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "file").write_text("in the way")
    video = clips / "anomalous/a0.mp4"
    for output in (tmp_path / "file", tmp_path / "file/deeper", tmp_path / ("x" * 300)):
        words = [video, "--model", trained, "--output", output, "--device", "cpu", "--quiet", "--no-render"]
        code, _, err = run("detect", *words)
        assert code == 1 and err.startswith("error: ") and str(output) in err and "Traceback" not in err
        code, _, err = run("train", clips, "--output", output, "--training.steps", 1, "--device", "cpu", "--quiet")
        assert code == 1 and err.startswith("error: ") and str(output) in err and "Traceback" not in err


def test_a_cache_that_can_not_be_written_stops_nothing(
    clips: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("WHEREWHEN_CACHE", str(tmp_path / "file" / "cache"))
    words = ["--training.steps", 2, "--device", "cpu", "--movers", "motion"]
    code, _, err = run("train", clips, "--output", tmp_path / "run", *words)
    assert code == 0 and "Traceback" not in err
    assert " ".join(err.split()).count("the cache can't be written (a part of the path is a file)") == 1
    words = ["--model", tmp_path / "run", "--output", tmp_path / "found", "--device", "cpu", "--no-render", "--quiet"]
    assert run("detect", clips / "anomalous", *words)[0] == 0


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_has_help(verb: str, run: Run) -> None:
    code, out, _ = run(verb, "--help")
    assert code == 0 and f"usage: wherewhen {verb}" in out
    assert " ".join(cli._summary(verb)[1].rstrip(".").split()) in " ".join(cli._overview().split())


def test_version(run: Run) -> None:
    code, out, _ = run("--version")
    assert code == 0 and out.startswith("wherewhen ")


def test_data_tells_checks_and_compares_truth(natives: Path, clips: Path, run: Run) -> None:
    code, out, _ = run("data", "truth", natives, "--json")
    rows = {row["video"]: row for row in json.loads(out)}
    assert code == 0 and len(rows) == 4
    assert rows["n0"]["anomalous"] == 0 and rows["a0"]["anomalous"] == rows["a0"]["boxes"] > 0
    code, out, _ = run("data", "truth", natives, natives)
    assert (code, out.strip()) == (0, "nothing to report")
    for root in (natives, clips):
        code, out, _ = run("data", "check", root, "--no-read-videos", "--json")
        assert code == 0 and all(row["severity"] == "info" for row in json.loads(out)), out


def test_the_first_words_are_answered(run: Run) -> None:
    code, overview, _ = run()
    assert code == 0 and all(f"\n  {verb} " in overview for verb in cli.VERBS)
    assert "wherewhen train clips/" in overview and overview == run("help")[1] == run("--help")[1]
    assert run("help", "list")[1] == run("list", "--help")[1]
    assert set(cli.MEANT.values()) <= set(cli.VERBS) and not set(cli.MEANT) & set(cli.VERBS)

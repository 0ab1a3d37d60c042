"""Training: what it learns from, that it can be killed at any moment, and what it says when it can't go on."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wherewhen import datasets
from wherewhen.api import runs
from wherewhen.core import array_files, registry
from wherewhen.core.contracts import DatasetReader, MethodAbilities, Output, Provenance, Training
from wherewhen.core.errors import ConfigError, DataError, StoreError, WherewhenError
from wherewhen.core.values import Bag, Dataset, Instances, Video
from wherewhen.extraction import loading
from wherewhen.inference import score_maps
from wherewhen.inference.model import Model
from wherewhen.inference.model_config import ModelConfig, changed_view
from wherewhen.methods.cuboid_mil import CuboidMILConfig
from wherewhen.training import fit, loop

MakeBags = Callable[..., list[Bag]]
STEPS = 24


def config(**values: Any) -> ModelConfig:
    """A small fast recipe."""
    given = {"steps": STEPS, "validate_every": 5, "bags": 3, **values.pop("training", {})}
    settings = {"cuboid_mil": {"hidden": 8, "middle": 4, "dropout": 0.5}}
    return ModelConfig.of({**settings, "training": given, **values})


def same_weights(one: Any, other: Any) -> None:
    mine, its = one.method.state_dict(), other.method.state_dict()
    assert mine.keys() == its.keys()
    for name, value in mine.items():
        assert torch.equal(value, its[name]), name


# --- carving the validation videos


labels = st.lists(st.sampled_from([0, 1]), max_size=60)


@given(labels, st.floats(0, 0.99), st.integers(0, 5))
def test_carving_keeps_every_video_once(marks: list[int], share: float, seed: int) -> None:
    videos = [Video(f"v{n}", Path("x"), label) for n, label in enumerate(marks)]
    learn, hold = fit.split_videos(videos, share, seed)
    assert sorted([*learn, *hold], key=videos.index) == videos
    assert learn == sorted(learn, key=videos.index) and hold == sorted(hold, key=videos.index)
    few = min(marks.count(0), marks.count(1)) < fit.FEW
    for label in (0, 1):
        total, held = (sum(v.label == label for v in part) for part in (videos, hold))
        if few or share == 0:
            assert held == 0
        else:
            assert 1 <= held <= total - 2
            assert abs(held - share * total) <= max(1, 0.5) or held == total - 2
    assert fit.split_videos(videos, share, seed) == (learn, hold)


def test_a_camera_learns_or_validates_where_there_are_enough() -> None:
    videos = [Video(f"v{n}", Path(f"{n}.mp4"), n % 2, camera=f"c{n // 4}") for n in range(40)]
    learn, hold = fit.split_videos(videos, 0.2, 0)
    assert len(hold) == 8 and {v.label for v in hold} == {0, 1}
    assert not {v.camera for v in learn} & {v.camera for v in hold}


def test_other_seeds_carve_others() -> None:
    videos = [Video(f"v{n}", Path("x"), n % 2) for n in range(40)]
    held = {tuple(v.id for v in fit.split_videos(videos, 0.2, seed)[1]) for seed in range(8)}
    assert len(held) == 8


def test_validation_videos_teach_nothing(toy_bags: MakeBags) -> None:
    """Whatever a held-out video shows, the last weights and the normalizer stay as they are."""
    bags = toy_bags(16)
    held = {v.id for v in fit.split_videos([b.video for b in bags], 0.2, 0)[1]}
    assert held
    other = [_shifted(bag) if bag.video.id in held else bag for bag in bags]
    one, two = (fit.fit(each, config(), device="cpu").last for each in (bags, other))
    same_weights(one, two)
    for name, array in one.normalizers["cells"].to_arrays().items():
        np.testing.assert_array_equal(array, two.normalizers["cells"].to_arrays()[name])


def _shifted(bag: Bag) -> Bag:
    rows = bag.views["cells"]
    return Bag(bag.video, {"cells": replace(rows, features=rows.features + 3)})


# --- batches


def test_a_step_draws_both_labels_without_repeats(toy_bags: MakeBags) -> None:
    batches = fit.Batches(toy_bags(16), ["cells"], 3, 0, "cpu")
    seen = set()
    for step in range(20):
        views, marks = batches.draw(step)
        assert marks.tolist() == [1, 1, 1, 0, 0, 0]
        rows = [tuple(r) for r in views["cells"].features[:, 0].tolist()]
        assert len(set(rows)) == 6
        seen |= set(rows)
    assert len(seen) == 16
    greedy = fit.Batches(toy_bags(16), ["cells"], 30, 0, "cpu")
    assert greedy.draw(0)[1].tolist() == [1] * 8 + [0] * 8


def test_what_a_step_draws_depends_on_seed_and_step_alone(toy_bags: MakeBags) -> None:
    first, second = (fit.Batches(toy_bags(16), ["cells"], 3, 7, "cpu") for _ in range(2))
    first.draw(1)
    assert torch.equal(first.draw(5)[0]["cells"].features, second.draw(5)[0]["cells"].features)


def with_versions(bags: list[Bag], count: int = 1, features: float = 0.0) -> list[Bag]:
    """The same bags with views of changed pictures, whose features are higher by so much."""
    return [
        replace(
            bag,
            views={
                **bag.views,
                **{
                    changed_view("cells", n): replace(rows, features=rows.features + n * features)
                    for n in range(1, 1 + count)
                },
            },
        )
        for bag in bags
        for rows in [bag.views["cells"]]
    ]


def test_a_step_draws_the_same_videos_each_in_one_version(toy_bags: MakeBags) -> None:
    bags = with_versions(toy_bags(16), 2, 100.0)
    versioned = fit.VersionedBags(bags, ["cells"], 3)
    assert [set(bag.views) for bag in versioned] == [{"cells"}] * 48
    plain, several = (
        fit.Batches(bags, ["cells"], 3, 0, "cpu"),
        fit.Batches(versioned, ["cells"], 3, 0, "cpu", versions=3),
    )
    assert len(several.labels) == 3 * len(plain.labels) == 48
    counts = np.zeros(3, int)
    for step in range(40):
        chosen = several.chosen(step)
        assert [k // 3 for k in chosen] == plain.chosen(step)
        counts += np.bincount([k % 3 for k in chosen], minlength=3)
        views, marks = several.draw(step)
        assert marks.tolist() == [1, 1, 1, 0, 0, 0]
        lift = views["cells"].features[:, 0].mean(1).numpy().round(-2) / 100
        assert lift.tolist() == [k % 3 for k in chosen]
    assert counts.min() > 60, "each version about as often"


def test_changed_pictures_teach_and_decide_nothing_else(toy_bags: MakeBags) -> None:
    """Weights depend on them; normalizer, bank and validation are those of the unchanged pictures."""
    bags, asked = toy_bags(16), config(augment="compression")
    held = {v.id for v in fit.split_videos([b.video for b in bags], 0.2, 0)[1]}
    same, other = with_versions(bags), with_versions(bags, features=0.5)
    spoiled = [bag if spared.video.id in held else spared for bag, spared in zip(same, other, strict=True)]
    plain, copied, changed, partly = (
        fit.fit(each, wanted, device="cpu")
        for each, wanted in ((bags, config()), (same, asked), (other, asked), (spoiled, asked))
    )
    same_weights(plain.last, copied.last)
    same_weights(changed.last, partly.last)
    assert [row["validation_loss"] for row in plain.history] == [row["validation_loss"] for row in copied.history]
    assert not torch.equal(*(next(f.last.method.parameters()) for f in (plain, changed)))
    for name, array in plain.last.normalizers["cells"].to_arrays().items():
        np.testing.assert_array_equal(array, changed.last.normalizers["cells"].to_arrays()[name])
    np.testing.assert_array_equal(plain.last.bank.features, changed.last.bank.features)


# --- interrupted and resumed


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, toy_bags: MakeBags) -> tuple[Path, fit.Fitted]:
    folder = tmp_path_factory.mktemp("undisturbed")
    return folder, fit.fit(toy_bags(16), config(), folder=folder, device="cpu")


@contextmanager
def interrupted_at(stop: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Training within is interrupted when it draws the batch of a step."""
    draw = fit.Batches.draw

    def interrupted(self: fit.Batches, step: int) -> Any:
        if step == stop:
            raise KeyboardInterrupt
        return draw(self, step)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(fit.Batches, "draw", interrupted)
        yield


@pytest.mark.parametrize(
    ("optimizer", "stops"),
    [("adam", (3,)), ("adam", (STEPS - 1,)), *((o, (4, 5, 11, 22)) for o in ("adam", "adamw", "adagrad", "sgd"))],
)
def test_a_run_killed_at_any_step_goes_on_to_the_same_weights(
    stops: tuple[int, ...], optimizer: str, toy_bags: MakeBags, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = config(training={"optimizer": optimizer, "learning_rate": 0.01})
    straight = fit.fit(toy_bags(16), made, folder=tmp_path / "straight", device="cpu")
    for stop in stops:
        with interrupted_at(stop, monkeypatch):
            fit.fit(toy_bags(16), made, folder=tmp_path / "killed", device="cpu", resume=True)
    torch.manual_seed(99)
    resumed = fit.fit(toy_bags(16), made, folder=tmp_path / "killed", device="cpu", resume=True)
    same_weights(resumed.last, straight.last)
    same_weights(resumed.best, straight.best)
    assert resumed.history == straight.history
    assert (resumed.best.threshold, resumed.last.threshold) == (straight.best.threshold, straight.last.threshold)
    assert (tmp_path / "killed/training.csv").read_bytes() == (tmp_path / "straight/training.csv").read_bytes()


@pytest.mark.parametrize("when", ["save", "log"])
def test_a_run_killed_while_it_writes_goes_on_too(
    when: str, undisturbed: tuple[Path, fit.Fitted], toy_bags: MakeBags, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Between two looks nothing is half written: a checkpoint is there whole, or the one before is."""
    calls = 0

    def dying(*_: Any, **__: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt

    place = (loop.State, "save") if when == "save" else (loop.Logbook, "__call__")
    real = getattr(*place)

    def wrapped(*args: Any) -> Any:
        dying()
        return real(*args)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(*place, wrapped)
        fit.fit(toy_bags(16), config(), folder=tmp_path, device="cpu")
    resumed = fit.fit(toy_bags(16), config(), folder=tmp_path, device="cpu", resume=True)
    same_weights(resumed.last, undisturbed[1].last)
    same_weights(resumed.best, undisturbed[1].best)


CHILD = """
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
import torch
torch.set_num_threads(1)
from wherewhen.training import fit as training
from wherewhen.inference.model_config import ModelConfig, changed_view

spec = spec_from_file_location("worlds", sys.argv[2])
worlds = module_from_spec(spec)
spec.loader.exec_module(worlds)
made = {"cuboid_mil": {"hidden": 8, "middle": 4}, "training": {"steps": 100000, "validate_every": 1, "bags": 2}}
bags = [worlds._toy_bag(n, n % 2) for n in range(8)]
training.fit(bags, ModelConfig.of(made), folder=Path(sys.argv[1]), device="cpu")
"""


def test_kill_minus_nine_leaves_a_checkpoint_that_can_be_read(tmp_path: Path, toy_bags: MakeBags) -> None:
    """A process that is killed for real, in the middle of writing as often as not."""
    world = Path(__file__).parents[1] / "conftest.py"
    child = subprocess.Popen([sys.executable, "-c", CHILD, tmp_path, world], env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        checkpoint = tmp_path / "weights" / "checkpoint.safetensors"
        for _ in range(600):
            if checkpoint.exists() or child.poll() is not None:
                break
            time.sleep(0.1)
        time.sleep(0.3)
        assert child.poll() is None, "it should run until it is killed"
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    arrays, kept = array_files.load(checkpoint)
    assert kept["step"] == len(kept["history"]) > 0
    assert {name.split(".")[0] for name in arrays} == {"method", "best", "optimizer"}
    rows = (tmp_path / "training.csv").read_text().splitlines()[1:]
    assert len(rows) >= kept["step"] - 1


def _flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-5] ^= 64
    path.write_bytes(data)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _rewritten(path: Path, change: Callable[[dict[str, Any], dict[str, Any]], object]) -> None:
    """Changed with a digest that fits, or none, as a file of an earlier version has it."""
    arrays, kept = array_files.load(path)
    kept.pop("digest")
    change(arrays, kept)
    array_files.save(path, arrays, kept, ours=True)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda path: path.write_bytes(b""), "not a readable safetensors file"),
    "text": (lambda path: path.write_text("no checkpoint at all"), "not a readable safetensors file"),
    "cut": (_cut, "it is not whole"),
    "flipped": (_flipped, "damaged, its numbers are not those that were written"),
    "no weights": (lambda path: _rewritten(path, lambda a, _: a.clear()), "not a checkpoint of this training"),
    "no step": (lambda path: _rewritten(path, lambda _, kept: kept.pop("step")), "not a checkpoint of this training"),
    "step": (lambda path: _rewritten(path, lambda _, kept: kept.update(step="x")), "not a checkpoint of this training"),
    "rows": (lambda path: _rewritten(path, lambda _, kept: kept.update(history=[3])), "not a checkpoint of this"),
    "frozen": (lambda path: _rewritten(path, lambda _, kept: kept.update(frozen=7)), "not a checkpoint of this"),
    "slot": (lambda path: _rewritten(path, lambda a, _: a.update({"optimizer.x": np.ones(1)})), "not a checkpoint of"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_an_error_that_says_how_to_go_on(
    damage: str, undisturbed: tuple[Path, fit.Fitted], toy_bags: MakeBags, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "weights" / "checkpoint.safetensors"
    checkpoint.parent.mkdir()
    shutil.copyfile(undisturbed[0] / "weights" / "checkpoint.safetensors", checkpoint)
    change, told = DAMAGES[damage]
    change(checkpoint)
    with pytest.raises(StoreError, match=told) as caught:
        fit.fit(toy_bags(16), config(), folder=tmp_path, device="cpu", resume=True)
    assert str(checkpoint) in str(caught.value) and "remove it, and --resume begins" in str(caught.value)


def test_other_data_or_settings_are_refused(undisturbed: tuple[Path, fit.Fitted], toy_bags: MakeBags) -> None:
    folder, _ = undisturbed
    bags = toy_bags(16)
    for wrong, settings in (
        (bags[:-1], config()),
        ([_shifted(bags[0]), *bags[1:]], config()),
        (bags, config(seed=1)),
        (bags, config(training={"learning_rate": 0.5})),
    ):
        with pytest.raises(StoreError, match="begun with other data or settings; choose another --output"):
            fit.fit(wrong, settings, folder=folder, device="cpu", resume=True)
    done = fit.fit(bags, config(), folder=folder, device="cpu", resume=True)
    same_weights(done.last, undisturbed[1].last)


def test_without_resume_a_run_begins_anew(undisturbed: tuple[Path, fit.Fitted], toy_bags: MakeBags) -> None:
    folder, before = undisturbed
    again = fit.fit(toy_bags(16), config(), folder=folder, device="cpu")
    assert again.history == before.history


# --- what comes out


def test_best_is_the_one_that_validation_liked_best(toy_bags: MakeBags, tmp_path: Path) -> None:
    made = config(training={"learning_rate": 0.05, "steps": 40})
    snapshots: dict[int, dict[str, Any]] = {}
    look = loop.State.save

    def keep(self: loop.State, *args: Any) -> None:
        snapshots[self.step] = {k: v.clone() for k, v in self.method.state_dict().items()}
        look(self, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop.State, "save", keep)
        fitted = fit.fit(toy_bags(16), made, folder=tmp_path, device="cpu")
    losses = {int(row["step"]): row["validation_loss"] for row in fitted.history}
    assert list(losses) == list(snapshots) == [5, 10, 15, 20, 25, 30, 35, 40]
    least = max(step for step, loss in losses.items() if loss == min(losses.values()))
    for name, value in fitted.best.method.state_dict().items():
        assert torch.equal(value, snapshots[least][name])
    for name, value in fitted.last.method.state_dict().items():
        assert torch.equal(value, snapshots[40][name])


def test_without_validation_the_last_is_the_best(toy_bags: MakeBags) -> None:
    fitted = fit.fit(toy_bags(16), config(validation=0.0), device="cpu")
    same_weights(fitted.last, fitted.best)
    assert all(row["validation_loss"] == row["loss"] for row in fitted.history)


def test_the_log_tells_what_happened(undisturbed: tuple[Path, fit.Fitted]) -> None:
    folder, fitted = undisturbed
    with (folder / "training.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [5, 10, 15, 20, STEPS]
    for row, kept in zip(rows, fitted.history, strict=True):
        assert {name: float(value) for name, value in row.items()} == kept
        assert kept["loss"] == pytest.approx(kept["ranking"])
    assert list((folder / "tensorboard").glob("events.*"))


def test_the_threshold_lies_between_calm_and_alarm(toy_bags: MakeBags, toy_bag: Callable[..., Bag]) -> None:
    model = fit.fit(toy_bags(16), config(training={"steps": 60, "learning_rate": 0.01}), device="cpu").last
    peaks: dict[int, list[float]] = {0: [], 1: []}
    for number in range(30, 50):
        views = model.normalized(toy_bag(number, number % 2).views)
        raw = [score for _, score in model.localizer.raw(score_maps.heat([(views["cells"], model.scores(views))]))]
        peaks[number % 2].append(max(raw))
    assert np.median(peaks[0]) < model.threshold < np.median(peaks[1])


def test_the_bank_holds_normal_cells_alone(toy_bags: MakeBags) -> None:
    bags = toy_bags(16)
    model = fit.fit(bags, config(), device="cpu").last
    normal = np.concatenate([model.normalized(b.views)["cells"].features for b in bags if b.video.label == 0])
    known = {row.tobytes() for row in normal}
    assert 0 < len(model.bank.features) <= fit.BANK
    assert all(row.tobytes() in known for row in model.bank.features)


# --- what it says when it can't


def test_a_loss_that_is_not_finite_is_told(toy_bags: MakeBags, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(self: Any, output: Any, bags: Any, labels: Any) -> dict[str, torch.Tensor]:
        return {"ranking": output.scores.sum() * np.nan}

    monkeypatch.setattr(config().part("method"), "loss", lost)
    with pytest.raises(DataError, match=r"not finite at step 0; lower --training\.learning_rate"):
        fit.fit(toy_bags(8), config(), device="cpu")


@pytest.mark.parametrize("name", ["steps", "bags", "validate_every", "learning_rate"])
def test_senseless_ways_of_training_are_config_errors(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        config(training={name: 0})


def test_missing_labels_are_told(toy_bags: MakeBags) -> None:
    bags = toy_bags(8)
    nameless = [Bag(replace(bags[0].video, label=None), bags[0].views), *bags[1:]]
    with pytest.raises(DataError, match="needs a label on every video; none on v0"):
        fit.fit(nameless, config(), device="cpu")
    for label, word in ((0, "normal"), (1, "anomalous")):
        with pytest.raises(DataError, match=f"there is no {word} one"):
            fit.fit([b for b in bags if b.video.label != label], config(), device="cpu")
    with pytest.raises(DataError, match="there is no normal one"):
        fit.fit([], config(), device="cpu")


def test_a_device_that_is_not_here_is_told(toy_bags: MakeBags) -> None:
    with pytest.raises(WherewhenError, match="device 'cuda:9' can't be used here"):
        fit.fit(toy_bags(8), config(), device="cuda:9")


def test_two_videos_are_enough(toy_bag: Callable[..., Bag]) -> None:
    fitted = fit.fit([toy_bag(0, 0, 1), toy_bag(1, 1, 3)], config(), device="cpu")
    assert np.isfinite(fitted.last.threshold)


# --- weak supervision is a type


def test_training_never_asks_for_truth(toy_bags: MakeBags, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A data set whose truth can't be read can still be learnt from."""
    made = toy_bags(8)
    for bag in made:
        (tmp_path / bag.video.path).write_bytes(bag.video.id.encode())
    videos = tuple(replace(b.video, path=tmp_path / b.video.path) for b in made)
    looks: dict[str, Instances] = {b.video.id: b.views["cells"] for b in made}

    def forbidden(root: Path) -> dict[str, Any]:
        raise AssertionError("training asked for the truth")

    blind = DatasetReader(Provenance("x"), bool, lambda root: Dataset("x", videos), forbidden)
    monkeypatch.setattr(datasets, "reader_of", lambda root, name=None, folders=None: blind)
    monkeypatch.setattr(loading, "bags", lambda seen, *_, **__: [Bag(v, {"cells": looks[v.id]}) for v in seen])
    monkeypatch.setattr("wherewhen.api.training_results.write", lambda *_: None)
    model = runs.train(tmp_path, tmp_path / "run", settings={"training": {"steps": 2}}, device="cpu", quiet=True)
    assert model.config.training.steps == 2


# --- methods that study their training set


class Pupil(torch.nn.Module):
    """Keeps the mean length of normal cells as a buffer, learns a scale, freezes a part in its second stage."""

    Config, schedule, presets = CuboidMILConfig, Training(steps=STEPS), {}
    source, views, reach = Provenance("Pupil", citation="none"), ("cells",), 0.0
    stages, abilities = 3, MethodAbilities(averages_time=True)
    seen: ClassVar[list[tuple[int, int, int]]] = []

    def __init__(self, config: Any, dims: dict[str, int]) -> None:
        super().__init__()
        self.register_buffer("usual", torch.zeros(()))
        self.first, self.second = torch.nn.Linear(dims["cells"], 1), torch.nn.Linear(dims["cells"], 1)

    def study(self, stage: int, bags: Any) -> None:
        assert not self.training and not torch.is_grad_enabled()
        marks = []
        for views, label in bags:
            assert label.shape == (1,) and len(views["cells"].features) == 1
            marks.append((int(label), float(self(views).scores.mean())))
        self.usual.fill_(sum(score for label, score in marks if not label) + torch.rand(()))
        self.first.requires_grad_(stage != 1)
        self.seen.append((stage, len(marks), sum(label for label, _ in marks)))

    def forward(self, bags: Any) -> Output:
        view = bags["cells"]
        scores = torch.sigmoid(self.first(view.features) + self.second(view.features) - self.usual).squeeze(-1)
        return Output(scores * view.mask)

    def loss(self, output: Output, bags: Any, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"push": ((output.scores.amax(1) - labels) ** 2).mean()}


@pytest.fixture
def pupil(monkeypatch: pytest.MonkeyPatch) -> ModelConfig:
    real = registry.load

    def load(kind: str, name: str) -> Any:
        return Pupil if (kind, name) == ("methods", "pupil") else real(kind, name)

    monkeypatch.setattr(registry, "load", load)
    monkeypatch.setattr(Pupil, "seen", [])
    training = {"steps": STEPS, "validate_every": 5, "bags": 3, "learning_rate": 0.05, "weight_decay": 0.1}
    return ModelConfig.of({"method": "pupil", "training": training})


@pytest.mark.parametrize(("steps", "stages"), [(24, 3), (5, 2), (7, 7), (3, 5), (10, 1)])
def test_steps_are_cut_into_equal_stages(steps: int, stages: int) -> None:
    found = [loop.stages_at(step, steps, stages) for step in range(steps)]
    assert [stage for part in found for stage in part] == list(range(stages))
    starts = [step for step, part in enumerate(found) for _ in part]
    sizes = np.diff([*starts, steps])
    assert sizes.max() - sizes.min() <= 1


def test_a_student_sees_its_learning_bags_before_every_stage(pupil: ModelConfig, toy_bags: MakeBags) -> None:
    bags = toy_bags(16)
    learn, _ = fit.split_videos([b.video for b in bags], 0.2, 0)
    fitted = fit.fit(bags, pupil, device="cpu")
    assert Pupil.seen == [(stage, len(learn), sum(v.label == 1 for v in learn)) for stage in range(3)]
    assert float(fitted.last.method.usual) > 0


def test_what_is_frozen_does_not_move_nor_decay(pupil: ModelConfig, toy_bags: MakeBags) -> None:
    looks: list[Model] = []

    def judge(model: Model) -> float:
        looks.append(model)
        return 0.0

    fit.fit(toy_bags(16), pupil, device="cpu", judge=judge)
    first, second = ([m.method.state_dict()[f"{name}.weight"] for m in looks] for name in ("first", "second"))
    assert torch.equal(first[1], first[2]), "looks at steps 10 and 15 lie in the frozen stage"
    assert not torch.equal(first[0], first[1]) and not torch.equal(first[3], first[4])
    assert not torch.equal(second[1], second[2])


@pytest.mark.parametrize("stop", [1, 8, 9, 12, 16, 23])
def test_a_student_killed_at_any_step_goes_on_to_the_same_weights(
    stop: int, pupil: ModelConfig, toy_bags: MakeBags, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def judge(model: Model) -> float:  # highest in the middle of training
        return -abs(float(model.method.second.weight.detach().norm()) - 1.0)

    straight = fit.fit(toy_bags(16), pupil, device="cpu", judge=judge)
    with interrupted_at(stop, monkeypatch):
        fit.fit(toy_bags(16), pupil, folder=tmp_path, device="cpu", judge=judge)
    torch.manual_seed(99)
    resumed = fit.fit(toy_bags(16), pupil, folder=tmp_path, device="cpu", resume=True, judge=judge)
    assert resumed.judged is not None and straight.judged is not None
    same_weights(resumed.judged, straight.judged)
    same_weights(resumed.last, straight.last)
    same_weights(resumed.best, straight.best)
    assert resumed.history == straight.history


def test_the_best_is_one_of_the_last_stage(
    pupil: ModelConfig, toy_bags: MakeBags, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Losses of two stages may not be on one scale."""
    judged = iter([0.1, 0.9, 0.8, 0.5, 0.7])
    monkeypatch.setattr(loop, "_validate", lambda *_: next(judged))
    numbers = iter([0.1, 0.9, 0.9, 0.95, 0.2])
    fitted = fit.fit(toy_bags(16), pupil, device="cpu", judge=lambda model: next(numbers))
    assert fitted.judged is not None
    same_weights(fitted.best, fitted.judged)


def test_a_cosine_ends_at_no_learning(toy_bags: MakeBags) -> None:
    """Once the rate is 0, further steps leave the weights as they are."""

    def learned(steps: int, cosine: float) -> Any:
        training = {"steps": steps, "bags": 2, "optimizer": "sgd", "cosine": cosine}
        return fit.fit(toy_bags(8), ModelConfig.of({"method": "dmrm", "training": training}), device="cpu").last

    same_weights(learned(6, 0.5), learned(4, 0.75))
    with pytest.raises(ConfigError, match="cosine"):
        ModelConfig.of({"training": {"cosine": -1.0}})


def test_a_method_with_nothing_to_learn_is_fitted_too(
    pupil: ModelConfig, toy_bags: MakeBags, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pupil, "study", lambda self, stage, bags: self.requires_grad_(False))
    fitted = fit.fit(toy_bags(16), pupil, device="cpu", judge=lambda model: 1.0)
    assert fitted.judged is not None
    same_weights(fitted.last, fitted.judged)


STUDENTS = [name for name in registry.names("methods") if hasattr(registry.load("methods", name), "study")]


@pytest.mark.parametrize("name", STUDENTS or [pytest.param("none", marks=pytest.mark.skip("no method studies"))])
@pytest.mark.usefixtures("all_builders")
def test_every_student_keeps_what_it_knows_when_killed(
    name: str, toy_bags: MakeBags, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = registry.load("methods", name).views
    given = {"steps": 8, "validate_every": 1, "bags": 3}
    made = ModelConfig.of({"method": name, "instances": views[0], "training": given})
    bags = toy_bags(12, views=views)
    straight = fit.fit(bags, made, device="cpu")
    for stop in (3, 5):
        with interrupted_at(stop, monkeypatch):
            fit.fit(bags, made, folder=tmp_path, device="cpu", resume=True)
    resumed = fit.fit(bags, made, folder=tmp_path, device="cpu", resume=True)
    same_weights(resumed.last, straight.last)
    same_weights(resumed.best, straight.best)


def test_the_learning_rate_falls_to_a_tenth_at_each_milestone(
    toy_bags: MakeBags, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []

    class Watched(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            rates.append(self.param_groups[0]["lr"])
            return super().step(closure)

    monkeypatch.setattr(torch.optim, "SGD", Watched)
    schedule = {"steps": 10, "optimizer": "sgd", "learning_rate": 0.1, "milestones": [0.4, 0.8], "validate_every": 5}
    fit.fit(toy_bags(8), ModelConfig.of({"training": schedule}), device="cpu")
    assert rates == pytest.approx([0.1] * 4 + [0.01] * 4 + [0.001] * 2)
    with pytest.raises(ConfigError, match="milestones are shares of the steps between 0 and 1"):
        ModelConfig.of({"training": {"milestones": [4, 8]}})


def test_the_same_weights_are_one_model_and_scored_once(toy_bags: MakeBags, monkeypatch: pytest.MonkeyPatch) -> None:
    scored: list[Model] = []
    choose = fit.choose_threshold
    monkeypatch.setattr(fit, "choose_threshold", lambda model, bags: scored.append(model) or choose(model, bags))
    steps = {"steps": 2, "validate_every": 2}
    fitted = fit.fit(toy_bags(24), config(training=steps, validation=0.3), device="cpu", judge=lambda _: 0.5)
    assert fitted.held_out and fitted.best is fitted.last is fitted.judged
    assert scored == [fitted.last] and fitted.last.threshold != 0.5

"""Statistics of single cameras: which videos they normalize, and that models keep them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wherewhen.core import extents as ext
from wherewhen.core.errors import ConfigError, StoreError
from wherewhen.core.values import Bag, Instances, Video
from wherewhen.extraction.backgrounds import SIZE, Background
from wherewhen.extraction.cameras import recognized
from wherewhen.inference import model as model_module
from wherewhen.inference.camera_normalizer import CameraNormalizer
from wherewhen.inference.model import Model
from wherewhen.inference.model_config import ModelConfig
from wherewhen.inference.normalizer import Normalizer
from wherewhen.inference.running_normalizer import RunningNormalizer
from wherewhen.inference.scoring import join_predictions
from wherewhen.training.adapting import adapted
from wherewhen.training.fit import fit
from wherewhen.video.writer import Writer

DIMS = 3
MEANS = {"gate": 2.0, "yard": 20.0, "door": 8.0}


def cells(seconds: float, mean: float, seed: int = 0) -> Instances:
    """Features of 2 x 2 cells of a camera where they are about ``mean``, and vary as much."""
    rng, steps = np.random.default_rng(seed), round(seconds / 0.5)
    rows = rng.normal(mean, 0.2 * mean, (steps * 4, DIMS)).astype(np.float32)
    return Instances(rows, ext.grid([0, seconds, 0, 0, 1, 1], (steps, 2, 2)), shape=(steps, 2, 2))


def bags(named: bool = True) -> list[Bag]:
    """Normal and anomalous videos: 36 s of normal ones of the gate and of the yard, 9 s of the door."""
    rows = [("gate", 0, 12)] * 3 + [("yard", 0, 12)] * 3 + [("door", 0, 9)] + [("gate", 1, 12), ("yard", 1, 12)] * 2
    return [
        Bag(
            Video(f"v{k}", Path(f"{name}{k}.mp4"), label, camera=name if named else None),
            {"cells": cells(seconds, MEANS[name] * (1 + label), k)},
        )
        for k, (name, label, seconds) in enumerate(rows)
    ]


def trained(some: list[Bag] | None = None, **values: object) -> Model:
    config = ModelConfig.of({"normalizer": "camera", "training": {"steps": 2}, **values})
    return fit(some or bags(), config, device="cpu").last


def normalized(model: Model, camera: str | None, mean: float) -> np.ndarray:
    bag = Bag(Video("new", Path("new.mp4"), camera=camera), {"cells": cells(20, mean, 9)})
    return model.normalized_bag(bag).views["cells"].features


def test_a_video_is_normalized_by_its_camera_and_without_one_by_its_past() -> None:
    normalizer = trained().normalizers["cells"]
    assert isinstance(normalizer, CameraNormalizer)
    row = cells(10, 2.0)
    assert normalizer.at("gate") is normalizer.cameras["gate"]
    past = normalizer.at("street")
    assert isinstance(past, RunningNormalizer) and past.trained is normalizer.trained and not past.beside
    np.testing.assert_array_equal(normalizer(row).features, normalizer.at(None)(row).features)
    np.testing.assert_array_equal(normalizer.stream()(row).features, normalizer.at(None)(row).features)


def test_only_cameras_with_30_seconds_of_normal_videos_have_statistics() -> None:
    model = trained()
    assert list(model.cameras) == ["gate", "yard"]
    for camera in ("gate", "yard"):
        assert 0.5 < np.square(normalized(model, camera, MEANS[camera])).mean() < 2
    assert np.square(normalized(model, "gate", MEANS["yard"])).mean() > 20
    np.testing.assert_array_equal(normalized(model, "door", 8.0), normalized(model, None, 8.0))


def test_training_videos_are_normalized_by_their_cameras() -> None:
    model = trained()
    assert 0.5 < np.square(model.bank.features).mean() < 2


@pytest.mark.parametrize("values", [{}, {"components": 2}, {"method": "wherewhen"}])
def test_a_model_keeps_its_cameras(values: dict[str, object], tmp_path: Path) -> None:
    model = trained(**values)
    picture = np.random.default_rng(0).integers(0, 255, SIZE, np.uint8)
    model.cameras = {"gate": [Background(picture, 4 / 3)], "yard": []}
    model.save(tmp_path / "m.safetensors")
    loaded = Model.load(tmp_path / "m.safetensors", device="cpu")
    assert {name: len(some) for name, some in loaded.cameras.items()} == {"gate": 1, "yard": 0}
    np.testing.assert_array_equal(loaded.cameras["gate"][0].picture, picture)
    for camera in ("gate", "yard", None):
        np.testing.assert_array_equal(normalized(loaded, camera, 5.0), normalized(model, camera, 5.0))
    loaded.at_camera("yard").save(tmp_path / "yard.safetensors")
    yard = Model.load(tmp_path / "yard.safetensors", device="cpu")
    np.testing.assert_array_equal(normalized(yard, None, 5.0), normalized(model, "yard", 5.0))


def test_a_damaged_file_of_cameras_is_refused(tmp_path: Path) -> None:
    model = trained()
    model.cameras = {"gate": [Background(np.zeros((3, 4), np.uint8), 4 / 3)], "yard": []}
    model.save(tmp_path / "m.safetensors")
    with pytest.raises(StoreError, match="cameras: expected gray pictures"):
        Model.load(tmp_path / "m.safetensors", device="cpu")


def test_a_stream_of_a_camera_gives_what_its_bag_gives() -> None:
    model, row = trained(), cells(20, 20.0, 3)
    bag = Bag(Video("new", Path("new.mp4"), camera="yard"), {"cells": row})
    halves = [Instances(row.features[a:b], row.extents[a:b], shape=(20, 2, 2)) for a, b in ((0, 80), (80, 160))]
    live = join_predictions(model.at_camera("yard").predictions(("cells", part) for part in halves))
    normal = model.normalized_bag(bag).views
    whole = join_predictions(model.located(model.answered([("cells", normal["cells"])])))
    assert live.heat is not None and whole.heat is not None
    np.testing.assert_allclose(live.heat.values, whole.heat.values, atol=1e-6)


def test_a_camera_that_a_model_does_not_know_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"unknown camera 'gaet'; did you mean 'gate'\?"):
        trained().at_camera("gaet")
    with pytest.raises(ConfigError, match="no statistics of single cameras"):
        trained(normalizer="global").at_camera("gate")


def test_a_video_without_a_name_is_recognized_by_its_background(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    walls = [rng.integers(0, 255, (48, 64, 3), np.uint8) for _ in range(2)]
    for name, wall in zip("abc", [walls[0], walls[0], walls[1]], strict=True):
        with Writer(tmp_path / f"{name}.mp4", 10.0) as writer:
            for _ in range(12):
                writer.write(wall)
    some = [replace(bag, video=replace(bag.video, path=tmp_path / "a.mp4")) for bag in bags(named=False)]
    model = trained(some)
    assert list(model.cameras) == ["camera1"] and len(model.cameras["camera1"]) == 1
    files = {name: Video(name, tmp_path / f"{name}.mp4") for name in "abc"}
    assert {name: model.camera_of(video) for name, video in files.items()} == {
        "a": "camera1",
        "b": "camera1",
        "c": None,
    }
    assert recognized(replace(files["a"], camera="street"), model.cameras) is None
    assert model.at_camera("camera1").camera_of(files["c"]) == "camera1"
    assert model.for_video(replace(files["c"], camera="camera1")).camera == "camera1"
    assert model.for_video(files["c"]) is model
    seen: list[str | None] = []
    monkeypatch.setattr(model_module.Detector, "stream", lambda self, source: seen.append(self.camera))
    for name in "abc":
        model.stream(tmp_path / f"{name}.mp4")
    assert seen == ["camera1", "camera1", None]


def test_an_adapted_model_has_the_statistics_of_its_footage_alone(tmp_path: Path) -> None:
    footage = [Bag(Video(f"f{k}", Path(f"f{k}.mp4")), {"cells": cells(20, 50.0, k)}) for k in range(3)]
    model = adapted(trained(), footage, 10).model
    expected = Normalizer.fit([bag.views["cells"] for bag in footage])
    found = normalized(model, "gate", 50.0)
    assert 0.5 < np.square(found).mean() < 2
    assert np.corrcoef(found.ravel(), expected(cells(20, 50.0, 9)).features.ravel())[0, 1] > 0.95
    model.save(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(normalized(Model.load(tmp_path / "m.safetensors", device="cpu"), None, 50.0), found)

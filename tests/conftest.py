from __future__ import annotations

import gc
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import settings as hypothesis_settings

from wherewhen.core import extents as ext
from wherewhen.core import registry
from wherewhen.core.contracts import BuilderAbilities
from wherewhen.core.values import Bag, Dataset, Fold, Instances, Masks, Truth, Video
from wherewhen.datasets import native
from wherewhen.video.writer import Writer


def _beside(name: str) -> ModuleType:
    """A module of this folder, by its name alone; on sys.path the folder's ``datasets`` would hide others."""
    spec = spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec and spec.loader
    sys.modules[name] = module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_GOLDEN = _beside("golden")
_beside("oracle")
_beside("watched")
_beside("reviewed")
_beside("grouped")
_beside("browsed")
Golden, Published = _GOLDEN.Golden, _GOLDEN.Published
# A machine that others use too is slow now and then; each run draws other examples, so 50 are enough for one.
hypothesis_settings.register_profile("busy", deadline=None, max_examples=50)
hypothesis_settings.load_profile("busy")
MakeBag = Callable[..., Bag]
SHARED = Path(os.environ.get("WHEREWHEN_SHARED", Path(__file__).parents[1] / "../shared"))


SLOWEST = (
    "test_recording.py", "test_parallel.py", "test_inputs.py", "test_clip.py", "test_distributed.py", "test_names.py",
    "api/test_extraction.py", "test_videomae.py", "test_reader.py", "test_methods.py", "test_words_by_clip.py",
    "engines/test_contract.py", "contracts/test_backbones.py", "test_runs.py", "test_benchmark.py", "test_detection.py",
    "test_mqtt.py", "test_rtsp.py", "live/test_machines.py", "test_docs.py", "test_reproduction_videos.py",
    "test_choosing.py",
)  # fmt: skip
"""Files of tests that take longest: they begin first, so that no worker waits for another one at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first; the order of tests within a file stays."""
    items.sort(key=lambda item: not item.path.as_posix().endswith(SLOWEST))


def pytest_collection_finish() -> None:
    """What is loaded by now stays to the end: the collector of garbage need not look at it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No test reads or fills the user's own cache."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHEREWHEN_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Sums in one order on every machine; and tests that run side by side don't fight for cores."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def quick_noise() -> Iterator[None]:
    """Large networks get their random weights from one stretch of noise, a seeded piece for each tensor.

    For tests where it does not matter what the numbers are: to draw them anew is most of the time.
    """
    import torch

    rng = np.random.default_rng(0)
    drawn = {
        "normal_": torch.from_numpy(rng.standard_normal(1_000_003, np.float32)),
        "uniform_": torch.from_numpy(rng.random(1_000_003, np.float32)),
    }

    def quick(name: str) -> Callable[..., torch.Tensor]:
        real, noise = getattr(torch.Tensor, name), drawn[name]

        def fill(tensor: torch.Tensor, a: float = 0.0, b: float = 1.0, **more: Any) -> torch.Tensor:
            like_ours = tensor.dtype == torch.float32 and tensor.is_contiguous() and tensor.device.type == "cpu"
            if tensor.numel() < 10_000 or not like_ours or any(value is not None for value in more.values()):
                return real(tensor, *((a, b) if not more.keys() & {"mean", "std", "from", "to"} else ()), **more)
            scale, shift = (b, a) if name == "normal_" else (b - a, a)
            with torch.no_grad():
                for piece in tensor.detach().view(-1).split(500_000):
                    start = int(torch.randint(len(noise) - len(piece), ()))
                    piece.copy_(noise[start : start + len(piece)]).mul_(scale).add_(shift)
            return tensor

        return fill

    with pytest.MonkeyPatch.context() as patch:
        for name in drawn:
            patch.setattr(torch.Tensor, name, quick(name))
        yield


@pytest.fixture
def shallow_clip(monkeypatch: pytest.MonkeyPatch, quick_noise: None) -> None:
    """CLIP's towers have two layers, not twelve; the widths, the vocabulary and the patches are the published ones.

    What all layers compute is checked where their published numbers are.
    """
    from wherewhen.backbones._transformers import transformers

    assert transformers("clip").CLIPTextModelWithProjection  # the package replaces itself when a model is first loaded
    library = transformers("clip")
    for name in ("CLIPVisionConfig", "CLIPTextConfig"):
        monkeypatch.setattr(library, name, partial(getattr(library, name), num_hidden_layers=2))


def _planted(number: int, label: int, steps: int = 8, size: tuple[int, int] = (3, 4)) -> Masks:
    """Which cells ``(T*h*w,)`` of a toy bag are anomalous: one place for a third of the time."""
    rng = np.random.default_rng([number, 0])
    plant = np.zeros((steps, *size), bool)
    start, y, x = (int(rng.integers(0, n)) for n in (max(steps * 2 // 3, 1), *size))
    plant[start : start + max(steps // 3, 1), y, x] = bool(label)
    return plant.reshape(-1)


def _toy_bag(
    number: int,
    label: int,
    steps: int = 8,
    size: tuple[int, int] = (3, 4),
    views: Sequence[str] = ("cells",),
    dims: int = 6,
) -> Bag:
    """A bag of noise, a step a second; its planted cells stand out, and where they are, so does the whole picture.

    ``cells`` are a grid; ``tubes`` the same cells without one; ``tube_frames`` and ``videolets`` see the whole picture
    at the time of each tube, or once a step. Any other view is as ``cells``.
    """
    shape, plant = (steps, *size), _planted(number, label, steps, size)
    features = np.random.default_rng([number, 1]).normal(size=(np.prod(shape), dims)).astype(np.float32)
    features[plant, : dims // 3] += 4
    cells = Instances(features, ext.grid([0, steps, 0, 0, 1, 1], shape), shape=shape)
    whole = np.random.default_rng([number, 2]).normal(size=(steps, dims)).astype(np.float32)
    whole[plant.reshape(steps, -1).any(1), : dims // 3] += 4
    step = np.repeat(np.arange(steps), np.prod(size))
    pictures = ext.grid([0, steps, 0, 0, 1, 1], (steps, 1, 1))
    track = np.arange(len(features))
    instances = {
        "tubes": Instances(features, cells.extents, track),
        "tube_frames": Instances(whole[step], pictures[step], track),
        "videolets": Instances(whole, pictures, shape=(steps, 1, 1)),
    }
    return Bag(Video(f"v{number}", Path(f"v{number}.mp4"), label), {name: instances.get(name, cells) for name in views})


@pytest.fixture(scope="session")
def planted() -> Callable[..., Masks]:
    """Tells which cells of ``toy_bag(number, label, steps, size)`` are anomalous."""
    return _planted


@pytest.fixture(scope="session")
def toy_bag() -> MakeBag:
    """Makes a procedural bag: ``toy_bag(number, label, steps, size, views, dims)``."""
    return _toy_bag


@pytest.fixture(scope="session")
def halving() -> Callable[[Iterable[float]], float]:
    """A threshold that about half the values exceed, far from each: a last bit puts none on its other side."""

    def threshold(values: Iterable[float]) -> float:
        ordered = np.sort(list(values))
        low, high = len(ordered) // 4, len(ordered) - len(ordered) // 4
        widest = low + int(np.argmax(np.diff(ordered[low:high])))
        return float(ordered[widest : widest + 2].mean())

    return threshold


class _Planned:
    """Stands in for a builder that a method names and that nobody has written yet."""

    @dataclass(frozen=True)
    class Config:
        """No settings."""

    abilities = BuilderAbilities()
    track_source, roi, wait = None, None, 0.0

    def __init__(self, config: Config) -> None:
        self.config = config


@pytest.fixture
def all_builders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every view that a method names has a builder, if need be one that can't build."""
    names = {view for name in registry.names("methods") for view in registry.load("methods", name).views}
    missing = sorted(names - set(registry.names("instances")))
    real = registry._outside
    planned = {name: SimpleNamespace(load=lambda: _Planned) for name in missing}
    monkeypatch.setattr(registry, "_outside", lambda kind: real(kind) | (planned if kind == "instances" else {}))


@pytest.fixture(scope="session")
def toy_bags() -> Callable[..., list[Bag]]:
    """Makes bags of several lengths, every second one anomalous."""
    return lambda count=16, views=("cells",), dims=6: [
        _toy_bag(n, n % 2, 5 + n % 4, views=views, dims=dims) for n in range(count)
    ]


RATE, FRAMES, SIZE = 12.5, 25, (64, 48)
HAPPENS = (8, 20)  # frames of the anomalous clips in which a square crosses the picture


def _draw(path: Path, anomalous: bool, seed: int) -> None:
    """Two seconds of a striped wall where a dark spot creeps; in anomalous ones a bright square rushes by."""
    with Writer(path, RATE) as writer:
        for index in range(FRAMES):
            picture = np.full((SIZE[1], SIZE[0], 3), 60 + 5 * seed, np.uint8)
            picture[::8, :, 0] += 20
            picture[34:42, 2 + index // 2 + seed : 10 + index // 2 + seed] = 20
            if anomalous and HAPPENS[0] <= index < HAPPENS[1]:
                x = 4 * (index - HAPPENS[0])
                picture[16:28, x : x + 12] = 220
            writer.write(picture)


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder: ``normal/`` and ``anomalous/`` with two tiny videos each."""
    root = tmp_path_factory.mktemp("clips")
    for label in ("normal", "anomalous"):
        (root / label).mkdir()
        for number in range(2):
            _draw(root / label / f"{label[0]}{number}.mp4", label == "anomalous", number)
    return root


@pytest.fixture(scope="session")
def natives(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same videos as a data set with truth and two folds that swap training and test."""
    videos, truths = [], {}
    edges = np.arange(FRAMES + 1) / RATE
    for label in (0, 1):
        for number in range(2):
            name = f"{'na'[label]}{number}"
            videos.append(Video(name, clips / ("anomalous" if label else "normal") / f"{name}.mp4", label))
            frames = range(*HAPPENS) if label else range(0)
            boxes = [(4 * (k - HAPPENS[0]), 16, 4 * (k - HAPPENS[0]) + 12, 28) for k in frames]
            rows = ext.from_pixels(boxes, [(k / RATE, (k + 1) / RATE) for k in frames], *SIZE)
            spans = np.array([HAPPENS]) / RATE if label else np.empty((0, 2))
            truths[name] = Truth(edges, spans, rows, np.zeros(len(rows), np.int64))
    n0, n1, a0, a1 = videos
    folds = (Fold("first", (n0, a0), (n1, a1)), Fold("second", (n1, a1), (n0, a0)))
    root = tmp_path_factory.mktemp("natives") / "yard"
    native.write(root, Dataset("yard", tuple(videos), folds), truths, dict.fromkeys(truths, SIZE))
    return root


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Golden]:
    """``golden("x3d_s")``: numbers of a published implementation; the test is skipped where they aren't at hand."""

    def find(name: str) -> Golden:
        folder = SHARED / "golden" / name
        if not folder.is_dir():
            pytest.skip(f"no golden numbers: {folder} is not there (WHEREWHEN_SHARED names the folder above)")
        return Golden(folder)

    return find


@pytest.fixture(scope="module")
def publish(
    golden: Callable[[str], Golden], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Published]]:
    """``publish("x3d_s", "X3D_S.pyth", wrap)``: golden numbers and a file of what ``wrap`` makes of their weights."""
    import torch

    folder = tmp_path_factory.mktemp("published")

    def write(name: str, file: str, wrap: Callable[[Any], Any] = dict) -> Published:
        numbers = golden(name)
        tensors = numbers.tensors
        torch.save(wrap(tensors), folder / file)
        return Published(numbers, tensors, folder / file)

    yield write
    shutil.rmtree(folder)  # up to a third of a gigabyte each


@pytest.fixture(scope="session")
def tiny_transformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a detection transformer of a few thousand random numbers, as Hugging Face keeps them."""
    import json

    import torch
    from transformers import YolosConfig, YolosForObjectDetection

    torch.manual_seed(0)
    labels = {0: "person", 1: "bicycle", 2: "car"}
    config = YolosConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=[32, 48],
        patch_size=16, num_detection_tokens=5, id2label=labels, label2id={v: k for k, v in labels.items()},
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("tiny_transformer")
    network = YolosForObjectDetection(config)
    for tensor in network.parameters():  # as it begins, it says the same of everything
        torch.nn.init.normal_(tensor, std=0.5)
    network.save_pretrained(folder)
    options = {
        "size": {"height": 32, "width": 48},
        "do_normalize": True,
        "image_mean": [0.5] * 3,
        "image_std": [0.25] * 3,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(options))
    return folder


@pytest.fixture(scope="session")
def joint_network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """OpenVINO IR of 24 x 24 pictures whose 17 joints are the center of the light above gray 200, or sure of nothing.

    Joint k has 1 - k / 34 of the confidence, which is 1 where there is any such light.
    """
    openvino = pytest.importorskip("openvino")
    ops = openvino.opset13
    pixels = ops.parameter([1, 24, 24, 3], np.uint8, name="pixels")
    gray = ops.reduce_min(ops.convert(pixels, "f32"), np.array([3]))
    light = ops.relu(ops.subtract(gray, np.float32(200)))
    total = ops.reduce_sum(light, np.array([1, 2]))
    places = (np.arange(24, dtype=np.float32) + 0.5) / 24
    y, x = (
        ops.divide(ops.reduce_sum(ops.multiply(light, part), np.array([1, 2])), ops.add(total, np.float32(1e-6)))
        for part in (places[None, :, None], places[None, None])
    )
    one = ops.unsqueeze(ops.concat([y, x, ops.minimum(total, np.float32(1))], 0), np.array([0, 1, 2]))
    factors = np.ones((1, 1, 17, 3), np.float32)
    factors[..., 2] -= np.arange(17) / 34
    path = tmp_path_factory.mktemp("joints") / "joints.xml"
    openvino.save_model(openvino.Model([ops.multiply(one, factors)], [pixels], "joints"), path, compress_to_fp16=False)
    return path


@pytest.fixture(scope="session")
def yard(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a few steps, which tests do not change."""
    from wherewhen.api import runs

    folder = tmp_path_factory.mktemp("runs") / "yard"
    settings = {"method": "cuboid_mil", "training": {"steps": 5}}
    runs.train(clips, folder, settings=settings, device="cpu", check=False, quiet=True)
    return folder

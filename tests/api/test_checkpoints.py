"""Weights of the authors' codes as models: the scores are those of their codes, and other files are refused by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import wherewhen
from wherewhen import cli, datasets
from wherewhen.api.checkpoints import import_model, importable
from wherewhen.backbones._clip_text import END, START, Texts
from wherewhen.core import registry
from wherewhen.core.documents import read_json
from wherewhen.core.errors import ConfigError, StoreError
from wherewhen.core.values import Instances
from wherewhen.data_tools.features.importing import Known, bring
from wherewhen.extraction import loading
from wherewhen.extraction.assembly import join_instances
from wherewhen.inference.model import Model
from wherewhen.inference.model_config import ModelConfig
from wherewhen.methods import mgfn
from wherewhen.methods.mgfn import MGFN, MGFNConfig


def store_of(features: np.ndarray, folder: Path) -> Path:
    """A store of imported features ``(bags, crops, T, D)`` in the layout of RTFM."""
    (folder / "npy").mkdir(parents=True)
    for number, bag in enumerate(features):
        np.save(folder / "npy" / f"bag{number}.npy", bag.transpose(1, 0, 2) if len(bag) > 1 else bag[0])
    bring(folder / "npy", folder / "store", "rtfm", metadata=Known(frames=16, rate=30))
    return folder / "store"


def scores_of(model: Model, store: Path) -> np.ndarray:
    """Raw scores ``(bags, T)`` of a store; all crops of a clip have the same."""
    videos = datasets.reader_of(store).load(store).videos
    bags = loading.gathered(videos, model.config.feature_specs("cpu"), quiet=True)
    rows = [model.answers(model.normalized(bag.views))[:, 0].reshape(-1, model.config.crops) for bag in bags]
    assert all((row == row[:, :1]).all() for row in rows)
    return np.stack([row[:, 0] for row in rows])


def saved(path: Path, tensors: dict[str, torch.Tensor], key: str = "") -> Path:
    """A file as authors write it: from several processors, or below a key."""
    torch.save({"epoch": 3, key: tensors} if key else {f"module.{k}": v for k, v in tensors.items()}, path)
    return path


CASES: dict[str, tuple[str, str, Callable[[Any], np.ndarray], str]] = {
    "rtfm": ("head_rtfm_2048", "test_T32__scores", lambda g: g.input(1, 10, 32, 2048), ""),
    "urdmu": ("head_urdmu_1024", "test_4d_2x10x32__frame", lambda g: g.input(2, 10, 32, 1024), "state_dict"),
    "vadclip": ("head_vadclip_ucf", "prob1", lambda g: g.blocks()[:, None], "model_state_dict"),
    "pel4vad": ("head_pel4vad_ucf", "logits", lambda g: g.blocks()[:, None], ""),
    "pel4vad_xd": ("head_pel4vad_xd", "logits", lambda g: g.blocks()[:, None], ""),
    "clip_tsa": ("head_cliptsa_512", "HA_test_T100__scores", lambda g: g.input(1, 1, 100, 512), ""),
    "gclnc": ("head_gcn_zhong_4096", "T200__output", lambda g: g.input(4, 200, 4096)[:, None], ""),
    "dmrm": ("head_sultani_mlp_4096", "scores_T200", lambda g: g.input(4, 200, 4096)[:, None], ""),
}


@pytest.mark.parametrize("case", CASES)
def test_a_model_folder_scores_as_the_authors_code(case: str, golden: Callable[[str], Any], tmp_path: Path) -> None:
    name, output, features_of, key = CASES[case]
    fixture, method = golden(name), case.removesuffix("_xd")
    features = features_of(fixture)
    path = saved(tmp_path / "official.pkl", fixture.tensors, key)
    settings = {"pel4vad": {"smooth": "none"}} if method == "pel4vad" else {}
    store = store_of(features, tmp_path)
    import_model(path, method, tmp_path / "run", settings=settings, features=store)
    model = wherewhen.load(tmp_path / "run")
    if method == "clip_tsa":  # the noise of the fixture
        noise = np.random.default_rng(11).standard_normal((1, 100, 100)).astype(np.float32)
        model.method._noise = lambda like: torch.from_numpy(noise)
    scores = scores_of(model, store)
    entry = fixture.spec["outputs"][output]
    if method == "gclnc":  # the fixture has no sigmoid
        scores = np.log(scores) - np.log1p(-scores)
    if method in ("vadclip", "pel4vad"):  # what their code scores behind the end of a video is not a score here
        held = (features[:, 0] != 0).any(-1)
        scores = np.where(held, scores, fixture.outputs[output].reshape(scores.shape))
    fixture.close(output, scores.reshape(entry["shape"]), 1e-4 if method == "gclnc" else 2e-5)
    record = read_json(tmp_path / "run" / "checkpoint.json")
    assert record["method"] == method and record["features"] == features.shape[-1] and len(record["sha256"]) == 64
    assert model.config.normalizer_of("cells") == "none" and model.threshold == 0.5
    assert model.localizer.config.smooth_seconds == 0  # type: ignore[attr-defined]


def test_settings_follow_from_the_tensors(golden: Callable[[str], Any], tmp_path: Path) -> None:
    path = saved(tmp_path / "xd.pth", golden("head_pel4vad_xd").tensors)
    model = import_model(path, "pel4vad", tmp_path / "run", settings={"i3d": {"weights": "random"}})
    settings = model.config.settings["pel4vad"]
    assert (settings.taps, settings.smooth, settings.kappa, settings.power_norm) == (3, "fixed", 8, False)
    assert (model.config.backbone, model.config.crops, model.config.crop_mode) == ("i3d", 10, "separate")
    assert model.config.settings["i3d"].layer == "pooled"


def test_mgfn_scores_as_its_equations_with_the_authors_names(tmp_path: Path) -> None:
    """There are no stored numbers: a plain reading of the network with tensors under the authors' names."""
    torch.manual_seed(5)
    sizes, tensors = (64, 128, 1024), dict[str, torch.Tensor]()

    def weight(name: str, *shape: int) -> None:
        tensors[name] = 0.1 * torch.randn(shape)

    def layer(name: str, out: int, inner: int, taps: int, bias: bool = True) -> None:
        weight(f"{name}.weight", out, inner, taps)
        if bias:
            weight(f"{name}.bias", out)

    def norm(name: str, size: int) -> None:
        weight(f"{name}.g", 1, size, 1)
        weight(f"{name}.b", 1, size, 1)

    layer("to_tokens", 64, 12, 3)
    layer("to_mag", 64, 1, 3)
    for stage, size in enumerate(sizes):
        head = size // 64
        start = f"stages.{stage}.0.layers.0"
        layer(f"{start}.0", size, size, 3)
        if stage == 0:
            norm(f"{start}.1.norm", size)
            layer(f"{start}.1.to_qkv", 3 * size, size, 1, bias=False)
        else:
            for part in ("weight", "bias", "running_mean"):
                weight(f"{start}.1.norm.{part}", size)
            tensors[f"{start}.1.norm.running_var"] = torch.ones(size) * 1.3
            tensors[f"{start}.1.norm.num_batches_tracked"] = torch.tensor(0)
            layer(f"{start}.1.to_v", size, size, 1, bias=False)
            layer(f"{start}.1.rel_pos", head, 1, 5)
        layer(f"{start}.1.to_out", size, size, 1)
        norm(f"{start}.2.0", size)
        layer(f"{start}.2.1", 4 * size, size, 1)
        layer(f"{start}.2.4", size, 4 * size, 1)
        if stage < 2:
            norm(f"stages.{stage}.1.0", size)
            layer(f"stages.{stage}.1.1", sizes[stage + 1], size, 1)
    weight("to_logits.0.weight", 1024)
    weight("to_logits.0.bias", 1024)
    weight("fc.weight", 1, 1024)
    weight("fc.bias", 1)

    def conv(x: torch.Tensor, name: str, groups: int = 1) -> torch.Tensor:
        kernel = tensors[f"{name}.weight"]
        return F.conv1d(x, kernel, tensors.get(f"{name}.bias"), padding=kernel.shape[2] // 2, groups=groups)

    def normed(x: torch.Tensor, name: str) -> torch.Tensor:
        x = (x - x.mean(1, keepdim=True)) / (x.var(1, unbiased=False, keepdim=True).sqrt() + 1e-5)
        return x * tensors[f"{name}.g"] + tensors[f"{name}.b"]

    def looked(x: torch.Tensor, name: str, size: int) -> torch.Tensor:
        if f"{name}.norm.g" in tensors:
            query, key, value = conv(normed(x, f"{name}.norm"), f"{name}.to_qkv")[0].reshape(3, size, -1)
            return conv((value @ (query.T @ key / 8).softmax(1).T)[None], f"{name}.to_out")
        scale = tensors[f"{name}.norm.weight"] / (tensors[f"{name}.norm.running_var"] + 1e-5).sqrt()
        x = (x[0] - tensors[f"{name}.norm.running_mean"][:, None]) * scale[:, None]
        values = conv((x + tensors[f"{name}.norm.bias"][:, None])[None], f"{name}.to_v")[0]
        heads = size // 64  # channel c * heads + h is of head h
        mixed = conv(values.reshape(64, heads, -1), f"{name}.rel_pos", groups=heads).reshape(1, size, -1)
        return conv(mixed, f"{name}.to_out")

    def plain(crop: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(crop.T[None])
        x = conv(x, "to_tokens") + 0.1 * conv(x.norm(dim=1, keepdim=True), "to_mag")
        for stage, size in enumerate(sizes):
            start = f"stages.{stage}.0.layers.0"
            x = x + conv(x, f"{start}.0")
            x = x + looked(x, f"{start}.1", size)
            x = x + conv(F.gelu(conv(normed(x, f"{start}.2.0"), f"{start}.2.1")), f"{start}.2.4")
            x = conv(normed(x, f"stages.{stage}.1.0"), f"stages.{stage}.1.1") if stage < 2 else x
        x = F.layer_norm(x[0].T, (1024,), tensors["to_logits.0.weight"], tensors["to_logits.0.bias"])
        return torch.sigmoid(x @ tensors["fc.weight"].T + tensors["fc.bias"])[:, 0].numpy()

    features = np.random.default_rng(5).standard_normal((2, 10, 7, 12)).astype(np.float32)
    store = store_of(features, tmp_path)
    model = import_model(saved(tmp_path / "m.pkl", tensors), "mgfn", tmp_path / "run", features=store)
    wanted = np.stack([np.mean([plain(crop) for crop in bag], 0) for bag in features])
    assert wanted.std() > 0.01
    np.testing.assert_allclose(scores_of(wherewhen.load(tmp_path / "run"), store), wanted, rtol=1e-3)
    assert model.config.settings["mgfn"].depths == (1, 1, 1)


def official_file(folder: Path, length: int, name: str = "urdmu.pkl") -> Path:
    """UR-DMU's weights for features of another length, under the authors' names."""
    plugin = registry.load("methods", "urdmu")
    torch.manual_seed(0)
    student = plugin(plugin.Config(width=512), {"cells": length})
    start = {"embedding.conv_1.0.weight": torch.zeros(512, length, 3), "Amemory.memory_block": torch.zeros(60, 512)}
    names = plugin.checkpoint(start)
    return saved(folder / name, {names.published_name(k): v for k, v in student.state_dict().items()})


def test_a_model_of_published_weights_detects_in_raw_video(clips: Path, natives: Path, tmp_path: Path) -> None:
    video = next((clips / "anomalous").glob("*.mp4"))
    backbone = ModelConfig.of({"backbone": "motion"}).make("backbone")
    length = int(backbone(np.zeros((1, 4, 48, 64, 3), np.uint8), np.full((1, 3), 0.1)).shape[-1])
    path = official_file(tmp_path, length)
    line = f"import-model {path} --method urdmu --backbone motion --crops 5 --output {tmp_path / 'run'}"
    assert cli.main(line.split()) == 0
    model = wherewhen.load(tmp_path / "run")
    result = model.detect(str(video))
    rows = join_instances([part for _, part in model.instances(str(video))[0]])
    each = []
    for crop in range(5):  # every fifth row is of one crop, a sequence of its own
        features = rows.features[crop::5]
        sequence = Instances(features, rows.extents[crop::5], shape=(len(features), 1, 1))
        each.append(replace(model, config=replace(model.config, crop_mode="places")).answers({"cells": sequence}))
    np.testing.assert_allclose(model.answers({"cells": rows})[::5], np.mean(each, 0), rtol=1e-6)
    assert np.std(each, 0).max() > 1e-4
    assert len(result.scores) > 10 and result.scores.max() <= 1
    report = wherewhen.evaluate(model, natives, tmp_path / "out", quiet=True)
    methods = {row.method for row in report.table}
    assert "urdmu" in methods and not {"normality_knn", "mean_prior"} & methods, "it has no normal cells"


@pytest.mark.usefixtures("shallow_clip")
def test_texts_of_vadclip_follow_from_its_prompts(
    golden: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sequences(self: Texts, texts: Sequence[str]) -> list[list[int]]:
        """Letters as token ids: the vocabulary comes with the published weights."""
        return [[START, *map(ord, text), END] for text in texts]

    monkeypatch.setattr(Texts, "sequences", sequences)
    fixture = golden("head_vadclip_ucf")
    path = saved(tmp_path / "ucf.pth", {**fixture.tensors, "clipmodel.logit_scale": torch.zeros(())})
    model = import_model(path, "vadclip", tmp_path / "run", settings={"clip": {"weights": "random"}})
    assert len(model.classes) == 13 and model.classes[7] == "roadaccidents" and model.config.crops == 1
    tower = model.backbone.tower()  # type: ignore[attr-defined]
    with torch.no_grad():
        texts = tower.between(["normal", *model.classes], fixture.tensors["text_prompt_embeddings.weight"], 10, 10)
    again = wherewhen.load(tmp_path / "run").method.prompts.texts
    torch.testing.assert_close(again, texts)


def test_files_of_another_method_are_told_by_name(golden: Callable[[str], Any], tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pkl", golden("head_gcn_zhong_1024").tensors)
    with pytest.raises(StoreError, match=r"not the weights of urdmu: embedding.conv_1.0.weight is missing; .*gclnc"):
        import_model(path, "urdmu", tmp_path / "run")
    with pytest.raises(StoreError, match=r"not the weights of dmrm: .*fc3.bias.*; 4 unexpected \(.*gc1.weight"):
        import_model(path, "dmrm", tmp_path / "run", settings={"backbone": "c3d", "c3d": {"weights": "random"}})
    assert not (tmp_path / "run").exists()


def test_wrong_tensors_are_named_as_the_authors_name_them(tmp_path: Path) -> None:
    path = official_file(tmp_path, 8)
    tensors = torch.load(path, weights_only=True)
    changes: list[tuple[dict[str, torch.Tensor | None], str]] = [
        ({"module.encoder_mu.0.bias": None}, r"1 missing \(encoder_mu.0.bias\)"),
        ({"module.extra.weight": torch.zeros(2)}, r"1 unexpected \(extra.weight\)"),
        ({"module.cls_head.mlp.2.bias": torch.zeros(3)}, r"cls_head.mlp.2.bias \(3,\), expected \(1,\)"),
        ({"module.embedding.conv_1.0.weight": torch.zeros(3)}, "other axes"),
    ]
    for change, told in changes:
        wrong = {name: value for name, value in {**tensors, **change}.items() if value is not None}
        torch.save(wrong, path)
        with pytest.raises(StoreError, match=f"urdmu.pkl: not the weights of urdmu: .*{told}"):
            import_model(path, "urdmu", tmp_path / "run", settings={"backbone": "motion"})


class Payload:
    def __reduce__(self) -> Any:
        return Path.touch, (Path("ran"),)


def test_code_in_a_file_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"fc1.weight": torch.zeros(2, 2)}, "model": Payload()}, "bad.pkl")
    with pytest.raises(StoreError, match=r"bad\.pkl: holds more than tensors, so it is not opened"):
        import_model("bad.pkl", "rtfm", "run")
    assert not Path("ran").exists() and not Path("run").exists()


def test_features_of_another_length_are_refused(tmp_path: Path) -> None:
    path = official_file(tmp_path, 8)
    with pytest.raises(ConfigError, match="features of length 8 of a network that is not in this toolkit"):
        import_model(path, "urdmu", tmp_path / "run")
    with pytest.raises(ConfigError, match=r"features of motion are \d+ numbers long, and these weights take 8"):
        import_model(path, "urdmu", tmp_path / "run", settings={"backbone": "motion"})
    with pytest.raises(ConfigError, match=r"features of imported are 5 numbers long, and these weights take 8"):
        import_model(path, "urdmu", tmp_path / "run", features=store_of(np.ones((1, 1, 3, 5), np.float32), tmp_path))
    with pytest.raises(ConfigError, match="unknown method with published weights 'mgpr'"):
        import_model(path, "mgpr", tmp_path / "run")
    with pytest.raises(ConfigError, match="settings of tubes have no effect"):
        import_model(path, "urdmu", tmp_path / "run", settings={"backbone": "motion", "tubes": {}})
    assert not (tmp_path / "run").exists()


def test_the_command_line_names_the_methods(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["import-model", "x.pkl"]) == 2
    told = capsys.readouterr().err
    assert all(name in told for name in importable())
    assert set(importable()) == {"rtfm", "urdmu", "vadclip", "pel4vad", "clip_tsa", "mgfn", "gclnc", "dmrm"}


def test_every_table_of_names_covers_the_published_network() -> None:
    """MGFN's is checked where the depths are the published ones: each tensor has one name of the authors'."""
    with torch.device("meta"):
        model = MGFN(MGFNConfig(width=1024, depths=(3, 3, 2)), {"cells": 16})
    layers = [(stage, block) for stage, depth in enumerate((3, 3, 2)) for block in range(depth)]
    present = {f"stages.{stage}.0.layers.{block}.0.weight": torch.zeros(1) for stage, block in layers}
    names = mgfn._names(present)
    covered = [name for name in model.state_dict() if any(name.startswith(new) for new in names.values())]
    assert covered == list(model.state_dict())

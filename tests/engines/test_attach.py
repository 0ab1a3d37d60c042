"""A network gets an engine: chosen by measurement, held to plain fp32, remembered."""

from __future__ import annotations

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from wherewhen.core import registry
from wherewhen.core.errors import EngineError
from wherewhen.runtime import select
from wherewhen.runtime.batching import NONE, EngineChoice, deviation
from wherewhen.runtime.devices import recall
from wherewhen.runtime.select import attach, candidates, remembered


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHEREWHEN_CACHE", str(tmp_path))


class Fake:
    """An engine that changes features by a share of themselves, and takes a while to start and to run."""

    extra, precisions, devices = "", ("fp32", "bf16", "int8"), ("cpu",)
    far, broken, made = {}, set(), []  # type: ignore[var-annotated]

    def __init__(self, network: Any, batch: int, clips: Any, precision: str, device: str) -> None:
        type(self).made.append((precision, batch, clips.shape))
        if precision in self.broken:
            raise RuntimeError("no kernel for this\nand a long trace")
        self.network, self.change = network, self.far.get(precision, 0.0)

    @classmethod
    def version(cls) -> str:
        return "7"

    def __call__(self, clips: Any) -> Any:
        import torch

        with torch.inference_mode():
            features = self.network(torch.from_numpy(clips)).numpy()
        noise = np.random.default_rng(0).normal(size=features.shape) * np.abs(features).mean()
        return (features + self.change * noise).astype(np.float32)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[Fake]:
    """The only engine there is."""

    class Own(Fake):
        far, broken, made = {}, set(), []  # type: ignore[var-annotated]

    monkeypatch.setattr(registry, "names", lambda kind: ["fake"])
    monkeypatch.setattr(registry, "load", lambda kind, name: Own)
    monkeypatch.setattr(select, "has_bf16", lambda device: True)
    return Own


def test_a_backbone_that_is_no_network_is_left_alone() -> None:
    plugin = registry.load("backbones", "motion")
    backbone = plugin(plugin.Config())
    assert attach(backbone, "torch", "bf16") == NONE
    assert remembered(plugin, plugin.Config()) == NONE


def test_the_backbone_runs_on_the_engine(make_toy: Any, draw: Any) -> None:
    toy, clips = make_toy("space"), draw(3, 8, 60)
    plain = toy(clips)
    running = attach(toy, "torch", "fp32", clips=clips)
    assert (running.engine, running.precision, running.device) == ("torch", "fp32", "cpu")
    assert running.relative < 1e-5 and running.cosine > 0.99999
    assert deviation(plain, toy(clips))[0] < 1e-5
    assert not np.array_equal(toy.run, toy.plain)
    assert remembered(type(toy), toy.config, "torch", "fp32") == running


def test_what_was_measured_is_not_measured_again(fake: type[Fake], make_toy: Any, draw: Any) -> None:
    asked = []

    def clips() -> Any:
        asked.append(1)
        return draw(2, 2)

    first = attach(make_toy("look"), "fake", "fp32", clips=clips)
    assert attach(make_toy("look"), "fake", "fp32", clips=clips) == first
    assert len(asked) == 1 and len(fake.made) == 2
    attach(make_toy("space"), "fake", "fp32", clips=lambda: draw(1, 8))
    attach(make_toy("look"), "fake", "bf16", clips=clips)
    assert len(asked) == 2, "another precision is another measurement"


def test_what_several_find_out_at_once_is_all_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHEREWHEN_CACHE", str(tmp_path / "own"))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: select.remember({f"key{number}": {"number": number}}), range(24)))
    assert [(recall(f"key{number}") or {}).get("number") for number in range(24)] == list(range(24))


def test_another_machine_network_or_setting_is_measured_anew(
    fake: type[Fake], make_toy: Any, draw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy = make_toy("look")
    attach(toy, "fake", "fp32", clips=draw(1, 2))
    assert remembered(type(toy), toy.config, "fake", "fp32")
    assert remembered(type(toy), replace(toy.config, stride=5), "fake", "fp32") is None
    monkeypatch.setattr(type(toy), "identity", classmethod(lambda cls, config: "other weights"))
    assert remembered(type(toy), toy.config, "fake", "fp32") is None
    monkeypatch.undo()


def test_a_broken_memory_is_no_memory(fake: type[Fake], make_toy: Any, draw: Any, tmp_path: Path) -> None:
    toy = make_toy("look")
    attach(toy, "fake", "fp32", clips=draw(1, 2))
    (tmp_path / "engines.json").write_text("{")
    assert remembered(type(toy), toy.config, "fake", "fp32") is None
    attach(toy, "fake", "fp32", clips=draw(1, 2))
    assert remembered(type(toy), toy.config, "fake", "fp32")


def test_features_that_change_too_much_are_refused(fake: type[Fake], make_toy: Any, draw: Any) -> None:
    fake.far = {"fp32": 0.01, "bf16": 0.05, "int8": 0.5}
    assert attach(make_toy("look"), "fake", "bf16", clips=draw(2, 2)).relative == pytest.approx(0.04, abs=0.02)
    toy = make_toy("look")
    with pytest.raises(EngineError, match=r"fake in int8 changes the features too much: relative error 0\.\d+, cosine"):
        attach(toy, "fake", "int8", clips=draw(2, 2))
    assert toy.run == toy.plain
    assert remembered(type(toy), toy.config, "fake", "int8") is None
    with pytest.raises(EngineError, match=r"fake in fp32.*allowed are 0\.001 and"):
        attach(toy, "fake", "fp32", clips=draw(2, 2))


def test_an_engine_that_breaks_says_why_and_what_to_take(fake: type[Fake], make_toy: Any, draw: Any) -> None:
    fake.broken = {"bf16"}
    with pytest.raises(EngineError, match=r"can't run Toy in bf16 here \(no kernel for this\); use engine torch"):
        attach(make_toy("look"), "fake", "bf16", clips=draw(1, 2))
    assert attach(make_toy("look"), clips=draw(1, 2)).precision == "fp32", "auto goes on without it"
    fake.broken = {"bf16", "fp32"}
    with pytest.raises(EngineError, match=r"no engine can run this network here: .*fp32.*bf16"):
        attach(make_toy("space"), clips=draw(1, 8))


def test_auto_takes_what_is_soonest_done_and_says_so(
    fake: type[Fake], make_toy: Any, draw: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    seconds = {"fp32": 0.2, "bf16": 0.1}
    order: list[str] = []
    monkeypatch.setattr(select, "_timed", lambda call: seconds[fake.made[-1][0]] * (order.append("") or 1))
    with caplog.at_level(logging.INFO, "wherewhen"):
        running = attach(make_toy("look"), clips=draw(2, 2))
    assert running.precision == "bf16"
    assert "Toy runs on fake, bf16: 40 clips/s" in caplog.text and "fake fp32: 20 clips/s" in caplog.text
    assert {precision for precision, *_ in fake.made} == {"fp32", "bf16"}, "int8 is never tried unasked"
    toy = make_toy("look")
    assert remembered(type(toy), toy.config, "fake", "fp32"), "what auto measured is known by name as well"
    fake.far = {"bf16": 0.1}
    assert attach(make_toy("space"), clips=draw(2, 8)).precision == "fp32", "faster, but too far for auto"


def test_a_long_start_is_part_of_the_price() -> None:
    def trial(setup: float, clip: float) -> select.Trial:
        return select.Trial(EngineChoice("x", "fp32"), setup, clip)

    slow, quick = trial(0.1, 0.02), trial(60.0, 0.01)
    assert quick.cost == 60 + select.WORK * 0.01 > 0
    assert min([slow, quick], key=lambda t: t.cost) is slow if select.WORK * 0.01 < 59.9 else quick


def test_made_up_pictures_do_where_there_are_none_but_not_for_int8(fake: type[Fake], make_toy: Any) -> None:
    assert attach(make_toy("look"), "fake", "fp32").relative < 1e-6
    with pytest.raises(EngineError, match="needs real clips for calibration"):
        attach(make_toy("look"), "fake", "int8")


def test_what_can_not_be_asked_for_is_told() -> None:
    with pytest.raises(EngineError, match=r"unknown engine 'torhc'; did you mean 'torch'"):
        candidates("torhc", "auto", "cpu")
    with pytest.raises(EngineError, match=r"engine onnx has no bf16 on cpu"):
        candidates("onnx", "bf16", "cpu")
    assert all(precision != "int8" for _, precision in candidates("auto", "auto", "cpu"))
    assert {name for name, _ in candidates("auto", "auto", "cuda")} == {"torch", "compile"}


def test_int8_keeps_its_clips_so_that_it_is_the_same_next_time(make_toy: Any, draw: Any, tmp_path: Path) -> None:
    pytest.importorskip("nncf")
    toy, clips = make_toy("look"), draw(6, 2)
    others = logging.NullHandler()
    logging.getLogger("nncf").addHandler(others)
    running = attach(toy, "openvino", "int8", clips=clips)
    logging.getLogger("nncf").removeHandler(others)
    assert others.level == logging.NOTSET, "what others log to hears no less than before"
    assert running.calibration and running.precision == "int8"
    features = toy(clips)
    again = make_toy("look")
    assert attach(again, "openvino", "int8", clips=draw(6, 2, seed=9)) == running
    np.testing.assert_allclose(again(clips), features, rtol=1e-5, atol=1e-5)
    found = json.loads((tmp_path / "engines.json").read_text())
    assert all("processor" in entry["machine"] for entry in found.values())


def test_final_scores_hold_in_int8(make_toy: Any, draw: Any) -> None:
    """A small head, learnt on fp32 features of two kinds of clips, gives nearly the same scores on int8 features."""
    pytest.importorskip("nncf")
    import torch

    clips = draw(24, 2)
    clips[::2, :, :24] = 250
    labels = (np.arange(24) % 2 == 0).astype(np.float32)
    toy = make_toy("look")

    def rows(features: Any) -> Any:
        return features.mean((1, 2, 3))

    plain = rows(toy(clips))
    attach(toy, "openvino", "int8", clips=clips[:12])
    coarse = rows(toy(clips))
    torch.manual_seed(0)
    head = torch.nn.Linear(32, 1)
    optimizer = torch.optim.AdamW(head.parameters(), 0.05, weight_decay=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        out = head(torch.from_numpy(plain[:12]))[:, 0]
        torch.nn.functional.binary_cross_entropy_with_logits(out, torch.from_numpy(labels[:12])).backward()
        optimizer.step()

    def score(features: Any) -> Any:
        with torch.inference_mode():
            return torch.sigmoid(head(torch.from_numpy(features))[:, 0]).numpy()

    before, after = score(plain[12:]), score(coarse[12:])
    assert np.abs(before - after).max() < 0.1 and spearmanr(before, after).statistic > 0.9
    held = after[labels[12:] == 1].min() > after[labels[12:] == 0].max()
    assert held, "what was told apart in fp32 is told apart in int8"


def test_a_gpu_is_taken_where_it_can_do_what_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    assert select._device("auto", "auto", "cuda:1") == "cuda:1"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert select._device("auto", "auto", "auto") == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(select, "has_bf16", lambda device: True)
    assert select._device("auto", "auto", "auto") == "cuda"
    assert select._device("torch", "bf16", "auto") == "cuda"
    assert select._device("openvino", "auto", "auto") == "cpu"
    assert select._device("auto", "int8", "auto") == "cpu"
    assert select._device("openvino", "fp32", "cuda:1") == "cpu" == select._device("auto", "auto", "cpu")


def test_what_was_measured_on_one_gpu_holds_for_its_neighbor(
    fake: type[Fake], make_toy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy = make_toy("look")
    key = select._key(type(toy), toy.config, "fake", "fp32", "cuda:0")
    select.remember({key: {"running": {"engine": "fake", "precision": "fp32", "device": "cuda:0", "batch": 3}}})
    monkeypatch.setattr(fake, "devices", ("cpu", "cuda"))
    found = remembered(type(toy), toy.config, "fake", "fp32", "cuda:1")
    assert found is not None and (found.device, found.batch) == ("cuda:1", 3)
    assert remembered(type(toy), toy.config, "fake", "fp32", "cpu") is None

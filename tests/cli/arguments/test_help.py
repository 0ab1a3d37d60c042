"""Help of every verb: complete, with the settings of what is chosen, and as wide as the terminal."""

from __future__ import annotations

from dataclasses import is_dataclass
from typing import Any

import pytest

from wherewhen import cli
from wherewhen.cli.arguments.described import of_values, settings_of
from wherewhen.core import registry
from wherewhen.core.contracts import Training
from wherewhen.core.linking import LinkConfig
from wherewhen.core.tubes import TubeConfig
from wherewhen.inference.model_config import ModelConfig

RECORDS = {
    f"{kind}/{name}": registry.load(kind, name).Config
    for kind in ("methods", "backbones", "instances", "localize", "proposals")
    for name in registry.names(kind)
} | {"training": Training, "tracks": LinkConfig, "tubes": TubeConfig}


def helped(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert cli.main([*words, "--help"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", RECORDS)
def test_every_setting_of_a_plug_in_is_described(name: str) -> None:
    for one in settings_of(RECORDS[name]):
        assert one.text or is_dataclass(one.kind), f"{name}.{one.name}"


@pytest.mark.parametrize("words", [[], ["--method", "rtfm"], ["--method", "mgpr", "--backbone", "c3d"]])
def test_train_shows_the_settings_of_what_is_chosen(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    out = helped(capsys, "train", *words)
    pairs: dict[str, Any] = dict(zip((word[2:] for word in words[::2]), words[1::2], strict=True))
    config = ModelConfig.of(pairs)
    shown = {name: made for name, made in config.settings.items() if name != "tube_frames"}  # as tubes
    for section, made in {**shown, "training": config.training}.items():
        for one in of_values(made, f"{section}."):
            line = next(line for line in out.splitlines() if one.name in line)
            assert line.startswith(("  --", "  --[no-]"))
    given = set(config.settings)
    others = {name for kind in registry.PARTS.values() for name in registry.names(kind)} - given
    assert not [name for name in others if f"--{name}." in out]


def test_defaults_are_those_of_the_method(capsys: pytest.CaptureFixture[str]) -> None:
    usual = ModelConfig.of().training.steps
    for method in ("cuboid_mil", "vadclip"):
        text = " ".join(helped(capsys, "train", "--method", method).split())
        steps = ModelConfig.of({"method": method}).training.steps
        assert f"--training.steps N steps of the optimizer (default: {steps})" in text
    assert steps != usual, "another method, or this test shows nothing"


def test_what_is_given_is_the_default_that_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(helped(capsys, "train", "--cells.rows", "3", "--no-motion.camera").split())
    assert "7 in cuboid MIL (default: 3)" in text and "--motion.camera subtract the motion of the camera" in text


@pytest.mark.parametrize(
    ("words", "there", "missing"),
    [
        (["detect"], "--regions.cooldown_seconds", "--motion.rate"),
        (["detect", "--prompts", "toy", "--backbone", "clip"], "--clip.variant", "--toywords.layer"),
        (["extract", "--backbones", "x3d,motion"], "--x3d.variant", "--training.steps"),
        (["bench", "--methods", "rtfm,urdmu"], "--urdmu.width", "--cuboid_mil.hidden"),
        (["proposals", "--proposals", "onnx"], "--onnx.layout", "--motion.rate"),
        (["train", "--movers", "motion"], "--movers.boxes.rate", "--tubes.part"),
        (["evaluate"], "--damaged", "--cells.rows"),
    ],
)
def test_other_verbs_show_the_sections_that_they_take(
    words: list[str], there: str, missing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = helped(capsys, *words)
    assert f"  {there}" in out and missing not in out


@pytest.mark.parametrize("columns", [60, 100, 300])
@pytest.mark.parametrize("verb", ["train", "features", "list"])
def test_help_is_as_wide_as_the_terminal(
    verb: str, columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = helped(capsys, verb).splitlines()
    longest = max(len(line) for line in lines if not line.startswith("usage"))
    assert longest <= min(columns, 110) and longest > 40


def test_where_an_option_applies_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(helped(capsys, "detect").split())
    assert (
        "(only with --prompts; default: patches)" in text
        and "(not with --prompts; run folders only; default: best)" in text
    )
    assert "(only probe)" in " ".join(helped(capsys, "data").split())
    assert "--engine" in (out := helped(capsys, "extract")) and "--localizer" not in out and "--validation" not in out
    assert "(networks only; default: auto)" in " ".join(out.split())


def test_a_misspelt_choice_is_told_in_help_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "--method", "rtmf", "--help"]) == 2
    assert "did you mean 'rtfm'" in capsys.readouterr().err

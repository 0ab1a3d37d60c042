from __future__ import annotations

import json
from pathlib import Path

import pytest

from wherewhen import cli
from wherewhen.backbones.toywords import ToyWords, ToyWordsConfig
from wherewhen.core import prompts
from wherewhen.core.prompts import Prompts
from wherewhen.text.prompt_check import check

TOY = ToyWords(ToyWordsConfig())


def told(made: Prompts, **more: object) -> list[tuple[str, str]]:
    return [(fault.severity, fault.kind) for fault in check(made, **more)]  # type: ignore[arg-type]


def test_the_same_text_twice() -> None:
    assert told(Prompts(("a road", "A  road!"), {"x": ("a crash", "a wreck")})) == [("warning", "repeated")]
    both = check(Prompts(("a road",), {"x": ("a crash", "a road"), "y": ("a fire", "Smoke")}))
    assert [(f.severity, f.about) for f in both] == [("error", "a road")] and "normal, x" in both[0].message


def test_one_text_is_few() -> None:
    assert [f.about for f in check(Prompts(("a road",), {"x": ("a crash",), "y": ("a fire", "smoke")}))] == ["x"]


def test_near_synonyms_across_the_sides_by_words() -> None:
    made = Prompts(("a picture of cars driving on the road",), {"x": ("cars driving on a road", "a crash")})
    assert told(made) == [("warning", "synonym")]
    assert told(Prompts(("cars parking on the road",), {"x": ("cars driving on a road", "a crash")})) == []


def test_near_synonyms_as_an_encoder_reads_them() -> None:
    made = Prompts(("a red wall", "a road"), {"x": ("something red", "a runner"), "y": ("running", "a bicycle")})
    faults = check(made, TOY)
    assert [(f.severity, f.kind) for f in faults] == [("info", "synonym"), ("info", "synonym")]
    assert all("running" in f.about and "cosine 1.000" in f.message for f in faults), "two classes: red and running"
    across = check(Prompts(("red", "a road"), {"x": ("something red", "a bicycle")}), TOY)
    assert [(f.severity, f.kind) for f in across] == [("warning", "synonym")]
    assert "red (normal) / something red (x)" in across[0].about
    assert check(made, TOY, similar=1.1) == []


def test_what_an_encoder_cuts_or_can_not_read() -> None:
    class Short(ToyWords):
        limit = 3

    short = Short(ToyWordsConfig())
    made = Prompts(("a picture of the road",), {"x": ("a runner", "red")})
    (fault,) = check(made, short)
    assert (fault.severity, fault.kind, fault.about) == ("error", "long", made.normal[0])
    assert "5 tokens, of which 3 are read" in fault.message
    (fault,) = check(Prompts(("a road",), {"x": ("a zebra", "red")}), TOY)
    assert (fault.severity, fault.kind) == ("error", "unread") and "unknown word 'zebra'" in fault.message


@pytest.mark.parametrize("name", prompts.shipped())
def test_what_comes_along_has_no_grave_fault(name: str) -> None:
    assert not [fault for fault in check(prompts.read(name)) if fault.severity != "info"]


def test_the_verb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["prompts", "check"]) == 0
    assert "by their words alone" in capsys.readouterr().out
    assert cli.main(["prompts", "check", "toy", "--backbone", "toywords"]) == 0
    assert "by the encoder toywords" in capsys.readouterr().out
    prompts.write(tmp_path / "own.yaml", Prompts(("red",), {"x": ("red", "a zebra")}))
    assert cli.main(["prompts", "check", str(tmp_path / "own.yaml"), "--backbone", "toywords", "--json"]) == 1
    rows = json.loads(capsys.readouterr().out)
    assert [row["kind"] for row in rows] == ["repeated", "unread"]
    assert cli.main(["prompts", "check", "toy", "--backbone", "motion"]) == 2
    assert "doesn't encode text" in capsys.readouterr().err
    assert cli.main(["prompts", "show", "toy", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["fall"] == ["a person falling", "a fallen person"]

"""One convention for all verbs: the same thing has the same name, type and place everywhere."""

from __future__ import annotations

import ast
import inspect
import json
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, Literal, get_type_hints

import pytest

from wherewhen import cli
from wherewhen.cli.arguments.described import descriptions, kinds_of
from wherewhen.core import registry

COMMANDS = {verb: cli.command_of(verb) for verb in cli.VERBS}

PLACES = {"action", "data", "source", "archive", "text", "other", "kind", "file", "name", "store"}
"""What a verb works on: said by its place, in every verb."""

TYPES: dict[str, Any] = {
    # what a verb works on
    "action": Literal, "data": str, "source": str, "archive": str, "text": str, "other": str, "kind": str, "file": str,
    "name": str, "store": str,
    # data sets
    "reader": str, "other_reader": str, "fold": str, "normal": str, "anomalous": str, "damaged": Literal, "across": str,
    # what is written and printed
    "format": Literal,
    "output": str, "json": bool, "quiet": bool, "render": bool, "examples": int, "stored": Literal, "dry_run": bool,
    # how work is done
    "device": str, "workers": int, "distributed": Literal, "ray_address": str, "resume": bool, "trust": bool,
    "seed": int, "seeds": int, "check": bool, "deep": bool, "read_videos": bool,
    # models and what they are compared by
    "model": str, "which": Literal, "threshold": float, "alarms_per_day": float, "threshold_from": Literal,
    "camera": str,
    "prompts": str, "view": Literal, "methods": str, "footage": str,
    "features": str, "protocol": Literal, "list": bool,
    "backbones": str, "ablate": str, "ablations": bool, "metrics": str, "proposals": str, "tolerance": float,
    # videos and pictures
    "hwaccel": str,
    "rate": float, "speed": float, "width": int, "height": int, "seconds": float, "video": str, "videos": str,
    "clips": int, "stride": int, "frames_per_clip": int, "cameras": int, "scene": int, "normal_clips": int,
    "anomalous_clips": int,
    "kinds": str, "nuisance": str, "palette": bool, "decoys": int, "boxes": bool,
    # texts
    "similar": float, "endpoint": str, "language_model": str, "classes": str, "scene_text": str, "count": int,
    "every": float, "parts": int, "port": int, "shard": str, "hub": str, "log_format": Literal,
    "host": str, "hosts": str, "token": str, "users": str, "open": bool,
    # cameras
    "minutes": float, "zone": str, "verdict": str, "promote": bool, "review": str,
    # files of other tools
    "to": str, "from_": str, "layout": Literal, "labels": str, "labels_from_name": bool, "train_list": str,
    "test_list": str, "gt": str, "axes": Literal, "crop_order": Literal, "average": bool,
}  # fmt: skip
"""Every option of a verb and its type; a new one is entered here once, and then has this type in all verbs."""

OPTIONS = [(verb, one) for verb, command in COMMANDS.items() for one in fields(command.options)]


def kind(verb: str, name: str) -> Any:
    (only,) = kinds_of(get_type_hints(COMMANDS[verb].options)[name])
    return only if isinstance(only, type) else Literal


@pytest.mark.parametrize(("verb", "one"), OPTIONS, ids=[f"{verb}-{one.name}" for verb, one in OPTIONS])
def test_the_same_option_means_the_same_in_all_verbs(verb: str, one: Any) -> None:
    assert TYPES.get(one.name) is kind(verb, one.name)
    by_place = one.default is MISSING or one.name in COMMANDS[verb].places
    assert by_place == (one.name in PLACES), "what a verb works on is said by its place, and nothing else is"
    text = descriptions(COMMANDS[verb].options).get(one.name, "")
    assert text.endswith(".") and text[0] == text[0].lower(), f"{verb} {one.name}: a clause with a full stop: {text!r}"


def test_no_name_of_the_table_is_left_over() -> None:
    assert set(TYPES) == {one.name for _, one in OPTIONS} and set(TYPES) >= PLACES


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_prints_json_and_reads_data_sets_alike(verb: str) -> None:
    own = {one.name: one.default for one in fields(COMMANDS[verb].options)}
    assert own["json"] is False and own.get("quiet", False) is False
    assert own.get("reader", MISSING if "data" in own else None) is None, "a reader can be named where data is read"
    assert "config" not in own and "settings" not in own, "every verb has -c FILE"
    order = [name for name in ("json", "quiet") if name in own]
    assert list(own)[-len(order) :] == order


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_option_is_used(verb: str) -> None:
    """An option that its verb's own file never reads does nothing; ``quiet`` is read by the command line."""
    tree = ast.parse(inspect.getsource(inspect.getmodule(COMMANDS[verb].run)))
    read = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    whole = any(isinstance(node, ast.Call) and ast.unparse(node) == "vars(options)" for node in ast.walk(tree))
    unused = {one.name for one in fields(COMMANDS[verb].options)} - read
    assert unused <= ({"quiet"} if not whole else unused)


JSON = [
    "list", "list methods", "list metrics", "list datasets", "weights list", "prompts show toy", "prompts check toy",
    "data check DATA", "data truth DATA", "data truth DATA DATA", "data probe DATA", "extract DATA --dry-run",
    "extract DATA --workers 1", "toy --normal-clips 1 --anomalous-clips 0 --seconds 4 --rate 5 --width 64 --height 48",
    "convert DATA --from truth --output truth.json", "proposals DATA --tubes.shortest 0.2 --motion.rate 6",
    "features verify a.npy a.npy", "reproduce --list",
]  # fmt: skip


@pytest.mark.parametrize("line", JSON)
def test_json_is_all_that_is_printed(
    line: str, natives: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import numpy as np

    monkeypatch.chdir(tmp_path)
    np.save("a.npy", np.ones((4, 8), np.float32))
    capsys.readouterr()
    assert cli.main([*line.replace("DATA", str(natives)).split(), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, list | dict) and (found or "truth" in line or "check" in line)


def test_rows_of_plug_ins_have_typed_values(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list", "metrics", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["frame"]["numbers"] == list(registry.load("metrics", "frame").names)
    assert cli.main(["list", "datasets", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["ucsd_ped2"]["holds"] == dict(registry.load("datasets", "ucsd_ped2").counts)
    assert all(type(count) is int for count in rows["ucsd_ped2"]["holds"].values())


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("train x --quiet=true", "--quiet takes no value; write --quiet or --no-quiet"),
        ("train x --check false", "--check takes no value; write --check or --no-check"),
        ("train x --cells.l2 true", "--cells.l2 takes no value; write --cells.l2 or --no-cells.l2"),
        ("train x y", "unexpected word 'y'; train takes DATA and options"),
        ("train x --output", "--output needs a value: --output TEXT"),
        ("train x --output --quiet", "--output needs a value"),
        ("train x -c", "-c needs a value: -c FILE"),
        ("train x --lr 3", "unknown option '--lr'; did you mean '--training.learning_rate'?"),
        ("train x --steps 3", "unknown option '--steps'; did you mean '--training.steps'?"),
        ("train x --batch-size 3", "did you mean '--training.bags'?"),
        ("detect x --lr 3", "unknown option '--lr'; wherewhen detect --help lists all options"),
        ("predict x", "unknown verb 'predict'; did you mean 'detect'? wherewhen --help lists all verbs"),
        ("doctor x", "unexpected word 'x'; doctor takes options only"),
        ("train x --no-output", "unknown option '--no-output'"),
        ("train x --seed 1.5", "--seed: expected a whole number, got 1.5"),
        ("train x --seed 1{", "--seed: expected a whole number, got '1{'"),
        ("train x --damaged maybe", "--damaged: expected one of keep, set-aside, got 'maybe'"),
        ("data chekc x", "action: expected one of check, truth, probe, cameras, got 'chekc'"),
        (
            "data truth x --other y",
            "--other: OTHER is named by its place: wherewhen data check|truth|probe|cameras DATA [OTHER]",
        ),
        ("train --data x", "--data: DATA is named by its place: wherewhen train DATA"),
        ("evaluate --dataset x", "--dataset: DATA is named by its place: wherewhen evaluate DATA"),
        ("bench x --epochs 3", "did you mean '--training.steps'?"),
        ("train x --settings y", "did you mean '--config'?"),
        ("train x --weights y", "unknown option '--weights'; wherewhen train --help lists all options"),
        ("train x --backbone motion --motion x", "--motion: name one of its settings"),
    ],
)
def test_words_that_break_the_convention_are_told(line: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(line.split()) == 2
    assert told in capsys.readouterr().err

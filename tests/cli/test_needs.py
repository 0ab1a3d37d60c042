"""Options that can't apply are refused by every verb, and ordinary command lines by none."""

from __future__ import annotations

from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from wherewhen import cli
from wherewhen.cli.arguments import parse
from wherewhen.cli.arguments.described import choices, kinds_of
from wherewhen.cli.needs import Fits, Need, Sections, dashed, is_set
from wherewhen.core.errors import ConfigError

COMMANDS = {verb: cli.command_of(verb) for verb in cli.VERBS}
RULES = [(verb, need) for verb, command in COMMANDS.items() for need in command.needs]
NEEDS = [(verb, need, name) for verb, need in RULES if isinstance(need, Need) for name in need.options]
FITS = {(verb, need.wrong.__name__, name) for verb, need in RULES if isinstance(need, Fits) for name in need.options}

WRONG = {
    "one_model": {
        "adapt": ["--model", "one.safetensors", "--footage", "x"],
        "calibrate": ["--model", "one.safetensors", "--footage", "x"],
        "learn": ["--model", "one.safetensors", "--from", "x"],
        "export": ["--model", "one.safetensors"],
        "detect": ["x.mp4", "--model", "one.safetensors", "--which", "last"],
        "evaluate": ["x", "--model", "one.safetensors", "--which", "last"],
    },
    "no_engine": {
        "detect": ["x.mp4", "--prompts", "toy", "--backbone", "toywords"],
        "train": ["x"],
        "extract": ["x", "--backbones", "motion,pixels"],
        "bench": ["x", "--backbones", "motion"],
    },
    "features_alone": {"extract": ["x"]},
    "without_boxes": {"convert": ["x", "--from", "verdicts", "--to", "labels"]},
    "no_pictures": {"search": ["store", "car"]},
    "no_clips": {"features": ["verify", "a", "b"]},
}
"""Words with which an option that has such a rule can't apply."""

ORDINARY = """
bench x --methods cuboid_mil,rtfm --backbones motion --seeds 3 --metrics frame --json --reader native
bench x --output out --workers 2 --quiet --engine torch --precision fp32 --backbones motion,x3d --x3d.stride 8
adapt --model run --footage y --output out --resume --alarms-per-day 2 --device cpu --damaged keep --json
adapt --model run --footage y --which last --trust --quiet
bench x --ablate stprompt --across y --validation 0.1 --training.steps 3 --localizer regions --cells.rows 3
bench x --methods rtfm --crops 5 --gate 1 --movers motion --rtfm.width 2 --instances cells
bench x --methods rtfm --normalizer both --components 3 --crops 5 --crop_mode separate --test_crop 1 --device cpu
calibrate --model run --footage y --output out --resume --alarms-per-day 2 --device cpu --damaged keep --json
calibrate --model run --footage y --which last --trust --quiet
learn --from live --model run --output out --videos d --alarms-per-day 2 --device cpu --damaged keep --no-promote --json
learn --from live --model run --which last --trust --quiet
export --model run --format openvino --output out --videos y --tolerance 0.01 --json
export --model run --which last --trust
watch cameras.yaml --check --json --model run --output live --device cpu
watch rtsp://yard/1 --speed 2 --port 5000 --log-format json --quiet
watch cameras.yaml --alarms-per-day 1 --hwaccel vaapi
control resend hub live
watch cameras.yaml --shard 1/3 --hub http://10.0.0.2:5000
watch cameras.yaml --distributed ray --ray-address ray://host:1 --hub http://10.0.0.2:5000
hub cameras.yaml --output hub --port 5000 --log-format json --quiet
hub cameras.yaml --check --json
control enable yard
control disable yard live --json --quiet
control snooze yard live --minutes 30 --zone door
control accept yard
control promote runs/yard-2
control rollback runs/yard-2 live
control verdict 1790000000.1-abc --verdict false
status
status live --json
review out --host 127.0.0.1 --port 5001 --token 0123456789abcdef --hosts cameras.lan --no-open --quiet
review archive --model run --output out --device cpu --users users.txt --json
convert found --output out.json --to coco --from events --no-boxes --json
convert found --output out.json --from truth --reader native
convert out --from verdicts --to labels --output archive/labels.csv
data check x --reader native --no-read-videos --deep --examples 5
data check x --normal a --anomalous b --json
data check x --review out --model run --device cpu
data truth x y --reader native --other-reader native --json
data probe x --rate 25 --examples 5
data cameras x --output cameras.csv --examples 5
demo --output out --seed 2 --quiet --json
doctor --json
detect x.mp4 --model run --threshold 0.3 --output found --resume --no-render --damaged keep
detect x --alarms-per-day 2 --camera gate --hwaccel auto
detect x.mp4 --model run --which last --device cpu --trust
detect x.mp4 --regions.cooldown_seconds 30 --engine onnx --precision int8 --movers motion --json --quiet
detect x --workers 3 --distributed ray --ray-address ray://host:1
detect x.mp4 --prompts toy --backbone toywords --view windows --localizer regions --threshold 0.4
detect x.mp4 --prompts toy --engine torch --precision fp32 --clip.weights random --device cpu
evaluate x --model run --fold first --reader native --metrics frame --output out --which last --json
evaluate x --device cpu --trust --quiet --normal a --anomalous b --damaged keep
extract x --output store --stored float16 --workers 2 --dry-run --device cpu --reader native --quiet --json
extract x --distributed ray --ray-address ray://host:1 --normal a --anomalous b --backbones motion,x3d --engine torch
extract x --method stprompt --instances cells --cells.rows 3 --motion.rate 5 --crops 5 --gate 1
extract x --backbones x3d --precision fp32 --damaged set-aside --hwaccel cuda
features verify a b --tolerance 0.1 --video x.mp4 --clips 2 --backbone x3d --x3d.stride 8 --trust --json
features import a --output b --layout rtfm --labels l.csv --reader native --labels-from-name --train-list a.list
features import a --output b --test-list b.list --gt g.npy --axes time-first --frames-per-clip 16 --stride 8 --rate 25
features import a --output b --width 320 --height 240 --crop-order corners-first --average --stored float16 --json
features import a --output b --backbone x3d --x3d.stride 8
import-model x.pkl --method rtfm --output run --features store --json
import-model x.pkl --method urdmu --backbone i3d --crops 5 --crop_mode separate --test_crop 2 --gate 1 --movers motion
import-model x.pkl --method clip_tsa --localizer regions --clip_tsa.keep 0.9 --clip.weights random
list methods --json
list
prompts check toy --backbone toywords --similar 0.9 --json
prompts check toy --clip.weights random
prompts write new.yaml --endpoint http://localhost:8000/v1 --language-model m --classes a,b --count 2 --scene-text road
prompts show toy --json
proposals x --proposals motion --motion.rate 6 --tracks.gap 0.5 --reader native --fold first --json --quiet
reproduce rtfm x --features y --seeds 2 --protocol published --output out --device cpu --json
reproduce rtfm x --reader native --workers 2 --quiet --ablations
reproduce --list
search store car --count 3 --every 2 --parts 1 --videos x --output out --json --quiet --backbone clip
search store car --clip.weights random
search store car --videos x --review out
toy --output out --normal-clips 2 --anomalous-clips 3 --kinds running --seconds 3 --width 64 --height 48 --quiet
toy --rate 5 --cameras 2
toy --json --scene 1 --seed 2 --palette --decoys 3 --nuisance rain
toy --anomalous-clips 0
train x --output run --fold first --reader native --seed 3 --device cpu --resume --no-check --quiet --json
train x --normal a --anomalous b --validation 0.3 --training.steps 3 --cuboid_mil.hidden 8 --motion.rate 5
train x --method rtfm --backbone x3d --engine torch --precision fp32 --crops 5 --gate 1 --movers motion
train x --augment phase,flip
bench x --methods rtfm --augment rate
train x --method rtfm --normalizer past --crops 10 --crop_mode separate --test_crop 6
train x --method rtfm --normalizer global --components 3
train x --threshold-from out-of-fold --alarms-per-day 2 --auto.minutes 3
train x --localizer regions --instances cells --regions.top 2 --damaged set-aside
weights list clip --json
weights get clip --quiet
""".strip().splitlines()


def options(verb: str) -> dict[str, Field[Any]]:
    return {one.name: one for one in fields(COMMANDS[verb].options)}


def settings(verb: str) -> set[str]:
    flags = set(COMMANDS[verb].flags)
    return flags | {"training"} if COMMANDS[verb].model_options is True else flags


def hint(verb: str, name: str) -> Any:
    return get_type_hints(COMMANDS[verb].options)[name]


def some(verb: str, name: str, *, without: object = None) -> str:
    """A value of an option that is not its default."""
    known = {
        "engine": "torch",
        "precision": "fp32",
        "backbone": "toywords",
        "localizer": "regions",
        "prompts": "toy",
        "normalizer": "past",
        "components": "3",
        "augment": "phase",
        "crops": "5",
        "test_crop": "2",
    }
    if name in known or name not in options(verb):
        return known.get(name, "motion" if name == "movers" else "0.1")
    if several := choices(hint(verb, name)):
        return next(one for one in several if one not in (options(verb)[name].default, without))
    return {int: "3", float: "0.3"}.get(kinds_of(hint(verb, name))[0], "x")


def spoken(verb: str, name: str, value: str | None = None) -> list[str]:
    """An option as it is typed; a switch is not as it is by default."""
    if name in options(verb) and hint(verb, name) is bool:
        return [f"--no-{dashed(name)[2:]}" if options(verb)[name].default else dashed(name)]
    return [f"{dashed(name)}={some(verb, name) if value is None else value}"]


def places(verb: str) -> list[str]:
    needed = [name for name, one in options(verb).items() if one.default is MISSING]
    return [*needed, *COMMANDS[verb].places]


def words(verb: str, name: str, given: dict[str, str]) -> list[str]:
    """A command line that gives an option, its required words and some others."""
    last = [one for one in places(verb) if options(verb)[one].default is MISSING or one == name or one in given]
    more = [word for key, value in given.items() if key not in places(verb) for word in spoken(verb, key, value)]
    more += spoken(verb, name) if name not in (*places(verb), *given) else []
    return [*(given.get(one, some(verb, one)) for one in last), *more]


def shown(verb: str, name: str) -> str:
    return name.upper() if name in places(verb) else dashed(name)


def actions(verb: str, name: str) -> list[str]:
    """The actions of a verb in which an option applies."""
    if "action" not in options(verb):
        return []
    known = list(get_args(get_type_hints(COMMANDS[verb].options)["action"]))
    for other, need in RULES:
        if isinstance(need, Need) and other == verb and name in need.options and need.other == "action":
            assert isinstance(need.required, tuple)
            known = [one for one in known if one in need.required]
    return known


def test_every_verb_is_in_the_lines_that_are_tried() -> None:
    assert {line.split()[0] for line in ORDINARY} == set(cli.VERBS)


@pytest.mark.parametrize(("verb", "need"), RULES)
def test_rules_name_options_that_there_are(verb: str, need: Need | Fits | Sections) -> None:
    known = {*options(verb), *settings(verb)}
    if not isinstance(need, Sections):
        assert need.options and set(need.options) <= known
    if isinstance(need, Need):
        assert need.other in options(verb) or (need.other in settings(verb) and need.required is True)
        if isinstance(need.required, tuple) and (values := choices(hint(verb, need.other))):
            assert set(need.required) < set(values)


@pytest.mark.parametrize(("verb", "need", "name"), NEEDS)
def test_what_needs_another_option_is_refused(verb: str, need: Need, name: str) -> None:
    given = {"action": able[0]} if (able := actions(verb, name)) else {}
    if isinstance(need.required, tuple) and need.other != "action":
        given[need.other] = some(verb, need.other)
    elif isinstance(need.required, tuple):
        every = get_args(get_type_hints(COMMANDS[verb].options)["action"])
        given["action"] = next(one for one in every if one not in need.required)
    elif not need.required:
        given[need.other] = some(verb, need.other)
    elif need.other in options(verb) and is_set(options(verb)[need.other].default):
        given[need.other] = "0"
    with pytest.raises(ConfigError) as error:
        parse(COMMANDS[verb], verb, words(verb, name, given))
    told = str(error.value)
    assert told.startswith(f"{shown(verb, name)} has no effect ") and need.why in told and "eave" in told
    assert (f"belongs to {verb} " if need.other == "action" else shown(verb, need.other)) in told


@pytest.mark.parametrize(("verb", "why", "name"), sorted(FITS))
def test_what_does_not_fit_is_refused(
    verb: str, why: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("one.safetensors").touch()
    told = WRONG[why][verb]
    value = [] if dashed(name) in told else spoken(verb, name)
    value = ["--training.steps=3"] if name == "training" else value
    with pytest.raises(ConfigError, match=f"^{dashed(name)} has no effect here: .*; .*leave it out"):
        parse(COMMANDS[verb], verb, [*told, *value])


@pytest.mark.parametrize(
    "line",
    [
        "train x --tubes.part 1.28",
        "train x --method cuboid_mil --rtfm.width 3",
        "extract x --cuboid_mil.hidden 3",
        "extract x --x3d.stride 3",
        "bench x --methods cuboid_mil --rtfm.width 3",
        "search store car --motion.rate 3",
        "prompts check toy --backbone toywords --clip.weights random",
    ],
)
def test_settings_of_what_is_not_used_are_refused(line: str) -> None:
    verb, *told = line.split()
    section = next(word for word in told if "." in word and word.startswith("--")).split(".")[0]
    with pytest.raises(ConfigError, match=rf"^{section}.NAME has no effect here: .*not used; leave it out, or choose"):
        parse(COMMANDS[verb], verb, told)


def test_every_verb_with_settings_of_plug_ins_refuses_those_that_are_not_used() -> None:
    able = {verb for verb, one in COMMANDS.items() if one.takes_settings}
    assert able == {verb for verb, need in RULES if isinstance(need, Sections)}


@pytest.mark.parametrize("line", ORDINARY)
def test_ordinary_command_lines_are_not_refused(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    verb, *told = line.split()
    parse(COMMANDS[verb], verb, told)


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_option_applies_in_an_ordinary_command_line(verb: str) -> None:
    lines = [line.replace("=", " ").split()[1:] for line in ORDINARY if line.split()[0] == verb]
    given = {word.removeprefix("--").removeprefix("no-").replace("-", "_") for line in lines for word in line}
    sections = {word.split(".")[0] for word in given if "." in word}
    own = {"methods", "backbones"} & set(options(verb))
    wanted = {*options(verb), *settings(verb)} - {name.removesuffix("s") for name in own}
    wanted -= {name for other, why, name in FITS if other == verb and why == "features_alone"}  # a run's settings do
    wanted -= {"from_"} if "from" in given else set()
    assert wanted <= given | sections | {*places(verb)}


def test_settings_files_with_every_setting_are_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for line in ("detect x.mp4", "train x", "prompts show toy", "data truth x", "extract x", "features import a"):
        verb, *told = line.split()
        with pytest.raises(SystemExit):
            parse(COMMANDS[verb], verb, [*told, "--print-config"])
        (tmp_path / "all.yaml").write_text(capsys.readouterr().out)
        parse(COMMANDS[verb], verb, ["-c", str(tmp_path / "all.yaml"), *told])


@pytest.mark.parametrize("verb", ["extract", "bench"])
def test_the_backbone_of_a_run_is_one_of_several(verb: str, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("backbone: pixels\n")
    words = ["x", "-c", str(tmp_path / "run.yaml")]
    assert parse(COMMANDS[verb], verb, words)[0].backbones == "pixels"
    assert parse(COMMANDS[verb], verb, [*words, "--backbones", "motion"])[0].backbones == "motion"
    (tmp_path / "run.yaml").write_text("backbone: pixels\nbackbones: motion\n")
    with pytest.raises(ConfigError, match="'backbone'; did you mean 'backbones'"):
        parse(COMMANDS[verb], verb, words)


def test_a_settings_file_is_refused_as_the_command_line_is(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("view: windows\n")
    with pytest.raises(ConfigError, match="--view has no effect without --prompts"):
        parse(COMMANDS["detect"], "detect", ["x.mp4", "-c", str(tmp_path / "own.yaml")])
    (tmp_path / "own.yaml").write_text("backbone: clip\n")
    with pytest.raises(ConfigError, match="--backbone has no effect without --prompts"):
        parse(COMMANDS["detect"], "detect", ["x.mp4", "-c", str(tmp_path / "own.yaml")])


@pytest.mark.parametrize("name", ["&x", "*x", "null", "~", "1e5", "01", "[a]", "{a: 1}", "true", "a: b", "!x"])
def test_paths_are_taken_as_they_stand(name: str) -> None:
    for words in (["x.mp4", "--output", name], ["x.mp4", f"--output={name}"]):
        assert parse(COMMANDS["detect"], "detect", words)[0].output == name
    assert parse(COMMANDS["detect"], "detect", [name])[0].source == name

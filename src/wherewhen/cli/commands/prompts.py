"""Check a file of prompts, generate one with a language model, or print one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from wherewhen.cli.needs import Need, Sections, of_backbone
from wherewhen.cli.verb import Verb
from wherewhen.core.console import print_json


@dataclass(frozen=True)
class Options:
    """Options of ``prompts``.

    The key of the endpoint is read from WHEREWHEN_API_KEY or OPENAI_API_KEY.

    Args:
        action: check (exit code 1 where there is an error), write (ask an endpoint) or show.
        file: prompt file, or the name of an included one (default, toy); for write the new file.
        similar: cosine similarity from which two texts count as the same for the backbone.
        endpoint: address of an OpenAI-compatible endpoint, such as http://localhost:8000/v1.
        language_model: name of the language model at the endpoint.
        classes: names of the classes to describe, separated by commas.
        count: number of descriptions of each class.
        scene_text: description of the camera's scene.
        json: print the result as JSON instead of text.
    """

    action: Literal["check", "write", "show"]
    file: str = "default"
    similar: float = 0.95
    endpoint: str | None = None
    language_model: str = "default"
    classes: str | None = None
    count: int = 4
    scene_text: str = ""
    json: bool = False


def run(options: Options, settings: dict[str, Any]) -> int:
    """Check, write or show; exit code 1 where a check finds an error."""
    return {"check": _check, "write": _write, "show": _show}[options.action](options, settings)


def _check(options: Options, settings: dict[str, Any]) -> int:
    from wherewhen.core import prompts, registry
    from wherewhen.text.encoders import requested_encoder, settings_of
    from wherewhen.text.prompt_check import check

    prompt_file, encoder = prompts.read(options.file), None
    name, backbone_settings = requested_encoder(settings)
    if name:
        encoder = registry.load("backbones", name)(settings_of(name, backbone_settings))
    faults = check(prompt_file, encoder, options.similar)
    if options.json:
        print_json([fault._asdict() for fault in faults])
        return int(any(fault.severity == "error" for fault in faults))
    for fault in faults:
        print(f"{fault.severity:<8} {fault.kind:<9} {fault.about}: {fault.message}")
    by = f"by the encoder {name}" if name else "by their words alone (--backbone NAME: by an encoder)"
    print(f"{len(prompt_file.texts)} texts, {len(prompt_file.names)} classes, {len(faults)} remarks, {by}")
    return int(any(fault.severity == "error" for fault in faults))


def _write(options: Options, settings: dict[str, Any]) -> int:
    from pathlib import Path

    from wherewhen.core import prompts
    from wherewhen.core.errors import ConfigError
    from wherewhen.text import prompt_writer

    path = Path(options.file)
    if path.suffix not in (".yaml", ".yml") or path.exists():
        raise ConfigError(f"prompts write: expected the name of a new file NAME.yaml, got {options.file}")
    if not options.endpoint or not options.classes:
        raise ConfigError(
            "prompts write needs an endpoint and classes: --endpoint http://HOST/v1 --classes fighting,robbery"
        )
    classes = [name.strip() for name in options.classes.split(",")]
    where = prompt_writer.Endpoint(options.endpoint, options.language_model)
    prompt_file = prompt_writer.write(where, classes, prompts.read("default").normal, options.count, options.scene_text)
    prompts.write(path, prompt_file)
    if options.json:
        print_json({"output": path})
    else:
        print(f"written: {path}; read it, edit it, and check it: wherewhen prompts check {path}")
    return 0


def _show(options: Options, settings: dict[str, Any]) -> int:
    from wherewhen.core import prompts

    prompt_file = prompts.read(options.file)
    sides = {"normal": prompt_file.normal, **prompt_file.classes}
    if options.json:
        print_json(sides)
        return 0
    for name, texts in sides.items():
        print(name)
        for text in texts:
            print(f"  {text}")
    return 0


VERB = Verb(
    "models",
    Options,
    run,
    places=("file",),
    addresses=("endpoint", "scene_text", "classes"),
    model_options=("backbone",),
    needs=(
        Need(("similar", "backbone"), "action", ("check",)),
        Need(("similar",), "backbone", True, "without it, texts are compared by their words alone"),
        Need(("endpoint", "language_model", "classes", "count", "scene_text"), "action", ("write",)),
        Sections(of_backbone),
    ),
)

"""Look after prompts: check a file, let a language model write one, show those that come along."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from wherewhen.needs import Need, Sections, of_backbone

SECOND = "file"
RECIPE = ("backbone",)
ADDRESSES = ("endpoint", "scene", "classes")
NEEDS = (
    Need(("similar", "backbone"), "action", ("check",)),
    Need(("similar",), "backbone", True, "without one, texts are compared by their words alone"),
    Need(("endpoint", "model", "classes", "count", "scene"), "action", ("write",)),
    Need(("json",), "action", ("check", "show")),
    Sections(of_backbone),
)


@dataclass(frozen=True)
class Options:
    """What ``prompts`` is told. A model's key is taken from WHEREWHEN_API_KEY or OPENAI_API_KEY.

    Args:
        action: check (exit code 1 where there is an error), write (ask an endpoint) or show.
        file: prompt file, or the name of one that comes along (default, toy); for write the new file.
        similar: cosine from which two texts say the same to the backbone (check).
        endpoint: address of an OpenAI-compatible endpoint, such as http://localhost:8000/v1 (write).
        model: name of the model there (write).
        classes: what to describe, names between commas (write).
        count: descriptions of each class (write).
        scene: where the camera hangs, in words (write).
        json: print JSON instead of a table.
    """

    action: Literal["check", "write", "show"]
    file: str = "default"
    similar: float = 0.95
    endpoint: str | None = None
    model: str = "default"
    classes: str | None = None
    count: int = 4
    scene: str = ""
    json: bool = False


def run(options: Options, settings: dict[str, Any]) -> int:
    """Do it and say what was found."""
    return {"check": _check, "write": _write, "show": _show}[options.action](options, settings)


def _check(options: Options, settings: dict[str, Any]) -> int:
    import json

    from wherewhen import prompts, registry
    from wherewhen.encoders import asked, settings_of
    from wherewhen.prompt_check import check

    made, encoder = prompts.read(options.file), None
    name, own = asked(settings)
    if name:
        encoder = registry.load("backbones", name)(settings_of(name, own))
    faults = check(made, encoder, options.similar)
    if options.json:
        print(json.dumps([fault._asdict() for fault in faults], indent=1))
        return int(any(fault.severity == "error" for fault in faults))
    for fault in faults:
        print(f"{fault.severity:<8} {fault.kind:<9} {fault.about}: {fault.message}")
    by = f"as {name} reads them" if name else "by their words alone (--backbone NAME: as an encoder reads them)"
    print(f"{len(made.texts)} texts, {len(made.names)} classes, {len(faults)} remarks, {by}")
    return int(any(fault.severity == "error" for fault in faults))


def _write(options: Options, settings: dict[str, Any]) -> int:
    from pathlib import Path

    from wherewhen import prompt_writer, prompts
    from wherewhen.errors import ConfigError

    path = Path(options.file)
    if path.suffix not in (".yaml", ".yml") or path.exists():
        raise ConfigError(f"prompts write: expected the name of a new file NAME.yaml, got {options.file}")
    if not options.endpoint or not options.classes:
        raise ConfigError("prompts write: say where and what: --endpoint http://HOST/v1 --classes fighting,robbery")
    classes = [name.strip() for name in options.classes.split(",")]
    where = prompt_writer.Endpoint(options.endpoint, options.model)
    made = prompt_writer.write(where, classes, prompts.read("default").normal, options.count, options.scene)
    prompts.write(path, made)
    print(f"written: {path}; read it, edit it, and check it: wherewhen prompts check {path}")
    return 0


def _show(options: Options, settings: dict[str, Any]) -> int:
    import json

    from wherewhen import prompts

    made = prompts.read(options.file)
    sides = {"normal": made.normal, **made.classes}
    if options.json:
        print(json.dumps(sides, indent=1, ensure_ascii=False))
        return 0
    for name, texts in sides.items():
        print(name)
        for text in texts:
            print(f"  {text}")
    return 0

"""Prompt files: the same texts, or an error."""

from __future__ import annotations

from pathlib import Path

import mutate_text
from case import Kind, Wrong, check_command, command


def seeds(corpus: Path) -> None:
    from wherewhen.core import prompts

    for name in prompts.shipped():
        prompts.write(corpus / f"{name}.yaml", prompts.read(name))


def judge(file: Path, corpus: Path) -> None:
    from wherewhen.core import prompts
    from wherewhen.core.config import read_yaml

    code, _, err = command("prompts", "check", file)
    if code == 2:
        check_command(code, err, file.name)
    made, plain = prompts.read(file), read_yaml(file)
    if list(made.normal) != plain["normal"] or {k: list(v) for k, v in made.classes.items()} != {
        str(key): value for key, value in plain["classes"].items()
    }:
        raise Wrong("other texts than the file holds")
    command("prompts", "show", file)


KIND = Kind(seeds, mutate_text.mutated, judge)

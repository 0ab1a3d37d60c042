"""Settings files: the same settings, or exit code 2 with what is wrong."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import mutate_text
from case import Kind, Refused, Wrong, case_folder, check_command, command

NAMES = ("cuboid_mil", "wherewhen", "mgpr")


def seeds(corpus: Path) -> None:
    from wherewhen.core.config import write_yaml
    from wherewhen.inference.model_config import ModelConfig

    for name in NAMES:
        write_yaml(corpus / f"{name}.yaml", ModelConfig.of({"method": name}).plain())
    (corpus / "short.yaml").write_text("method: rtfm\nrtfm:\n  dropout: 0.5\ntraining:\n  steps: 20\nseed: 3\n")


def judge(file: Path, corpus: Path) -> None:
    empty = case_folder(file) / "no-videos-here"
    code, _, err = command("train", empty, "-c", file, "--output", case_folder(file) / "run", "--quiet")
    if code == 1:  # the settings are fine, the videos are not there
        with suppress(Refused):
            check_command(code, err, empty.name, file.name)
        _same(file)
    elif code == 2:
        check_command(code, err)
    else:
        raise Wrong("an unexpected exit code", f"{code}: {err[-200:]!r}")


def _same(file: Path) -> None:
    """Wrong, where a setting of the file is not the one that counts."""
    from wherewhen.core.config import read_yaml
    from wherewhen.inference.model_config import ModelConfig

    given = read_yaml(file)
    made = ModelConfig.of({key: value for key, value in given.items() if key in ModelConfig.of().plain()}).plain()
    for key in ("method", "backbone", "localizer", "seed"):
        if key in given and given[key] is not None and str(given[key]) != str(made[key]):
            raise Wrong("another setting counts", f"{key}: {given[key]!r} in the file, {made[key]!r} in the recipe")


KIND = Kind(seeds, mutate_text.mutated, judge)

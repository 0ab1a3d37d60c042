"""The command line: one verb per file in ``commands``, typed options, YAML settings and dotted overrides."""

from __future__ import annotations

import os

# Before numpy comes: its many small products are done sooner than threads of their own are woken.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import ast
import logging
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from wherewhen.addresses import remember
from wherewhen.arguments import parse
from wherewhen.console import Discreet, discreet
from wherewhen.errors import ConfigError, WherewhenError, unknown

VERBS = sorted(p.stem for p in (Path(__file__).parent / "commands").glob("*.py") if not p.stem.startswith("_"))


def _summary(verb: str) -> str:
    """First line of a verb's module docstring, read without importing it."""
    text = (Path(__file__).parent / "commands" / f"{verb}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(text)) or "").splitlines()[0]


def _overview() -> str:
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:<{width}}  {_summary(verb)}" for verb in VERBS)
    return (
        "usage: wherewhen VERB [options]\n\n"
        "Learns from labels on whole videos, then says when and where it happens.\n\n"
        f"verbs:\n{verbs}\n\nwherewhen VERB --help says more; wherewhen --version"
    )


def _start_log(quiet: bool) -> None:
    from rich.console import Console
    from rich.logging import RichHandler

    log = logging.getLogger("wherewhen")
    told = RichHandler(console=Console(stderr=True), show_path=False, show_time=False)
    told.setLevel(logging.WARNING if quiet else logging.INFO)
    told.addFilter(Discreet())
    log.handlers = [told]
    log.setLevel(logging.INFO)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; the exit code is 0 only if everything that was asked for was done.

    1: it can't be done, 2: it can't be meant, 3: done but for the videos in quarantine, 130: stopped.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    for word in words:
        remember(word)
    with discreet():
        return _run(words)


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(_overview())
        return 0
    if words[0] == "--version":
        print(f"wherewhen {version('wherewhen')}")
        return 0
    verb, rest = words[0], words[1:]
    try:
        if verb not in VERBS:
            raise ConfigError(unknown("verb", verb, VERBS))
        command = import_module(f"wherewhen.commands.{verb}")
        options, settings = parse(command, verb, rest)
        _start_log(bool(getattr(options, "quiet", False)))
        code: int = command.run(options, settings) if getattr(command, "RECIPE", False) else command.run(options)
        return code
    except WherewhenError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130

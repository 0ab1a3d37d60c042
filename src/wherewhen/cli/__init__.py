"""The command line: one verb per file in ``commands``, typed options, YAML settings and dotted overrides."""

from __future__ import annotations

import os

# Set before numpy is imported: its many small products are faster without threads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import ast
import logging
import re
import shutil
import sys
import textwrap
import traceback
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from wherewhen.core.addresses import remember
from wherewhen.core.console import Discreet, discreet
from wherewhen.core.errors import ConfigError, WherewhenError, os_message, os_reason, short

if TYPE_CHECKING:
    from wherewhen.cli.verb import Verb

COMMANDS = Path(__file__).parent / "commands"
VERBS = sorted(p.stem.replace("_", "-") for p in COMMANDS.glob("*.py") if not p.stem.startswith("_"))

GROUPS = {
    "start": "first steps:",
    "models": "features, weights and text:",
    "data": "data sets:",
    "research": "comparisons:",
    "help": "about this installation:",
}
"""Headings of the verbs in the overview, by the ``group`` of a verb."""

FIRST = """\
wherewhen demo                                   a first run on drawn clips
wherewhen train clips/ --output runs/yard        clips/ holds normal/ and anomalous/
wherewhen detect new.mp4 --model runs/yard       events, scores, overlay video
wherewhen VERB --help                            options and settings of a verb
wherewhen doctor                                 what is installed here, to paste into an issue"""


def command_of(verb: str) -> Verb:
    """The record of a verb.

    >>> command_of("import-model").group
    'models'
    """
    command: Verb = import_module(f"wherewhen.cli.commands.{verb.replace('-', '_')}").VERB
    return command


def _summary(verb: str) -> tuple[str, str]:
    """The group of a verb, and the first line of its module's docstring, read without importing it."""
    tree = ast.parse((COMMANDS / f"{verb.replace('-', '_')}.py").read_text(encoding="utf-8"))
    (call,) = [
        node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "VERB"
    ]
    assert isinstance(call, ast.Call)
    return ast.literal_eval(call.args[0]), (ast.get_docstring(tree) or "").splitlines()[0]


def _overview() -> str:
    width = max(map(len, VERBS))
    column = max(50, min(shutil.get_terminal_size().columns, 110)) - width - 4
    summaries = {verb: _summary(verb) for verb in VERBS}
    lines = [
        "usage: wherewhen VERB [options]",
        "",
        "Learns from labels on whole videos, then detects when and where it happens.",
    ]
    for group, title in GROUPS.items():
        lines += ["", title]
        for verb, (verb_group, text) in summaries.items():
            first, *more = textwrap.wrap(text.rstrip("."), column)
            lines += (
                [f"  {verb:<{width}}  {first}", *(f"  {'':<{width}}  {line}" for line in more)]
                if verb_group == group
                else []
            )
    return "\n".join([*lines, "", FIRST])


def _start_log(quiet: bool) -> None:
    from rich.console import Console
    from rich.logging import RichHandler

    log = logging.getLogger("wherewhen")
    handler = RichHandler(console=Console(stderr=True), show_path=False, show_time=False)
    handler.setLevel(logging.WARNING if quiet else logging.INFO)
    handler.addFilter(Discreet())
    log.handlers = [handler]
    log.setLevel(logging.INFO)


MEANT = {
    "predict": "detect", "infer": "detect", "inference": "detect", "run": "detect", "fit": "train",
    "test": "evaluate", "eval": "evaluate", "val": "evaluate", "validate": "evaluate", "judge": "evaluate",
    "benchmark": "bench", "compare": "bench", "download": "weights", "info": "doctor",
    "import": "import-model", "pretrained": "import-model",
    "version": "doctor", "env": "doctor", "check": "data",
}  # fmt: skip
"""Verbs of other tools, and their names here."""

CLOSED = 141  # as of a program that ends by SIGPIPE


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; the exit code is 0 only if everything was done.

    1: failure, 2: wrong command line, 3: success except for the videos in quarantine, 130: interrupted, 141: standard
    output was closed. ``WHEREWHEN_DEBUG=1`` prints the traceback of an error.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    for word in words:
        remember(word)
    with discreet():
        return _exit_code(words)


def _exit_code(words: list[str]) -> int:
    """Run and return the exit code; errors with a message are printed on one line."""
    try:
        try:
            return _run(words)
        except SystemExit as stop:  # raised by help, and by rich where standard output is closed
            if isinstance(stop.__context__, BrokenPipeError):
                raise BrokenPipeError from None
            return int(stop.code or 0)
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except (WherewhenError, OSError, MemoryError, RecursionError, UnicodeError, RuntimeError) as error:
        broken = _silenced()
        if isinstance(broken, BrokenPipeError):
            return CLOSED
        message = f"standard output: {os_reason(broken)}" if broken is not None else _message(error)
        if message is None:
            raise
        if os.environ.get("WHEREWHEN_DEBUG", "") not in ("", "0"):
            traceback.print_exc()
        print(f"error: {message}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1


def _silenced() -> OSError | None:
    """The error of a closed standard output, if any; further output is then discarded."""
    broken: OSError | None = getattr(sys.stdout, "broken", None)
    if broken is not None:
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)
        except (OSError, ValueError):  # no file behind it
            return broken
    return broken


def _message(error: Exception) -> str | None:
    """The message of an error; None for an error without one, which is a fault of the toolkit."""
    text = " ".join(str(error).split())
    if isinstance(error, WherewhenError):
        return str(error)
    if isinstance(error, OSError):
        return os_message(error)
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and _MEMORY.search(text)):
        return (
            f"not enough memory{f' ({text[:160]})' if text else ''}; use fewer --workers, or shorter or smaller videos"
        )
    if isinstance(error, RecursionError):
        return "something in these files is nested too deeply; WHEREWHEN_DEBUG=1 shows where"
    if isinstance(error, UnicodeError):
        return (
            f"a text or name has characters that can't be read or written here ({text[:160]}); rename or save it anew"
        )
    return None


_MEMORY = re.compile(r"out of memory|can't allocate memory|not enough memory", re.IGNORECASE)


def _run(words: list[str]) -> int:
    if words[:1] == ["help"]:
        words = [*words[1:2], "--help"]
    if not words or words[0] in ("-h", "--help"):
        print(_overview())
        return 0
    if words[0] in ("--version", "-V"):
        from importlib.metadata import version

        print(f"wherewhen {version('wherewhen')}")
        return 0
    verb, rest = words[0], words[1:]
    if verb not in VERBS:
        close = [MEANT[verb]] if verb in MEANT else get_close_matches(verb[:40], VERBS, 1)
        hint = f"; did you mean {close[0]!r}?" if close else ";"
        raise ConfigError(f"unknown verb {short(verb)!r}{hint} wherewhen --help lists all verbs")
    from wherewhen.cli.arguments import parse

    command = command_of(verb)
    options, settings = parse(command, verb, rest)
    _start_log(bool(getattr(options, "quiet", False)))
    return command.run(options, settings) if command.takes_settings else command.run(options)

"""Print versions, devices, engines, extras and folders of this installation, to paste into an issue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wherewhen.cli.verb import Verb
from wherewhen.core.console import print_json


@dataclass(frozen=True)
class Options:
    """Options of ``doctor``.

    Nothing is sent, downloaded or measured. Keys and passwords are not printed.

    Args:
        json: print the result as JSON instead of text.
    """

    json: bool = False


def run(options: Options) -> int:
    """Print the report; exit code 1 where something is wrong."""
    from wherewhen.api import installation

    report = installation.report()
    if options.json:
        print_json(report)
    else:
        print("\n".join(_lines(report)))
    return int(bool(report["problems"]))


def _lines(report: dict[str, Any]) -> list[str]:
    """The report as text: a heading per section, a line per fact."""
    sections = {
        "versions": {name: version or "missing" for name, version in report["versions"].items()},
        "video": {
            "ffmpeg": _words(report["ffmpeg"]),
            **{name: _words(fact) for name, fact in report["codecs"].items()},
        },
        "platform": report["platform"],
        "processor": {name.replace("_", " "): _words(value) for name, value in report["processor"].items()},
        "memory": {name: _size(size) for name, size in report["memory"].items() if size is not None},
        "GPUs": _gpus(report["gpus"]),
        "engines": {name: _engine(fact) for name, fact in report["engines"].items()},
        "extras": {name: _extra(fact) for name, fact in report["extras"].items()},
        "folders": {name: _folder(fact) for name, fact in report["folders"].items()},
        "variables": report["variables"] or {"none": ""},
        "problems": {f"{number}.": text for number, text in enumerate(report["problems"], 1)} or {"none": ""},
    }
    lines = []
    for title, facts in sections.items():
        width = max(map(len, facts))
        lines += [title, *(f"  {name:<{width}}  {value}".rstrip() for name, value in facts.items())]
    return lines


def _words(value: Any) -> str:
    """A fact as text of one line."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    if isinstance(value, list):
        return " ".join(map(str, value)) or "none"
    return "none" if value is None else ("no", "yes")[value] if isinstance(value, bool) else str(value)


def _size(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**28 else f"{size / 2**20:.1f} MiB"


def _gpus(gpus: Any) -> dict[str, str]:
    if isinstance(gpus, dict):
        return gpus
    lines = {
        f"{number}": f"{gpu['name']}, {_size(gpu['memory'])}, {gpu['capability']}" for number, gpu in enumerate(gpus)
    }
    return lines or {"none": ""}


def _engine(engine: dict[str, Any]) -> str:
    if not engine["runs"]:
        return f"does not run here: {engine['reason']}"
    return f"{engine['version']} ({', '.join(engine['precisions'])} on {', '.join(engine['devices'])})"


def _extra(extra: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version or 'missing'}" for name, version in extra["libraries"].items())
    return versions if extra["installed"] else f"{versions}: {extra['install']}"


def _folder(folder: dict[str, Any]) -> str:
    size = f"{'' if folder['complete'] else 'more than '}{folder['files']} files, {_size(folder['bytes'])}"
    return (
        f"{folder['path']}: {size if folder['exists'] else 'not there yet'}; {_size(folder['free'])} free on its disk"
    )


VERB = Verb("help", Options, run)

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

    found = installation.report()
    if options.json:
        print_json(found)
    else:
        print("\n".join(_lines(found)))
    return int(bool(found["problems"]))


def _lines(found: dict[str, Any]) -> list[str]:
    """The report as text: a heading per section, a line per fact."""
    sections = {
        "versions": {name: version or "missing" for name, version in found["versions"].items()},
        "video": {"ffmpeg": _words(found["ffmpeg"]), **{name: _words(one) for name, one in found["codecs"].items()}},
        "platform": found["platform"],
        "processor": {name.replace("_", " "): _words(value) for name, value in found["processor"].items()},
        "memory": {name: _size(size) for name, size in found["memory"].items() if size is not None},
        "GPUs": _gpus(found["gpus"]),
        "engines": {name: _engine(one) for name, one in found["engines"].items()},
        "extras": {name: _extra(one) for name, one in found["extras"].items()},
        "folders": {name: _folder(one) for name, one in found["folders"].items()},
        "variables": found["variables"] or {"none": ""},
        "problems": {f"{number}.": text for number, text in enumerate(found["problems"], 1)} or {"none": ""},
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


def _gpus(found: Any) -> dict[str, str]:
    if isinstance(found, dict):
        return found
    told = {
        f"{number}": f"{one['name']}, {_size(one['memory'])}, {one['capability']}" for number, one in enumerate(found)
    }
    return told or {"none": ""}


def _engine(one: dict[str, Any]) -> str:
    if not one["runs"]:
        return f"does not run here: {one['reason']}"
    return f"{one['version']} ({', '.join(one['precisions'])} on {', '.join(one['devices'])})"


def _extra(one: dict[str, Any]) -> str:
    told = ", ".join(f"{name} {version or 'missing'}" for name, version in one["libraries"].items())
    return told if one["installed"] else f"{told}: {one['install']}"


def _folder(one: dict[str, Any]) -> str:
    there = f"{'' if one['complete'] else 'more than '}{one['files']} files, {_size(one['bytes'])}"
    return f"{one['path']}: {there if one['exists'] else 'not there yet'}; {_size(one['free'])} free on its disk"


VERB = Verb("help", Options, run)

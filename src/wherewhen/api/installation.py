"""The installation: versions, engines, extras, folders and variables, without network access or measurements."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Callable, Mapping
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from wherewhen.core import registry
from wherewhen.core.addresses import address_in, masked
from wherewhen.core.errors import WherewhenError, first_line
from wherewhen.core.store import cache_folder
from wherewhen.runtime import hardware
from wherewhen.runtime.devices import has_bf16

PACKAGES = (
    "torch", "numpy", "scipy", "av", "opencv-python-headless", "pillow", "matplotlib", "pyarrow", "safetensors",
    "PyYAML", "rich", "jinja2", "tensorboard",
)  # fmt: skip
OTHER_OPENCV = ("opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless")
VARIABLES = re.compile(
    r"(WHEREWHEN_\w+|OPENAI_API_KEY|HF_\w+|XDG_CACHE_HOME|CUDA_VISIBLE_DEVICES|(OMP|MKL|OPENBLAS)_NUM_THREADS"
    r"|LANG|LC_ALL|WORLD_SIZE|RANK)"
)
SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD")
LITTLE = 2 * 2**30  # bytes of free disk below which `problems` warns

Report = dict[str, Any]


def report() -> Report:
    """Facts about the installation, by section; unknown ones with the reason."""
    from wherewhen.video import libraries

    facts: Report = {
        "versions": {"wherewhen": _version("wherewhen"), "python": sys.version.split()[0], **_versions(PACKAGES)},
        "ffmpeg": _tried(libraries.libraries),
        "codecs": _tried(libraries.codecs),
        "platform": _platform(),
        "processor": {**hardware.processor(), **_tried(_torch)},
        "memory": hardware.memory(),
        "gpus": _tried(hardware.gpus),
        "engines": {name: _engine(name) for name in registry.names("engines")},
        "extras": extras(),
        "folders": {"cache": _cache(), **{name: _cache(name) for name in ("weights", "features")}},
        "variables": variables(os.environ),
    }
    return {**facts, "problems": problems(facts)}


def _tried(call: Callable[[], Any]) -> Any:
    """The result of a call, or its error: a broken library must not hide the other facts."""
    try:
        return call()
    except Exception as error:  # a broken library may raise any error on import
        return {"error": f"{type(error).__name__}: {first_line(error)}"}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _versions(names: tuple[str, ...]) -> dict[str, str | None]:
    more = {name: version for name in OTHER_OPENCV if (version := _version(name))}
    return {**{name: _version(name) for name in names}, **more}


def _platform() -> dict[str, str]:
    package = find_spec("wherewhen")
    places = (package and package.submodule_search_locations) or ["?"]
    return {
        "system": platform.platform(),
        "python": f"{platform.python_implementation()} {sys.executable}".replace(str(Path.home()), "~"),
        "package": places[0].replace(str(Path.home()), "~"),
        "encoding": f"{sys.getfilesystemencoding()} {sys.stdout.encoding or '?'}",
    }


def _torch() -> dict[str, Any]:
    """Threads, CUDA and bf16 of torch."""
    import torch

    return {"torch_threads": torch.get_num_threads(), "torch_cuda": torch.version.cuda, "bf16": has_bf16("cpu")}


def _engine(name: str) -> dict[str, Any]:
    """Whether an engine can run here, its version, and the precisions and devices that are native here; or why not."""
    try:
        plugin = registry.load("engines", name)
        version = plugin.version()
        devices = [device for device in plugin.devices if device != "cuda" or hardware.gpus()]
        bf16 = any(has_bf16(device) for device in devices)
    except WherewhenError as error:
        return {"runs": False, "reason": str(error)}
    except Exception as error:  # a broken library may raise any error
        return {"runs": False, "reason": f"{type(error).__name__}: {first_line(error)}"}
    precisions = [precision for precision in plugin.precisions if precision != "bf16" or bf16]
    return {"runs": bool(devices), "version": version, "precisions": precisions, "devices": devices}


def extras() -> dict[str, dict[str, Any]]:
    """The extras of the package: versions of their libraries, and the line that installs them where one is missing."""
    by_extra: dict[str, dict[str, str | None]] = {}
    for line in metadata.requires("wherewhen") or ():
        extra = re.search(r"extra\s*==\s*['\"](\w+)['\"]", line)
        name = re.match(r"[\w.-]+", line)
        if extra and name and extra[1] not in ("all", "dev", "docs"):
            by_extra.setdefault(extra[1], {})[name[0]] = _version(name[0])
    return {
        extra: {
            "installed": all(libraries.values()),
            "libraries": libraries,
            **({} if all(libraries.values()) else {"install": f'pip install "wherewhen[{extra}]"'}),
        }
        for extra, libraries in sorted(by_extra.items())
    }


def _cache(name: str = "") -> dict[str, Any]:
    folder = hardware.folder(cache_folder() / name)
    return {**folder, "path": folder["path"].replace(str(Path.home()), "~")}


def variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment variables that the toolkit or its libraries read, without secrets.

    >>> variables({"WHEREWHEN_API_KEY": "sk-1", "WHEREWHEN_CACHE": "/data", "HOME": "/root"})
    {'WHEREWHEN_API_KEY': 'set (not shown)', 'WHEREWHEN_CACHE': '/data'}
    """
    return {name: _shown(name, value) for name, value in sorted(environment.items()) if VARIABLES.fullmatch(name)}


def _shown(name: str, value: str) -> str:
    if SECRET.search(name):
        return "set (not shown)" if value else "empty"
    return masked(str(address_in(value) or value)).replace(str(Path.home()), "~")


def problems(report: Report) -> list[str]:
    """Problems of the installation, with what to do."""
    messages = [f"{name} is not installed: pip install {name}" for name in PACKAGES if not report["versions"][name]]
    messages += [f"{key}: {report[key]['error']}" for key in ("ffmpeg", "codecs", "gpus") if "error" in report[key]]
    if other := [name for name in OTHER_OPENCV if report["versions"].get(name)]:
        messages.append(
            f"{', '.join(other)} is installed beside opencv-python-headless, and the two overwrite each other: "
            f"pip uninstall {' '.join(other)}, then pip install --force-reinstall opencv-python-headless"
        )
    if "error" in report["processor"]:
        messages.append(f"torch: {report['processor']['error']}")
    elif driver := hardware.unused_gpu():
        messages.append(f"torch can't use the GPU of this machine ({driver}): install a torch with CUDA")
    cache = report["folders"]["cache"]
    if not cache["writable"]:
        messages.append(f"{cache['path']}: can't be written; WHEREWHEN_CACHE names another folder")
    if cache["free"] < LITTLE:
        messages.append(
            f"{cache['path']}: {cache['free'] / 2**30:.1f} GiB are free; WHEREWHEN_CACHE names another folder"
        )
    return messages

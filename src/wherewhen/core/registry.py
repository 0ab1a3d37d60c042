"""The registry of plug-ins: every module of a plug-in folder is a plug-in, and its file name is its public name.

A module exports ``PLUGIN``. Other packages add plug-ins by an entry point in the group ``wherewhen.<kind>``.
Plug-ins are imported on first use.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from wherewhen.core.contracts import fault
from wherewhen.core.errors import ConfigError, WherewhenError, unknown

KINDS = (
    "backbones", "baselines", "datasets", "engines", "formats", "instances", "localize", "methods", "metrics",
    "proposals", "sinks",
)  # fmt: skip
HOME = Path(__file__).parents[1]
JOIN = "+"  # between the names of backbones whose features are joined
PARTS = {"backbone": "backbones", "instances": "instances", "method": "methods", "localizer": "localize"}
"""The parts of a model: the setting that chooses a part, and its kind of plug-in."""


@lru_cache(maxsize=64)
def _offered(kind: str, path: tuple[str, ...]) -> dict[str, EntryPoint]:
    """Entry points of the packages on a path; cached, since a scan takes longer than a training step."""
    return {point.name: point for point in entry_points(group=f"wherewhen.{kind}")}


def _outside(kind: str) -> dict[str, EntryPoint]:
    return _offered(kind, tuple(sys.path))


@lru_cache(maxsize=64)
def _listed(folder: Path, changed: int) -> frozenset[str]:
    """Plug-ins in a folder that was changed at this time; cached: a list takes as long as a forward pass."""
    return frozenset(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))


def _inside(kind: str) -> frozenset[str]:
    folder = HOME / kind
    return _listed(folder, folder.stat().st_mtime_ns)


def names(kind: str) -> list[str]:
    """Every plug-in of a kind, without importing one.

    >>> "native" in names("datasets")
    True
    """
    if kind not in KINDS:
        raise ConfigError(unknown("kind of plug-in", kind, KINDS))
    return sorted(_inside(kind) | set(_outside(kind)))


def load(kind: str, name: str) -> Any:
    """The plug-in called ``name``; ConfigError names the nearest one if there is none.

    ConfigError also names a plug-in whose module can't be imported, or that lacks a member of its contract.
    Backbones are joined by ``+``: ``load("backbones", "motion+file")``.
    """
    if kind == "backbones" and JOIN in name:
        return _joined(kind, name)
    is_builtin = kind in KINDS and name in _inside(kind)
    if not is_builtin and name not in names(kind):
        raise ConfigError(unknown(kind.rstrip("s"), name, names(kind)))
    try:
        plugin = import_module(f"wherewhen.{kind}.{name}").PLUGIN if is_builtin else _outside(kind)[name].load()
    except WherewhenError:
        raise
    except Exception as error:  # third-party modules may raise anything
        raise ConfigError(f"{_described(kind, name)} can't be loaded: {type(error).__name__}: {error}") from error
    if wrong := fault(kind, plugin):
        raise ConfigError(f"{_described(kind, name)} can't be used: {wrong}")
    return plugin


@lru_cache(maxsize=32)
def _joined(kind: str, name: str) -> Any:
    parts = name.split(JOIN)
    if len(set(parts)) < len(parts):
        raise ConfigError(f"backbone {name}: expected different backbones between {JOIN}")
    return import_module(f"wherewhen.{kind}._joined").joined({part: load(kind, part) for part in parts})


def _described(kind: str, name: str) -> str:
    """A plug-in for a message: its name, kind and module, and the package of a third-party one."""
    if name in _inside(kind):
        return f"the plug-in {name} of {kind} (wherewhen.{kind}.{name})"
    point = _outside(kind)[name]
    package = f" of the package {point.dist.name} {point.dist.version}" if point.dist else ""
    return f"the plug-in {name} of {kind} ({point.value}{package})"

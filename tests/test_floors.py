"""Imports only go down: the floors of the house, held by a walk over every import, lazy ones included."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import wherewhen

SOURCE = Path(wherewhen.__file__).parent

WORDS = {"addresses", "errors", "extents", "printable", "values"}
TOOLS = {
    "config",
    "console",
    "documents",
    "contracts",
    "features",
    "findings",
    "measures",
    "network",
    "outputs",
    "progress",
    "prompts",
    "recordings",
    "registry",
    "spatial",
    "store",
    "spool",
    "tensors",
    "tracks",
    "tubes",
    "weights",
}
ROOMS = {
    "backbones",
    "baselines",
    "datasets",
    "engines",
    "formats",
    "instances",
    "localize",
    "methods",
    "metrics",
    "proposals",
}
PARTS = ROOMS | {"normalize", "video"}
DOORS = {"commands", "live", "web"}
TOP = {"__init__", "__main__", "cli"}
BLIND = {"backbones", "batches", "extract", "instances", "kept", "looks", "methods", "model", "normalize"}
BLIND |= {"learning", "painting", "pipeline", "training", "watching"}
HEAVY = {"av", "cv2", "matplotlib", "scipy", "sklearn", "torch", "transformers"}

ASKED_BY_NAME = {
    ("wherewhen.draw", "wherewhen.datasets.toy"),
    ("wherewhen.commands.demo", "wherewhen.datasets.native"),
}
"""Plug-ins that a sentence or door needs as themselves: the toy world is what they are about."""


@cache
def modules() -> dict[str, Path]:
    """Every module of the package by its full name."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = ["wherewhen", *path.relative_to(SOURCE).with_suffix("").parts]
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def targets(tree: ast.AST) -> Iterator[str]:
    """Full names of all modules that a tree imports, wherever in it the import stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports hide where a module lives"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in modules() else str(node.module)


@cache
def imports(name: str) -> frozenset[str]:
    return frozenset(targets(ast.parse(modules()[name].read_text("utf-8"))))


def room(name: str) -> str:
    """First part of a module's name inside the package."""
    return [*name.split("."), "__init__"][1]


def floor(name: str) -> int:
    home = room(name)
    for number, rooms in ((0, WORDS), (1, TOOLS), (2, PARTS), (4, DOORS), (5, TOP)):
        if home in rooms:
            return number
    return 3


def inside(name: str) -> list[str]:
    return sorted(target for target in imports(name) if target.split(".")[0] == "wherewhen")


def test_every_word_tool_and_part_is_there_or_planned() -> None:
    homes = {room(name) for name in modules()}
    assert homes >= WORDS | TOOLS | PARTS | {"cli", "commands", "pipeline", "model", "training", "evaluate"}


@pytest.mark.parametrize("name", sorted(modules()))
def test_imports_only_go_down(name: str) -> None:
    wrong = []
    for target in inside(name):
        if room(target) == room(name):
            continue
        up = floor(target) > floor(name)
        sideways = floor(name) == 2 and floor(target) == 2
        if up or sideways:
            wrong.append(target)
    assert not wrong, f"{name} (floor {floor(name)}) imports {', '.join(wrong)}"


@pytest.mark.parametrize("name", sorted(modules()))
def test_plugins_are_asked_for_by_name(name: str) -> None:
    """Above their floor nobody imports a plug-in: the registry does, so that a new one needs no other edit."""
    if floor(name) <= 2:
        return
    direct = {
        (name, target)
        for target in inside(name)
        if room(target) in ROOMS and len(target.split(".")) > 2 and not target.split(".")[2].startswith("_")
    }
    assert direct <= ASKED_BY_NAME


@pytest.mark.parametrize("kind", sorted(ROOMS - {"metrics"}))
def test_plugins_of_a_kind_do_not_import_each_other(kind: str) -> None:
    """What two share lies in a private file. Metrics are free to: a number may build on another family's number."""
    for name in modules():
        if room(name) == kind and name.count(".") == 2:
            others = [t for t in inside(name) if room(t) == kind and t.count(".") == 2 and t != name]
            public = {(name, t) for t in others if not t.split(".")[-1].startswith("_")}
            assert public <= {("wherewhen.datasets.toy", "wherewhen.datasets.native")}  # toys lie on disk as natives


def test_only_the_video_room_reads_pyav() -> None:
    readers = {room(name) for name in modules() if any(t.split(".")[0] == "av" for t in imports(name))}
    assert readers == {"video"}


@pytest.mark.parametrize("kind", ["metrics", "datasets", "formats", "localize", "baselines", "report", "render"])
def test_torch_stays_out(kind: str) -> None:
    for name in modules():
        if room(name) == kind:
            assert not {t for t in imports(name) if t.split(".")[0] == "torch"}, name


def test_truth_is_out_of_reach_of_training() -> None:
    """Nothing that learns or looks names the record that holds times, boxes and masks."""
    for name, path in modules().items():
        if room(name) in {
            "training",
            "learning",
            "looks",
            "kept",
            "extract",
            "pipeline",
            "watching",
            "model",
            "normalize",
            "methods",
            "backbones",
            "instances",
        }:
            tree = ast.parse(path.read_text("utf-8"))
            words = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
            words |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
            words |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
            assert not words & {"Truth", "truth", "truths"}, name


def test_no_circle() -> None:
    """Not even through lazy imports and imports for types: then files can be read one after the other."""
    graph = {name: {t for t in inside(name) if t != name} for name in modules()}
    for name, needed in graph.items():
        graph[name] = {t for t in needed if not t.startswith(f"{name}.")}  # a room's front door opens into the room
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))
    assert set(modules()) <= set(order)


def top_level(tree: ast.Module) -> Iterator[str]:
    """Modules imported when a module is read: not in functions, not for types alone."""
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from targets(ast.Module([node], []))


def test_doors_open_light() -> None:
    """What the command line reads before it knows the verb, and every verb's own file, loads nothing heavy."""
    todo = [name for name in modules() if floor(name) in (4, 5)]
    seen: set[str] = set()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        for target in top_level(ast.parse(modules()[name].read_text("utf-8"))):
            assert target.split(".")[0] not in HEAVY, f"{name} loads {target}"
            if target in modules():
                todo.append(target)
    assert "wherewhen.registry" in seen


@pytest.mark.parametrize("word", ["utils", "helpers", "common", "base", "misc", "manager"])
def test_no_room_for_odds_and_ends(word: str) -> None:
    assert not [path for path in SOURCE.rglob("*") if path.stem.strip("_") == word]

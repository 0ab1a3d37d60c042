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

FLOORS = (
    {"core"},
    {"budget", "runtime", "video"},
    {"backbones", "baselines", "datasets", "engines", "formats", "instances", "localize", "methods", "metrics"}
    | {"proposals", "sinks", "visualization"},
    {"extraction"},
    {"inference", "review"},
    {"training", "evaluation", "text", "data_tools"},
    {"api", "live"},
    {"server"},
    {"cli"},
    {"__init__", "__main__"},
)
"""Every folder of the package, lowest floor first: a folder imports from lower floors only, never from a sibling."""

KINDS = frozenset(FLOORS[2] - {"visualization"})
"""Folders of plug-ins."""

BLIND = {"backbones", "extraction", "inference", "instances", "methods", "training"}
"""Folders of what looks and learns, which know no truth."""

HEAVY = {"av", "cv2", "matplotlib", "scipy", "sklearn", "torch", "transformers"}

ASKED_BY_NAME = {
    ("wherewhen.data_tools.toy_videos", "wherewhen.datasets.toy"),
    ("wherewhen.cli.commands.demo", "wherewhen.datasets.native"),
    ("wherewhen.inference.export_folder", "wherewhen.datasets.toy"),
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


def folder(name: str) -> str:
    """First part of a module's name inside the package."""
    return [*name.split("."), "__init__"][1]


def floor(name: str) -> int:
    """The number of the floor of a module; an error for a folder or root module that has none."""
    (number,) = [number for number, folders in enumerate(FLOORS) if folder(name) in folders]
    return number


def inside(name: str) -> list[str]:
    return sorted(target for target in imports(name) if target.split(".")[0] == "wherewhen")


def test_every_folder_has_one_floor_and_the_root_holds_no_other_module() -> None:
    listed = [one for folders in FLOORS for one in folders]
    assert len(listed) == len(set(listed))
    assert {folder(name) for name in modules()} == set(listed)
    at_root = {path.name for path in SOURCE.iterdir() if path.name != "__pycache__"}
    assert {name for name in at_root if name.endswith(".py")} == {"__init__.py", "__main__.py"}
    assert len(at_root) <= 31, "folders, two modules and the marker of types"


@pytest.mark.parametrize("name", sorted(modules()))
def test_imports_only_go_down(name: str) -> None:
    other = [target for target in inside(name) if folder(target) != folder(name)]
    wrong = [target for target in other if floor(target) >= floor(name)]
    assert not wrong, f"{name} (floor {floor(name)}) imports {', '.join(wrong)}"


@pytest.mark.parametrize("name", sorted(modules()))
def test_plugins_are_asked_for_by_name(name: str) -> None:
    """Above their floor nobody imports a plug-in: the registry does, so that a new one needs no other edit."""
    if floor(name) <= 2:
        return
    direct = {
        (name, target)
        for target in inside(name)
        if folder(target) in KINDS and len(target.split(".")) > 2 and not target.split(".")[2].startswith("_")
    }
    assert direct <= ASKED_BY_NAME


@pytest.mark.parametrize("kind", sorted(KINDS - {"metrics"}))
def test_plugins_of_a_kind_do_not_import_each_other(kind: str) -> None:
    """What two share lies in a private file. Metrics are free to: a number may build on another family's number."""
    for name in modules():
        if folder(name) == kind and name.count(".") == 2:
            others = [t for t in inside(name) if folder(t) == kind and t.count(".") == 2 and t != name]
            public = {(name, t) for t in others if not t.split(".")[-1].startswith("_")}
            assert public <= {("wherewhen.datasets.toy", "wherewhen.datasets.native")}  # toys lie on disk as natives


def test_only_the_video_room_reads_pyav() -> None:
    readers = {folder(name) for name in modules() if any(t.split(".")[0] == "av" for t in imports(name))}
    assert readers == {"video"}


@pytest.mark.parametrize("kind", ["metrics", "datasets", "formats", "localize", "baselines", "visualization"])
def test_torch_stays_out(kind: str) -> None:
    for name in modules():
        if folder(name) == kind:
            assert not {t for t in imports(name) if t.split(".")[0] == "torch"}, name


SHOW_TRUTH = {"wherewhen.inference.result"}  # a film or curve with what a person says beside it


def test_truth_is_out_of_reach_of_training() -> None:
    """Nothing that learns or looks names the record that holds times, boxes and masks."""
    for name, path in modules().items():
        if folder(name) in BLIND and name not in SHOW_TRUTH:
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
    todo = [name for name in modules() if folder(name) in {"cli", "__main__"}]
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
    assert "wherewhen.core.registry" in seen


@pytest.mark.parametrize("word", ["utils", "helpers", "common", "base", "misc", "manager"])
def test_no_room_for_odds_and_ends(word: str) -> None:
    assert not [path for path in SOURCE.rglob("*") if path.stem.strip("_") == word]


MOST_LINES = 400  # of a file
MOST_STATEMENT_LINES = 60  # of a function, without its docstring


@pytest.mark.parametrize("name", sorted(modules()))
def test_files_and_functions_are_short(name: str) -> None:
    text = modules()[name].read_text("utf-8")
    assert len(text.splitlines()) <= MOST_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[1 if ast.get_docstring(node) is not None and len(node.body) > 1 else 0]
            assert (node.end_lineno or 0) - first.lineno < MOST_STATEMENT_LINES, node.name

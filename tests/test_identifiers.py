"""Names say what a value is, not how it came about."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "wherewhen"
VAGUE_NAMES = """found own told made seen near known one said asked wanted looked looks sight eye
who whose what how there here some given taken kept"""
VAGUE = frozenset(VAGUE_NAMES.split())
ALLOWED = {
    ("methods/reward.py", "known"),  # a buffer: its name is in model files
    ("text/search_index.py", "made"),  # a key of index.json
    ("inference/result.py", "what"),  # to_pandas(what=...)
    ("data_tools/features/diff.py", "told"),  # a key of --json
}


def names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of each variable, parameter, field, function and class."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.lineno, node.name


@pytest.mark.parametrize("code", ["own = 1", "def f(told): ...", "[made for made in ()]", "def _seen(): ..."])
def test_vague_names_are_noticed(code: str) -> None:
    assert any(name.strip("_") in VAGUE for _, name in names(ast.parse(code)))


def test_names_say_what_a_value_is() -> None:
    vague, used = [], set()
    for path in sorted(PACKAGE.rglob("*.py")):
        module = path.relative_to(PACKAGE).as_posix()
        for line, name in names(ast.parse(path.read_text(encoding="utf-8"))):
            if name.strip("_") in VAGUE:
                used.add((module, name))
                if (module, name) not in ALLOWED:
                    vague.append(f"{module}:{line}: {name}")
    assert not vague, "name these by what they are (scores, tracks, path):\n" + "\n".join(vague)
    assert used == ALLOWED, "an exception is no longer needed"

"""No six lines of code stand twice: a walk over all windows of consecutive lines of the package and of its tests."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import wherewhen

WINDOW = 6  # lines that may not stand twice
SHORTEST = 4  # characters of a line that counts; shorter ones are brackets


def left_out(tree: ast.Module) -> Iterator[tuple[int, int]]:
    """First and last lines of what computes nothing: imports, strings, signatures, and fields that records declare."""
    for node in ast.walk(tree):
        text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if isinstance(node, ast.FunctionDef):
            yield node.lineno, node.body[0].lineno - 1
        elif text or isinstance(node, ast.Import | ast.ImportFrom):
            yield node.lineno, node.end_lineno or 0
        elif isinstance(node, ast.ClassDef):
            fields = [statement for statement in node.body if isinstance(statement, ast.AnnAssign)]
            yield from ((field.lineno, field.end_lineno or 0) for field in fields)


def code(text: str) -> list[tuple[int, str]]:
    """Lines that count, without indentation and comments, with their numbers."""
    skipped = {number for first, last in left_out(ast.parse(text)) for number in range(first, last + 1)}
    lines = ((number, line.split("  # ")[0].strip()) for number, line in enumerate(text.splitlines(), 1))
    return [(n, line) for n, line in lines if n not in skipped and len(line) >= SHORTEST and line[0] != "#"]


def twice(texts: Mapping[str, str]) -> list[tuple[str, str]]:
    """Places of windows that stand in two places without a line in common, the first pair of each."""
    first: dict[tuple[str, ...], tuple[str, int, int]] = {}
    pairs = []
    for name, text in texts.items():
        lines = code(text)
        for start in range(len(lines) - WINDOW + 1):
            window = tuple(line for _, line in lines[start : start + WINDOW])
            other, place, number = first.setdefault(window, (name, start, lines[start][0]))
            if other != name or start - place >= WINDOW:
                pairs.append((f"{other}:{number}", f"{name}:{lines[start][0]}"))
    return pairs


@pytest.mark.parametrize("folder", [Path(wherewhen.__file__).parent, Path(__file__).parent], ids=["package", "tests"])
def test_no_six_lines_stand_twice(folder: Path) -> None:
    texts = {str(path.relative_to(folder)): path.read_text("utf-8") for path in sorted(folder.rglob("*.py"))}
    assert len(texts) > 100
    assert not twice(texts), "make them one function, fixture or record that both use"


def test_six_equal_lines_are_found_and_five_are_not() -> None:
    lines = [f"total += {number}" for number in range(WINDOW)]
    inside = "\n".join(["def add(total):", *(f"    {line}  # as above" for line in lines)])
    assert twice({"a.py": "\n".join(lines), "b.py": inside}) == [("a.py:1", "b.py:2")]
    assert twice({"a.py": "\n".join([*lines, "", *lines])}) == [("a.py:1", "a.py:8")]
    assert not twice({"a.py": "\n".join(lines[1:]), "b.py": inside})
    fields = "\n".join(["class Settings:", *(f"    number_{k}: int = {k}" for k in range(WINDOW))])
    assert not twice({"a.py": fields, "b.py": fields.replace("Settings", "Other")})

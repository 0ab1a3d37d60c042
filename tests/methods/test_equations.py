"""Every equation on the page of a method is computed a second way, in numpy, by tests that are marked with its name."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = {page.stem: page for page in sorted((ROOT / "docs" / "methods").glob("*.md"))}


def equations(text: str) -> list[str]:
    """The left sides of the section "Equations": ``NAME = ...``, ``NAME: ...`` or ``NAME <- ...``, four spaces in."""
    (section,) = re.findall(r"^## Equations$(.*?)(?=^## )", text, re.MULTILINE | re.DOTALL)
    return re.findall(r"^ {4}(\S.*?)\s*(?:=|:|<-)\s", section, re.MULTILINE)


@cache
def marked() -> dict[str, set[str]]:
    """The equations of each method that tests are marked with."""
    names: dict[str, set[str]] = defaultdict(set)
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for call in node.decorator_list if isinstance(node, ast.FunctionDef) else ():
                if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.equation":
                    method, *those = map(ast.literal_eval, call.args)
                    names[method].update(those)
    return names


@pytest.mark.parametrize("method", PAGES)
def test_every_equation_of_a_page_is_computed_by_a_marked_test(method: str) -> None:
    names = equations(PAGES[method].read_text(encoding="utf-8"))
    assert len(names) == len(set(names)) > 0
    assert set(names) == marked()[method], "mark the numpy test: @pytest.mark.equation(METHOD, NAME, ...)"


def test_marks_name_methods_that_have_a_page() -> None:
    assert marked().keys() == PAGES.keys()


def test_left_sides_are_the_names() -> None:
    block = ["a_i = b: c", "  + d = 2", "L_t: e", "x <- 2 x", "f(x), g = 1"]
    text = "\n".join(["## Equations", "", *(f"    {line}" for line in block), "", "text = no", "", "## Settings", ""])
    assert equations(text) == ["a_i", "L_t", "x", "f(x), g"]

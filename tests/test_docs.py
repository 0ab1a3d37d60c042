from __future__ import annotations

import re
import runpy
import shlex
from importlib import import_module
from pathlib import Path

import pytest

from wherewhen.cli import VERBS
from wherewhen.cli.arguments import parse
from wherewhen.core.errors import WherewhenError

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    dead = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert dead == []


def test_generated_pages_are_what_the_code_says() -> None:
    pages = runpy.run_path(str(ROOT / "docs" / "make.py"))["PAGES"]
    for name, made in pages.items():
        assert (ROOT / "docs" / name).read_text(encoding="utf-8") == made(), "run: make docs"


def test_commands_in_the_docs_are_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every ``wherewhen VERB ...`` of a page has the options that the verb has; what it names need not be there."""
    monkeypatch.chdir(tmp_path)
    lines = [line for page in PAGES if page.name != "CHANGELOG.md" for line in command_lines(page)]
    assert len(lines) > 60
    for page, line in lines:
        verb, *words = shlex.split(line)
        try:
            parse(import_module(f"wherewhen.cli.commands.{verb}"), verb, words)
        except SystemExit:  # help or settings were asked for
            continue
        except WherewhenError as error:
            assert re.search("no such settings file| needs [A-Z]", str(error)), f"{page}: wherewhen {line}: {error}"


def command_lines(page: Path) -> list[tuple[str, str]]:
    """The page and the words of each whole command that stands on a line of its own, or between backticks."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    found = re.findall(r"^(?: {4})?wherewhen (.+)$", text, re.MULTILINE)
    found += re.findall(r"`wherewhen ([^`\n]+)`", text)
    plain = [re.sub(r"\s+#.*|\s*>.*|\s*\(as above.*", "", line) for line in found]
    return [(page.name, line) for line in plain if line.split()[0] in VERBS and not re.search(r"\.\.\.|\$@", line)]


def test_tests_and_commands_of_the_page_on_reliability_exist() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    files = set(re.findall(r"`(?:python )?((?:tests|benchmarks)/[\w/]+\.py)", page))
    targets = set(re.findall(r"`make (\w+)", page))
    made = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert len(files) > 20 and targets >= {"test", "fuzz"}
    assert [name for name in files if not (ROOT / name).is_file()] == []
    assert targets <= made

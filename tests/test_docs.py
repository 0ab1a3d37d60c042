from __future__ import annotations

import ast
import inspect
import json
import operator
import re
import runpy
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import av
import pytest
import yaml
from markdown.extensions.toc import slugify, unique

import wherewhen
from wherewhen.cli import VERBS, command_of, main
from wherewhen.cli.arguments import parse
from wherewhen.core import registry
from wherewhen.core.errors import WherewhenError

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))


def prose(page: Path) -> str:
    """The text of a page without fenced code."""
    return re.sub(r"^( *)```.*?^\1```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as the site makes them."""
    taken: set[str] = set()
    for title in re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE):
        anchor = slugify(re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).replace("`", ""), "-")
        taken.add(unique(anchor, taken))
    return taken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    text = prose(page)
    links = re.findall(r"\]\(([^)\s]+)[^)]*\)", text) + re.findall(r"(?:src|href)=\"([^\"]+)\"", text)
    dead = []
    for link in links:
        path, _, anchor = link.partition("#")
        if "://" in link or link.startswith("mailto:"):
            continue
        target = page.parent / path if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            dead.append(link)
    assert dead == []


FIGURES = re.compile(
    r"\b(told|tells|nobody|looks? at|looked at|speaks|bears|whatever|of (?:its|their) own|sa(?:ys?|id)|go(?:es)? on|"
    r"pass(?:ed|es) over|set aside|stands? (?:for|in)|learnt|hopeful|honest|at hand)\b",
    re.IGNORECASE,
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_prose_has_no_figures_of_speech(page: Path) -> None:
    text = re.sub(r"`[^`]*`", "", prose(page))
    assert [line for line in text.splitlines() if FIGURES.search(line)] == []


def nav(entry: object) -> list[str]:
    """The pages of a part of the navigation, in order."""
    if isinstance(entry, str):
        return [entry]
    parts = entry.values() if isinstance(entry, dict) else entry
    return [page for part in parts for page in nav(part)]  # type: ignore[attr-defined]


def test_the_navigation_names_every_page_once() -> None:
    pages = nav(SITE["nav"])
    assert sorted(pages) == sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md"))
    assert pages[0] == "index.md"


def test_the_navigation_names_every_method() -> None:
    methods = next(part["Methods"] for part in SITE["nav"] if "Methods" in part)
    assert {page.split("/")[-1] for page in nav(methods)} - {"methods.md"} == {
        f"{name}.md" for name in registry.names("methods")
    }


def test_every_picture_is_shown_and_small() -> None:
    shown = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    images = sorted((DOCS / "images").iterdir())
    assert [image.name for image in images if image.name not in shown] == []
    assert [image.name for image in images if image.stat().st_size > 2_000_000] == []


def test_the_film_of_the_home_page_plays_for_20_seconds() -> None:
    film = DOCS / "images" / "detect.mp4"
    with av.open(film) as container:
        times = [frame.time for frame in container.decode(video=0)]
    steps = {round(after - before, 3) for before, after in pairwise(times)}
    assert (len(times), times[0], steps) == (250, 0.0, {0.08})
    assert film.stat().st_size < 1_500_000
    assert all("images/detect.mp4" in (DOCS / page).read_text(encoding="utf-8") for page in ("index.md", "gallery.md"))


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    for package in ("mkdocs", "material", "mkdocstrings"):
        pytest.importorskip(package, reason='needs the extra "docs": pip install "wherewhen[docs]"')
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert {"index.html", "search/search_index.json", "images/detect.mp4", "tutorials/benchmark.ipynb"} <= {
        path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")
    }
    assert not list(tmp_path.rglob("*.py"))
    pages = {str(page): page.read_text(encoding="utf-8") for page in tmp_path.rglob("*.html")}
    assert [name for name, text in pages.items() if re.search(r"<p>[^<]*```|<p>[^<]* - <strong>", text)] == []


NOTEBOOKS = sorted(DOCS.rglob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_valid_and_hold_no_outputs(path: Path) -> None:
    """The rules of the notebook format 4.5; that cells equal the page's blocks is tested with the generated pages."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert set(notebook) == {"cells", "metadata", "nbformat", "nbformat_minor"}
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert {"name", "display_name"} <= set(notebook["metadata"]["kernelspec"])
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids) and all(re.fullmatch(r"[a-zA-Z0-9-_]{1,64}", name) for name in ids)
    for cell in notebook["cells"]:
        shared = {"cell_type", "id", "metadata", "source"}
        code = cell["cell_type"] == "code"
        assert code or cell["cell_type"] == "markdown"
        assert set(cell) == (shared | {"execution_count", "outputs"} if code else shared)
        assert (cell.get("outputs"), cell.get("execution_count")) == ([] if code else None, None)
        assert "".join(cell["source"]).strip() and all(line.endswith("\n") for line in cell["source"][:-1])
        links = [] if code else re.findall(r"\]\(([^)]+)\)", "".join(cell["source"]))
        home = SITE["site_url"]
        assert all(link.startswith(home) for link in links)
        assert all((DOCS / link.removeprefix(home).split("#")[0]).with_suffix(".md").is_file() for link in links)


def test_every_tutorial_offers_its_notebook() -> None:
    pages = sorted((DOCS / "tutorials").glob("*.md"))
    assert pages and [page.with_suffix(".ipynb") for page in pages] == NOTEBOOKS
    assert all(f"]({page.stem}.ipynb)" in page.read_text(encoding="utf-8") for page in pages)


def run_notebook(path: Path) -> dict[str, object]:
    """Run the code cells in order, lines after ``!`` as commands and the others in one namespace, which is returned."""
    names: dict[str, object] = {}
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            continue
        if not cell["source"][0].startswith("!"):
            exec(compile("".join(cell["source"]), f"{path.name}:{cell['id']}", "exec"), names)
            continue
        for line in cell["source"]:
            program, *words = shlex.split(line.removeprefix("!"))
            assert (program, main(words)) == ("wherewhen", 0), line
    return names


def test_the_tutorial_on_training_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WHEREWHEN_CACHE", str(tmp_path / "cache"))
    result = run_notebook(DOCS / "tutorials" / "train_and_detect.ipynb")["result"]
    assert len(result.events) > 0 and result.scores.max() > 0.5  # type: ignore[attr-defined]
    made = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    assert {"overlay.mp4", "timeline.png", "out/events.json", "runs/street/report.html"} <= made


def test_the_tutorial_on_benchmarks_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WHEREWHEN_CACHE", str(tmp_path / "cache"))
    auc = run_notebook(DOCS / "tutorials" / "benchmark.ipynb")["auc"]
    assert auc["cuboid_mil"] > auc["motion_only"] and auc["grid_oracle"] > 0.9  # type: ignore[index]


def test_generated_pages_are_what_the_code_says() -> None:
    pages = runpy.run_path(str(ROOT / "docs" / "make.py"))["PAGES"]
    for name, made in pages.items():
        assert (ROOT / "docs" / name).read_text(encoding="utf-8") == made(), "run: make docs"


def test_commands_in_the_docs_are_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every ``wherewhen VERB ...`` of a page has the options that the verb has; what it names need not be there."""
    monkeypatch.chdir(tmp_path)
    lines = [line for page in PAGES for line in command_lines(page)]
    assert len(lines) > 60
    for page, line in lines:
        verb, *words = shlex.split(line)
        try:
            parse(command_of(verb), verb, words)
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


METHODS = (
    *(f"Model.{name}" for name in ("detect", "stream", "with_threshold", "with_localizer", "with_movers")),
    *(f"Model.{name}" for name in ("with_engine", "save", "load")),
    *(f"Result.{name}" for name in ("heatmap", "to_pandas", "render", "timeline")),
)


@pytest.mark.parametrize("name", [*wherewhen.__all__, *METHODS])
def test_public_functions_describe_parameters_and_results(name: str) -> None:
    public = operator.attrgetter(name)(wherewhen)
    if not inspect.isroutine(public):
        assert inspect.getdoc(public), name
        return
    parameters = [parameter for parameter in inspect.signature(public).parameters if parameter != "self"]
    described = re.search(r"^Args:\n(.*?)(?:\n\n|\Z)", inspect.getdoc(public) or "", re.DOTALL | re.MULTILINE)
    assert described and re.findall(r"^    (\w+): ", described[1], re.MULTILINE) == parameters
    returns = inspect.signature(public).return_annotation != "None"
    assert ("\nReturns:\n    " in (inspect.getdoc(public) or "")) == returns


def definitions(source: str) -> set[str]:
    """The names that a module or its classes define: classes, functions, fields and constants."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


def test_the_newcomers_table_names_files_tests_and_symbols_that_exist() -> None:
    """Each row: one file, names that this file defines, and other files and their names in the column of effects."""
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| .+ \|$", page.split("## Where is it?")[1].split("\n## ")[0], re.MULTILINE)[1:]
    assert len(table) == 10
    for row in table:
        _, file, changed, effects, test = (cell.strip() for cell in row.strip("|").split(" | "))
        source = re.match(r"`(src/[\w/]+\.py)`", file)
        assert source and (ROOT / source[1]).is_file(), row
        assert (ROOT / test.strip("` ")).is_file(), row
        names = [name.split(".")[-1] for name in re.findall(r"`([A-Za-z_.]+)", changed)]
        missing = set(names) - definitions((ROOT / source[1]).read_text(encoding="utf-8"))
        assert names and not missing, f"{source[1]} does not define {missing}"
        for name, path in re.findall(r"`(\w+)` in `([\w/]+\.py)`", effects):
            assert name in definitions((ROOT / "src" / "wherewhen" / path).read_text(encoding="utf-8")), row
        pages = re.findall(r"`(docs/[\w/]+\.?\w*)`?", effects)
        assert [path for path in pages if not (ROOT / path).exists()] == [], row


def test_every_decision_states_its_parts() -> None:
    records = [page for page in (DOCS / "decisions").glob("*.md") if page.name != "index.md"]
    assert [int(page.name[:3]) for page in sorted(records)] == list(range(1, len(records) + 1))
    for page in records:
        parts = re.findall(r"^\*\*(\w+)\.\*\*", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert parts == ["Status", "Context", "Decision", "Consequence"], page.name


def test_the_summary_of_results_has_the_numbers_of_the_tables() -> None:
    chart = runpy.run_path(str(DOCS / "chart.py"))
    lines = chart["summary"]((DOCS / "results_tables.md").read_text(encoding="utf-8"))
    assert len(lines) > 12
    assert "\n".join(lines) in (DOCS / "results.md").read_text(encoding="utf-8"), "run: python docs/chart.py"


def test_every_setting_of_the_reference_has_a_description() -> None:
    rows = re.findall(r"^\| `[\w.]+\.\w+` \| .*$", (DOCS / "reference.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) > 300
    assert [row for row in rows if not re.fullmatch(r"\| `[\w.]+` \| `.+` \| (`.+`|see below) \| \S.* \|", row)] == []


def test_settings_of_records_have_the_defaults_of_their_plug_in() -> None:
    text = (DOCS / "reference.md").read_text(encoding="utf-8")
    shape = registry.load("instances", "tubes").Config().shape
    assert f"| `tubes.shape.window` | `float or None` | `{shape.window!r}` |" in text
    assert f"| `tubes.shape.multivariate` | `bool` | `{shape.multivariate!r}` |" in text
    assert (shape.window, shape.multivariate) != (type(shape)().window, type(shape)().multivariate)


def test_the_chart_of_speed_has_the_rows_and_stages_of_its_table(tmp_path: Path) -> None:
    chart, text = runpy.run_path(str(DOCS / "chart.py")), (DOCS / "speed.md").read_text(encoding="utf-8")
    table = chart["rows"](text, chart["STREAMS"])
    assert len(table) > 12
    for name, row in table.items():
        parts = [float(row[stage] or 0) for stage in chart["STAGES"]]
        assert min(parts) >= 0 and sum(parts) == pytest.approx(float(row["all"]), abs=3), name
    chart["draw_stages"](text, tmp_path / "speed.svg")
    assert (tmp_path / "speed.svg").read_text("utf-8").count("<path") > 12 * len(chart["STAGES"])

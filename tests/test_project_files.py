"""Files at the root of the repository agree with the package and with each other."""

from __future__ import annotations

import re
import runpy
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.version import Version

import wherewhen

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PAGES = (
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / ".github").rglob("*.md")),
)
FORMS = sorted(path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FIELDS = {"markdown", "input", "textarea", "dropdown", "checkboxes"}


def document(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


def steps() -> list[dict[str, Any]]:
    return [step for path in WORKFLOWS for job in document(path)["jobs"].values() for step in job["steps"]]


def test_one_version_everywhere() -> None:
    version = PROJECT["project"]["version"]
    citation = document(ROOT / "CITATION.cff")
    assert citation["version"] == version == str(Version(version))
    assert ("date-released" in citation) is not Version(version).is_prerelease
    section = re.search(r"^## (\S+) \((.+)\)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert section and section[1] == Version(version).base_version
    assert (section[2] == "unreleased") is Version(version).is_prerelease
    assert version not in (ROOT / "src" / "wherewhen" / "__init__.py").read_text("utf-8")
    assert wherewhen.__version__


def test_citation_agrees_with_the_package() -> None:
    citation, project = document(ROOT / "CITATION.cff"), PROJECT["project"]
    assert {"cff-version", "message", "title", "authors"} <= set(citation), "keys that the format demands"
    assert citation["license"] == project["license"]
    assert citation["repository-code"] == project["urls"]["Repository"]
    assert citation["url"] == project["urls"]["Documentation"]


def test_the_site_has_the_declared_addresses() -> None:
    site, urls = document(ROOT / "mkdocs.yml"), PROJECT["project"]["urls"]
    assert site["site_url"] == urls["Documentation"]
    assert site["repo_url"] == urls["Repository"] == urls["Homepage"]


def test_addresses_of_the_project_are_the_declared_ones() -> None:
    urls = PROJECT["project"]["urls"]
    files = [*PAGES, *FORMS, *WORKFLOWS, ROOT / "CITATION.cff", ROOT / ".github" / "ISSUE_TEMPLATE" / "config.yml"]
    text = "\n".join(path.read_text("utf-8") for path in files)
    addresses = set(re.findall(r"https://[^\s)>\"']*wherewhen[^\s)>\"']*", text))
    assert addresses and all(one.startswith((urls["Repository"], urls["Documentation"])) for one in addresses)
    pages = [one.removeprefix(urls["Documentation"]) for one in addresses if one.startswith(urls["Documentation"])]
    assert [page for page in pages if page and not (ROOT / "docs" / page).with_suffix(".md").is_file()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_targets_of_root_pages_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    links = [link for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []
    assert (
        set(re.findall(r"\bmake ([a-z]+)\b", " ".join(re.findall(r"`[^`]+`|^ {4}.+$", text, re.MULTILINE))))
        <= targets()
    )


@pytest.mark.parametrize(("version", "reference"), [("0.2.0.dev0", "main"), ("0.2.0", "v0.2.0")])
def test_the_description_of_distributions_has_absolute_links(version: str, reference: str) -> None:
    """The index of packages shows README.md outside of the repository: images and pages need whole addresses."""
    pytest.importorskip("hatchling")
    hook = runpy.run_path(str(ROOT / "hatch_build.py"))["CustomMetadataHook"](str(ROOT), {})
    metadata = {"version": version, "urls": PROJECT["project"]["urls"]}
    hook.update(metadata)
    text = metadata["readme"]["text"]
    repository = PROJECT["project"]["urls"]["Repository"]
    assert f"]({repository}/raw/{reference}/docs/images/" in text
    assert f"]({repository}/blob/{reference}/docs/" in text
    assert re.findall(r"\]\((?!https://)[^)]*\)", text) == []
    assert "pip install wherewhen" in text


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_issue_forms_are_valid(path: Path) -> None:
    form = document(path)
    assert {"name", "description", "body"} <= set(form) <= {"name", "description", "title", "labels", "body"}
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert {field["type"] for field in form["body"]} <= FIELDS and fields
    identifiers = [field["id"] for field in fields]
    assert len(identifiers) == len(set(identifiers)) and all(re.fullmatch(r"[\w-]+", name) for name in identifiers)
    for field in form["body"]:
        assert set(field) <= {"type", "id", "attributes", "validations"}
        assert field["attributes"].get("value" if field["type"] == "markdown" else "label")
        if field["type"] in {"dropdown", "checkboxes"}:
            options = field["attributes"]["options"]
            assert options and len({str(option) for option in options}) == len(options)


def test_a_bug_needs_the_output_of_doctor() -> None:
    body = document(ROOT / ".github" / "ISSUE_TEMPLATE" / "bug.yml")["body"]
    (field,) = [field for field in body if field.get("id") == "doctor"]
    assert "wherewhen doctor" in field["attributes"]["label"] and field["validations"]["required"] is True


def test_the_list_of_issue_forms_leads_to_documentation_and_private_reports() -> None:
    config = document(ROOT / ".github" / "ISSUE_TEMPLATE" / "config.yml")
    assert config["blank_issues_enabled"] is False
    assert all(set(link) == {"name", "url", "about"} for link in config["contact_links"])


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_are_valid(path: Path) -> None:
    flow = document(path)
    assert flow["name"] and {"push", "pull_request"} <= set(flow[True]), "YAML reads the key `on` as true"
    assert flow["permissions"] == {"contents": "read"}
    for job in flow["jobs"].values():
        assert {"runs-on", "timeout-minutes", "steps"} <= set(job)
        assert all(("run" in step) != ("uses" in step) for step in job["steps"])
        assert all(re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"]) for step in job["steps"] if "uses" in step)


def test_workflows_test_every_declared_python_build_the_wheel_and_the_docs() -> None:
    commands = " ".join(step.get("run", "") for step in steps())
    made = set(re.findall(r"\bmake (\w+)", commands))
    assert {"test", "wheel", "docs"} <= made <= targets()
    (matrix,) = [
        job["strategy"]["matrix"]["python"] for job in document(WORKFLOWS[0])["jobs"].values() if "strategy" in job
    ]
    declared = [
        re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", one) for one in PROJECT["project"]["classifiers"]
    ]
    assert matrix == [match[1] for match in declared if match]
    assert PROJECT["project"]["requires-python"] == f">={matrix[0]}"


def test_hooks_use_the_environment_of_make() -> None:
    config = document(ROOT / ".pre-commit-config.yaml")
    assert [repository["repo"] for repository in config["repos"]] == ["local"]
    hooks = config["repos"][0]["hooks"]
    assert {hook["id"] for hook in hooks} == {"ruff-check", "ruff-format", "mypy"}
    for hook in hooks:
        assert {"id", "name", "entry", "language"} <= set(hook) and hook["language"] == "system"
        assert hook["entry"].startswith(".venv/bin/")


def targets() -> set[str]:
    return set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


def test_make_help_lists_all_targets() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    listed = {line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")}
    assert listed == targets() - {"system"}
    phony = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert phony and set(phony[1].split()) == targets()


def test_what_targets_write_is_ignored_and_cleaned() -> None:
    ignored = {line.strip("/") for line in (ROOT / ".gitignore").read_text("utf-8").splitlines()}
    rule = (ROOT / "Makefile").read_text("utf-8").split("\nclean:", 1)[1]
    cleaned = set(re.findall(r"[\w.*-]+", rule))
    assert ignored - cleaned == {"*.egg-info"}, "written by other tools than the targets"

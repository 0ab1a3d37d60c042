"""The distributions that are published: what is in them, and that the wheel works without the extras."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from dataclasses import dataclass
from email import message_from_string
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = {
    "accelerate",
    "faiss",
    "fastapi",
    "nncf",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "openvino",
    "pandas",
    "ray",
    "sklearn",
    "transformers",
    "uvicorn",
}

ROUTES = [
    f"wherewhen.server.{name}"
    for name in ("exports", "files", "machines", "request_timeout", "review_cameras", "review_routes")
]
"""Modules that are imported once FastAPI is known to be installed."""

USES = f"""
import pkgutil, sys
from importlib import import_module
sys.modules.update(dict.fromkeys({sorted(EXTRAS)}))  # an import of a module that is None fails
import wherewhen
from wherewhen.cli import main
for module in pkgutil.walk_packages(wherewhen.__path__, "wherewhen."):
    if module.name not in {["wherewhen.__main__", *ROUTES]}:
        import_module(module.name)
codes = [main(words.split()) for words in ("list methods", "list engines", "prompts show toy", "doctor")]
print("results", codes, wherewhen.__version__, wherewhen.__file__)
"""


@dataclass(frozen=True)
class Built:
    """Both distributions: their names and files; the wheel unpacked below ``folder``."""

    source: tuple[str, ...]
    wheel: tuple[str, ...]
    folder: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The source distribution of this checkout, and the wheel that is built from it; no network is used."""
    folder = tmp_path_factory.mktemp("dist")
    words = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (archive,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    with tarfile.open(archive) as files:
        source = tuple(name.partition("/")[2] for name in files.getnames())
    with zipfile.ZipFile(wheel) as unpacked:
        unpacked.extractall(folder / "unpacked")
        return Built(source, tuple(unpacked.namelist()), folder / "unpacked")


def test_the_wheel_holds_the_package_and_nothing_else(built: Built) -> None:
    package = ROOT / "src" / "wherewhen"
    files = {path.relative_to(ROOT / "src").as_posix() for path in package.rglob("*") if path.is_file()}
    expected = {name for name in files if "__pycache__" not in name}
    assert {name for name in built.wheel if ".dist-info/" not in name} == expected
    assert {"wherewhen/py.typed", "wherewhen/core/prompt_files/toy.yaml"} <= expected
    assert [name for name in expected if name.endswith(".jinja")]


def test_the_metadata_is_complete(built: Built) -> None:
    (path,) = built.folder.glob("*.dist-info/METADATA")
    told = message_from_string(path.read_text("utf-8"))
    assert told["Version"] == PROJECT["version"] and told["License-Expression"] == "Apache-2.0"
    assert dict(line.split(", ", 1) for line in told.get_all("Project-URL", [])) == PROJECT["urls"]
    assert path.with_name("licenses").joinpath("LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_links_of_the_description_are_absolute_and_lead_to_files(built: Built) -> None:
    (path,) = built.folder.glob("*.dist-info/METADATA")
    text = str(message_from_string(path.read_text("utf-8")).get_payload())
    prefix = re.escape(PROJECT["urls"]["Repository"])
    tag = "main" if "dev" in PROJECT["version"] else f"v{PROJECT['version']}"
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link]
    files = re.findall(rf"\]\({prefix}/(?:blob|raw)/{re.escape(tag)}/([^)#\s]+)", text)
    assert links == [] and len(files) > 10
    assert [name for name in files if not (ROOT / name).is_file()] == []
    assert re.sub(rf"{prefix}/(blob|raw)/{re.escape(tag)}/", "", text) == (ROOT / "README.md").read_text("utf-8")


def test_the_source_distribution_holds_what_make_test_needs(built: Built) -> None:
    tops = {PurePosixPath(name).parts[0] for name in built.source}
    wanted = {".github", ".pre-commit-config.yaml", "Makefile", "constraints.txt", "docs", "src", "tests"}
    assert wanted | {"LICENSE", "README.md", "pyproject.toml", "PKG-INFO"} <= tops
    assert tops <= {path.name for path in ROOT.iterdir()} | {"PKG-INFO"}
    junk = re.compile(
        r"__pycache__|\.py[co]$|(^|/)\.(venv|git|coverage|hypothesis|\w+_cache)(/|$)|^(demo|runs|dist|site)/"
    )
    assert [name for name in built.source if junk.search(name)] == []


def test_the_wheel_works_without_the_extras(built: Built, tmp_path: Path) -> None:
    """Every module is imported; data files of the package are read from where the wheel puts them."""
    environment = {**os.environ, "PYTHONPATH": str(built.folder), "WHEREWHEN_CACHE": str(tmp_path)}
    words = [sys.executable, "-c", USES]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    *_, last = done.stdout.splitlines()
    assert last == f"results [0, 0, 0, 0] {PROJECT['version']} {built.folder / 'wherewhen' / '__init__.py'}"
    assert "faiss-cpu" in done.stdout and 'pip install "wherewhen[onnx]"' in done.stdout

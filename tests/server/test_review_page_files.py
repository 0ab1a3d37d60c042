"""The built review page: built of the sources in web/, small, without anything from elsewhere."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

import pytest

WEB = Path(__file__).parents[2] / "web"
PAGE = Path(str(files("wherewhen.server") / "review_page"))
RECORD = json.loads((PAGE / "build.json").read_text("utf-8"))
ASK = "web/ was changed: run `make web`"


def digest(root: Path, paths: Iterable[Path]) -> str:
    whole = hashlib.sha256()
    for name in sorted(path.relative_to(root).as_posix() for path in paths):
        whole.update(f"{name}\0".encode() + (root / name).read_bytes() + b"\0")
    return whole.hexdigest()


def test_the_built_files_are_those_of_the_sources() -> None:
    sources = [path for path in WEB.rglob("*") if path.is_file() and "node_modules" not in path.parts]
    assert digest(WEB, sources) == RECORD["sources"], ASK
    built = [path for path in PAGE.rglob("*") if path.is_file() and path.name != "build.json"]
    assert digest(PAGE, built) == RECORD["built"], ASK
    names = {path.relative_to(PAGE).as_posix() for path in built}
    assert names == {"index.html", "licenses.md", "assets/review.js", "assets/review.css"}


def test_the_page_is_small_and_asks_for_its_own_files_only() -> None:
    index = (PAGE / "index.html").read_text("utf-8")
    assert set(re.findall(r'(?:src|href)="([^"]+)"', index)) == {
        "data:,",
        "/review/assets/review.js",
        "/review/assets/review.css",
    }
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", index), "the policy forbids inline code"
    script = (PAGE / "assets/review.js").read_bytes()
    assert len(gzip.compress(script)) < 100_000
    addresses = set(re.findall(rb"https?://[\w./-]+", script))
    assert all(one.startswith(b"http://www.w3.org/") for one in addresses), "names of XML, nothing to load"
    for source in (WEB / "src").rglob("*.ts*"):
        assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|eval\(", source.read_text("utf-8")), source


def test_licences_of_bundled_packages_are_shipped() -> None:
    text = (PAGE / "licenses.md").read_text("utf-8")
    for name in json.loads((WEB / "package.json").read_text("utf-8"))["dependencies"]:
        assert re.search(rf"^## {re.escape(name)} - .*\(MIT\)$", text, re.MULTILINE), name
    assert "Permission is hereby granted" in text and "axe" not in text


def test_a_second_build_gives_the_same_files(tmp_path: Path) -> None:
    if shutil.which("node") is None or not (WEB / "node_modules/vite").exists():
        pytest.skip("no Node or no packages in web/node_modules: `make web` installs them")
    web = tmp_path / "web"
    shutil.copytree(WEB, web, ignore=shutil.ignore_patterns("node_modules"))
    (web / "node_modules").symlink_to((WEB / "node_modules").resolve())
    done = subprocess.run(["node", "node_modules/vite/bin/vite.js", "build"], cwd=web, capture_output=True, timeout=100)
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads((tmp_path / "src/wherewhen/server/review_page/build.json").read_text("utf-8")) == RECORD

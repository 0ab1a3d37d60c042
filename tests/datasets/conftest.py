import json
import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("WHEREWHEN_SHARED", Path(__file__).parents[2] / "../shared"))


@pytest.fixture
def official():
    """The folder of real annotation files; the test is skipped where it isn't there."""
    folder = SHARED / "annotations"
    if not folder.is_dir():
        pytest.skip(f"needs the real annotation files in {folder} (WHEREWHEN_SHARED)")
    return folder


@pytest.fixture
def link(tmp_path, official):
    """Link real files into a root: link({"name in the root": "path below annotations"})."""

    def make(names):
        for name, path in names.items():
            place = tmp_path / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to((official / path).resolve())
        return tmp_path

    return make


@pytest.fixture
def probe(tmp_path):
    """Write videos.json: probe({id: frames}, fps=..., width=..., height=...)."""

    def make(frames, **rest):
        rows = {key: {"frames": count, **rest} for key, count in frames.items()}
        (tmp_path / "videos.json").write_text(json.dumps(rows))
        return tmp_path

    return make


@pytest.fixture
def write(tmp_path):
    """Write text files below the root: write({"name": "text"})."""

    def make(names):
        for name, text in names.items():
            place = tmp_path / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
        return tmp_path

    return make

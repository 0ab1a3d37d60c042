"""Documents of a user: plain values, or an error that names the file, in bounded time; nothing is run or expanded."""

from __future__ import annotations

import ast
import os
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from wherewhen.core import documents
from wherewhen.core.errors import ConfigError, DataError, WherewhenError

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (BOMB, "line 2: an alias"),
        ("a: &a\n  b: *a", "line 2: an alias"),
        ("a: 1\nb: 2\na: 3", "line 3: 'a' is repeated"),
        ("a: !!python/object/apply:os.system [ls]", "line 1: a tag"),
        ("a: !!python/name:os.system", "line 1: a tag"),
        ("a: !!binary aGk=", "line 1: a tag"),
        ("? [a]\n: b", "expected a name"),
        ("[" * 100_000, "more than 100 levels"),
        ("- " * 100_000, "more than 100 levels"),
        ("{a: " * 5000, "more than 100 levels"),
        ("- 1\n" * 200_000, "more than 100000 values"),
        ("a: " + "7" * 5000, "5000 digits, too large"),
        ("a: 1e400", "not finite"),
        ("a: .nan", "not finite"),
        ("a: -.inf", "not finite"),
        ("a: [1", r"line \d"),
        ("--- a\n--- b", "another document"),
        ("a: \x00", "character"),
        ("#" * (documents.SETTINGS + 1), "larger than"),
    ],
)
def test_yaml_out_of_bounds_is_refused_soon(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    began = time.perf_counter()
    with pytest.raises(ConfigError, match=told) as caught:
        documents.read_yaml(path)
    assert str(caught.value).startswith(f"{path}: ") and len(str(caught.value)) < 300 + len(str(path))
    assert time.perf_counter() - began < 10


def test_names_and_numbers_are_as_they_stand() -> None:
    found = documents.yaml_of("1: a\nno: b\n2024-01-01: 2024-01-02\nx: [1e-3, 1_000, .5, -2, 010, 1:30, ~, yes]")
    assert found == {
        "1": "a",
        "no": "b",
        "2024-01-01": "2024-01-02",
        "x": [1e-3, 1000, 0.5, -2, 10, "1:30", None, True],
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[" * 100_000, "nested more than 100 levels"),
        ("[" * 101 + "]" * 101, "nested more than 100 levels"),
        ('{"a":' * 900 + "1" + "}" * 900, "nested more than 100 levels"),
        ('{"a": 1, "a": 2}', "'a' is repeated"),
        ("[1e400]", "not finite"),
        ("[NaN]", "NaN is no JSON number"),
        ("[" + "7" * 5000 + "]", "5000 digits, too large"),
        ("[" + "7" * 25 + "]", "25 digits, too large"),
        ("{", "line 1 column 2"),
    ],
)
def test_json_out_of_bounds_is_refused(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(text)
    with pytest.raises(DataError, match=told) as caught:
        documents.read_json(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "latin.yaml").write_bytes("a: naß".encode("latin-1"))
    wrong = {"none": "no such settings file", ".": "folder", "pipe": "pipe or device", "latin.yaml": "UTF-8.*byte 5"}
    wrong |= {"x" * 300: "too long", "latin.yaml/x": "is a file"}
    for name, told in wrong.items():
        with pytest.raises(ConfigError, match=told):
            documents.read_yaml(tmp_path / name)
    with pytest.raises(ConfigError, match="pipe or device"):
        documents.read_yaml("/dev/zero")


def test_no_error_quotes_the_file(tmp_path: Path) -> None:
    """Someone may be led to name a file that others must not see."""
    (tmp_path / "secret").write_text("root:x:0:0: s3cr3t\n\t%s3cr3t: [s3cr3t\n")
    for read in (documents.read_yaml, documents.read_json):
        with pytest.raises(WherewhenError) as caught:
            read(tmp_path / "secret")
        assert "s3cr3t" not in str(caught.value)


def test_any_bytes_give_values_or_an_error_of_ours(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    seed = b"version: 1\nnormal: [a road, 'b: c', 1e-3]\nclasses:\n  fight: [two, {x: &a 1}]\n  '1': !!str no\n"
    path = tmp_path / "c.yaml"
    for turn in range(600):
        data = bytearray(seed)
        for _ in range(int(rng.integers(1, 6))):
            place = int(rng.integers(len(data)))
            if rng.random() < 0.5:
                data[place] = int(rng.integers(256))
            else:
                data[place:place] = rng.choice(
                    [b"[", b"{", b"&a ", b"*a ", b"!!int ", b"\n---\n", b"- ", b"? ", b": ", b"\t"]
                )
        path.write_bytes(data)
        for read in (documents.read_yaml, documents.read_json):
            try:
                read(path)
            except WherewhenError as error:
                assert str(path) in str(error), turn


def test_reading_a_small_file_takes_little_memory(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[1]")
    tracemalloc.start()
    try:
        assert documents.read_json(tmp_path / "a.json") == [1]
        assert tracemalloc.get_traced_memory()[1] < 2**23
    finally:
        tracemalloc.stop()


OWN = {
    "core/documents.py",  # the reader itself
    "extraction/track_cache.py",  # text that it made a moment ago
    "api/detection.py",  # the file of a model of words that it wrote a moment ago
    "live/database.py",  # messages that the service wrote
    "live/minutes.py",  # scores that the service wrote, thousands of rows
    "cli/commands/detect.py",  # the table that its run wrote
    "cli/commands/train.py",  # the numbers that its run wrote
}


def test_no_other_module_parses_json_or_yaml() -> None:
    """What a file brings is read within limits: by `wherewhen.core.documents` alone."""
    root = Path(documents.__file__).parents[1]
    parsing = set()
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                loads = node.value.id == "json" and node.attr in ("load", "loads", "JSONDecoder")
                if loads or (node.value.id == "yaml" and "load" in node.attr):
                    parsing.add(path.relative_to(root).as_posix())
    assert parsing == OWN

"""What a kind of input is to the fuzzer, and what counts as wrong."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any
from unicodedata import category

HERE = Path(__file__).parent
RIGHT, REFUSED, WRONG = "right", "refused", "wrong"
LARGEST = 2**22  # bytes of a mutated input
LONGEST = 4000  # characters of one error

Fault = Callable[[Random, bytes], bytes]


class Wrong(Exception):
    """An outcome that is neither a right result nor an error of ours that names file and cause.

    ``way`` to fail is the same for all inputs that fail alike; ``detail`` says more.
    """

    def __init__(self, way: str, detail: str = "") -> None:
        self.way = way
        super().__init__(f"{way}: {detail}" if detail else way)


class Refused(Exception):
    """An input was refused as it should be, in these words."""


@dataclass(frozen=True)
class Kind:
    """One kind of input. ``seeds`` fills a folder with good files, ``mutate`` puts faults into one of them.

    ``judge(file, corpus)`` uses the file as a user would. It may raise a `WherewhenError`, which is then checked,
    `Refused` or `Wrong`; any other exception is a finding. ``inputs``: patterns of the files to mutate.
    ``good``: whether the seed files themselves must be taken.
    """

    seeds: Callable[[Path], None]
    mutate: Callable[[Random, str, bytes], bytes]
    judge: Callable[[Path, Path], None]
    inputs: tuple[str, ...] = ("*",)
    good: bool = True

    def files(self, corpus: Path) -> list[Path]:
        """The seed files, in the order of names; notes of the toolkit itself are none."""
        found = {path for pattern in self.inputs for path in corpus.glob(pattern) if path.is_file()}
        return sorted(path.relative_to(corpus) for path in found if not path.name.startswith("."))


def names() -> list[str]:
    """Every kind of input: the modules of ``kinds``."""
    return sorted(path.stem for path in (HERE / "kinds").glob("*.py") if not path.stem.startswith("_"))


def kind(name: str) -> Kind:
    """The kind with this name."""
    found = import_module(f"kinds.{name}").KIND
    assert isinstance(found, Kind)
    return found


def drawn(name: str, seed: int, number: int, corpus: Path) -> tuple[Path, bytes]:
    """The input of a case: its name and its bytes; the first ones are the seed files as they are."""
    files = kind(name).files(corpus)
    if number < len(files):
        return files[number], (corpus / files[number]).read_bytes()
    rng = Random(f"{name}/{seed}/{number}")
    chosen = files[rng.randrange(len(files))]
    return chosen, kind(name).mutate(rng, chosen.name, (corpus / chosen).read_bytes())


def applied(rng: Random, faults: Sequence[Fault], data: bytes, most: int = 3) -> bytes:
    """One to ``most`` of these faults, one after the other, a single one most often; no file grows beyond LARGEST."""
    for _ in range(1 + min(rng.randrange(most), rng.randrange(most))):
        data = rng.choice(faults)(rng, data)[:LARGEST]
    return data


def check_message(text: str, *names: str) -> None:
    """Wrong, where an error isn't printable text that names its file (any of ``names``) and a cause."""
    if not text.strip():
        raise Wrong("the error says nothing")
    if len(text) > LONGEST:
        raise Wrong("the error is too long", f"{len(text)} characters, {text[:200]!r}")
    if odd := [c for c in text if category(c) in ("Cc", "Cs", "Zl", "Zp") and c != "\n"]:
        raise Wrong("the error is not printable", f"{odd[0]!r} in {text[:300]!r}")
    if names and not any(name in text for name in names):
        raise Wrong("the error doesn't name the file", f"none of {', '.join(names)}: {text[:300]!r}")


def command(*words: object) -> tuple[int, str, str]:
    """Run a command line in this process: exit code, standard output and standard error."""
    from wherewhen import cli

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main([str(word) for word in words])
    return code, out.getvalue(), err.getvalue()


def check_command(code: int, err: str, *names: str) -> None:
    """Refused for an exit code other than 0; Wrong where it is unknown, or has no error that tells it."""
    if code not in (0, 1, 2, 3):
        raise Wrong("an unknown exit code", f"{code}: {err[-300:]!r}")
    if "Traceback" in err:
        raise Wrong("a traceback is printed", repr(err[-300:]))
    if code in (1, 2):
        told = re.search(r"^error: (.*)", err, re.MULTILINE | re.DOTALL)
        if told is None:
            raise Wrong("an exit code without an error", f"{code}: {err[-300:]!r}")
        check_message(told[1], *names)
    if code:
        raise Refused(err[-LONGEST:])


def mirrored(file: Path, corpus: Path) -> Path:
    """The folder of a case, with hard links to all files of the corpus but the mutated one."""
    case = case_folder(file)
    for path in sorted(corpus.rglob("*")):
        target = case / path.relative_to(corpus)
        if path.is_dir():
            target.mkdir(exist_ok=True)
        elif not target.exists():
            os.link(path, target)
    return case


def case_folder(file: Path) -> Path:
    """The folder that the fuzzer made for the case of this file."""
    return next(parent for parent in file.parents if parent.name.startswith("case-"))


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Work in a folder."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def common(corpus: Path, name: str, make: Callable[[Path], Any]) -> Path:
    """A file or folder that several kinds need, made once for all of them."""
    place = corpus.parent / "common" / name
    if not place.exists():
        place.parent.mkdir(exist_ok=True)
        make(place)
    return place

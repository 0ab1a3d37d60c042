"""What may be written: a file that exists is replaced only if this toolkit wrote it, and a source never is.

Each folder that is written to holds a manifest ``.wherewhen.jsonl``, a line of JSON for each file written there::

    {"file": "events.json", "size": 812, "changed": 1714557600000000000, "sha256": "..."}

A file counts as written by the toolkit if its content is the one of a line; so a file that was edited or
replaced by hand is kept. ``"grows": true`` marks files that are appended to (logs) and folders. Files of arrays prove
themselves by their passport. Caches need no manifest.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shlex
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from wherewhen.core.documents import json_of
from wherewhen.core.errors import OutputError

MANIFEST = ".wherewhen.jsonl"
PASSPORT = "passport"  # key in the head of files of arrays that the toolkit wrote
HEAD = 2**24  # bytes of such a head at most
SHOWN = 3  # files that a message names
FOREIGN = "this toolkit did not write it, or it was changed since"

Identity = tuple[int, int]  # device and inode


@dataclass
class _Manifest:
    """The lines of a folder's manifest. ``read``: bytes read so far; ``tail``: the last line that was read."""

    read: int = 0
    tail: bytes = b""
    lines: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


_MANIFESTS: dict[Path, _Manifest] = {}
_LOCK = Lock()
_READING: list[tuple[frozenset[Identity], frozenset[Path]]] = []


def check(paths: Iterable[str | Path], advice: str = "choose another output") -> None:
    """OutputError, before any work, if one of these files can't be written without loss; ``advice``: the remedy.

    >>> check(["a/file/that/is/not/there.json"])
    """
    wrong: dict[str, list[str]] = {}
    for path in map(Path, paths):
        if (cause := _refused(path)) is not None:
            wrong.setdefault(cause, []).append(str(path))
    for cause, names in wrong.items():
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        raise OutputError(f"{', '.join(names[:SHOWN])}{more}: {cause}; {advice}")


def check_folder(folder: str | Path, names: Iterable[str], advice: str = "choose another --output") -> None:
    """The same for files in an output folder, which may be there or not."""
    root = Path(folder)
    if root.exists() and not root.is_dir():
        raise OutputError(f"{root}: is a file, expected a folder to write; {advice}")
    above = next((p for p in root.absolute().parents if os.path.lexists(p)), root)
    if not above.is_dir():
        raise OutputError(f"{root}: {above} is a file, so no folder can be created in it; {advice}")
    check((root / name for name in names), advice)


def _refused(path: Path) -> str | None:
    """Why a file must not be written, None where it may."""
    if is_source(path):
        return "a source, which is never overwritten"
    if path.parent.is_dir() and any(path.parent.resolve() == source for _, paths in _READING for source in paths):
        return f"{path.parent} is a source of single pictures, into which nothing is written"
    if not os.path.lexists(path) or is_output(path):
        return None
    if path.is_dir():
        return f"a folder that exists already, and {FOREIGN}"
    return f"exists already, and {FOREIGN}"


@contextmanager
def reading(sources: Iterable[object]) -> Iterator[None]:
    """Protect sources inside the block: no file replaces one of them, under any of its names.

    Addresses and cameras are ignored.
    """
    paths = [path for path in (Path(source) for source in sources if isinstance(source, str | Path)) if path.exists()]
    identities = frozenset((s.st_dev, s.st_ino) for s in (path.stat() for path in paths))
    held = identities, frozenset(path.resolve() for path in paths)
    _READING.append(held)
    try:
        yield
    finally:
        _READING.remove(held)


def is_source(path: Path) -> bool:
    """Whether a path is that of a source which is read now, also by a link or in other letters."""
    if not _READING:
        return False
    try:
        stat = path.stat()
    except OSError:
        return path.resolve() in {source for _, paths in _READING for source in paths}
    return any((stat.st_dev, stat.st_ino) in identities for identities, _ in _READING)


def is_output(path: str | Path) -> bool:
    """Whether the toolkit wrote this file or folder, and the file is unchanged since."""
    path = Path(path)
    if path.is_symlink():
        return False
    lines = _lines(path.parent).get(path.name, [])
    if any(line.get("grows") for line in lines):
        return True
    if not path.is_file():
        return False
    stat = path.stat()
    alike = [line for line in lines if line.get("size") == stat.st_size]
    if any(line.get("changed") == stat.st_mtime_ns for line in alike):
        return True
    if alike and _sha256(path) in {line.get("sha256") for line in alike}:
        return True
    return has_passport(path)


def has_passport(path: Path) -> bool:
    """Whether a file is one of arrays with the passport that the toolkit gives them."""
    if path.suffix != ".safetensors":
        return False
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            head = json_of(file.read(length)) if 2 <= length <= HEAD else {}
            return PASSPORT in head["__metadata__"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def rendered(path: Path) -> bool:
    """Whether a file is a picture or video that results were painted on, and so no recording."""
    lines = _lines(path.parent).get(path.name, ())
    return any(line.get("rendered") for line in lines) and is_output(path)


def enter(draft: Path, target: Path, *, painted: bool = False) -> None:
    """Note that a finished draft is about to become ``target``; OutputError where it must not.

    ``painted``: it is no recording, see `rendered`.
    """
    check([target])
    if not has_passport(draft):
        _note(target, draft, {"rendered": True} if painted else {})


def _note(target: Path, file: Path, more: Mapping[str, bool]) -> None:
    """Add a line for the content of a file, unless there is one."""
    stat, sha256 = file.stat(), _sha256(file)
    if all(line.get("sha256") != sha256 for line in _lines(target.parent).get(target.name, ())):
        content = {"size": stat.st_size, "changed": stat.st_mtime_ns, "sha256": sha256}
        _append(target.parent, {"file": target.name, **content, **more})


def grow(path: str | Path) -> Path:
    """Note a file that is going to be appended to, or a folder that is filled; OutputError if another one exists.

    Returns the path.
    """
    path = Path(path)
    if os.path.lexists(path):
        if is_source(path) or not is_output(path):
            raise OutputError(f"{path}: exists already, and {FOREIGN}; choose another output")
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    _append(path.parent, {"file": path.name, "grows": True})
    return path


def adopt(paths: Iterable[Path]) -> None:
    """Note files and folders of an earlier version, which wrote no manifest, as written by the toolkit."""
    for path in paths:
        if path.is_symlink() or not path.exists() or is_output(path):
            continue
        if path.is_dir() or path.suffix == ".txt":
            _append(path.parent, {"file": path.name, "grows": True})
        else:
            _note(path, path, {})


def remove(path: str | Path) -> None:
    """Remove a file that the toolkit wrote, if it is there; OutputError for any other."""
    path = Path(path)
    if not os.path.lexists(path):
        return
    if is_source(path) or path.is_dir() or not is_output(path):
        raise OutputError(f"{path}: is to be removed, but {FOREIGN}; move it, or choose another output")
    path.unlink(missing_ok=True)


def stamp(folder: Path) -> None:
    """Note a folder with its content, so that `remove_folder` recognizes it."""
    _append(folder.parent, {"file": folder.name, "listing": _listing(folder)})


def remove_folder(folder: Path) -> None:
    """Remove a folder that is as it was when it was noted by `stamp`; OutputError for any other."""
    check_stamp(folder)
    if folder.is_dir():
        shutil.rmtree(folder)


def check_stamp(folder: Path) -> None:
    """OutputError for a folder that is there and not as it was when it was noted by `stamp`."""
    if not os.path.lexists(folder):
        return
    stamps = {line.get("listing") for line in _lines(folder.parent).get(folder.name, [])}
    if folder.is_symlink() or not folder.is_dir() or _listing(folder) not in stamps:
        raise OutputError(
            f"{folder}: is to be written anew, but {FOREIGN}; remove it (rm -r {shlex.quote(str(folder))}), "
            "or choose another --output"
        )


def _listing(folder: Path) -> str:
    """sha256 of the names, sizes and times of change of all that is in a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        stat = path.lstat()
        entry = (os.fsdecode(path.relative_to(folder)), stat.st_size, stat.st_mtime_ns) if path.is_file() else ()
        digest.update(repr((path.is_dir(), entry or os.fsdecode(path.relative_to(folder)))).encode("utf-8", "replace"))
    return digest.hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _append(folder: Path, line: dict[str, Any]) -> None:
    """Add a line; one write, so that lines of several processes don't mix."""
    path = folder / MANIFEST
    text = (json.dumps(line) + "\n").encode()
    with path.open("ab+", buffering=0) as file:
        if file.tell() and (file.seek(-1, os.SEEK_END), file.read(1))[1] != b"\n":  # an earlier write was incomplete
            text = b"\n" + text
        if file.write(text) != len(text):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def _lines(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The lines of a folder's manifest by the file that they are about; unreadable lines are ignored."""
    with _LOCK:
        return _read(folder.absolute() / MANIFEST)


def _read(path: Path) -> dict[str, list[dict[str, Any]]]:
    manifest = _MANIFESTS.get(path) or _Manifest()
    try:
        with path.open("rb") as file:
            file.seek(manifest.read - len(manifest.tail))
            data = file.read()
            if not data.startswith(manifest.tail):  # the file was replaced
                manifest = _Manifest()
                file.seek(0)
                data = file.read()
    except FileNotFoundError:
        _MANIFESTS.pop(path, None)
        return {}
    whole = data[len(manifest.tail) : data.rfind(b"\n") + 1].splitlines(keepends=True)
    for text in whole:
        try:
            line = json_of(text)
            manifest.lines.setdefault(line["file"], []).append(line)
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
    manifest.read += sum(map(len, whole))
    manifest.tail = whole[-1] if whole else manifest.tail
    _MANIFESTS[path] = manifest
    return manifest.lines

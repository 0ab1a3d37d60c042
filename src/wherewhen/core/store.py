"""Atomic writes, drafts of dead processes, locks, JSON and fingerprints."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import socket
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from wherewhen.core import outputs
from wherewhen.core.errors import OutputError, os_reason

log = logging.getLogger("wherewhen")

PIECE = 2**22  # bytes that are written at a time

# names of temporary files, with host and process of their writer
_DRAFT = re.compile(r"\..*~(?P<host>[^~]*)~(?P<pid>\d+)~\w{8}(\.[^~]*)?", re.DOTALL)
_OVERLAY = re.compile(r"\..+\.(?P<pid>\d+)\.tmp\.mp4", re.DOTALL)
_SWEPT: set[tuple[int, Path]] = set()  # folders that this process has swept
_FOREIGN = 86_400.0  # seconds after which a draft of another machine counts as left behind


@contextmanager
def atomic(path: str | Path, *, ours: bool = False, painted: bool = False) -> Iterator[Path]:
    """Give a temporary path beside ``path`` that replaces it on success and is removed on failure.

    OutputError, with nothing replaced, where ``path`` is a source or a file that the toolkit did not write, see
    `outputs`. ``ours``: an existing file is known to be the toolkit's, such as a damaged file of a store.
    ``painted``: results are painted on it, so that it is no recording.
    """
    target = Path(path)
    with _output_errors(target):
        yield from _replacing(target, ours, painted)


def _replacing(target: Path, ours: bool, painted: bool) -> Iterator[Path]:
    free = ours or _DRAFT.fullmatch(target.name) or target.absolute().is_relative_to(cache_folder().absolute())
    if not free:
        outputs.check([target])
    with draft(target.parent, target.stem, target.suffix) as temporary:
        yield temporary
        temporary.chmod(0o644)
        if not free:
            outputs.enter(temporary, target, painted=painted)
        temporary.replace(target)


@contextmanager
def _output_errors(target: Path) -> Iterator[None]:
    """Errors of the system while a file is written as an OutputError that names it, not its draft."""
    try:
        yield
    except OSError as error:
        named = str(error.filename or "")
        if named and Path(named).absolute().parent != target.absolute().parent and Path(named) not in target.parents:
            raise  # about another file, one that was read
        raise OutputError(f"{target}: can't be written: {os_reason(error)}") from error


_UNKEPT: set[Path] = set()  # caches with a warning already


class Spare:
    """Write to a cache inside this block: a failure is a warning, once per cache, and no error.

    >>> with Spare("/dev/null/cache/file"):
    ...     write_atomic("/dev/null/cache/file", "text")
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()

    def __enter__(self) -> None:
        """Nothing is needed."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        """Whether the error was one of the system, and is handled."""
        cause = error.__cause__ if isinstance(error, OutputError) else error
        if not isinstance(cause, OSError):
            return False
        home = cache_folder().absolute()
        folder = home if self.path.is_relative_to(home) else self.path.parent
        if folder not in _UNKEPT:
            _UNKEPT.add(folder)
            message = "%s: the cache can't be written (%s); going on without it. WHEREWHEN_CACHE names another folder"
            log.warning(message, folder, os_reason(cause).split(";")[0])
        return True


def scratch() -> IO[bytes]:
    """A file without a name below the cache, or where the system keeps such files; deleted with the process."""
    with Spare(cache_folder() / "scratch"):
        cache_folder().mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryFile(dir=cache_folder(), buffering=0)
    return tempfile.TemporaryFile(buffering=0)


def put(file: IO[bytes], array: NDArray[Any]) -> None:
    """Write the numbers of an array to a file without a buffer, all of them."""
    left = memoryview(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    while left:
        left = left[file.write(left) :]


def pieces(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """An array's rows, a few megabytes at a time."""
    step = max(1, PIECE // max(1, array[:1].nbytes))
    return (array[start : start + step] for start in range(0, len(array), step))


@contextmanager
def draft(folder: str | Path, stem: str, suffix: str) -> Iterator[Path]:
    """A temporary file in a folder, removed afterwards.

    If this process is killed, the next one that makes a draft in the folder removes it, as does `sweep`.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    _sweep_once(Path(folder).absolute())
    handle, name = tempfile.mkstemp(prefix=f".{_begin(stem)}~{_host()}~{os.getpid()}~", suffix=suffix, dir=folder)
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _begin(name: str) -> str:
    """The first hundred bytes of a name, without a broken character."""
    return os.fsencode(name)[:100].decode("utf-8", "ignore").strip("~") or "draft"


def _host() -> str:
    return socket.gethostname().replace("~", "-")


def sweep(folder: str | Path) -> list[Path]:
    """Remove temporary files below a folder whose writers were killed; those of running ones stay. Returns their paths.

    A draft names its writer's machine and process. One of another machine is left behind once it is a day old.
    """
    return _removed(Path(folder).rglob(".*"))


def _sweep_once(folder: Path) -> None:
    """Sweep a folder itself when this process writes to it for the first time."""
    if (os.getpid(), folder) not in _SWEPT:
        _SWEPT.add((os.getpid(), folder))
        _removed(folder.glob(".*"))


def _removed(paths: Iterable[Path]) -> list[Path]:
    swept = []
    for path in paths:
        try:
            if _left_behind(path):
                path.unlink()
                swept.append(path)
        except OSError:  # its writer finished, another process removed it, or there is no permission
            continue
    return swept


def _left_behind(path: Path) -> bool:
    """Whether a path is a draft whose writer has ended."""
    match = _DRAFT.fullmatch(path.name)
    if match:
        return path.is_file() and not _being_written(path, match["host"], int(match["pid"]))
    # version 0.1.0 wrote overlays so, and didn't tell on which machine
    match = _OVERLAY.fullmatch(path.name)
    return bool(
        match
        and path.is_file()
        and not _being_written(path, _host(), int(match["pid"]))
        and not _being_written(path, "", 0)
    )


def _being_written(draft: Path, host: str, pid: int) -> bool:
    if host != _host():
        return time.time() - draft.stat().st_mtime < _FOREIGN
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    try:
        state, *numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        booted = re.search(r"^btime (\d+)$", Path("/proc/stat").read_text(), re.MULTILINE)
    except FileNotFoundError:
        return True
    began = float(booted[1] if booted else 0) + int(numbers[18]) / os.sysconf("SC_CLK_TCK")
    # a process younger than the draft only took over the number of the one that wrote it
    return state != "Z" and draft.stat().st_mtime >= began - 2


@contextmanager
def locked(path: str | Path, *, wait: bool = True) -> Iterator[None]:
    """A lock for reading and rewriting a file by one process or thread at a time; the lock is a hidden file beside it.

    Without locks in the file system it has no effect. Without ``wait``, BlockingIOError where another holds it.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / f".{target.name}.lock").open("a") as held:
        try:
            import fcntl

            fcntl.flock(held, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise
        except (ImportError, OSError):
            pass
        yield


def write_atomic(path: str | Path, data: bytes | str, *, ours: bool = False, painted: bool = False) -> None:
    """Write a file atomically, see `atomic`."""
    with atomic(path, ours=ours, painted=painted) as temporary:
        temporary.write_bytes(data.encode("utf-8", "backslashreplace") if isinstance(data, str) else data)


def plain(value: Any) -> Any:
    """The same value in lists, dictionaries, numbers and words, as JSON and YAML have them.

    >>> plain({"size": (7, 7)})
    {'size': [7, 7]}
    """
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    return value.as_posix() if isinstance(value, Path) else value


def write_json(path: str | Path, value: Any, *, ours: bool = False) -> None:
    """Write a value as indented JSON, see `atomic` and `json_text`."""
    write_atomic(path, json_text(value) + "\n", ours=ours)


def json_text(value: Any) -> str:
    """A value as indented JSON; a number that is not finite becomes null.

    >>> json_text({"auc": float("nan"), "sizes": (7, 7)}).split()
    ['{', '"auc":', 'null,', '"sizes":', '[', '7,', '7', ']', '}']
    """

    def finite(item: Any) -> Any:
        if isinstance(item, dict):
            return {key: finite(inner) for key, inner in item.items()}
        if isinstance(item, list):
            return [finite(inner) for inner in item]
        return None if isinstance(item, float) and not np.isfinite(item) else item

    return json.dumps(finite(plain(value)), indent=1, allow_nan=False)


def fingerprint(value: Any) -> str:
    """A short name for a value: the first 16 hex digits of the sha256 of its sorted JSON.

    >>> fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    True
    """
    return hashlib.sha256(json.dumps(plain(value), sort_keys=True).encode()).hexdigest()[:16]


def fingerprinted(name: str, value: Any) -> str:
    """A name for what depends on settings, in folders and files of caches: the name and 8 digits of a fingerprint.

    >>> fingerprinted("motion", {"a": 1})[:7], len(fingerprinted("motion", {"a": 1}))
    ('motion-', 15)
    """
    return f"{name}-{fingerprint(value)[:8]}"


def content_hash(path: str | Path) -> str:
    """sha256 of a file's bytes, or of the names and bytes of a folder's files."""
    digest = hashlib.sha256()
    root = Path(path)
    files = sorted(p for p in root.rglob("*") if p.is_file()) if root.is_dir() else [root]
    for file in files:
        if root.is_dir():
            digest.update(file.relative_to(root).as_posix().encode())
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def cache_folder() -> Path:
    """Where caches live: ``WHEREWHEN_CACHE``, else the user's cache folder."""
    chosen = os.environ.get("WHEREWHEN_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "wherewhen"

"""Download of published weights: resumes, verifies the checksum, and writes atomically."""

from __future__ import annotations

import base64
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any, BinaryIO
from urllib.error import HTTPError, URLError
from urllib.parse import unquote
from urllib.request import Request, urlopen

from wherewhen.core.addresses import remember
from wherewhen.core.errors import StoreError
from wherewhen.core.store import content_hash, draft
from wherewhen.runtime.weights import Weights

log = logging.getLogger("wherewhen")

MIRROR, OFFLINE = "WHEREWHEN_MIRROR", "WHEREWHEN_OFFLINE"
BLOCK = 1 << 20
TRIES = 3
Progress = Callable[[int, int | None], None]


def source(weights: Weights) -> str:
    """Where weights are fetched from: the mirror's ``NAME/FILE`` where there is one, else their own address.

    StoreError where nothing may be fetched or nobody says from where.
    """
    mirror = os.environ.get(MIRROR, "").rstrip("/")
    if mirror:
        remember(mirror)
        base = mirror if "://" in mirror else Path(mirror).resolve().as_uri()
        address = f"{base}/{weights.name}/{weights.path.name}"
    else:
        address = weights.address
    if not address:
        raise StoreError(
            f"{weights.name}: its authors give no permanent address; see {weights.homepage}, "
            f"and put the file at {weights.path}"
        )
    if os.environ.get(OFFLINE, "") not in ("", "0") and not address.startswith("file:"):
        raise StoreError(
            f"{weights.name}: {OFFLINE} is set, so {address} is not contacted; put the file at {weights.path}, "
            f"or set {MIRROR} to a folder"
        )
    return address


def fetch(weights: Weights, progress: Progress | None = None) -> Path:
    """Weights' file, downloaded unless it lies there; StoreError if it can't be had or isn't what was published.

    What belongs beside it comes along. ``progress`` hears of bytes done and, where known, of all. What a broken
    download left is gone on with.
    """
    fetched = [_fetched(part, progress) for part in weights.parts]
    return fetched[0]


def _fetched(weights: Weights, progress: Progress | None) -> Path:
    if weights.path.exists():
        weights.check()
        return weights.path
    address = source(weights)
    with _alone(weights.path.with_name(f".{weights.path.name}.part")) as part:
        if weights.path.exists():  # another process was faster
            weights.check()
            return weights.path
        return _into(part, weights, address, progress)


@contextmanager
def _alone(part: Path) -> Iterator[Path]:
    """A file for a download that no other process or thread writes meanwhile: who comes second waits.

    Where the file system has no locks, it is a file of its own, which can't be gone on with later.
    """
    part.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with part.open("ab") as held:
            if not _locked(held, part):
                part.unlink(missing_ok=True)
                with draft(part.parent, part.stem, part.suffix) as own:
                    yield own
                return
            if not _is(held, part):  # it got its name, or was thrown away, while this one waited
                continue
            try:
                yield part
            finally:
                if _is(held, part) and not os.fstat(held.fileno()).st_size:
                    part.unlink(missing_ok=True)
            return


def _locked(held: BinaryIO, part: Path) -> bool:
    """Whether a file could be locked, maybe after a while."""
    try:
        import fcntl

        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("waiting for another process that fetches %s", part.name[1:].removesuffix(".part"))
            fcntl.flock(held, fcntl.LOCK_EX)
    except (ImportError, OSError):
        return False
    return True


def _is(held: BinaryIO, path: Path) -> bool:
    """Whether an open file still has this path."""
    try:
        return os.path.samestat(os.fstat(held.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _into(part: Path, weights: Weights, address: str, progress: Progress | None) -> Path:
    """Fetch weights into a file, check them and give the file its name."""
    for left in reversed(range(TRIES)):
        try:
            _download(address, part, progress)
            break
        except (OSError, HTTPException) as error:  # URLError is an OSError
            if isinstance(error, HTTPError):
                error.close()
            final = isinstance(error, HTTPError) and error.code < 500
            if final or not left:
                raise StoreError(_why(weights, address, part, error)) from None
    found = content_hash(part)
    if weights.sha256 and found != weights.sha256:
        part.unlink()
        _tag(part).unlink(missing_ok=True)
        raise StoreError(
            f"{address}: not the weights {weights.name}: sha256 {found}, expected {weights.sha256}; nothing was kept"
        )
    part.chmod(0o644)
    part.replace(weights.path)
    _tag(part).unlink(missing_ok=True)
    weights.note(found)
    return weights.path


def _why(weights: Weights, address: str, part: Path, error: Exception) -> str:
    done = part.stat().st_size if part.exists() else 0
    reason = error.reason if isinstance(error, URLError) else error
    kept = f" {done} bytes are kept; run it again to continue." if done else ""
    if isinstance(reason, OSError) and reason.strerror:
        reason = reason.strerror
    return (
        f"{weights.name}: can't be fetched from {address} ({reason}).{kept} Otherwise put the file at "
        f"{weights.path}, or set {MIRROR} to a folder or another address that has it"
    )


def _tag(part: Path) -> Path:
    """The file that says which version of the source a part is of."""
    return part.with_name(part.name + ".tag")


def _download(address: str, part: Path, progress: Progress | None) -> None:
    """Bytes of an address into a file, from where it ends; ConnectionError if fewer came than were promised."""
    tag = _tag(part).read_text() if _tag(part).exists() else ""
    done = part.stat().st_size if part.exists() and tag else 0
    asked = _request(address)
    if done:
        asked.add_header("Range", f"bytes={done}-")
        asked.add_header("If-Range", tag)
    try:
        answer = urlopen(asked, timeout=30)
    except HTTPError as error:
        if error.code != 416:  # nothing is left to come, or the source is another one
            raise
        error.close()
        part.unlink()
        answer = urlopen(_request(address), timeout=30)
    with answer:
        if getattr(answer, "status", None) != 206:
            done = 0
        length = answer.headers.get("Content-Length")
        total = None if length is None else done + int(length)
        _tag(part).write_text(answer.headers.get("ETag") or answer.headers.get("Last-Modified") or "")
        _write(answer, part, done, total, progress)


def _request(address: str) -> Request:
    """What a server is asked; a user name and password of the address go to this server alone."""
    scheme, _, rest = address.partition("://")
    user, at, _ = rest.partition("/")[0].rpartition("@")
    asked = Request(f"{scheme}://{rest[len(user) + len(at) :]}", headers={"User-Agent": "wherewhen"})
    if at and scheme.startswith("http"):
        secret = base64.b64encode(unquote(user).encode()).decode()
        asked.add_unredirected_header("Authorization", f"Basic {secret}")
    return asked


def _write(answer: Any, part: Path, done: int, total: int | None, progress: Progress | None) -> None:
    with part.open("r+b" if done else "wb") as file:
        file.seek(done)
        file.truncate()
        while block := answer.read(BLOCK):
            file.write(block)
            done += len(block)
            if progress:
                progress(done, total)
    if total is not None and done < total:
        raise ConnectionError(f"the connection broke after {done} of {total} bytes")

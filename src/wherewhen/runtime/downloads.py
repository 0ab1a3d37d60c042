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

    StoreError where downloads are off or there is no address.
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
    """The file of weights, downloaded unless it exists; StoreError where that fails or it isn't the published one.

    Files that belong to it are downloaded too. ``progress`` gets the bytes done and, where known, the total. An
    interrupted download is continued.
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
    """A file for a download that no other process or thread writes meanwhile: a second one waits.

    Where the file system has no locks, it is a temporary file, which can't be continued later.
    """
    part.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with part.open("ab") as held:
            if not _locked(held, part):
                part.unlink(missing_ok=True)
                with draft(part.parent, part.stem, part.suffix) as private:
                    yield private
                return
            if not _is(held, part):  # it was finished or deleted meanwhile
                continue
            try:
                yield part
            finally:
                if _is(held, part) and not os.fstat(held.fileno()).st_size:
                    part.unlink(missing_ok=True)
            return


def _locked(held: BinaryIO, part: Path) -> bool:
    """Whether a file could be locked, possibly after waiting."""
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
    """Fetch weights into a file, check them and rename the file."""
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
    sha256 = content_hash(part)
    if weights.sha256 and sha256 != weights.sha256:
        part.unlink()
        _tag(part).unlink(missing_ok=True)
        raise StoreError(
            f"{address}: not the weights {weights.name}: sha256 {sha256}, expected {weights.sha256}; nothing was kept"
        )
    part.chmod(0o644)
    part.replace(weights.path)
    _tag(part).unlink(missing_ok=True)
    weights.note(sha256)
    return weights.path


def _why(weights: Weights, address: str, part: Path, error: Exception) -> str:
    done = part.stat().st_size if part.exists() else 0
    reason = error.reason if isinstance(error, URLError) else error
    advice = f" {done} bytes are kept; run it again to continue." if done else ""
    if isinstance(reason, OSError) and reason.strerror:
        reason = reason.strerror
    return (
        f"{weights.name}: can't be fetched from {address} ({reason}).{advice} Otherwise put the file at "
        f"{weights.path}, or set {MIRROR} to a folder or another address that has it"
    )


def _tag(part: Path) -> Path:
    """The file with the version of the source that a part is of."""
    return part.with_name(part.name + ".tag")


def _download(address: str, part: Path, progress: Progress | None) -> None:
    """Bytes of an address into a file, from where it ends; ConnectionError if fewer were received than announced."""
    tag = _tag(part).read_text() if _tag(part).exists() else ""
    done = part.stat().st_size if part.exists() and tag else 0
    request = _request(address)
    if done:
        request.add_header("Range", f"bytes={done}-")
        request.add_header("If-Range", tag)
    try:
        answer = urlopen(request, timeout=30)
    except HTTPError as error:
        if error.code != 416:  # the part is complete, or the source has changed
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
    """The request to a server; user name and password of the address are sent to this server only."""
    scheme, _, rest = address.partition("://")
    user, at, _ = rest.partition("/")[0].rpartition("@")
    request = Request(f"{scheme}://{rest[len(user) + len(at) :]}", headers={"User-Agent": "wherewhen"})
    if at and scheme.startswith("http"):
        secret = base64.b64encode(unquote(user).encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {secret}")
    return request


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

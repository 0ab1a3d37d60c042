"""Fetching published weights: goes on where it broke off, checks what came, and puts it in its place at once."""

from __future__ import annotations

import os
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from wherewhen.errors import StoreError
from wherewhen.store import content_hash
from wherewhen.weights import Weights

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
        base = mirror if "://" in mirror else Path(mirror).resolve().as_uri()
        address = f"{base}/{weights.name}/{weights.path.name}"
    else:
        address = weights.address
    if not address:
        raise StoreError(
            f"{weights.name}: its authors give no lasting address; see {weights.homepage}, "
            f"and put the file at {weights.path}"
        )
    if os.environ.get(OFFLINE, "") not in ("", "0") and not address.startswith("file:"):
        raise StoreError(
            f"{weights.name}: {OFFLINE} is set, so {address} is not asked; put the file at {weights.path}, "
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
    weights.path.parent.mkdir(parents=True, exist_ok=True)
    part = weights.path.with_name(f".{weights.path.name}.part")
    for left in reversed(range(TRIES)):
        try:
            _download(address, part, progress)
            break
        except (OSError, HTTPException) as error:  # URLError is an OSError
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
    kept = f" {done} bytes are kept; run it again to go on." if done else ""
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
    asked = Request(address, headers={"User-Agent": "wherewhen"})
    if done:
        asked.add_header("Range", f"bytes={done}-")
        asked.add_header("If-Range", tag)
    try:
        answer = urlopen(asked, timeout=30)
    except HTTPError as error:
        if error.code != 416:  # nothing is left to come, or the source is another one
            raise
        part.unlink()
        answer = urlopen(Request(address, headers={"User-Agent": "wherewhen"}), timeout=30)
    with answer:
        if getattr(answer, "status", None) != 206:
            done = 0
        length = answer.headers.get("Content-Length")
        total = None if length is None else done + int(length)
        _tag(part).write_text(answer.headers.get("ETag") or answer.headers.get("Last-Modified") or "")
        _write(answer, part, done, total, progress)


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

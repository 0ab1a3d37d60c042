"""What a user may type as a source: never a traceback, and never a secret in what is shown."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from random import Random

import mutate_bytes
import mutate_text
from case import Kind, Refused, Wrong, applied, check_command, check_message, command, inside

SECRET = "S3cr3tPazz"
SCHEMES = ("rtsp", "rtsps", "rtspt", "rtmp", "rtmps", "http", "https", "ftp", "mms", "udp", "tcp", "srt", "rtp", "HTTP")
NAMES = (
    "0", "97", "a.mp4", "2024-01-01T10:00:00.mp4", "-dash.mp4", "*.mp4", "~/x.mp4", "file:a.mp4", "concat:a|b",
    "data:video/mp4;base64,AAAA", "a:b", "[x].mp4", "?", "..", ".", "/dev/null", "pipe:0", "rtsp:/x", "é.mp4",
)  # fmt: skip


def seeds(corpus: Path) -> None:
    for scheme in SCHEMES:
        (corpus / scheme).write_text(f"{scheme}://user:{SECRET}@127.0.0.1:9/cam/1?key={SECRET}&token={SECRET}#x")
    for number, name in enumerate(NAMES):
        (corpus / f"name-{number}").write_text(name)


def mutated(rng: Random, name: str, data: bytes) -> bytes:
    """Another spelling of an address; its host stays, so that nothing is asked outside of this machine."""
    head, host, tail = data.partition(b"@127.0.0.1:9")
    faults = (*mutate_text.TEXT[:5], mutate_bytes.insert, mutate_bytes.remove, slashed, slashed)
    parts = [head, tail]
    side = rng.randrange(2) if host else 0
    changed = applied(rng, faults, parts[side])
    parts[side] = changed if (SECRET.encode() in data and SECRET.encode() in changed) or not host else parts[side]
    return parts[0] + host + parts[1]


def slashed(rng: Random, data: bytes) -> bytes:
    """A sign that parts addresses stands in the password, or before all, or is missing."""
    sign = rng.choice((b"/", b"@", b":", b"?", b"#", b" ", b"%40", b"\\", b"\t", b"[", b"]", b"//"))
    at = rng.choice((0, data.find(SECRET.encode()) + rng.randrange(6), rng.randrange(len(data) + 1)))
    return data[:at] + sign + data[at:] if rng.random() < 0.8 else data.replace(sign, b"")


def judge(file: Path, corpus: Path) -> None:
    from wherewhen.core.errors import WherewhenError
    from wherewhen.video import sources

    text = file.read_bytes().decode("utf-8", "surrogateescape").replace("\0", "")
    secret = SECRET in text and "@127.0.0.1:9" in text and "://" in text
    told = []
    refused = ""
    with inside(file.parent):
        try:
            for one in sources.expand(text):
                told += [sources.shown(one), str(one), repr(one), f"{one}"] if not isinstance(one, str) else [
                    sources.shown(one)
                ]  # fmt: skip
        except WherewhenError as error:
            check_message(str(error))
            refused = str(error)
            told.append(refused)
        if secret and "127.0.0.1:9" in text and not text.startswith("-"):
            code, out, err = command("evaluate", text, "--model", text)
            with suppress(Refused):
                check_command(code, err)
            told += [out, err]
    if secret and (leak := [one for one in told if SECRET in one]):
        raise Wrong("a secret is shown", repr(leak[0]))
    if refused:
        raise Refused(refused)


KIND = Kind(seeds, mutated, judge, good=False)

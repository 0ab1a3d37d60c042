"""Faults of text: settings, tables, JSON and XML with wrong words, numbers, structure and coding."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from copy import deepcopy
from random import Random
from typing import Any

import mutate_bytes
import yaml
from case import Fault, applied

WORDS: tuple[str, ...] = (
    "", " ", "0", "-1", "1e400", "nan", "NaN", "inf", "-Infinity", "1_000", "0x10", "٣", "true", "null", "~", "no",
    "../../etc/passwd", "/etc/passwd", "C:\\x", "a\nb", "\x00", "\x1b[31mred", "é", "\u202e", "😀", "x" * 300,
    "x" * 200_000, "a" * 70 + ":" * 70, "[" * 50, "{}", "${HOME}", "%s%n", "{0.__class__}", "<b>&amp;", "'", '"', ",",
    "1.5", "1.0", "99999999999999999999", "1" * 5000, "-0", "1e-320", "auto", "NORMAL", "None",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 0.5, -0.0, 1e308, 5e-324, float("nan"), float("inf"), 10**30, -(10**400), 2**31,
    2**63, [], [[]], {}, {"": None}, [1, "a", None], [1] * 1000, {"a": {"b": []}},
)  # fmt: skip
COPIED = 10_000  # letters of a value that may come to another place too
PARSED = 20_000  # bytes of a file whose structure is looked at
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass" if any("\ud800" <= c < "\udc80" for c in text) else "surrogateescape")


def number(rng: Random, data: bytes) -> bytes:
    """A number is another one, or none."""
    text = _decoded(data)
    found = list(NUMBER.finditer(text))
    if not found:
        return data
    match = rng.choice(found)
    return _encoded(text[: match.start()] + rng.choice(WORDS) + text[match.end() :])


def word(rng: Random, data: bytes) -> bytes:
    """A word is another one."""
    text = _decoded(data)
    found = list(re.finditer(r"[^\s,;:\"'\[\]{}<>=]+", text))
    if not found:
        return data
    match = rng.choice(found)
    other = rng.choice((rng.choice(WORDS), rng.choice(found)[0], match[0] + "x", match[0].upper(), match[0][:-1]))
    return _encoded(text[: match.start()] + other + text[match.end() :])


def mark(rng: Random, data: bytes) -> bytes:
    """A sign of the syntax is missing, doubled or another one."""
    places = [k for k, byte in enumerate(data) if byte in b",;:\"'[]{}<>=/\n\t -"]
    if not places:
        return data
    at = rng.choice(places)
    return (
        data[:at]
        + rng.choice((b"", data[at : at + 1] * 2, rng.choice((b",", b'"', b"\n", b"{", b"]", b":"))))
        + (data[at + 1 :])
    )


def line(rng: Random, data: bytes) -> bytes:
    """A line is missing, doubled, elsewhere, empty or noise."""
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    match rng.randrange(5):
        case 0:
            del lines[at]
        case 1:
            lines.insert(at, lines[at])
        case 2:
            lines.insert(rng.randrange(len(lines)), lines.pop(at))
        case 3:
            lines[at] = b" " * rng.randrange(4)
        case 4:
            lines[at] = rng.randbytes(20)
    return b"\n".join(lines)


def coding(rng: Random, data: bytes) -> bytes:
    """The text is coded in another way."""
    text = data.decode("utf-8", "replace")
    match rng.randrange(6):
        case 0:
            return b"\xef\xbb\xbf" + data
        case 1:
            return text.encode("utf-16")
        case 2:
            return data.replace(b"\n", b"\r\n")
        case 3:
            return data.replace(b"\n", b"\r")
        case 4:
            return data + "ä".encode("latin-1")
        case _:
            return data.replace(b" ", b"\0", 1)


TEXT: tuple[Fault, ...] = (number, number, word, word, mark, line, coding)


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values in lists and mappings."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(path for key, one in inner for path in _places(one, (*at, key)))]


def tree(rng: Random, value: Any) -> Any:
    """The same value with one fault: something is missing, doubled, of another type or called otherwise."""
    places = _places(value)
    path = rng.choice(places[1:] or places)
    if not path:
        return deepcopy(rng.choice(VALUES))
    holder = value
    for key in path[:-1]:
        holder = holder[key]
    key, old = path[-1], holder[path[-1]]
    match rng.randrange(7):
        case 0:
            del holder[key]
        case 1:
            holder[key] = deepcopy(rng.choice(VALUES))
        case 2:
            holder[key] = rng.choice(WORDS)
        case 3:
            holder[key] = [old] if rng.random() < 0.5 else {"a": old}
        case 4 if isinstance(old, int | float) and not isinstance(old, bool) and abs(old) < 2**63:
            holder[key] = rng.choice((-old, old * 1000, old + 0.5, str(old)))
        case 5 if isinstance(holder, dict):
            holder[rng.choice((f"{key}x", rng.choice(WORDS), str(key)[:-1]))] = holder.pop(key)
        case _:
            other = value
            for step in (source := rng.choice(places)):
                other = other[step]
            holder[key] = deepcopy(other) if source != path and len(repr(other)) < COPIED else [old]
    return value


def _treed(load: Callable[[bytes], Any], dump: Callable[[Any], str]) -> Fault:
    def changed(rng: Random, data: bytes) -> bytes:
        if len(data) > PARSED or b"&a" in data:  # a bomb by now
            return mutate_bytes.flip(rng, data)
        try:
            value = load(data)
        except (ValueError, yaml.YAMLError, RecursionError):
            return mutate_bytes.flip(rng, data)
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            value = tree(rng, value) if isinstance(value, dict | list) else value
        try:
            return dump(value).encode("utf-8", "surrogatepass")
        except (ValueError, yaml.YAMLError):
            return data

    return changed


def deep(opened: bytes, closed: bytes) -> Fault:
    """A fault: values nested in each other, many thousand deep."""

    def nested(rng: Random, data: bytes) -> bytes:
        depth = rng.choice((50, 1100, 100_000))
        found = list(NUMBER.finditer(_decoded(data)))
        at = len(_encoded(_decoded(data)[: rng.choice(found).start()])) if found else len(data)
        return data[:at] + opened * depth + (closed * depth if rng.random() < 0.7 else b"") + data[at:]

    return nested


def bomb(rng: Random, data: bytes) -> bytes:
    """Aliases of YAML that stand for lists of each other: a few lines that become billions."""
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]" for k in range(1, rng.choice((4, 9, 20)))]
    return data + b"\n" + "\n".join(lines).encode() + b"\n" if rng.random() < 0.5 else "\n".join(lines).encode()


def tag(rng: Random, data: bytes) -> bytes:
    """A tag of YAML that would make something run, or a value of a strange type."""
    tags = (
        "!!python/object/apply:os.system ['exit 3']", "!!binary aGk=", "!!set {a, b}", "2020-01-01", "1:30", "<<: 1",
        "!!timestamp x", "!x y", "? [a, b]\n: 1", "&a [*a]", "*nobody", "1: 2", "null: 1", "!!float nan", ".inf",
    )  # fmt: skip
    lines = _decoded(data).split("\n")
    at = rng.randrange(len(lines))
    key, colon, _ = lines[at].partition(":")
    chosen = rng.choice(tags)
    lines[at] = f"{key}{colon} {chosen}" if colon and rng.random() < 0.7 else chosen
    return _encoded("\n".join(lines))


def _cells(rng: Random, data: bytes) -> bytes:
    """A cell of a table is another one, missing, quoted, too long; or the table has another separator."""
    lines = _decoded(data).split("\n")
    at = rng.randrange(len(lines))
    cells = lines[at].split(",")
    k = rng.randrange(len(cells))
    match rng.randrange(6):
        case 0:
            cells[k] = rng.choice(WORDS)
        case 1:
            del cells[k]
        case 2:
            cells.insert(k, rng.choice(WORDS))
        case 3:
            cells[k] = f'"{cells[k]}'
        case 4:
            cells[k] = f" {cells[k].upper()} "
        case 5:
            return _encoded(_decoded(data).replace(",", rng.choice((";", "\t", "|", ", "))))
    lines[at] = ",".join(cells)
    return _encoded("\n".join(lines))


_JSON: Fault = _treed(json.loads, json.dumps)
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_YAML: Fault = _treed(
    lambda data: yaml.load(data, _LOADER),
    lambda value: yaml.safe_dump(value, sort_keys=False),
)

JSON: tuple[Fault, ...] = (*TEXT, *[_JSON] * 8, deep(b"[", b"]"), deep(b'{"a":', b"}"), *mutate_bytes.FAULTS[:6])
YAML: tuple[Fault, ...] = (*TEXT, *[_YAML] * 8, bomb, tag, tag, deep(b"[", b"]"), *mutate_bytes.FAULTS[:6])
TABLE: tuple[Fault, ...] = (*TEXT, *[_cells] * 6, *mutate_bytes.FAULTS[:6])
XML: tuple[Fault, ...] = (*TEXT, *TEXT, deep(b"<a>", b"</a>"), *mutate_bytes.FAULTS)


def mutated(rng: Random, name: str, data: bytes) -> bytes:
    """Faults of the kind of text that a name's suffix tells."""
    suffix = name.rpartition(".")[2]
    return applied(rng, {"json": JSON, "yaml": YAML, "csv": TABLE, "txt": TABLE, "xml": XML}.get(suffix, TEXT), data)

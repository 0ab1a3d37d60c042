"""YAML and JSON of users' files as plain values: read within limits, without running or expanding anything.

A file that is too large, nested too deeply, not UTF-8, that repeats a key or holds a number out of range is refused,
with an error that names the file and the place. No error quotes the text of a file.
"""

from __future__ import annotations

import errno
import json
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from wherewhen.core.errors import ConfigError, DataError, WherewhenError, os_reason

SETTINGS = 2**20  # bytes of a YAML file
ANNOTATIONS = 2**30  # bytes of a JSON file
PART = 2**20  # bytes that are read at once
DEEPEST = 100  # levels of lists and mappings
MOST = 100_000  # values in a YAML file
LARGEST = 2**63  # of whole numbers

Error = type[WherewhenError]

_HUGE = re.compile(r"(?<![\d.])\d{19}|[eE]\+?\d{3}")  # only then is every number checked
_FLOAT = re.compile(
    r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*|[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)"
    r"|\.(?:nan|NaN|NAN)"
)
_INT = re.compile(r"[-+]?[0-9][0-9_]*")
_WORDS = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}
_PLAIN = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "map", "seq")}


class _Refused(ValueError):
    """Why a text is not read; contains no text of the file."""


def read_yaml(path: str | Path, error: Error = ConfigError, description: str = "settings file") -> Any:
    """The plain values in a YAML file; ``error`` names the file and the line where it can't be read."""
    return _read(path, yaml_of, SETTINGS, error, description, "YAML")


def read_json(path: str | Path, error: Error = DataError, description: str = "file", most: int = ANNOTATIONS) -> Any:
    """The plain values in a JSON file of at most ``most`` bytes; ``error`` names the file where it can't be read."""
    return _read(path, json_of, most, error, description, "JSON")


def read_text(path: str | Path, error: Error = DataError, description: str = "file", most: int = ANNOTATIONS) -> str:
    """The UTF-8 text of a file of at most ``most`` bytes; ``error`` where it is anything else."""
    try:
        return _bytes(Path(path), most).decode("utf-8-sig")
    except FileNotFoundError:
        raise error(f"{path}: no such {description}") from None
    except UnicodeDecodeError as wrong:
        raise error(
            f"{path}: expected UTF-8 text, found another encoding at byte {wrong.start}; save it again"
        ) from None
    except OSError as wrong:
        raise error(f"{path}: the {description} can't be read: {os_reason(wrong)}") from None
    except _Refused as wrong:
        raise error(f"{path}: {wrong}") from None


def _read(path: str | Path, parse: Any, most: int, error: Error, description: str, kind: str) -> Any:
    text = read_text(path, error, description, most)
    try:
        return parse(text)
    except ValueError as wrong:
        raise error(f"{path}: not a {kind} file ({wrong})") from None


def _bytes(path: Path, most: int) -> bytes:
    """The bytes of a file; a pipe is read only where the system made it for this process, as in ``-c <(command)``."""
    kind = path.stat().st_mode
    if stat.S_ISDIR(kind):
        raise IsADirectoryError(errno.EISDIR, "is a folder", str(path))
    if not stat.S_ISREG(kind) and path.parent != Path("/dev/fd") and not str(path).startswith(("/dev/std", "/proc/")):
        raise _Refused("expected a file, found a pipe or device")
    with path.open("rb") as file:
        parts, size = [], 0  # one read of ``most`` bytes would take that much memory for the smallest file
        while size <= most and (part := file.read(PART)):
            parts.append(part)
            size += len(part)
    if size > most:
        raise _Refused(f"larger than the {most} bytes that such a file has at most")
    return b"".join(parts)


def json_of(text: str | bytes) -> Any:
    """The plain values in JSON; ValueError names the fault: no JSON, a repeated name, too deep, a number too large.

    >>> json_of('{"a": [1, 2.5]}')
    {'a': [1, 2.5]}
    """
    try:
        decoded = text.decode("utf-8") if isinstance(text, bytes) else text
        numbers: dict[str, Any] = {"parse_int": _whole, "parse_float": _finite} if _HUGE.search(decoded) else {}
        value = json.loads(decoded, object_pairs_hook=_object, parse_constant=_constant, **numbers)
    except json.JSONDecodeError as wrong:
        raise _Refused(f"{wrong.msg}: line {wrong.lineno} column {wrong.colno}") from None
    except UnicodeDecodeError as wrong:
        raise _Refused(f"expected UTF-8, found another encoding at byte {wrong.start}") from None
    except RecursionError:
        raise _Refused(f"nested more than {DEEPEST} levels deep") from None
    _check_depth(value)
    return value


def _check_depth(value: Any) -> None:
    level, depth = [value] if isinstance(value, dict | list) else [], 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise _Refused(f"nested more than {DEEPEST} levels deep")
        parts = (item.values() if isinstance(item, dict) else item for item in level)
        level = [inner for part in parts for inner in part if isinstance(inner, dict | list)]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        names = [name for name, _ in pairs]
        raise _Refused(f"{_short(next(n for n in names if names.count(n) > 1))} is repeated in one object")
    return values


def _constant(name: str) -> Any:
    raise _Refused(f"{name} is no JSON number")


def _whole(digits: str) -> int:
    if len(digits) > 20 or not -LARGEST <= int(digits) < LARGEST:
        raise _Refused(f"a whole number of {len(digits.lstrip('-'))} digits, too large")
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits.replace("_", "").replace(".inf", "inf").replace(".nan", "nan"))
    if not abs(value) < float("inf"):
        raise _Refused("a number that is not finite")
    return value


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # the fast one where available
    """Reads nodes; numbers are those of JSON, so that 1e-3 is one, and dates are text."""


class _Dumper(yaml.SafeDumper):
    """Writes text that the loader would read as a number in quotes."""


def _resolvers(kind: Any) -> None:
    gone = {f"tag:yaml.org,2002:{name}" for name in ("int", "float", "timestamp", "value", "merge")}
    resolvers = {
        letter: [(tag, pattern) for tag, pattern in pairs if tag not in gone]
        for letter, pairs in kind.yaml_implicit_resolvers.items()
    }
    kind.yaml_implicit_resolvers = resolvers
    for name, pattern in (("int", _INT), ("float", _FLOAT)):
        whole = re.compile(f"(?:{pattern.pattern})$")
        kind.add_implicit_resolver(f"tag:yaml.org,2002:{name}", whole, list("-+.0123456789"))


_resolvers(_Loader)
_resolvers(_Dumper)


def yaml_of(text: str) -> Any:
    """The plain values in YAML; names of a mapping stay text. ValueError names the fault and the place.

    Aliases, tags, repeated names, several documents and deep nesting are refused.

    >>> yaml_of("a: [1, 1e-3, no]")
    {'a': [1, 0.001, False]}
    """
    try:
        depth = count = 0
        for event in yaml.parse(text, Loader=_Loader):
            begins = isinstance(event, yaml.CollectionStartEvent)
            depth += begins - isinstance(event, yaml.CollectionEndEvent)
            count += begins or isinstance(event, yaml.ScalarEvent)
            if isinstance(event, yaml.AliasEvent):
                raise _at(event, "an alias (*name); write the value out")
            if depth > DEEPEST or count > MOST:
                raise _at(event, f"more than {DEEPEST} levels" if depth > DEEPEST else f"more than {MOST} values")
        return _value(yaml.compose(text, Loader=_Loader))
    except yaml.MarkedYAMLError as wrong:
        where = wrong.problem_mark or wrong.context_mark
        place = f"line {where.line + 1}, column {where.column + 1}: " if where else ""
        raise _Refused(f"{place}{wrong.problem or wrong.context}") from None
    except yaml.reader.ReaderError as wrong:
        raise _Refused(f"a character that YAML doesn't allow at position {wrong.position}") from None
    except (yaml.YAMLError, RecursionError):
        raise _Refused("its structure can't be understood") from None


def _at(place: Any, message: str) -> _Refused:
    return _Refused(f"line {place.start_mark.line + 1}: {message}")


def _value(node: Any) -> Any:
    if node is None:
        return None
    if node.tag not in _PLAIN:
        raise _at(node, "a tag; only plain values are read")
    if isinstance(node, yaml.SequenceNode):
        return [_value(inner) for inner in node.value]
    if isinstance(node, yaml.MappingNode):
        return _mapping(node)
    kind, text = node.tag.rpartition(":")[2], node.value
    try:
        if kind == "str":
            return text
        if kind == "null":
            return None
        if kind == "bool" and text.lower() in _WORDS:
            return _WORDS[text.lower()]
        return _finite(text) if kind == "float" else _whole(text.replace("_", "").lstrip("+"))
    except ValueError as wrong:
        reason = wrong if isinstance(wrong, _Refused) else f"not a value of the kind {kind}"
        raise _at(node, str(reason)) from None


def _mapping(node: Any) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, inner in node.value:
        if not isinstance(name, yaml.ScalarNode) or name.tag not in _PLAIN:
            raise _at(name, "expected a name before the colon")
        if name.value in values:
            raise _at(name, f"{_short(name.value)} is repeated")
        values[name.value] = _value(inner)
    return values


def yaml_text(values: Mapping[str, Any]) -> str:
    """Plain values as YAML, in their own order, the inverse of `yaml_of`."""
    text: str = yaml.dump(dict(values), Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text

"""Prompt files: texts of normal and anomalous pictures for a text-image encoder.

A file is YAML::

    version: 1
    normal:
      - a picture of a road
    classes:
      fighting:
        - two people hitting each other
        - a person kicking someone on the ground
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wherewhen.core import documents
from wherewhen.core.config import write_yaml
from wherewhen.core.errors import ConfigError, unknown

VERSION = 1
MOST = 5000  # texts
LONGEST = 500  # characters of a text

_SHIPPED = Path(__file__).parent / "prompt_files"


@dataclass(frozen=True)
class Prompts:
    """Texts of what is normal, and of each class of what is not, in the order of the file.

    ConfigError where a side or class has no text, or a text is empty or too long.

    >>> Prompts(("a road",), {"fight": ("two fight", "a brawl")}).owners.tolist()
    [-1, 0, 0]
    """

    normal: tuple[str, ...]
    classes: Mapping[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        for side, entries in (("normal", self.normal), ("classes", self.classes)):
            if not entries:
                raise ConfigError(f"prompts: {side} is empty; expected texts of what is normal and of each class")
        for name, texts in {"normal": self.normal, **self.classes}.items():
            if not name.strip() or not texts:
                raise ConfigError(f"prompts: the class {name!r} has no text; a class has a name and a text at least")
            for text in texts:
                if not text.strip() or len(text) > LONGEST:
                    shown = f"{text[:40]}..." if len(text) > LONGEST else text
                    raise ConfigError(f"prompts: {name}: expected a text of 1 to {LONGEST} characters, got {shown!r}")
        if len(self.texts) > MOST:
            raise ConfigError(f"prompts: {len(self.texts)} texts; {MOST} are the most")

    @property
    def names(self) -> tuple[str, ...]:
        """The classes, in order."""
        return tuple(self.classes)

    @property
    def texts(self) -> tuple[str, ...]:
        """Every text: normal ones first, then those of each class."""
        return (*self.normal, *(text for texts in self.classes.values() for text in texts))

    @property
    def owners(self) -> NDArray[np.int64]:
        """The number of the class that each of `texts` belongs to, -1 for normal ones."""
        counts = [len(self.normal), *(len(texts) for texts in self.classes.values())]
        return np.repeat(np.arange(-1, len(self.classes)), counts)


def shipped() -> tuple[str, ...]:
    """Names of the included prompt files."""
    return tuple(sorted(path.stem for path in _SHIPPED.glob("*.yaml")))


def read(source: str | Path) -> Prompts:
    """The prompts of a file, or of an included one by its name; ConfigError for a file with a fault.

    >>> len(read("default").names)
    13
    """
    path = Path(source)
    if path.suffix not in (".yaml", ".yml") and (not path.exists() or path.is_dir()):
        if str(source) not in shipped():
            raise ConfigError(f"{unknown('prompts', str(source), shipped())}; or give a file NAME.yaml")
        path = _SHIPPED / f"{source}.yaml"
    document = documents.read_yaml(path, description="prompt file")
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: expected version, normal and classes, got no names with values")
    for key in document:
        if key not in ("version", "normal", "classes"):
            raise ConfigError(f"{path}: {unknown('key', str(key), ('version', 'normal', 'classes'))}")
    if document.get("version") != VERSION:
        raise ConfigError(f"{path}: expected version: {VERSION}, got {document.get('version')!r}")
    classes = document.get("classes")
    if not isinstance(classes, dict):
        raise ConfigError(f"{path}: expected classes as 'name: [texts]', got {type(classes).__name__}")
    texts = {str(name): _texts(path, f"classes.{name}", listed) for name, listed in classes.items()}
    try:
        return Prompts(_texts(path, "normal", document.get("normal")), texts)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _texts(path: Path, where: str, listed: Any) -> tuple[str, ...]:
    if not isinstance(listed, list) or not all(isinstance(text, str) for text in listed):
        raise ConfigError(f"{path}: {where}: expected a list of texts ('- two people fighting'), got {listed!r:.60}")
    return tuple(listed)


def write(path: str | Path, prompts: Prompts) -> None:
    """Write a prompt file."""
    classes = {name: list(texts) for name, texts in prompts.classes.items()}
    write_yaml(path, {"version": VERSION, "normal": list(prompts.normal), "classes": classes})

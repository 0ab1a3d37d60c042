"""Folders whose names are labels: the usual names, or those that the user gives."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path, PurePosixPath

from wherewhen.core.errors import ConfigError, DataError
from wherewhen.datasets._table import LABELS, named

NAMES = {word: label for word, label in LABELS.items() if not word.isdigit() and word not in ("true", "false")}
"""Usual names of folders, in any case."""

MOST = 12  # folders that an error lists


@dataclass(frozen=True, slots=True)
class Folders:
    """Which folders below a root hold normal and which anomalous videos, where their names are not the usual ones."""

    normal: tuple[str, ...]
    anomalous: tuple[str, ...]

    def __post_init__(self) -> None:
        names = [PurePosixPath(name) for name in (*self.normal, *self.anomalous)]
        for option, folders in (("normal", self.normal), ("anomalous", self.anomalous)):
            if not folders:
                raise ConfigError(f"--{option}: name a folder; --normal and --anomalous are given together")
        for number, name in enumerate(names):
            if name.is_absolute() or ".." in name.parts or not name.parts:
                raise ConfigError(
                    f"--normal, --anomalous: {named(str(name))} is not the name of a folder inside the data"
                )
            for other in names[number + 1 :]:
                if name == other or name in other.parents or other in name.parents:
                    both = f"{named(str(name))} and {named(str(other))}"
                    raise ConfigError(f"--normal, --anomalous: {both} contain each other; name separate folders")

    @classmethod
    def of(cls, normal: str | None, anomalous: str | None) -> Folders | None:
        """The names between commas of two options; None where neither is given, ConfigError where one is.

        >>> Folders.of("noFight", "fight,fall")
        Folders(normal=('noFight',), anomalous=('fight', 'fall'))
        """
        if normal is None and anomalous is None:
            return None
        parts = [[name.strip().rstrip("/") for name in (option or "").split(",")] for option in (normal, anomalous)]
        return cls(*(tuple(name for name in part if name) for part in parts))

    def chosen(self, root: Path) -> list[tuple[Path, int]]:
        """The folders with their labels; DataError lists the existing ones where one is missing."""
        labels = [(name, label) for label, names in ((0, self.normal), (1, self.anomalous)) for name in names]
        for name, _ in labels:
            if not (root / name).is_dir():
                folders = below(root)
                matches = get_close_matches(name, folders, 1, 0.5)
                hint = f"; did you mean {matches[0]}?" if matches else ""
                raise DataError(f"{root}: no folder {named(str(name))} in it{hint} {listed(folders)}")
        return [(root / name, label) for name, label in labels]


def below(root: Path) -> list[str]:
    """Names of the folders in a folder, in order, hidden ones left out."""
    try:
        return sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise DataError(f"{root}: the folder can't be read: {error.strerror}") from None


def listed(names: list[str]) -> str:
    """The existing folders, in words.

    >>> listed(["fight", "noFight"])
    'Folders in it: fight, noFight.'
    """
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return f"Folders in it: {', '.join(names[:MOST]) or 'none'}{more}."


def usual(root: Path) -> list[tuple[Path, int]]:
    """The folders whose name is a label, with that label."""
    return [(root / name, NAMES[name.lower()]) for name in below(root) if name.lower() in NAMES]

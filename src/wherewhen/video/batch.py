"""Quarantine of unreadable videos: listed with the reason, while the run continues."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path

from wherewhen.core.addresses import masked
from wherewhen.core.documents import json_of
from wherewhen.core.printable import legible, printable
from wherewhen.core.store import locked, write_atomic
from wherewhen.core.values import Video
from wherewhen.video.reader import Damaged, policy
from wherewhen.video.sources import SourceLike, parsed, shown

log = logging.getLogger("wherewhen")


class Quarantine:
    """Unreadable videos, kept in ``quarantine.json`` of a results folder: a list of ``{"path", "reason"}``.

    The file is rewritten atomically with each video; paths in it are relative to the folder. ``damaged``: keep
    uses a partly readable video, set-aside lists it.
    """

    def __init__(self, folder: Path, damaged: Damaged = "keep") -> None:
        policy(damaged)
        self.file, self.damaged = folder / "quarantine.json", damaged
        self.reasons: dict[str, str] = {}
        self._own_names: set[str] | None = None  # of the sources of this run, where entries of other runs are kept

    def __repr__(self) -> str:
        return f"Quarantine({len(self.reasons)} videos, {str(self.file)!r})"

    def add(self, source: SourceLike, reason: str, name: str | None = None) -> None:
        """Add a video and log it, by ``name`` or as it is listed; the only way into the list."""
        listed = self.named(source)
        self.reasons[listed] = legible(masked(reason))
        log.warning("skipped %s: %s", name or listed, self.reasons[listed])
        self.write()

    def passes(self, video: Video, damage: str | None) -> bool:
        """Whether a video is used; a damaged one is logged, or added."""
        if damage is None:
            return True
        if self.damaged == "keep":
            log.warning("%s: not all of it was read: %s", video.id, damage)
            return True
        self.add(video.path, damage, video.id)
        return False

    def keep(self, sources: Iterable[SourceLike]) -> None:
        """Keep the entries of other runs, except for these sources, which are tried again."""
        self._own_names = {self.named(source) for source in sources}

    def write(self) -> None:
        """Write the list, even an empty one, so that no entry of an earlier run remains unless it is kept."""
        with nullcontext() if self._own_names is None else locked(self.file):
            rows = [{"path": path, "reason": reason} for path, reason in self.rows]
            write_atomic(self.file, json.dumps(rows, indent=2, ensure_ascii=False) + "\n")

    @property
    def rows(self) -> list[tuple[str, str]]:
        """Path and reason of each video, also of other runs where these are kept."""
        return list((self._others() | self.reasons).items())

    def _others(self) -> dict[str, str]:
        if self._own_names is None:
            return {}
        try:
            reasons = {str(row["path"]): str(row["reason"]) for row in json_of(self.file.read_bytes())}
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        return {path: reason for path, reason in reasons.items() if path not in self._own_names}

    def named(self, source_like: SourceLike) -> str:
        """The name of a video in the list."""
        source = parsed(source_like)
        if not isinstance(source, Path):
            return shown(source)
        return printable(Path(os.path.relpath(source, self.file.parent)).as_posix())

"""Toy data sets as video files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wherewhen.core.progress import track
from wherewhen.core.values import Pixels
from wherewhen.datasets.toy import Toy, generate, plan


def _write(path: Path, pictures: Iterator[Pixels], rate: float) -> None:
    from wherewhen.video.writer import Writer

    with Writer(path, rate) as writer:
        for picture in pictures:
            writer.write(picture)


def toy(root: Path, *, quiet: bool = False, **settings: Any) -> None:
    """Draw a toy data set into a new folder; ``settings`` are those of `Toy`.

    Raises DataError if the folder exists, ConfigError for a setting out of range.
    """
    chosen = Toy(**settings)
    count = len(plan(chosen))
    bar = track(range(count), "drawing clips", count, quiet=quiet)

    def drawn(done: int, clips: int) -> None:
        next(bar, None)

    generate(root, chosen, _write, progress=drawn)
    next(bar, None)

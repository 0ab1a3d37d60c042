"""Progress with rate and time left for whatever takes longer than a moment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def track(items: Iterable[T], what: str, total: int, *, quiet: bool = False) -> Iterator[T]:
    """Yield the items and draw a bar on standard error: done, rate and time left.

    >>> list(track([1, 2], "counting", 2, quiet=True))
    [1, 2]
    """
    if quiet:
        yield from items
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Task as RichTask
    from rich.text import Text

    class Rate(ProgressColumn):
        """Items a second."""

        def render(self, task: RichTask) -> Text:
            """The rate as text."""
            return Text(f"{task.finished_speed or task.speed or 0:.1f}/s", style="dim")

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        yield from bar.track(items, total=total, description=what)

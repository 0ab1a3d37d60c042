"""The result of detection in a video: events, scores, heat maps, overlay videos, tables, files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from itertools import tee
from pathlib import Path
from typing import Any

import numpy as np

from wherewhen.core import outputs
from wherewhen.core.errors import ConfigError, expected, unknown
from wherewhen.core.printable import cut, legible
from wherewhen.core.values import Event, Features, Floats, Pixels, Prediction, Truth
from wherewhen.video.sources import Source

NAMES = ("video", "frame", "start", "end", "score")
PREFIX = "score_"  # of a class, in the name of its column


@dataclass(frozen=True, repr=False)
class Result:
    """The result for one video. ``clock``: its F + 1 frame edges in seconds; ``size``: width and height.

    ``id``: its name, of `legible` characters.
    ``damage``: reason why less was read than the file declares, or how a live stream ended; None if all was read.
    ``threshold``: the score at which an alarm starts.
    """

    id: str
    path: Source
    prediction: Prediction
    clock: Floats
    size: tuple[int, int]
    damage: str | None = None
    threshold: float = 0.5

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", legible(self.id))

    def __repr__(self) -> str:
        peak = "" if self.prediction.frames is None else f", peak {self.prediction.frames.values.max():.2f}"
        damage = f", damaged: {cut(self.damage, 40)}" if self.damage else ""
        return f"Result({cut(self.id)}, {self.clock[-1]:.2f} s, {len(self.events)} events{peak}{damage})"

    def _repr_html_(self) -> str:
        """A table of the events, for notebooks."""
        head = "".join(f"<th>{name}</th>" for name in self.event_rows())
        rows = zip(*self.event_rows().values(), strict=True)
        lines = "".join(f"<tr>{''.join(f'<td>{_cell(value)}</td>' for value in row)}</tr>" for row in rows)
        return f"<p>{escape(repr(self))}</p><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"

    @property
    def events(self) -> tuple[Event, ...]:
        """The events, in order of time."""
        return self.prediction.events

    @cached_property
    def scores(self) -> Features:
        """One score per frame of the video ``(F,)`` in [0, 1]; an alarm starts at ``threshold``."""
        assert self.prediction.frames is not None
        return self.prediction.frames.on(self.clock)[:, 0, 0]

    @cached_property
    def class_scores(self) -> dict[str, Features]:
        """One score per class and frame ``(F,)``, by name: parts of `scores`. Empty for methods without classes."""
        return {name: part.on(self.clock)[:, 0, 0] for name, part in self.prediction.classes.items()}

    def heatmap(self, time: float) -> Features:
        """The heat map at a moment.

        Args:
            time: seconds from the start of the video.

        Returns:
            Scores by place ``(h, w)`` in [0, 1], row 0 at the top.

        Raises:
            ConfigError: the moment is outside of the video, or the result has no heat map.
        """
        start, end = float(self.clock[0]), float(self.clock[-1])
        if not isinstance(time, int | float | np.number) or not start <= time <= end:
            raise expected("time", f"a moment of the video, {start:.2f} to {end:.2f} s", time)
        if self.prediction.heat is None:
            raise ConfigError(f"{self.id}: results on disk hold no heat maps; model.detect(path) keeps them")
        return self.prediction.heat.at(float(time))

    def event_rows(self) -> dict[str, list[Any]]:
        """The events as columns: video, start and end in seconds, score, category and track (-1 = none)."""
        return {
            "video": [self.id] * len(self.events),
            "start": [event.start for event in self.events],
            "end": [event.end for event in self.events],
            "score": [event.score for event in self.events],
            "category": [event.category for event in self.events],
            "track": [event.track for event in self.events],
        }

    def to_pandas(self, what: str = "scores") -> Any:
        """The result as a pandas table.

        Args:
            what: scores, a row per frame, as in ``scores.csv``; or events, a row per event.

        Returns:
            A ``pandas.DataFrame``.

        Raises:
            ConfigError: another table, or pandas is not installed.
        """
        rows = {"scores": lambda: score_rows([self]), "events": self.event_rows}
        if what not in rows:
            raise ConfigError(unknown("table", str(what), rows))
        try:
            import pandas as pd
        except ImportError:
            raise ConfigError('to_pandas needs pandas: pip install "wherewhen[pandas]"') from None
        return pd.DataFrame(rows[what]())

    def painted(self, truth: Truth | None = None) -> Iterator[tuple[Pixels, float]]:
        """The pictures of the video with boxes, heat and curve, uint8 RGB ``(H', W', 3)``, each with its start in s.

        Pictures wider than 3840 px are shrunk to that.
        """
        from wherewhen.video import reader
        from wherewhen.visualization.render import WIDEST, overlay

        frames, again = tee(reader.frames(self.path, damaged="keep", width=WIDEST))
        pictures = overlay(frames, self.prediction, truth=truth, threshold=self.threshold)
        return ((picture, frame.start) for picture, frame in zip(pictures, again, strict=True))

    @property
    def rate(self) -> float:
        """Pictures per second."""
        return (len(self.clock) - 1) / float(self.clock[-1] - self.clock[0])

    def render(self, path: str | Path, truth: Truth | None = None) -> Path:
        """Write the video with boxes, heat map and score curve.

        Args:
            path: mp4 file to write.
            truth: ground truth to draw as well.

        Returns:
            The path of the file.

        Raises:
            OutputError: a file that the toolkit did not write would be replaced.
        """
        from wherewhen.video.writer import Writer

        with outputs.reading([self.path]), Writer(path, self.rate, painted=True) as writer:
            for picture, start in self.painted(truth):
                writer.write(picture, start)
        return Path(path)

    def timeline(self, path: str | Path, truth: Truth | None = None) -> Path:
        """Write the score curve with events and threshold.

        Args:
            path: PNG file to write.
            truth: ground truth to draw as well.

        Returns:
            The path of the file.

        Raises:
            OutputError: a file that the toolkit did not write would be replaced.
        """
        from wherewhen.visualization.render import timeline

        with outputs.reading([self.path]):
            timeline(self.prediction, Path(path), truth=truth, threshold=self.threshold, title=self.id)
        return Path(path)


def _cell(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else escape("" if value is None else str(value))


def score_rows(results: Sequence[Result], classes: Iterable[str] | None = None) -> dict[str, list[Any]]:
    """A table of frame scores: columns video, frame, start, end, score, and ``score_NAME`` for each class.

    ``classes``: their names; None: those of ``results``. The prefix keeps a class called "video" apart from the other
    columns; a class without scores in a video is empty.
    """
    names = (
        dict.fromkeys(name for result in results for name in result.prediction.classes) if classes is None else classes
    )
    by_class: dict[str, list[Any]] = {name: [] for name in names}
    columns: dict[str, list[Any]] = {name: [] for name in NAMES}
    for result in results:
        count = len(result.scores)
        values = (
            [result.id] * count,
            range(count),
            result.clock[:-1].tolist(),
            result.clock[1:].tolist(),
            result.scores.tolist(),
        )
        for name, more in zip(NAMES, values, strict=True):
            columns[name] += more
        for name, column in by_class.items():
            scores = result.class_scores.get(name)
            column += [None] * count if scores is None else scores.tolist()
    return columns | {PREFIX + name: column for name, column in by_class.items()}

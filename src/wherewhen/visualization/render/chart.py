"""One video's score over time as one PNG."""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wherewhen.core.store import write_atomic
from wherewhen.core.values import Event, HeatMap, Prediction, Truth
from wherewhen.visualization.render.curves import clock, curve, span, ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, QUIET, LINE, ALARM, TRUTH = "#1d232e", "#6a7280", "#2d6a9f", "#d9660f", "#8a93a3"
LONGEST = 96  # letters of a title


def timeline(
    prediction: Prediction, path: str | Path, *, truth: Truth | None = None, threshold: float = 0.5, title: str = ""
) -> Path:
    """Draw the score over seconds, the threshold, the events as bars and the truth as shade: a PNG at ``path``.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     timeline(Prediction(frames=HeatMap([0.1, 0.9], [0, 1, 2])), Path(folder) / "a.png").name
    'a.png'
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    scores = curve(prediction)
    start, end = span(scores, truth, prediction.events)
    figure = Figure(figsize=(10, 3.1 if prediction.events else 2.7), dpi=150, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    _scores(axes, scores, threshold)
    _truth(axes, truth)
    _events(axes, prediction.events, end - start)
    _dress(axes, (start, end), threshold, bool(prediction.events))
    # File names may hold any text: a dollar sign is no formula, and a missing letter is no error.
    axes.set_title(
        _short(" ".join(title.split())), loc="left", fontsize=12, fontweight="bold", color=INK, parse_math=False
    )
    if truth is not None or prediction.events:
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False, fontsize=9, labelcolor=INK)
    target = BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(target, format="png")
    write_atomic(path, target.getvalue(), painted=True)
    return Path(path)


def _short(title: str) -> str:
    """A title that fits above the chart: of a long one, its begin and its end."""
    return title if len(title) <= LONGEST else f"{title[: LONGEST // 2]}…{title[-LONGEST // 3 :]}"


def _scores(axes: Axes, scores: HeatMap | None, threshold: float) -> None:
    if scores is None:
        axes.text(0.5, 0.5, "no score", transform=axes.transAxes, ha="center", va="center", color=QUIET)
        return
    values, edges = scores.values[:, 0, 0], scores.edges
    axes.stairs(np.where(values >= threshold, values, 0), edges, fill=True, color=ALARM, alpha=0.25, lw=0)
    axes.stairs(values, edges, fill=True, color=LINE, alpha=0.10, lw=0)
    axes.stairs(values, edges, baseline=None, color=LINE, lw=1.5)


def _truth(axes: Axes, truth: Truth | None) -> None:
    if truth is None:
        return
    for number, (first, last) in enumerate(truth.spans):
        name = "truth" if number == 0 else None
        axes.axvspan(first, last, color=TRUTH, alpha=0.22, lw=0, zorder=0, label=name)


def _events(axes: Axes, events: tuple[Event, ...], length: float) -> None:
    for number, event in enumerate(events):
        name = "event" if number == 0 else None
        # An event of one frame in an hour must still be visible.
        width = max(event.end - event.start, length * 0.002)
        axes.barh(-0.13, width, 0.1, event.start, align="center", color=ALARM, lw=0, label=name)
        text = f"{event.category or ''} {event.score:.2f}".strip()
        if width > length * 0.012 * len(text):
            words = axes.text(event.start + width / 2, -0.135, text, ha="center", va="center", parse_math=False)
            words.set(color="white", fontsize=8, fontweight="bold")


def _dress(axes: Axes, time: tuple[float, float], threshold: float, lane: bool) -> None:
    axes.axhline(threshold, color=ALARM, lw=1, ls=(0, (4, 3)))
    axes.annotate(
        f"{threshold:.2f}",
        (1, threshold),
        xycoords=("axes fraction", "data"),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        fontsize=9,
        color=ALARM,
    )
    axes.set_xlim(*time)
    axes.set_ylim(-0.22 if lane else 0, 1.03)
    axes.set_yticks([0, 1], ["0", "1"])
    moments = ticks(*time, 12)
    axes.set_xticks(moments, [clock(m, 0 if float(m).is_integer() else 1) for m in moments])
    axes.tick_params(color=QUIET, labelcolor=QUIET, labelsize=9, length=3)
    axes.set_ylabel("score", color=QUIET, fontsize=9)
    axes.set_xlabel("time", color=QUIET, fontsize=9)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(QUIET)

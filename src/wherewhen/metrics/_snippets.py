"""Scores of snippets and segments expanded to frames, by the rules of published scripts.

Scores of the toolkit have times; these functions are for features and scores of other tools.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wherewhen.core.errors import ConfigError, DataError


def repeat_snippets(
    scores: ArrayLike, frames: int, length: int = 16, rest: Literal["pad", "truncate"] = "pad"
) -> NDArray[Any]:
    """Each snippet's score for its ``length`` frames: ``(frames,)``, or fewer with ``rest="truncate"``.

    ``"pad"``: frames after the last snippet take its score (Sultani et al. 2018). ``"truncate"``: they are dropped,
    and so must be their truth (VadCLIP, UR-DMU). Scores past the last frame are cut in both.

    >>> repeat_snippets([0.1, 0.9], 5, 2).tolist(), repeat_snippets([0.1, 0.9], 5, 2, "truncate").tolist()
    ([0.1, 0.1, 0.9, 0.9, 0.9], [0.1, 0.1, 0.9, 0.9])
    """
    values = np.asarray(scores).reshape(-1)
    if rest not in ("pad", "truncate"):
        raise ConfigError(f"rest: expected 'pad' or 'truncate', got {rest!r}")
    if not len(values) or frames < 1 or length < 1:
        raise DataError(f"expected snippets and frames, got {len(values)} snippets of {length} for {frames} frames")
    repeated: NDArray[Any] = values.repeat(length)[:frames]
    if rest == "pad":
        repeated = np.pad(repeated, (0, frames - len(repeated)), mode="edge")
    return repeated


def segment_borders(snippets: int, segments: int = 32) -> NDArray[np.int64]:
    """First snippet of each segment and, last, the number of snippets: ``(segments + 1,)``, rounded down.

    A segment whose border is that of the next one is empty and takes the snippet that starts there.
    The rule of ``linspace(0, n, segments + 1)`` cast to integers: RTFM, UR-DMU, SST-WSVADL.

    >>> segment_borders(5, 4).tolist()
    [0, 1, 2, 3, 5]
    """
    if snippets < 1 or segments < 1:
        raise DataError(f"expected at least one snippet and segment, got {snippets} and {segments}")
    return np.linspace(0, snippets, segments + 1, dtype=np.int64)


def segments_to_snippets(scores: ArrayLike, snippets: int) -> NDArray[Any]:
    """The score of its segment for each of so many snippets: ``(snippets,)``.

    With fewer snippets than segments, several segments show the same snippet, and it takes the last one's score.

    >>> segments_to_snippets([0.1, 0.9], 3).tolist()
    [0.1, 0.9, 0.9]
    """
    values = np.asarray(scores).reshape(-1)
    borders = segment_borders(snippets, len(values))
    spread: NDArray[Any] = values[np.searchsorted(borders[:-1], np.arange(snippets), "right") - 1]
    return spread


def sst_frames(index: int, snippets: int, segment: int, length: int = 16, steps: int = 200) -> tuple[int, int]:
    """First frame and past-the-last frame that SST-WSVADL reads for the ``index``-th of ``steps`` snippets.

    ``snippets``: how many the video has; ``segment``: frames to read. Kept as published: the stretch begins one
    snippet early, and may end past the video. Source: SST-WSVADL, Abdulaziz et al. 2026.

    >>> sst_frames(2, 30, 16), sst_frames(199, 5, 32)
    ((16, 32), (128, 160))
    """
    start = index * length * max(1, snippets // steps)
    start = start - length if start > length else 0
    if snippets < steps and index > snippets:
        start = snippets * segment - segment
    return start, start + segment

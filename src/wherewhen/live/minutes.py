"""The minutes of a camera in the database: the highest lasting scores, from which its threshold is calibrated."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wherewhen.budget.blocks import BLOCK, DURATIONS, NONE, Blocks
from wherewhen.core.values import Floats
from wherewhen.live.database import Database
from wherewhen.live.picture_state import Light
from wherewhen.review.judged import CONFIRMED

Statement = tuple[str, Sequence[Any]]


@dataclass(frozen=True)
class Minutes:
    """The minutes of a camera with one model, whose checksum is ``sha``."""

    database: Database
    camera: str
    sha: str

    def row(self, start: float, seconds: float, peaks: Floats, light: Light) -> Statement:
        """The change that stores a minute in state ok, observed for so many seconds, with its peaks ``(D,)``.

        A part of a minute that an earlier run or stream has stored is the same minute.
        """
        query = "SELECT seconds, peaks_json FROM block WHERE camera = ? AND t = ? AND model_sha = ?"
        for stored, text in self.database.rows(query, self.camera, start, self.sha):
            seconds, peaks = min(BLOCK, seconds + stored), np.maximum(peaks, _peaks(text))
        text = json.dumps([peak if peak > NONE else None for peak in peaks.tolist()])
        columns = "camera, t, seconds, peaks_json, state, light, model_sha"
        values = (self.camera, start, seconds, text, light, self.sha)
        return f"INSERT OR REPLACE INTO block({columns}) VALUES (?, ?, ?, ?, 'ok', ?, ?)", values

    def of(self, light: Light, first: float, last: float) -> tuple[Blocks, Floats]:
        """Minutes from ``first`` to ``last`` without those of confirmed events, and the peaks ``(E, D)`` of these."""
        rows = self.database.rows(
            "SELECT t, seconds, peaks_json FROM block WHERE camera = ? AND model_sha = ? AND light = ? AND t >= ? "
            "AND t <= ? ORDER BY t", self.camera, self.sha, light, first, last,
        )  # fmt: skip
        starts, seconds = (np.array([row[column] for row in rows], float) for column in (0, 1))
        peaks = np.array([_peaks(row[2]) for row in rows]).reshape(-1, len(DURATIONS))
        spans = self.database.rows(
            "SELECT judged.t0, MAX(judged.t1, COALESCE(item.t1, judged.t1)) FROM verdict AS judged "
            "LEFT JOIN item ON item.id = judged.item WHERE judged.camera = ? "
            f"AND judged.verdict IN {CONFIRMED} AND judged.id IN "
            "(SELECT MAX(id) FROM verdict WHERE undone_at IS NULL GROUP BY item)", self.camera,
        )  # fmt: skip
        within = [(starts <= t1) & (starts + BLOCK > t0) for t0, t1 in spans]
        quiet = ~np.logical_or.reduce([np.zeros(len(starts), bool), *within])
        confirmed = [peaks[mask].max(0) for mask in within if mask.any()]
        events = np.array(confirmed).reshape(-1, len(DURATIONS))
        return Blocks(starts[quiet], seconds[quiet], peaks[quiet]), events

    def newest(self) -> float | None:
        """The start of the newest one; None without any."""
        query = "SELECT MAX(t) FROM block WHERE camera = ? AND model_sha = ?"
        ((last,),) = self.database.rows(query, self.camera, self.sha)
        return None if last is None else float(last)

    def after(self, last: float) -> int:
        """How many start later."""
        query = "SELECT COUNT(*) FROM block WHERE camera = ? AND model_sha = ? AND t > ?"
        ((count,),) = self.database.rows(query, self.camera, self.sha, last)
        return int(count)


def _peaks(text: str) -> Floats:
    return np.array([NONE if peak is None else peak for peak in json.loads(text)])

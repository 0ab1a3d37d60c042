"""The time that a process computes: neither that of other programs nor that of other threads."""

from __future__ import annotations

import pytest

from wherewhen.training import clock
from wherewhen.training.clock import Clock


@pytest.mark.parametrize(
    ("wall", "processor", "seconds"),
    [(100.0, 20.0, 20.0), (20.0, 35.0, 20.0)],  # other programs take the cores; two threads share the work
)
def test_the_shorter_time_counts(
    wall: float, processor: float, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    short, long = Clock(limit=seconds - 1), Clock(limit=seconds + 1)
    monkeypatch.setattr(clock, "monotonic", lambda: short.wall + wall)
    monkeypatch.setattr(clock, "process_time", lambda: short.processor + processor)
    assert short.seconds == pytest.approx(seconds) and short.is_over and not long.is_over

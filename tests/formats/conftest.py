from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import strategies as st

from wherewhen.core import extents as ext
from wherewhen.core.values import Event, Scores
from wherewhen.formats import Annotated, Clock

UNIT = st.floats(0, 1, allow_nan=False)


@st.composite
def clocks(draw: st.DrawFn) -> Clock:
    """Steady and unsteady clocks, of which some start late."""
    frames = draw(st.integers(1, 12))
    if draw(st.booleans()):
        rate = draw(st.sampled_from([25.0, 30000 / 1001, 7.0]))
        return Clock.steady(frames, rate, draw(st.integers(1, 400)), draw(st.integers(1, 300)), "folder/a.avi")
    steps = draw(st.lists(st.floats(0.01, 0.5), min_size=frames, max_size=frames))
    edges = np.cumsum([draw(st.floats(0, 2)), *steps])
    return Clock(edges, draw(st.integers(1, 400)), draw(st.integers(1, 300)))


@st.composite
def annotated(draw: st.DrawFn, video: str = "a", low: int = -1) -> Annotated:
    """A video with boxes on whole pixels and frames, one per track and frame, and events on whole frames."""
    clock = draw(clocks())
    frame = st.integers(0, clock.frames - 1)
    cells = draw(st.lists(st.tuples(frame, st.integers(low, 3)), max_size=12))
    seen, keys = set(), []
    for key in cells:
        if key[1] < 0 or key not in seen:
            keys.append(key)
        seen.add(key)
    boxes = []
    for _ in keys:
        x = sorted(draw(st.tuples(st.integers(0, clock.width), st.integers(0, clock.width))))
        y = sorted(draw(st.tuples(st.integers(0, clock.height), st.integers(0, clock.height))))
        boxes.append([x[0], y[0], x[1], y[1]])
    times = [[clock.edges[f], clock.edges[f + 1]] for f, _ in keys]
    extents = ext.from_pixels(np.array(boxes).reshape(-1, 4), np.array(times), clock.width, clock.height)
    values = [draw(UNIT) for _ in keys]
    events = []
    for _ in range(draw(st.integers(0, 3))):
        first, last = sorted(draw(st.tuples(frame, frame)))
        row = [clock.edges[first], clock.edges[last + 1], 0.25, 0.25, 0.5, 0.75]
        events.append(Event(np.array([row]), draw(UNIT), draw(st.sampled_from([None, "fall", "feuer & 火"]))))
    names = {t: draw(st.sampled_from(["fall", "running <b>", "é"])) for t in {t for _, t in keys if t >= 0} if t != 2}
    return Annotated(video, clock, Scores(extents, values, [t for _, t in keys]), tuple(events), names)


@pytest.fixture(scope="session")
def videos() -> Callable[..., st.SearchStrategy[Annotated]]:
    return annotated

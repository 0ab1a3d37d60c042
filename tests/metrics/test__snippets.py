import json
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherewhen.core.errors import ConfigError, DataError
from wherewhen.metrics import repeat_snippets, segment_borders, segments_to_snippets, sst_frames

SHARED = Path(os.environ.get("WHEREWHEN_SHARED", Path(__file__).parents[2] / "../shared"))
GOLDEN = SHARED / "golden" / "sst_snippet_to_frames" / "spec.json"


@pytest.mark.skipif(not GOLDEN.exists(), reason=f"no golden fixture at {GOLDEN}")
def test_golden_sst():
    cases = json.loads(GOLDEN.read_text())["cases"]
    assert len(cases) == 122
    for index, snippets, segment, start, end in cases:
        assert sst_frames(index, snippets, segment) == (start, end)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 9), st.integers(1, 200), st.integers(1, 16))
def test_each_frame_has_the_score_of_its_snippet(snippets, frames, length):
    scores = np.arange(snippets)
    padded = repeat_snippets(scores, frames, length)
    assert padded.tolist() == [min(frame // length, snippets - 1) for frame in range(frames)]
    assert repeat_snippets(scores, frames, length, "truncate").tolist() == padded[: snippets * length].tolist()


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 300), st.integers(1, 64))
def test_segments_are_spread_over_their_snippets(snippets, segments):
    borders = segment_borders(snippets, segments)
    assert borders.tolist() == [int(x) for x in np.linspace(0, snippets, segments + 1)]
    spread = segments_to_snippets(np.arange(segments), snippets)
    assert len(spread) == snippets
    for segment, (first, last) in enumerate(pairwise(borders)):
        assert (spread[first:last] == segment).all()


def test_errors_say_what_is_missing():
    with pytest.raises(ConfigError, match="truncate"):
        repeat_snippets([1.0], 3, rest="wrap")
    with pytest.raises(DataError, match="0 snippets"):
        repeat_snippets([], 3)
    with pytest.raises(DataError, match="at least one snippet"):
        segment_borders(0, 32)

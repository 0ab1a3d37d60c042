from pathlib import Path

import pytest

from wherewhen.core.diagnostics import listening
from wherewhen.core.errors import DataError
from wherewhen.core.values import Video
from wherewhen.datasets._folds import apart


def test_a_video_on_both_sides_is_an_error_and_stays_in_the_test():
    a, b = (Video(key, Path(key), 1) for key in "ab")
    assert apart((a,), (b,)) == ((a,), (b,))
    with pytest.raises(DataError, match="a: listed for training and for testing"):
        apart((a, b), (a,))
    with listening() as found:
        assert apart((a, b), (a,)) == ((b,), (a,))
    assert [f.video for f in found] == ["a"]

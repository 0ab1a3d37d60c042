from pathlib import Path

import pytest

from wherewhen.datasets._folds import apart
from wherewhen.errors import DataError
from wherewhen.findings import listening
from wherewhen.values import Video


def test_a_video_on_both_sides_is_an_error_and_stays_in_the_test():
    a, b = (Video(key, Path(key), 1) for key in "ab")
    assert apart((a,), (b,)) == ((a,), (b,))
    with pytest.raises(DataError, match="a: listed for training and for testing"):
        apart((a, b), (a,))
    with listening() as found:
        assert apart((a, b), (a,)) == ((b,), (a,))
    assert [f.video for f in found] == ["a"]

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pytest

from wherewhen.core import extents as ext
from wherewhen.core.errors import ConfigError
from wherewhen.core.linking import LinkConfig, link
from wherewhen.core.values import Boxes

RATE = 10
Way = Callable[[float], tuple[float, float, float, float]]


def filmed(ways: list[Way], count: int, sure: Callable[[int, int], float] = lambda n, k: 0.9) -> list[Boxes]:
    """Boxes of movers in ``count`` frames; ``sure(mover, frame)`` of 0 means out of sight."""
    frames = []
    for k in range(count):
        start, end = k / RATE, (k + 1) / RATE
        seen = [(way(start), sure(n, k)) for n, way in enumerate(ways) if sure(n, k) > 0]
        rows = [[start, end, *place] for place, _ in seen]
        frames.append(Boxes(start, end, np.array(rows).reshape(-1, 6), np.array([value for _, value in seen])))
    return frames


def walks(x: float, speed: float, y: float = 0.4, size: float = 0.1) -> Way:
    return lambda t: (x + speed * t, y, x + speed * t + size, y + 2 * size)


def identity_f1(truth: list[Boxes], found: Iterable[Boxes]) -> float:
    """IDF1 (Ristani et al. 2016) by trying every way to pair two or three tracks with the truth's, in frame order."""
    from itertools import permutations

    hits: dict[tuple[int, int], int] = {}
    real = guessed = 0
    for true, boxes in zip(truth, found, strict=True):
        real, guessed = real + len(true.values), guessed + len(boxes.values)
        for n, row in zip(true.track, true.extents, strict=True):
            for m, box in zip(boxes.track, boxes.extents, strict=True):
                if ext.iou(row, box) >= 0.5:
                    hits[int(n), int(m)] = hits.get((int(n), int(m)), 0) + 1
    own = sorted({n for n, _ in hits})
    others = sorted({m for _, m in hits}) + [-1] * len(own)
    best = max(
        sum(hits.get(pair, 0) for pair in zip(own, chosen, strict=True)) for chosen in permutations(others, len(own))
    )
    return 2 * best / (real + guessed)


def test_who_crosses_keeps_the_number() -> None:
    frames = filmed([walks(0.1, 0.2), walks(0.8, -0.2, y=0.45)], 40)
    truth = [Boxes(b.start, b.end, b.extents, b.values, track=np.arange(2)) for b in frames]
    assert identity_f1(truth, link(frames)) == 1.0


def test_a_gap_is_filled_in_a_straight_line() -> None:
    way = walks(0.1, 0.3)
    found = list(link(filmed([way], 25, lambda n, k: 0.0 if 8 <= k < 15 else 0.9)))
    assert [boxes.track.tolist() for boxes in found] == [[0]] * 25
    for boxes in found:
        np.testing.assert_allclose(boxes.extents[0], [boxes.start, boxes.end, *way(boxes.start)], atol=1e-9)


def test_frames_with_detections_stay_known_though_rows_are_filled_in_and_left_out() -> None:
    """Mover 0 is lost in frames 4 and 5; mover 1 is seen in frame 8 alone, which is no track."""
    frames = filmed(
        [walks(0.1, 0.5), walks(0.7, 0.0)], 9, lambda n, k: 0.9 * (k not in (4, 5, 8) if n == 0 else k == 8)
    )
    linked = list(link(frames, LinkConfig(gap=0.5)))
    assert [len(boxes.values) for boxes in linked] == [1] * 8 + [0]
    assert [boxes.detected for boxes in linked] == [k not in (4, 5) for k in range(9)]


def test_a_longer_gap_ends_a_track() -> None:
    found = list(link(filmed([walks(0.1, 0.0)], 40, lambda n, k: 0.0 if 8 <= k < 25 else 0.9)))
    assert [boxes.track.tolist() for boxes in found] == [[0]] * 8 + [[]] * 17 + [[1]] * 15


def test_unsure_boxes_only_continue_tracks() -> None:
    found = list(link(filmed([walks(0.1, 0.1), walks(0.6, 0.0, y=0.1)], 20, lambda n, k: 0.2 if n or k >= 5 else 0.9)))
    assert [boxes.track.tolist() for boxes in found] == [[0]] * 20
    assert found[10].values.tolist() == [0.2]
    below = list(link(filmed([walks(0.1, 0.0)], 20, lambda n, k: 0.05 if k >= 5 else 0.9)))
    assert [len(boxes.values) for boxes in below] == [1] * 5 + [0] * 15


def test_who_is_seen_less_often_than_confirmed_is_left_out() -> None:
    found = list(link(filmed([walks(0.1, 0.0)], 20, lambda n, k: 0.9 if k in (4, 5) else 0.0)))
    assert sum(len(boxes.values) for boxes in found) == 0
    assert sum(len(b.values) for b in link(filmed([walks(0.1, 0.0)], 20, lambda n, k: 0.9 if 4 <= k < 7 else 0.0))) == 3


def test_small_fast_things_are_followed_though_their_boxes_never_touch() -> None:
    frames = filmed([walks(0.05, 0.5, size=0.035)], 15)
    overlap = ext.iou(frames[0].extents, frames[1].extents)
    assert float(overlap[0]) == 0.0
    assert {t for boxes in link(frames, LinkConfig(overlap=0.01)) for t in boxes.track.tolist()} == {0}
    assert not [t for boxes in link(frames, LinkConfig(widen=0.0)) for t in boxes.track.tolist()]


def crowd(count: int, movers: int = 40) -> list[Boxes]:
    rng = np.random.default_rng(0)
    ways = [walks(x, v / 20, y, 0.05) for x, v, y in zip(*rng.uniform(0.1, 0.5, (3, movers)), strict=True)]
    seen = rng.random((movers, count)) < 0.8
    return filmed(ways, count, lambda n, k: float(seen[n, k]) * 0.9)


def test_live_is_offline() -> None:
    """What is told before the stream ends never changes, and comes within the declared time."""
    frames, config = crowd(60), LinkConfig()
    whole = list(link(frames))
    newest = -1

    def live() -> Iterator[Boxes]:
        nonlocal newest
        for newest, boxes in enumerate(frames):  # noqa: B007
            yield boxes

    for number, boxes in enumerate(link(live())):
        assert newest - number <= max(config.gap * RATE, config.confirm) + 1
        np.testing.assert_array_equal(boxes.extents, whole[number].extents)
        np.testing.assert_array_equal(boxes.track, whole[number].track)
    for stop in (20, 41):
        short = list(link(frames[:stop]))
        assert len(short) == stop
        for one, other in zip(short[: stop - 11], whole, strict=False):
            np.testing.assert_array_equal(one.track, other.track)
            np.testing.assert_array_equal(one.extents, other.extents)


def test_a_crowd_is_bounded() -> None:
    found = list(link(crowd(30), LinkConfig(most=10)))
    assert max(len(boxes.values) for boxes in found) <= 10
    assert all(len(set(boxes.track.tolist())) == len(boxes.track) for boxes in link(crowd(30)))


def test_a_track_is_called_what_it_was_called_most_often() -> None:
    frames = [
        Boxes(k, k + 1, [[k, k + 1, 0.1, 0.1, 0.3, 0.3]], [0.9], ("car" if k == 1 else "person",)) for k in range(5)
    ]
    assert [boxes.names for boxes in link(frames)] == [("person",)] * 5


def test_empty_frames_and_notes_go_through() -> None:
    frames = [Boxes(k, k + 1, note="the camera moves" if k == 2 else "") for k in range(4)]
    assert [boxes.note for boxes in link(frames)] == ["", "", "the camera moves", ""]
    assert list(link([])) == []


@pytest.mark.parametrize("wrong", [{"low": 0.7}, {"overlap": 0}, {"gap": -1}, {"confirm": 0}])
def test_settings_are_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="tracks:"):
        LinkConfig(**wrong)  # type: ignore[arg-type]

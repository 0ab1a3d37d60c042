from __future__ import annotations

from math import ceil

import numpy as np
import pytest

from wherewhen.core import tubes
from wherewhen.core.errors import ConfigError
from wherewhen.core.tubes import TubeConfig
from wherewhen.core.values import Boxes, Scores


def film(places: dict[int, dict[int, tuple[float, float, float, float]]], count: int) -> list[Boxes]:
    """``count`` frames of a tenth of a second; ``places``: box of each track by frame."""
    frames = []
    for k in range(count):
        seen = [(track, boxes[k]) for track, boxes in sorted(places.items()) if k in boxes]
        rows = np.array([[k / 10, (k + 1) / 10, *box] for _, box in seen]).reshape(-1, 6)
        tracks = np.array([track for track, _ in seen], np.int64)
        frames.append(Boxes(k / 10, (k + 1) / 10, rows, np.full(len(seen), 0.5), track=tracks))
    return frames


def at(x: float, frames: range) -> dict[int, tuple[float, float, float, float]]:
    return dict.fromkeys(frames, (x, 0.2, x + 0.2, 0.6))


def test_each_mover_is_a_tube() -> None:
    found = tubes.of(film({3: at(0.0, range(20)), 8: at(0.5, range(5, 15))}, 20))
    assert found.kinds == ("unary", "unary") and found.members == ((3,), (8,))
    assert np.bincount(found.rows.track).tolist() == [20, 10]
    assert found.rows.extents[found.rows.track == 1, 0].tolist() == [k / 10 for k in range(5, 15)]


def plain_unions(places: dict[int, dict[int, tuple[float, ...]]], count: int, least: int) -> set[tuple[object, ...]]:
    """Unions by hand: frame after frame, mover after mover."""

    def touch(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
        return min(a[2], b[2]) > max(a[0], b[0]) and min(a[3], b[3]) > max(a[1], b[1])

    def touched(a: int, b: int, k: int) -> bool:
        def both(f: int) -> bool:
            return f in places[a] and f in places[b] and touch(places[a][f], places[b][f])

        first = last = k
        while both(first - 1):
            first -= 1
        while both(last + 1):
            last += 1
        return both(k) and last - first + 1 >= least

    found = set()
    for own in places:
        for other in places:
            if own < other and any(touched(own, other, k) for k in range(count)):
                run = []
                for k in range(count):
                    boxes = [places[m][k] for m in (own, other) if k in places[m]]
                    if boxes:
                        run.append((k, *(round(f(b[c] for b in boxes), 6) for c, f in enumerate((min, min, max, max)))))
                found.add(((own, other), tuple(run)))
    return found


@pytest.mark.parametrize("seed", range(8))
def test_unions_are_those_of_the_plain_rule(seed: int) -> None:
    rng = np.random.default_rng(seed)
    places = {}
    for track in range(6):
        x, y, v = rng.uniform(0.05, 0.6), rng.uniform(0.1, 0.4), rng.uniform(-0.015, 0.015)
        here = range(*sorted(rng.choice(40, 2, replace=False).tolist()))
        places[track] = {
            k: (
                x + v * k if 0 <= x + v * k <= 0.8 else x,
                y,
                (x + v * k if 0 <= x + v * k <= 0.8 else x) + 0.15,
                y + 0.3,
            )
            for k in here
        }
    frames = film(places, 40)
    rows = Scores.chained(frames)
    found = tubes.multivariate(rows, np.array([b.start for b in frames]), 5)
    told = {
        (members, tuple((round(e[0] * 10), *(round(v, 6) for v in e[2:])) for e in tube.extents.tolist()))
        for members, tube in found
    }
    assert told == plain_unions(places, 40, 5)
    assert len(told) == len(found)


def plain_groups(rows: Scores, frames: int, least: int, contact: float) -> set[tuple[object, ...]]:
    """Groups by hand: a contact spreads to others of the same mover at the same time, until nothing is added."""
    boxes = {(int(t), round(e[0] * 10)): e for e, t in zip(rows.extents, rows.track, strict=True)}

    def iou(a: np.ndarray, b: np.ndarray) -> float:
        shared = max(0, min(a[4], b[4]) - max(a[2], b[2])) * max(0, min(a[5], b[5]) - max(a[3], b[3]))
        sizes = [(e[4] - e[2]) * (e[5] - e[3]) for e in (a, b)]
        return float(shared / (sum(sizes) - shared))

    movers = sorted({track for track, _ in boxes})
    contacts = []
    for a, b in ((a, b) for a in movers for b in movers if a < b):
        run: list[int] = []
        for k in range(frames + 1):
            if (a, k) in boxes and (b, k) in boxes and iou(boxes[a, k], boxes[b, k]) > contact:
                run.append(k)
                continue
            contacts += [({a, b}, set(run))] if len(run) >= least else []
            run = []
    found = set()
    while contacts:
        group = [contacts.pop()]
        while more := [c for c in contacts if any(c[0] & g[0] and c[1] & g[1] for g in group)]:
            group += more
            contacts = [c for c in contacts if c not in more]
        hulls = []
        for k in sorted(set().union(*(run for _, run in group))):
            inside = [boxes[m, k] for pair, run in group if k in run for m in pair]
            hulls.append(
                (k, *(round(float(f(e[c] for e in inside)), 6) for c, f in zip((2, 3, 4, 5), HULL, strict=True)))
            )
        found.add((tuple(sorted(set().union(*(pair for pair, _ in group)))), tuple(hulls)))
    return found


HULL = (min, min, max, max)


@pytest.mark.parametrize("contact", [0.0, 0.2])
@pytest.mark.parametrize("seed", range(6))
def test_groups_are_those_of_the_plain_rule(seed: int, contact: float) -> None:
    rng = np.random.default_rng(seed)
    places = {}
    for track in range(12):
        x, y, v = rng.uniform(0.05, 0.6), rng.uniform(0.1, 0.3), rng.uniform(-0.02, 0.02)
        first, last = sorted(rng.choice(40, 2, replace=False).tolist())
        lefts = {k: float(np.clip(x + v * k, 0, 0.8)) for k in range(first, last)}
        places[track] = {k: (left, y, left + 0.15, y + 0.3) for k, left in lefts.items()}
    frames = film(places, 40)
    rows = Scores.chained(frames)
    found = tubes.multivariate(rows, np.array([b.start for b in frames]), 4, contact, "groups")
    told = {
        (members, tuple((round(e[0] * 10), *(round(v, 6) for v in e[2:])) for e in tube.extents.tolist()))
        for members, tube in found
    }
    assert told == plain_groups(rows, 40, 4, contact) and len(told) == len(found)
    assert any(len(members) > 2 for members, _ in found) or contact


def test_a_group_has_all_who_touch_while_they_touch() -> None:
    """A touches B from the start, B touches C later, D touches nobody: one union of three, while any two touch."""
    places = {0: at(0.0, range(20)), 1: at(0.15, range(30)), 2: at(0.3, range(10, 25)), 3: at(0.7, range(30))}
    found = tubes.of(film(places, 30), TubeConfig(unions="groups"))
    assert found.members == ((0,), (1,), (2,), (3,), (0, 1, 2))
    union = found.rows.extents[found.rows.track == 4]
    assert union[:, 0].tolist() == [k / 10 for k in range(25)], "B alone, from 2.5 s on, is no union"
    np.testing.assert_allclose(union[:, 2], [0.0] * 20 + [0.15] * 5)
    np.testing.assert_allclose(union[:, 4], [0.35] * 10 + [0.5] * 15)


def test_a_crowd_does_not_chain() -> None:
    """A touches B and B touches C, but no union holds three."""
    found = tubes.of(film({0: at(0.0, range(20)), 1: at(0.15, range(20)), 2: at(0.3, range(20))}, 20))
    unions = {m for m, kind in zip(found.members, found.kinds, strict=True) if kind == "multivariate"}
    assert unions == {(0, 1), (1, 2)}


def test_a_union_goes_on_where_one_is_lost() -> None:
    """A rider's bicycle is seen in the middle only: their union lasts as long as the rider."""
    found = tubes.of(film({0: at(0.0, range(20)), 1: at(0.15, range(5, 15))}, 20))
    assert found.members[2] == (0, 1)
    union = found.rows.extents[found.rows.track == 2]
    assert union[:, 0].tolist() == [k / 10 for k in range(20)]
    np.testing.assert_allclose(union[:, 4], [0.2] * 5 + [0.35] * 10 + [0.2] * 5)


def test_unions_of_a_heap_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody touches everybody: those that do so longest are kept, and never more than so many."""
    monkeypatch.setattr(tubes, "MOST_UNIONS", 3)
    frames = film({k: at(0.01 * k, range(20 - k)) for k in range(6)}, 20)
    found = tubes.of(frames)
    assert [m for m in found.members if len(m) == 2] == [(0, 1), (0, 2), (1, 2)]


def test_who_touches_too_shortly_is_no_union() -> None:
    places = {0: at(0.0, range(20)), 1: {**at(0.5, range(20)), **at(0.1, range(4, 11))}}
    assert tubes.of(film(places, 20)).kinds == ("unary", "unary")
    assert tubes.of(film(places, 20), TubeConfig(touching=7)).kinds == ("unary", "unary", "multivariate")
    assert tubes.of(film(places, 20), TubeConfig(touching=7, multivariate=False)).kinds == ("unary", "unary")


def test_lengths_are_limited() -> None:
    frames = film({0: at(0.0, range(30)), 1: at(0.5, range(3))}, 30)
    assert tubes.of(frames).members == ((0,),)
    cut = tubes.of(frames, TubeConfig(longest=1.0))
    assert cut.members == ((0,),) * 3 and np.bincount(cut.rows.track).tolist() == [10] * 3


def test_the_whole_picture_stands_in_where_nothing_moves() -> None:
    empty = film({}, 5)
    found = tubes.of(empty)
    assert found.kinds == ("frame",) and found.rows.extents[:, 2:].tolist() == [[0, 0, 1, 1]] * 5
    assert len(tubes.of(empty, TubeConfig(frame="never"))) == 0
    assert tubes.of(film({0: at(0.0, range(9))}, 9), TubeConfig(frame="always")).kinds == ("unary", "frame")
    with pytest.raises(ValueError, match="no frames"):
        tubes.of([])


@pytest.mark.parametrize(("count", "seconds"), [(30, 1.0), (31, 1.0), (5, 9.0), (64, 2.56), (7, 0.01)])
def test_division_is_even_and_leaves_nothing_out(count: int, seconds: float) -> None:
    whole = Scores.chained(film({0: at(0.1, range(count))}, count))
    parts = tubes.divided(whole, seconds)
    assert len(parts) == min(count, ceil(round(count / 10 / seconds, 9)))
    np.testing.assert_array_equal(np.concatenate([p.extents for p in parts]), whole.extents)
    sizes = [len(p.values) for p in parts]
    assert max(sizes) - min(sizes) <= 1


def test_sub_tubes_remember_what_they_are() -> None:
    found = tubes.of(film({0: at(0.0, range(20)), 1: at(0.15, range(20))}, 20))
    parts = tubes.sub_tubes(found, 1.0)
    assert parts.kinds == ("unary",) * 4 + ("multivariate",) * 2
    assert parts.members == ((0,), (0,), (1,), (1,), (0, 1), (0, 1))
    assert np.bincount(parts.rows.track).tolist() == [10] * 6


def test_windows_of_a_camera_are_made_when_they_end() -> None:
    frames = film({0: at(0.0, range(50)), 1: at(0.5, range(20))}, 50)
    pulled = 0

    def camera() -> object:
        nonlocal pulled
        for boxes in frames:
            pulled += 1
            yield boxes

    seen = [(pulled, found.members) for found in tubes.built(camera(), TubeConfig(window=2.0))]  # type: ignore[arg-type]
    assert seen == [(21, ((0,), (1,))), (41, ((0,),)), (50, ((0,),))]
    (whole,) = tubes.built(frames)
    assert whole.members == ((0,), (1,))


def test_forty_movers_in_one_place_are_bounded() -> None:
    found = tubes.of(film({k: at(0.01 * k, range(12)) for k in range(40)}, 12))
    assert len(found) == 40 + tubes.MOST_UNIONS


def test_rows_without_a_track_are_no_tube() -> None:
    rows = Scores([[0, 1, 0, 0, 1, 1]] * 2, [1, 1], [-1, 5])
    assert list(tubes.by_track(rows)) == [5]


@pytest.mark.parametrize("wrong", [{"shortest": -1}, {"touching": 0}, {"contact": 1.0}, {"longest": 0}, {"window": 0}])
def test_settings_are_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="tubes:"):
        TubeConfig(**wrong)  # type: ignore[arg-type]

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from wherewhen.core.values import Event, Frame, HeatMap, Pixels, Prediction, Scores, Truth
from wherewhen.visualization.render import overlay, paint
from wherewhen.visualization.render.film import MOST_BOXES

RATE = 10


def frames(count: int = 10, size: tuple[int, int] = (640, 360), gray: int = 90) -> Iterator[Frame]:
    for index in range(count):
        image = np.full((size[1], size[0], 3), gray, np.uint8)
        image.flags.writeable = False
        yield Frame(image, index, index / RATE, (index + 1) / RATE)


def scores(*values: float) -> HeatMap:
    return HeatMap(values, np.arange(len(values) + 1) / RATE)


def body(picture: Pixels, height: int = 360) -> Pixels:
    """The part between header and strip."""
    head = 2 * round(16 * 1.1)
    return picture[head : head + height]


def row(time: float, *place: float) -> list[float]:
    return [time / RATE, (time + 1) / RATE, *place]


def has(picture: Pixels, color: tuple[int, int, int]) -> bool:
    return bool((picture == np.array(color, np.uint8)).all(-1).any())


@pytest.mark.parametrize("size", [(64, 48), (1, 1), (641, 361), (640, 360), (1920, 1080), (90, 400), (3840, 2160)])
def test_every_size_gives_even_pictures_of_one_size(size: tuple[int, int]) -> None:
    heat = HeatMap(np.random.default_rng(0).random((3, 3, 4)), np.arange(4) / RATE)
    boxes = Scores([row(t, 0.1, 0.1, 0.6, 0.7) for t in range(3)], [0.9, 0.8, 0.7], [3, 3, 3])
    truth = Truth(np.arange(4) / RATE, [[0.1, 0.2]], [row(1, 0, 0, 1, 1)])
    prediction = Prediction(scores(0.1, 0.9, 0.6), heat, boxes, (Event([row(1, 0, 0, 1, 1)], 0.9, "fighting"),))
    shapes = {picture.shape for picture in overlay(frames(2, size), prediction, truth=truth)}
    assert len(shapes) == 1
    height, width, _ = shapes.pop()
    assert height % 2 == width % 2 == 0
    assert width >= min(640, size[0])
    if size[0] >= size[1]:
        assert width >= 640


def test_without_scores_the_picture_stays_as_it_is() -> None:
    for picture in overlay(frames(2), Prediction()):
        assert picture.dtype == np.uint8
        assert (body(picture) == 90).all()


def test_one_frame_is_taken_for_one_picture_given() -> None:
    taken = []

    def source() -> Iterator[Frame]:
        for frame in frames(5):
            taken.append(frame.index)
            yield frame

    pictures = overlay(source(), Prediction(frames=scores(0.1)))
    assert taken == []
    for number, _ in enumerate(pictures):
        assert taken == list(range(number + 1))
    assert len(taken) == 5


def test_no_frames_no_pictures() -> None:
    assert list(overlay([], Prediction())) == []


def test_a_frame_of_another_size_fits_the_first_one() -> None:
    mixed = [*frames(1, (640, 360)), *frames(1, (320, 240)), *frames(1, (1280, 720))]
    assert len({picture.shape for picture in overlay(mixed, Prediction())}) == 1


def test_a_box_shows_at_its_time_and_place_from_the_threshold_on() -> None:
    boxes = Scores([row(1, 0.25, 0.25, 0.5, 0.75), row(1, 0.6, 0.25, 0.9, 0.75)], [0.8, 0.4])
    before, during, after = (body(p) for p in overlay(frames(3), Prediction(boxes=boxes)))
    assert not has(before, paint.BOX) and not has(after, paint.BOX)
    found = (during == paint.BOX).all(-1)
    assert found[180, 158:163].any() and found[180, 318:323].any()
    assert found[88:93, 240].any() and found[267:272, 240].any()
    assert not found[:, 330:].any()
    assert (during[100:260, 175:305] == 90).all()
    [_, lower, _] = (body(p) for p in overlay(frames(3), Prediction(boxes=boxes), threshold=0.3))
    assert (lower == paint.BOX).all(-1)[:, 330:].any()


def test_a_box_that_repeats_a_better_one_is_left_out() -> None:
    boxes = Scores([row(0, 0.2, 0.2, 0.5, 0.8), row(0, 0.2, 0.2, 0.52, 0.8)], [0.9, 0.7])
    once = next(overlay(frames(), Prediction(scores(0.5), boxes=Scores(boxes.extents[:1], [0.9]))))
    assert (body(next(overlay(frames(), Prediction(scores(0.5), boxes=boxes)))) == body(once)).all()
    two_tracks = Scores(boxes.extents, boxes.values, [0, 1])
    both = body(next(overlay(frames(), Prediction(scores(0.5), boxes=two_tracks))))
    assert has(both, paint.TRACKS[0]) and has(both, paint.TRACKS[1])


def test_an_event_hides_the_box_under_it() -> None:
    boxes = Scores([row(0, 0.2, 0.2, 0.5, 0.8)], [0.9], [1])
    event = Event([row(0, 0.21, 0.2, 0.5, 0.8)], 0.95)
    picture = body(next(overlay(frames(), Prediction(scores(0.5), boxes=boxes, events=(event,)))))
    assert has(picture, paint.BOX) and not has(picture, paint.TRACKS[1])


def test_a_crowd_of_boxes_is_bounded() -> None:
    spots = np.linspace(0, 0.95, 12)
    rows = [row(0, x, y, x + 0.04, y + 0.04) for x in spots for y in spots]
    picture = body(next(overlay(frames(), Prediction(boxes=Scores(rows, np.linspace(0.6, 0.9, len(rows)))))))
    assert 0 < (picture != 90).any(-1).mean() < 0.2
    assert len(rows) > MOST_BOXES


@pytest.mark.parametrize(
    ("track", "trail", "seen"), [(2, 2.0, True), (-1, 2.0, False), (2, 0.0, False), (2, 0.15, False)]
)
def test_a_track_leaves_a_trail(track: int, trail: float, seen: bool) -> None:
    rows = [row(t, 0.05 + 0.08 * t, 0.4, 0.15 + 0.08 * t, 0.6) for t in range(10)]
    boxes = Scores(rows, np.full(10, 0.9), np.full(10, track))
    *_, last = overlay(frames(), Prediction(boxes=boxes), trail=trail)
    way = body(last)[170:190, 80:400]
    assert (way != 90).any() == seen


def test_the_path_of_a_mover_leaves_a_trail_in_its_color() -> None:
    rows = np.array([row(t, 0.05 + 0.08 * t, 0.4, 0.15 + 0.08 * t, 0.6) for t in range(10)])
    seen = {}
    for track in (-1, 2):
        *_, last = overlay(frames(), Prediction(events=(Event(rows, 0.9, track=track),)))
        seen[track] = body(last)
    assert (seen[-1][170:190, 80:400] == 90).all() and (seen[2][170:190, 80:400] != 90).any()
    assert has(seen[2], paint.TRACKS[2]) and not has(seen[-1], paint.TRACKS[2])


def test_truth_is_dashed_white_and_only_there_if_given() -> None:
    truth = Truth(np.arange(3) / RATE, [[0.1, 0.2]], [row(1, 0.25, 0.25, 0.5, 0.75)])
    blind = [body(p) for p in overlay(frames(2), Prediction(frames=scores(0.1, 0.1)))]
    first, second = (body(p) for p in overlay(frames(2), Prediction(frames=scores(0.1, 0.1)), truth=truth))
    assert not has(blind[1], paint.WHITE) and not has(first, paint.WHITE)
    edge = second[90, 165:315, 0]
    assert 0.3 < (edge == 255).mean() < 0.7


def test_heat_reddens_its_place_only() -> None:
    values = np.zeros((1, 4, 4))
    values[0, 1, 2] = 0.9
    picture = body(next(overlay(frames(), Prediction(heat=HeatMap(values, [0, 1])))))
    assert picture[135, 400, 0] > picture[135, 400, 2] + 40
    assert (picture[:, :160] == 90).all() and (picture[270:] == 90).all()


def test_a_map_of_one_cell_has_no_place_to_show() -> None:
    assert (body(next(overlay(frames(), Prediction(heat=scores(0.9))))) == 90).all()


def test_the_curve_is_bright_as_far_as_it_is_played() -> None:
    values = scores(*[0.9] * 10)
    strips = [picture[-85:-35].astype(int).sum(-1) for picture in overlay(frames(), Prediction(frames=values))]
    left, right = slice(60, 100), slice(500, 600)
    assert (strips[1][:, right] == strips[5][:, right]).all()
    assert strips[5][:, left].sum() > 1.1 * strips[0][:, left].sum()
    assert strips[9][:, right].sum() > 1.1 * strips[5][:, right].sum()


def test_the_playhead_moves_with_time() -> None:
    places = []
    for picture in overlay(frames(), Prediction(frames=scores(*[0.2] * 10))):
        line = picture[-60].astype(int).min(-1)
        places.append(int(line.argmax()))
    assert places == sorted(places) and len(set(places)) == 10
    assert np.ptp(np.diff(places)) <= 1


def test_the_header_turns_hot_at_the_threshold() -> None:
    cold, hot = (picture[:36] for picture in overlay(frames(2), Prediction(frames=scores(0.49, 0.5))))
    assert has(cold, paint.COOL) and not has(cold, paint.HOT)
    assert has(hot, paint.HOT) and not has(hot, paint.COOL)


def test_true_spans_are_shaded_under_the_curve() -> None:
    truth = Truth(np.arange(11) / RATE, [[0.5, 1.0]])
    plain, told = (
        next(overlay(frames(), Prediction(frames=scores(*[0.1] * 10)), truth=t))[-90:] for t in (None, truth)
    )
    changed = (plain != told).any((0, 2))
    assert changed[340:600].all() and not changed[60:320].any()


def test_scores_outside_their_range_are_still_drawn() -> None:
    heat = HeatMap(np.array([[[-1.0, 2.0]]]), [0, 1])
    picture = next(overlay(frames(), Prediction(scores(7.0), heat)))
    assert picture.shape[1] == 640


def test_importing_loads_nothing_heavy() -> None:
    heavy = {"cv2", "matplotlib", "PIL", "jinja2", "torch"}
    code = "import sys, wherewhen.visualization.render, wherewhen.visualization.report;"
    code += f"print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""Which videos can be judged, by what, and what is said about the rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherewhen.core import registry
from wherewhen.core.errors import ConfigError, DataError
from wherewhen.core.values import Bag, Instances, Truth, Video
from wherewhen.evaluation.measurable import FAMILIES, by_fold, demanded, evaluation_set, measurable, named

EDGES = np.arange(5.0)
NORMAL, SPAN = Truth(EDGES), Truth(EDGES, [[1, 2]])
BOXED = Truth(EDGES, [[1, 2]], [[1, 2, 0, 0, 0.5, 1]])


def video(name: str, label: int | None) -> Video:
    return Video(name, Path(f"{name}.mp4"), label)


def test_what_the_truth_lacks_is_skipped_with_one_reason_for_all_of_it() -> None:
    found = measurable(None, [SPAN, NORMAL])
    assert found.families == ("frame", "video")
    assert found.notes == ["pixel, tiou, pointing: skipped, the truth has times but no boxes or masks"]
    assert measurable(None, [BOXED, NORMAL]).families == FAMILIES and not measurable(None, [BOXED, NORMAL]).notes


def test_normal_videos_alone_count_false_alarms() -> None:
    found = measurable(None, [NORMAL])
    assert found.families == ("delay",)
    assert found.notes == [f"{', '.join(FAMILIES)}: skipped, no video is anomalous"]
    assert measurable(("frame",), [NORMAL]).families == ()


def test_what_was_asked_for_by_name_is_an_error() -> None:
    with pytest.raises(DataError, match=r"D: can't be measured by pixel: the truth has times but no boxes or masks\."):
        demanded(("frame", "pixel"), [SPAN, NORMAL], "D")
    assert demanded(("frame",), [SPAN, NORMAL], "D").families == ("frame",)
    assert demanded(None, [SPAN, NORMAL], "D").skipped


def test_names_of_families_are_checked_before_anything_is_done() -> None:
    assert named("frame, tiou ,frame") == ("frame", "tiou")
    with pytest.raises(ConfigError, match="unknown metric 'frames'; did you mean 'frame'"):
        named("frames")
    with pytest.raises(ConfigError, match="expected names between commas"):
        named(" ,")


def test_videos_without_truth_are_left_out_and_named() -> None:
    videos = [video("a", 1), video("n", 0), *(video(f"x{k}", 1) for k in range(7))]
    found = evaluation_set(videos, {"a": SPAN, "n": NORMAL}, "D")
    assert [v.id for v in found.videos] == ["a", "n"] and not found.labels
    assert found.notes == ("left out, no truth is known: 7 videos, x0, x1, x2, x3, x4 and 2 more",)


def test_labels_alone_say_whether_and_not_when() -> None:
    found = evaluation_set([video("a", 1), video("n", 0), video("u", None)], {}, "D")
    assert found.labels and found.notes == ("left out, no label is known: u",)
    assert measurable(None, found.truths.values()).families == ("video",)
    rows = np.array([[k, k + 2, 0, 0, 1, 1] for k in range(3)], float)
    bags = [Bag(one, {"cells": Instances(np.zeros((3, 1), np.float32), rows)}) for one in found.videos]
    truths = found.truths_of(bags, "cells")
    assert truths["a"].edges.tolist() == [0, 1, 2, 3, 4] and truths["a"].spans.tolist() == [[0, 4]]
    assert (truths["a"].timed, truths["n"].timed, truths["n"].label) == (False, True, 0)
    with pytest.raises(DataError, match="D: no truth and no label is known of any of its 1 videos"):
        evaluation_set([video("u", None)], {}, "D")


def test_clips_that_are_anomalous_throughout_are_called_so() -> None:
    (note,) = evaluation_set([video("a", 1)], {"a": Truth(EDGES, [[0, 4]])}, "D").notes
    assert "use vauc and vap instead" in note
    assert not evaluation_set([video("a", 1)], {"a": SPAN}, "D").notes


def test_folds_are_judged_by_what_each_allows() -> None:
    parts = [
        evaluation_set([video("a", 1), video("n", 0)], {"a": truth, "n": NORMAL}, "D") for truth in (BOXED, SPAN, SPAN)
    ]
    families, notes = by_fold(None, parts, "D")
    assert families == [FAMILIES, FAMILIES[:2], FAMILIES[:2]]
    assert notes[0] == "pixel: skipped in 2 of 3 folds, the truth has times but no boxes or masks"
    assert by_fold(("tiou",), parts, "D")[0] == [("tiou",), (), ()]
    with pytest.raises(DataError, match="can't be measured by tiou"):
        by_fold(("frame", "tiou"), parts[1:], "D")


@given(st.lists(st.sampled_from([NORMAL, SPAN, BOXED]), min_size=1, max_size=4))
def test_every_usual_family_is_measured_or_explained(truths: list[Truth]) -> None:
    found = measurable(None, truths)
    assert set(FAMILIES) == {*found.families, *found.skipped} - {"delay"}
    assert not set(found.families) & set(found.skipped) and found.families
    assert set(found.families) <= set(registry.names("metrics"))

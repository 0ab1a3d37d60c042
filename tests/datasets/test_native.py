import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherewhen.core import extents as ext
from wherewhen.core.errors import DataError
from wherewhen.core.values import Dataset, Fold, Truth, Video
from wherewhen.datasets.native import PLUGIN, load, pack, truth, write

SHARED = Path(os.environ.get("WHEREWHEN_SHARED", Path(__file__).parents[2] / "../shared"))
needs_shared = pytest.mark.skipif(
    not (SHARED / "data/ped2/gt.json").exists(), reason=f"needs real clips in {SHARED}/data (WHEREWHEN_SHARED)"
)


def clips() -> dict[str, Any]:
    base = {"frames": 20, "fps": 10, "width": 40, "height": 20}
    return {
        "bad": {
            "file": "bad.mp4",
            **base,
            "label": 1,
            "class": "fall",
            "segments_0based_halfopen": [[4, 8], [12, 16]],
            "boxes": {"4": [[0, 0, 10, 5], [30, 10, 40, 20]], "12": [[4, 4, 8, 8]]},
            "tracks": {"4": [7, 8]},
        },
        "good": {"file": "good.mp4", **base, "label": 0},
    }


def make(root: Path, gt: object, splits: object = None, masks: bool = True) -> Path:
    (root / "videos").mkdir(parents=True)
    for name in ("bad", "good"):
        (root / f"videos/{name}.mp4").touch()
    (root / "gt.json").write_text(json.dumps(gt))
    if splits is not None:
        (root / "splits.json").write_text(json.dumps(splits))
    if masks:
        (root / "masks").mkdir()
        pixels = np.zeros((20, 20, 40), bool)
        pixels[4, :5, :10] = pixels[4, 10:, 30:] = pixels[12, 4:8, 4:8] = True
        pack(root / "masks/bad.npz", pixels)
    return root


BAGS = {
    "bags": [
        {"id": "bad", "clip": "bad", "start": 0, "end": 20, "label": 1},
        {"id": "bad_1", "clip": "bad", "start": 6, "end": 14, "label": 1},
        {"id": "bad_2", "clip": "bad", "start": 8, "end": 12, "label": 0},
        {"id": "good_0", "clip": "good", "start": 0, "end": 10, "label": 0},
    ],
    "folds_2": [
        {"test_abnormal": ["bad"], "test_normal": ["good_0"], "train": ["bad_1", "bad_2"]},
        {"test_abnormal": ["bad_1"], "test_normal": ["bad_2"], "train": ["bad", "good_0"]},
    ],
}


def test_clips_labels_and_folds(tmp_path: Path) -> None:
    root = make(tmp_path / "mine", clips(), {"splits": [{"seed": 3, "train": ["bad"], "test": ["good"]}]})
    data = load(root)
    assert PLUGIN.matches(root)
    assert data.name == "mine"
    assert [(v.id, v.label, v.category, v.span) for v in data.videos] == [
        ("bad", 1, "fall", None),
        ("good", 0, None, None),
    ]
    assert [(f.name, [v.id for v in f.train], [v.id for v in f.test]) for f in data.folds] == [
        ("seed3", ["bad"], ["good"])
    ]


def test_a_clip_has_a_camera_and_so_have_its_bags(tmp_path: Path) -> None:
    gt = clips()
    gt["good"]["camera"] = "gate"
    videos = load(make(tmp_path / "mine", gt, BAGS)).videos
    assert {video.id: video.camera for video in videos if video.camera} == {"good_0": "gate"}
    gt["good"]["camera"] = 7
    with pytest.raises(DataError, match=r"gt\.json: good: 'camera' must be a name, got 7"):
        load(make(tmp_path / "wrong", gt))


def test_what_is_written_has_the_same_cameras(tmp_path: Path) -> None:
    gt = clips()
    gt["good"]["camera"] = "gate"
    root = make(tmp_path / "mine", gt)
    write(tmp_path / "copy", load(root), truth(root), dict.fromkeys(gt, (40, 20)))
    assert load(tmp_path / "copy").videos[1].camera == "gate"


def test_videos_that_validate_are_part_of_the_training(tmp_path: Path) -> None:
    split = {"train": ["bad_1", "good_0"], "val": ["bad_2", "bad"], "test": []}
    root = make(tmp_path / "mine", clips(), {**BAGS, "splits": [split]})
    fold = load(root).folds[-1]
    assert [v.id for v in fold.train] == ["bad_1", "good_0", "bad_2", "bad"] and fold.validation == ("bad_2", "bad")
    split["val"] = ["bad"]
    with pytest.raises(DataError, match=r"splits\.json: splits\[0\]: 'val' has videos of one label only"):
        load(make(tmp_path / "again", clips(), {**BAGS, "splits": [split]}))


def test_truth_of_clips(tmp_path: Path) -> None:
    found = truth(make(tmp_path / "mine", clips()))
    bad, good = found["bad"], found["good"]
    np.testing.assert_allclose(bad.edges, np.arange(21) / 10)
    np.testing.assert_allclose(bad.spans, [[0.4, 0.8], [1.2, 1.6]])
    np.testing.assert_allclose(
        bad.boxes,
        [[0.4, 0.5, 0, 0, 0.25, 0.25], [0.4, 0.5, 0.75, 0.5, 1, 1], [1.2, 1.3, 0.1, 0.2, 0.2, 0.4]],
    )
    assert bad.track.tolist() == [7, 8, -1]
    assert bad.categories == ("fall", "fall")
    assert bad.boxed is None
    assert bad.frames.nonzero()[0].tolist() == [4, 5, 6, 7, 12, 13, 14, 15]
    assert bad.masks is not None and good.masks is not None
    assert bad.masks().sum((1, 2)).nonzero()[0].tolist() == [4, 12]
    assert good.label == 0 and good.masks().shape == (20, 20, 40) and not good.masks().any()


def test_bags_keep_the_times_of_their_file(tmp_path: Path) -> None:
    root = make(tmp_path / "mine", clips(), BAGS)
    data, found = load(root), truth(root)
    assert {v.id: v.span for v in data.videos} == {
        "bad": None, "bad_1": (0.6, 1.4), "bad_2": (0.8, 1.2), "good_0": (0.0, 1.0),
    }  # fmt: skip
    assert {v.path.name for v in data.videos} == {"bad.mp4", "good.mp4"}
    assert [f.name for f in data.folds] == ["fold0", "fold1"]
    assert [v.id for v in data.folds[0].test] == ["bad", "good_0"]
    assert set(found) == {"bad", "good", "bad_1", "bad_2", "good_0"}
    part = found["bad_1"]
    np.testing.assert_allclose(part.edges, np.arange(6, 15) / 10)
    np.testing.assert_allclose(part.spans, [[0.6, 0.8], [1.2, 1.4]])
    np.testing.assert_allclose(part.boxes[:, :2], [[1.2, 1.3]])
    assert part.masks is not None
    assert part.masks().shape == (8, 20, 40) and part.masks().sum((1, 2)).nonzero()[0].tolist() == [6]
    assert found["bad_2"].label == 0 and found["bad_2"].categories == ()


def test_masks_are_read_late(tmp_path: Path) -> None:
    root = make(tmp_path / "mine", clips())
    pack(root / "masks/bad.npz", np.zeros((20, 20, 48), bool))
    found = truth(root)["bad"]
    assert found.masks is not None
    with pytest.raises(DataError, match=r"'shape' \(20, 20, 40\), found shape \(20, 20, 48\)"):
        found.masks()


def test_an_archive_of_masks_that_unpacks_to_much_more_is_refused(tmp_path: Path) -> None:
    root = make(tmp_path / "mine", clips())
    with ZipFile(root / "masks/bad.npz", "w", ZIP_DEFLATED) as archive:
        archive.writestr("mask.npy", bytes(50_000_000))
    found = truth(root)["bad"]
    assert found.masks is not None
    with pytest.raises(DataError, match=r"bad.npz: mask.npy unpacks to 50,000,000 bytes, expected 2,000 at most"):
        found.masks()


def test_without_masks_and_boxes_nothing_is_known_of_places(tmp_path: Path) -> None:
    gt = clips()
    del gt["bad"]["boxes"], gt["bad"]["tracks"]
    found = truth(make(tmp_path / "mine", gt, masks=False))
    assert found["bad"].masks is None and found["good"].masks is None
    assert found["bad"].boxed is not None and not found["bad"].boxed.any()
    assert found["good"].boxed is None


def change(gt: dict[str, Any], clip: str, **values: object) -> dict[str, Any]:
    gt[clip].update(values)
    return gt


Edit = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda g: g["bad"].pop("fps"), "bad: missing fps"),
        (lambda g: g["bad"].pop("label"), "bad: missing label"),
        (lambda g: change(g, "bad", label=2), "'label' is 0 .normal. or 1"),
        (lambda g: change(g, "bad", frames=0), "'frames' must be a whole number of at least 1, got 0"),
        (lambda g: change(g, "bad", fps=0), "'fps' must be a positive number"),
        (lambda g: change(g, "bad", file="../x.mp4"), "'file' must be a path inside videos/"),
        (lambda g: change(g, "bad", file="x.mp4"), r"video of 'bad' not found: expected .*x\.mp4"),
        (lambda g: g.clear(), "no clips"),
        (lambda g: g.update({"../out": g.pop("bad")}), "lead out of the folder"),
        (lambda g: g.update(good=[1]), "good: expected an object"),
        (lambda g: change(g, "bad", **{"class": 3}), "'class' must be a name"),
    ],
)
def test_mistakes_that_labels_notice(tmp_path: Path, edit: Edit, says: str) -> None:
    gt = clips()
    edit(gt)
    with pytest.raises(DataError, match=says):
        load(make(tmp_path / "mine", gt))


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda g: g["bad"].pop("segments_0based_halfopen"), "label 1 but no 'segments_0based_halfopen'"),
        (lambda g: change(g, "bad", segments_0based_halfopen=[]), "label 1 but 0 segments"),
        (lambda g: change(g, "good", segments_0based_halfopen=[[0, 2]]), "label 0 but 1 segments"),
        (lambda g: change(g, "bad", segments_0based_halfopen=[[4, 21]]), r"\[4, 21\] is not within frames 0 to 20"),
        (lambda g: change(g, "bad", segments_0based_halfopen=[[8, 4]]), "is not within"),
        (lambda g: change(g, "bad", segments_0based_halfopen=[[4.0, 8.0]]), "must be a list of"),
        (lambda g: g["bad"]["boxes"].update({"20": [[0, 0, 1, 1]]}), "box in frame '20', but the frames are 0 to 19"),
        (lambda g: g["bad"]["boxes"].update({"-1": [[0, 0, 1, 1]]}), "box in frame '-1'"),
        (lambda g: g["bad"]["boxes"].update({"5": [[0, 0, 41, 1]]}), r"frame 5: box \[0, 0, 41, 1\] .* 40x20"),
        (lambda g: g["bad"]["boxes"].update({"5": [[5, 0, 5, 1]]}), "frame 5: box"),
        (lambda g: g["bad"]["boxes"].update({"5": [[0, 0, 1]]}), "frame 5: box"),
        (lambda g: g["bad"]["boxes"].update({"5": 3}), "frame 5: expected a list of boxes"),
        (lambda g: change(g, "bad", tracks={"4": [1]}), "frame 4: 2 boxes but tracks"),
        (lambda g: change(g, "bad", tracks={"9": [1]}), "'tracks' in frames without boxes: 9"),
        (lambda g: change(g, "good", boxes={"1": [[0, 0, 1, 1]]}), "label 0 but it has boxes"),
        (lambda g: change(g, "bad", categories=["fall"]), "'categories' must name each of the 2"),
    ],
)
def test_mistakes_that_only_the_truth_notices(tmp_path: Path, edit: Edit, says: str) -> None:
    gt = clips()
    edit(gt)
    root = make(tmp_path / "mine", gt)
    assert len(load(root).videos) == 2
    with pytest.raises(DataError, match=says):
        truth(root)


@pytest.mark.parametrize(
    ("splits", "says"),
    [
        ({"splits": [{"train": [{}], "test": []}]}, r"splits\[0\]: train: unknown id"),
        ({"splits": [{"train": ["bda"], "test": []}]}, r"splits\[0\]: train: unknown id 'bda'; did you mean 'bad'"),
        ({"splits": [{"train": ["bad"], "test": ["bad"]}]}, "bad in train and test"),
        ({"splits": [{"train": ["bad"]}]}, "missing test_abnormal, test_normal"),
        ({"splits": {"train": []}}, "'splits' must be a list"),
        ({"folds_1": [{"train": [], "test_abnormal": ["good"], "test_normal": []}]}, "good is in 'test_abnormal' but"),
        ({"bags": [{"id": "x", "clip": "god", "start": 0, "end": 2, "label": 0}]}, "unknown clip 'god'"),
        ({"bags": [{"id": "x", "clip": "good", "start": 5, "end": 21, "label": 0}]}, "frames 5 to 21 are not within"),
        ({"bags": [{"id": "x", "clip": "good", "start": 0, "end": 2, "label": 1}]}, "anomalous, but its clip"),
        ({"bags": [{"id": "bad", "clip": "bad", "start": 0, "end": 2, "label": 0}]}, "must be that whole clip"),
        ({"bags": [{"id": "x", "clip": "bad", "start": 0, "end": 2, "label": 0}] * 2}, "two bags are called 'x'"),
        ({"bags": [{"clip": "bad"}]}, "every bag needs an 'id'"),
        ([], "expected an object"),
    ],
)
def test_mistakes_in_splits(tmp_path: Path, splits: object, says: str) -> None:
    with pytest.raises(DataError, match=says):
        load(make(tmp_path / "mine", clips(), splits))


def test_a_bag_whose_label_the_segments_deny(tmp_path: Path) -> None:
    splits = {"bags": [{"id": "x", "clip": "bad", "start": 8, "end": 12, "label": 1}]}
    root = make(tmp_path / "mine", clips(), splits)
    assert load(root).videos[0].label == 1
    with pytest.raises(DataError, match="label 1 in conflict with the segments of 'bad'"):
        truth(root)


def test_what_is_no_data_set(tmp_path: Path) -> None:
    assert not PLUGIN.matches(tmp_path)
    with pytest.raises(DataError, match=r"expected a folder with a file gt\.json"):
        load(tmp_path)
    (tmp_path / "gt.json").write_text("{")
    with pytest.raises(DataError, match="not a JSON file"):
        load(tmp_path)


def random_truth(rng: np.random.Generator, frames: int, fps: float, hot: bool) -> Truth:
    masks = np.zeros((frames, 12, 20), bool)
    rows, tracks = [], []
    spans = np.array([[0, 2], [3, frames]]) / fps if hot else np.empty((0, 2))
    for frame in range(frames * hot):
        for track in range(int(rng.integers(0, 3))):
            x0, y0 = int(rng.integers(0, 19)), int(rng.integers(0, 11))
            x1, y1 = int(rng.integers(x0 + 1, 21)), int(rng.integers(y0 + 1, 13))
            masks[frame, y0:y1, x0:x1] = True
            rows.append([frame / fps, (frame + 1) / fps, x0 / 20, y0 / 12, x1 / 20, y1 / 12])
            tracks.append(track)
    return Truth(
        edges=np.arange(frames + 1) / fps,
        spans=spans,
        boxes=np.array(rows).reshape(-1, 6),
        track=np.array(tracks, np.int64),
        categories=("run", "fall") if hot else (),
        masks=lambda: masks,
    )


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), fps=st.sampled_from([10.0, 12.5, 25.0, 30000 / 1001]), frames=st.integers(4, 9))
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, seed: int, fps: float, frames: int
) -> None:
    root = tmp_path_factory.mktemp("native")
    rng = np.random.default_rng(seed)
    (root / "x.mp4").write_bytes(b"video")
    videos = tuple(Video(f"v{k}", root / "x.mp4", k % 2, "run" if k % 2 else None) for k in range(4))
    truths = {v.id: random_truth(rng, frames, fps, bool(v.label)) for v in videos}
    data = Dataset("new", videos, (Fold("a", videos[:2], videos[2:]), Fold("b", videos[2:], videos[:2], ("v2", "v3"))))
    write(root / "new", data, truths, {v.id: (20, 12) for v in videos}, {"note": "hello"})
    again, found = load(root / "new"), truth(root / "new")
    assert [(v.id, v.label, v.category, v.span) for v in again.videos] == [
        (v.id, v.label, v.category, None) for v in videos
    ]
    assert all(v.path.read_bytes() == b"video" for v in again.videos)
    assert [(f.name, [v.id for v in f.train], [v.id for v in f.test]) for f in again.folds] == [
        ("a", ["v0", "v1"], ["v2", "v3"]),
        ("b", ["v2", "v3"], ["v0", "v1"]),
    ]
    assert [fold.validation for fold in again.folds] == [(), ("v2", "v3")]
    assert json.loads((root / "new/splits.json").read_text())["note"] == "hello"
    for name, old in truths.items():
        new = found[name]
        np.testing.assert_allclose(new.edges, old.edges, atol=1e-9)
        np.testing.assert_allclose(new.spans, old.spans, atol=1e-9)
        np.testing.assert_allclose(new.boxes, old.boxes, atol=1e-9)
        assert new.track.tolist() == old.track.tolist()
        assert new.categories == old.categories
        assert new.boxed is None and new.masks is not None and old.masks is not None
        np.testing.assert_array_equal(new.masks(), old.masks())
    assert [p.name for p in root.iterdir() if p.name.startswith(".")] == []


def test_write_is_whole_or_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").touch()
    good = Video("a", tmp_path / "x.mp4", 0)
    flat = Truth(np.arange(5) / 10)
    uneven = Truth(np.array([0, 0.1, 0.25, 0.3]))
    cases = [
        (good, {}, "needs a truth and a size"),
        (good, {"a": uneven}, "constant rate"),
        (Video("a", tmp_path / "x.mp4", 1), {"a": flat}, "label agrees"),
        (Video("a", tmp_path / "x.mp4", 0, span=(0, 1)), {"a": flat}, "whole video"),
        (Video("a", tmp_path / "y.mp4", 0), {"a": flat}, "no such video"),
        (Video("../a", tmp_path / "x.mp4", 0), {"../a": flat}, "lead out"),
        (Video("a", tmp_path / "x.mp4", 1), {"a": Truth(np.arange(5) / 10, [[0.05, 0.1]])}, "begin and end on frames"),
    ]
    for video, truths, says in cases:
        with pytest.raises(DataError, match=says):
            write(tmp_path / "new", Dataset("d", (video,)), truths, {video.id: (4, 4)})
        assert [p.name for p in tmp_path.iterdir()] == ["x.mp4"]
    (tmp_path / "new").mkdir()
    with pytest.raises(DataError, match="already there"):
        write(tmp_path / "new", Dataset("d", (good,)), {"a": flat}, {"a": (4, 4)})


@needs_shared
@pytest.mark.parametrize(("name", "boxes"), [("ped2", 2410), ("avenue6", 1157)])
def test_boxes_of_real_clips_are_the_tight_half_open_boxes_of_their_masks(name: str, boxes: int) -> None:
    """Each box touches its mask on all four sides and nothing outside it, which an inclusive end would not."""
    root = SHARED / "data" / name
    raw, seen = json.loads((root / "gt.json").read_text()), 0
    for clip, found in truth(root).items():
        if clip not in raw or not found.label:
            continue
        assert found.masks is not None
        masks, size = found.masks(), (raw[clip]["width"], raw[clip]["height"])
        assert masks.any((1, 2)).tolist() == found.frames.tolist()
        frames = ext.frames_of(found.boxes, found.edges)
        assert (np.diff(frames, axis=1) == 1).all()
        covered = np.zeros_like(masks)
        for (k, _), row in zip(frames, found.boxes, strict=True):
            x0, y0, x1, y1 = ext.to_pixels(row, *size).round().astype(int)
            part = masks[k, y0:y1, x0:x1]
            assert part[0].any() and part[-1].any() and part[:, 0].any() and part[:, -1].any()
            covered[k, y0:y1, x0:x1] = True
            seen += 1
        assert (masks & ~covered).sum() <= 6  # specks of a pixel or six have no box of their own
    assert seen == boxes


@needs_shared
def test_real_folders_have_the_published_protocols() -> None:
    ped2, avenue = load(SHARED / "data/ped2"), load(SHARED / "data/avenue6")
    assert (len(ped2.videos), len(ped2.folds)) == (28, 10)
    assert {(len(f.train), len(f.test), sum(v.label or 0 for v in f.train)) for f in ped2.folds} == {(10, 18, 6)}
    assert (len(avenue.videos), len(avenue.folds)) == (16, 3)
    assert {v.id: v.span for v in avenue.videos}["Train10_1"] == (244 / 25, 489 / 25)
    found = truth(SHARED / "data/avenue6")
    assert len(found) == 18
    assert found["Train10_1"].edges[0] == 244 / 25 and len(found["Train10_1"].edges) == 246
    assert sum(int(found[v.id].frames.sum()) for v in avenue.videos) == 1061
    assert sum(int(t.frames.sum()) for t in truth(SHARED / "data/ped2").values()) == 1648
    assert PLUGIN.matches(SHARED / "data/ped2") and PLUGIN.matches(SHARED / "data/avenue6")

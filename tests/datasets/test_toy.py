import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wherewhen.core import extents as ext
from wherewhen.core.errors import ConfigError, DataError
from wherewhen.core.values import Pixels
from wherewhen.datasets import native
from wherewhen.datasets._toy_palette import PALETTE
from wherewhen.datasets.toy import KINDS, PLUGIN, Toy, clip, generate, plan

SMALL = Toy(
    seed=1, clips_normal=2, clips_anomalous=2, seconds=6, width=160, height=120, rate=8, kinds=("fall", "wheels")
)


def stack(path: Path, images: Iterator[Pixels], rate: float) -> None:
    with path.open("wb") as file:
        np.save(file, np.stack(list(images)))


def digest(root: Path) -> dict[str, str]:
    return {
        p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(root.rglob("*"))
        if p.is_file()
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("toy") / "set"
    generate(root, SMALL, stack, suffix=".npy")
    return root


def test_equal_settings_give_equal_bytes(made: Path, tmp_path: Path) -> None:
    generate(tmp_path / "set", SMALL, stack, suffix=".npy")
    assert digest(tmp_path / "set") == digest(made)
    assert len(digest(made)) == 4 + 2 + 2  # videos, masks of the anomalous ones, gt.json and splits.json


def test_the_folder_reads_like_any_other(made: Path) -> None:
    assert PLUGIN.matches(made) and not native.matches(made)
    data, found = PLUGIN.load(made), PLUGIN.truth(made)
    assert [(v.id, v.label, v.category) for v in data.videos] == [
        (p.id, int(p.kind is not None), p.kind) for p in plan(SMALL)
    ]
    (fold,) = data.folds
    assert sorted(v.label or 0 for v in fold.train) == sorted(v.label or 0 for v in fold.test) == [0, 1]
    assert json.loads((made / "splits.json").read_text())["settings"]["kinds"] == ["fall", "wheels"]
    for video in data.videos:
        truth = found[video.id]
        assert len(truth.edges) == SMALL.frames + 1 and truth.label == video.label
        assert set(truth.categories) == ({video.category} if video.category else set())


def test_truth_on_disk_is_what_the_renderer_showed(made: Path) -> None:
    found = PLUGIN.truth(made)
    for index, planned in enumerate(plan(SMALL)):
        truth, video = found[planned.id], np.load(made / "videos" / f"{planned.id}.npy")
        assert truth.masks is not None
        masks, rows = truth.masks(), []
        for k, drawn in enumerate(clip(SMALL, index)):
            np.testing.assert_array_equal(drawn.image, video[k])
            np.testing.assert_array_equal(drawn.mask, masks[k])
            rows += [(k, track, *box) for track, box in drawn.boxes.items()]
        frames = ext.frames_of(truth.boxes, truth.edges)[:, 0]
        pixels = ext.to_pixels(truth.boxes, SMALL.width, SMALL.height).round().astype(int)
        again = [(int(k), int(t), *b) for k, t, b in zip(frames, truth.track, pixels.tolist(), strict=True)]
        assert sorted(again) == sorted(rows)
        assert set(frames.tolist()) <= set(np.flatnonzero(truth.frames).tolist())


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_shows_for_a_part_of_the_time_with_tight_boxes(kind: str) -> None:
    toy = Toy(seed=5, clips_normal=0, clips_anomalous=2, seconds=10, width=160, height=120, rate=6, kinds=(kind,))
    for index in range(2):
        hot = []
        for drawn in clip(toy, index):
            assert drawn.image.shape == (120, 160, 3) and drawn.image.dtype == np.uint8
            hot.append(bool(drawn.boxes))
            covered = np.zeros_like(drawn.mask)
            for x0, y0, x1, y1 in drawn.boxes.values():
                assert 0 <= x0 < x1 <= 160 and 0 <= y0 < y1 <= 120
                part = drawn.mask[y0:y1, x0:x1]
                assert part[0].any() and part[-1].any() and part[:, 0].any() and part[:, -1].any()
                covered[y0:y1, x0:x1] = True
            assert not (drawn.mask & ~covered).any()
        assert len(hot) == toy.frames
        assert 0.1 < np.mean(hot) < 0.7
    assert max(len(drawn.boxes) for drawn in clip(toy, 0)) == (2 if kind == "fight" else 1)


def test_nothing_is_anomalous_in_a_normal_clip() -> None:
    toy = Toy(clips_normal=1, clips_anomalous=0, seconds=6, width=160, height=120, rate=6)
    images = []
    for drawn in clip(toy, 0):
        assert not drawn.mask.any() and not drawn.boxes
        images.append(drawn.image.astype(float))
    # Somebody moves: far more changes between pictures than the noise of the sensor.
    changes = np.abs(np.diff(images, axis=0)).mean(-1)
    assert np.median(changes) < 12 < np.quantile(changes, 0.999)


def test_masks_mark_what_differs_from_the_place() -> None:
    """Under the mask the picture is not the background: an oracle that knows nothing of bodies."""
    toy = Toy(seed=2, clips_normal=0, clips_anomalous=1, seconds=8, width=160, height=120, rate=6, kinds=("fight",))
    drawn = list(clip(toy, 0))
    place = np.median([d.image for d in drawn], 0)
    inside, outside = [], []
    for d in drawn:
        away = np.abs(d.image - place).mean(-1)
        inside.append(away[d.mask])
        outside.append(away[~d.mask])
    assert np.concatenate(inside).mean() > 4 * np.concatenate(outside).mean()


def test_one_camera_by_default_and_others_by_scene() -> None:
    def first(toy: Toy, index: int) -> Pixels:
        return next(clip(toy, index)).image

    def alike(a: Pixels, b: Pixels) -> float:
        return float(np.corrcoef(a.mean(-1).ravel(), b.mean(-1).ravel())[0, 1])

    toy = Toy(seed=3, width=160, height=120, seconds=4)
    assert alike(first(toy, 0), first(toy, 1)) > 0.8
    assert alike(first(toy, 0), first(Toy(seed=3, scene=4, width=160, height=120, seconds=4), 0)) < 0.8
    assert {p.scene for p in plan(toy)} == {0}
    both = plan(Toy(cameras=2, clips_normal=8, clips_anomalous=8))
    for scene in (0, 1):
        assert sum(p.kind is None for p in both if p.scene == scene) == 4
        assert sum(p.kind is not None for p in both if p.scene == scene) == 4


def test_plan_deals_labels_kinds_and_folds_evenly() -> None:
    toy = Toy(seed=9, clips_normal=20, clips_anomalous=28, test_fraction=0.25)
    clips = plan(toy)
    assert [p.id for p in clips] == [f"toy{k:04d}" for k in range(48)]
    assert sum(p.test for p in clips if p.kind is None) == 5
    for kind in KINDS:
        assert [sum(p.test is test for p in clips if p.kind == kind) for test in (True, False)] == [1, 3]
    # The order tells nothing: both labels in both halves.
    assert 5 <= sum(p.kind is None for p in clips[:24]) <= 15
    assert plan(toy) == clips != plan(Toy(seed=10, clips_normal=20, clips_anomalous=28, test_fraction=0.25))


def test_brightness_does_not_tell_the_label() -> None:
    """Light is drawn before anything is known of the kind: over many clips no order by brightness remains."""
    toy = Toy(clips_normal=24, clips_anomalous=24, width=64, height=48, seconds=4, rate=2)
    mean = {True: [], False: []}  # type: dict[bool, list[float]]
    for index, planned in enumerate(plan(toy)):
        mean[planned.kind is not None].append(float(np.mean([d.image.mean() for d in clip(toy, index)])))
    wins = np.mean([a > b for a in mean[True] for b in mean[False]])
    assert 0.28 < wins < 0.72


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"kinds": ("runing",)}, "unknown kind of anomaly 'runing'; did you mean 'running'"),
        ({"seconds": 1}, "seconds must be at least 4"),
        ({"width": 161}, "must be even"),
        ({"rate": 0.5}, "rate is 1 to 240"),
        ({"test_fraction": 1.5}, "test_fraction 0 to 1"),
        ({"clips_normal": 0, "clips_anomalous": 0}, "at least one clip"),
        ({"cameras": 3, "clips_normal": 2}, "3 cameras need as many clips of each label"),
        ({"cameras": 0}, "cameras must be at least 1"),
    ],
)
def test_settings_are_checked(values: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Toy(**values)  # type: ignore[arg-type]


def test_generate_leaves_nothing_behind_when_it_fails(made: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="already there"):
        generate(made, SMALL, stack)

    def lazy(path: Path, images: Iterator[Pixels], rate: float) -> None:
        next(images)

    with pytest.raises(DataError, match="took 1 of 48 pictures"):
        generate(tmp_path / "set", SMALL, lazy)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DataError, match="clips 0 to 3, got 4"):
        clip(SMALL, 4)


def test_generate_reports_progress(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    toy = Toy(clips_normal=2, clips_anomalous=0, width=64, height=48, seconds=4, rate=2)
    generate(tmp_path / "deep/set", toy, stack, ".npy", lambda done, all_: seen.append((done, all_)))
    assert seen == [(1, 2), (2, 2)]
    assert {v.label for v in PLUGIN.load(tmp_path / "deep/set").videos} == {0}


@pytest.mark.parametrize("kind", KINDS)
def test_with_a_palette_only_the_anomaly_is_vivid_and_all_else_stays_in_place(kind: str) -> None:
    import cv2

    settings = Toy(2, clips_normal=0, clips_anomalous=1, kinds=(kind,), seconds=6, rate=4, palette=True)
    shown = 0
    for drawn, plain in zip(clip(settings, 0), clip(replace(settings, palette=False), 0), strict=True):
        np.testing.assert_array_equal(drawn.mask, plain.mask)
        assert drawn.boxes == plain.boxes
        vivid = cv2.cvtColor(drawn.image, cv2.COLOR_RGB2HSV)[..., 1] > 140
        near = cv2.dilate(drawn.mask.astype(np.uint8), np.ones((5, 5))) > 0
        bright = drawn.image.max(-1) > 90
        assert (vivid & bright & ~near).mean() < 2e-4
        if drawn.mask.sum() > 100:
            shown += 1
            assert (vivid & bright)[drawn.mask].mean() > 0.5
            color = drawn.image[drawn.mask & vivid].mean(0)
            assert np.corrcoef(color, PALETTE[kind])[0, 1] > 0.95
    assert shown


@pytest.mark.parametrize("index", [0, 1])
def test_decoys_stand_still_in_vivid_colors_and_all_else_stays_in_place(index: int) -> None:
    """In a normal clip and in one of a runner; what a decoy doesn't hide or shade is the same to the last bit."""
    import cv2

    settings = Toy(4, clips_normal=1, clips_anomalous=1, kinds=("running",), seconds=4, rate=4, palette=True)
    vivid, same, hot = [], [], []
    for drawn, plain in zip(clip(replace(settings, decoys=6), index), clip(settings, index), strict=True):
        own = (drawn.mask | plain.mask).astype(np.uint8)
        near = cv2.dilate(own, np.ones((7, 7))) > 0
        seen = cv2.cvtColor(drawn.image, cv2.COLOR_RGB2HSV)
        vivid.append((seen[..., 1] > 140) & (seen[..., 2] > 90) & ~near)
        same.append((drawn.image == plain.image).all(-1).mean())
        hot.append((len(drawn.boxes), len(plain.boxes)))
        assert not (drawn.mask & ~plain.mask).any()
    assert min(same) > 0.85
    always = np.mean(vivid, 0)
    assert (always > 0.8).sum() > 200, "six blocks, seen nearly all the time"
    assert ((always > 0) & (always < 0.5)).sum() < (always > 0.8).sum()
    assert [a for a, _ in hot] == [b for _, b in hot]


def test_more_decoys_than_there_is_room_for_are_refused() -> None:
    with pytest.raises(ConfigError, match="decoys is 0 to 64, got 65"):
        Toy(decoys=65)


@pytest.mark.parametrize("cameras", [1, 2, 3, 5, 12])
def test_every_camera_has_clips_of_both_labels(cameras: int) -> None:
    clips = plan(Toy(scene=4, cameras=cameras, clips_normal=13, clips_anomalous=26))
    for label, count in ((False, 13), (True, 26)):
        used = [sum(p.scene == 4 + k for p in clips if (p.kind is not None) == label) for k in range(cameras)]
        assert sum(used) == count and max(used) - min(used) <= 1 and min(used) >= 1


def test_cameras_differ_in_height_angle_and_light_but_one_alone_stays() -> None:
    from wherewhen.datasets._toy_scene import NEAREST, build

    plain, varied = build(1, 64, 48), [build(seed, 64, 48, varied=True) for seed in range(4)]
    assert plain.light == 1 and len({scene.light for scene in varied}) == 4
    assert len({round(scene.camera.mast, 2) for scene in varied}) == 4
    for scene in varied:
        half = np.arctan(scene.camera.height / 2 / scene.camera.focal)
        assert scene.camera.mast / np.tan(scene.camera.pitch + half) == pytest.approx(NEAREST)
        assert scene.camera.mast / np.tan(max(scene.camera.pitch - half, 0.01)) > max(
            z for _, z in scene.bands.values()
        )


def test_a_drawn_set_names_cameras_and_has_a_fold_of_unseen_ones(tmp_path: Path) -> None:
    from wherewhen.data_tools.toy_videos import toy

    toy(
        tmp_path / "toy",
        quiet=True,
        cameras=3,
        clips_normal=3,
        clips_anomalous=3,
        seconds=4,
        width=64,
        height=48,
        rate=5,
    )
    dataset = PLUGIN.load(tmp_path / "toy")
    assert {video.camera for video in dataset.videos} == {"scene0", "scene1", "scene2"}
    (unseen,) = (fold for fold in dataset.folds if fold.name == "unseen")
    assert {video.camera for video in unseen.test} == {"scene2"} and {v.label for v in unseen.test} == {0, 1}
    assert {video.camera for video in unseen.train} == {"scene0", "scene1"}


NUISANCE = Toy(seed=4, clips_normal=4, clips_anomalous=4, seconds=4, width=96, height=72, rate=8)


@pytest.mark.parametrize("kind", ["rain", "wind", "flicker"])
def test_nuisance_is_in_some_clips_of_both_labels_and_all_else_stays_in_place(kind: str) -> None:
    disturbed = []
    for index in range(8):
        pairs = list(zip(clip(replace(NUISANCE, nuisance=(kind,)), index), clip(NUISANCE, index), strict=True))
        for drawn, plain in pairs:
            np.testing.assert_array_equal(drawn.mask, plain.mask)
            assert drawn.boxes == plain.boxes
        changes = [np.abs(drawn.image.astype(int) - plain.image).max(-1) > 8 for drawn, plain in pairs]
        shares = np.array([changed.mean() for changed in changes])
        disturbed.append(bool(shares.max() > 0))
        if kind == "flicker" and disturbed[-1]:
            assert 0 in shares and shares.max() < 0.5, "it goes on and off, and lights a part of the picture"
        if kind == "rain" and disturbed[-1]:
            assert (shares > 0).all() and (changes[0] != changes[1]).any()
        if kind == "wind" and disturbed[-1]:
            assert not np.any(changes, 0)[-20:].any(), "no leaves at the bottom"
    labels = np.array([planned.kind is not None for planned in plan(NUISANCE)])
    chosen = np.array(disturbed)
    assert {(True, True), (True, False), (False, True), (False, False)} == {
        *zip(labels.tolist(), chosen.tolist(), strict=True)
    }


def test_unknown_nuisance_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown kind of nuisance 'snow'"):
        Toy(nuisance=("snow",))
